/// troupe group: how many tasks of which jobs run at a time.
#include "command_options.hpp"
#include "job_view.hpp"
#include "queue_context.hpp"

#include <troupe/base/quantity.hpp>
#include <troupe/base/suggest.hpp>
#include <troupe/base/text.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <fmt/format.h>
#include <utility>

namespace troupe::cli {
namespace {

using api::Json;

struct GroupOptions {
  NodeOptions node;
  std::vector<std::string> words;  ///< Action, name, and number of `limit`.
  std::string slots;
  std::string weight;
  std::string rate;
  std::string break_after;
  std::string break_pause;
};

void add_options(CLI::App& app, GroupOptions& o) {
  app.add_option("ACTION", o.words,
                 "list, add NAME, set NAME, limit NAME SLOTS or remove NAME");
  app.add_option(
         "--slots", o.slots,
         "Tasks that run at a time; in a cluster, on all nodes together")
      ->type_name("N");
  app.add_option("--weight", o.weight,
                 "Share of the node, compared with other groups")
      ->type_name("N");
  app.add_option("--rate", o.rate, "Starts per minute; 0 for no limit")
      ->type_name("N/min");
  app.add_option("--break-after", o.break_after,
                 "Failures in a row that pause it; 0 for never")
      ->type_name("N");
  app.add_option("--break-pause", o.break_pause, "For how long")
      ->type_name("DURATION");
  o.node.add_to(app);
}

Result<void> put_count(Json& json, const char* key, std::string_view option,
                       const std::string& text) {
  if (text.empty())
    return {};
  const auto count = parse_count(text);
  if (!count)
    return tl::unexpected{Error{count.error()}.within(option)};
  json[key] = *count;
  return {};
}

/// "30/min", "2/s", "600/h"; a bare number is per minute.
Result<void> put_rate(Json& json, const std::string& text) {
  if (text.empty())
    return {};
  const std::size_t slash = text.find('/');
  const auto count = parse_count(text.substr(0, slash));
  const std::string unit =
      slash == std::string::npos ? "min" : text.substr(slash + 1);
  const bool is_hourly = unit == "h";
  if (!count || *count > 1'000'000'000 ||
      (unit != "min" && unit != "s" && !is_hourly) ||
      (is_hourly && *count % 60 != 0))
    return failure(Errc::invalid_argument,
                   fmt::format("--rate: expected starts such as 30/min or 2/s, "
                               "got \"{}\"",
                               printable(text)));
  json["starts_per_minute"] = unit == "s" ? *count * 60
                              : is_hourly ? *count / 60
                                          : *count;
  return {};
}

Result<Json> settings_of(const GroupOptions& o) {
  Json settings = Json::object();
  Result<void> checked = put_count(settings, "slots", "--slots", o.slots);
  if (checked)
    checked = put_count(settings, "weight", "--weight", o.weight);
  if (checked)
    checked = put_rate(settings, o.rate);
  if (checked)
    checked =
        put_count(settings, "break_after", "--break-after", o.break_after);
  Duration pause{0};
  if (checked)
    checked = read_duration("--break-pause", o.break_pause, pause);
  if (!checked)
    return tl::unexpected{std::move(checked.error())};
  if (!o.break_pause.empty())
    settings["break_pause_ms"] =
        std::chrono::ceil<std::chrono::milliseconds>(pause).count();
  return settings;
}

int list_groups(const QueueContext& context, NodeCalls& calls, bool as_json) {
  const auto answer = calls.get(node_target({"groups"}));
  if (!answer)
    return node_failed(answer.error());
  if (as_json) {
    print_json(*answer);
    return exit_ok;
  }
  const auto groups = groups_from_json(*answer);
  if (!groups)
    return node_failed(groups.error());
  write_out(render_groups(*groups, table_style(context)));
  return exit_ok;
}

/// Whether there is a group of this name already, as it has to be or not: the
/// node would add one that somebody only mistyped.
Result<void> check_existence(NodeCalls& calls, const std::string& name,
                             bool has_to_exist) {
  const auto answer = calls.get(node_target({"groups"}));
  if (!answer)
    return tl::unexpected{answer.error()};
  const auto groups = groups_from_json(*answer);
  if (!groups)
    return tl::unexpected{groups.error()};
  std::vector<std::string_view> names;
  for (const QueueGroup& group : *groups)
    names.push_back(group.name);
  const bool exists =
      std::find(names.begin(), names.end(), name) != names.end();
  if (exists == has_to_exist)
    return {};
  if (exists)
    return failure(Errc::already_exists,
                   fmt::format("there is a group \"{}\" already; change it "
                               "with troupe group set",
                               printable(name)));
  const auto meant = suggest(name, names);
  return failure(Errc::not_found,
                 fmt::format("no group \"{}\"{}", printable(name),
                             meant ? fmt::format("; did you mean \"{}\"?",
                                                 printable(*meant))
                                   : "; add it with troupe group add"));
}

int change(NodeCalls& calls, const std::string& action, const std::string& name,
           const Json& settings, bool as_json) {
  const std::string target = node_target({"groups", name});
  if (action != "remove") {
    const auto checked = check_existence(calls, name, action != "add");
    if (!checked)
      return node_failed(checked.error());
  }
  const auto answer = action == "remove"
                          ? calls.call(NodeMethod::remove, target)
                          : calls.call(NodeMethod::put, target, settings);
  if (!answer)
    return node_failed(answer.error());
  if (as_json)
    print_json({{"group", to_utf8(name)}},
               fmt::format("{} of group {} is done", action, printable(name)));
  return exit_ok;
}

/// What is wrong with the words; empty if nothing is.
std::string mistake_in(const GroupOptions& o) {
  constexpr std::array<std::string_view, 5> known{"list", "add", "set", "limit",
                                                  "remove"};
  if (o.words.empty())
    return "expected list, add, set, limit or remove";
  const std::string& action = o.words[0];
  if (std::find(known.begin(), known.end(), action) == known.end()) {
    const auto meant = suggest(action, known);
    return fmt::format(
        "unknown action \"{}\"{}", printable(action),
        meant ? fmt::format("; did you mean \"{}\"?", *meant) : "");
  }
  const std::size_t wanted = action == "list" ? 1 : action == "limit" ? 3 : 2;
  const bool is_unnamed =
      wanted > 1 && o.words.size() > 1 && o.words[1].empty();
  if (o.words.size() != wanted || is_unnamed)
    return wanted == 1   ? "list takes no name"
           : wanted == 2 ? fmt::format("{} takes the name of one group", action)
                         : "limit takes the name of a group and its slots";
  if (action != "list" && !is_utf8(o.words[1]))
    return "the name of a group is UTF-8";
  return {};
}

}  // namespace

int change_group(const QueueContext& context, std::vector<std::string> words) {
  GroupOptions o;
  CLI::App app{
      "Lists and changes groups. Each job waits in a group, which says how "
      "many tasks of it\nrun at a time, how often they start and when to stop "
      "for a while.\n\n"
      "  troupe group add mail --slots 4 --rate 30/min\n"
      "  troupe group limit mail 8",
      "troupe group"};
  add_options(app, o);
  if (const auto code = parse(app, std::move(words)))
    return *code;
  const std::string mistake = mistake_in(o);
  if (!mistake.empty())
    return usage_error("group", mistake);
  const std::string action = o.words[0];
  if (action == "limit")
    o.slots = o.words[2];
  const auto settings = settings_of(o);
  if (!settings)
    return usage_error("group", settings.error().what);
  if (action == "set" && settings->empty())
    return usage_error("group", "nothing to set was given");
  auto session = NodeSession::open(context, o.node);
  if (!session)
    return node_failed(session.error());
  return action == "list" ? list_groups(context, session->calls(), o.node.json)
                          : change(session->calls(), action, o.words[1],
                                   *settings, o.node.json);
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): as all subcommands.
int run_group(const Startup&, std::vector<std::string> words) {
  return change_group(real_queue_context(), std::move(words));
}

}  // namespace troupe::cli
