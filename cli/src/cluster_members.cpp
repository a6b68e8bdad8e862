#include "cluster_members.hpp"

#include "cluster_doctor.hpp"
#include "command_options.hpp"
#include "job_view.hpp"
#include "time_text.hpp"

#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/base/wall_time.hpp>

#include <algorithm>
#include <chrono>
#include <fmt/format.h>

namespace troupe::cli {
namespace {

using api::Json;

std::string text_of(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || found->is_null())
    return "";
  return printable(found->is_string() ? found->get<std::string>()
                                      : found->dump());
}

std::string ago(const QueueContext& context, const std::string& time) {
  const auto at = parse_wall_time(time);
  if (!at)
    return "";
  return fmt::format(
      "{} ago",
      format_duration(std::max<Duration>(
          std::chrono::duration_cast<std::chrono::seconds>(context.now() - *at),
          0s)));
}

bool is_asked(const Json& one, const Json& status) {
  return text_of(one, "node") == text_of(status, "node");
}

/// Between the node that was asked and this one.
std::string link_of(const Json& one, const Json& status) {
  if (is_asked(one, status))
    return "";
  return one.value("is_linked", false) ? "up" : "down";
}

/// As far as the node that was asked knows.
std::string state_of(const Json& one, const Json& status) {
  std::string state = text_of(one, "state");
  if (is_asked(one, status))
    return state;
  if (blind_for(status))
    return "unknown";
  const auto silent = one.value("silent_ms", std::int64_t{0});
  if (state != "revoked" && silent > status.value("lease_ms", std::int64_t{0}))
    return fmt::format("silent {}",
                       format_duration(std::chrono::seconds{silent / 1000}));
  return state;
}

/// How the node that was asked stands.
std::string standing(const Json& status) {
  const std::string phase = text_of(status, "phase");
  const auto left = status.find("right_left_ms");
  const std::string until =
      left != status.end() && left->is_number_integer()
          ? format_duration(std::chrono::seconds{
                std::max<std::int64_t>(left->get<std::int64_t>(), 0) / 1000})
          : "";
  if (phase == "held")
    return fmt::format("it may start commands, for {} at least", until);
  if (phase == "draining")
    return "it is leaving: it begins nothing more, and waits for what has "
           "begun";
  if (phase == "ending")
    return fmt::format(
        "it does not reach the store: what runs ends, in {} at most", until);
  if (phase == "lapsed")
    return "it has not reached the store for too long, and may run nothing";
  return "it is joining, and may not start anything yet";
}

Result<Json> ask(const QueueContext& context, const NodeOptions& node,
                 NodeMethod method, const std::string& target,
                 const Json& body = {}) {
  auto session = NodeSession::open(context, node);
  if (!session)
    return tl::unexpected{session.error()};
  return session->calls().call(method, target, body);
}

Json nodes_in(const Json& status) {
  return status.value("nodes", Json::array());
}

/// Asks how the cluster stands, and prints `table` of it, or all of it as JSON.
template <class F>
int print_status(const QueueContext& context, const NodeOptions& node,
                 F table) {
  const auto status =
      ask(context, node, NodeMethod::get, node_target({"cluster"}));
  if (!status)
    return node_failed(status.error());
  if (node.json)
    print_json(*status);
  else
    write_out(table(*status));
  return exit_ok;
}

/// Behind the names, if there are any. `rows` has a title, and one for each
/// node.
void add_zones(std::vector<TableRow>& rows, const Json& status) {
  std::vector<std::string> zones{"ZONE"};
  bool has_any = false;
  for (const Json& one : nodes_in(status)) {
    zones.push_back(text_of(one, "zone"));
    has_any |= !zones.back().empty();
  }
  for (std::size_t i = 0; has_any && i < rows.size(); ++i)
    rows[i].insert(rows[i].begin() + 1, zones[i]);
}

/// What the table does not say.
std::string notes_on(const Json& status) {
  std::string notes;
  if (const auto blind = blind_for(status))
    notes += fmt::format(
        "it has not reached the store for {}: what it says of the others is as "
        "old\n",
        format_duration(
            std::chrono::duration_cast<std::chrono::seconds>(*blind)));
  if (const std::string wanted = consent_wanted(status); !wanted.empty())
    notes += wanted + "\n";
  return notes;
}

/// Of nodes of which some are not as they should be.
void add_states(std::vector<TableRow>& rows, const Json& status) {
  std::vector<std::string> states{"STATE"};
  bool has_any = false;
  for (const Json& one : nodes_in(status)) {
    states.push_back(state_of(one, status));
    has_any |= states.back() != "live";
  }
  for (std::size_t i = 0; has_any && i < rows.size(); ++i)
    rows[i].push_back(states[i]);
}

std::string members_table(const QueueContext& context, const Json& status) {
  std::vector<TableRow> rows{{"NAME", "STATE", "SLOTS", "SHARDS", "SEEN",
                              "VERSION", "LINK", "LISTEN"}};
  std::string own;
  for (const Json& one : nodes_in(status)) {
    rows.push_back({text_of(one, "name"), state_of(one, status),
                    text_of(one, "slots"), text_of(one, "shards"),
                    ago(context, text_of(one, "seen")), text_of(one, "version"),
                    link_of(one, status), text_of(one, "listen")});
    if (is_asked(one, status))
      own = text_of(one, "name");
  }
  add_zones(rows, status);
  return render_rows(rows, table_style(context)) +
         fmt::format("{} was asked: {}\n", own.empty() ? "the node" : own,
                     standing(status)) +
         notes_on(status);
}

std::string nodes_table(const QueueContext& context, const Json& status) {
  std::vector<TableRow> rows{{"NAME", "SLOTS", "LABELS", "RESOURCES", "NODE"}};
  for (const Json& one : nodes_in(status)) {
    std::string labels;
    for (const Json& label : one.value("labels", Json::array()))
      labels +=
          (labels.empty() ? "" : ", ") + printable(label.get<std::string>());
    rows.push_back({text_of(one, "name"), text_of(one, "slots"), labels,
                    describe_resources(one.value("resources", Json::object())),
                    text_of(one, "node")});
  }
  add_states(rows, status);
  add_zones(rows, status);
  return render_rows(rows, table_style(context));
}

std::string ring_table(const QueueContext& context, const Json& status) {
  const auto all = status.value("shards", std::uint64_t{0});
  std::vector<TableRow> rows{{"NAME", "WEIGHT", "SHARDS", "SHARE"}};
  for (const Json& one : nodes_in(status)) {
    const auto shards = one.value("shards", std::uint64_t{0});
    rows.push_back({text_of(one, "name"), text_of(one, "weight"),
                    fmt::format("{}", shards),
                    all == 0 ? ""
                             : fmt::format("{:.1f} %",
                                           100.0 * static_cast<double>(shards) /
                                               static_cast<double>(all))});
  }
  return render_rows(rows, table_style(context)) +
         fmt::format(
             "view {}: {} shards; nobody has more than 5/4 of its "
             "share\n",
             text_of(status, "view"), all);
}

}  // namespace

