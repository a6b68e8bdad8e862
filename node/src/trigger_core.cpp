#include "trigger_core.hpp"

#include <troupe/schedule/next_fire.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

namespace troupe::node {
namespace {

using workflow::Overlap;

std::chrono::sys_seconds whole_seconds(WallTime time) {
  return std::chrono::floor<std::chrono::seconds>(time);
}

const schedule::TimeZone& zone_of(const workflow::ScheduleTrigger& schedule,
                                  const schedule::TimeZone& utc) {
  return schedule.zone ? *schedule.zone : utc;
}

}  // namespace

TriggerCore::TriggerCore(std::optional<workflow::ScheduleTrigger> schedule,
                         TriggerState kept)
    : schedule_{std::move(schedule)},
      state_{std::move(kept)},
      is_running_{state_.last_run.value != 0},
      frozen_{std::min<std::size_t>(1, state_.pending.size())} {}

bool TriggerCore::on_time(WallTime now) {
  if (!schedule_)
    return false;
  if (state_.handled > now + longest_step_back) {
    state_.handled = now;
    return true;
  }
  const auto utc = schedule::TimeZone::utc();
  const auto last =
      schedule::last_fire(schedule_->cron, zone_of(*schedule_, utc),
                          whole_seconds(state_.handled), whole_seconds(now));
  if (!last)
    return false;
  state_.handled = *last;
  if (now - *last <= std::max(schedule_->catch_up, always_made_up_for))
    (void)fire(*last);
  return true;
}

bool TriggerCore::fire(WallTime at) {
  const bool is_busy = is_running_ || !state_.pending.empty();
  switch (schedule_->overlap) {
    case Overlap::skip:
      if (is_busy) {
        ++skipped_;
        return false;
      }
      break;
    case Overlap::cancel_running:
      // Those that may have been submitted stay.
      while (state_.pending.size() > frozen_)
        state_.pending.pop_back();
      break;
    case Overlap::queue:
    case Overlap::allow:
      break;
  }
  if (state_.pending.size() >= most_pending) {
    ++skipped_;
    return false;
  }
  state_.pending.push_back({at});
  return true;
}

bool TriggerCore::on_change(const std::vector<std::string>& files, WallTime now,
                            WallTime known_until) {
  if (files.empty())
    return false;
  state_.handled = known_until;
  auto& pending = state_.pending;
  for (const std::string& file : files) {
    if (std::any_of(pending.begin() + static_cast<std::ptrdiff_t>(frozen_),
                    pending.end(), [&](const Fire& fire) {
                      return std::find(fire.files.begin(), fire.files.end(),
                                       file) != fire.files.end();
                    }))
      continue;
    if (pending.size() <= frozen_ || pending.back().files.size() == most_files)
      // Each has a time of its own, by which its run is known.
      pending.push_back(
          {std::max({now, state_.last_fire + 1ms,
                     pending.empty() ? now : pending.back().at + 1ms})});
    pending.back().files.push_back(file);
  }
  return true;
}

TriggerCore::Next TriggerCore::next() {
  if (is_submitting_ || state_.pending.empty())
    return {};
  const Overlap overlap = schedule_ ? schedule_->overlap : Overlap::queue;
  if (is_running_ && overlap == Overlap::cancel_running) {
    if (std::exchange(is_cancelling_, true))
      return {};
    return {.cancel = state_.last_run};
  }
  if (is_running_ && overlap != Overlap::allow)
    return {};
  is_submitting_ = true;
  frozen_ = std::max<std::size_t>(frozen_, 1);
  return {.submit = state_.pending.front()};
}

void TriggerCore::pop() {
  state_.pending.pop_front();
  is_submitting_ = false;
  frozen_ -= std::min<std::size_t>(frozen_, 1);
}

bool TriggerCore::on_submitted(WallTime at, store::RunId run) {
  if (state_.pending.empty() || state_.pending.front().at != at)
    return false;
  pop();
  state_.last_run = run;
  state_.last_fire = at;
  is_running_ = true;
  is_cancelling_ = false;
  return true;
}

bool TriggerCore::on_refused(WallTime at) {
  if (state_.pending.empty() || state_.pending.front().at != at)
    return false;
  pop();
  return true;
}

void TriggerCore::on_failed(WallTime at) {
  if (!state_.pending.empty() && state_.pending.front().at == at)
    is_submitting_ = false;
}

void TriggerCore::on_run_ended(store::RunId run) {
  if (run == state_.last_run)
    is_running_ = is_cancelling_ = false;
}

std::vector<WallTime> TriggerCore::next_fires(WallTime now,
                                              std::size_t count) const {
  std::vector<WallTime> times;
  if (!schedule_)
    return times;
  const auto utc = schedule::TimeZone::utc();
  // What is due and not dealt with yet comes first.
  auto at = whole_seconds(std::max(now, state_.handled));
  while (times.size() < count) {
    const auto next =
        schedule::next_fire(schedule_->cron, zone_of(*schedule_, utc), at);
    if (!next)
      break;
    times.push_back(*next);
    at = *next;
  }
  return times;
}

}  // namespace troupe::node
