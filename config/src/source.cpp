#include <troupe/config/source.hpp>

#include <algorithm>

namespace troupe::config {

Source::Source(std::string name, std::string text)
    : name_{std::move(name)}, text_{std::move(text)}, line_starts_{0} {
  constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
  if (text_.starts_with(byte_order_mark))
    text_.erase(0, byte_order_mark.size());
  for (std::size_t i = 0; i < text_.size(); ++i) {
    if (text_[i] == '\n')
      line_starts_.push_back(i + 1);
  }
}

std::string_view Source::line(std::uint32_t number) const {
  if (number == 0 || number > line_starts_.size())
    return {};
  const std::size_t start = line_starts_[number - 1];
  const std::size_t end =
      number < line_starts_.size() ? line_starts_[number] - 1 : text_.size();
  std::string_view line = text().substr(start, end - start);
  if (line.ends_with('\r'))
    line.remove_suffix(1);
  return line;
}

std::string_view Source::from(Span at) const {
  if (at.line == 0 || at.line > line_starts_.size() || at.column == 0)
    return {};
  const std::size_t start = line_starts_[at.line - 1] + at.column - 1;
  return start < text_.size() ? text().substr(start) : std::string_view{};
}

Span Source::advance(Span at, std::size_t offset) const {
  if (at.line == 0 || at.line > line_starts_.size())
    return at;
  const std::size_t target =
      line_starts_[at.line - 1] + (at.column - 1) + offset;
  const auto next =
      std::upper_bound(line_starts_.begin(), line_starts_.end(), target);
  const auto line = static_cast<std::uint32_t>(next - line_starts_.begin());
  return {line, static_cast<std::uint32_t>(target - line_starts_[line - 1]) + 1,
          1};
}

}  // namespace troupe::config
