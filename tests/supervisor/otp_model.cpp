#include "otp_model.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <utility>

namespace troupe::supervisor {
namespace {

using Wish = ManualRequest::Kind;

// The numbers in comments are those of the contract's statements.

bool is_clean(ExitKind reason) {  // 8
  return reason == ExitKind::normal || reason == ExitKind::shutdown;
}

Shutdown shutdown_of(const ChildSpec& spec) {  // 4
  if (spec.shutdown)
    return *spec.shutdown;
  if (spec.type == ChildType::supervisor)
    return Infinity{};
  return Duration{5s};
}

/// 35, and what OTP takes for expected.
bool is_expected(const ChildSpec& spec, ExitKind reason) {
  if (reason == ExitKind::shutdown)
    return true;
  if (reason == ExitKind::normal)
    return spec.restart != Restart::permanent;
  return reason == ExitKind::killed &&
         std::holds_alternative<BrutalKill>(shutdown_of(spec));
}

bool is_present(ChildState state) {
  return state == ChildState::starting || state == ChildState::running ||
         state == ChildState::stopping;
}

}  // namespace

OtpModel::OtpModel(TreeWorld& world, NodeNumber self, SupervisorSpec spec)
    : world_{world}, self_{self}, spec_{std::move(spec)} {
  if (is_simple())
    return;
  for (const ChildSpec& child : spec_.children)
    add(child, ++last_number_);
}

// -- One thing after the other -----------------------------------------------

void OtpModel::begin() {
  if (!is_simple()) {                     // 19
    for (const Child& child : children_)  // 1
      steps_.push_back({Step::What::start, child.number});
  }
  steps_.push_back({Step::What::be_ready});
  run();
}

void OtpModel::run() {
  while (!has_ended_) {
    const Child* awaited = numbered(awaited_);
    if (awaited != nullptr && (awaited->state == ChildState::starting ||
                               awaited->state == ChildState::stopping))
      return;
    awaited_ = 0;
    if (!steps_.empty()) {
      const Step step = steps_.front();
      steps_.pop_front();
      take(step);
    } else if (!mailbox_.empty()) {  // 23
      const Mail mail = mailbox_.front();
      mailbox_.pop_front();
      read(mail);
    } else {
      return;
    }
  }
}

void OtpModel::take(const Step& step) {
  Child* child = numbered(step.child);
  switch (step.what) {
    case Step::What::start:
      if (child == nullptr)
        return;
      awaited_ = step.child;
      start(*child);
      break;
    case Step::What::stop:
      if (child == nullptr)
        return;
      awaited_ = step.child;
      stop(*child, step.asker);
      break;
    case Step::What::await:
      awaited_ = step.child;
      break;
    case Step::What::be_ready:
      is_up_ = true;
      world_.report(self_, ReportKind::started, "", {}, 0);
      world_.ready(self_);
      break;
    case Step::What::exit:
      has_ended_ = true;
      world_.exit(self_, ExitKind::shutdown, blamed_);  // 26
      break;
  }
}

void OtpModel::read(const Mail& mail) {
  if (const auto* ended = std::get_if<0>(&mail)) {
    if (Child* child = running(ended->first))  // 12
      decide(*child, ended->second);
  } else if (const auto* timer = std::get_if<1>(&mail)) {
    for (Child& child : children_) {
      if (child.retry_timer == *timer && child.state == ChildState::restarting)
        return retry(child);
    }
  } else {
    serve(std::get<ManualRequest>(mail));
  }
}

void OtpModel::start_returned(ProcessNumber process, StartOutcome outcome) {
  for (Child& child : children_) {
    if (child.process != process)
      continue;
    if (child.state == ChildState::starting)
      settle_start(child, outcome);
    else if (child.state == ChildState::stopping &&
             outcome != StartOutcome::running)
      settle_stop(child, ExitKind::shutdown);
    break;
  }
  run();
}

void OtpModel::process_ended(ProcessNumber process, const ExitReason& reason) {
  for (Child& child : children_) {
    if (child.process != process)
      continue;
    if (child.state == ChildState::starting)
      settle_start(child, StartOutcome::failed);
    else if (child.state == ChildState::stopping)
      settle_stop(child, reason.kind);
    else
      mailbox_.emplace_back(std::pair{process, reason.kind});
    break;
  }
  run();
}

void OtpModel::timer_due(std::uint64_t timer) {
  for (const Child& child : children_) {
    if (child.state == ChildState::stopping &&
        (timer == child.kill_timer || timer == common_kill_timer_))  // 31, 34
      world_.kill(child.process);
  }
  mailbox_.emplace_back(timer);
  run();
}

void OtpModel::shut_down() {  // 36
  if (!is_ending_)
    end("");
  run();
}

void OtpModel::request(const ManualRequest& request) {
  if (request.kind == Wish::start_dynamic ||
      request.kind == Wish::terminate_dynamic) {
    serve_dynamic(request);
  } else if (is_ending_) {
    world_.reply(self_, request.ticket, ReplyCode::shutting_down, 0);
  } else {
    mailbox_.emplace_back(request);
  }
  run();
}

// -- Starting and stopping ---------------------------------------------------

void OtpModel::start(Child& child) {
  if (child.state == ChildState::running)
    return;
  child.state = ChildState::starting;
  child.retry_timer = 0;
  ++child.starts;
  const TreeWorld::Started started =
      world_.start(self_, name_of(child), child.spec, child.starts - 1);
  child.process = started.process;
  if (started.outcome != StartOutcome::starting)
    settle_start(child, started.outcome);
}

void OtpModel::settle_start(Child& child, StartOutcome outcome) {
  switch (outcome) {
    case StartOutcome::starting:
      break;
    case StartOutcome::running:
      child.state = ChildState::running;
      child.up_since = world_.now();
      child.is_new = false;
      answer(child, ReplyCode::ok, child.process);
      break;
    case StartOutcome::ignored:  // 3
      child.is_new = false;
      answer(child, ReplyCode::ignored, child.process);
      settle(child);
      break;
    case StartOutcome::failed:
      start_failed(child);
      break;
  }
}

void OtpModel::start_failed(Child& child) {
  child.state = ChildState::stopped;
  child.ended_with = ExitKind::custom;
  if (child.asker) {
    answer(child, ReplyCode::start_failed);
    if (child.is_new || is_simple())
      remove(child);
    return;
  }
  report(ReportKind::start_failed, child, ExitKind::custom);
  if (is_ending_) {
    settle(child);
  } else if (!is_up_) {
    end(child.spec.id);  // 2
  } else {
    steps_.clear();  // 17, 22
    if (child.spec.backoff)
      back_off(child);
    else
      retry_later(child, Duration{0});
  }
}

void OtpModel::stop(Child& child, Ticket asker) {
  if (child.state == ChildState::stopping)
    return;
  child.retry_timer = 0;                    // 37
  answer(child, ReplyCode::shutting_down);  // who waits for its start
  child.asker = asker;
  if (!is_present(child.state)) {
    answer(child, ReplyCode::ok);
    settle(child);
    return;
  }
  for (auto mail = mailbox_.begin(); mail != mailbox_.end(); ++mail) {
    const auto* ended = std::get_if<0>(&*mail);
    if (ended != nullptr && ended->first == child.process) {
      const ExitKind reason = ended->second;
      mailbox_.erase(mail);
      settle_stop(child, reason);
      return;
    }
  }
  child.state = ChildState::stopping;
  const Shutdown shutdown = shutdown_of(child.spec);  // 31
  if (std::holds_alternative<BrutalKill>(shutdown)) {
    world_.kill(child.process);
    return;
  }
  world_.stop(child.process);
  if (const auto* limit = std::get_if<Duration>(&shutdown)) {
    child.kill_timer = ++last_timer_;
    world_.set_timer(self_, child.kill_timer, *limit);
  }
}

void OtpModel::settle_stop(Child& child, ExitKind reason) {
  if (!is_expected(child.spec, reason))
    report(ReportKind::shutdown_error, child, reason);  // 35
  answer(child, ReplyCode::ok);
  settle(child);
}

/// A child without a process keeps its spec, unless it is temporary (9) or
/// dynamic (11).
void OtpModel::settle(Child& child) {
  child.state = ChildState::stopped;
  if (child.spec.restart == Restart::temporary || is_simple())
    remove(child);
}

// -- Restarting --------------------------------------------------------------

void OtpModel::decide(Child& child, ExitKind reason) {
  const Restart restart_after = child.spec.restart;
  child.ended_with = reason;
  if (restart_after == Restart::permanent || !is_clean(reason))
    report(ReportKind::child_terminated, child, reason);
  if (restart_after == Restart::temporary ||
      (restart_after == Restart::transient && is_clean(reason))) {  // 7, 8, 9
    child.state = ChildState::stopped;
    auto_shutdown(child);
    return;
  }
  if (child.spec.backoff) {
    if (world_.now() - child.up_since >= child.spec.backoff->reset_after)
      child.last_delay = Duration{0};
    back_off(child);
  } else if (one_more_restart()) {
    restart(child);
  } else {
    give_up(child);
  }
}

/// 39, 40
void OtpModel::auto_shutdown(Child& child) {
  bool ends =
      child.spec.significant && spec_.auto_shutdown != AutoShutdown::never;
  if (spec_.auto_shutdown == AutoShutdown::all_significant) {
    for (const Child& other : children_) {
      if (other.spec.significant && (other.state == ChildState::starting ||
                                     other.state == ChildState::running ||
                                     other.state == ChildState::restarting))
        ends = false;
    }
  }
  const std::string id = child.spec.id;
  if (ends)
    report(ReportKind::auto_shutdown, child, child.ended_with);
  settle(child);  // 10
  if (ends)
    end(id);
}

/// 20, 21, 24
bool OtpModel::one_more_restart() {
  restarts_.push_back(world_.now());
  int within = 0;
  for (const TimePoint restart : restarts_) {
    if (world_.now() - restart <= spec_.period)
      ++within;
  }
  return within <= spec_.intensity;
}

void OtpModel::restart(Child& child) {
  child.state = ChildState::stopped;
  switch (spec_.strategy) {
    case Strategy::simple_one_for_one:
      start(child);
      break;
    case Strategy::one_for_one:  // 13
      steps_.push_back({Step::What::start, child.number});
      break;
    case Strategy::one_for_all:     // 14, 16
    case Strategy::rest_for_one: {  // 15, 16
      for (const Child& other : children_) {
        if (spec_.strategy == Strategy::rest_for_one &&
            other.number < child.number)
          continue;
        steps_.push_front({Step::What::stop, other.number});
        steps_.push_back({Step::What::start, other.number});
      }
      break;
    }
  }
}

/// A restart is counted when it is decided, and comes later.
void OtpModel::back_off(Child& child) {
  if (!one_more_restart()) {
    give_up(child);
    return;
  }
  const Backoff& backoff = *child.spec.backoff;
  child.last_delay = child.last_delay == Duration{0}
                         ? backoff.min
                         : std::min(2 * child.last_delay, backoff.max);
  retry_later(child, child.last_delay);
}

void OtpModel::retry_later(Child& child, Duration delay) {
  child.state = ChildState::restarting;
  child.next_start = world_.now() + delay;
  child.retry_timer = ++last_timer_;
  world_.set_timer(self_, child.retry_timer, delay);
}

void OtpModel::retry(Child& child) {
  if (child.spec.backoff || one_more_restart())  // 22
    restart(child);
  else
    give_up(child);
}

void OtpModel::give_up(Child& child) {  // 26
  const std::string id = child.spec.id;
  report(ReportKind::gave_up, child, child.ended_with);
  settle(child);
  end(id);
}

/// Stops everything (2, 26, 30, 36).
void OtpModel::end(const std::string& blamed) {
  is_ending_ = true;
  blamed_ = blamed;
  steps_.clear();
  std::deque<Mail> kept;
  for (const Mail& mail : mailbox_) {
    if (const auto* request = std::get_if<ManualRequest>(&mail))
      world_.reply(self_, request->ticket, ReplyCode::shutting_down, 0);
    else
      kept.push_back(mail);
  }
  mailbox_ = kept;

  const Child* awaited = numbered(awaited_);
  if (awaited != nullptr && awaited->state == ChildState::starting)
    awaited_ = 0;  // its turn to be stopped will come
  if (!is_simple()) {
    for (const Child& child : children_)
      steps_.push_front({Step::What::stop, child.number});
  } else {  // 34
    const Shutdown shutdown = shutdown_of(spec_.children.front());
    const auto* limit = std::get_if<Duration>(&shutdown);
    const bool anybody =
        std::any_of(children_.begin(), children_.end(),
                    [](const Child& child) { return is_present(child.state); });
    if (limit != nullptr && anybody) {
      common_kill_timer_ = ++last_timer_;
      world_.set_timer(self_, common_kill_timer_, *limit);
    }
    for (auto it = children_.begin(); it != children_.end();) {
      Child& child = *it++;
      if (child.state == ChildState::stopping) {
        steps_.push_back({Step::What::await, child.number});
      } else if (is_present(child.state)) {
        answer(child, ReplyCode::shutting_down);
        child.state = ChildState::stopping;
        if (std::holds_alternative<BrutalKill>(shutdown))
          world_.kill(child.process);
        else
          world_.stop(child.process);
        steps_.push_back({Step::What::await, child.number});
      } else {
        settle(child);
      }
    }
  }
  steps_.push_back({Step::What::exit});
}

// -- Requests ----------------------------------------------------------------

void OtpModel::serve(const ManualRequest& request) {
  const auto reply = [&](ReplyCode code) {
    world_.reply(self_, request.ticket, code, 0);
  };
  if (is_simple())
    return reply(ReplyCode::unsupported);  // 19
  if (request.kind == Wish::start)
    return serve_start(request);
  Child* child = called(request.id);
  if (child == nullptr)
    return reply(ReplyCode::not_found);
  if (request.kind == Wish::terminate) {  // 37
    steps_.push_back({Step::What::stop, child->number, request.ticket});
    return;
  }
  if (child->state == ChildState::restarting)  // 38
    return reply(ReplyCode::restarting);
  if (child->state != ChildState::stopped)
    return reply(ReplyCode::running);
  if (request.kind == Wish::remove) {
    remove(*child);
    return reply(ReplyCode::ok);
  }
  child->asker = request.ticket;
  steps_.push_back({Step::What::start, child->number});
}

void OtpModel::serve_start(const ManualRequest& request) {
  const ChildSpec spec = spec_of(*request.child);
  if (!is_sound(spec)) {
    world_.reply(self_, request.ticket, ReplyCode::invalid_spec, 0);
  } else if (const Child* child = called(spec.id)) {  // 38
    const bool runs = is_present(child->state);
    world_.reply(self_, request.ticket,
                 runs ? ReplyCode::already_started : ReplyCode::already_present,
                 0);
  } else {
    Child& added = add(spec, ++last_number_);  // 18
    added.asker = request.ticket;
    added.is_new = true;
    steps_.push_back({Step::What::start, added.number});
  }
}

/// Dynamic children do not wait for each other.
void OtpModel::serve_dynamic(const ManualRequest& request) {
  const auto reply = [&](ReplyCode code) {
    world_.reply(self_, request.ticket, code, 0);
  };
  if (!is_simple())
    return reply(ReplyCode::unsupported);
  if (request.kind == Wish::start_dynamic) {
    const std::uint64_t number = ++dynamic_starts_;
    if (is_ending_)
      return reply(ReplyCode::shutting_down);
    Child& added = add(spec_.children.front(), number);
    added.asker = request.ticket;
    start(added);
    return;
  }
  Child* child = numbered(request.dynamic);
  if (child == nullptr)
    return reply(ReplyCode::not_found);
  if (child->state == ChildState::stopping)
    return reply(ReplyCode::stopping);
  stop(*child, request.ticket);
}

bool OtpModel::is_sound(const ChildSpec& spec) const {  // 5, 6
  if (spec.id.empty() || !spec.start)
    return false;
  return !spec.significant || (spec.restart != Restart::permanent &&
                               spec_.auto_shutdown != AutoShutdown::never);
}

// -- Views -------------------------------------------------------------------

std::vector<ChildView> OtpModel::children() const {
  std::vector<ChildView> views;
  views.reserve(children_.size());
  for (const Child& child : children_) {
    ChildView view{.id = name_of(child),
                   .state = child.state,
                   .process = child.process,
                   .restarts = child.starts == 0 ? 0 : child.starts - 1};
    if (child.state == ChildState::restarting)
      view.next_start = child.next_start;
    views.push_back(std::move(view));
  }
  return views;
}

ChildCounts OtpModel::counts() const {
  ChildCounts counts;
  for (const Child& child : children_) {
    ++counts.specs;
    ++(child.spec.type == ChildType::supervisor ? counts.supervisors
                                                : counts.workers);
    if (is_present(child.state))
      ++counts.active;
  }
  if (is_simple())
    counts.specs = 1;
  return counts;
}

// -- Children ----------------------------------------------------------------

OtpModel::Child& OtpModel::add(ChildSpec spec, std::uint64_t number) {
  Child child;
  child.number = number;
  child.spec = std::move(spec);
  children_.push_back(std::move(child));
  return children_.back();
}

void OtpModel::remove(Child& child) {
  world_.forget(self_, name_of(child));
  children_.remove_if([&](const Child& other) { return &other == &child; });
}

OtpModel::Child* OtpModel::numbered(std::uint64_t number) {
  for (Child& child : children_) {
    if (child.number == number)
      return &child;
  }
  return nullptr;
}

OtpModel::Child* OtpModel::called(const std::string& id) {
  for (Child& child : children_) {
    if (child.spec.id == id)
      return &child;
  }
  return nullptr;
}

OtpModel::Child* OtpModel::running(ProcessNumber process) {
  for (Child& child : children_) {
    if (child.process == process && child.state == ChildState::running)
      return &child;
  }
  return nullptr;
}

std::string OtpModel::name_of(const Child& child) const {
  return is_simple() ? fmt::format("{}#{}", child.spec.id, child.number)
                     : child.spec.id;
}

bool OtpModel::is_simple() const {
  return spec_.strategy == Strategy::simple_one_for_one;
}

void OtpModel::answer(Child& child, ReplyCode code, ProcessNumber process) {
  if (const Ticket asker = std::exchange(child.asker, {}))
    world_.reply(self_, asker, code, process);
}

void OtpModel::report(ReportKind kind, const Child& child, ExitKind reason) {
  world_.report(self_, kind, child.spec.id, reason,
                child.starts == 0 ? 0 : child.starts - 1);
}

}  // namespace troupe::supervisor
