#include <troupe/actors/command_core.hpp>
#include <troupe/base/exit_status.hpp>
#include <troupe/base/overload.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace troupe::actors {
namespace {

using process::ExitReport;
using process::RunnerLost;
using process::SpawnFailure;

/// Why an attempt that ran to its end by itself is no success; empty if it is.
std::vector<Cause> shortcomings(const CommandRequest& request,
                                const ExitReport& report,
                                const std::vector<bool>& texts_found) {
  const SuccessCriteria& success = request.success;
  const auto& codes = success.exit_codes;
  if (report.signal != 0 ||
      std::find(codes.begin(), codes.end(), report.exit_code) == codes.end())
    return {cause_of(report)};
  for (std::size_t i = 0; i < success.output_contains.size(); ++i) {
    if (!texts_found.at(i))
      return {{CauseKind::output, 0,
               fmt::format("its output does not contain \"{}\"",
                           printable(success.output_contains[i]))}};
  }
  for (std::size_t i = 0; i < success.output_not_contains.size(); ++i) {
    if (texts_found.at(success.output_contains.size() + i))
      return {{CauseKind::output, 0,
               fmt::format("its output contains \"{}\"",
                           printable(success.output_not_contains[i]))}};
  }
  if (success.max_duration != Duration{0} && report.wall > success.max_duration)
    return {{CauseKind::duration, 0,
             fmt::format("took {}, more than {}", format_duration(report.wall),
                         format_duration(success.max_duration))}};
  return {};
}

void judge_report(Attempt& attempt, const CommandRequest& request,
                  const ExitReport& report,
                  const std::vector<bool>& texts_found) {
  attempt.report = report;
  attempt.notes = notes_on(report);
  if (report.timed_out) {
    attempt.kind = OutcomeKind::timed_out;
    const Duration limit = request.spec.time_limit;
    if (report.silent) {
      attempt.causes = {
          {CauseKind::silence, 0,
           fmt::format("no output for {}{}",
                       format_duration(request.spec.silence_limit),
                       report.killed ? " and had to be killed" : "")}};
      return;
    }
    attempt.causes = {
        {CauseKind::timeout, 0,
         fmt::format(
             "timed out after {}{}",
             format_duration(limit == Duration{0} ? report.wall : limit),
             report.killed ? " and had to be killed" : "")}};
  } else if (report.stopped) {
    attempt.kind = OutcomeKind::cancelled;
    attempt.causes = {cause_of(report),
                      {CauseKind::cancelled, 0, "was cancelled"}};
  } else {
    attempt.causes = shortcomings(request, report, texts_found);
    attempt.kind =
        attempt.causes.empty() ? OutcomeKind::success : OutcomeKind::failed;
  }
}

}  // namespace

Attempt judge(const CommandRequest& request, std::uint32_t number,
              WallTime started, AttemptSeen seen, bool cancelled) {
  Attempt attempt;
  attempt.number = number;
  attempt.started = started;
  attempt.ended = seen.ended;
  attempt.stdout_tail = std::move(seen.stdout_tail);
  attempt.stderr_tail = std::move(seen.stderr_tail);
  std::visit(Overload{[&](const ExitReport& report) {
                        judge_report(attempt, request, report,
                                     seen.texts_found);
                      },
                      [&](const SpawnFailure&) {
                        attempt.kind = OutcomeKind::failed;
                        attempt.causes = {cause_of(seen.end)};
                      },
                      [&](RunnerLost) {
                        attempt.kind = OutcomeKind::lost;
                        attempt.causes = {cause_of(seen.end)};
                      }},
             seen.end);
  // Somebody wanted its end, and it came before the request could arrive.
  if (cancelled && attempt.kind != OutcomeKind::success &&
      attempt.kind != OutcomeKind::cancelled) {
    attempt.kind = OutcomeKind::cancelled;
    attempt.causes.push_back({CauseKind::cancelled, 0, "was cancelled"});
  }
  return attempt;
}

bool is_worth_repeating(const RetryPolicy& retry, const Attempt& attempt) {
  if (attempt.kind == OutcomeKind::success ||
      attempt.kind == OutcomeKind::cancelled ||
      covers(retry.unless, attempt.causes))
    return false;
  if (!retry.only_if.empty())
    return covers(retry.only_if, attempt.causes);
  switch (attempt.kind) {
    case OutcomeKind::timed_out:
    case OutcomeKind::lost:
    case OutcomeKind::crashed:
      return true;
    case OutcomeKind::failed:
      // A program that is not there will not come by waiting; a host that was
      // out of processes may have some again.
      return attempt.report.has_value() ||
             attempt.causes.front().number == status_troupe_failed;
    case OutcomeKind::success:
    case OutcomeKind::cancelled:
      return false;
  }
  return false;
}

Duration delay_after(const RetryPolicy& retry, std::uint32_t failures,
                     Random& random) {
  const auto base = static_cast<double>(retry.delay.count());
  const double grown = std::min(
      base * std::pow(retry.backoff, static_cast<double>(failures) - 1),
      static_cast<double>(retry.max_delay.count()));
  const double factor = 1 + retry.jitter * (2 * random.unit() - 1);
  return Duration{std::llround(grown * factor)};
}

