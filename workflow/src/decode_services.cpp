#include "decode_services.hpp"

#include "probe_address.hpp"
#include "text_decoder.hpp"

#include <troupe/base/quantity.hpp>
#include <troupe/base/signal_name.hpp>
#include <troupe/base/suggest.hpp>
#include <troupe/base/text.hpp>
#include <troupe/workflow/keywords.hpp>

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <limits>
#include <map>
#include <string_view>
#include <utility>

namespace troupe::workflow {
namespace {

using config::Diagnostics;
using config::Entry;
using config::Fields;
using config::Node;
using supervisor::AutoShutdown;
using supervisor::Backoff;
using supervisor::OnGiveUp;
using supervisor::Restart;

constexpr std::uint32_t most_restarts = 1'000'000;
constexpr std::uint32_t most_replicas = 1000;
constexpr std::size_t most_services = 5000;
constexpr std::size_t most_levels = 16;
constexpr std::uint32_t most_failures = 1000;
constexpr std::uint32_t most_old_logs = 1000;

/// Something that has to come first.
struct Dependency {
  std::string name;
  config::Span where;
  bool finished = false;  ///< Has to have ended successfully.
};

/// What children get from the groups around them.
struct Around {
  std::vector<std::string> shell;
  Template working_directory;
  std::vector<NamedTemplate> env;
  std::vector<std::string> dotenv;
  std::optional<Backoff> backoff;
};

class ServicesDecoder : TextDecoder {
 public:
  using TextDecoder::TextDecoder;

  ServiceGroup run(const Entry& entry, Around around) {
    Fields fields = open(entry.value, "services");
    ServiceGroup group = read_group(fields, entry.value, std::move(around), 1);
    group.where = entry.where;
    fields.finish();
    return group;
  }

 private:
  /// The names that a child can depend on: those beside it, and beside the
  /// groups around it.
  struct Level {
    std::map<std::string_view, std::size_t> index;
    std::vector<std::vector<std::size_t>>
        after;  ///< By child: who comes first.
    std::vector<std::vector<std::string>> after_names;  ///< The same.
    std::size_t current = 0;
    /// Children that others want to have finished, and where they say so.
    std::map<std::size_t, config::Span> preparations;
  };

  ServiceGroup read_group(Fields& fields, const Node& node, Around around,
                          std::size_t depth) {
    ServiceGroup group;
    if (depth > most_levels) {
      diagnostics_.add(
          node.where,
          fmt::format("groups nested more than {} deep", most_levels));
      return group;
    }
    read_restart_rules(fields, "services", most_restarts, group.strategy,
                       group.intensity, group.period);
    read_word(fields, "on-give-up", group.on_give_up,
              {OnGiveUp::escalate, OnGiveUp::hold, OnGiveUp::stop});
    read_positive(fields, "hold-for", group.hold_for);
    read_word(fields, "auto-shutdown", group.auto_shutdown,
              {AutoShutdown::never, AutoShutdown::any_significant,
               AutoShutdown::all_significant});
    read_around(fields, around);

    const Entry* const children = fields.take("children");
    const Entry* const replica = fields.take("template");
    read_replicas(fields.take("replicas"), replica, group);
    if (children != nullptr && replica != nullptr)
      diagnostics_.add(replica->where,
                       "\"children\" and \"template\" exclude each other");
    if (replica != nullptr) {
      read_template_service(*replica, around, group);
    } else if (children != nullptr) {
      read_children(*children, around, group, depth);
    } else if (node.kind == Node::Kind::mapping) {
      diagnostics_.add(node.where, "services need \"children\"",
                       "services: {children: {web: {run: ...}}}");
    }
    return group;
  }

  void read_around(Fields& fields, Around& around) {
    if (const Entry* const shell = fields.take("shell"))
      read_shell(shell->value, around.shell);
    if (const Entry* const folder = fields.take("working-directory"))
      around.working_directory =
          read_template(folder->value, "working-directory");
    for (NamedTemplate& variable : read_env(fields.take("env")))
      around.env.push_back(std::move(variable));
    std::vector<std::string> files;
    fields.read("dotenv", files);
    around.dotenv.insert(around.dotenv.end(), files.begin(), files.end());
    read_backoff(fields.take("backoff"), around.backoff);
  }

