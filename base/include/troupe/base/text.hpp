#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace troupe {

/// `text` as one word of a POSIX shell: unchanged if it is made of harmless
/// characters, else in single quotes. The empty text is ''. Bytes that are not
/// UTF-8 pass unchanged. NUL cannot be in a shell word and must not be in
/// `text`.
[[nodiscard]] std::string shell_quote(std::string_view text);

/// The words of a command joined by spaces, each as shell_quote gives it.
[[nodiscard]] std::string shell_join(std::span<const std::string> words);

/// `text` safe to print on a terminal and in one line: control characters and
/// bytes that are not UTF-8 become escapes (\n, \x1b), the rest is unchanged.
[[nodiscard]] std::string printable(std::string_view text);

/// Whether `text` is well-formed UTF-8 (RFC 3629: no surrogates, no overlong
/// forms, nothing above U+10FFFF).
[[nodiscard]] bool is_utf8(std::string_view text);

/// `text` with each byte sequence that is not UTF-8 replaced by U+FFFD, for
/// JSON, which cannot carry anything else.
[[nodiscard]] std::string to_utf8(std::string_view text);

/// Columns that `text` takes on a terminal: one per code point, two for the
/// wide blocks of East Asian scripts and emoji, none for combining marks.
[[nodiscard]] std::size_t display_width(std::string_view text);

/// `text` cut to at most `columns` of display_width, with "…" as the last one
/// if something was cut.
[[nodiscard]] std::string ellipsize(std::string_view text, std::size_t columns);

/// `text` for messages: printable, at most 60 columns, in quotes.
[[nodiscard]] std::string in_quotes(std::string_view text);

/// "1 job", "3 jobs": for words whose plural is made with s.
[[nodiscard]] std::string counted(std::uint64_t count, std::string_view what);

/// "a, b and 3 more": of `names` the first `most`.
[[nodiscard]] std::string listed(std::span<const std::string> names,
                                 std::size_t most);

// As in the C locale, whatever the locale is; and for every char.
[[nodiscard]] constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
[[nodiscard]] constexpr bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

}  // namespace troupe
