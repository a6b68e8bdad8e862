#include "command_argv.hpp"
#include "probe_address.hpp"

#include <troupe/base/overload.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/config/dotenv.hpp>
#include <troupe/workflow/services.hpp>
#include <troupe/workflow/value.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

namespace troupe::workflow {
namespace {

using service::Check;
using Variables = std::vector<std::pair<std::string, std::string>>;

/// Calls `visit` with every text of `service` that may have expressions.
template <class F>
void for_each_text(const ServiceText& service, F visit) {
  visit(service.run);
  visit(service.working_directory);
  for (const NamedTemplate& variable : service.env)
    visit(variable.value);
  for (const auto* probe : {&service.ready, &service.live}) {
    if (*probe)
      visit((*probe)->text);
  }
}

void collect_ports(const ServiceText& service,
                   std::vector<std::string>& names) {
  for_each_text(service, [&](const Template& text) {
    for (const Template::Part& part : text.parts) {
      if (!part.expression)
        continue;
      for (const Expression::Node& node : part.expression->nodes()) {
        if (node.kind == Expression::Kind::path && node.path.size() == 2 &&
            node.path[0] == "port" &&
            std::find(names.begin(), names.end(), node.path[1]) == names.end())
          names.push_back(node.path[1]);
      }
    }
  });
}

std::string child_path(const std::string& group, const std::string& id) {
  return group.empty() ? id : group + "/" + id;
}

/// Of a copy in the group at `path`.
std::string replica_id(const std::string& path, std::uint32_t number) {
  return fmt::format("{}-{}", path.substr(path.rfind('/') + 1), number);
}

class Planner {
 public:
  Planner(const Workflow& workflow, const ServiceSurroundings& surroundings,
          std::optional<std::set<std::string>> wanted)
      : workflow_{workflow},
        surroundings_{surroundings},
        wanted_{std::move(wanted)} {}

  Result<service::GroupNode> run() {
    if (surroundings_.dotenv)
      file_variables_ = *surroundings_.dotenv;
    else if (auto read = read_files(workflow_.dotenv, file_variables_); !read)
      return tl::unexpected{std::move(read.error())};
    for (const NamedTemplate& variable : workflow_.env) {
      Environment around;
      for (const auto& [name, value] : surroundings_.contexts)
        around.contexts.emplace_back(name, &value);
      auto value = resolve(variable.value, around);
      if (!value)
        return tl::unexpected{
            std::move(value.error()).within("env").within(variable.name)};
      put(workflow_env_, variable.name, std::move(*value));
    }
    return plan(*workflow_.services, "");
  }

 private:
  Result<service::GroupNode> plan(const ServiceGroup& group,
                                  const std::string& path) {
    service::GroupNode out{.name = path,
                           .strategy = group.strategy,
                           .intensity = group.intensity,
                           .period = group.period,
                           .on_give_up = group.on_give_up,
                           .hold_for = group.hold_for,
                           .auto_shutdown = group.auto_shutdown};
    for (const ServiceNode& node : group.children) {
      if (!is_wanted(child_path(path, node.id)))
        continue;
      auto child = plan(node, child_path(path, node.id));
      if (!child)
        return tl::unexpected{std::move(child.error())};
      out.children.push_back(std::move(*child));
    }
    if (group.replica) {
      out.replicas = group.replicas;
      for (std::uint32_t i = 1; i <= group.most_replicas; ++i) {
        const std::string id = replica_id(path, i);
        auto planned = plan(*group.replica, path + "/" + id, false, i);
        if (!planned)
          return tl::unexpected{std::move(planned.error())};
        out.children.push_back({.id = id,
                                .restart = group.replica_restart,
                                .backoff = group.replica_backoff,
                                .what = std::move(*planned)});
      }
    }
    return out;
  }

  [[nodiscard]] bool is_wanted(const std::string& path) const {
    return !wanted_ || wanted_->contains(path);
  }

  Result<service::TreeNode> plan(const ServiceNode& node,
                                 const std::string& path) {
    service::TreeNode out{.id = node.id,
                          .restart = node.restart,
                          .backoff = node.backoff,
                          .significant = node.significant};
    if (node.group) {
      auto group = plan(*node.group, path);
      if (!group)
        return tl::unexpected{std::move(group.error())};
      out.what = std::move(*group);
      return out;
    }
    auto planned = plan(*node.service, path, node.is_preparation, 0);
    if (!planned)
      return tl::unexpected{std::move(planned.error())};
    out.what = std::move(*planned);
    return out;
  }