int exit_status_of(const Attempt& attempt) {
  switch (attempt.kind) {
    case OutcomeKind::timed_out:
      return status_timed_out;
    case OutcomeKind::crashed:
    case OutcomeKind::lost:
      return status_troupe_failed;
    case OutcomeKind::success:
    case OutcomeKind::failed:
    case OutcomeKind::cancelled:
      break;
  }
  if (!attempt.report)
    return attempt.causes.empty() ? status_troupe_failed
                                  : attempt.causes.front().number;
  const ExitReport& report = *attempt.report;
  if (report.signal != 0)
    return status_signal_base + report.signal;
  // Failed by its output or duration although it exited with 0.
  if (report.exit_code == 0 && attempt.kind == OutcomeKind::failed)
    return 1;
  return report.exit_code;
}

CommandCore::CommandCore(std::shared_ptr<const CommandRequest> request,
                         CommandHistory history, std::uint64_t seed)
    : request_{std::move(request)},
      history_{std::move(history)},
      random_{seed} {}

CommandCore::Actions CommandCore::on_start(WallTime now) {
  if (state_ != State::idle)
    return {};
  if (history_.attempts.empty() && history_.cancelled)
    return {finish(nullptr)};
  if (history_.attempts.empty())
    return start_attempt(now);
  // Taking over: the last attempt has ended and its actor died before it could
  // go on, or a further attempt is under way and is adopted by its number.
  const Attempt& last = history_.attempts.back();
  if (history_.cancelled || !may_retry(last))
    return {finish(&last)};
  const Duration left = std::min(
      history_.back_off, Duration{last.ended + history_.back_off - now});
  return left > Duration{0} ? Actions{wait(left)} : start_attempt(now);
}

CommandCore::Wait CommandCore::wait(Duration delay) {
  state_ = State::waiting;
  return {delay, ++wait_token_};
}

CommandCore::Actions CommandCore::start_attempt(WallTime now) {
  state_ = State::running;
  attempt_started_ = now;
  return {StartAttempt{current_attempt()}};
}

CommandCore::Actions CommandCore::on_attempt_ended(AttemptSeen seen) {
  if (state_ != State::running)
    return {};
  Attempt attempt = judge(*request_, current_attempt(), attempt_started_,
                          std::move(seen), history_.cancelled);
  history_.attempts.push_back(attempt);
  if (!may_retry(attempt))
    return {Record{attempt, std::nullopt}, finish(&attempt)};
  const Duration delay = delay_after(
      request_->retry, static_cast<std::uint32_t>(history_.attempts.size()),
      random_);
  if (is_too_late(attempt.ended + delay)) {
    too_late_ = true;
    return {Record{attempt, std::nullopt}, finish(&attempt)};
  }
  return {Record{attempt, delay}, wait(delay)};
}

CommandCore::Actions CommandCore::on_wait_over(std::uint64_t token,
                                               WallTime now) {
  if (state_ != State::waiting || token != wait_token_)
    return {};
  return start_attempt(now);
}

CommandCore::Actions CommandCore::on_cancel(
    const std::optional<process::StopRequest>& request) {
  history_.cancelled = true;
  switch (state_) {
    case State::running:
      if (!request)
        return {};
      return {StopAttempt{current_attempt(), *request}};
    case State::waiting:
      return {finish(&history_.attempts.back())};
    case State::idle:
      return {finish(nullptr)};
    case State::finished:
      return {};
  }
  return {};
}

bool CommandCore::may_retry(const Attempt& attempt) const {
  return !history_.cancelled &&
         history_.attempts.size() < request_->retry.attempts &&
         is_worth_repeating(request_->retry, attempt);
}

bool CommandCore::is_too_late(WallTime next) const {
  const Duration limit = request_->retry.max_elapsed;
  return limit > Duration{0} && !history_.attempts.empty() &&
         next > history_.attempts.front().started + limit;
}

CommandCore::Finish CommandCore::finish(const Attempt* last) {
  state_ = State::finished;
  Outcome outcome;
  outcome.attempts = history_.attempts;
  outcome.incidents = history_.incidents;
  if (last == nullptr) {
    outcome.kind = OutcomeKind::cancelled;
    outcome.exit_status = status_troupe_failed;
    outcome.causes = {{CauseKind::cancelled, 0, "was cancelled"}};
    return {std::move(outcome)};
  }
  outcome.kind = last->kind;
  outcome.exit_status = exit_status_of(*last);
  outcome.causes = last->causes;
  const bool retried = outcome.attempts.size() > 1 || too_late_;
  if (history_.cancelled && last->kind != OutcomeKind::success &&
      last->kind != OutcomeKind::cancelled) {
    outcome.kind = OutcomeKind::cancelled;
    outcome.causes.push_back({CauseKind::cancelled, 0, "was cancelled"});
  } else if (retried && last->kind != OutcomeKind::success &&
             last->kind != OutcomeKind::cancelled) {
    outcome.causes.push_back(
        {CauseKind::gave_up, static_cast<int>(outcome.attempts.size()),
         fmt::format(
             "gave up after {} attempt{}{}", outcome.attempts.size(),
             outcome.attempts.size() == 1 ? "" : "s",
             too_late_
                 ? fmt::format(", since another would start later "
                               "than {} after the first",
                               format_duration(request_->retry.max_elapsed))
                 : "")});
  }
  return {std::move(outcome)};
}

}  // namespace troupe::actors