  void read_replicas(const Entry* entry, const Entry* replica,
                     ServiceGroup& group) {
    if (entry == nullptr)
      return;
    if (replica == nullptr) {
      diagnostics_.add(entry->where, "\"replicas\" needs a \"template\"");
      return;
    }
    if (entry->value.kind == Node::Kind::mapping) {
      Fields parts = open(entry->value, "replicas");
      parts.read("min", group.replicas, 0, most_replicas);
      group.most_replicas = std::max(group.replicas, 1U);
      parts.read("max", group.most_replicas, 1, most_replicas);
      parts.finish();
      if (group.most_replicas < group.replicas)
        diagnostics_.add(entry->value.where, "replicas: max is less than min");
      return;
    }
    const auto count = config::to_count(entry->value, "replicas", 0,
                                        most_replicas, diagnostics_);
    group.replicas = static_cast<std::uint32_t>(count.value_or(1));
    group.most_replicas = most_replicas;
  }

  void read_template_service(const Entry& entry, const Around& around,
                             ServiceGroup& group) {
    Fields fields = open(entry.value, "template");
    Around own = around;
    read_around(fields, own);
    group.replica = read_service(fields, entry.value, own);
    read_restart(fields, group.replica_restart);
    fields.finish();
    group.replica_backoff = own.backoff;
    count_services(group.replicas, entry.where);
  }

  void read_children(const Entry& entry, const Around& around,
                     ServiceGroup& group, std::size_t depth) {
    if (entry.value.kind != Node::Kind::mapping ||
        entry.value.entries.empty()) {
      config::report_expected(entry.value, "children",
                              "a map with at least one service", diagnostics_);
      return;
    }
    Level level;
    for (const Entry& child : entry.value.entries)
      level.index.emplace(child.key, level.index.size());
    level.after.resize(entry.value.entries.size());
    level.after_names.resize(entry.value.entries.size());
    group.children.reserve(entry.value.entries.size());
    levels_.push_back(&level);
    for (const Entry& child : entry.value.entries) {
      level.current = group.children.size();
      group.children.push_back(
          read_child(child, around, group.auto_shutdown, depth));
    }
    levels_.pop_back();
    for (const auto& [i, where] : level.preparations)
      mark_preparation(group.children[i], where);
    for (std::size_t i = 0; i < group.children.size(); ++i)
      group.children[i].after = std::move(level.after_names[i]);
    sort(level, group);
  }

  ServiceNode read_child(const Entry& entry, const Around& around,
                         AutoShutdown auto_shutdown, std::size_t depth) {
    ServiceNode node;
    node.id = entry.key;
    node.where = entry.where;
    check_name("the name of a service", node.id, node.where);
    const bool is_group = entry.value.find("children") != nullptr ||
                          entry.value.find("template") != nullptr;
    Fields fields = open(entry.value, is_group ? "group" : "service");
    read_restart(fields, node.restart);
    fields.read("significant", node.significant);
    check_significant(node, auto_shutdown);
    for (const Dependency& dependency : read_dependencies(fields))
      resolve(dependency, node);
    Around own = around;
    if (is_group) {
      node.group = read_group(fields, entry.value, own, depth + 1);
      node.group->where = entry.where;
      node.backoff = around.backoff;
    } else {
      read_around(fields, own);
      node.backoff = own.backoff;
      node.service = read_service(fields, entry.value, own);
      count_services(1, entry.where);
    }
    fields.finish();
    return node;
  }

  void check_significant(const ServiceNode& node, AutoShutdown auto_shutdown) {
    if (!node.significant)
      return;
    if (node.restart == Restart::permanent)
      diagnostics_.add(node.where,
                       fmt::format("{} is significant, but is always restarted",
                                   in_quotes(node.id)),
                       "restart: transient");
    else if (auto_shutdown == AutoShutdown::never)
      diagnostics_.add(node.where,
                       fmt::format("{} is significant, which means nothing "
                                   "without \"auto-shutdown\" around it",
                                   in_quotes(node.id)),
                       "auto-shutdown: any");
  }

  ServiceText read_service(Fields& fields, const Node& node,
                           const Around& around) {
    ServiceText service;
    service.shell = around.shell;
    service.working_directory = around.working_directory;
    service.env = around.env;
    service.dotenv = around.dotenv;
    if (const Entry* const run = fields.take("run"))
      service.run = read_run(*run, service.shell);
    else if (node.kind == Node::Kind::mapping)
      diagnostics_.add(node.where, "a service needs \"run\"");
    service.ready = read_probe(fields.take("ready"), "ready", service.shell);
    service.live = read_probe(fields.take("live"), "live", service.shell);
    fields.read("watchdog", service.watchdog);
    fields.read("success-exit-codes", service.success_exit_codes, 0, 255);
    read_shutdown(fields.take("shutdown"), service);
    read_limits(fields.take("limits"), service);
    read_log(fields.take("log"), service.log);
    read_watch(fields.take("watch"), service);
    return service;
  }

