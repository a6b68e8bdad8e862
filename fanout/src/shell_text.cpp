#include "compiled_template.hpp"

#include <troupe/base/text.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace troupe::fanout {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t'; }
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_one_of(char c, std::string_view set) {
  return set.find(c) != std::string_view::npos;
}

/// Follows the quoting of shell text by the rules that all POSIX shells share,
/// and stops with an error at everything on which they differ or that would
/// take a whole shell to follow. So it never believes to be outside quotes
/// where the shell is inside, which is what keeps values from becoming code.
class ShellTextScanner {
 public:
  explicit ShellTextScanner(std::string_view text) : text_{text} {}

  Result<std::vector<Stretch>> scan(IfNone if_none) {
    while (at_ < text_.size() && !error_) {
      if (in_double_quotes())
        scan_double_quoted();
      else
        scan_bare();
    }
    end_run();
    if (!error_ && !open_.empty())
      refuse(fmt::format("the command lacks a closing {}", closing()));
    if (!error_ && !has_replacement_ && if_none == IfNone::append)
      append_default();
    if (error_)
      return tl::unexpected(std::move(*error_));
    return std::move(stretches_);
  }

 private:
  enum class Open : std::uint8_t {
    parenthesis,
    substitution,
    arithmetic,
    double_quotes
  };

  [[nodiscard]] bool in_double_quotes() const {
    return !open_.empty() && open_.back() == Open::double_quotes;
  }

  [[nodiscard]] bool is_open(Open what) const {
    return std::find(open_.begin(), open_.end(), what) != open_.end();
  }

  [[nodiscard]] std::string_view closing() const {
    return open_.back() == Open::double_quotes ? "\"" : ")";
  }

  [[nodiscard]] char next(std::size_t distance = 1) const {
    return at_ + distance < text_.size() ? text_[at_ + distance] : '\0';
  }

  void refuse(std::string what) {
    if (!error_)
      error_ = Error{Errc::invalid_argument, std::move(what)};
  }

  /// Takes `count` bytes as they are. Ends a run of plain characters.
  void take(std::size_t count) {
    end_run();
    add_verbatim(text_.substr(at_, count));
    at_ += count;
  }

  void add_verbatim(std::string_view bytes) {
    if (bytes.empty())
      return;
    if (stretches_.empty() ||
        stretches_.back().context != Stretch::Context::verbatim)
      stretches_.push_back({.pieces = {Piece{}}});
    stretches_.back().pieces.front().text += bytes;
  }

  void take_plain() {
    if (run_.empty())
      run_start_ = at_;
    if (run_.empty() || run_.back().replacement)
      run_.push_back({});
    run_.back().text += text_[at_++];
  }

  /// A run becomes a stretch of its own if there is something to insert.
  void end_run() {
    if (run_.empty())
      return;
    Stretch stretch{.context = Stretch::Context::bare,
                    .pieces = std::exchange(run_, {})};
    if (!stretch.has_replacement()) {
      add_verbatim(stretch.pieces.front().text);
      return;
    }
    const bool starts_word = run_start_ == 0 ||
                             is_blank(text_[run_start_ - 1]) ||
                             text_[run_start_ - 1] == '\n';
    // Not before < and >: a lone digit there is a file descriptor.
    const bool ends_word =
        at_ == text_.size() || is_one_of(text_[at_], " \t\n;|&)");
    stretch.alone = stretch.pieces.size() == 1 && starts_word && ends_word;
    stretches_.push_back(std::move(stretch));
  }

  /// Takes the replacement string at this place, if there is one.
  bool take_replacement(Stretch::Context context) {
    const auto match = checked_replacement(text_.substr(at_));
    if (!match) {
      refuse(match.error().what);
      return true;
    }
    if (!*match)
      return false;
    const std::string_view name = text_.substr(at_, (*match)->length);
    if (is_open(Open::arithmetic)) {
      refuse(
          fmt::format("{} inside (( )): a shell would evaluate the argument "
                      "as an expression; have it checked to be a number, "
                      "in a script",
                      name));
      return true;
    }
    if (in_test_) {
      refuse(
          fmt::format("{} inside [[ ]]: some of its operators evaluate the "
                      "argument as an expression; write [ ] instead",
                      name));
      return true;
    }
    if (in_subscript_) {
      refuse(
          fmt::format("{} after an open [: a shell would evaluate the argument "
                      "as a subscript; write \\[ if that is plain text",
                      name));
      return true;
    }
    has_replacement_ = true;
    if (context == Stretch::Context::bare) {
      if (run_.empty())
        run_start_ = at_;
      run_.push_back({.replacement = (*match)->replacement});
    } else {
      stretches_.push_back(
          {.context = context,
           .pieces = {Piece{.replacement = (*match)->replacement}},
           .after_name = name_end_ == at_});
    }
    at_ += (*match)->length;
    return true;
  }

