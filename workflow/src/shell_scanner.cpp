#include "shell_scanner.hpp"

#include <troupe/base/shell_words.hpp>
#include <troupe/base/text.hpp>

#include <algorithm>
#include <utility>

namespace troupe::workflow {
namespace {

/// More than any script has; a limit on what one text can make us remember.
constexpr std::size_t most_frames = 64;
constexpr std::size_t most_here_documents = 16;

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool ends_a_word(char c) {
  return is_blank(c) ||
         std::string_view{";&|()<>"}.find(c) != std::string_view::npos;
}

bool is_bare_word(std::string_view text) {
  const auto harmless = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.' ||
           c == '/' || c == ':';
  };
  return !text.empty() && std::all_of(text.begin(), text.end(), harmless) &&
         !is_shell_keyword(text);
}

}  // namespace

bool ShellScanner::within(Frame frame) const {
  return std::find(frames_.begin(), frames_.end(), frame) != frames_.end();
}

bool ShellScanner::top_is(Frame frame) const {
  return !frames_.empty() && frames_.back() == frame;
}

/// In "${x:-'}" there is a quote or not, by the shell.
bool ShellScanner::quotes_are_uncertain() const {
  return within(Frame::parameter) && within(Frame::quote);
}

void ShellScanner::read(std::string_view literal) {
  for (std::size_t i = 0; i < literal.size() && !lost_; ++i) {
    const char c = literal[i];
    if (frames_.size() > most_frames || here_.size() > most_here_documents) {
      lost_ = true;
      return;
    }
    // Shells differ in what they do about a here-document whose line goes on.
    const bool line_goes_on =
        escaped_ || !frames_.empty() || mode_ == Mode::single;
    if (c == '\n' && line_goes_on && !here_.empty())
      lost_ = true;
    // A backquote ends its own kind from within quotes, but not in each shell.
    if (c == '`' && mode_ != Mode::text && within(Frame::backquote))
      lost_ = true;
    switch (mode_) {
      case Mode::here_text:
        read_here_text(c);
        break;
      case Mode::comment:
        if (c == '\n') {
          mode_ = Mode::text;
          --i;  // the line break has a meaning of its own
        }
        break;
      case Mode::single:
        if (c == '\'')
          mode_ = Mode::text;
        break;
      case Mode::ansi:
        // dash ends this at the next quote, bash skips an escaped one.
        if (c == '\\')
          lost_ = true;
        else if (c == '\'')
          mode_ = Mode::text;
        break;
      case Mode::text:
        if (escaped_) {
          escaped_ = false;
          word_start_ = false;
        } else if (top_is(Frame::quote)) {
          i = read_quote(literal, i);
        } else {
          i = read_text(literal, i);
        }
        break;
    }
  }
}

/// One character between double quotes. Answers the index of the last one read.
std::size_t ShellScanner::read_quote(std::string_view literal, std::size_t i) {
  const char c = literal[i];
  dollar_ = false;
  if (c == '\\') {
    escaped_ = true;
  } else if (c == '"') {
    frames_.pop_back();
  } else if (c == '`') {
    // Whether this opens or closes is a matter of nesting and of the shell.
    if (within(Frame::backquote))
      lost_ = true;
    frames_.push_back(Frame::backquote);
  } else if (c == '$') {
    return read_dollar(literal, i);
  }
  return i;
}

/// One character outside quotes. Answers the index of the last one read.
std::size_t ShellScanner::read_text(std::string_view literal, std::size_t i) {
  const char c = literal[i];
  const bool after_dollar = std::exchange(dollar_, false);
  const bool starts_word = std::exchange(word_start_, ends_a_word(c));
  if (ends_a_word(c))
    end_word();
  else
    word_ += word_.size() < 8 ? c : '\0';
  switch (c) {
    case '\\':
      escaped_ = true;
      break;
    case '\'':
      if (quotes_are_uncertain())
        lost_ = true;
      mode_ = after_dollar ? Mode::ansi : Mode::single;
      break;
    case '"':
      if (quotes_are_uncertain())
        lost_ = true;
      frames_.push_back(Frame::quote);
      break;
    case '`':
      if (top_is(Frame::backquote))
        frames_.pop_back();
      else if (within(Frame::backquote))
        lost_ = true;
      else
        frames_.push_back(Frame::backquote);
      break;
    case '$':
      return read_dollar(literal, i);
    case '(':
      if (i + 1 < literal.size() && literal[i + 1] == '(') {
        frames_.insert(frames_.end(), {Frame::arithmetic, Frame::arithmetic});
        return i + 1;
      }
      frames_.push_back(top_is(Frame::arithmetic) ? Frame::arithmetic
                                                  : Frame::parenthesis);
      break;
    case ')':
      close_parenthesis();
      break;
    case '}':
      if (top_is(Frame::parameter))
        frames_.pop_back();
      break;
    case '#':
      if (starts_word && !within(Frame::parameter) &&
          !within(Frame::arithmetic))
        mode_ = Mode::comment;
      break;
    case '<':
      if (i + 1 < literal.size() && literal[i + 1] == '<' &&
          !within(Frame::arithmetic))
        return read_here_start(literal, i + 2);
      break;
    case '\n':
      if (!here_.empty())
        mode_ = Mode::here_text;
      break;
    case '[':
      // Alone it is the name of a command.
      subscript_ =
          !starts_word || i + 1 >= literal.size() || !is_blank(literal[i + 1]);
      break;
    case ']':
      subscript_ = false;
      break;
    default:
      break;
  }
  return i;
}

