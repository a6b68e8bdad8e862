#pragma once

#include <troupe/flow_control/machine_sample.hpp>

namespace troupe::cli {

/// Memory, load and pressure of this host at this moment. Reads files that the
/// kernel makes up as they are read, so it waits for no disk: some 50 us.
[[nodiscard]] flow_control::MachineSample look_at_machine();

}  // namespace troupe::cli
