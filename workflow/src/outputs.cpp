#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/workflow/outputs.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <optional>

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

std::string quoted(std::string_view text) {
  return fmt::format("\"{}\"", ellipsize(printable(text), 60));
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

void put(Outputs& outputs, std::string_view name, std::string value) {
  const auto known =
      std::find_if(outputs.begin(), outputs.end(),
                   [&](const auto& output) { return output.first == name; });
  if (known != outputs.end())
    known->second = std::move(value);
  else
    outputs.emplace_back(name, std::move(value));
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
                      lines.number(), quoted(*line)));
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
                                   start, quoted(after), quoted(name)));
    }
    put(outputs, name, std::move(value));
    if (outputs.size() > most_outputs)
      return failure(Errc::overloaded,
                     fmt::format("more than {} outputs", most_outputs));
  }
  return outputs;
}

}  // namespace troupe::workflow
