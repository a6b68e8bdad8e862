#pragma once

#include <troupe/base/boot_time.hpp>

namespace troupe::process {

/// What the boot clock of this host says. From any thread.
[[nodiscard]] BootTime boot_now();

}  // namespace troupe::process
