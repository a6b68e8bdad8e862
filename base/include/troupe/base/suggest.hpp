#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace troupe {

/// The candidate that `word` most likely was meant to be: the one with the
/// smallest Damerau-Levenshtein distance (optimal string alignment), if that is
/// at most a third of the longer word and at least 1 letter is right. `-` and
/// `_` count as equal. The first wins among equals; none if nothing is near.
[[nodiscard]] std::optional<std::string_view> suggest(
    std::string_view word, std::span<const std::string_view> candidates);

}  // namespace troupe
