#include <troupe/base/random_name.hpp>

#include <fmt/format.h>
#include <random>

namespace troupe {

std::string random_name(std::size_t words) {
  std::random_device random;
  std::string name;
  for (std::size_t i = 0; i < words; ++i)
    name += fmt::format("{:08x}", random());
  return name;
}

}  // namespace troupe
