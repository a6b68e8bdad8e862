#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace troupe::workflow {

/// When a command of `hooks` runs: before all jobs, or after them. Of those
/// after them, the one for how the run ends comes first, and on_exit last.
enum class Hook : std::uint8_t {
  on_start,
  on_success,
  on_failure,
  on_cancel,
  on_exit
};

inline constexpr std::array all_hooks{Hook::on_start, Hook::on_success,
                                      Hook::on_failure, Hook::on_cancel,
                                      Hook::on_exit};

/// As a file spells it: "on-exit".
[[nodiscard]] std::string_view to_string(Hook hook);

/// The name of the job that a run makes of it: "hooks.on-exit", which no job
/// of a file can have.
[[nodiscard]] std::string_view job_name(Hook hook);

/// Whether a job of this name is a hook.
[[nodiscard]] bool is_hook(std::string_view job);

}  // namespace troupe::workflow
