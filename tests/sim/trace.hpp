#pragma once

#include <troupe/base/time.hpp>

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

namespace troupe::sim {

/// What has happened, as a number that depends on all of it, and the last of it
/// as text.
class Trace {
 public:
  explicit Trace(bool is_printed) : is_printed_{is_printed} {}

  /// `what` is a literal; `node` is no_node for what is of no node.
  void note(Duration at, std::string_view what, std::uint32_t node,
            std::uint64_t a = 0, std::uint64_t b = 0);

  [[nodiscard]] std::uint64_t hash() const { return hash_; }

  /// The last events, one a line.
  [[nodiscard]] std::string last() const;

  static constexpr std::uint32_t no_node = 99;

 private:
  struct Line {
    Duration at;
    std::string_view what;
    std::uint32_t node = 0;
    std::uint64_t a = 0;
    std::uint64_t b = 0;
  };
  static std::string text(const Line& line);
  void mix(std::uint64_t value) {
    hash_ = (hash_ ^ value) * 0x100000001b3ULL;
    hash_ ^= hash_ >> 29;
  }

  bool is_printed_;
  std::uint64_t hash_ = 0xcbf29ce484222325ULL;
  std::deque<Line> lines_;
};

}  // namespace troupe::sim
