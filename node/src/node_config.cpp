#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/config/document.hpp>
#include <troupe/config/fields.hpp>
#include <troupe/link/link_address.hpp>
#include <troupe/node/node_config.hpp>
#include <troupe/queue/labels.hpp>
#include <troupe/store/postgres_uri.hpp>

#include <boost/asio/ip/address.hpp>

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <map>
#include <utility>

namespace troupe::node {
namespace {

using config::Diagnostics;
using config::Entry;
using config::Fields;
using config::Keyword;
using config::Node;
using config::Section;
using config::Type;

constexpr std::uint32_t most_slots = 100'000;
constexpr std::uint64_t most_count = std::uint64_t{1} << 53;

constexpr std::array<Keyword, 34> keywords{{
    {"folder", Type::text, "Where jobs and their output are kept."},
    {"socket", Type::text, "The unix socket that clients connect to."},
    {"store", Type::text, "A database that keeps the jobs instead of a file."},
    {"store-password-file", Type::text, "What has its password in it."},
    {"workflow-folder", Type::text, "Workflows whose triggers are armed."},
    {"webhook-listen", Type::text, "Where webhooks are listened for."},
    {"socket-group", Type::text, "A group that may connect, too."},
    {"socket-group-role", Type::text, "What it may: read, operate or admin."},
    {"allow-root", Type::boolean, "The node, and its commands, may be root."},
    {"no-new-privileges", Type::boolean, "No command gets more rights."},
    {"listen", Type::text, "Where other nodes of the cluster may connect."},
    {"cluster-folder", Type::text, "What this host proves who it is by."},
    {"lease-time", Type::duration, "How long a node may not reach the store."},
    {"slots", Type::count, "Tasks that the group default runs at once."},
    {"most-running", Type::count, "Tasks of all groups that run at once."},
    {"resources", Type::custom, "What tasks can take, by name."},
    {"labels", Type::texts, "What a task that wants it finds here."},
    {"zone", Type::text, "What fails together with this node, such as a site."},
    {"memory-reserve", Type::size, "Memory that is to stay free."},
    {"max-load", Type::number, "Starts nothing that raises the load above it."},
    {"queue-limit", Type::count, "Tasks that may wait."},
    {"requests-per-second", Type::count, "Of each user."},
    {"output-limit", Type::size, "Output that is kept of an attempt."},
    {"output-total", Type::size, "Output that is kept of all jobs."},
    {"disk-reserve", Type::size, "Space on the disk that is to stay free."},
    {"keep-jobs", Type::count, "Jobs that are kept after their end."},
    {"keep-age", Type::duration, "How long jobs are kept after their end."},
    {"keep-failed-age", Type::duration, "The same for jobs that have failed."},
    {"on-stop", Type::text, "What becomes of what runs: end or keep."},
    {"stop-time", Type::duration, "How long the end of the node may take."},
    {"orphan-time", Type::duration, "How long commands run on without a node."},
    {"log-file", Type::text, "Where the node logs to."},
    {"log-size", Type::size, "When that file is rotated."},
    {"log-files", Type::count, "How many of them are kept."},
}};

const Section section{"node", "the configuration of a node", keywords};

void read_size(Fields& fields, std::string_view name, std::uint64_t& out) {
  const Entry* const entry = fields.take(name);
  if (entry == nullptr)
    return;
  if (const auto size =
          config::to_size(entry->value, name, fields.diagnostics()))
    out = *size;
}

void read_count(Fields& fields, std::string_view name, std::uint64_t& out) {
  const Entry* const entry = fields.take(name);
  if (entry == nullptr)
    return;
  if (const auto count = config::to_count(entry->value, name, 0, most_count,
                                          fields.diagnostics()))
    out = *count;
}

/// One of a few words.
template <class Value>
void read_word(Fields& fields, std::string_view name,
               const std::vector<std::pair<std::string_view, Value>>& words,
               Value& out) {
  const Entry* const entry = fields.take(name);
  if (entry == nullptr)
    return;
  const auto text = config::to_text(entry->value, name, fields.diagnostics());
  if (!text)
    return;
  std::string known;
  for (const auto& [word, value] : words) {
    if (*text == word) {
      out = value;
      return;
    }
    known += fmt::format("{}{}", known.empty() ? "" : ", ", word);
  }
  config::report_expected(entry->value, name, "one of " + known,
                          fields.diagnostics());
}

void read_resources(Fields& fields, flow_control::Resources& out) {
  const Entry* const entry = fields.take("resources");
  if (entry == nullptr)
    return;
  Diagnostics& diagnostics = fields.diagnostics();
  if (entry->value.kind != Node::Kind::mapping) {
    config::report_expected(entry->value, "resources",
                            "names with amounts, such as gpu: 2", diagnostics);
    return;
  }
  for (const Entry& item : entry->value.entries) {
    const auto one = flow_control::Resources::parse(
        fmt::format("{}={}", item.key, item.value.text));
    if (one)
      out.give_back(*one);
    else
      diagnostics.add(item.where, one.error().what);
  }
}

void read_labels(Fields& fields, std::vector<std::string>& out) {
  const Entry* const entry = fields.take("labels");
  if (entry == nullptr)
    return;
  Diagnostics& diagnostics = fields.diagnostics();
  if (entry->value.kind != Node::Kind::sequence) {
    config::report_expected(entry->value, "labels", "a list such as [gpu, ssd]",
                            diagnostics);
    return;
  }
  out.clear();
  for (const Node& item : entry->value.items) {
    if (auto checked = queue::check_label(item.text); checked)
      out.push_back(item.text);
    else
      diagnostics.add(item.where, std::move(checked.error().what));
  }
}

/// It is a label as well: zone-NAME.
void read_zone(Fields& fields, std::string& out) {
  const Entry* const entry = fields.take("zone");
  if (entry == nullptr)
    return;
  const auto zone = config::to_text(entry->value, "zone", fields.diagnostics());
  if (!zone)
    return;
  if (zone->empty() || queue::check_label(queue::label_of_zone(*zone)))
    out = *zone;
  else
    config::report_expected(
        entry->value, "zone",
        "up to 24 letters, digits, _ and -, such as rome or eu-1",
        fields.diagnostics());
}

void require_absolute(const Node& root, std::string_view name,
                      const std::string& path, Diagnostics& diagnostics) {
  const Node* const node = root.find(name);
  if (node != nullptr && !path.empty() && !path.starts_with('/'))
    config::report_expected(*node, name, "a path that begins with /",
                            diagnostics);
}

/// What stands there may be a password, so the line is not shown.
void check_store(const Node& root, const NodeConfig& config,
                 Diagnostics& diagnostics) {
  const Node* const node = root.find("store");
  if (node != nullptr && !config.store.empty()) {
    if (const auto checked = store::check_postgres_uri(config.store); !checked)
      diagnostics.add({}, fmt::format("line {}: store: {}", node->where.line,
                                      checked.error().what));
  }
  const Node* const file = root.find("store-password-file");
  if (file != nullptr && !config.store_password_file.empty() &&
      config.store.empty())
    diagnostics.add(file->where,
                    "store-password-file: there is no store that wants one");
}

NodeConfig decode(const Node& root, NodeConfig decoded,
                  Diagnostics& diagnostics) {
  Fields fields{root, section, diagnostics};
  fields.read("folder", decoded.folder);
  fields.read("socket", decoded.socket);
  fields.read("store", decoded.store);
  fields.read("store-password-file", decoded.store_password_file);
  fields.read("workflow-folder", decoded.workflow_folder);
  fields.read("webhook-listen", decoded.webhook_listen);
  fields.read("socket-group", decoded.socket_group);
  read_word<api::Role>(fields, "socket-group-role",
                       {{"read", api::Role::read},
                        {"operate", api::Role::operate},
                        {"admin", api::Role::admin}},
                       decoded.socket_group_role);
  fields.read("allow-root", decoded.allow_root);
  fields.read("no-new-privileges", decoded.no_new_privileges);
  fields.read("listen", decoded.listen);
  fields.read("cluster-folder", decoded.cluster_folder);
  fields.read("lease-time", decoded.lease_time);
  fields.read("slots", decoded.slots, 0, most_slots);
  fields.read("most-running", decoded.most_running, 1, most_slots);
  read_resources(fields, decoded.resources);
  read_labels(fields, decoded.labels);
  read_zone(fields, decoded.zone);
  read_size(fields, "memory-reserve", decoded.memory_reserve);
  fields.read("max-load", decoded.max_load, 0, 1e6);
  read_count(fields, "queue-limit", decoded.queue_limit);
  fields.read("requests-per-second", decoded.requests_per_second, 0, 1'000'000);
  read_size(fields, "output-limit", decoded.output_limit);
  read_size(fields, "output-total", decoded.output_total);
  read_size(fields, "disk-reserve", decoded.disk_reserve);
  read_count(fields, "keep-jobs", decoded.keep_jobs);
  fields.read("keep-age", decoded.keep_age);
  fields.read("keep-failed-age", decoded.keep_failed_age);
  read_word<OnStop>(fields, "on-stop",
                    {{"end", OnStop::end}, {"keep", OnStop::keep}},
                    decoded.on_stop);
  fields.read("stop-time", decoded.stop_time);
  fields.read("orphan-time", decoded.orphan_time);
  fields.read("log-file", decoded.log_file);
  read_size(fields, "log-size", decoded.log_size);
  fields.read("log-files", decoded.log_files, 1, 100);
  fields.finish();
  require_absolute(root, "folder", decoded.folder, diagnostics);
  require_absolute(root, "socket", decoded.socket, diagnostics);
  if (!decoded.webhook_listen.empty()) {
    const auto address = parse_loopback(decoded.webhook_listen);
    const Node* const node = root.find("webhook-listen");
    if (!address && node != nullptr)
      diagnostics.add(node->where, address.error().what);
  }
  require_absolute(root, "workflow-folder", decoded.workflow_folder,
                   diagnostics);
  if (!decoded.listen.empty()) {
    const auto checked = check_listen(decoded.listen);
    const Node* const node = root.find("listen");
    if (!checked && node != nullptr)
      diagnostics.add(node->where, checked.error().what);
  }
  if (decoded.lease_time < shortest_lease ||
      decoded.lease_time > longest_lease) {
    const Node* const node = root.find("lease-time");
    if (node != nullptr)
      config::report_expected(*node, "lease-time", "a duration from 10s to 1h",
                              diagnostics);
  }
  require_absolute(root, "cluster-folder", decoded.cluster_folder, diagnostics);
  require_absolute(root, "log-file", decoded.log_file, diagnostics);
  require_absolute(root, "store-password-file", decoded.store_password_file,
                   diagnostics);
  check_store(root, decoded, diagnostics);
  return decoded;
}

std::string_view name_of(OnStop on_stop) {
  switch (on_stop) {
    case OnStop::end:
      return "end";
    case OnStop::keep:
      return "keep";
  }
  return "end";
}

/// The values in the order of `keywords`.
std::vector<std::string> values_of(const NodeConfig& c) {
  const auto size = [](std::uint64_t bytes) {
    constexpr std::uint64_t mib = std::uint64_t{1} << 20;
    return bytes % mib == 0 && bytes != 0 ? fmt::format("{}MiB", bytes / mib)
                                          : fmt::format("{}", bytes);
  };
  const auto number = [](auto value) { return fmt::format("{}", value); };
  return {c.folder,
          c.socket,
          c.store,
          c.store_password_file,
          c.workflow_folder,
          c.webhook_listen,
          c.socket_group,
          std::string{to_string(c.socket_group_role)},
          number(c.allow_root),
          number(c.no_new_privileges),
          c.listen,
          c.cluster_folder,
          format_duration(c.lease_time),
          number(c.slots),
          number(c.most_running),
          c.resources.text(),
          fmt::format("[{}]", fmt::join(c.labels, ", ")),
          c.zone,
          size(c.memory_reserve),
          number(c.max_load),
          number(c.queue_limit),
          number(c.requests_per_second),
          size(c.output_limit),
          size(c.output_total),
          size(c.disk_reserve),
          number(c.keep_jobs),
          format_duration(c.keep_age),
          format_duration(c.keep_failed_age),
          std::string{name_of(c.on_stop)},
          format_duration(c.stop_time),
          format_duration(c.orphan_time),
          c.log_file,
          size(c.log_size),
          number(c.log_files)};
}

std::vector<Setting> settings_of(const NodeConfig& config, const Node& root,
                                 std::string_view file) {
  std::vector<Setting> settings;
  auto values = values_of(config);
  for (std::size_t i = 0; i < keywords.size(); ++i) {
    std::string origin = "default";
    for (const Entry& entry : root.entries) {
      if (section.find(entry.key) == &keywords[i])
        origin = fmt::format("{}:{}", file, entry.where.line);
    }
    settings.push_back({keywords[i].name, std::move(values[i]),
                        std::move(origin), keywords[i].doc});
  }
  return settings;
}

NodeConfig with(const ConfigDefaults& defaults) {
  NodeConfig config;
  config.folder = defaults.folder;
  config.socket = defaults.socket;
  config.workflow_folder = defaults.workflow_folder;
  config.cluster_folder = defaults.cluster_folder;
  return config;
}

}  // namespace

Result<LoopbackAddress> parse_loopback(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  const auto port = colon == std::string::npos
                        ? parse_count("")
                        : parse_count(text.substr(colon + 1));
  std::string host = text.substr(0, std::min(colon, text.size()));
  if (host.starts_with('[') && host.ends_with(']'))
    host = host.substr(1, host.size() - 2);
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(host, error);
  if (error || !port || *port > UINT16_MAX)
    return failure(Errc::invalid_argument,
                   fmt::format("webhook-listen: expected an address such as "
                               "127.0.0.1:4100, got \"{}\"",
                               printable(text)));
  if (!address.is_loopback())
    return failure(Errc::invalid_argument,
                   fmt::format("webhook-listen: {} can be reached from "
                               "outside; listen on 127.0.0.1 and put a proxy "
                               "that speaks TLS before it",
                               printable(host)));
  return LoopbackAddress{host, static_cast<std::uint16_t>(*port)};
}

Result<void> check_listen(const std::string& text) {
  const auto address = link::parse_link_address(text);
  if (address && is_ip(*address))
    return {};
  return failure(Errc::invalid_argument,
                 fmt::format("listen: expected an address of this host such as "
                             "192.0.2.7:4200 or [::]:4200, got \"{}\"",
                             printable(text)));
}

Result<LoadedConfig> load_config(std::shared_ptr<const config::Source> source,
                                 const ConfigDefaults& defaults) {
  Diagnostics diagnostics{source};
  const auto document = config::read_yaml(source, diagnostics);
  if (!document)
    return tl::unexpected(diagnostics.error());
  Node root = document->root;
  if (root.kind == Node::Kind::null)
    root.kind = Node::Kind::mapping;
  LoadedConfig loaded;
  loaded.config = decode(root, with(defaults), diagnostics);
  if (diagnostics.errors() != 0)
    return tl::unexpected(diagnostics.error());
  loaded.settings = settings_of(loaded.config, root, source->name());
  return loaded;
}

LoadedConfig default_config(const ConfigDefaults& defaults) {
  NodeConfig config = with(defaults);
  auto settings = settings_of(config, Node{}, "");
  return {std::move(config), std::move(settings)};
}

Result<void> check_user(const NodeConfig& config, uid_t user) {
  if (user != 0 || config.allow_root)
    return {};
  return failure(Errc::permission_denied,
                 "this node would be root, and so would each command that is "
                 "submitted; start it as another user, or say allow-root: true "
                 "in its configuration");
}

std::vector<std::string_view> need_restart(const NodeConfig& now,
                                           const NodeConfig& next) {
  const auto before = values_of(now);
  const auto after = values_of(next);
  constexpr std::array<std::string_view, 10> live{
      "slots",        "queue-limit",  "requests-per-second",
      "output-total", "disk-reserve", "keep-jobs",
      "keep-age",     "on-stop",      "keep-failed-age",
      "stop-time"};
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < keywords.size(); ++i) {
    if (before[i] != after[i] &&
        std::find(live.begin(), live.end(), keywords[i].name) == live.end())
      names.push_back(keywords[i].name);
  }
  return names;
}

}  // namespace troupe::node