int show_members(const QueueContext& context, const NodeOptions& node) {
  return print_status(context, node, [&](const Json& status) {
    return members_table(context, status);
  });
}

int show_nodes(const QueueContext& context, const NodeOptions& node) {
  return print_status(context, node, [&](const Json& status) {
    return nodes_table(context, status);
  });
}

int show_ring(const QueueContext& context, const NodeOptions& node) {
  return print_status(context, node, [&](const Json& status) {
    return ring_table(context, status);
  });
}

int show_owner(const QueueContext& context, const NodeOptions& node,
               const std::string& key) {
  const auto owner = ask(context, node, NodeMethod::get,
                         node_target({"cluster", "owner"}, {{"key", key}}));
  if (!owner)
    return node_failed(owner.error());
  if (node.json) {
    print_json(*owner);
    return exit_ok;
  }
  const std::string name = text_of(*owner, "name");
  write_out(fmt::format("shard {}: {}\n", text_of(*owner, "shard"),
                        !name.empty() ? name
                        : text_of(*owner, "node").empty()
                            ? "nobody yet"
                            : text_of(*owner, "node")));
  return exit_ok;
}

int examine_cluster(const QueueContext& context, const NodeOptions& node,
                    const Result<WallTime>& certificate_until) {
  const auto own = ask(context, node, NodeMethod::get, node_target({"node"}));
  if (!own)
    return node_failed(own.error());
  const auto cluster =
      ask(context, node, NodeMethod::get, node_target({"cluster"}));
  if (!cluster)
    return node_failed(cluster.error());
  const auto symptoms =
      diagnose(*own, *cluster, certificate_until, context.now());
  if (node.json) {
    Json list = Json::array();
    for (const Symptom& symptom : symptoms)
      list.push_back({{"health", to_string(symptom.health)},
                      {"what", to_utf8(symptom.what)}});
    print_json(list);
  } else {
    write_out(render_symptoms(symptoms));
  }
  const bool is_bad = std::any_of(
      symptoms.begin(), symptoms.end(),
      [](const Symptom& symptom) { return symptom.health == Health::bad; });
  return is_bad ? exit_failed : exit_ok;
}

/// `then` is what is going to happen.
int tell_member(const QueueContext& context, const NodeOptions& node,
                const std::string& what, Json body, const std::string& within,
                const std::string& then) {
  if (!within.empty()) {
    Duration limit{0};
    if (auto read = read_duration("--within", within, limit); !read)
      return usage_error("cluster", read.error().what);
    body["within_ms"] =
        std::chrono::ceil<std::chrono::milliseconds>(limit).count();
  }
  const auto told = ask(context, node, NodeMethod::post,
                        node_target({"cluster", what}), body);
  if (!told)
    return node_failed(told.error());
  complain(fmt::format("note: {}", then));
  return exit_ok;
}

int consent_to_evictions(const QueueContext& context, const NodeOptions& node,
                         const std::string& within) {
  return tell_member(context, node, "consent", Json::object(), within,
                     fmt::format("for {}, this node does not wait before it "
                                 "takes over what nodes had that are gone",
                                 within.empty() ? "5m" : printable(within)));
}

int drain_member(const QueueContext& context, const NodeOptions& node,
                 const std::string& name, const std::string& within) {
  Json body = Json::object();
  if (!name.empty())
    body["node"] = to_utf8(name);
  return tell_member(
      context, node, "drain", std::move(body), within,
      fmt::format(
          "{} begins nothing more, and ends when what it has begun has "
          "ended{}",
          name.empty() ? "this node" : printable(name),
          within.empty() ? "" : fmt::format(", or in {}", printable(within))));
}

}  // namespace troupe::cli
