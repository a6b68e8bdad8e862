#include "sim_driver.hpp"

#include <utility>

namespace troupe::sim {

SimDriver::SimDriver(SimHost& host, std::uint64_t life, Told told)
    : SimActor{host, life} {
  const auto deps = std::make_shared<node::RunDriverDeps>(node::RunDriverDeps{
      .store = *this,
      .output_folder = "/nowhere",
      .on_work = std::move(told.on_work),
      // They end by themselves, as if they took no notice.
      .stop_tasks = [](const std::vector<store::AttemptRef>&) {},
      .on_change = [](store::JobId) {},
      .on_recorded =
          [this] { (void)world_.reach(Moment::records, host_.index()); },
      .on_outputs_read = [](const std::string&) {},
      .on_runs_expired = [](const std::vector<store::RunId>&) {},
      .wall_now = [&world = world_] { return world.store().clock(); },
      .home = host.home(),
      .session = {host.session()},
      .tell_owners = std::move(told.tell_owners)});
  driver_ = node::make_run_driver(*this, deps);
}

SimDriver::~SimDriver() = default;

std::function<void(node::RunDriverHost::Turn)> SimDriver::door() {
  return [weak = weak_from_this(), &host = host_, life = life_](Turn turn) {
    host.world().after(Duration{0}, [weak, &host, life, turn] {
      host.on_dispatcher(life, [weak, turn] {
        if (const auto self = weak.lock())
          turn();
      });
    });
  };
}

void SimDriver::after(Duration pause, Turn turn) {
  SimActor::after(pause, std::move(turn));
}

void SimDriver::on_change(store::JobId job) {
  if (is_asking_)
    changed_.push_back(job);
  else
    driver_->look_at({job});
}

void SimDriver::post(Work work, Done done) {
  asked_.push_back({std::move(work), std::move(done)});
  ask_next();
}

void SimDriver::ask_next() {
  if (asked_.empty() || std::exchange(is_asking_, true))
    return;
  ask(
      [node = host_.index(), work = asked_.front().work](SimStore& store) {
        store.transact(node, work);
        return std::optional{true};
      },
      [this](const std::optional<bool>& answer) {
        const Asked asked = std::move(asked_.front());
        asked_.pop_front();
        asked.done(answer ? Result<void>{}
                          : failure(Errc::timed_out, "no answer"));
        is_asking_ = false;
        for (const store::JobId job : std::exchange(changed_, {}))
          door()([this, job] { driver_->look_at({job}); });
        ask_next();
      });
}

}  // namespace troupe::sim