  Result<service::ServiceNode> plan(const ServiceText& text,
                                    const std::string& path,
                                    bool is_preparation,
                                    std::uint32_t replica) {
    auto planned = plan_named(text, path, is_preparation, replica);
    if (!planned)
      return tl::unexpected{
          std::move(planned.error()).within(fmt::format("service {}", path))};
    return planned;
  }

  Result<service::ServiceNode> plan_named(const ServiceText& text,
                                          const std::string& path,
                                          bool is_preparation,
                                          std::uint32_t replica) {
    if (auto known = learn_ports(text); !known)
      return tl::unexpected{std::move(known.error())};
    Variables variables = file_variables_;
    if (auto read = read_files(text.dotenv, variables); !read)
      return tl::unexpected{std::move(read.error())};
    Value::Object env = workflow_env_;
    for (const NamedTemplate& variable : text.env) {
      auto value = resolve_in(variable.value, env);
      if (!value)
        return tl::unexpected{
            std::move(value.error()).within("env").within(variable.name)};
      put(env, variable.name, std::move(*value));
    }
    for (const auto& [name, value] : env)
      variables.emplace_back(name, value.text());
    variables.emplace_back("TROUPE_SERVICE", path);
    if (replica != 0)
      variables.emplace_back("TROUPE_REPLICA", fmt::format("{}", replica));

    auto line = resolve_in(text.run, env);
    auto directory = resolve_in(text.working_directory, env);
    if (!line)
      return tl::unexpected{std::move(line.error()).within("run")};
    if (!directory)
      return tl::unexpected{
          std::move(directory.error()).within("working-directory")};
    // What is meant for troupe itself, if it is a service of somebody, is not
    // passed on: a service of ours must not speak for us.
    process::CommandSpec command{
        .argv = argv_of(text.shell, std::move(*line)),
        .working_directory = std::move(*directory),
        .unset_env = {"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC",
                      "TROUPE_REPLICA"},
        .env = std::move(variables),
        .limits = text.limits,
        .tree_limits = text.tree_limits};
    auto spec = std::make_shared<service::ServiceSpec>();
    spec->name = path;
    spec->success_exit_codes = text.success_exit_codes;
    spec->watchdog = text.watchdog;
    spec->stop_signal = text.stop_signal;
    spec->stop_limit = text.stop_limit;
    spec->is_preparation = is_preparation;
    if (text.ready) {
      auto check = plan_check(*text.ready, text.shell, command, env);
      if (!check)
        return tl::unexpected{std::move(check.error()).within("ready")};
      service::ReadyProbe probe{.check = std::move(*check)};
      probe.delay = text.ready->delay.value_or(probe.delay);
      probe.period = text.ready->period.value_or(probe.period);
      probe.limit = text.ready->limit.value_or(probe.limit);
      spec->ready = std::move(probe);
    }
    if (text.live) {
      auto check = plan_check(*text.live, text.shell, command, env);
      if (!check)
        return tl::unexpected{std::move(check.error()).within("live")};
      service::LiveProbe probe{.check = std::move(*check)};
      probe.delay = text.live->delay.value_or(probe.delay);
      probe.period = text.live->period.value_or(probe.period);
      probe.limit = text.live->limit.value_or(probe.limit);
      probe.failures = text.live->failures.value_or(probe.failures);
      spec->live = std::move(probe);
    }
    spec->command =
        std::make_shared<const process::CommandSpec>(std::move(command));
    return service::ServiceNode{
        .spec = std::move(spec), .log = text.log, .watch = text.watch};
  }

  Result<Check> plan_check(const ProbeText& probe,
                           const std::vector<std::string>& shell,
                           const process::CommandSpec& command,
                           const Value::Object& env) {
    auto text = resolve_in(probe.text, env);
    if (!text)
      return tl::unexpected{std::move(text.error())};
    switch (probe.kind) {
      case ProbeText::Kind::exec: {
        auto spec = std::make_shared<process::CommandSpec>(command);
        spec->argv = argv_of(shell, *text);
        return service::ExecCheck{std::move(*text), std::move(spec)};
      }
      case ProbeText::Kind::http:
        return parse_url(*text);
      case ProbeText::Kind::tcp:
        return parse_address(*text);
      case ProbeText::Kind::log:
        if (text->empty())
          return failure(Errc::invalid_argument, "log: expected a text");
        return service::LogCheck{std::move(*text)};
      case ProbeText::Kind::notify:
        return service::NotifyCheck{};
    }
    return service::NotifyCheck{};
  }

