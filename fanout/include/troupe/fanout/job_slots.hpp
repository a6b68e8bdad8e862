#pragma once

#include <troupe/base/error.hpp>

#include <cstdint>
#include <string_view>

namespace troupe::fanout {

/// The most jobs that run at once, whatever is asked for: each takes a process
/// and up to three descriptors.
inline constexpr std::uint32_t most_job_slots = 20'000;

/// Reads `-j`, as GNU parallel does: `8` jobs; `150%` of the cores, rounded up;
/// `+2` or `-1` relative to them; `auto` or `100%` for one per core; `0` for as
/// many as possible, which is most_job_slots. What comes out below 1 is 1.
/// `cores` is at least 1.
///
/// Errors: invalid_argument, for more than most_job_slots too.
[[nodiscard]] Result<std::uint32_t> parse_job_slots(std::string_view text,
                                                    std::uint32_t cores);

}  // namespace troupe::fanout
