#include "sim_host.hpp"

#include "sim_node.hpp"
#include "sim_world.hpp"

#include <troupe/queue/labels.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace troupe::sim {
namespace {

constexpr std::uint32_t tapes = 2;

distributed::NodeId id_of(std::uint32_t index) {
  distributed::NodeId id{{0x00, 0x74, 0x72, 0x6f, 0x75, 0x70, 0x65}};
  id.bytes.back() = static_cast<std::uint8_t>(index + 1);
  return id;
}

}  // namespace

using distributed::BootTime;

SimHost::SimHost(SimWorld& world, std::uint32_t index)
    : world_{world},
      index_{index},
      id_{id_of(index)},
      pace_{static_cast<std::int64_t>(990 + world.random().next() % 21)},
      start_{world.up_to(10'000s)},
      slots_{static_cast<std::uint32_t>(2 + world.random().next() % 4)},
      warden_{*this} {}

SimHost::~SimHost() = default;

void SimHost::boot_after(Duration pause) {
  world_.after(pause, [this] {
    on_host([this] {
      if (agent_)
        return;
      // One that is new does not have to take its predecessor's session over.
      const bool has_some = !warden_.commands_of(session_).empty() ||
                            (!session_.empty() && !spool_.empty());
      const bool adopts = has_some && world_.one_in(2);
      world_.note(adopts ? "agent starts, adopting" : "agent starts", index_);
      if (adopts)
        world_.checkers().took_over();
      agent_ = std::make_unique<SimNode>(*this, ++life_);
      on_agent(life_, [this, adopts] { agent_->begin(adopts); });
    });
  });
}

void SimHost::crash(Duration length) {
  if (!agent_ || world_.now() < frozen_until_)
    return;
  agent_.reset();
  ++life_;
  paused_until_ = world_.now();
  go_on();
  if (world_.defect() == Defect::warden_forgets_at_agent_crash)
    warden_.forget_guard();
  boot_after(length);
}

void SimHost::pause(Duration until) {
  paused_until_ = std::max(paused_until_, until);
  world_.at(until, [this] { go_on(); });
}

void SimHost::freeze(Duration until) {
  frozen_until_ = std::max(frozen_until_, until);
  world_.at(until, [this] { go_on(); });
  world_.checkers().frozen(index_);
}

void SimHost::drain() {
  deliver([this](SimNode& agent) { agent.on_drain(clock() + 60s); });
}

void SimHost::be_gone() {
  is_gone_ = true;
  frozen_until_ = Duration::max();
  world_.checkers().frozen(index_);
}

void SimHost::stop_faults() {
  if (is_gone_)
    return;
  frozen_until_ = std::min(frozen_until_, world_.now());
  paused_until_ = std::min(paused_until_, world_.now());
  go_on();
}

void SimHost::go_on() {
  if (world_.now() < frozen_until_)
    return;
  for (const Call& call : std::exchange(waiting_for_host_, {}))
    call();
  if (world_.now() < paused_until_)
    return;
  for (WaitingCall& call : std::exchange(waiting_for_agent_, {}))
    on_agent(std::move(call));
}

void SimHost::on_host(Call call) {
  if (world_.now() < frozen_until_)
    waiting_for_host_.push_back(std::move(call));
  else
    call();
}

void SimHost::on_agent(std::uint64_t life, Call call) {
  on_agent({life, std::move(call)});
}

void SimHost::on_dispatcher(std::uint64_t life, Call call) {
  on_agent({life, std::move(call), /*is_of_dispatcher=*/true});
}

void SimHost::on_agent(WaitingCall call) {
  if (call.life != life_ || !agent_)
    return;
  if (world_.now() < std::max(frozen_until_, paused_until_))
    waiting_for_agent_.push_back(std::move(call));
  else if (call.is_of_dispatcher)
    call.call();
  else
    agent_->run(call.call);
}

void SimHost::on_warden(std::uint64_t life, Call call) {
  on_host([this, life, call = std::move(call)] {
    if (life == life_ && agent_)
      call();
  });
}

void SimHost::deliver(std::function<void(SimNode&)> call) {
  on_agent(life_, [this, call = std::move(call)] { call(*agent_); });
}

bool SimHost::start(const std::string& session, const GrantedTask& task) {
  return knows(session, task.attempt) || warden_.start(session, task);
}

bool SimHost::knows(const std::string& session,
                    const store::AttemptRef& attempt) const {
  // It does not know the numbers of claims.
  const auto is_it = [&attempt](const store::AttemptRef& known) {
    return known.task == attempt.task && known.attempt == attempt.attempt;
  };
  const auto running = warden_.commands_of(session);
  return std::any_of(
             running.begin(), running.end(),
             [&](const GrantedTask& task) { return is_it(task.attempt); }) ||
         std::any_of(spool_.begin(), spool_.end(), [&](const auto& entry) {
           return entry.second.session == session && is_it(entry.first);
         });
}

void SimHost::forget(const store::AttemptRef& attempt) {
  spool_.erase(attempt);
}

std::string SimHost::home() const { return fmt::format("node-{}", index_); }

flow_control::Resources SimHost::capacity() const {
  return queue::have_labels(*flow_control::Resources::parse(
                                fmt::format("tape={},{}=1000", tapes, home())),
                            {"any"});
}

flow_control::Resources SimHost::believed_capacity() const {
  if (world_.defect() != Defect::ignores_resources)
    return capacity();
  std::string all = "tape=1000";
  for (std::size_t i = 0; i < world_.hosts().size(); ++i)
    all += fmt::format(",node-{}=1000", i);
  return queue::have_labels(*flow_control::Resources::parse(all), {"any"});
}

void SimHost::on_command_ended(const std::string& session,
                               const GrantedTask& task, bool is_killed) {
  SpooledResult result{.session = session, .task = task};
  result.completion.attempt = task.attempt;
  result.completion.detail = fmt::format(
      R"({{"node":"n{}","home":"{}","handed_on":{{"outputs":[]}}}})", index_,
      home());
  const bool is_at_most_once =
      task.spec.delivery == store::Delivery::at_most_once;
  if (is_killed) {
    result.is_given_back = !is_at_most_once;
    result.completion.outcome = store::Outcome::failed;
  } else if (world_.one_in(8)) {
    result.completion.outcome = store::Outcome::failed;
    if (!is_at_most_once && world_.one_in(2))
      result.completion.retry_at = world_.store().clock() + 3s;
  }
  spool_.emplace(task.attempt, std::move(result));
  Duration late = world_.report_delay();
  if (is_killed)
    late = std::max(late, world_.reach(Moment::kills, index_).request);
  world_.after(late, [this, attempt = task.attempt] {
    deliver([attempt](SimNode& agent) { agent.on_command_ended(attempt); });
  });
}

void SimHost::on_agent_quit(std::uint64_t life) {
  world_.after(Duration{0}, [this, life] {
    if (life != life_)
      return;
    agent_.reset();
    ++life_;
    boot_after(world_.up_to(60s));
  });
}

void SimHost::begin_session() {
  // Of a new warden.
  spool_.clear();
  session_ = fmt::format("n{}-{}", index_, ++incarnation_);
}

BootTime SimHost::clock() const {
  return BootTime{} + start_ + world_.now() * pace_ / 1000;
}

Duration SimHost::when(BootTime time) const {
  return (time - BootTime{} - start_) * 1000 / pace_ + Duration{1us};
}

}  // namespace troupe::sim
