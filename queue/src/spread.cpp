#include <troupe/queue/spread.hpp>

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <string>
#include <string_view>
#include <utility>

namespace troupe::queue {
namespace {

using flow_control::Resources;

constexpr std::string_view spread_prefix = "spread-";
constexpr std::size_t id_digits = 16;
constexpr int hexadecimal = 16;
constexpr std::uint64_t most_share = 1'000'000'000;

}  // namespace

Resources want_spread(Resources resources, std::uint64_t id,
                      std::uint64_t share) {
  resources.set(
      fmt::format("{}{:016x}", spread_prefix, id),
      std::clamp<std::uint64_t>(share, 1, most_share) * Resources::unit);
  return resources;
}

SpreadAndRest split_spread(Resources resources) {
  SpreadAndRest split{.rest = std::move(resources)};
  for (const auto& [name, amount] : split.rest.amounts()) {
    if (!name.starts_with(spread_prefix) ||
        name.size() != spread_prefix.size() + id_digits)
      continue;
    const char* const end = name.data() + name.size();
    std::uint64_t id = 0;
    const auto read = std::from_chars(name.data() + spread_prefix.size(), end,
                                      id, hexadecimal);
    if (read.ec != std::errc{} || read.ptr != end)
      continue;
    split.id = id;
    split.share = std::max<std::uint64_t>(amount / Resources::unit, 1);
    split.rest.set(std::string{name}, 0);
    break;
  }
  return split;
}

}  // namespace troupe::queue
