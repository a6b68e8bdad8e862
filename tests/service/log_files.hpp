#pragma once

#include "rotated_path.hpp"

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <rapidcheck.h>
#include <string>
#include <vector>

namespace troupe::service {

/// What FILE and its rotated files hold, from the oldest byte on.
inline std::string whole_log(const std::string& path) {
  std::string whole;
  for (std::uint32_t number = 0; number < 50; ++number) {
    std::ifstream in{rotated_path(path, number), std::ios::binary};
    whole.insert(0, std::string{std::istreambuf_iterator<char>{in}, {}});
  }
  return whole;
}

inline std::uint64_t bytes_on_disk(const std::string& path) {
  std::uint64_t bytes = 0;
  for (std::uint32_t number = 0; number < 50; ++number) {
    std::error_code none;
    const auto size =
        std::filesystem::file_size(rotated_path(path, number), none);
    bytes += none ? 0 : size;
  }
  return bytes;
}

/// Text of at most `most` bytes, mostly short lines and now and then a longer
/// one; all of it different, so that nothing can be lost or doubled unseen.
inline std::string random_text(std::size_t most, std::uint64_t& counter) {
  std::string text;
  const auto size = *rc::gen::inRange<std::size_t>(1, most + 1);
  while (text.size() < size) {
    text += std::to_string(counter++);
    text += *rc::gen::weightedElement<char>({{5, '\n'}, {5, ' '}});
  }
  text.resize(size);
  return text;
}

}  // namespace troupe::service
