#include <troupe/base/overload.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/service/service_core.hpp>

#include <algorithm>
#include <fmt/format.h>

namespace troupe::service {
namespace {

using actors::Cause;
using actors::CauseKind;
using actors::ExitKind;
using actors::ExitReason;

constexpr Duration first_ready_period = 20ms;

/// Whether a check is something that we do, and not something that we wait for.
bool is_active(const Check& check) {
  return !std::holds_alternative<LogCheck>(check) &&
         !std::holds_alternative<NotifyCheck>(check);
}

/// For people, who do not count the milliseconds of a service.
std::string for_people(Duration up) {
  if (up < 1s)
    return format_duration(std::chrono::floor<std::chrono::milliseconds>(up));
  return format_duration(std::chrono::floor<std::chrono::seconds>(up));
}

}  // namespace

std::string_view to_string(ServicePhase phase) {
  switch (phase) {
    case ServicePhase::starting:
      return "starting";
    case ServicePhase::unready:
      return "unready";
    case ServicePhase::ready:
      return "ready";
    case ServicePhase::ending:
      return "ending";
    case ServicePhase::ended:
      return "ended";
  }
  return "unknown";
}

std::string describe(const ServiceEnd& end) {
  std::string text = end.cause.what;
  if (end.report)
    text += fmt::format(" after {}", for_people(end.up));
  for (const std::string& note : end.notes)
    text += fmt::format(", {}", note);
  return text;
}

ServiceCore::Actions ServiceCore::on_start(TimePoint now) {
  started_ = now;
  if (spec_->ready)
    ready_period_ = std::min(first_ready_period, spec_->ready->period);
  act(Launch{});
  return take_actions();
}

ServiceCore::Actions ServiceCore::on_launched(TimePoint now) {
  if (phase_ != ServicePhase::starting)
    return {};
  phase_ = ServicePhase::unready;
  if (spec_->ready) {
    ready_timer_ = set_timer(spec_->ready->limit - (now - started_));
    if (is_active(spec_->ready->check))
      check_after(spec_->ready->delay);
  } else if (!spec_->is_preparation) {
    become_ready(now);
  }
  return take_actions();
}

ServiceCore::Actions ServiceCore::on_ended(const process::AttemptEnd& how,
                                           TimePoint now) {
  if (phase_ == ServicePhase::ended)
    return {};
  drop_check();
  ServiceEnd end{.cause = actors::cause_of(how), .up = now - started_};
  if (const auto* report = std::get_if<process::ExitReport>(&how)) {
    end.report = *report;
    end.notes = actors::notes_on(*report);
    const auto& codes = spec_->success_exit_codes;
    end.clean =
        report->signal == 0 &&
        std::find(codes.begin(), codes.end(), report->exit_code) != codes.end();
  }
  if (asked_to_stop_) {
    end.clean = true;
  } else if (failure_) {
    end.cause = std::move(*failure_);
    end.clean = false;
  } else if (phase_ == ServicePhase::unready && spec_->is_preparation) {
    if (end.clean)
      act(BecomeReady{});
  } else if (phase_ == ServicePhase::unready && end.clean) {
    end.cause.what += " before it was ready";
    end.clean = false;
  }
  quit(std::move(end));
  return take_actions();
}

ServiceCore::Actions ServiceCore::on_checked(std::uint64_t number,
                                             const Result<void>& result,
                                             TimePoint now) {
  if (number != check_ || check_ == 0)
    return {};
  check_ = 0;
  trouble_ = result ? std::string{} : result.error().what;
  if (phase_ == ServicePhase::unready) {
    if (result)
      become_ready(now);
    else
      check_after(ready_period_);
    ready_period_ = std::min(2 * ready_period_, spec_->ready->period);
  } else if (phase_ == ServicePhase::ready) {
    failures_ = result ? 0 : failures_ + 1;
    const LiveProbe& live = *spec_->live;
    if (failures_ >= live.failures)
      fail({CauseKind::not_alive, static_cast<int>(failures_),
            fmt::format("failed its live probe ({}): {}", describe(live.check),
                        trouble_)});
    else
      check_after(live.period);
  }
  return take_actions();
}

ServiceCore::Actions ServiceCore::on_timer(std::uint64_t number,
                                           TimePoint now) {
  if (number == 0)
    return {};
  if (number == check_timer_) {
    check_timer_ = 0;
    start_check();
  } else if (number == ready_timer_ && now - started_ < spec_->ready->limit) {
    // The clock stood still.
    ready_timer_ = set_timer(spec_->ready->limit - (now - started_));
  } else if (number == ready_timer_) {
    fail({CauseKind::not_ready, 0,
          fmt::format("not ready within {} ({}{}{})",
                      format_duration(spec_->ready->limit),
                      describe(spec_->ready->check),
                      trouble_.empty() ? "" : ": ", trouble_)});
  } else if (number == watchdog_timer_) {
    const Duration silence = now - last_ping_;
    if (silence >= spec_->watchdog)
      fail({CauseKind::watchdog, 0,
            fmt::format("sent no WATCHDOG=1 for {}",
                        format_duration(spec_->watchdog))});
    else
      watchdog_timer_ = set_timer(spec_->watchdog - silence);
  }
  return take_actions();
}

ServiceCore::Actions ServiceCore::on_log_text(TimePoint now) {
  if (phase_ == ServicePhase::unready && spec_->ready &&
      std::holds_alternative<LogCheck>(spec_->ready->check))
    become_ready(now);
  return take_actions();
}

ServiceCore::Actions ServiceCore::on_notified_ready(TimePoint now) {
  if (phase_ == ServicePhase::unready && spec_->ready &&
      std::holds_alternative<NotifyCheck>(spec_->ready->check))
    become_ready(now);
  return take_actions();
}

void ServiceCore::on_watchdog_ping(TimePoint now) { last_ping_ = now; }

ServiceCore::Actions ServiceCore::on_watchdog_trigger(TimePoint) {
  if (spec_->watchdog > Duration{0} &&
      (phase_ == ServicePhase::unready || phase_ == ServicePhase::ready))
    fail({CauseKind::watchdog, 0, "sent WATCHDOG=trigger"});
  return take_actions();
}

ServiceCore::Actions ServiceCore::on_stop(TimePoint) {
  if (asked_to_stop_ || phase_ == ServicePhase::ended)
    return {};
  asked_to_stop_ = true;
  stop_tree(spec_->stop_limit);
  return take_actions();
}

void ServiceCore::become_ready(TimePoint now) {
  drop_check();
  phase_ = ServicePhase::ready;
  trouble_.clear();
  ready_timer_ = 0;
  act(BecomeReady{});
  if (spec_->live)
    check_after(spec_->live->delay);
  if (spec_->watchdog > Duration{0}) {
    last_ping_ = now;
    watchdog_timer_ = set_timer(spec_->watchdog);
  }
}

void ServiceCore::check_after(Duration delay) {
  if (delay > Duration{0})
    check_timer_ = set_timer(delay);
  else
    start_check();
}

void ServiceCore::start_check() {
  check_ = ++last_number_;
  if (phase_ == ServicePhase::unready)
    act(StartCheck{check_, &spec_->ready->check,
                   std::min<Duration>(spec_->ready->limit, 5s)});
  else
    act(StartCheck{check_, &spec_->live->check, spec_->live->limit});
}

void ServiceCore::drop_check() {
  check_timer_ = 0;
  if (check_ != 0)
    act(CancelCheck{std::exchange(check_, 0)});
}

std::uint64_t ServiceCore::set_timer(Duration delay) {
  act(SetTimer{++last_number_, delay});
  return last_number_;
}

/// Ends it because of something that is wrong with it.
void ServiceCore::fail(Cause cause) {
  failure_ = std::move(cause);
  stop_tree(spec_->stop_limit);
}

void ServiceCore::stop_tree(Duration limit) {
  drop_check();
  ready_timer_ = 0;
  watchdog_timer_ = 0;
  phase_ = ServicePhase::ending;
  act(StopTree{{.signal = spec_->stop_signal, .grace = limit}});
}

void ServiceCore::quit(ServiceEnd end) {
  phase_ = ServicePhase::ended;
  ExitReason reason{ExitKind::custom, describe(end)};
  if (asked_to_stop_)
    reason.kind = ExitKind::shutdown;
  else if (end.clean)
    reason.kind = ExitKind::normal;
  act(Quit{std::move(reason), std::move(end)});
}

}  // namespace troupe::service
