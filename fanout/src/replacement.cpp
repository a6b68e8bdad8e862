#include "replacement.hpp"

#include <troupe/base/assert.hpp>
#include <troupe/base/text.hpp>

namespace troupe::fanout {
namespace {

std::optional<Replacement::Part> part_named(std::string_view name) {
  using Part = Replacement::Part;
  if (name.empty())
    return Part::whole;
  if (name == ".")
    return Part::no_extension;
  if (name == "/")
    return Part::base;
  if (name == "//")
    return Part::directory;
  if (name == "/.")
    return Part::base_no_extension;
  return std::nullopt;
}

/// What follows the last slash; nothing after a slash at the end.
std::string_view base_of(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

/// dirname(1).
std::string_view directory_of(std::string_view path) {
  const auto drop_slashes = [&path] {
    while (path.size() > 1 && path.back() == '/')
      path.remove_suffix(1);
  };
  drop_slashes();
  const auto slash = path.rfind('/');
  if (slash == std::string_view::npos)
    return ".";
  path = path.substr(0, slash + 1);
  drop_slashes();
  return path;
}

std::string_view without_extension(std::string_view path) {
  const auto dot = path.rfind('.');
  const auto slash = path.rfind('/');
  const bool in_base = dot != std::string_view::npos &&
                       (slash == std::string_view::npos || dot > slash);
  return in_base ? path.substr(0, dot) : path;
}

}  // namespace

std::optional<MatchedReplacement> match_replacement(std::string_view text) {
  // The longest is {-9999//}; what has more digits is text.
  constexpr std::size_t longest = 9;
  if (text.empty() || text.front() != '{')
    return std::nullopt;
  const auto close = text.substr(0, longest).find('}');
  if (close == std::string_view::npos)
    return std::nullopt;
  std::string_view inside = text.substr(1, close - 1);
  MatchedReplacement match;
  match.length = close + 1;
  if (inside == "#" || inside == "%") {
    match.replacement.what =
        inside == "#" ? Replacement::What::seq : Replacement::What::slot;
    return match;
  }
  const bool negative = inside.size() > 1 && inside.front() == '-';
  if (negative)
    inside.remove_prefix(1);
  int position = 0;
  std::size_t digits = 0;
  for (; digits < inside.size() && is_digit(inside[digits]); ++digits)
    position = position * 10 + (inside[digits] - '0');
  inside.remove_prefix(digits);
  const auto part = part_named(inside);
  if (!part || digits > 4 || (negative && digits == 0))
    return std::nullopt;
  match.replacement.part = *part;
  if (digits > 0) {
    match.replacement.what = Replacement::What::one;
    match.replacement.position = negative ? -position : position;
  }
  return match;
}

std::string cut(Replacement::Part part, std::string_view value) {
  switch (part) {
    case Replacement::Part::whole:
      return std::string{value};
    case Replacement::Part::no_extension:
      return std::string{without_extension(value)};
    case Replacement::Part::base:
      return std::string{base_of(value)};
    case Replacement::Part::directory:
      return std::string{directory_of(value)};
    case Replacement::Part::base_no_extension:
      return std::string{without_extension(base_of(value))};
  }
  return {};
}

std::optional<std::string> value_of(const Replacement& replacement,
                                    const Arguments& arguments,
                                    std::uint32_t slot) {
  switch (replacement.what) {
    case Replacement::What::seq:
      return std::to_string(arguments.seq);
    case Replacement::What::slot:
      return std::to_string(slot);
    case Replacement::What::one: {
      const auto count = static_cast<std::ptrdiff_t>(arguments.values.size());
      const std::ptrdiff_t index = replacement.position > 0
                                       ? replacement.position - 1
                                       : count + replacement.position;
      if (index < 0 || index >= count)
        return std::nullopt;
      return cut(replacement.part,
                 arguments.values[static_cast<std::size_t>(index)]);
    }
    case Replacement::What::every:
      break;
  }
  TROUPE_ASSERT(replacement.what != Replacement::What::every);
  return std::nullopt;
}

}  // namespace troupe::fanout
