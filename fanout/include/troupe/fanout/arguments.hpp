#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace troupe::fanout {

/// What one job gets: a plain value, made by ArgumentStream.
struct Arguments {
  std::uint64_t seq = 0;  ///< `{#}`; counts from 1.
  /// `{1}`, `{2}` and so on; `{}` is all of them. Any bytes but NUL.
  std::vector<std::string> values{};

  friend bool operator==(const Arguments&, const Arguments&) = default;
};

}  // namespace troupe::fanout
