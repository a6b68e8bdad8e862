#pragma once

#include <troupe/workflow/template.hpp>

#include <tl/expected.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::workflow {

/// Follows the quoting of a shell text, to know how a value can be put in at
/// each place so that it stays data. It understands what POSIX shells, bash and
/// zsh read alike; after anything else it is `lost` and refuses every value.
class ShellScanner {
 public:
  /// Reads the text up to the next value.
  void read(std::string_view literal);

  /// How to put a value in here, or a phrase that says why it cannot be, such
  /// as "in a here-document". The value counts as read then.
  [[nodiscard]] tl::expected<Insertion, std::string> insertion();

 private:
  /// What is open, outermost first. Nothing open is plain shell text.
  enum class Frame : std::uint8_t {
    parenthesis,  ///< ( or $(
    arithmetic,   ///< (( or $((
    parameter,    ///< ${
    backquote,    ///< `
    quote,        ///< "
  };
  enum class Mode : std::uint8_t {
    text,
    single,     ///< '
    ansi,       ///< $'
    comment,    ///< #
    here_text,  ///< The lines of a here-document.
  };
  struct Here {
    std::string end;
    bool strip_tabs = false;
  };

  [[nodiscard]] bool within(Frame frame) const;
  [[nodiscard]] bool top_is(Frame frame) const;
  [[nodiscard]] bool quotes_are_uncertain() const;
  std::size_t read_text(std::string_view literal, std::size_t i);
  std::size_t read_quote(std::string_view literal, std::size_t i);
  std::size_t read_dollar(std::string_view literal, std::size_t i);
  std::size_t read_here_start(std::string_view literal, std::size_t i);
  void read_here_text(char c);
  void close_parenthesis();
  void end_word();

  Mode mode_ = Mode::text;
  std::vector<Frame> frames_;
  std::deque<Here> here_;  ///< Announced on this line or being read.
  std::string here_line_;
  std::string word_;        ///< Letters read since the last blank or sign.
  bool word_start_ = true;  ///< A # here starts a comment.
  bool escaped_ = false;    ///< A backslash came last.
  bool dollar_ = false;     ///< A $ came last.
  bool test_ = false;       ///< Between [[ and ]].
  bool subscript_ = false;  ///< Behind a [ in this word.
  bool lost_ = false;
};

/// `value` for the place that `insertion` describes.
[[nodiscard]] std::string quote_for(Insertion insertion,
                                    std::string_view value);

}  // namespace troupe::workflow
