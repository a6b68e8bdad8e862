#pragma once

#include <troupe/base/error.hpp>

#include <string>
#include <vector>

namespace troupe::cli {

/// $XDG_STATE_HOME or ~/.local/state. The fallback is in a folder that
/// everybody may write to, so it must be ours already or be made by us; `notes`
/// says then where logs go. Blocks.
///
/// Errors: permission_denied (the fallback is not ours), those of the system.
[[nodiscard]] Result<std::string> state_home(std::vector<std::string>& notes);

/// The folder for sockets: $XDG_RUNTIME_DIR/troupe or /tmp/troupe-UID, made
/// with mode 0700 if it is not there. Short, since a socket's path is limited.
///
/// Errors: permission_denied (it is not ours alone), those of the system.
[[nodiscard]] Result<std::string> runtime_folder();

}  // namespace troupe::cli
