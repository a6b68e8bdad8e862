#pragma once

#include <cstdint>
#include <rapidcheck.h>
#include <vector>

namespace troupe::flow_control {

/// A random history for a property: up to 400 numbers, from each of which the
/// property derives what happens next.
inline std::vector<std::uint32_t> random_steps() {
  return *rc::gen::resize(
      400, rc::gen::container<std::vector<std::uint32_t>>(
               rc::gen::inRange<std::uint32_t>(0, std::uint32_t{1} << 20)));
}

}  // namespace troupe::flow_control
