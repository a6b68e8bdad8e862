#include "guard_core.hpp"

#include <algorithm>

namespace troupe::process {
namespace {

using GuardAction = GuardCore::Action::Kind;

}  // namespace

GuardCore::Actions GuardCore::on_guard(BootTime kill_at, BootTime gone_by,
                                       BootTime now) {
  stop_at_ = kill_at;
  if (kill_at == BootTime::max()) {
    state_ = State::free;
    return {};
  }
  const Duration grace = std::max(gone_by, kill_at) - kill_at;
  kill_at_ = kill_at + (grace - std::min(death_time, grace / 2));
  state_ = State::armed;
  return on_timer(now);
}

GuardCore::Actions GuardCore::on_timer(BootTime now) {
  Actions actions;
  switch (state_) {
    case State::armed:
      if (now < stop_at_)
        return {{.kind = GuardAction::set_timer, .at = stop_at_}};
      state_ = State::stopping;
      actions.push_back({.kind = GuardAction::stop_guarded});
      [[fallthrough]];
    case State::stopping:
      if (now < kill_at_) {
        actions.push_back({.kind = GuardAction::set_timer, .at = kill_at_});
        return actions;
      }
      state_ = State::lapsed;
      actions.push_back({.kind = GuardAction::kill_guarded});
      return actions;
    case State::free:
    case State::lapsed:
      return {};
  }
  return {};
}

bool GuardCore::may_start(BootTime now) const {
  switch (state_) {
    case State::free:
      return true;
    case State::armed:
      return now < stop_at_;
    case State::stopping:
    case State::lapsed:
      return false;
  }
  return false;
}

}  // namespace troupe::process
