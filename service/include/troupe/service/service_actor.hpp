#pragma once

#include <troupe/actors/caf.hpp>
#include <troupe/base/ids.hpp>
#include <troupe/process/command_runner.hpp>
#include <troupe/process/output_sink.hpp>
#include <troupe/service/checker.hpp>
#include <troupe/service/service_core.hpp>
#include <troupe/service/service_spec.hpp>
#include <troupe/service/service_tree.hpp>
#include <troupe/supervisor/child_spec.hpp>
#include <troupe/supervisor/supervisor_core.hpp>

#include <boost/asio/io_context.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <variant>

namespace troupe::service {

// What a service tells its listener, about one incarnation after the other.

/// Its process runs.
struct ServiceLaunched {
  int pid = 0;
};
struct ServiceReady {
  Duration after{0};  ///< From its start.
};
/// It failed a check, or passes them again: then `what` is empty.
struct ServiceTrouble {
  std::string what;
};
struct ServiceNews {
  std::string service;  ///< ServiceSpec::name
  std::uint64_t incarnation = 0;
  std::variant<ServiceLaunched, ServiceReady, ServiceTrouble, ServiceEnd> what;
};

/// To the listener, from the supervisor above: whether a service, or a group as
/// a whole, is there. What the supervisor does next comes after it, and what a
/// service tells of its end comes before.
struct PresenceNews {
  std::string path;
  supervisor::Presence presence = supervisor::Presence::away;
};

/// To a service: end its processes as if they had crashed. For drills.
struct CrashService {};

/// To a service that was told to end: kill what is left of it at once.
struct HurryUp {};

/// Asks a service for its ServiceStatus.
struct DescribeService {};
struct ServiceStatus {
  ServicePhase phase = ServicePhase::starting;
  int pid = 0;              ///< Of its leader; zero if it has none.
  Duration age{0};          ///< Since its start.
  std::string trouble;      ///< Why its last check failed; empty if it is well.
  std::string status_text;  ///< What it said by STATUS=.
};

/// Where the output of services goes.
class ServiceOutput {
 public:
  virtual ~ServiceOutput() = default;

  /// The sink for the next incarnation of `spec`. If `text` is not empty,
  /// `on_text` is called on the I/O thread once it has been printed. From any
  /// thread.
  [[nodiscard]] virtual std::shared_ptr<process::OutputSink> sink_for(
      const ServiceSpec& spec, std::string text,
      std::function<void()> on_text) = 0;
};

/// A clock that stands still while the services are suspended by their user
/// (Ctrl-Z), so that their limits do, too. From any thread; begin() and end()
/// from one.
class SuspendedTime {
 public:
  /// The clock stands still from `now` on. To be called before anything is
  /// suspended: timers that are up meanwhile come before end() is called.
  void begin(TimePoint now) { since_ = now.time_since_epoch().count(); }
  /// The clock goes on. Without a begin() it does nothing.
  void end(TimePoint now) {
    // In this order nobody sees the clock jump forward.
    if (const auto since = since_.load(); since != 0)
      total_ += now.time_since_epoch().count() - since;
    since_ = 0;
  }

  /// What the clock shows when it is `now`.
  [[nodiscard]] TimePoint at(TimePoint now) const {
    const auto since = since_.load();
    const TimePoint running =
        since == 0 ? now : TimePoint{TimePoint::duration{since}};
    return running - Duration{total_.load()};
  }

 private:
  std::atomic<TimePoint::rep> since_{0};  ///< Zero while the clock goes.
  std::atomic<Duration::rep> total_{0};
};

/// What services need. All of it outlives them.
struct ServiceDeps {
  process::CommandRunner& runner;
  Checker& checker;
  ServiceOutput& output;
  boost::asio::io_context& io;
  std::function<CommandId()> new_id;  ///< From any thread.
  const SuspendedTime& suspended;
  std::string notify_folder;  ///< Ours alone; for notify sockets.
  actors::ActorRef listener;  ///< Gets ServiceNews and PresenceNews.
};

/// How many copies of each scalable group are wanted, by the group's name. The
/// one thing that outlives restarts of a group. From any thread.
class Scales {
 public:
  /// As the groups below `root` say.
  explicit Scales(const GroupNode& root);

  /// Zero for a group that cannot be scaled.
  [[nodiscard]] std::uint32_t wanted(const std::string& group) const;
  void set(const std::string& group, std::uint32_t replicas);

 private:
  void add(const GroupNode& group);

  /// Never changes but for the numbers.
  std::map<std::string, std::atomic<std::uint32_t>> wanted_;
};

/// A child of a group: a service or another group. The start of a service
/// returns when it is ready, and fails if it ends before that; when the child
/// has ended, no process of it is left. `deps` and `scales` outlive it.
[[nodiscard]] supervisor::ChildSpec child_spec_of(
    std::shared_ptr<const TreeNode> node, const ServiceDeps& deps,
    const Scales& scales);

/// The supervisor over the services of `group`, named as the group.
[[nodiscard]] supervisor::SupervisorSpec supervisor_spec_of(
    const GroupNode& group, const ServiceDeps& deps, const Scales& scales);

}  // namespace troupe::service

TROUPE_LOCAL_MESSAGE(troupe::service::ServiceNews)
TROUPE_LOCAL_MESSAGE(troupe::service::PresenceNews)
TROUPE_LOCAL_MESSAGE(troupe::service::CrashService)
TROUPE_LOCAL_MESSAGE(troupe::service::HurryUp)
TROUPE_LOCAL_MESSAGE(troupe::service::DescribeService)
TROUPE_LOCAL_MESSAGE(troupe::service::ServiceStatus)
