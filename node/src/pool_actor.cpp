#include "pool_actor.hpp"

#include <troupe/base/exit_status.hpp>
#include <troupe/supervisor/messages.hpp>

#include <deque>
#include <fmt/format.h>
#include <map>
#include <utility>
#include <variant>

namespace troupe::node {
namespace {

using actors::Actor;
using actors::ActorRef;
using actors::Behavior;
using actors::CancelCommand;
using actors::CancelTaken;
using actors::CauseKind;
using actors::CommandFinished;
using actors::CommandOpened;
using actors::CommandOrder;
using actors::CrashCommand;
using actors::DownMessage;
using actors::ExpireAttempt;
using actors::Outcome;
using actors::OutcomeKind;
using actors::SignalCommand;
using actors::StoreState;

std::shared_ptr<const Outcome> crashed(std::string what) {
  auto outcome = std::make_shared<Outcome>();
  outcome->kind = OutcomeKind::crashed;
  outcome->exit_status = status_troupe_failed;
  outcome->causes = {{CauseKind::actor_crash, 0, std::move(what)}};
  return outcome;
}

class PoolActor {
 public:
  PoolActor(Actor* self, ActorRef store, ActorRef commands, ActorRef front)
      : self_{self},
        store_{std::move(store)},
        commands_{std::move(commands)},
        front_{std::move(front)} {}

  Behavior make_behavior() {
    send(self_, store_, actors::ListOpenCommands{});
    return {
        [this](const actors::OpenCommands& m) {
          for (const CommandId id : m.ids)
            start(id);
          send(self_, front_, PoolStarted{actors::ref_of(self_)});
        },
        [this](const SubmitCommand& m) {
          send(self_, store_, actors::OpenCommand{m.order, front_});
          start(m.order->id);
        },
        [this](const CancelCommand& m) { send(self_, store_, m); },
        [this](CancelTaken m) { send(self_, front_, m); },
        [this](const ExpireAttempt& m) { send(self_, store_, m); },
        [this](SignalCommand m) { send(self_, store_, m); },
        [this](CrashCommand m) { send(self_, store_, m); },
        [this](const supervisor::ChildReply& m) { on_reply(m); },
    };
  }

 private:
  void start(CommandId id) {
    send(self_, commands_,
         supervisor::StartDynamicChild{actors::make_message(LookAfter{id}),
                                       id.value});
  }

  /// A command that nobody can look after still gets its answer.
  void on_reply(const supervisor::ChildReply& m) {
    // A supervisor that shuts down takes this pool with it, and the next pool
    // starts what is missing.
    if (m.code == supervisor::ReplyCode::ok ||
        m.code == supervisor::ReplyCode::shutting_down)
      return;
    send(self_, store_,
         actors::FinishCommand{
             CommandId{m.token},
             crashed(fmt::format("its actor could not be started: {}{}{}",
                                 supervisor::to_string(m.code),
                                 m.what.empty() ? "" : ", ", m.what))});
  }

  Actor* self_;
  ActorRef store_;
  ActorRef commands_;
  ActorRef front_;
};

class FrontActor {
 public:
  FrontActor(Actor* self, std::shared_ptr<StoreState> state)
      : self_{self}, state_{std::move(state)} {
    self_->set_down_handler([this](DownMessage& down) { on_down(down); });
  }

  Behavior make_behavior() {
    return {
        [this](const WatchTree& m) {
          tree_ = actors::id_of(m.tree);
          actors::monitor(self_, m.tree);
        },
        [this](const PoolStarted& m) { connect(m.pool); },
        [this](const SubmitCommand& m) { submit(m); },
        [this](CommandOpened m) { submitted_.erase(m.id); },
        [this](const CancelCommand& m) { cancel(m); },
        [this](CancelTaken m) { cancelling_.erase(m.id); },
        [this](const ExpireAttempt& m) { pass_on(m); },
        [this](SignalCommand m) { pass_on(m); },
        [this](CrashCommand m) { pass_on(m); },
        [this](EngineEnding) { actors::quit(self_); },
    };
  }

 private:
  using Kept = std::variant<ExpireAttempt, SignalCommand, CrashCommand>;

  void connect(const ActorRef& pool) {
    pool_ = pool;
    actors::monitor(self_, pool);
    for (const auto& [id, order] : submitted_)
      send(self_, pool_, SubmitCommand{order});
    for (const auto& [id, cancel] : cancelling_)
      send(self_, pool_, cancel);
    for (const Kept& kept : std::exchange(kept_, {}))
      std::visit([this](const auto& m) { send(self_, pool_, m); }, kept);
  }

  void submit(const SubmitCommand& message) {
    if (tree_is_gone_) {
      answer(*message.order);
      return;
    }
    submitted_[message.order->id] = message.order;
    if (pool_)
      send(self_, pool_, message);
  }

  void cancel(const CancelCommand& message) {
    if (tree_is_gone_)
      return;
    cancelling_.insert_or_assign(message.id, message);
    if (pool_)
      send(self_, pool_, message);
  }

  template <class M>
  void pass_on(const M& message) {
    if (pool_)
      send(self_, pool_, message);
    else if (!tree_is_gone_)
      kept_.emplace_back(message);
  }

  void on_down(const DownMessage& down) {
    // Of what was on its way to a dead pool, commands and cancellations go to
    // the next one again. Signals do not: those that arrived would arrive
    // twice.
    if (pool_ && actors::id_of(down) == actors::id_of(pool_))
      pool_ = nullptr;
    if (actors::id_of(down) == tree_)
      on_tree_gone();
  }

  void on_tree_gone() {
    tree_is_gone_ = true;
    kept_.clear();
    cancelling_.clear();
    auto open = std::exchange(state_->orders, {});
    open.merge(std::exchange(submitted_, {}));
    for (const auto& [id, order] : open)
      answer(*order);
  }

  void answer(const CommandOrder& order) {
    send(self_, order.owner,
         CommandFinished{
             order.id, crashed("the engine gave up after too many restarts")});
  }

  Actor* self_;
  std::shared_ptr<StoreState> state_;
  ActorRef pool_;
  actors::ActorId tree_ = 0;
  bool tree_is_gone_ = false;
  /// Not in the store yet, as far as known. Bounded by the permits they hold.
  std::map<CommandId, std::shared_ptr<const CommandOrder>> submitted_;
  /// Not in the store yet, as far as known. Bounded by the commands.
  std::map<CommandId, CancelCommand> cancelling_;
  /// For the next pool; few, for that comes within moments.
  std::deque<Kept> kept_;
};

}  // namespace

ActorRef spawn_pool(Actor* parent, ActorRef store, ActorRef commands,
                    ActorRef front) {
  return actors::spawn<PoolActor>(parent, std::move(store), std::move(commands),
                                  std::move(front));
}

ActorRef spawn_front(actors::ActorSystem& system,
                     std::shared_ptr<StoreState> state) {
  return actors::spawn<FrontActor>(system, std::move(state));
}

}  // namespace troupe::node
