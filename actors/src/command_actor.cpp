#include <troupe/actors/command_actor.hpp>
#include <troupe/actors/command_core.hpp>
#include <troupe/actors/digest_sink.hpp>
#include <troupe/actors/messages.hpp>
#include <troupe/base/overload.hpp>

#include <optional>
#include <stdexcept>
#include <utility>

namespace troupe::actors {
namespace {

/// Performs what CommandCore decides. One per command and incarnation.
class CommandActor {
 public:
  CommandActor(Actor* self, CommandId id, ActorRef store,
               const CommandActorDeps& deps)
      : self_{self}, id_{id}, store_{std::move(store)}, deps_{deps} {}

  Behavior make_behavior() {
    send(self_, store_, AttachCommand{id_});
    return {
        [this](const CommandAttached& m) { begin(m); },
        [this](const CommandGone& m) { abandon(m); },
        [this](const AttemptNews& m) { on_news(m); },
        [this](AttemptRecorded m) { deps_.runner.forget(m.id); },
        [this](WaitOver m) {
          perform(core_->on_wait_over(m.token, deps_.wall_now()));
        },
        [this](const CancelCommand& m) {
          perform(core_->on_cancel(m.request));
        },
        [this](const ExpireAttempt& m) { expire(m.request); },
        [this](const SignalCommand& m) {
          deps_.runner.signal(current_attempt(), m.signal);
        },
        [](CrashCommand) { throw std::runtime_error("told to crash"); },
    };
  }

 private:
  void begin(const CommandAttached& m) {
    order_ = m.order;
    core_.emplace(order_->request, m.history, deps_.seed ^ id_.value);
    crash_now_ = m.history.incidents.size() < deps_.crashes;
    // An earlier actor may have died before it could do that.
    for (const Attempt& attempt : m.history.attempts)
      deps_.runner.forget({id_, attempt.number});
    perform(core_->on_start(deps_.wall_now()));
  }

  void abandon(const CommandGone& m) {
    const std::uint32_t last = m.abandoned ? m.abandoned->attempt : 0;
    for (std::uint32_t number = 1; number <= last; ++number)
      deps_.runner.forget({id_, number});
    quit(self_);
  }

  [[nodiscard]] process::AttemptId current_attempt() const {
    return {id_, core_->current_attempt()};
  }

  void on_news(const AttemptNews& news) {
    if (news.id != current_attempt())
      return;
    std::visit(Overload{[&](const process::AttemptStarted& m) { started(m); },
                        [&](const process::AttemptEnded& m) { ended(m); }},
               news.event);
  }

  void started(const process::AttemptStarted& event) {
    if (crash_now_)
      throw std::runtime_error("told to crash");
    const WallTime now = deps_.wall_now();
    core_->on_attempt_started(now);
    send(self_, order_->owner,
         CommandStarted{id_, core_->current_attempt(), event.pid, now});
  }

  void ended(const process::AttemptEnded& event) {
    perform(core_->on_attempt_ended(seen_of(event, deps_.wall_now())));
  }

  void expire(process::StopRequest request) {
    request.timed_out = true;
    deps_.runner.stop(current_attempt(), request);
  }

  void perform(const CommandCore::Actions& actions) {
    for (const auto& action : actions)
      std::visit([this](const auto& a) { perform(a); }, action);
  }

  void perform(const CommandCore::StartAttempt& action) {
    start_attempt(
        deps_.runner, {id_, action.number}, order_->request,
        order_->sinks ? order_->sinks->for_attempt(action.number) : nullptr,
        [self = ref_of(self_), id = process::AttemptId{id_, action.number}](
            const process::AttemptEvent& event) {
          send(self, AttemptNews{id, event});
        },
        predecessor_of(action.number));
  }

  [[nodiscard]] std::optional<process::AttemptId> predecessor_of(
      std::uint32_t attempt) const {
    if (attempt != 1 || !order_->predecessor)
      return std::nullopt;
    return process::AttemptId{*order_->predecessor};
  }

  void perform(const CommandCore::StopAttempt& action) {
    deps_.runner.stop({id_, action.number}, action.request);
  }

  void perform(const CommandCore::Wait& action) {
    send_after(self_, action.delay, WaitOver{action.token});
  }

  void perform(const CommandCore::Record& action) {
    const auto attempt = std::make_shared<const Attempt>(action.attempt);
    send(self_, store_,
         RecordAttempt{id_, attempt, action.next_in.value_or(Duration{0})});
    send(self_, order_->owner, AttemptFinished{id_, attempt, action.next_in});
  }

  void perform(const CommandCore::Finish& action) {
    send(self_, store_,
         FinishCommand{id_, std::make_shared<const Outcome>(action.outcome)});
    // After a cancellation an adopted attempt may still be there.
    deps_.runner.forget(current_attempt());
    // Ends when the store says CommandGone, behind its last AttemptRecorded.
  }

  Actor* self_;
  CommandId id_;
  ActorRef store_;
  const CommandActorDeps& deps_;
  std::shared_ptr<const CommandOrder> order_;
  std::optional<CommandCore> core_;
  bool crash_now_ = false;
};

}  // namespace

ActorRef spawn_command(Actor* parent, CommandId id, ActorRef store,
                       const CommandActorDeps& deps) {
  return spawn<CommandActor>(parent, id, std::move(store), std::cref(deps));
}

}  // namespace troupe::actors
