/// troupe triggers: what a node starts by itself, and when.
#include "queue_context.hpp"

#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/base/wall_time.hpp>

#include <chrono>
#include <cstdint>
#include <ctime>
#include <fmt/format.h>
#include <utility>

namespace troupe::cli {
namespace {

using api::Json;

struct TriggersOptions {
  NodeOptions node;
  std::string times;
};

/// "2026-05-01 02:15:00", in local time.
std::string local_time(WallTime time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm local{};
  ::localtime_r(&seconds, &local);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
                     local.tm_year + 1900, local.tm_mon + 1, local.tm_mday,
                     local.tm_hour, local.tm_min, local.tm_sec);
}

std::string left_until(WallTime time, WallTime now) {
  return time <= now ? "now"
                     : format_duration(
                           std::chrono::ceil<std::chrono::seconds>(time - now));
}

std::string last_run_of(const Json& trigger) {
  if (!trigger.contains("last_run"))
    return "-";
  return fmt::format("r{}{}", trigger["last_run"].get<std::uint64_t>(),
                     trigger.value("is_running", false) ? " (running)" : "");
}

/// A line for each trigger, and one more for each further time of it.
void add_rows(std::vector<TableRow>& rows, const Json& trigger, WallTime now) {
  TableRow row{"-",
               "",
               last_run_of(trigger),
               printable(trigger.value("trigger", "")),
               printable(trigger.value("timezone", "")),
               printable(trigger.value("name", ""))};
  bool is_first = true;
  for (const Json& text : trigger.value("next", Json::array())) {
    const auto time = parse_wall_time(text.get<std::string>());
    if (!time)
      continue;
    row[0] = local_time(*time);
    row[1] = left_until(*time, now);
    rows.push_back(std::exchange(row, TableRow(row.size())));
    is_first = false;
  }
  if (is_first)
    rows.push_back(std::move(row));
}

/// `text` with its line breaks, each line safe to print.
std::string printable_lines(std::string_view text) {
  std::string out;
  while (true) {
    const std::size_t end = text.find('\n');
    out += printable(text.substr(0, end));
    if (end == std::string_view::npos)
      return out;
    out += '\n';
    text.remove_prefix(end + 1);
  }
}

/// Complains about each, and says whether there are any.
bool complain_about_errors(const Json& answer) {
  bool has_any = false;
  for (const Json& error : answer.value("errors", Json::array())) {
    complain(printable_lines(error.value("error", "")));
    has_any = true;
  }
  for (const Json& trigger : answer.value("triggers", Json::array())) {
    if (!trigger.contains("error"))
      continue;
    complain(fmt::format("{}: the last time of \"{}\" has not led to a run: {}",
                         printable(trigger.value("name", "")),
                         printable(trigger.value("trigger", "")),
                         printable(trigger.value("error", ""))));
    has_any = true;
  }
  return has_any;
}

int print_triggers(const QueueContext& context, const Json& answer) {
  std::vector<TableRow> rows{
      {"NEXT", "LEFT", "LAST RUN", "TRIGGER", "ZONE", "FILE"}};
  try {
    for (const Json& trigger : answer.at("triggers"))
      add_rows(rows, trigger, context.now());
    if (rows.size() > 1)
      write_out(render_rows(rows, table_style(context)));
    else if (context.is_terminal)
      write_out(fmt::format("no triggers in {}\n",
                            printable(answer.value("folder", ""))));
    return complain_about_errors(answer) ? exit_bad_file : exit_ok;
  } catch (const Json::exception& error) {
    complain(fmt::format("the node answers in a form that is unknown: {}",
                         error.what()));
    return exit_troupe_failed;
  }
}

}  // namespace

int show_triggers(const QueueContext& context, std::vector<std::string> words) {
  TriggersOptions o;
  CLI::App app{
      "Lists what starts runs by itself: the triggers of the workflows in the\n"
      "node's workflow-folder, with their next time and last run.\n\n"
      "  troupe triggers\n"
      "  troupe triggers --next 5",
      "troupe triggers"};
  app.add_option("--next", o.times, "So many of the next times (1)")
      ->type_name("N");
  o.node.add_to(app);
  if (const auto code = parse(app, std::move(words)))
    return *code;
  if (!o.times.empty()) {
    const auto times = parse_count(o.times);
    if (!times || *times > 100)
      return usage_error("triggers", fmt::format("--next: expected 0 to 100, "
                                                 "got \"{}\"",
                                                 printable(o.times)));
  }
  auto session = NodeSession::open(context, o.node);
  if (!session)
    return node_failed(session.error());
  const auto answer = session->calls().get(
      o.times.empty() ? node_target({"triggers"})
                      : node_target({"triggers"}, {{"next", o.times}}));
  if (!answer)
    return node_failed(answer.error());
  if (!o.node.json)
    return print_triggers(context, *answer);
  print_json(*answer);
  return exit_ok;
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): as all subcommands.
int run_triggers(const Startup&, std::vector<std::string> words) {
  return show_triggers(real_queue_context(), std::move(words));
}

}  // namespace troupe::cli
