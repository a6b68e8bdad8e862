#pragma once

#include <troupe/base/time.hpp>
#include <troupe/service/service_spec.hpp>
#include <troupe/supervisor/child_spec.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace troupe::service {

/// How much of a service's output is kept.
struct LogLimits {
  std::uint64_t bytes = 10 << 20;  ///< Of one file.
  std::uint32_t older = 4;         ///< Files kept besides the newest.

  friend bool operator==(const LogLimits&, const LogLimits&) = default;
};

/// Files whose change restarts a service.
struct WatchedFiles {
  std::vector<std::string> paths;  ///< Files, folders and patterns (* ? **).
  /// Patterns of what does not count. One without '/' means a name anywhere.
  std::vector<std::string> exclude;
  Duration debounce = 300ms;  ///< Changes closer together are one; most 1h.

  friend bool operator==(const WatchedFiles&, const WatchedFiles&) = default;
};

/// A service in its place.
struct ServiceNode {
  std::shared_ptr<const ServiceSpec> spec;
  LogLimits log;
  std::optional<WatchedFiles> watch;
};

struct TreeNode;

/// A supervisor in its place.
struct GroupNode {
  std::string name;  ///< Its path, for people: "loaders".
  supervisor::Strategy strategy = supervisor::Strategy::one_for_one;
  int intensity = 5;
  Duration period = 60s;
  supervisor::OnGiveUp on_give_up = supervisor::OnGiveUp::escalate;
  Duration hold_for = 1min;
  supervisor::AutoShutdown auto_shutdown = supervisor::AutoShutdown::never;
  /// In the order of their start. Of a group that can be scaled as many as may
  /// ever run; the first `replicas` of them are started.
  std::vector<TreeNode> children;
  std::optional<std::uint32_t> replicas;
};

/// A child of a group.
struct TreeNode {
  std::string id;  ///< Unique in its group.
  supervisor::Restart restart = supervisor::Restart::permanent;
  std::optional<supervisor::Backoff> backoff;
  bool significant = false;
  std::variant<ServiceNode, GroupNode> what;
};

}  // namespace troupe::service