  std::optional<ProbeText> read_probe(const Entry* entry, std::string_view name,
                                      const std::vector<std::string>& shell) {
    if (entry == nullptr)
      return std::nullopt;
    ProbeText probe;
    Fields fields = open(entry->value, name);
    std::size_t kinds = 0;
    const auto take = [&](std::string_view keyword, ProbeText::Kind kind) {
      const Entry* const found = fields.take(keyword);
      if (found == nullptr)
        return;
      if (kind == ProbeText::Kind::notify) {
        if (!config::to_bool(found->value, keyword, diagnostics_)
                 .value_or(true))
          return;
      } else if (kind == ProbeText::Kind::exec) {
        probe.text = read_run(*found, shell, keyword);
      } else {
        probe.text = read_template(found->value, keyword);
        check_address(found->value, keyword, kind);
      }
      ++kinds;
      probe.kind = kind;
    };
    take("exec", ProbeText::Kind::exec);
    take("http", ProbeText::Kind::http);
    take("tcp", ProbeText::Kind::tcp);
    if (name == "ready") {
      take("log", ProbeText::Kind::log);
      take("notify", ProbeText::Kind::notify);
    }
    read_optional(fields, "delay", probe.delay);
    read_optional_positive(fields, "period", probe.period);
    read_optional_positive(fields, "timeout", probe.limit);
    if (name == "live") {
      std::uint32_t failures = 0;
      fields.read("failures", failures, 1, most_failures);
      if (failures != 0)
        probe.failures = failures;
    }
    fields.finish();
    if (entry->value.kind == Node::Kind::mapping && kinds != 1) {
      diagnostics_.add(
          entry->value.where,
          fmt::format("{}: expected exactly one of exec, http{}", name,
                      name == "ready" ? ", tcp, log and notify" : " and tcp"));
      return std::nullopt;
    }
    return probe;
  }

  /// What has no expressions in it need not wait until it is used.
  void check_address(const Node& node, std::string_view keyword,
                     ProbeText::Kind kind) {
    if (node.kind != Node::Kind::scalar ||
        node.text.find("${{") != std::string::npos)
      return;
    std::optional<Error> error;
    if (kind == ProbeText::Kind::http) {
      if (auto url = parse_url(node.text); !url)
        error = std::move(url.error());
    } else if (kind == ProbeText::Kind::tcp) {
      if (auto address = parse_address(node.text); !address)
        error = std::move(address.error());
    }
    if (error)
      diagnostics_.add(node.where, fmt::format("{}: {}", keyword, error->what));
  }

  void read_optional(Fields& fields, std::string_view keyword,
                     std::optional<Duration>& out) {
    if (const Entry* const entry = fields.take(keyword))
      out = config::to_duration(entry->value, keyword, diagnostics_);
  }

  void read_optional_positive(Fields& fields, std::string_view keyword,
                              std::optional<Duration>& out) {
    if (fields.take(keyword) == nullptr)
      return;
    Duration value = 1s;
    read_positive(fields, keyword, value);
    out = value;
  }

  void read_shutdown(const Entry* entry, ServiceText& service) {
    if (entry == nullptr)
      return;
    if (entry->value.kind != Node::Kind::mapping) {
      if (entry->value.text == "brutal-kill" ||
          entry->value.text == "brutal_kill") {
        service.stop_limit = Duration{0};
        return;
      }
      service.stop_limit =
          config::to_duration(entry->value, "shutdown", diagnostics_)
              .value_or(service.stop_limit);
      return;
    }
    Fields fields = open(entry->value, "shutdown");
    if (const Entry* const signal = fields.take("signal")) {
      const auto text = config::to_text(signal->value, "signal", diagnostics_);
      const auto number = text ? parse_signal(*text) : std::nullopt;
      if (number)
        service.stop_signal = *number;
      else if (text)
        config::report_expected(signal->value, "signal",
                                "a signal such as SIGINT", diagnostics_);
    }
    fields.read("timeout", service.stop_limit);
    fields.finish();
  }

