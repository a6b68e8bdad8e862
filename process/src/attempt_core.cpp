#include "attempt_core.hpp"

#include <troupe/base/assert.hpp>

#include <algorithm>

namespace troupe::process {
namespace {

using AttemptAction = AttemptCore::Action::Kind;

constexpr Duration first_probe_delay = 1ms;
constexpr Duration longest_probe_delay = 32ms;

}  // namespace

AttemptCore::AttemptCore(const CommandSpec& spec, int open_streams)
    : time_limit_{spec.time_limit},
      silence_limit_{spec.silence_limit},
      grace_{spec.grace},
      polite_signal_{spec.polite_signal},
      open_streams_{open_streams} {}

AttemptCore::Actions AttemptCore::on_started(TimePoint now) {
  heard_at_ = now;
  deadline_ = now + time_limit_;
  const auto next = next_limit();
  if (!next)
    return {};
  return {{.kind = AttemptAction::set_timer, .at = *next}};
}

std::optional<TimePoint> AttemptCore::next_limit() const {
  std::optional<TimePoint> next;
  if (time_limit_ > Duration{0})
    next = deadline_;
  if (silence_limit_ > Duration{0} && open_streams_ > 0)
    next =
        std::min(next.value_or(TimePoint::max()), heard_at_ + silence_limit_);
  return next;
}

AttemptCore::Actions AttemptCore::on_stop(StopRequest request, TimePoint now) {
  awaits_reader_ = false;
  switch (state_) {
    case State::running:
      (request.timed_out ? verdict_.timed_out : verdict_.stopped) = true;
      return begin_stop(request.signal, request.grace, now);
    case State::stopping:
      // A second request can only hurry.
      if (now + request.grace >= deadline_)
        return {};
      return begin_stop(request.signal, request.grace, now);
    case State::draining:
      // The command has ended by itself; only what it left behind is waited
      // for, and not for long.
      if (request.grace > Duration{0})
        return {};
      return begin_kill();
    case State::killing:
    case State::settling:
    case State::ended:
      return {};
  }
  return {};
}

AttemptCore::Actions AttemptCore::on_right_ended(bool is_grace_over,
                                                 TimePoint now) {
  verdict_.right_ended = verdict_.right_ended || state_ == State::running;
  return is_grace_over
             ? on_stop({.signal = SIGKILL, .grace = Duration{0}}, now)
             : on_stop({.signal = polite_signal_, .grace = grace_}, now);
}

AttemptCore::Actions AttemptCore::begin_stop(int signal, Duration grace,
                                             TimePoint now) {
  state_ = State::stopping;
  if (grace == Duration{0})
    return begin_kill();
  deadline_ = now + grace;
  return {{.kind = AttemptAction::signal_tree, .signal = signal},
          {.kind = AttemptAction::set_timer, .at = deadline_}};
}

AttemptCore::Actions AttemptCore::begin_kill() {
  verdict_.killed = verdict_.killed || state_ == State::stopping;
  state_ = State::killing;
  return {{.kind = AttemptAction::kill_tree}};
}

AttemptCore::Actions AttemptCore::on_stream_closed(TimePoint) {
  TROUPE_ASSERT(open_streams_ > 0);
  --open_streams_;
  return quiet() ? finish() : Actions{};
}

AttemptCore::Actions AttemptCore::on_leader_exited(TimePoint now) {
  if (leader_exited_)
    return {};
  leader_exited_ = true;
  switch (state_) {
    case State::running:
      deadline_ = now + drain_time;
      break;
    case State::stopping:
      // Descendants got the polite signal as well and may use all of the
      // grace; the deadline stays.
      break;
    case State::draining:
    case State::killing:
    case State::settling:
    case State::ended:
      return {};
  }
  state_ = State::draining;
  probe_delay_ = first_probe_delay;
  return {{.kind = AttemptAction::probe_tree}};
}

AttemptCore::Actions AttemptCore::on_probed(bool empty, TimePoint now) {
  switch (state_) {
    case State::draining:
      tree_empty_ = empty;
      return quiet() ? finish() : drain_on(now);
    case State::running:
    case State::stopping:
    case State::killing:
    case State::settling:
    case State::ended:
      return {};
  }
  return {};
}

AttemptCore::Actions AttemptCore::drain_on(TimePoint now) {
  const TimePoint at = std::min(now + probe_delay_, deadline_);
  probe_delay_ = std::min(probe_delay_ * 2, longest_probe_delay);
  return {{.kind = AttemptAction::set_timer, .at = at}};
}

AttemptCore::Actions AttemptCore::on_timer(TimePoint now, Surroundings around) {
  if (around.is_held_back)
    heard_at_ = now;  // It is not silent.
  switch (state_) {
    case State::running: {
      const auto next = next_limit();
      if (!next)
        return {};
      if (now < *next)
        return {{.kind = AttemptAction::set_timer, .at = *next}};
      verdict_.timed_out = true;
      verdict_.silent = time_limit_ == Duration{0} || now < deadline_;
      return begin_stop(polite_signal_, grace_, now);
    }
    case State::stopping:
      if (now < deadline_)
        return {{.kind = AttemptAction::set_timer, .at = deadline_}};
      return begin_kill();
    case State::draining:
      if (now < deadline_)
        return {{.kind = AttemptAction::probe_tree}};
      if (may_be_released(now, around.others_start))
        return {{.kind = AttemptAction::set_timer,
                 .at = now + longest_probe_delay}};
      verdict_.output_held = open_streams_ > 0 && !around.is_held_back;
      return begin_kill();
    case State::settling:
      if (may_be_released(now, around.others_start))
        return {{.kind = AttemptAction::set_timer,
                 .at = now + longest_probe_delay}};
      // What it has written shall not be lost, unless somebody wants its end.
      if (around.is_held_back && awaits_reader_)
        return {{.kind = AttemptAction::set_timer, .at = now + drain_time}};
      verdict_.output_held =
          verdict_.output_held || (open_streams_ > 0 && !around.is_held_back);
      return finish();
    case State::killing:
    case State::ended:
      return {};
  }
  return {};
}

AttemptCore::Actions AttemptCore::on_tree_killed(TimePoint now) {
  if (state_ != State::killing)
    return {};
  // The leader was part of the tree; its exit is on the way if not yet seen.
  leader_exited_ = true;
  tree_empty_ = true;
  if (quiet())
    return finish();
  state_ = State::settling;
  deadline_ = now + settle_time;
  return {{.kind = AttemptAction::set_timer, .at = deadline_}};
}

bool AttemptCore::quiet() const {
  return leader_exited_ && tree_empty_ && open_streams_ == 0 &&
         state_ != State::ended;
}

AttemptCore::Actions AttemptCore::finish() {
  state_ = State::ended;
  return {{.kind = AttemptAction::finish}};
}

}  // namespace troupe::process
