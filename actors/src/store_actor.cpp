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
        [this](AttachCommand m) { attach(m.id, sender_of(self_)); },
        [this](const RecordAttempt& m) { record(m); },
        [this](const FinishCommand& m) { finish(m); },
        [this](const CancelCommand& m) {
          state_->table.cancel(m.id);
          pass_on(m.id, m);
          send(self_, sender_of(self_), CancelTaken{m.id});
        },
        [this](const ExpireAttempt& m) { pass_on(m.id, m); },
        [this](SignalCommand m) { pass_on(m.id, m); },
        [this](CrashCommand m) { pass_on(m.id, m); },
        [this](ListOpenCommands) {
          send(self_, sender_of(self_), OpenCommands{unattended()});
        },
    };
  }

 private:
  void open(const OpenCommand& m) {
    if (state_->table.open(m.order->id, m.order->request))
      state_->orders[m.order->id] = m.order;
    send(self_, m.submitter, CommandOpened{m.order->id});
  }

  void record(const RecordAttempt& m) {
    state_->table.record(m.id, *m.attempt, m.back_off);
    send(self_, sender_of(self_),
         AttemptRecorded{process::AttemptId{m.id, m.attempt->number}});
  }

  void attach(CommandId id, const ActorRef& actor) {
    const auto before = looking_after_.find(id);
    if (before != looking_after_.end()) {
      stop(self_, before->second);
      if (const ActorRef overtaken = std::exchange(waiting_[id], actor))
        stop(self_, overtaken);
      return;
    }
    auto history = state_->table.history(id);
    if (!history) {
      CommandGone gone;
      if (const auto given_up = state_->abandoned.extract(id))
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

  void finish(const FinishCommand& m) {
    if (auto outcome = state_->table.finish(m.id, *m.outcome)) {
      if (looking_after_.count(m.id) != 0)
        state_->abandoned[m.id] =
            static_cast<std::uint32_t>(outcome->attempts.size());
      close(m.id, std::move(*outcome));
    }
    send(self_, sender_of(self_), CommandGone{});
  }

  template <class M>
  void pass_on(CommandId id, const M& message) {
    const auto actor = looking_after_.find(id);
    if (actor != looking_after_.end())
      send(self_, actor->second, message);
  }

  /// Comes behind all that the actor has sent.
  void on_down(const DownMessage& down) {
    const auto command = commands_.extract(id_of(down));
    if (!command)
      return;
    const CommandId id = command.mapped();
    looking_after_.erase(id);
    const ExitReason reason = to_exit_reason(down.reason);
    if (reason.kind == ExitKind::normal)
      state_->abandoned.erase(id);
    else if (!reason.clean())
      on_crash(id, reason);
    if (const auto next = waiting_.extract(id))
      attach(id, next.mapped());
  }

  void on_crash(CommandId id, const ExitReason& reason) {
    const auto history = state_->table.history(id);
    if (auto outcome = state_->table.on_crash(id, describe(reason))) {
      state_->abandoned[id] =
          static_cast<std::uint32_t>(history->attempts.size()) + 1;
      close(id, std::move(*outcome));
    }
  }

  void close(CommandId id, Outcome outcome) {
    const auto order = state_->orders.extract(id);
    send(self_, order.mapped()->owner,
         CommandFinished{id,
                         std::make_shared<const Outcome>(std::move(outcome))});
  }

  /// Commands that need an actor: to go on with them, or to end what is left.
  [[nodiscard]] std::vector<CommandId> unattended() const {
    std::vector<CommandId> ids = state_->table.open_commands();
    for (const auto& [id, attempt] : state_->abandoned)
      ids.push_back(id);
    return ids;
  }

  Actor* self_;
  std::shared_ptr<StoreState> state_;
  /// Each is monitored and stays here until its end.
  std::unordered_map<CommandId, ActorRef> looking_after_;
  std::unordered_map<ActorId, CommandId> commands_;
  /// Will look after a command once the actor before it has ended.
  std::unordered_map<CommandId, ActorRef> waiting_;
};

}  // namespace

ActorRef spawn_store(Actor* parent, std::shared_ptr<StoreState> state) {
  return spawn<StoreActor>(parent, std::move(state));
}

}  // namespace troupe::actors
