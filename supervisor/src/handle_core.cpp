#include <troupe/base/assert.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/supervisor/handle_core.hpp>

#include <algorithm>
#include <fmt/format.h>

namespace troupe::supervisor {
namespace {

using actors::ExitReason;
using flow_control::QueueConfig;
using flow_control::Rejected;
using flow_control::RejectedItem;

tl::unexpected<Error> bad_options(const char* what) {
  return failure(Errc::invalid_argument, what);
}

QueueConfig queue_config(const HandleOptions& options) {
  return {.capacity = options.capacity,
          .on_full = flow_control::OnFull::reject,
          .retry_floor = options.retry_floor,
          .retry_ceiling = options.retry_ceiling};
}

}  // namespace

Result<void> check(const HandleOptions& options) {
  if (options.name.empty())
    return bad_options("a handle has no name");
  if (options.capacity < 1)
    return bad_options("the capacity of a handle must be at least 1");
  if (options.max_open < 1)
    return bad_options("a handle must allow at least 1 open request");
  if (options.answer_within <= Duration{0})
    return bad_options("the time for an answer must be positive");
  if (options.retry_floor < Duration{0} ||
      options.retry_ceiling < options.retry_floor)
    return bad_options("the time to retry must be from 0 <= floor to ceiling");
  return {};
}

HandleCore::HandleCore(HandleOptions options, TimePoint now)
    : options_{std::move(options)},
      away_since_{now},
      waiting_{queue_config(options_)},
      answers_{options_.retry_floor, options_.retry_ceiling} {
  TROUPE_ASSERT(check(options_).has_value());
}

// -- Messages ----------------------------------------------------------------

HandleActions HandleCore::on_message(MailNumber mail, bool is_request,
                                     TimePoint now) {
  const Waiting message{mail, is_request};
  ++stats_.messages;
  if (is_request) {
    ++stats_.requests;
    if (presence_ != Presence::gone && open() >= options_.max_open) {
      refuse_full(message, {answers_.retry_after(open(), now), open()},
                  "the list of open requests to " + options_.name);
      return take_actions(now);
    }
    if (open() == 0)
      answers_.on_filled(now);
  }
  switch (presence_) {
    case Presence::up:
      pass_on(message, now);
      break;
    case Presence::away:
      wait(message, now);
      break;
    case Presence::gone:
      refuse(message, Errc::unavailable, options_.name + " is stopped");
      break;
  }
  stats_.most_open = std::max(stats_.most_open, open());
  return take_actions(now);
}

bool HandleCore::on_answer(MailNumber mail, TimePoint now) {
  if (taken_.erase(mail) == 0)
    return false;
  ++stats_.answered;
  answers_.on_drained(now);
  return true;
}

HandleActions HandleCore::on_crash_answer(MailNumber mail,
                                          const ExitReason& reason,
                                          TimePoint now) {
  if (taken_.erase(mail) != 0)
    refuse({mail, true}, Errc::unavailable,
           fmt::format("{} ended before it answered: {}", options_.name,
                       describe(reason)));
  return take_actions(now);
}

void HandleCore::pass_on(Waiting message, TimePoint arrived) {
  ++stats_.passed_on;
  if (message.is_request)
    taken_.emplace_hint(taken_.end(), message.mail, arrived);
  actions_.emplace_back(PassOn{message.mail});
}

void HandleCore::refuse(Waiting message, Errc code, std::string what) {
  ++(message.is_request ? stats_.refused : stats_.rejected);
  actions_.emplace_back(Refuse{message.mail, {code, std::move(what)}});
}

void HandleCore::refuse_full(Waiting message, Rejected answer,
                             const std::string& what) {
  Error error = to_error(answer, what);
  refuse(message, error.code, std::move(error.what));
}

void HandleCore::wait(Waiting message, TimePoint now) {
  auto pushed = waiting_.push(message, now);
  if (const auto* full = std::get_if<RejectedItem<Waiting>>(&pushed)) {
    // All leave at the same time, so that their rate says nothing. It may well
    // stay away for as long as it has been until now.
    refuse_full(message,
                {std::clamp(now - away_since_, options_.retry_floor,
                            options_.retry_ceiling),
                 full->answer.depth},
                "the mailbox of " + options_.name);
    return;
  }
  ++stats_.waited;
  if (message.is_request)
    ++waiting_requests_;
  stats_.most_waiting = std::max(stats_.most_waiting, waiting_.size());
}

// -- The child ---------------------------------------------------------------

HandleActions HandleCore::on_incarnation(IncarnationId incarnation,
                                         TimePoint now) {
  refuse_taken(options_.name + " ended before it answered");
  incarnation_ = incarnation;
  if (presence_ == Presence::up)
    become(Presence::away, now);
  return take_actions(now);
}

HandleActions HandleCore::on_ended(IncarnationId incarnation,
                                   const ExitReason& reason, TimePoint now) {
  if (incarnation != incarnation_)
    return {};
  incarnation_ = 0;
  refuse_taken(fmt::format("{} ended before it answered: {}", options_.name,
                           describe(reason)));
  // Whether it comes back, its supervisor will say.
  if (presence_ == Presence::up)
    become(Presence::away, now);
  return take_actions(now);
}

HandleActions HandleCore::on_presence(Presence presence, TimePoint now) {
  // It may have ended since the supervisor said so.
  if (presence == Presence::up && incarnation_ == 0)
    presence = Presence::away;
  become(presence, now);
  return take_actions(now);
}

void HandleCore::become(Presence presence, TimePoint now) {
  switch (presence) {
    case Presence::up:
      pass_on_waiting(now);
      break;
    case Presence::away:
      if (presence_ != Presence::away)
        away_since_ = now;
      break;
    case Presence::gone:
      refuse_waiting(options_.name + " is stopped");
      break;
  }
  presence_ = presence;
}

void HandleCore::pass_on_waiting(TimePoint now) {
  while (auto next = waiting_.pop(now)) {
    if (next->item.is_request)
      --waiting_requests_;
    pass_on(next->item, now - next->age);
  }
}

void HandleCore::refuse_waiting(const std::string& what) {
  for (const Waiting message : waiting_.take_all())
    refuse(message, Errc::unavailable, what);
  waiting_requests_ = 0;
}

void HandleCore::refuse_taken(const std::string& what) {
  for (const auto& [mail, arrived] : std::exchange(taken_, {}))
    refuse({mail, true}, Errc::unavailable, what);
}

// -- Time and end ------------------------------------------------------------

HandleActions HandleCore::on_time(TimePoint now) {
  wake_up_is_set_ = false;
  expire(now);
  return take_actions(now);
}

void HandleCore::expire(TimePoint now) {
  const Duration limit = options_.answer_within;
  while (!taken_.empty() && now - taken_.begin()->second >= limit) {
    const MailNumber mail = taken_.begin()->first;
    taken_.erase(taken_.begin());
    refuse({mail, true}, Errc::timed_out,
           fmt::format("{} has not answered within {}", options_.name,
                       format_duration(limit)));
  }
  while (waiting_.size() > 0 && waiting_.oldest_age(now) >= limit) {
    const auto next = waiting_.pop(now);
    if (next->item.is_request)
      --waiting_requests_;
    refuse(next->item, Errc::unavailable,
           fmt::format("{} has not come back within {}", options_.name,
                       format_duration(limit)));
  }
}

HandleActions HandleCore::on_end() {
  const std::string what = "the handle of " + options_.name + " has ended";
  refuse_taken(what);
  refuse_waiting(what);
  incarnation_ = 0;
  presence_ = Presence::gone;
  return std::exchange(actions_, {});
}

HandleInfo HandleCore::info() const {
  return {presence_, waiting_.size(), open(), stats_};
}

HandleActions HandleCore::take_actions(TimePoint now) {
  if (!wake_up_is_set_ && (!taken_.empty() || waiting_.size() > 0)) {
    Duration oldest = waiting_.oldest_age(now);
    if (!taken_.empty())
      oldest = std::max(oldest, now - taken_.begin()->second);
    wake_up_is_set_ = true;
    actions_.emplace_back(
        WakeUp{std::max(options_.answer_within - oldest, Duration{0})});
  }
  return std::exchange(actions_, {});
}

}  // namespace troupe::supervisor
