#include <troupe/base/overload.hpp>
#include <troupe/supervisor/supervisor.hpp>

#include <deque>
#include <exception>
#include <memory>
#include <unordered_map>
#include <utility>

namespace troupe::supervisor {
namespace {

/// A timer of the core is up.
struct TimerDue {
  TimerId timer;
};

}  // namespace
}  // namespace troupe::supervisor

TROUPE_LOCAL_MESSAGE(troupe::supervisor::TimerDue)

namespace troupe::supervisor {
namespace {

using actors::ActorId;
using actors::Behavior;
using actors::Promise;

/// Whom a nested supervisor tells that it is up.
struct Parent {
  ActorRef supervisor;
  ChildRef child;
};

/// Performs what a SupervisorCore decides. Children are monitored and not
/// linked to: a link would end the supervisor when it kills a child.
class SupervisorActor {
 public:
  SupervisorActor(Actor* self, SupervisorSpec spec, ActorRef report_to,
                  Parent parent)
      : self_{self},
        core_{std::move(spec), self->id()},
        report_to_{std::move(report_to)},
        parent_{std::move(parent)} {}

  Behavior make_behavior() {
    keep_alive_ = actors::ref_of(self_);
    actors::handle_down(self_, [this](ActorId id, const ExitReason& reason) {
      on_down(id, reason);
    });
    actors::handle_stop(self_, [this](const ExitReason& reason) {
      perform(core_.on_shutdown(reason, now()));
    });
    perform(core_.on_start(now()));
    return {
        [this](const StartChild& m) {
          perform(core_.start_child(m.spec, ticket(m.token), now()));
        },
        [this](const StartDynamicChild& m) {
          const ChildKey key = core_.new_key();
          children_[key].arguments = m.arguments;
          perform(core_.start_dynamic(key, ticket(m.token)));
        },
        [this](const TerminateChild& m) {
          perform(core_.terminate_child(m.id, ticket(m.token), now()));
        },
        [this](const TerminateDynamicChild& m) {
          perform(core_.terminate_dynamic(m.key, ticket(m.token)));
        },
        [this](const RestartChild& m) {
          perform(core_.restart_child(m.id, ticket(m.token), now()));
        },
        [this](StartAll m) {
          perform(core_.start_all(ticket(m.token), now()));
        },
        [this](const DeleteChild& m) {
          perform(core_.delete_child(m.id, ticket(m.token), now()));
        },
        [this](WhichChildren) {
          actors::answer_later(self_).deliver(list_children());
        },
        [this](CountChildren) {
          actors::answer_later(self_).deliver(core_.count_children());
        },
        [this](ChildReady m) {
          perform(core_.on_child_started(m.child, now()));
        },
        [this](TimerDue m) { perform(core_.on_timer(m.timer, now())); },
    };
  }

  /// After an orderly end there are no children left. Otherwise this actor was
  /// killed or crashed, and nobody will be there to await theirs.
  void on_exit() {
    for (const auto& [key, child] : children_) {
      if (child.actor)
        end_unawaited(child.actor, core_.spec_of(key).effective_shutdown());
    }
    perform(core_.on_death());
  }

 private:
  struct Child {
    ActorRef actor;     ///< Empty if there is no process.
    Message arguments;  ///< Of dynamic children.
  };
  struct Asker {
    Promise reply;
    std::uint64_t token = 0;
  };

  void end_unawaited(const ActorRef& child, const Shutdown& shutdown) {
    std::visit(Overload{
                   [&](Duration limit) {
                     actors::stop(self_, child);
                     actors::kill_after(self_, child, limit);
                   },
                   [&](BrutalKill) { actors::kill(self_, child); },
                   [&](Infinity) { actors::stop(self_, child); },
               },
               shutdown);
  }

  [[nodiscard]] TimePoint now() const { return actors::now(self_); }

  Ticket ticket(std::uint64_t token) {
    const Ticket ticket{++last_ticket_};
    askers_[ticket] = {actors::answer_later(self_), token};
    return ticket;
  }

  void on_down(ActorId id, const ExitReason& reason) {
    const auto it = refs_.find(id);
    if (it == refs_.end())
      return;
    const ChildRef child = it->second;
    refs_.erase(it);
    children_[child.key].actor = {};
    perform(core_.on_child_exited(child, reason, now()));
  }

  /// In order; what an action leads to comes after all that was decided
  /// before. Ends, because the core never retries by itself.
  void perform(Actions actions) {
    std::deque<Action> todo{std::make_move_iterator(actions.begin()),
                            std::make_move_iterator(actions.end())};
    while (!todo.empty()) {
      const Action action = std::move(todo.front());
      todo.pop_front();
      for (Action& next :
           std::visit([this](const auto& a) { return perform_one(a); }, action))
        todo.push_back(std::move(next));
    }
  }

  Actions perform_one(const Start& start) {
    const ChildSpec& spec = core_.spec_of(start.child.key);
    StartContext context{self_,
                         spec,
                         start.child,
                         start.restarts,
                         children_[start.child.key].arguments,
                         report_to_};
    try {
      return std::visit(
          [&](const auto& result) { return started(start.child, result); },
          spec.start(context).value());
    } catch (const std::exception& exception) {
      return core_.on_child_start_failed(start.child, exception.what(), now());
    } catch (...) {
      return core_.on_child_start_failed(
          start.child, "an exception that is no std::exception", now());
    }
  }