  void scan_bare() {
    const char c = text_[at_];
    const bool starts_word = std::exchange(starts_word_, false);
    if (starts_word)
      begin_word();
    const bool ends_command = ends_command_;
    if (!is_blank(c))
      ends_command_ = false;
    switch (c) {
      case ' ':
      case '\t':
        take(1);
        starts_word_ = true;
        return;
      case '\n':
      case ';':
      case '&':
      case '|':
        take(1);
        starts_word_ = ends_command_ = true;
        return;
      case '<':
      case '>':
        if (c == '<' && next() == '<')
          return refuse(
              "here-documents (<<) cannot be in a command: put it "
              "into a script");
        take(1);
        starts_word_ = ends_command_ = true;
        return;
      case '(':
        open_parenthesis();
        return;
      case ')':
        close_parenthesis();
        return;
      case '\\':
        take_escaped();
        if (was_continuation_) {
          starts_word_ = starts_word;
          ends_command_ = ends_command;
        }
        return;
      case '\'':
        scan_single_quoted();
        return;
      case '"':
        take(1);
        open_.push_back(Open::double_quotes);
        return;
      case '`':
        scan_backticks();
        return;
      case '$':
        scan_dollar();
        return;
      case '#':
        if (starts_word)
          return scan_comment();
        break;
      case 'c':
        if (starts_word && text_.substr(at_, 4) == "case" &&
            (is_open(Open::substitution) || is_open(Open::arithmetic)))
          return refuse(
              "\"case\" inside $( ) cannot be in a command: put it "
              "into a script");
        break;
      case '[':
        // Alone it is the name of a command.
        in_subscript_ = !starts_word || !is_blank(next());
        break;
      case ']':
        in_subscript_ = false;
        break;
      case '{':
        if (take_replacement(Stretch::Context::bare))
          return;
        break;
      default:
        break;
    }
    take_plain();
  }

  void begin_word() {
    in_subscript_ = false;
    const std::string_view rest = text_.substr(at_);
    if (rest.starts_with("[[") && (rest.size() == 2 || is_blank(rest[2])))
      in_test_ = true;
    else if (rest.starts_with("]]"))
      in_test_ = false;
  }

  void scan_double_quoted() {
    switch (text_[at_]) {
      case '"':
        take(1);
        open_.pop_back();
        return;
      case '\\':
        take_escaped();
        return;
      case '`':
        scan_backticks();
        return;
      case '$':
        scan_dollar();
        return;
      case '{':
        if (take_replacement(Stretch::Context::in_double_quotes))
          return;
        break;
      default:
        break;
    }
    take(1);
  }

  void scan_single_quoted() {
    take(1);
    while (at_ < text_.size() && text_[at_] != '\'' && !error_) {
      if (!take_replacement(Stretch::Context::in_single_quotes))
        take(1);
    }
    if (at_ == text_.size())
      return refuse("the command lacks a closing '");
    take(1);
  }

  void take_escaped() {
    was_continuation_ = next() == '\n';
    if (at_ + 1 == text_.size())
      return refuse("the command ends in a backslash");
    // A shell joins the two lines before it looks for $( and the like.
    if (was_continuation_ && at_ > 0 && !is_blank(text_[at_ - 1]))
      return refuse("write a space before the backslash at the end of a line");
    take(2);
  }

  void open_parenthesis() {
    // Some shells take (( for arithmetic, others for two subshells. The two
    // closing ones end it either way.
    if (next() == '(') {
      take(2);
      open_.push_back(Open::arithmetic);
    } else {
      take(1);
    }
    open_.push_back(Open::parenthesis);
    starts_word_ = ends_command_ = true;
  }

