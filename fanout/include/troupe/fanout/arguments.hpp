#pragma once

#include <cstddef>
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

/// What they take of memory, about: a short value costs more than its bytes.
[[nodiscard]] inline std::size_t memory_bytes(const Arguments& arguments) {
  std::size_t bytes = 0;
  for (const std::string& value : arguments.values)
    bytes += sizeof(std::string) + value.size();
  return bytes;
}

}  // namespace troupe::fanout
