#pragma once

#include <troupe/flow_control/machine_sample.hpp>
#include <troupe/flow_control/resources.hpp>

#include <cstdint>

namespace troupe::node {

/// Memory, load and pressure of this host at this moment. Reads files that the
/// kernel makes up as they are read, so it waits for no disk: some 50 us.
[[nodiscard]] flow_control::MachineSample look_at_machine();

/// How many processors this host has; at least 1.
[[nodiscard]] std::uint32_t processors();

/// `said`, with the processors ("cpu") and all memory ("mem") of this host
/// where it does not name them.
[[nodiscard]] flow_control::Resources with_those_of_machine(
    flow_control::Resources said);

}  // namespace troupe::node