  void close_parenthesis() {
    take(1);
    // One too many belongs to a pattern of `case`, or is the shell's to refuse.
    const bool of_dollar = !open_.empty() && open_.back() != Open::parenthesis;
    if (!open_.empty())
      open_.pop_back();
    starts_word_ = ends_command_ = !of_dollar;
  }

  void scan_dollar() {
    const char c = next();
    if (c == '(') {
      const bool arithmetic = next(2) == '(';
      take(arithmetic ? 3 : 2);
      open_.push_back(arithmetic ? Open::arithmetic : Open::substitution);
      if (arithmetic)
        open_.push_back(Open::parenthesis);
      starts_word_ = ends_command_ = true;
    } else if (c == '{') {
      scan_parameter();
    } else if (c == '[' || (!in_double_quotes() && is_one_of(c, "'\"") &&
                            at_ + 1 < text_.size())) {
      refuse(
          fmt::format("${} means different things in different shells and "
                      "cannot be in a command",
                      c));
    } else if (is_letter(c)) {
      std::size_t length = 2;
      while (is_letter(next(length)) || is_digit(next(length)))
        ++length;
      take(length);
      name_end_ = at_;
    } else if (is_digit(c)) {
      take(2);
      name_end_ = at_;
    } else if (c != '\0' && is_one_of(c, "$!?#@*-")) {
      take(2);
    } else {
      take(1);
    }
  }

  /// `${name}` and, as long as nothing in it is quoted or nested, `${name…}`.
  void scan_parameter() {
    const auto end = text_.find('}', at_);
    const std::string_view whole =
        text_.substr(at_, end == std::string_view::npos ? end : end + 1 - at_);
    const std::string_view inside = whole.substr(2);
    if (end == std::string_view::npos)
      return refuse("the command lacks a closing }");
    if (!is_letter(inside.front()) && !is_digit(inside.front()) &&
        !is_one_of(inside.front(), "$!?#@*-"))
      return refuse(
          fmt::format("{} is not a shell variable; to have a dollar "
                      "sign before an argument, write '$'{}",
                      whole, whole.substr(1)));
    if (inside.find_first_of("'\"\\`${") != std::string_view::npos)
      return refuse(
          fmt::format("{} is too complicated to be in a command: put "
                      "it into a script",
                      whole));
    take(whole.size());
  }

  void scan_backticks() {
    std::size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != '`') {
      if (match_replacement(text_.substr(end)))
        return refuse(
            "an argument inside backticks cannot be quoted safely: "
            "write $( ) instead");
      end += text_[end] == '\\' ? 2U : 1U;
    }
    if (end >= text_.size())
      return refuse("the command lacks a closing `");
    take(end + 1 - at_);
  }

  void scan_comment() {
    std::size_t end = at_;
    while (end < text_.size() && text_[end] != '\n') {
      if (match_replacement(text_.substr(end)))
        return refuse(
            "an argument inside a comment could end it: remove the "
            "comment, or quote the #");
      ++end;
    }
    take(end - at_);
    ends_command_ = true;
  }

  void append_default() {
    if (ends_command_)
      return refuse(
          fmt::format("the command has no {{}} and ends in \"{}\", "
                      "so there is no place to append it: write {{}} "
                      "where the argument belongs",
                      printable(text_.substr(text_.size() - 1))));
    add_verbatim(" ");
    stretches_.push_back({.context = Stretch::Context::bare,
                          .pieces = {Piece{.replacement = Replacement{}}},
                          .alone = true});
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::optional<Error> error_;
  std::vector<Stretch> stretches_;
  std::vector<Open> open_;

  /// Plain characters and replacements of one unquoted stretch so far.
  std::vector<Piece> run_;
  std::size_t run_start_ = 0;

  bool has_replacement_ = false;
  bool in_test_ = false;           ///< Between [[ and ]].
  bool in_subscript_ = false;      ///< Behind a [ in this word.
  bool starts_word_ = true;        ///< `#` would start a comment here.
  bool ends_command_ = false;      ///< A word appended here is not an argument.
  bool was_continuation_ = false;  ///< The last escaped byte was a newline.
  std::size_t name_end_ = std::string_view::npos;  ///< End of a `$name`.
};

}  // namespace

Result<std::vector<Stretch>> compile_shell_text(std::string_view text,
                                                IfNone if_none) {
  return ShellTextScanner{text}.scan(if_none);
}

}  // namespace troupe::fanout
