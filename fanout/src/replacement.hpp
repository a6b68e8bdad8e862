#pragma once

#include <troupe/fanout/arguments.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace troupe::fanout {

/// One replacement string of a command template, such as `{2/.}`.
struct Replacement {
  enum class What : std::uint8_t {
    every,  ///< All values: `{}`, `{.}`.
    one,    ///< The value at `position`: `{2}`, `{-1/}`.
    seq,    ///< `{#}`
    slot,   ///< `{%}`
  };
  enum class Part : std::uint8_t {
    whole,              ///< `{}`
    no_extension,       ///< `{.}`
    base,               ///< `{/}`
    directory,          ///< `{//}`
    base_no_extension,  ///< `{/.}`
  };

  What what = What::every;
  Part part = Part::whole;
  int position = 0;  ///< From 1, or from -1 counted from the right.

  friend bool operator==(const Replacement&, const Replacement&) = default;
};

struct MatchedReplacement {
  Replacement replacement;
  std::size_t length = 0;  ///< Bytes, with both braces.
};

/// The replacement string that `text` starts with, if it does. A position of
/// zero matches, so that the caller can refuse it.
[[nodiscard]] std::optional<MatchedReplacement> match_replacement(
    std::string_view text);

/// The part of the path `value` that is asked for, as GNU parallel cuts it.
[[nodiscard]] std::string cut(Replacement::Part part, std::string_view value);

/// What stands for `replacement`, which is not `every`, in a job. None if the
/// job has no value at that position.
[[nodiscard]] std::optional<std::string> value_of(
    const Replacement& replacement, const Arguments& arguments,
    std::uint32_t slot);

}  // namespace troupe::fanout
