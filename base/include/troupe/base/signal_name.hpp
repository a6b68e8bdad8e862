#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe {

/// "SIGTERM"; "signal 40" for one without a name.
[[nodiscard]] std::string signal_name(int signal);

/// The number of "TERM", "SIGTERM", "term" or "15"; nothing for anything else.
[[nodiscard]] std::optional<int> parse_signal(std::string_view text);

/// "TERM" and the other short names, in the order of their numbers.
[[nodiscard]] std::vector<std::string_view> signal_names();

}  // namespace troupe
