#include "stack_view.hpp"

#include "time_text.hpp"

#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <fmt/format.h>

namespace troupe::cli {
namespace {

using Json = nlohmann::ordered_json;

Duration from_seconds(double value) {
  return std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(value));
}

template <class T>
void put(Json& json, const char* name, const std::optional<T>& value) {
  if (value)
    json[name] = *value;
}

std::string short_wait(Duration wait) {
  if (wait < 10s)
    return fmt::format("{:.1f}s", std::max(0.0, in_seconds(wait)));
  return short_age(wait);
}

std::string colour_of_entry(std::string_view state) {
  if (state == "running" || state == "finished")
    return "32";
  if (state == "starting" || state == "unready")
    return "36";
  if (state == "restarting" || state == "held")
    return "31";
  return "33";
}

/// What is shown first where not all fits: what is not well.
bool is_well(const StackEntry& entry) {
  return (entry.state == "running" || entry.state == "finished") &&
         entry.trouble.empty();
}

std::string indented_name(const StackEntry& entry) {
  const auto depth = std::count(entry.name.begin(), entry.name.end(), '/');
  const std::size_t slash = entry.name.rfind('/');
  return fmt::format(
      "{:{}}{}{}", "", 2 * depth,
      printable(slash == std::string::npos ? entry.name
                                           : entry.name.substr(slash + 1)),
      entry.is_group ? "/" : "");
}

/// "2/5 in 1m": how much of the budget is used; only a group has one.
std::string restarts_of(const StackEntry& entry) {
  if (!entry.is_group)
    return entry.restarts == 0 ? "" : fmt::format("{}", entry.restarts);
  return fmt::format("{}/{} in {}", entry.restarts_used, entry.intensity,
                     format_duration(entry.period));
}

std::string remark_of(const StackEntry& entry) {
  std::string text;
  const auto add = [&](const std::string& more) {
    if (!more.empty())
      text += (text.empty() ? "" : "; ") + printable(more);
  };
  if (entry.next_start)
    add(fmt::format("next start in {}", short_wait(*entry.next_start)));
  add(entry.trouble);
  add(entry.status);
  if (entry.state != "stopping")
    add(entry.last_exit);
  add(entry.blame);
  return text;
}

constexpr std::size_t columns_of_table = 8;
using Row = std::array<std::string, columns_of_table>;

Row row_of(const StackEntry& entry) {
  return {indented_name(entry),
          entry.state,
          entry.pid == 0 ? "" : fmt::format("{}", entry.pid),
          entry.age ? short_age(*entry.age) : "",
          restarts_of(entry),
          entry.cpu ? fmt::format("{:.0f}%", 100 * *entry.cpu) : "",
          entry.memory_bytes ? format_size(*entry.memory_bytes) : "",
          remark_of(entry)};
}

}  // namespace

Json to_json(const StackSnapshot& snapshot) {
  Json entries = Json::array();
  for (const StackEntry& e : snapshot.entries) {
    Json json{{"name", to_utf8(e.name)},
              {"kind", e.is_group ? "group" : "service"},
              {"state", e.state},
              {"restarts", e.restarts}};
    if (e.pid != 0)
      json["pid"] = e.pid;
    if (e.age)
      json["age_s"] = in_seconds(*e.age);
    if (e.next_start)
      json["next_start_s"] = in_seconds(*e.next_start);
    put(json, "cpu", e.cpu);
    put(json, "memory_bytes", e.memory_bytes);
    const std::array<std::pair<const char*, const std::string*>, 6> texts{
        {{"last_exit", &e.last_exit},
         {"trouble", &e.trouble},
         {"status", &e.status},
         {"log", &e.log},
         {"strategy", &e.strategy},
         {"blame", &e.blame}}};
    for (const auto& [name, text] : texts) {
      if (!text->empty())
        json[name] = to_utf8(*text);
    }
    if (!e.last_cause.empty())
      json["cause"] = {{"kind", e.last_cause}, {"number", e.last_number}};
    if (e.is_group)
      json["budget"] = {{"used", e.restarts_used},
                        {"intensity", e.intensity},
                        {"period_s", in_seconds(e.period)}};
    entries.push_back(std::move(json));
  }
  return {{"file", to_utf8(snapshot.file)},
          {"pid", snapshot.pid},
          {"services", std::move(entries)}};
}