/// A $ at `i`, inside or outside double quotes.
std::size_t ShellScanner::read_dollar(std::string_view literal, std::size_t i) {
  const std::string_view rest = literal.substr(i + 1);
  if (rest.starts_with("((")) {
    frames_.insert(frames_.end(), {Frame::arithmetic, Frame::arithmetic});
    word_start_ = false;
    return i + 2;
  }
  if (rest.starts_with('(')) {
    frames_.push_back(Frame::parenthesis);
    word_start_ = true;
    word_.clear();
    return i + 1;
  }
  if (rest.starts_with('{')) {
    frames_.push_back(Frame::parameter);
    return i + 1;
  }
  if (rest.starts_with('['))
    lost_ = true;  // arithmetic of old in bash, plain text elsewhere
  dollar_ = true;
  word_start_ = false;
  return i;
}

/// The word after <<, from `i`. Answers the index of its last character.
std::size_t ShellScanner::read_here_start(std::string_view literal,
                                          std::size_t i) {
  if (i < literal.size() && literal[i] == '<')
    return i;  // bash's <<< takes a word like any other
  Here here;
  if (i < literal.size() && literal[i] == '-') {
    here.strip_tabs = true;
    ++i;
  }
  while (i < literal.size() && (literal[i] == ' ' || literal[i] == '\t'))
    ++i;
  while (i < literal.size() && !ends_a_word(literal[i])) {
    const char c = literal[i++];
    if (c == '$' || c == '`')
      lost_ = true;
    if (c != '\'' && c != '"' && c != '\\')
      here.end += c;
  }
  // A value could be part of the word if the literal ends with it.
  if (here.end.empty() || i == literal.size() || !frames_.empty())
    lost_ = true;
  here_.push_back(std::move(here));
  return i - 1;
}

void ShellScanner::read_here_text(char c) {
  if (c != '\n') {
    here_line_ += c;
    return;
  }
  std::string_view line = here_line_;
  while (here_.front().strip_tabs && line.starts_with('\t'))
    line.remove_prefix(1);
  if (line == here_.front().end)
    here_.pop_front();
  here_line_.clear();
  if (here_.empty()) {
    mode_ = Mode::text;
    word_start_ = true;
  }
}

void ShellScanner::close_parenthesis() {
  if (top_is(Frame::parenthesis) || top_is(Frame::arithmetic))
    frames_.pop_back();
  else if (!frames_.empty())
    lost_ = true;
  // With nothing open it belongs to a pattern of `case`.
}

void ShellScanner::end_word() {
  // The patterns of `case` close parentheses that nobody opened.
  if (word_ == "case" && !frames_.empty())
    lost_ = true;
  if (word_ == "[[")
    test_ = true;
  else if (word_ == "]]")
    test_ = false;
  subscript_ = false;
  word_.clear();
}

tl::expected<Insertion, std::string> ShellScanner::insertion() {
  const bool after_sign =
      std::exchange(escaped_, false) || std::exchange(dollar_, false);
  const bool quoted = top_is(Frame::quote);
  const auto refuse = [](const char* why) {
    return tl::unexpected<std::string>{why};
  };
  word_start_ = false;
  word_ += '\0';  // whatever the value is, the word is none we look for
  if (lost_)
    return refuse("after shell text of which the quoting is not certain");
  switch (mode_) {
    case Mode::here_text:
      return refuse("in a here-document");
    case Mode::comment:
      return Insertion::comment;
    case Mode::ansi:
      return refuse("in a $'...' text");
    case Mode::single:
    case Mode::text:
      break;
  }
  if (!here_.empty())
    return refuse("on the line of a here-document");
  if (within(Frame::backquote))
    return refuse("between backquotes");
  if (within(Frame::parameter))
    return refuse("in a ${...} of the shell");
  if (within(Frame::arithmetic))
    return refuse("in shell arithmetic");
  if (test_)
    return refuse("in [[ ]], which may evaluate it; [ ] does not");
  if (subscript_)
    return refuse("after a [ that may begin a subscript");
  if (mode_ == Mode::single)
    return Insertion::single_quoted;
  if (after_sign)
    return refuse("right after a backslash or a dollar sign");
  return quoted ? Insertion::double_quoted : Insertion::bare;
}

std::string quote_for(Insertion insertion, std::string_view value) {
  std::string out;
  switch (insertion) {
    case Insertion::verbatim:
      return std::string{value};
    case Insertion::bare:
      if (is_bare_word(value))
        return std::string{value};
      return "'" + quote_for(Insertion::single_quoted, value) + "'";
    case Insertion::double_quoted:
      for (const char c : value) {
        if (c == '$' || c == '`' || c == '\\' || c == '"')
          out += '\\';
        out += c;
      }
      return out;
    case Insertion::single_quoted:
      for (const char c : value) {
        if (c == '\'')
          out += "'\\''";
        else
          out += c;
      }
      return out;
    case Insertion::comment:
      return printable(value);
  }
  return out;
}

}  // namespace troupe::workflow
