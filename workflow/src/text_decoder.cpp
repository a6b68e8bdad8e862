#include "text_decoder.hpp"

#include "decode.hpp"

#include <troupe/base/shell_words.hpp>
#include <troupe/base/text.hpp>
#include <troupe/workflow/keywords.hpp>

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace troupe::workflow {

using config::Entry;
using config::Fields;
using config::Node;

namespace {

constexpr std::size_t longest_name = 100;
constexpr std::size_t most_map_entries =
    1000;  ///< Variables or outputs of a map.

bool is_word(std::string_view text, bool dashes) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  const auto follows = [&](char c) {
    return letter(c) || (c >= '0' && c <= '9') || (dashes && c == '-');
  };
  return !text.empty() && text.size() <= longest_name && letter(text[0]) &&
         std::all_of(text.begin(), text.end(), follows);
}

}  // namespace

bool is_posix_shell(const std::vector<std::string>& words) {
  constexpr std::array<std::string_view, 8> known{
      "sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "busybox"};
  const std::string_view program = words.front();
  const std::size_t slash = program.rfind('/');
  const std::string_view name =
      slash == std::string_view::npos ? program : program.substr(slash + 1);
  return std::find(known.begin(), known.end(), name) != known.end();
}

void TextDecoder::check_name(std::string_view kind, std::string_view name,
                             config::Span where) {
  if (is_word(name, true))
    return;
  diagnostics_.add(where,
                   fmt::format("{} {} must be letters, digits, _ and -, start "
                               "with a letter or _, and have at most {} "
                               "characters",
                               kind, in_quotes(name), longest_name));
}

Fields TextDecoder::open(const Node& node, std::string_view section_name) {
  return Fields{node, section(section_name), diagnostics_};
}

Template TextDecoder::read_template(const Node& node, std::string_view name,
                                    Usage usage) {
  auto text = config::to_text(node, name, diagnostics_);
  if (!text)
    return {};
  std::vector<Problem> problems;
  Template out = parse_template(std::move(*text), node.where, usage, problems);
  report(problems, out.where, out.text, diagnostics_);
  return out;
}

Template TextDecoder::read_template(Fields& fields, std::string_view keyword) {
  const Entry* const entry = fields.take(keyword);
  return entry == nullptr ? Template{} : read_template(entry->value, keyword);
}

std::vector<NamedTemplate> TextDecoder::read_named(const Entry* entry,
                                                   std::string_view keyword) {
  std::vector<NamedTemplate> out;
  if (entry == nullptr || entry->value.kind == Node::Kind::null)
    return out;
  if (entry->value.kind != Node::Kind::mapping) {
    config::report_expected(entry->value, keyword, "a map", diagnostics_);
    return out;
  }
  for (const Entry& item : entry->value.entries) {
    if (out.size() == most_map_entries) {
      diagnostics_.add(item.where, fmt::format("{}: more than {} entries",
                                               keyword, most_map_entries));
      return out;
    }
    NamedTemplate named{item.key, {}};
    // An absent value is the empty text, as in other tools.
    if (item.value.kind != Node::Kind::null)
      named.value = read_template(item.value, item.key);
    out.push_back(std::move(named));
  }
  return out;
}

std::vector<NamedTemplate> TextDecoder::read_env(const Entry* entry) {
  auto out = read_named(entry, "env");
  if (out.empty())
    return out;
  for (const Entry& item : entry->value.entries) {
    if (!is_word(item.key, false))
      diagnostics_.add(item.where,
                       fmt::format("the name of a variable must be letters, "
                                   "digits and _, not {}",
                                   in_quotes(item.key)));
    else if (item.key.starts_with("TROUPE_"))
      diagnostics_.add(item.where,
                       "names with TROUPE_ are for troupe's own variables");
  }
  return out;
}

void TextDecoder::read_shell(const Node& node,
                             std::vector<std::string>& shell) {
  const auto text = config::to_text(node, "shell", diagnostics_);
  if (!text)
    return;
  auto words = plain_words(*text);
  if (words && !words->empty())
    shell = std::move(*words);
  else
    config::report_expected(node, "shell",
                            "a program with plain arguments such as bash -eu",
                            diagnostics_);
}

void TextDecoder::refuse_expressions(const Node& node,
                                     std::string_view keyword) {
  if (node.text.find("${{") != std::string::npos)
    diagnostics_.add(node.where,
                     fmt::format("expressions in \"{}\" are not supported "
                                 "yet by this version",
                                 keyword));
  for (const Node& item : node.items)
    refuse_expressions(item, keyword);
}

void TextDecoder::read_positive(Fields& fields, std::string_view keyword,
                                Duration& out) {
  fields.read(keyword, out);
  if (out > Duration{0})
    return;
  diagnostics_.add(fields.take(keyword)->value.where,
                   fmt::format("{}: must be more than nothing", keyword));
  out = 1s;
}

void TextDecoder::read_restart_rules(Fields& fields, std::string_view whom,
                                     std::uint32_t most,
                                     supervisor::Strategy& strategy,
                                     int& intensity, Duration& period) {
  using supervisor::Strategy;
  if (const Entry* const entry = fields.take("strategy")) {
    if (entry->value.kind == Node::Kind::mapping)
      diagnostics_.add(
          entry->value.where,
          fmt::format("\"strategy\" of {} is one word such as one_for_one; a "
                      "map belongs on a job",
                      whom));
    else
      to_word(entry->value, fields.keyword("strategy"), strategy,
              {Strategy::one_for_one, Strategy::one_for_all,
               Strategy::rest_for_one});
  }
  auto restarts = static_cast<std::uint32_t>(intensity);
  fields.read("intensity", restarts, 0, most);
  intensity = static_cast<int>(restarts);
  read_positive(fields, "period", period);
}

std::optional<std::size_t> TextDecoder::find_word(
    const Node& node, const config::Keyword& keyword) {
  const auto text = config::to_text(node, keyword.name, diagnostics_);
  if (!text)
    return std::nullopt;
  const auto found =
      std::find(keyword.words.begin(), keyword.words.end(), *text);
  if (found != keyword.words.end())
    return static_cast<std::size_t>(found - keyword.words.begin());
  const auto words = keyword.words.first(keyword.words.size() - 1);
  diagnostics_.add(
      node.where,
      fmt::format("{}: expected {}{}{}, got {}", keyword.name,
                  fmt::join(words, ", "), words.empty() ? "" : " or ",
                  keyword.words.back(), in_quotes(*text)),
      config::did_you_mean(*text,
                           {keyword.words.begin(), keyword.words.end()}));
  return std::nullopt;
}

Template TextDecoder::read_run(const Entry& entry,
                               const std::vector<std::string>& shell,
                               std::string_view name) {
  Template run = read_template(
      entry.value, name, is_posix_shell(shell) ? Usage::shell : Usage::text);
  const bool blank = run.text.find_first_not_of(" \t\r\n") == std::string::npos;
  if (blank && entry.value.kind == Node::Kind::scalar)
    diagnostics_.add(entry.value.where,
                     fmt::format("{}: expected a command, got \"\"", name));
  if (is_posix_shell(shell))
    return run;
  for (const Template::Part& part : run.parts) {
    const bool raw = part.expression &&
                     part.expression->root().kind == Expression::Kind::call &&
                     part.expression->root().function == Function::raw;
    if (part.expression && !raw)
      diagnostics_.add(
          locate(diagnostics_.source(), run.where, run.text, part.offset, 1),
          fmt::format("values cannot be quoted for {}",
                      in_quotes(shell.front())),
          "pass them through \"env\", or use raw()");
  }
  return run;
}

}  // namespace troupe::workflow
