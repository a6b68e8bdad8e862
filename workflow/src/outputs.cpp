#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/workflow/outputs.hpp>
#include <troupe/workflow/value.hpp>

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <map>
#include <optional>
#include <system_error>

namespace troupe::workflow {
namespace {

bool is_name(std::string_view text) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !text.empty() && letter(text[0]) &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return letter(c) || (c >= '0' && c <= '9') || c == '-';
         });
}

/// Hands out lines and counts them.
class Lines {
 public:
  explicit Lines(std::string_view text) : rest_{text} {}

  std::optional<std::string_view> next() {
    if (rest_.empty())
      return std::nullopt;
    ++number_;
    const std::size_t end = rest_.find('\n');
    const std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
    return line;
  }

  [[nodiscard]] std::size_t number() const { return number_; }

 private:
  std::string_view rest_;
  std::size_t number_ = 0;
};

void put_output(Outputs& outputs, std::string_view name, std::string value) {
  const auto known =
      std::find_if(outputs.begin(), outputs.end(),
                   [&](const auto& output) { return output.first == name; });
  if (known != outputs.end())
    known->second = std::move(value);
  else
    outputs.emplace_back(name, std::move(value));
}

std::string_view without_line_break(std::string_view text) {
  if (text.ends_with('\n'))
    text.remove_suffix(1);
  if (text.ends_with('\r'))
    text.remove_suffix(1);
  return text;
}

/// As it would be written, up to part `count`.
std::string spelled(const JsonPath& path, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) {
    if (const auto* const name = std::get_if<std::string>(&path[i]))
      out += "." + *name;
    else
      out += fmt::format("{}[{}]", out.empty() ? "." : "",
                         std::get<std::size_t>(path[i]));
  }
  return out;
}

Result<const Value*> at_path(const Value& whole, const JsonPath& path) {
  const Value* at = &whole;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const Value* next = nullptr;
    if (const auto* const name = std::get_if<std::string>(&path[i])) {
      next = at->member(*name);
    } else if (const auto* const list = std::get_if<Value::List>(&at->data)) {
      const std::size_t number = std::get<std::size_t>(path[i]);
      next = number < list->size() ? &(*list)[number] : nullptr;
    }
    if (next == nullptr)
      return failure(Errc::invalid_argument,
                     fmt::format("there is no {} in what the command has "
                                 "printed",
                                 spelled(path, i + 1)));
    at = next;
  }
  return at;
}

}  // namespace

Result<Outputs> parse_outputs(std::string_view text) {
  if (text.size() > largest_output_file)
    return failure(Errc::overloaded,
                   fmt::format("outputs of {}, more than the {} that are "
                               "allowed",
                               format_size(text.size()),
                               format_size(largest_output_file)));
  if (text.find('\0') != std::string_view::npos)
    return failure(Errc::invalid_argument, "outputs with a NUL byte");
  Outputs outputs;
  Lines lines{text};
  while (const auto line = lines.next()) {
    if (line->empty())
      continue;
    const std::size_t equals = line->find('=');
    const std::size_t block = line->find("<<");
    const bool is_block = block < equals;
    const std::string_view name = line->substr(0, is_block ? block : equals);
    const std::string_view after =
        is_block ? line->substr(block + 2)
                 : line->substr(std::min(equals, line->size() - 1) + 1);
    const bool complete =
        is_block ? !after.empty() : equals != std::string_view::npos;
    if (!complete || !is_name(name))
      return failure(
          Errc::invalid_argument,
          fmt::format("line {}: expected name=value or name<<END, got {}",
                      lines.number(), in_quotes(*line)));
    std::string value{after};
    if (is_block) {
      const std::size_t start = lines.number();
      value.clear();
      auto next = lines.next();
      for (; next && *next != after; next = lines.next()) {
        if (lines.number() != start + 1)
          value += '\n';
        value += *next;
      }
      if (!next)
        return failure(Errc::invalid_argument,
                       fmt::format("line {}: no line {} ends the value of {}",
                                   start, in_quotes(after), in_quotes(name)));
    }
    put_output(outputs, name, std::move(value));
    if (outputs.size() > most_outputs)
      return failure(Errc::overloaded,
                     fmt::format("more than {} outputs", most_outputs));
  }
  return outputs;
}

Result<JsonPath> parse_json_path(std::string_view text) {
  const auto refused = [&] {
    return failure(Errc::invalid_argument,
                   fmt::format("expected a path such as .rows or "
                               ".tables[0].name, got {}",
                               in_quotes(text)));
  };
  JsonPath path;
  if (text == ".")
    return path;
  std::string_view rest = text;
  while (!rest.empty()) {
    // `[0]` may follow the first dot, as in `.[0]`.
    if (path.empty() && rest.starts_with(".["))
      rest.remove_prefix(1);
    if (rest.front() == '[') {
      const std::size_t end = rest.find(']');
      if (end == std::string_view::npos || (path.empty() && text[0] != '.'))
        return refused();
      std::size_t number = 0;
      const char* const last = rest.data() + end;
      const auto [at, error] = std::from_chars(rest.data() + 1, last, number);
      if (error != std::errc{} || at != last)
        return refused();
      path.emplace_back(number);
      rest.remove_prefix(end + 1);
      continue;
    }
    if (rest.front() != '.')
      return refused();
    rest.remove_prefix(1);
    const std::string_view name = rest.substr(0, rest.find_first_of(".["));
    const bool is_fine =
        !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
          return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                 (c >= '0' && c <= '9') || c == '_' || c == '-';
        });
    if (!is_fine)
      return refused();
    path.emplace_back(std::string{name});
    rest.remove_prefix(name.size());
  }
  if (path.empty())
    return refused();
  return path;
}

Result<void> add_printed(const std::vector<PrintedOutput>& wanted,
                         std::string_view printed, Outputs& outputs) {
  if (wanted.empty())
    return {};
  if (printed.size() > most_printed)
    return failure(Errc::overloaded,
                   fmt::format("the command has printed more than {}",
                               format_size(most_printed)));
  printed = without_line_break(printed);
  const std::string_view last_line =
      printed.substr(printed.rfind('\n') + 1);  // npos + 1 is 0.
  // Read once, since all outputs may be of the same text.
  std::map<bool, Result<Value>> read;
  for (const PrintedOutput& output : wanted) {
    const std::string_view text = output.is_last_line ? last_line : printed;
    if (!output.json) {
      if (text.find('\0') != std::string_view::npos)
        return failure(
            Errc::invalid_argument,
            fmt::format("{}: the command has printed a NUL byte", output.name));
      put_output(outputs, output.name, std::string{text});
      continue;
    }
    auto known = read.find(output.is_last_line);
    if (known == read.end())
      known = read.emplace(output.is_last_line, parse_json(text)).first;
    if (!known->second)
      return failure(known->second.error().code,
                     fmt::format("{}: what the command has printed: {}",
                                 output.name, known->second.error().what));
    auto value = at_path(known->second.value(), *output.json);
    if (!value)
      return tl::unexpected{std::move(value.error()).within(output.name)};
    std::string found = (*value)->text();
    if (found.find('\0') != std::string::npos)
      return failure(Errc::invalid_argument,
                     fmt::format("{}: a NUL byte", output.name));
    put_output(outputs, output.name, std::move(found));
  }
  return {};
}

}  // namespace troupe::workflow