  void read_limits(const Entry* entry, ServiceText& service) {
    if (entry == nullptr)
      return;
    Fields fields = open(entry->value, "limits");
    const auto size = [&](std::string_view keyword,
                          std::optional<std::uint64_t>& out) {
      if (const Entry* const found = fields.take(keyword))
        out = config::to_size(found->value, keyword, diagnostics_);
    };
    const auto count = [&](std::string_view keyword,
                           std::optional<std::uint64_t>& out) {
      if (const Entry* const found = fields.take(keyword))
        out = config::to_count(found->value, keyword, 1,
                               std::numeric_limits<std::int64_t>::max(),
                               diagnostics_);
    };
    size("memory", service.tree_limits.memory_bytes);
    count("tasks", service.tree_limits.tasks);
    if (const Entry* const cpu = fields.take("cpu"))
      service.tree_limits.cpu_percent = read_percent(cpu->value, "cpu");
    size("file-size", service.limits.file_size_bytes);
    count("files", service.limits.open_files);
    count("processes", service.limits.processes);
    fields.finish();
  }

  std::optional<std::uint64_t> read_percent(const config::Node& node,
                                            std::string_view name) {
    constexpr std::uint64_t most = 1'000'000;
    std::string_view text = node.text;  // Empty unless it is a scalar.
    if (text.ends_with('%')) {
      text.remove_suffix(1);
      const auto value = parse_count(text);
      if (value && *value >= 1 && *value <= most)
        return *value;
    }
    config::report_expected(node, name, "a whole percentage such as 150%",
                            diagnostics_);
    return std::nullopt;
  }

  void read_log(const Entry* entry, service::LogLimits& log) {
    if (entry == nullptr)
      return;
    Fields fields = open(entry->value, "log");
    if (const Entry* const size = fields.take("size")) {
      constexpr std::uint64_t least_bytes = 4 << 10;
      const auto bytes = config::to_size(size->value, "size", diagnostics_);
      if (bytes && *bytes < least_bytes)
        diagnostics_.add(size->value.where, "size: must be at least 4KiB");
      log.bytes = bytes.value_or(log.bytes);
    }
    fields.read("count", log.older, 0, most_old_logs);
    fields.finish();
  }

  void read_watch(const Entry* entry, ServiceText& service) {
    if (entry == nullptr)
      return;
    if (entry->value.kind != Node::Kind::mapping) {
      config::report_expected(entry->value, "watch",
                              "a map such as {paths: [bin/api]}", diagnostics_);
      return;
    }
    service::WatchedFiles watch;
    Fields fields = open(entry->value, "watch");
    fields.read("paths", watch.paths);
    fields.read("exclude", watch.exclude);
    fields.read("debounce", watch.debounce);
    fields.finish();
    if (watch.paths.empty())
      diagnostics_.add(entry->value.where, "\"watch\" needs \"paths\"");
    if (watch.debounce > 1h)
      diagnostics_.add(entry->value.where, "debounce: must be at most 1h");
    service.watch = std::move(watch);
  }

  void read_backoff(const Entry* entry, std::optional<Backoff>& out) {
    if (entry == nullptr)
      return;
    Backoff backoff;
    Fields fields = open(entry->value, "backoff");
    read_positive(fields, "min", backoff.min);
    read_positive(fields, "max", backoff.max);
    fields.read("factor", backoff.factor, 1, 1000);
    fields.read("jitter", backoff.jitter, 0, 1);
    fields.read("reset-after", backoff.reset_after);
    fields.finish();
    if (backoff.max < backoff.min)
      diagnostics_.add(entry->value.where, "backoff: max is less than min");
    else
      out = backoff;
  }

  void read_restart(Fields& fields, Restart& restart) {
    read_word(fields, "restart", restart,
              {Restart::permanent, Restart::transient, Restart::temporary,
               Restart::permanent, Restart::transient, Restart::temporary});
  }

  // -- What comes first ------------------------------------------------------

  std::vector<Dependency> read_dependencies(Fields& fields) {
    std::vector<Dependency> out;
    const Entry* const entry = fields.take("depends-on");
    if (entry == nullptr)
      return out;
    const Node& node = entry->value;
    if (node.kind == Node::Kind::mapping) {
      for (const Entry& item : node.entries) {
        Dependency dependency{item.key, item.where};
        enum class Until : std::uint8_t { started, ready, finished };
        Until until = Until::ready;
        to_word(item.value, fields.keyword("depends-on"), until,
                {Until::ready, Until::started, Until::finished});
        dependency.finished = until == Until::finished;
        out.push_back(std::move(dependency));
      }
    } else if (node.kind == Node::Kind::sequence) {
      for (const Node& item : node.items) {
        if (auto name = config::to_text(item, "depends-on", diagnostics_))
          out.push_back({std::move(*name), item.where});
      }
    } else if (auto name = config::to_text(node, "depends-on", diagnostics_)) {
      out.push_back({std::move(*name), node.where});
    }
    return out;
  }

