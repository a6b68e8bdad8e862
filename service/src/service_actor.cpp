#include <troupe/base/overload.hpp>
#include <troupe/service/notify_socket.hpp>
#include <troupe/service/service_actor.hpp>
#include <troupe/supervisor/messages.hpp>
#include <troupe/supervisor/start.hpp>
#include <troupe/supervisor/supervisor.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <unordered_map>
#include <utility>

namespace troupe::service {
namespace {

/// News of the runner about the process.
struct AttemptNews {
  process::AttemptEvent event;
};
struct Checked {
  std::uint64_t number = 0;
  Result<void> result;
};
struct TimerDue {
  std::uint64_t number = 0;
};
struct LogTextSeen {};
struct Notified {
  Notification notification;
};

}  // namespace
}  // namespace troupe::service

TROUPE_LOCAL_MESSAGE(troupe::service::AttemptNews)
TROUPE_LOCAL_MESSAGE(troupe::service::Checked)
TROUPE_LOCAL_MESSAGE(troupe::service::TimerDue)
TROUPE_LOCAL_MESSAGE(troupe::service::LogTextSeen)
TROUPE_LOCAL_MESSAGE(troupe::service::Notified)

namespace troupe::service {
namespace {

using actors::Actor;
using actors::ActorRef;
using actors::Behavior;
using actors::send;

/// The supervisor waits this much longer for a service than the service for
/// its processes: a warden that is stuck must not hold up a shutdown.
constexpr Duration warden_margin = 5s;

/// Performs what ServiceCore decides. One per incarnation.
class ServiceActor {
 public:
  ServiceActor(Actor* self, std::shared_ptr<const ServiceSpec> spec,
               const ServiceDeps& deps, ActorRef supervisor,
               supervisor::ChildRef child)
      : self_{self},
        deps_{deps},
        supervisor_{std::move(supervisor)},
        child_{child},
        attempt_{deps.new_id(), 1},
        core_{std::move(spec)} {}

  Behavior make_behavior() {
    actors::handle_stop(self_, [this](const actors::ExitReason&) {
      perform(core_.on_stop(now()));
    });
    started_ = now();
    perform(core_.on_start(started_));
    return {
        [this](const AttemptNews& m) {
          std::visit([this](const auto& e) { on_event(e); }, m.event);
        },
        [this](const Checked& m) { on_checked(m); },
        [this](TimerDue m) { perform(core_.on_timer(m.number, now())); },
        [this](LogTextSeen) { perform(core_.on_log_text(now())); },
        [this](const Notified& m) { on_notified(m.notification); },
        [this](HurryUp) {
          perform(core_.on_stop(now()));
          deps_.runner.stop(attempt_,
                            {.signal = SIGKILL, .grace = Duration{0}});
        },
        [this](CrashService) {
          deps_.runner.stop(attempt_,
                            {.signal = SIGKILL, .grace = Duration{0}});
        },
        [this](DescribeService) {
          actors::answer_later(self_).deliver(status());
        },
    };
  }

  /// After an orderly end nothing is left to be done. Otherwise this actor was
  /// killed or crashed, and its processes must not outlive it.
  void on_exit() {
    for (const auto& [number, id] : checks_)
      deps_.checker.cancel(id);
    deps_.runner.forget(attempt_);
  }

 private:
  [[nodiscard]] TimePoint now() const {
    return deps_.suspended.at(actors::now(self_));
  }

  void on_event(const process::AttemptStarted& event) {
    pid_ = event.pid;
    tell(ServiceLaunched{pid_});
    perform(core_.on_launched(now()));
  }

  void on_event(const process::AttemptEnded& event) {
    pid_ = 0;
    perform(core_.on_ended(event.how, now()));
  }

  void on_checked(const Checked& m) {
    checks_.erase(m.number);
    const std::string before = core_.trouble();
    perform(core_.on_checked(m.number, m.result, now()));
    if (core_.trouble() != before)
      tell(ServiceTrouble{core_.trouble()});
  }