  Actions started(ChildRef child, const ActorRef& actor) {
    if (const char* why = unfit(actor))
      return core_.on_child_start_failed(child, why, now());
    watch(child, actor);
    return core_.on_child_started(child, now());
  }
  Actions started(ChildRef child, const Starting& starting) {
    if (const char* why = unfit(starting.actor))
      return core_.on_child_start_failed(child, why, now());
    watch(child, starting.actor);
    return {};
  }
  Actions started(ChildRef child, Ignore /*ignore*/) {
    return core_.on_child_ignored(child, now());
  }
  Actions started(ChildRef child, const Error& error) {
    return core_.on_child_start_failed(child, error.what, now());
  }

  /// Why `actor` cannot be the process of one more child; null if it can. The
  /// one end of an actor cannot be awaited for two children.
  [[nodiscard]] const char* unfit(const ActorRef& actor) const {
    if (!actor)
      return "the start function returned no actor";
    if (refs_.contains(actors::id_of(actor)))
      return "the start function returned the actor of another child";
    return nullptr;
  }

  void watch(ChildRef child, const ActorRef& actor) {
    children_[child.key].actor = actor;
    refs_[actors::id_of(actor)] = child;
    actors::monitor(self_, actor);
  }

  // A start that was decided together with the stop may have left no actor;
  // the core has been told.
  Actions perform_one(const StopPolitely& stop) {
    if (const ActorRef& actor = children_[stop.child.key].actor)
      actors::stop(self_, actor);
    return {};
  }

  Actions perform_one(const Kill& kill) {
    if (const ActorRef& actor = children_[kill.child.key].actor)
      actors::kill(self_, actor);
    return {};
  }

  Actions perform_one(const SetTimer& timer) {
    if (timer.delay == Duration{0})
      actors::send_self(self_, TimerDue{timer.timer});
    else
      actors::send_after(self_, timer.delay, TimerDue{timer.timer});
    return {};
  }

  Actions perform_one(const Reply& reply) {
    auto asker = askers_.extract(reply.ticket).mapped();
    ChildReply answer{.token = asker.token,
                      .code = reply.code,
                      .key = reply.child.key,
                      .actor = {},
                      .what = reply.what};
    if (const auto it = children_.find(reply.child.key); it != children_.end())
      answer.actor = it->second.actor;
    asker.reply.deliver(std::move(answer));
    return {};
  }

  Actions perform_one(const Report& report) {
    if (report_to_)
      actors::send(self_, report_to_, report);
    return {};
  }

  static Actions perform_one(const Announce& announce) {
    announce.spec->on_presence(announce.presence);
    return {};
  }

  Actions perform_one(const Forget& forget) {
    children_.erase(forget.child);
    return {};
  }

  Actions perform_one(const Ready& /*ready*/) {
    if (parent_.supervisor)
      actors::send(self_, std::exchange(parent_.supervisor, {}),
                   ChildReady{parent_.child});
    return {};
  }

  Actions perform_one(const Exit& exit) {
    actors::quit(self_, exit.reason);
    return {};
  }

  ChildList list_children() const {
    ChildList list{core_.info(now()), {}};
    for (ChildInfo& info : core_.which_children()) {
      const auto it = children_.find(info.ref.key);
      list.children.push_back({std::move(info), it == children_.end()
                                                    ? ActorRef{}
                                                    : it->second.actor});
    }
    return list;
  }

  Actor* self_;
  /// Goes when this ends, and not before: CAF would destroy an actor that
  /// nobody else holds while it waits for its children.
  ActorRef keep_alive_;
  SupervisorCore core_;
  ActorRef report_to_;
  Parent parent_;
  std::unordered_map<ChildKey, Child> children_;
  std::unordered_map<ActorId, ChildRef> refs_;  ///< Of what is alive.
  std::unordered_map<Ticket, Asker> askers_;    ///< Who waits for a Reply.
  std::uint64_t last_ticket_ = 0;
};

}  // namespace

Result<ActorRef> spawn_supervisor(actors::ActorSystem& system,
                                  SupervisorSpec spec, ActorRef report_to) {
  if (auto result = check(spec); !result)
    return tl::unexpected(std::move(result.error()));
  return actors::spawn<SupervisorActor>(system, std::move(spec),
                                        std::move(report_to), Parent{});
}

ChildSpec supervisor_child(std::string id,
                           std::function<SupervisorSpec()> make_spec) {
  return {.id = std::move(id),
          .start = [make = std::move(make_spec)](
                       StartContext& context) -> StartResult {
            SupervisorSpec spec = make();
            if (auto result = check(spec); !result)
              return std::move(result.error());
            Actor* parent = context.supervisor();
            return Starting{actors::spawn<SupervisorActor>(
                parent, std::move(spec), context.report_to(),
                Parent{actors::ref_of(parent), context.child()})};
          },
          .type = ChildType::supervisor};
}

ChildSpec supervisor_child(std::string id, SupervisorSpec spec) {
  return supervisor_child(std::move(id),
                          [spec = std::move(spec)] { return spec; });
}

}  // namespace troupe::supervisor
