#include <troupe/actors/store_actor.hpp>

#include <unordered_map>
#include <utility>

namespace troupe::actors {
namespace {

class StoreActor {
 public:
  StoreActor(Actor* self, std::shared_ptr<StoreState> state)
      : self_{self}, state_{std::move(state)} {
    self_->set_down_handler([this](DownMessage& down) { on_down(down); });
  }

  Behavior make_behavior() {
    return {
        [this](const OpenCommand& m) { open(m); },
        [this](AttachCommand m) { attach(m.id); },
        [this](const RecordAttempt& m) {
          state_->table.record(m.id, *m.attempt);
        },
        [this](const FinishCommand& m) {
          close(m.id, state_->table.finish(m.id, *m.outcome));
        },
        [this](const CancelCommand& m) {
          state_->table.cancel(m.id);
          pass_on(m.id, m);
        },
        [this](const ExpireAttempt& m) { pass_on(m.id, m); },
        [this](SignalCommand m) { pass_on(m.id, m); },
        [this](CrashCommand m) { pass_on(m.id, m); },
        [this](ListOpenCommands) {
          send(self_, sender_of(self_),
               OpenCommands{state_->table.open_commands()});
        },
    };
  }

 private:
  void open(const OpenCommand& m) {
    if (state_->table.open(m.order->id, m.order->request))
      state_->orders[m.order->id] = m.order;
  }

  void attach(CommandId id) {
    const ActorRef actor = sender_of(self_);
    auto history = state_->table.history(id);
    if (!history) {
      CommandGone gone;
      if (const auto given_up = given_up_.extract(id))
        gone.abandoned = process::AttemptId{id, given_up.mapped()};
      send(self_, actor, gone);
      return;
    }
    monitor(self_, actor);
    looking_after_[id] = actor;
    commands_[id_of(actor)] = id;
    send(self_, actor,
         CommandAttached{state_->orders.at(id), std::move(*history)});
  }

  template <class M>
  void pass_on(CommandId id, const M& message) {
    const auto actor = looking_after_.find(id);
    if (actor != looking_after_.end())
      send(self_, actor->second, message);
  }

  void on_down(const DownMessage& down) {
    const auto command = commands_.extract(id_of(down));
    if (!command)
      return;
    const CommandId id = command.mapped();
    looking_after_.erase(id);
    const ExitReason reason = to_exit_reason(down.reason);
    if (reason.clean())
      return;
    const auto history = state_->table.history(id);
    if (auto outcome = state_->table.on_crash(id, describe(reason))) {
      given_up_[id] = static_cast<std::uint32_t>(history->attempts.size()) + 1;
      close(id, std::move(outcome));
    }
  }

  void close(CommandId id, std::optional<Outcome> outcome) {
    if (!outcome)
      return;
    const auto order = state_->orders.extract(id);
    looking_after_.erase(id);
    send(self_, order.mapped()->owner,
         CommandFinished{id,
                         std::make_shared<const Outcome>(std::move(*outcome))});
  }

  Actor* self_;
  std::shared_ptr<StoreState> state_;
  std::unordered_map<CommandId, ActorRef> looking_after_;
  std::unordered_map<ActorId, CommandId> commands_;
  /// Given up, and the next actor of it must end this attempt.
  std::unordered_map<CommandId, std::uint32_t> given_up_;
};

}  // namespace

ActorRef spawn_store(Actor* parent, std::shared_ptr<StoreState> state) {
  return spawn<StoreActor>(parent, std::move(state));
}

}  // namespace troupe::actors