  Result<std::string> resolve_in(const Template& text,
                                 const Value::Object& env) {
    const Value env_value{env};
    const Value ports{ports_};
    return resolve(text, {{{"env", &env_value}, {"port", &ports}}});
  }

  /// Chooses the ports that `text` asks for.
  Result<void> learn_ports(const ServiceText& text) {
    std::vector<std::string> names;
    collect_ports(text, names);
    for (const std::string& name : names) {
      if (Value{ports_}.member(name) != nullptr)
        continue;
      const auto port = surroundings_.port_of(name);
      if (!port)
        return tl::unexpected{
            Error{port.error()}.within(fmt::format("port.{}", name))};
      put(ports_, name, fmt::format("{}", *port));
    }
    return {};
  }

  Result<void> read_files(const std::vector<std::string>& paths,
                          Variables& out) {
    for (const std::string& path : paths) {
      auto text = surroundings_.read_file(path);
      if (!text)
        return tl::unexpected{std::move(text.error()).within("dotenv")};
      const auto source =
          std::make_shared<const config::Source>(path, std::move(*text));
      config::Diagnostics diagnostics{source};
      auto variables = config::parse_dotenv(*source, diagnostics);
      if (!diagnostics.empty())
        return tl::unexpected{diagnostics.error()};
      out.insert(out.end(), variables.begin(), variables.end());
    }
    return {};
  }

  const Workflow& workflow_;
  const ServiceSurroundings& surroundings_;
  std::optional<std::set<std::string>> wanted_;  ///< Paths; nothing for all.
  Variables file_variables_;
  Value::Object workflow_env_;
  Value::Object ports_;
};

/// Adds a group or service with all in it.
void want_all(const ServiceNode& node, const std::string& path,
              std::set<std::string>& wanted) {
  wanted.insert(path);
  if (node.group) {
    for (const ServiceNode& child : node.group->children)
      want_all(child, child_path(path, child.id), wanted);
  }
}

/// Adds what of `group` is needed for the services in `named`, that is the ways
/// to them, and what these depend on, as a whole.
void want(const ServiceGroup& group, const std::string& path,
          const std::set<std::string>& named, std::set<std::string>& wanted) {
  // In the order of their start, so what is depended on comes before.
  for (auto node = group.children.rbegin(); node != group.children.rend();
       ++node) {
    const std::string own = child_path(path, node->id);
    const auto inside = [&](const std::string& one) {
      return one == own || one.starts_with(own + "/");
    };
    if (!wanted.contains(own) &&
        std::none_of(named.begin(), named.end(), inside))
      continue;
    if (node->group && !node->group->replica && !wanted.contains(own))
      want(*node->group, own, named, wanted);
    else
      want_all(*node, own, wanted);
    wanted.insert(own);
    for (const std::string& before : node->after)
      wanted.insert(child_path(path, before));
  }
}

void collect_ports(const ServiceGroup& group, std::vector<std::string>& names) {
  if (group.replica)
    collect_ports(*group.replica, names);
  for (const ServiceNode& node : group.children) {
    if (node.group)
      collect_ports(*node.group, names);
    else
      collect_ports(*node.service, names);
  }
}

}  // namespace

Result<service::GroupNode> plan_services(
    const Workflow& workflow, const ServiceSurroundings& surroundings,
    const std::vector<std::string>* only) {
  if (workflow.services == nullptr)
    return failure(Errc::not_found, "the file has no \"services\"");
  std::optional<std::set<std::string>> wanted;
  if (only != nullptr)
    want(*workflow.services, "", {only->begin(), only->end()},
         wanted.emplace());
  return Planner{workflow, surroundings, std::move(wanted)}.run();
}

std::vector<ServicePath> service_paths(const ServiceGroup& group,
                                       const std::string& path) {
  std::vector<ServicePath> out;
  for (const ServiceNode& node : group.children) {
    const std::string own = child_path(path, node.id);
    out.push_back({own, node.group.has_value()});
    if (!node.group)
      continue;
    auto inside = service_paths(*node.group, own);
    std::move(inside.begin(), inside.end(), std::back_inserter(out));
  }
  if (group.replica) {
    for (std::uint32_t i = 1; i <= group.replicas; ++i)
      out.push_back({child_path(path, replica_id(path, i)), false});
  }
  return out;
}

std::vector<std::string> port_names(const Workflow& workflow) {
  std::vector<std::string> names;
  if (workflow.services != nullptr)
    collect_ports(*workflow.services, names);
  return names;
}

}  // namespace troupe::workflow
