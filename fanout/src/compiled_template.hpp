#pragma once

#include "replacement.hpp"

#include <troupe/base/error.hpp>
#include <troupe/fanout/command_template.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::fanout {

/// Literal text, or a replacement string to be filled in.
struct Piece {
  std::string text{};
  std::optional<Replacement> replacement{};
};

/// A stretch of a template in which values are inserted in one way.
struct Stretch {
  enum class Context : std::uint8_t {
    word,              ///< One element of an argument vector.
    verbatim,          ///< Shell text without a replacement string.
    bare,              ///< Unquoted plain characters of shell text.
    in_single_quotes,  ///< A single replacement inside '…'.
    in_double_quotes,  ///< A single replacement inside "…".
  };

  Context context = Context::verbatim;
  std::vector<Piece> pieces{};
  /// Bare only: a replacement that is a shell word of its own, so that harmless
  /// values need no quotes.
  bool alone = false;
  /// In double quotes only: directly after `$name`, which a value that starts
  /// with a letter would lengthen.
  bool after_name = false;

  [[nodiscard]] bool has_replacement() const;
  /// Whether it is repeated for each value.
  [[nodiscard]] bool repeats() const;
};

struct CompiledTemplate {
  bool shell = false;
  std::vector<Stretch> stretches{};
};

/// Splits a word of an argument vector.
///
/// Errors: invalid_argument for a position of zero.
[[nodiscard]] Result<Stretch> compile_word(std::string_view word);

/// Reads shell text as far as is needed to know how each replacement string in
/// it is quoted, and refuses what it does not understand for sure.
///
/// Errors: invalid_argument.
[[nodiscard]] Result<std::vector<Stretch>> compile_shell_text(
    std::string_view text, IfNone if_none);

/// Whether a shell would do nothing with `text` but split it at blanks.
[[nodiscard]] bool is_plain_command(std::string_view text);

/// The Replacement that `text` starts with, if any.
///
/// Errors: invalid_argument for a position of zero.
[[nodiscard]] Result<std::optional<MatchedReplacement>> checked_replacement(
    std::string_view text);

}  // namespace troupe::fanout
