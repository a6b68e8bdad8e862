#pragma once

#include <cstdint>
#include <string>

namespace troupe::service {

inline constexpr std::uint32_t most_rotated_files = 1'000;

/// FILE for 0, FILE.1 for 1, ..: the higher, the older.
[[nodiscard]] inline std::string rotated_path(const std::string& path,
                                              std::uint32_t number) {
  return number == 0 ? path : path + "." + std::to_string(number);
}

}  // namespace troupe::service
