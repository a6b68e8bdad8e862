#pragma once

#include <troupe/base/error.hpp>
#include <troupe/base/owned_fd.hpp>

#include <string>

namespace troupe::node {

/// Holds `folder`/node.lock, with our pid in it, until it is closed; the kernel
/// lets go of it with the process.
///
/// Errors: already_exists ("a node runs in FOLDER (pid 17)"), those of the
/// system.
[[nodiscard]] Result<OwnedFd> lock_folder(const std::string& folder);

}  // namespace troupe::node