StackSnapshot snapshot_from_json(const Json& json) {
  StackSnapshot snapshot{.file = json.at("file"), .pid = json.at("pid")};
  for (const Json& e : json.at("services")) {
    StackEntry entry{.name = e.at("name"),
                     .is_group = e.at("kind") == "group",
                     .state = e.at("state"),
                     .pid = e.value("pid", 0),
                     .restarts = e.at("restarts"),
                     .last_exit = e.value("last_exit", ""),
                     .trouble = e.value("trouble", ""),
                     .status = e.value("status", ""),
                     .log = e.value("log", ""),
                     .strategy = e.value("strategy", ""),
                     .blame = e.value("blame", "")};
    if (e.contains("age_s"))
      entry.age = from_seconds(e["age_s"]);
    if (e.contains("next_start_s"))
      entry.next_start = from_seconds(e["next_start_s"]);
    if (e.contains("cpu"))
      entry.cpu = e["cpu"].get<double>();
    if (e.contains("memory_bytes"))
      entry.memory_bytes = e["memory_bytes"].get<std::uint64_t>();
    if (e.contains("cause")) {
      entry.last_cause = e["cause"].at("kind");
      entry.last_number = e["cause"].at("number");
    }
    if (e.contains("budget")) {
      entry.restarts_used = e["budget"].at("used");
      entry.intensity = e["budget"].at("intensity");
      entry.period = from_seconds(e["budget"].at("period_s"));
    }
    snapshot.entries.push_back(std::move(entry));
  }
  return snapshot;
}

std::string render_table(const StackSnapshot& snapshot,
                         const StackTableStyle& style) {
  std::vector<const StackEntry*> shown;
  for (const StackEntry& entry : snapshot.entries) {
    // The stack as a whole is of interest only when it has given up.
    if (!entry.name.empty() || entry.state == "held")
      shown.push_back(&entry);
  }
  const std::size_t all = shown.size();
  // A head, and a line about what is left out.
  const std::size_t room = style.rows < 3 ? 1 : style.rows - 2;
  if (style.rows != 0 && all + 1 > style.rows) {
    std::stable_partition(shown.begin(), shown.end(),
                          [](const StackEntry* e) { return !is_well(*e); });
    shown.resize(std::min(room, all));
  }
  std::vector<Row> rows{
      {"NAME", "STATE", "PID", "AGE", "RESTARTS", "CPU", "MEMORY", "REMARK"}};
  for (const StackEntry* entry : shown)
    rows.push_back(row_of(*entry));
  std::array<std::size_t, columns_of_table> widths{};
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], display_width(row[i]));
  }
  std::string out;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::string line;
    std::size_t state_at = 0;
    for (std::size_t i = 0; i < columns_of_table; ++i) {
      if (i == 1)
        state_at = line.size();
      line += rows[r][i];
      if (i + 1 < columns_of_table)
        line.append(widths[i] - display_width(rows[r][i]) + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    if (style.columns != 0)
      line = ellipsize(line, style.columns);
    if (style.colour && r == 0)
      line = fmt::format("\x1b[2m{}\x1b[0m", line);
    else if (style.colour && line.size() >= state_at + rows[r][1].size())
      line = fmt::format("{}\x1b[{}m{}\x1b[0m{}", line.substr(0, state_at),
                         colour_of_entry(rows[r][1]), rows[r][1],
                         line.substr(state_at + rows[r][1].size()));
    out += line + "\n";
  }
  if (shown.size() < all)
    out += fmt::format("and {} more\n", all - shown.size());
  return out;
}

}  // namespace troupe::cli
