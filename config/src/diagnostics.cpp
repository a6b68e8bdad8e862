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
  const std::string what = fmt::format(
      "{}{}{}{}", d.severity == Severity::warning ? "warning: " : "", d.message,
      d.hint.empty() ? "" : "; ", d.hint);
  if (d.where.line == 0)
    return fmt::format("{}: {}", source.name(), what);
  const std::string head = fmt::format("{}:{}:{}: {}", source.name(),
                                       d.where.line, d.where.column, what);
  const std::string_view line = source.line(d.where.line);
  return line.empty() ? head
                      : fmt::format("{}\n{}", head, excerpt(line, d.where));
}

/// "2 more errors".
std::string count_of_more(std::size_t number, std::string_view what) {
  return fmt::format("{} more {}{}", number, what, number == 1 ? "" : "s");
}

}  // namespace

void Diagnostics::add(Span where, std::string message, std::string hint) {
  Diagnostic added{where, std::move(message), std::move(hint)};
  const auto [first, last] =
      std::equal_range(found_.begin(), found_.end(), added, before);
  if (first == last || first->severity != Severity::error)
    keep(first, std::move(added));
}

void Diagnostics::add_behind(Span where, std::string message,
                             const Diagnostics& other) {
  Diagnostic added{where, std::move(message), {}};
  added.before = other.text();
  const auto [first, last] =
      std::equal_range(found_.begin(), found_.end(), added, before);
  if (first == last || first->severity != Severity::error)
    keep(first, std::move(added));
}

void Diagnostics::warn(Span where, std::string message, std::string hint) {
  Diagnostic added{where, std::move(message), std::move(hint),
                   Severity::warning};
  const auto [first, last] =
      std::equal_range(found_.begin(), found_.end(), added, before);
  if (first == last || first->severity != Severity::error)
    keep(last, std::move(added));
}

void Diagnostics::keep(std::vector<Diagnostic>::iterator at, Diagnostic added) {
  if (found_.size() == most_kept)
    ++dropped_[static_cast<std::size_t>(added.severity)];
  else
    found_.insert(at, std::move(added));
}

std::size_t Diagnostics::count(Severity severity) const {
  const auto kept = std::count_if(
      found_.begin(), found_.end(),
      [&](const Diagnostic& d) { return d.severity == severity; });
  return static_cast<std::size_t>(kept) +
         dropped_[static_cast<std::size_t>(severity)];
}

std::string Diagnostics::text() const {
  std::string out;
  std::size_t more_errors = errors();
  std::size_t more_warnings = warnings();
  const std::size_t shown_count = std::min(found_.size(), most_shown);
  for (std::size_t i = 0; i < shown_count; ++i) {
    if (i != 0)
      out += '\n';
    if (!found_[i].before.empty())
      out += found_[i].before + "\n";
    out += describe(*source_, found_[i]);
    --(found_[i].severity == Severity::error ? more_errors : more_warnings);
  }
  std::vector<std::string> more;
  if (more_errors != 0)
    more.push_back(count_of_more(more_errors, "error"));
  if (more_warnings != 0)
    more.push_back(count_of_more(more_warnings, "warning"));
  if (!more.empty())
    out +=
        fmt::format("\n{}: and {}", source_->name(), fmt::join(more, " and "));
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
