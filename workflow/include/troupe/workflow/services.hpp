#pragma once

#include <troupe/base/time.hpp>
#include <troupe/config/source.hpp>
#include <troupe/process/command_spec.hpp>
#include <troupe/service/service_tree.hpp>
#include <troupe/supervisor/child_spec.hpp>
#include <troupe/workflow/model.hpp>
#include <troupe/workflow/template.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace troupe::workflow {

/// A probe as written: what is checked may have expressions in it.
struct ProbeText {
  enum class Kind : std::uint8_t { exec, http, tcp, log, notify };

  Kind kind = Kind::notify;
  Template text;  ///< A command, a URL, a HOST:PORT or a text; none for notify.
  std::optional<Duration> delay;
  std::optional<Duration> period;
  std::optional<Duration> limit;
  std::optional<std::uint32_t> failures;
};

/// The command of a service, before the values of expressions are known.
struct ServiceText {
  Template run;
  std::vector<std::string> shell;
  Template working_directory;
  std::vector<NamedTemplate> env;
  std::vector<std::string> dotenv;  ///< Files of variables.
  std::vector<int> success_exit_codes{0};
  std::optional<ProbeText> ready;
  std::optional<ProbeText> live;
  Duration watchdog{0};
  int stop_signal = service::ServiceSpec{}.stop_signal;
  Duration stop_limit = service::ServiceSpec{}.stop_limit;
  process::Limits limits;
  process::TreeLimits tree_limits;
  service::LogLimits log;
  std::optional<service::WatchedFiles> watch;
};

struct ServiceNode;

/// A supervisor over services and other groups.
struct ServiceGroup {
  config::Span where;  ///< Its name; of the root the word "services".
  supervisor::Strategy strategy = supervisor::Strategy::one_for_one;
  int intensity = 5;
  Duration period = 60s;
  supervisor::OnGiveUp on_give_up = supervisor::OnGiveUp::escalate;
  Duration hold_for = supervisor::SupervisorSpec{}.hold_for;
  supervisor::AutoShutdown auto_shutdown = supervisor::AutoShutdown::never;
  std::vector<ServiceNode> children;  ///< In the order of their start.
  /// If set, the children are so many copies of it.
  std::optional<ServiceText> replica;
  supervisor::Restart replica_restart = supervisor::Restart::permanent;
  std::optional<supervisor::Backoff> replica_backoff;
  std::uint32_t replicas = 1;
  std::uint32_t most_replicas = 1;
};

/// A service or a group: a child of a group.
struct ServiceNode {
  std::string id;
  config::Span where;
  supervisor::Restart restart = supervisor::Restart::permanent;
  std::optional<supervisor::Backoff> backoff;
  bool significant = false;
  /// The children beside it that it, or what is in it, depends on.
  std::vector<std::string> after;
  /// Something waits for its successful end.
  bool is_preparation = false;
  std::optional<ServiceText> service;
  std::optional<ServiceGroup> group;  ///< Exactly one of the two.
};

/// What is known when services are started.
struct ServiceSurroundings {
  /// The port for a name in `${{ port.NAME }}`, the same for the same name.
  std::function<Result<std::uint16_t>(const std::string& name)> port_of;
  /// Reads a file of variables.
  std::function<Result<std::string>(const std::string& path)> read_file;
  /// Contexts that the variables of the whole file may use besides.
  std::vector<std::pair<std::string, Value>> contexts{};
  /// What the files in `dotenv` of the whole file say, if they have been read.
  std::optional<std::vector<std::pair<std::string, std::string>>> dotenv{};
};

/// The tree of services of `workflow`, with all values put in. If `only` is
/// given, it has those services alone, named by their paths, with the groups
/// that they are in and what they depend on.
///
/// Errors: not_found (the file has no services, or a file of variables is
/// missing); invalid_argument, naming the service.
[[nodiscard]] Result<service::GroupNode> plan_services(
    const Workflow& workflow, const ServiceSurroundings& surroundings,
    const std::vector<std::string>* only = nullptr);

/// The paths of all that `group`, which is at `path`, has in it: groups, and
/// services, copies by their numbers. Parents come before children.
struct ServicePath {
  std::string path;
  bool is_group = false;
};
[[nodiscard]] std::vector<ServicePath> service_paths(
    const ServiceGroup& group, const std::string& path = {});

/// The names that services use in `${{ port.NAME }}`, each once.
[[nodiscard]] std::vector<std::string> port_names(const Workflow& workflow);

}  // namespace troupe::workflow
