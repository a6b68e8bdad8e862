#include <troupe/base/assert.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/config/fields.hpp>

#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <map>

namespace troupe::config {
namespace {

/// Longer values are cut in messages.
std::string folded(std::string_view key) {
  std::string out{key};
  for (char& c : out) {
    if (c == '_')
      c = '-';
  }
  return out;
}

/// Reports the error of a base parser, which says what was expected and got.
void report(const Node& node, std::string_view name, const Error& error,
            Diagnostics& diagnostics) {
  diagnostics.add(node.where, fmt::format("{}: {}", name, error.what));
}

}  // namespace

const Keyword* Section::find(std::string_view wanted) const {
  const std::string key = folded(wanted);
  for (const Keyword& keyword : keywords) {
    if (keyword.name == key)
      return &keyword;
  }
  return nullptr;
}

void report_expected(const Node& node, std::string_view name,
                     std::string_view what, Diagnostics& diagnostics) {
  const std::string got = node.kind == Node::Kind::scalar
                              ? in_quotes(node.text)
                              : std::string{describe_kind(node)};
  const std::string_view as_text =
      node.kind == Node::Kind::scalar && !node.plain ? "the text " : "";
  diagnostics.add(node.where, fmt::format("{}: expected {}, got {}{}", name,
                                          what, as_text, got));
}

std::optional<bool> plain_bool(const Node& node) {
  if (node.kind != Node::Kind::scalar || !node.plain)
    return std::nullopt;
  if (node.text == "true" || node.text == "True" || node.text == "TRUE")
    return true;
  if (node.text == "false" || node.text == "False" || node.text == "FALSE")
    return false;
  return std::nullopt;
}

std::optional<double> plain_number(const Node& node) {
  if (node.kind != Node::Kind::scalar || !node.plain || node.text.empty())
    return std::nullopt;
  std::string_view text = node.text;
  if (text[0] == '+')
    text.remove_prefix(1);
  const std::size_t first = text.starts_with('-') ? 1 : 0;
  if (first == text.size() || (!is_digit(text[first]) && text[first] != '.'))
    return std::nullopt;
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto [next, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || next != end || !std::isfinite(value))
    return std::nullopt;
  return value;
}

std::optional<std::string> to_text(const Node& node, std::string_view name,
                                   Diagnostics& diagnostics) {
  if (node.kind == Node::Kind::scalar)
    return node.text;
  report_expected(node, name, "a text", diagnostics);
  return std::nullopt;
}

std::optional<bool> to_bool(const Node& node, std::string_view name,
                            Diagnostics& diagnostics) {
  const auto value = plain_bool(node);
  if (!value)
    report_expected(node, name, "true or false", diagnostics);
  return value;
}

std::optional<Duration> to_duration(const Node& node, std::string_view name,
                                    Diagnostics& diagnostics) {
  if (node.kind != Node::Kind::scalar) {
    report_expected(node, name, "a duration such as 30s", diagnostics);
    return std::nullopt;
  }
  const auto value = parse_duration(node.text);
  if (value)
    return *value;
  report(node, name, value.error(), diagnostics);
  return std::nullopt;
}

std::optional<std::uint64_t> to_size(const Node& node, std::string_view name,
                                     Diagnostics& diagnostics) {
  if (node.kind != Node::Kind::scalar) {
    report_expected(node, name, "a size such as 64KiB", diagnostics);
    return std::nullopt;
  }
  const auto value = parse_size(node.text);
  if (value)
    return *value;
  report(node, name, value.error(), diagnostics);
  return std::nullopt;
}

std::optional<std::uint64_t> to_count(const Node& node, std::string_view name,
                                      std::uint64_t least, std::uint64_t most,
                                      Diagnostics& diagnostics) {
  if (node.kind == Node::Kind::scalar && node.plain) {
    const auto value = parse_count(node.text);
    if (value && *value >= least && *value <= most)
      return *value;
  }
  report_expected(node, name,
                  fmt::format("a whole number from {} to {}", least, most),
                  diagnostics);
  return std::nullopt;
}

std::optional<double> to_number(const Node& node, std::string_view name,
                                double least, double most,
                                Diagnostics& diagnostics) {
  const auto value = plain_number(node);
  if (value && *value >= least && *value <= most)
    return value;
  report_expected(node, name,
                  fmt::format("a number from {} to {}", least, most),
                  diagnostics);
  return std::nullopt;
}

Fields::Fields(const Node& node, const Section& section,
               Diagnostics& diagnostics)
    : node_{node}, section_{section}, diagnostics_{diagnostics} {
  if (node.kind != Node::Kind::mapping) {
    diagnostics.add(node.where,
                    fmt::format("{} must be a map, not {}", section.title,
                                describe_kind(node)));
    return;
  }
  std::map<const Keyword*, const Entry*> seen;
  for (const Entry& entry : node.entries) {
    const Keyword* const keyword = section.find(entry.key);
    if (keyword == nullptr) {
      std::vector<std::string_view> names;
      for (const Keyword& known : section.keywords)
        names.push_back(known.name);
      diagnostics.add(entry.where,
                      fmt::format("unknown key {} in {}", in_quotes(entry.key),
                                  section.title),
                      did_you_mean(entry.key, names));
      continue;
    }
    if (!keyword->supported) {
      diagnostics.add(entry.where,
                      fmt::format("{} in {} is not supported yet by this "
                                  "version",
                                  in_quotes(entry.key), section.title));
      continue;
    }
    const auto [first, fresh] = seen.emplace(keyword, &entry);
    if (!fresh)
      diagnostics.add(entry.where, fmt::format("{} and {} are the same key",
                                               in_quotes(first->second->key),
                                               in_quotes(entry.key)));
  }
}

const Entry* Fields::take(std::string_view keyword) {
  return take(keyword, Type::custom);
}

const Entry* Fields::take(std::string_view name, Type type) {
  const Keyword* const keyword = section_.find(name);
  TROUPE_ASSERT(keyword != nullptr && keyword->supported);
  TROUPE_ASSERT(keyword->type == type || type == Type::custom);
  asked_.insert(keyword->name);
  for (const Entry& entry : node_.entries) {
    if (folded(entry.key) == keyword->name)
      return &entry;
  }
  return nullptr;
}

const Keyword& Fields::keyword(std::string_view name) const {
  const Keyword* const found = section_.find(name);
  TROUPE_ASSERT(found != nullptr);
  return *found;
}

void Fields::read(std::string_view keyword, std::string& out) {
  if (const Entry* const entry = take(keyword, Type::text)) {
    if (auto value = to_text(entry->value, keyword, diagnostics_))
      out = std::move(*value);
  }
}

void Fields::read(std::string_view keyword, bool& out) {
  if (const Entry* const entry = take(keyword, Type::boolean))
    out = to_bool(entry->value, keyword, diagnostics_).value_or(out);
}

void Fields::read(std::string_view keyword, Duration& out) {
  if (const Entry* const entry = take(keyword, Type::duration))
    out = to_duration(entry->value, keyword, diagnostics_).value_or(out);
}

void Fields::read(std::string_view keyword, std::vector<std::string>& out) {
  const Entry* const entry = take(keyword, Type::texts);
  if (entry == nullptr)
    return;
  const Node& node = entry->value;
  if (node.kind == Node::Kind::scalar) {
    out = {node.text};
    return;
  }
  if (node.kind != Node::Kind::sequence) {
    report_expected(node, keyword, "a text or a list of texts", diagnostics_);
    return;
  }
  std::vector<std::string> values;
  for (const Node& item : node.items) {
    if (auto value = to_text(item, keyword, diagnostics_))
      values.push_back(std::move(*value));
  }
  out = std::move(values);
}

void Fields::read(std::string_view keyword, std::uint32_t& out,
                  std::uint32_t least, std::uint32_t most) {
  if (const Entry* const entry = take(keyword, Type::count)) {
    const auto value =
        to_count(entry->value, keyword, least, most, diagnostics_);
    if (value)
      out = static_cast<std::uint32_t>(*value);
  }
}

void Fields::read(std::string_view keyword, double& out, double least,
                  double most) {
  if (const Entry* const entry = take(keyword, Type::number))
    out = to_number(entry->value, keyword, least, most, diagnostics_)
              .value_or(out);
}

void Fields::read(std::string_view keyword, std::vector<int>& out, int least,
                  int most) {
  TROUPE_ASSERT(0 <= least && least <= most);
  const Entry* const entry = take(keyword, Type::counts);
  if (entry == nullptr)
    return;
  const auto append = [&](const Node& node, std::vector<int>& to) {
    const auto value = to_count(node, keyword, static_cast<unsigned>(least),
                                static_cast<unsigned>(most), diagnostics_);
    if (value)
      to.push_back(static_cast<int>(*value));
  };
  std::vector<int> values;
  if (entry->value.kind == Node::Kind::sequence) {
    for (const Node& item : entry->value.items)
      append(item, values);
  } else {
    append(entry->value, values);
  }
  out = std::move(values);
}

void Fields::finish() const {
  for (const Keyword& keyword : section_.keywords)
    TROUPE_ASSERT(!keyword.supported || asked_.contains(keyword.name));
}

}  // namespace troupe::config
