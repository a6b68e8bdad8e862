#include "trace.hpp"

#include <cstdio>
#include <fmt/format.h>

namespace troupe::sim {
namespace {

constexpr std::size_t most_lines = 60;

}  // namespace

void Trace::note(Duration at, std::string_view what, std::uint32_t node,
                 std::uint64_t a, std::uint64_t b) {
  mix(static_cast<std::uint64_t>(at.count()));
  for (const char c : what)
    mix(static_cast<unsigned char>(c));
  mix(node);
  mix(a);
  mix(b);
  lines_.push_back({at, what, node, a, b});
  if (lines_.size() > most_lines)
    lines_.pop_front();
  if (is_printed_)
    std::puts(text(lines_.back()).c_str());
}

std::string Trace::last() const {
  std::string all;
  for (const Line& line : lines_)
    all += text(line) + "\n";
  return all;
}

std::string Trace::text(const Line& line) {
  const std::string node =
      line.node == no_node ? "  -" : fmt::format("n{:<2}", line.node);
  return fmt::format("{:12.6f} {} {} {} {}", in_seconds(line.at), node,
                     line.what, line.a, line.b);
}

}  // namespace troupe::sim
