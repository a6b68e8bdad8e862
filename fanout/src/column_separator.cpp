#include <troupe/base/text.hpp>
#include <troupe/fanout/column_separator.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <optional>

namespace troupe::fanout {
namespace {

using Bytes = std::bitset<256>;

std::size_t index_of(char c) { return static_cast<unsigned char>(c); }

void add_range(Bytes& bytes, char first, char last) {
  for (std::size_t i = index_of(first); i <= index_of(last); ++i)
    bytes.set(i);
}

std::string_view trimmed_column(std::string_view text) {
  while (!text.empty() && is_space(text.front()))
    text.remove_prefix(1);
  while (!text.empty() && is_space(text.back()))
    text.remove_suffix(1);
  return text;
}

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9');
}

}  // namespace

class ColumnSeparator::Parser {
 public:
  explicit Parser(std::string_view pattern)
      : pattern_{pattern}, rest_{pattern} {}

  Result<ColumnSeparator> parse() {
    ColumnSeparator separator;
    do {
      Sequence sequence;
      while (!rest_.empty() && rest_.front() != '|') {
        auto atom = take_atom();
        if (!atom)
          return refuse();
        take_quantifier(*atom);
        sequence.push_back(*atom);
      }
      const auto is_optional = [](const Atom& atom) { return atom.optional; };
      if (std::all_of(sequence.begin(), sequence.end(), is_optional)) {
        why_ = "part of it matches nothing; write \\| for a bar";
        return refuse();
      }
      separator.alternatives_.push_back(std::move(sequence));
    } while (take('|'));
    return separator;
  }

 private:
  tl::unexpected<Error> refuse() const {
    return failure(
        Errc::invalid_argument,
        fmt::format("expected a column separator such as , or \\t or ' +', got "
                    "\"{}\": {}",
                    printable(pattern_), why_));
  }

  bool take(char c) {
    if (rest_.empty() || rest_.front() != c)
      return false;
    rest_.remove_prefix(1);
    return true;
  }

  std::optional<Atom> take_atom() {
    const char c = rest_.front();
    rest_.remove_prefix(1);
    Atom atom;
    if (c == '\\') {
      const auto bytes = take_escape();
      if (!bytes)
        return std::nullopt;
      atom.bytes = *bytes;
    } else if (c == '[') {
      const auto bytes = take_set();
      if (!bytes)
        return std::nullopt;
      atom.bytes = *bytes;
    } else if (std::string_view{".^$(){}*+?"}.find(c) !=
               std::string_view::npos) {
      why_ = fmt::format("for the character {0} write \\{0}", c);
      return std::nullopt;
    } else {
      atom.bytes.set(index_of(c));
    }
    return atom;
  }

  void take_quantifier(Atom& atom) {
    if (take('+')) {
      atom.repeated = true;
    } else if (take('*')) {
      atom.repeated = true;
      atom.optional = true;
    } else if (take('?')) {
      atom.optional = true;
    }
  }

  /// What a backslash and the front of `rest_` stand for.
  std::optional<Bytes> take_escape() {
    Bytes bytes;
    if (rest_.empty()) {
      why_ = "it ends in a backslash";
      return std::nullopt;
    }
    const char c = rest_.front();
    rest_.remove_prefix(1);
    switch (c) {
      case 't':
        bytes.set('\t');
        return bytes;
      case 'n':
        bytes.set('\n');
        return bytes;
      case 'r':
        bytes.set('\r');
        return bytes;
      case 's':
        bytes.set(' ');
        add_range(bytes, '\t', '\r');
        return bytes;
      case 'w':
        add_range(bytes, 'a', 'z');
        add_range(bytes, 'A', 'Z');
        add_range(bytes, '0', '9');
        bytes.set('_');
        return bytes;
      case 'd':
        add_range(bytes, '0', '9');
        return bytes;
      default:
        break;
    }
    if (is_letter_or_digit(c)) {
      why_ = fmt::format("\\{} is not known here", c);
      return std::nullopt;
    }
    bytes.set(index_of(c));
    return bytes;
  }

  /// The rest of `[…]`.
  std::optional<Bytes> take_set() {
    Bytes bytes;
    const bool negated = take('^');
    bool first = true;
    while (!rest_.empty() && (first || rest_.front() != ']')) {
      first = false;
      const char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '\\') {
        const auto escaped = take_escape();
        if (!escaped)
          return std::nullopt;
        bytes |= *escaped;
      } else if (rest_.size() > 1 && rest_[0] == '-' && rest_[1] != ']') {
        add_range(bytes, c, rest_[1]);
        rest_.remove_prefix(2);
      } else {
        bytes.set(index_of(c));
      }
    }
    if (!take(']')) {
      why_ = "it lacks a closing ]";
      return std::nullopt;
    }
    return negated ? ~bytes : bytes;
  }

  std::string_view pattern_;
  std::string_view rest_;
  std::string why_;
};

Result<ColumnSeparator> ColumnSeparator::parse(std::string_view pattern) {
  return Parser{pattern}.parse();
}

std::size_t ColumnSeparator::match(std::string_view text) const {
  for (const Sequence& sequence : alternatives_) {
    std::size_t length = 0;
    bool matches = true;
    for (const Atom& atom : sequence) {
      const std::size_t start = length;
      while (length < text.size() && atom.bytes[index_of(text[length])] &&
             (atom.repeated || length == start))
        ++length;
      if (length == start && !atom.optional) {
        matches = false;
        break;
      }
    }
    if (matches)
      return length;
  }
  return 0;
}

void ColumnSeparator::split(std::string_view record,
                            std::vector<std::string>& columns) const {
  std::size_t start = 0;
  std::size_t at = 0;
  while (at < record.size()) {
    const std::size_t length = match(record.substr(at));
    if (length == 0) {
      ++at;
      continue;
    }
    columns.emplace_back(trimmed_column(record.substr(start, at - start)));
    at += length;
    start = at;
  }
  columns.emplace_back(trimmed_column(record.substr(start)));
}

}  // namespace troupe::fanout