  void on_notified(const Notification& m) {
    if (m.status)
      status_text_ = *m.status;
    if (m.watchdog)
      core_.on_watchdog_ping(now());
    if (m.ready)
      perform(core_.on_notified_ready(now()));
    if (m.watchdog_trigger)
      perform(core_.on_watchdog_trigger(now()));
  }

  [[nodiscard]] ServiceStatus status() const {
    return {.phase = core_.phase(),
            .pid = pid_,
            .age = now() - started_,
            .trouble = core_.trouble(),
            .status_text = status_text_};
  }

  void perform(const ServiceCore::Actions& actions) {
    for (const auto& action : actions)
      std::visit([this](const auto& a) { perform_one(a); }, action);
  }

  void perform_one(ServiceCore::Launch) {
    const ServiceSpec& spec = core_.spec();
    auto command = spec.command;
    if (auto failed = open_notify_socket(command)) {
      perform(core_.on_ended(
          process::SpawnFailure{process::SpawnStage::resources, *failed},
          now()));
      return;
    }
    const ActorRef self = actors::ref_of(self_);
    std::string text;
    if (spec.ready) {
      if (const auto* check = std::get_if<LogCheck>(&spec.ready->check))
        text = check->text;
    }
    auto sink = deps_.output.sink_for(spec, std::move(text),
                                      [self] { send(self, LogTextSeen{}); });
    deps_.runner.start(attempt_, std::move(command), std::move(sink),
                       [self](const process::AttemptEvent& event) {
                         send(self, AttemptNews{event});
                       });
  }

  /// Adds what sd_notify(3) needs to the environment of `command`, if the
  /// service is meant to use it.
  std::optional<Error> open_notify_socket(
      std::shared_ptr<const process::CommandSpec>& command) {
    const ServiceSpec& spec = core_.spec();
    const bool tells_ready =
        spec.ready && std::holds_alternative<NotifyCheck>(spec.ready->check);
    if (!tells_ready && spec.watchdog == Duration{0})
      return std::nullopt;
    const ActorRef self = actors::ref_of(self_);
    auto opened = NotifySocket::open(
        deps_.io, deps_.notify_folder,
        [self](const Notification& m) { send(self, Notified{m}); });
    if (!opened)
      return opened.error();
    notify_ = std::move(*opened);
    auto with_socket = std::make_shared<process::CommandSpec>(*command);
    with_socket->env.emplace_back("NOTIFY_SOCKET", notify_->path());
    if (spec.watchdog > Duration{0})
      with_socket->env.emplace_back(
          "WATCHDOG_USEC",
          fmt::format("{}",
                      std::chrono::duration_cast<std::chrono::microseconds>(
                          spec.watchdog)
                          .count()));
    command = std::move(with_socket);
    return std::nullopt;
  }

  void perform_one(const ServiceCore::StopTree& stop) {
    deps_.runner.stop(attempt_, stop.request);
  }

  void perform_one(const ServiceCore::StartCheck& start) {
    const ActorRef self = actors::ref_of(self_);
    checks_[start.number] =
        deps_.checker.start(*start.check, start.limit,
                            [self, number = start.number](Result<void> result) {
                              send(self, Checked{number, std::move(result)});
                            });
  }

  void perform_one(const ServiceCore::CancelCheck& cancel) {
    if (const auto check = checks_.extract(cancel.number))
      deps_.checker.cancel(check.mapped());
  }

  void perform_one(const ServiceCore::SetTimer& timer) {
    actors::send_after(self_, timer.delay, TimerDue{timer.number});
  }

  void perform_one(ServiceCore::BecomeReady) {
    tell(ServiceReady{now() - started_});
    send(self_, supervisor_, supervisor::ChildReady{child_});
  }

