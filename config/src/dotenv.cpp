#include <troupe/config/dotenv.hpp>

#include <algorithm>
#include <optional>
#include <string_view>

namespace troupe::config {
namespace {

constexpr std::string_view blanks = " \t\r";

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos)
    return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

bool is_name(std::string_view text) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !text.empty() && letter(text[0]) &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return letter(c) || (c >= '0' && c <= '9');
         });
}

/// Whether nothing but a comment follows.
bool is_rest_empty(std::string_view rest) {
  rest = trimmed(rest);
  return rest.empty() || rest[0] == '#';
}

std::optional<std::string> unquoted(std::string_view text) {
  const char quote = text[0];
  std::string out;
  for (std::size_t i = 1; i < text.size(); ++i) {
    const char c = text[i];
    if (c == quote) {
      if (!is_rest_empty(text.substr(i + 1)))
        return std::nullopt;
      return out;
    }
    if (quote == '"' && c == '\\' && i + 1 < text.size()) {
      const char next = text[++i];
      if (next == 'n')
        out += '\n';
      else if (next == 't')
        out += '\t';
      else if (next == 'r')
        out += '\r';
      else if (next == '\\' || next == '"' || next == '$')
        out += next;
      else
        (out += '\\') += next;
      continue;
    }
    out += c;
  }
  return std::nullopt;
}

std::optional<std::string> value_of(std::string_view text) {
  text = trimmed(text);
  if (!text.empty() && (text[0] == '\'' || text[0] == '"'))
    return unquoted(text);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '#' &&
        (i == 0 || blanks.find(text[i - 1]) != std::string_view::npos))
      return std::string{trimmed(text.substr(0, i))};
  }
  return std::string{text};
}

}  // namespace

std::vector<std::pair<std::string, std::string>> parse_dotenv(
    const Source& source, Diagnostics& diagnostics) {
  std::vector<std::pair<std::string, std::string>> out;
  std::string_view rest = source.text();
  if (rest.find('\0') != std::string_view::npos) {
    diagnostics.add({}, "not a file of variables: it has NUL characters");
    return out;
  }
  for (std::uint32_t number = 1; !rest.empty(); ++number) {
    const std::size_t end = rest.find('\n');
    std::string_view line = trimmed(rest.substr(0, end));
    rest = end == std::string_view::npos ? std::string_view{}
                                         : rest.substr(end + 1);
    if (line.empty() || line[0] == '#')
      continue;
    if (line.starts_with("export ") || line.starts_with("export\t"))
      line = trimmed(line.substr(7));
    const Span where{number, 1,
                     static_cast<std::uint32_t>(source.line(number).size())};
    const std::size_t equals = line.find('=');
    const std::string_view name = trimmed(line.substr(0, equals));
    if (equals == std::string_view::npos || !is_name(name)) {
      diagnostics.add(where, "expected NAME=value");
      continue;
    }
    auto value = value_of(line.substr(equals + 1));
    if (!value) {
      diagnostics.add(where, "a quote without its end, or text behind it");
      continue;
    }
    std::erase_if(out, [&](const auto& known) { return known.first == name; });
    out.emplace_back(std::string{name}, std::move(*value));
  }
  return out;
}

}  // namespace troupe::config
