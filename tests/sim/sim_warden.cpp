#include "sim_warden.hpp"

#include "sim_host.hpp"
#include "sim_world.hpp"

#include <algorithm>
#include <utility>

namespace troupe::sim {

namespace {

/// Must not outlive its session.
bool is_expendable(const CommandSpec& spec) {
  return spec.delivery == store::Delivery::at_least_once && !spec.is_kept;
}

flow_control::Resources needs_of(const GrantedTask& task) {
  return *flow_control::Resources::parse(task.spec.resources);
}

}  // namespace

using distributed::BootTime;
using distributed::LeaseCore;

bool SimWarden::start(const std::string& session, const GrantedTask& task) {
  SimWorld& world = host_.world();
  const bool has_right = guarded_ == session && host_.clock() < kill_at_;
  if (!has_right && world.defect() != Defect::warden_starts_after_deadline)
    return false;
  const bool has_what_it_takes = !free().lacks(needs_of(task));
  // Unlike those of any other host.
  const std::uint64_t id = std::uint64_t{host_.index()} << 32 | ++last_command_;
  commands_.emplace(id, Command{task, session});
  const store::AttemptRef& attempt = task.attempt;
  world.note("command starts", host_.index(), number_of(attempt.task),
             attempt.attempt);
  world.checkers().started({.id = id,
                            .node = host_.index(),
                            .attempt = attempt,
                            .session = session,
                            .delivery = task.spec.delivery,
                            .is_kept = task.spec.is_kept,
                            .has_what_it_takes = has_what_it_takes});
  const Duration length =
      task.spec.is_long ? 20s + world.up_to(130s) : 200ms + world.up_to(20s);
  world.after(length, [this, id] {
    host_.on_host([this, id] { end(id, /*is_killed=*/false); });
  });
  return true;
}

flow_control::Resources SimWarden::free() const {
  flow_control::Resources left = host_.capacity();
  for (const auto& [id, command] : commands_)
    if (const auto needs = needs_of(command.task); !left.lacks(needs))
      left.take(needs);
  return left;
}

void SimWarden::guard(const std::string& session, BootTime kill_at,
                      BootTime gone_by) {
  guarded_ = session;
  kill_at_ = kill_at;
  gone_by_ = gone_by;
  ++guard_turn_;
  if (kill_at == BootTime::max())
    return;
  host_.world().at(host_.when(kill_at), [this, turn = guard_turn_] {
    host_.on_host([this, turn] { on_guard(turn); });
  });
}

void SimWarden::on_guard(std::uint64_t turn) {
  if (turn != guard_turn_)
    return;
  host_.world().note("warden kills", host_.index(), commands_.size());
  kill(LeaseCore::Kill::expendable, gone_by_);
}

void SimWarden::forget_guard() { ++guard_turn_; }

void SimWarden::kill(LeaseCore::Kill which, BootTime gone_by) {
  SimWorld& world = host_.world();
  const Duration until = host_.when(gone_by);
  for (const auto& [id, command] : commands_) {
    if (which == LeaseCore::Kill::expendable &&
        !is_expendable(command.task.spec))
      continue;
    Duration at = until;
    if (until > world.now() && world.one_in(2))
      at = world.now() + world.up_to(until - world.now());
    if (world.one_in(8))
      at += world.up_to(500ms);  // Dies slowly.
    world.at(at, [this, id = id] {
      host_.on_host([this, id] { end(id, /*is_killed=*/true); });
    });
  }
}

void SimWarden::end(std::uint64_t id, bool is_killed) {
  const auto found = commands_.find(id);
  if (found == commands_.end())
    return;
  const Command command = found->second;
  commands_.erase(found);
  SimWorld& world = host_.world();
  world.note(is_killed ? "command is killed" : "command ends", host_.index(),
             number_of(command.task.attempt.task));
  world.checkers().stopped(id);
  host_.on_command_ended(command.session, command.task, is_killed);
  if (!commands_.empty())
    return;
  for (const auto& call : std::exchange(waiters_, {}))
    call();
}

void SimWarden::when_empty(std::function<void()> call) {
  if (commands_.empty())
    call();
  else
    waiters_.push_back(std::move(call));
}

bool SimWarden::has_much_to_kill() const {
  return std::any_of(commands_.begin(), commands_.end(), [](const auto& entry) {
    const CommandSpec& spec = entry.second.task.spec;
    return spec.is_long && is_expendable(spec);
  });
}

std::vector<GrantedTask> SimWarden::commands_of(
    const std::string& session) const {
  std::vector<GrantedTask> all;
  for (const auto& [id, command] : commands_)
    if (command.session == session)
      all.push_back(command.task);
  return all;
}

}  // namespace troupe::sim
