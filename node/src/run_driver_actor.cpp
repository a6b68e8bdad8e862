#include "run_driver_actor.hpp"

#include <functional>
#include <memory>
#include <utility>

namespace troupe::node {
namespace {

struct TakeTurn {
  std::shared_ptr<const RunDriverHost::Turn> turn;
};

}  // namespace
}  // namespace troupe::node

TROUPE_LOCAL_MESSAGE(troupe::node::TakeTurn)

namespace troupe::node {
namespace {

using actors::Actor;
using actors::ActorRef;
using actors::Behavior;

class RunDriverActor : public RunDriverHost {
 public:
  RunDriverActor(Actor* self, std::shared_ptr<const RunDriverDeps> deps)
      : self_{self}, driver_{make_run_driver(*this, std::move(deps))} {}

  Behavior make_behavior() {
    driver_->begin();
    return {
        [](const TakeTurn& m) { (*m.turn)(); },
        [this](const SubmitRun& m) { driver_->submit(m); },
        [this](const ChangeRun& m) { driver_->change(m); },
        [this](const AskRun& m) { driver_->show(m); },
        [this](const AskAwaiting& m) { driver_->count_awaiting(m); },
        [this](const AskBegun& m) { driver_->look_for_begun(m); },
        [this](const RunJobChanged& m) { driver_->look_at(m); },
        [this](const HomesSeen& m) { driver_->see_homes(m); },
        [this](const PlacementSeen& m) { driver_->see_placement(m); },
    };
  }

  std::function<void(Turn)> door() override {
    return [self = actors::ref_of(self_)](Turn turn) {
      actors::send(self, message(std::move(turn)));
    };
  }

  void after(Duration pause, Turn turn) override {
    actors::send_after(self_, pause, message(std::move(turn)));
  }

 private:
  static TakeTurn message(Turn turn) {
    return {std::make_shared<const Turn>(std::move(turn))};
  }

  Actor* self_;
  std::unique_ptr<RunDriver> driver_;
};

}  // namespace

ActorRef spawn_run_driver(Actor* parent,
                          std::shared_ptr<const RunDriverDeps> deps,
                          RunThread thread) {
  if (thread == RunThread::own)
    return actors::spawn_detached<RunDriverActor>(parent->system(),
                                                  std::move(deps));
  return actors::spawn<RunDriverActor>(parent, std::move(deps));
}

}  // namespace troupe::node
