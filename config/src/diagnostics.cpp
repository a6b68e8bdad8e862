#include <troupe/base/assert.hpp>
#include <troupe/base/suggest.hpp>
#include <troupe/base/text.hpp>
#include <troupe/config/diagnostics.hpp>

#include <algorithm>
#include <fmt/format.h>

namespace troupe::config {
namespace {

constexpr std::size_t most_kept = 1000;

/// Of a longer line only the part around the error is shown.
constexpr std::size_t most_columns = 120;

bool before(const Diagnostic& a, const Diagnostic& b) {
  return std::pair{a.where.line, a.where.column} <
         std::pair{b.where.line, b.where.column};
}

bool starts_a_character(char c) {
  return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U;
}

/// Tabs become blanks, so that the caret below is under what it points at.
std::string shown(std::string_view line) {
  std::string text{line};
  std::replace(text.begin(), text.end(), '\t', ' ');
  return printable(text);
}

/// The line of `where` and below it a caret, both ended by no line break.
std::string excerpt(std::string_view line, Span where) {
  const std::size_t at = std::min<std::size_t>(where.column - 1, line.size());
  std::size_t first = 0;
  if (at > most_columns - 20)
    first = at - (most_columns / 2);
  while (first > 0 && !starts_a_character(line[first]))
    --first;
  std::size_t last = std::min(line.size(), first + most_columns);
  while (last < line.size() && !starts_a_character(line[last]))
    ++last;
  const std::size_t end =
      std::clamp<std::size_t>(at + where.length, at, std::max(at, last));

  const std::string lead = first == 0 ? "" : "…";
  const std::string tail = last == line.size() ? "" : "…";
  const std::size_t indent =
      display_width(lead) +
      display_width(shown(line.substr(first, at - first)));
  const std::size_t width =
      std::max<std::size_t>(1, display_width(shown(line.substr(at, end - at))));
  return fmt::format("{}{}{}\n{}^{}", lead,
                     shown(line.substr(first, last - first)), tail,
                     std::string(indent, ' '), std::string(width - 1, '~'));
}

std::string describe(const Source& source, const Diagnostic& d) {
  const std::string what =
      d.hint.empty() ? d.message : fmt::format("{}; {}", d.message, d.hint);
  if (d.where.line == 0)
    return fmt::format("{}: {}", source.name(), what);
  const std::string head = fmt::format("{}:{}:{}: {}", source.name(),
                                       d.where.line, d.where.column, what);
  const std::string_view line = source.line(d.where.line);
  return line.empty() ? head
                      : fmt::format("{}\n{}", head, excerpt(line, d.where));
}

}  // namespace

void Diagnostics::add(Span where, std::string message, std::string hint) {
  Diagnostic added{where, std::move(message), std::move(hint)};
  const auto [first, last] =
      std::equal_range(found_.begin(), found_.end(), added, before);
  if (first != last)
    return;
  if (found_.size() == most_kept)
    ++dropped_;
  else
    found_.insert(last, std::move(added));
}

std::string Diagnostics::text() const {
  std::string out;
  const std::size_t shown_count = std::min(found_.size(), most_shown);
  for (std::size_t i = 0; i < shown_count; ++i) {
    if (i != 0)
      out += '\n';
    out += describe(*source_, found_[i]);
  }
  const std::size_t more = found_.size() - shown_count + dropped_;
  if (more != 0)
    out += fmt::format("\n{}: and {} more error{}", source_->name(), more,
                       more == 1 ? "" : "s");
  return out;
}

Error Diagnostics::error() const {
  TROUPE_ASSERT(!empty());
  return {Errc::invalid_argument, text()};
}

std::string did_you_mean(std::string_view word,
                         const std::vector<std::string_view>& known) {
  const auto nearest = suggest(word, known);
  return nearest ? fmt::format("did you mean \"{}\"?", *nearest)
                 : std::string{};
}

}  // namespace troupe::config