  /// Notes that the child that is being read comes after another one: beside
  /// it, or beside one of the groups that it is in.
  void resolve(const Dependency& dependency, const ServiceNode& node) {
    std::vector<std::string_view> known;
    for (auto level = levels_.rbegin(); level != levels_.rend(); ++level) {
      const auto found = (*level)->index.find(dependency.name);
      for (const auto& [name, index] : (*level)->index)
        known.push_back(name);
      if (found == (*level)->index.end())
        continue;
      if (found->second == (*level)->current) {
        diagnostics_.add(
            dependency.where,
            level == levels_.rbegin()
                ? fmt::format("{} cannot depend on itself", in_quotes(node.id))
                : fmt::format("{} is in {} and cannot depend on "
                              "it",
                              in_quotes(node.id), in_quotes(dependency.name)));
        return;
      }
      (*level)->after[(*level)->current].push_back(found->second);
      (*level)->after_names[(*level)->current].push_back(dependency.name);
      if (dependency.finished)
        (*level)->preparations.emplace(found->second, dependency.where);
      return;
    }
    diagnostics_.add(
        dependency.where,
        fmt::format("unknown service {} in \"depends-on\" of {}",
                    in_quotes(dependency.name), in_quotes(node.id)),
        config::did_you_mean(dependency.name, known));
  }

  void mark_preparation(ServiceNode& node, config::Span where) {
    node.is_preparation = true;
    if (node.group)
      diagnostics_.add(where,
                       fmt::format("{} is a group, which does not finish",
                                   in_quotes(node.id)));
    else if (node.restart == Restart::permanent)
      diagnostics_.add(where,
                       fmt::format("{} is always restarted, so it never "
                                   "finishes",
                                   in_quotes(node.id)),
                       "restart: transient");
  }

  /// Puts each child behind those that it depends on, and otherwise keeps the
  /// order of the file.
  void sort(const Level& level, ServiceGroup& group) {
    std::vector<std::size_t> order;
    std::vector<bool> placed(group.children.size());
    while (order.size() < group.children.size()) {
      const std::size_t before = order.size();
      for (std::size_t i = 0; i < group.children.size(); ++i) {
        const bool may =
            !placed[i] &&
            std::all_of(level.after[i].begin(), level.after[i].end(),
                        [&](std::size_t j) { return placed[j]; });
        if (!may)
          continue;
        placed[i] = true;
        order.push_back(i);
        break;  // From the start again: an earlier one may be free now.
      }
      if (order.size() == before) {
        report_cycle(level, group, placed);
        return;
      }
    }
    std::vector<ServiceNode> sorted;
    sorted.reserve(order.size());
    for (const std::size_t i : order)
      sorted.push_back(std::move(group.children[i]));
    group.children = std::move(sorted);
  }

  void report_cycle(const Level& level, const ServiceGroup& group,
                    const std::vector<bool>& placed) {
    // Whoever is left waits for somebody who is left.
    std::size_t at = 0;
    while (placed[at])
      ++at;
    std::vector<std::size_t> path;
    while (std::find(path.begin(), path.end(), at) == path.end()) {
      path.push_back(at);
      at = *std::find_if(level.after[at].begin(), level.after[at].end(),
                         [&](std::size_t j) { return !placed[j]; });
    }
    path.erase(path.begin(), std::find(path.begin(), path.end(), at));
    path.push_back(at);
    std::vector<std::string> names;
    names.reserve(path.size());
    for (const std::size_t i : path)
      names.push_back(group.children[i].id);
    diagnostics_.add(group.children[path.front()].where,
                     fmt::format("services depend on each other in a cycle: {}",
                                 fmt::join(names, " -> ")));
  }

  void count_services(std::size_t more, config::Span where) {
    services_ += more;
    if (services_ > most_services && services_ - more <= most_services)
      diagnostics_.add(where,
                       fmt::format("more than {} services", most_services));
  }

  std::vector<Level*> levels_;
  std::size_t services_ = 0;
};

}  // namespace

ServiceGroup decode_services(const Entry& entry,
                             const std::vector<std::string>& shell,
                             const Template& working_directory,
                             Diagnostics& diagnostics) {
  Around around;
  around.shell = shell;
  around.working_directory = working_directory;
  return ServicesDecoder{diagnostics}.run(entry, std::move(around));
}

}  // namespace troupe::workflow