  void perform_one(const ServiceCore::Quit& quit) {
    tell(quit.end);
    actors::quit(self_, quit.reason);
  }

  template <class What>
  void tell(What what) {
    send(self_, deps_.listener,
         ServiceNews{core_.spec().name, child_.incarnation, std::move(what)});
  }

  Actor* self_;
  const ServiceDeps& deps_;
  ActorRef supervisor_;
  supervisor::ChildRef child_;
  process::AttemptId attempt_;
  ServiceCore core_;
  TimePoint started_;
  int pid_ = 0;
  std::string status_text_;
  std::unique_ptr<NotifySocket> notify_;
  std::unordered_map<std::uint64_t, CheckId> checks_;  ///< Not answered yet.
};

supervisor::ChildSpec service_child(std::shared_ptr<const ServiceSpec> spec,
                                    const ServiceDeps& deps) {
  const Duration shutdown = spec->stop_limit + warden_margin;
  return {.start = [spec = std::move(spec),
                    &deps](supervisor::StartContext& context)
              -> supervisor::StartResult {
            actors::Actor* const parent = context.supervisor();
            return supervisor::Starting{actors::spawn<ServiceActor>(
                parent, spec, deps, actors::ref_of(parent), context.child())};
          },
          .shutdown = shutdown};
}

const std::string& path_of(const TreeNode& node) {
  if (const auto* service = std::get_if<ServiceNode>(&node.what))
    return service->spec->name;
  return std::get<GroupNode>(node.what).name;
}

}  // namespace

Scales::Scales(const GroupNode& root) { add(root); }

void Scales::add(const GroupNode& group) {
  if (group.replicas)
    wanted_[group.name] = *group.replicas;
  for (const TreeNode& child : group.children) {
    if (const auto* nested = std::get_if<GroupNode>(&child.what))
      add(*nested);
  }
}

std::uint32_t Scales::wanted(const std::string& group) const {
  const auto found = wanted_.find(group);
  return found == wanted_.end() ? 0 : found->second.load();
}

void Scales::set(const std::string& group, std::uint32_t replicas) {
  if (const auto found = wanted_.find(group); found != wanted_.end())
    found->second = replicas;
}

supervisor::ChildSpec child_spec_of(std::shared_ptr<const TreeNode> node,
                                    const ServiceDeps& deps,
                                    const Scales& scales) {
  supervisor::ChildSpec spec;
  if (const auto* service = std::get_if<ServiceNode>(&node->what))
    spec = service_child(service->spec, deps);
  else
    // Made anew for each start, since the number of copies may have changed.
    spec = supervisor::supervisor_child(node->id, [node, &deps, &scales] {
      return supervisor_spec_of(std::get<GroupNode>(node->what), deps, scales);
    });
  spec.id = node->id;
  spec.restart = node->restart;
  spec.significant = node->significant;
  spec.backoff = node->backoff;
  spec.on_presence = [&deps,
                      path = path_of(*node)](supervisor::Presence presence) {
    if (deps.listener)
      send(deps.listener, PresenceNews{path, presence});
  };
  return spec;
}

supervisor::SupervisorSpec supervisor_spec_of(const GroupNode& group,
                                              const ServiceDeps& deps,
                                              const Scales& scales) {
  supervisor::SupervisorSpec spec{.name = group.name,
                                  .strategy = group.strategy,
                                  .intensity = group.intensity,
                                  .period = group.period,
                                  .auto_shutdown = group.auto_shutdown,
                                  .on_give_up = group.on_give_up,
                                  .hold_for = group.hold_for,
                                  .serves_while_starting = true};
  std::size_t count = group.children.size();
  if (group.replicas)
    count = std::min<std::size_t>(count, scales.wanted(group.name));
  for (std::size_t i = 0; i < count; ++i)
    spec.children.push_back(child_spec_of(
        std::make_shared<const TreeNode>(group.children[i]), deps, scales));
  return spec;
}

}  // namespace troupe::service
