#include <troupe/base/text.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <fmt/format.h>

namespace troupe {
namespace {

bool is_harmless(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') ||
         std::string_view{"_-./,:=@%+"}.find(c) != std::string_view::npos;
}

struct CodePoint {
  std::uint32_t value = 0;
  std::size_t length = 0;  ///< Bytes; zero if the text is not UTF-8 here.
};

/// Reads one code point off the front of a text that is not empty.
CodePoint decode(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(text[i]));
  };
  const std::uint32_t first = byte(0);
  if (first < 0x80)
    return {first, 1};
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length)
    return {};
  std::uint32_t value = first & (0x7fU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80)
      return {};
    value = (value << 6) | (byte(i) & 0x3f);
  }
  constexpr std::array<std::uint32_t, 5> smallest{0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = value >= 0xd800 && value <= 0xdfff;
  if (value < smallest[length] || value > 0x10ffff || surrogate)
    return {};
  return {value, length};
}

std::size_t width_of(std::uint32_t c) {
  const auto in = [c](std::uint32_t first, std::uint32_t last) {
    return c >= first && c <= last;
  };
  if (in(0x300, 0x36f) || in(0x1ab0, 0x1aff) || in(0x20d0, 0x20ff) ||
      in(0xfe00, 0xfe0f) || c == 0x200d || c == 0x200b)
    return 0;
  if (in(0x1100, 0x115f) || in(0x2e80, 0xa4cf) || in(0xac00, 0xd7a3) ||
      in(0xf900, 0xfaff) || in(0xfe30, 0xfe6f) || in(0xff00, 0xff60) ||
      in(0xffe0, 0xffe6) || in(0x1f300, 0x1f64f) || in(0x1f900, 0x1f9ff) ||
      in(0x20000, 0x3fffd))
    return 2;
  return 1;
}

}  // namespace

std::string shell_quote(std::string_view text) {
  if (!text.empty() && std::all_of(text.begin(), text.end(), is_harmless))
    return std::string{text};
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'')
      out += "'\\''";
    else
      out += c;
  }
  out += '\'';
  return out;
}

std::string shell_join(std::span<const std::string> words) {
  std::string out;
  for (const std::string& word : words) {
    if (!out.empty())
      out += ' ';
    out += shell_quote(word);
  }
  return out;
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const CodePoint c = decode(text);
    const bool control = c.value < 0x20 || (c.value >= 0x7f && c.value < 0xa0);
    if (c.length != 0 && !control) {
      out += text.substr(0, c.length);
    } else if (text[0] == '\n') {
      out += "\\n";
    } else if (text[0] == '\t') {
      out += "\\t";
    } else if (text[0] == '\r') {
      out += "\\r";
    } else {
      for (std::size_t i = 0; i < std::max<std::size_t>(1, c.length); ++i)
        out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[i]));
    }
    text.remove_prefix(std::max<std::size_t>(1, c.length));
  }
  return out;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const CodePoint c = decode(text);
    if (c.length == 0)
      return false;
    text.remove_prefix(c.length);
  }
  return true;
}

std::string to_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const CodePoint c = decode(text);
    if (c.length == 0)
      out += "\xef\xbf\xbd";
    else
      out += text.substr(0, c.length);
    text.remove_prefix(std::max<std::size_t>(1, c.length));
  }
  return out;
}

std::size_t display_width(std::string_view text) {
  std::size_t columns = 0;
  while (!text.empty()) {
    const CodePoint c = decode(text);
    columns += c.length == 0 ? 1 : width_of(c.value);
    text.remove_prefix(std::max<std::size_t>(1, c.length));
  }
  return columns;
}

std::string ellipsize(std::string_view text, std::size_t columns) {
  if (display_width(text) <= columns)
    return std::string{text};
  if (columns == 0)
    return {};
  std::size_t used = 0;
  std::size_t bytes = 0;
  while (bytes < text.size()) {
    const CodePoint c = decode(text.substr(bytes));
    const std::size_t width = c.length == 0 ? 1 : width_of(c.value);
    if (used + width > columns - 1)
      break;
    used += width;
    bytes += std::max<std::size_t>(1, c.length);
  }
  return std::string{text.substr(0, bytes)} + "…";
}

std::string in_quotes(std::string_view text) {
  constexpr std::size_t shown_columns = 60;
  return fmt::format("\"{}\"", ellipsize(printable(text), shown_columns));
}

std::string counted(std::uint64_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::string listed(std::span<const std::string> names, std::size_t most) {
  const std::size_t shown = std::min(names.size(), most);
  std::string text = fmt::format("{}", fmt::join(names.first(shown), ", "));
  if (names.size() > shown)
    text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

}  // namespace troupe
