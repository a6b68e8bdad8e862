#include "compiled_template.hpp"

#include <troupe/base/text.hpp>

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace troupe::fanout {

bool Stretch::has_replacement() const {
  return std::any_of(pieces.begin(), pieces.end(), [](const Piece& piece) {
    return piece.replacement.has_value();
  });
}

bool Stretch::repeats() const {
  return std::any_of(pieces.begin(), pieces.end(), [](const Piece& piece) {
    return piece.replacement &&
           piece.replacement->what == Replacement::What::every;
  });
}

Result<std::optional<MatchedReplacement>> checked_replacement(
    std::string_view text) {
  const auto match = match_replacement(text);
  if (match && match->replacement.what == Replacement::What::one &&
      match->replacement.position == 0)
    return failure(Errc::invalid_argument,
                   fmt::format("{}: arguments are counted from 1",
                               text.substr(0, match->length)));
  return match;
}

Result<Stretch> compile_word(std::string_view word) {
  Stretch stretch{.context = Stretch::Context::word};
  std::string literal;
  const auto end_literal = [&] {
    if (!literal.empty())
      stretch.pieces.push_back({.text = std::move(literal)});
    literal.clear();
  };
  while (!word.empty()) {
    const auto match = checked_replacement(word);
    if (!match)
      return tl::unexpected(match.error());
    if (*match) {
      end_literal();
      stretch.pieces.push_back({.replacement = (*match)->replacement});
      word.remove_prefix((*match)->length);
    } else {
      literal += word.front();
      word.remove_prefix(1);
    }
  }
  end_literal();
  return stretch;
}

bool is_plain_command(std::string_view text) {
  // `=` only matters in the first word, where it makes an assignment.
  constexpr std::string_view special = "|&;<>()$`\\\"'*?[#~!\n\r";
  // Reserved words, and built-ins that are not also programs.
  constexpr std::array<std::string_view, 48> not_programs{
      "!",      ".",    ":",       "alias",    "bg",     "break",    "builtin",
      "case",   "cd",   "command", "continue", "coproc", "declare",  "do",
      "done",   "elif", "else",    "esac",     "eval",   "exec",     "exit",
      "export", "fc",   "fg",      "fi",       "for",    "function", "getopts",
      "hash",   "if",   "jobs",    "local",    "read",   "readonly", "return",
      "select", "set",  "shift",   "source",   "then",   "time",     "times",
      "trap",   "type", "ulimit",  "umask",    "unset",  "while"};
  constexpr std::array<std::string_view, 6> more_not_programs{
      "unalias", "until", "wait", "{", "}", "let"};
  std::string first_word;
  bool in_first_word = true;
  while (!text.empty()) {
    if (const auto match = match_replacement(text)) {
      // A value in the first word makes it neither reserved nor an assignment.
      if (in_first_word)
        first_word.clear();
      in_first_word = false;
      text.remove_prefix(match->length);
      continue;
    }
    const char c = text.front();
    text.remove_prefix(1);
    if (special.find(c) != std::string_view::npos ||
        (in_first_word && c == '='))
      return false;
    const bool blank = c == ' ' || c == '\t';
    if (in_first_word && blank && !first_word.empty())
      in_first_word = false;
    if (in_first_word && !blank)
      first_word += c;
  }
  const auto is_first = [&](std::string_view word) {
    return word == first_word;
  };
  return std::none_of(not_programs.begin(), not_programs.end(), is_first) &&
         std::none_of(more_not_programs.begin(), more_not_programs.end(),
                      is_first);
}

}  // namespace troupe::fanout
