#include <troupe/base/assert.hpp>
#include <troupe/base/overload.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/supervisor/supervisor_core.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <utility>

namespace troupe::supervisor {
namespace {

/// Whether a child that was told to stop ended as it should.
bool expected_stop(const ChildSpec& spec, const ExitReason& reason) {
  switch (reason.kind) {
    case ExitKind::shutdown:
      return true;
    case ExitKind::normal:
      return spec.restart != Restart::permanent;
    case ExitKind::killed:
      return std::holds_alternative<BrutalKill>(spec.effective_shutdown());
    case ExitKind::crashed:
    case ExitKind::custom:
      return false;
  }
  return false;
}

bool has_process(ChildState state) {
  switch (state) {
    case ChildState::starting:
    case ChildState::running:
    case ChildState::stopping:
      return true;
    case ChildState::stopped:
    case ChildState::restarting:
      return false;
  }
  return false;
}

}  // namespace

std::string_view to_string(ChildState state) {
  switch (state) {
    case ChildState::stopped:
      return "stopped";
    case ChildState::starting:
      return "starting";
    case ChildState::running:
      return "running";
    case ChildState::restarting:
      return "restarting";
    case ChildState::stopping:
      return "stopping";
  }
  return "unknown";
}

std::string_view to_string(ReplyCode code) {
  switch (code) {
    case ReplyCode::ok:
      return "ok";
    case ReplyCode::ignored:
      return "ignored";
    case ReplyCode::already_started:
      return "already_started";
    case ReplyCode::already_present:
      return "already_present";
    case ReplyCode::running:
      return "running";
    case ReplyCode::restarting:
      return "restarting";
    case ReplyCode::stopping:
      return "stopping";
    case ReplyCode::not_found:
      return "not_found";
    case ReplyCode::start_failed:
      return "start_failed";
    case ReplyCode::invalid_spec:
      return "invalid_spec";
    case ReplyCode::unsupported:
      return "unsupported";
    case ReplyCode::overloaded:
      return "overloaded";
    case ReplyCode::shutting_down:
      return "shutting_down";
  }
  return "unknown";
}

std::string_view to_string(ReportKind kind) {
  switch (kind) {
    case ReportKind::started:
      return "started";
    case ReportKind::child_terminated:
      return "child_terminated";
    case ReportKind::start_failed:
      return "start_failed";
    case ReportKind::shutdown_error:
      return "shutdown_error";
    case ReportKind::auto_shutdown:
      return "auto_shutdown";
    case ReportKind::gave_up:
      return "gave_up";
    case ReportKind::held:
      return "held";
    case ReportKind::released:
      return "released";
  }
  return "unknown";
}

SupervisorCore::SupervisorCore(SupervisorSpec spec, std::uint64_t seed)
    : spec_{std::move(spec)},
      window_{static_cast<std::size_t>(spec_.intensity), spec_.period},
      random_{seed} {
  TROUPE_ASSERT(check(spec_).has_value());
  for (const ChildSpec& child : spec_.children) {
    auto shared = std::make_shared<const ChildSpec>(child);
    if (simple())
      template_ = std::move(shared);
    else
      add(std::move(shared), new_key());
  }
}

// -- Events ------------------------------------------------------------------

Actions SupervisorCore::on_start(TimePoint now) {
  TROUPE_ASSERT(phase_ == Phase::fresh);
  phase_ = Phase::starting;
  begin_work(Work::start_all);
  proceed(now);
  return take_actions();
}

Actions SupervisorCore::on_child_started(ChildRef child, TimePoint now) {
  const auto it = find(child);
  if (it == children_.end() || it->second.state != ChildState::starting)
    return {};
  set_state(it->second, ChildState::running);
  it->second.started_at = now;
  it->second.added = false;
  reply_to(it->second, ReplyCode::ok, child);
  proceed(now);
  return take_actions();
}

Actions SupervisorCore::on_child_ignored(ChildRef child, TimePoint now) {
  const auto it = find(child);
  if (it == children_.end())
    return {};
  if (it->second.state == ChildState::stopping)
    return on_child_exited(child, {ExitKind::shutdown, {}}, now);
  if (it->second.state != ChildState::starting)
    return {};
  it->second.added = false;
  reply_to(it->second, ReplyCode::ignored, child);
  settle_stopped(it);
  proceed(now);
  return take_actions();
}

Actions SupervisorCore::on_child_start_failed(ChildRef child,
                                              const std::string& what,
                                              TimePoint now) {
  const auto it = find(child);
  if (it == children_.end())
    return {};
  if (it->second.state == ChildState::stopping)
    return on_child_exited(child, {ExitKind::shutdown, {}}, now);
  if (it->second.state != ChildState::starting)
    return {};
  start_failed(it, what, now);
  proceed(now);
  return take_actions();
}

Actions SupervisorCore::on_child_exited(ChildRef child,
                                        const ExitReason& reason,
                                        TimePoint now) {
  const auto it = find(child);
  if (it == children_.end())
    return {};
  switch (it->second.state) {
    case ChildState::stopped:
    case ChildState::restarting:
      return {};
    case ChildState::starting:
      start_failed(it, describe(reason), now);
      break;
    case ChildState::stopping:
      finish_stop(it, reason);
      break;
    case ChildState::running:
      if (must_wait()) {
        it->second.exited = reason;
        waiting_.emplace_back(child);
        return take_actions();
      }
      decide(it, reason, now);
      break;
  }
  proceed(now);
  return take_actions();
}

Actions SupervisorCore::on_timer(TimerId timer, TimePoint now) {
  if (!timer.key) {
    if (timer.number == 0)
      return {};
    if (timer.number == shutdown_timer_)
      kill_all();
    if (timer.number == hold_timer_) {
      if (must_wait()) {
        waiting_.emplace_back(timer);
      } else {
        release();
        proceed(now);
      }
    }
    return take_actions();
  }
  const auto it = children_.find(timer.key);
  if (it == children_.end() || it->second.timer != timer.number)
    return {};
  switch (it->second.state) {
    case ChildState::stopping:
      act(Kill{{it->first, it->second.incarnation}});
      break;
    case ChildState::restarting:
      if (must_wait()) {
        waiting_.emplace_back(timer);
        break;
      }
      retry(it, now);
      proceed(now);
      break;
    case ChildState::stopped:
    case ChildState::starting:
    case ChildState::running:
      break;
  }
  return take_actions();
}

Actions SupervisorCore::on_shutdown(const ExitReason& reason, TimePoint now) {
  if (phase_ == Phase::stopping || phase_ == Phase::ended)
    return {};
  shut_down(reason);
  proceed(now);
  return take_actions();
}

Actions SupervisorCore::on_death() {
  Actions announcements;
  for (const ChildKey key : listened_to_)
    announce(children_.at(key), Presence::gone, announcements);
  return announcements;
}

// -- Work --------------------------------------------------------------------

/// Goes on until something has to be awaited. Events change the children and
/// then call this; how far the work is shows in the counts of children that
/// are starting and stopping.
void SupervisorCore::proceed(TimePoint now) {
  while (phase_ != Phase::ended) {
    if (serve_next(now))
      continue;
    switch (work_) {
      case Work::none:
        return;
      case Work::start_all:
      case Work::start_group:
      case Work::release:
        if (awaits_start())
          return;
        start_next();
        break;
      case Work::start_one:
        if (awaits_start())
          return;
        work_ = Work::none;
        break;
      case Work::stop_one:
        if (stopping_ > 0)
          return;
        work_ = Work::none;
        break;
      case Work::stop_group:
        if (stopping_ > 0)
          return;
        if (!stop_next(first_)) {
          work_ = Work::start_group;
          cursor_ = first_;
        }
        break;
      case Work::hold:
        if (stopping_ > 0)
          return;
        if (!stop_next(ChildKey{}))
          work_ = Work::none;
        break;
      case Work::shut_down:
        if (stopping_ > 0)
          return;
        if (!stop_next(ChildKey{})) {
          phase_ = Phase::ended;
          act(Exit{exit_reason_});
        }
        break;
    }
  }
}

void SupervisorCore::begin_work(Work work) {
  work_ = work;
  ++work_number_;
  awaited_ = {};
}

/// Whether exits and timers wait for the end of the work at hand.
bool SupervisorCore::must_wait() const {
  switch (work_) {
    case Work::none:
      return phase_ == Phase::fresh;
    case Work::start_all:
    case Work::start_one:
    case Work::start_group:
    case Work::release:
      return !spec_.serves_while_starting;
    case Work::stop_one:
    case Work::stop_group:
    case Work::hold:
    case Work::shut_down:
      return true;
  }
  return true;
}

bool SupervisorCore::must_wait(const Request& request) const {
  if (!spec_.serves_while_starting || phase_ == Phase::fresh)
    return must_wait();
  if (request.kind == Request::Kind::terminate)
    return is_behind_another(request);
  return must_wait() ||
         (work_ != Work::none && spec_.strategy != Strategy::one_for_one);
}

/// Whether an earlier request about the same child waits, or one about all.
bool SupervisorCore::is_behind_another(const Request& request) const {
  for (const Waiting& waiting : waiting_) {
    const auto* other = std::get_if<Request>(&waiting);
    if (other == &request)
      return false;
    if (other != nullptr && (other->id.empty() || other->id == request.id))
      return true;
  }
  return false;
}

bool SupervisorCore::awaits_start() const {
  const auto it = children_.find(awaited_);
  return it != children_.end() && it->second.state == ChildState::starting;
}

/// Starts the first stopped child from the cursor on, or finishes.
void SupervisorCore::start_next() {
  auto it = children_.lower_bound(cursor_);
  while (it != children_.end() &&
         (it->second.state != ChildState::stopped || is_left_alone(it->second)))
    ++it;
  if (it != children_.end()) {
    cursor_ = ChildKey{it->first.value + 1};
    awaited_ = it->first;
    begin_start(it);
    return;
  }
  work_ = Work::none;
  if (phase_ == Phase::starting) {
    act(Report{.kind = ReportKind::started, .supervisor = spec_.name});
    become_ready();
  }
}

/// What ends a supervisor from here on, too many restarts for one, is no longer
/// a failed start: the supervisor above decides by the rules for restarts.
void SupervisorCore::become_ready() {
  if (phase_ != Phase::starting)
    return;
  phase_ = Phase::running;
  act(Ready{});
}

/// Stops the last child before the cursor and not before `first` that has a
/// process. False if there is none.
bool SupervisorCore::stop_next(ChildKey first) {
  auto it = children_.lower_bound(cursor_);
  while (it != children_.begin() && std::prev(it)->first >= first) {
    --it;
    cursor_ = it->first;
    if (begin_stop(it))
      return true;
    // Amid the first start, a group has members that were never started.
    if (it->second.incarnation != 0 || work_ == Work::shut_down)
      settle_stopped(it);
    it = children_.lower_bound(cursor_);
  }
  return false;
}

/// Takes up what has waited for the end of the work before. False if nothing
/// has, or has to go on waiting.
bool SupervisorCore::serve_next(TimePoint now) {
  if (must_wait())
    return false;
  const auto served = std::find_if(
      waiting_.begin(), waiting_.end(), [this](const Waiting& waiting) {
        const auto* request = std::get_if<Request>(&waiting);
        return request == nullptr || !must_wait(*request);
      });
  if (served == waiting_.end())
    return false;
  Waiting next = std::move(*served);
  waiting_.erase(served);
  std::visit(
      Overload{
          [&](ChildRef child) {
            const auto it = find(child);
            if (it != children_.end() && it->second.exited)
              decide(it, ExitReason{*it->second.exited}, now);
          },
          [&](TimerId timer) {
            if (!timer.key) {
              if (timer.number == hold_timer_)
                release();
              return;
            }
            const auto it = children_.find(timer.key);
            if (it != children_.end() && it->second.timer == timer.number)
              retry(it, now);
          },
          [&](Request& request) {
            --waiting_requests_;
            execute(std::move(request));
          },
      },
      next);
  return true;
}

/// Starts a child on its own: for a request, or again.
void SupervisorCore::start_one(Children::iterator it) {
  if (spec_.serves_while_starting && spec_.strategy == Strategy::one_for_one) {
    it->second.left_alone_by = work_number_;
  } else {
    begin_work(Work::start_one);
    awaited_ = it->first;
  }
  begin_start(it);
}

void SupervisorCore::begin_start(Children::iterator it) {
  Child& child = it->second;
  if (child.incarnation != 0)
    ++child.restarts;
  child.incarnation = ++last_incarnation_;
  child.awaits_group = false;
  set_state(child, ChildState::starting);
  act(Start{{it->first, child.incarnation}, child.restarts});
}

/// Tells a child to stop. False if it has no process any more.
bool SupervisorCore::begin_stop(Children::iterator it) {
  Child& child = it->second;
  if (child.state == ChildState::stopping)
    return true;
  child.timer = 0;
  child.awaits_group = work_ == Work::stop_group && shares_fate(child);
  if (child.exited && !expected_stop(*child.spec, *child.exited))
    report(ReportKind::shutdown_error, it, *child.exited);
  if (child.exited || !has_process(child.state)) {
    child.exited.reset();
    set_state(child, ChildState::stopped);
    return false;
  }
  reply_to(child, ReplyCode::shutting_down);
  set_state(child, ChildState::stopping);
  const ChildRef ref{it->first, child.incarnation};
  std::visit(Overload{
                 [&](Duration limit) {
                   act(StopPolitely{ref});
                   set_timer(it, limit);
                 },
                 [&](BrutalKill) { act(Kill{ref}); },
                 [&](Infinity) { act(StopPolitely{ref}); },
             },
             child.spec->effective_shutdown());
  return true;
}

void SupervisorCore::finish_stop(Children::iterator it,
                                 const ExitReason& reason) {
  it->second.last_exit = reason;
  if (!expected_stop(*it->second.spec, reason))
    report(ReportKind::shutdown_error, it, reason);
  reply_to(it->second, ReplyCode::ok);
  settle_stopped(it);
}

/// A child without a process keeps its spec, unless it is one of those that
/// exist only as long as their process.
void SupervisorCore::settle_stopped(Children::iterator it) {
  set_state(it->second, ChildState::stopped);
  if (simple() || it->second.spec->restart == Restart::temporary)
    erase(it);
}

void SupervisorCore::start_failed(Children::iterator it,
                                  const std::string& what, TimePoint now) {
  Child& child = it->second;
  const bool is_awaited = it->first == awaited_;
  child.last_exit = ExitReason{ExitKind::custom, what};
  if (!child.tickets.empty()) {
    reply_to(child, ReplyCode::start_failed, {}, what);
    set_state(child, ChildState::stopped);
    if (child.added || simple())
      erase(it);
    return;
  }
  report(ReportKind::start_failed, it, *child.last_exit);
  if (phase_ == Phase::stopping || work_ == Work::hold) {
    settle_stopped(it);
  } else if (work_ == Work::start_all && is_awaited) {
    set_state(child, ChildState::stopped);
    shut_down(
        {ExitKind::shutdown, fmt::format("child \"{}\" failed to start: {}",
                                         child.spec->id, what)});
  } else if (work_ == Work::stop_group && it->first >= first_) {
    set_state(child, ChildState::stopped);
    child.awaits_group = shares_fate(child);
    settle_stopped(it);
  } else {
    if (work_ == Work::start_one || (work_ == Work::start_group && is_awaited))
      work_ = Work::none;
    retry_later(it, now);
  }
}

// -- Decisions ---------------------------------------------------------------

/// What the end of a running child, which nobody asked for, leads to.
void SupervisorCore::decide(Children::iterator it, const ExitReason& reason,
                            TimePoint now) {
  Child& child = it->second;
  const ChildSpec& spec = *child.spec;
  child.exited.reset();
  child.last_exit = reason;
  if (spec.restart == Restart::permanent || !reason.clean())
    report(ReportKind::child_terminated, it, reason);
  if (spec.restart == Restart::temporary ||
      (spec.restart == Restart::transient && reason.clean())) {
    drop(it);
    return;
  }
  if (spec.backoff) {
    if (now - child.started_at >= spec.backoff->reset_after)
      child.backoff_step = 0;
    retry_later(it, now);
    return;
  }
  if (window_.allow(now))
    restart(it);
  else
    give_up(it, now);
}

/// A child ended and is not started again.
void SupervisorCore::drop(Children::iterator it) {
  set_state(it->second, ChildState::stopped);
  bool ends = false;
  if (it->second.spec->significant) {
    switch (spec_.auto_shutdown) {
      case AutoShutdown::never:
        break;
      case AutoShutdown::any_significant:
        ends = true;
        break;
      case AutoShutdown::all_significant:
        ends = significant_ == 0;
        break;
    }
  }
  const std::string id = it->second.spec->id;
  if (ends)
    report(ReportKind::auto_shutdown, it, *it->second.last_exit);
  settle_stopped(it);
  if (ends) {
    become_ready();
    shut_down({ExitKind::shutdown,
               fmt::format("significant child \"{}\" ended", id)});
  }
}

/// Never at once and never in a loop, so that requests and a shutdown get a
/// chance between two attempts.
void SupervisorCore::retry_later(Children::iterator it, TimePoint now) {
  Child& child = it->second;
  Duration delay{0};
  child.counted = child.spec->backoff.has_value();
  if (child.counted) {
    if (!window_.allow(now)) {
      give_up(it, now);
      return;
    }
    delay = backoff_delay(*child.spec->backoff, child.backoff_step++, random_);
  }
  set_state(child, ChildState::restarting);
  child.next_start = now + delay;
  set_timer(it, delay);
}

void SupervisorCore::retry(Children::iterator it, TimePoint now) {
  if (it->second.counted || window_.allow(now))
    restart(it);
  else
    give_up(it, now);
}

/// Starts a child again, together with those that share its fate.
void SupervisorCore::restart(Children::iterator it) {
  switch (spec_.strategy) {
    case Strategy::simple_one_for_one:
      begin_start(it);
      break;
    case Strategy::one_for_one:
      start_one(it);
      break;
    case Strategy::one_for_all:
    case Strategy::rest_for_one:
      set_state(it->second, ChildState::stopped);
      it->second.awaits_group = true;
      first_ =
          spec_.strategy == Strategy::rest_for_one ? it->first : ChildKey{};
      // Those that the work at hand has not come to yet.
      if (is_start_of_many(work_))
        first_ = std::min(first_, cursor_);
      begin_work(Work::stop_group);
      cursor_ = ChildKey{last_key_ + 1};
      break;
  }
}

void SupervisorCore::give_up(Children::iterator it, TimePoint now) {
  const Child& child = it->second;
  become_ready();
  if (spec_.on_give_up != OnGiveUp::escalate) {
    report(ReportKind::held, it, *child.last_exit);
    set_state(it->second, ChildState::stopped);
    hold(now);
    return;
  }
  report(ReportKind::gave_up, it, *child.last_exit);
  std::string what =
      fmt::format("child \"{}\" needed more than {} restarts in {}: {}",
                  child.spec->id, spec_.intensity,
                  format_duration(spec_.period), describe(*child.last_exit));
  settle_stopped(it);
  shut_down({ExitKind::shutdown, std::move(what)});
}

void SupervisorCore::hold(TimePoint now) {
  begin_work(Work::hold);
  cursor_ = ChildKey{last_key_ + 1};
  is_held_ = true;
  if (spec_.on_give_up == OnGiveUp::hold) {
    hold_timer_ = ++last_timer_;
    held_until_ = now + spec_.hold_for;
    act(SetTimer{{ChildKey{}, hold_timer_}, spec_.hold_for});
  }
}

void SupervisorCore::release() {
  if (std::exchange(is_held_, false)) {
    window_.clear();
    hold_timer_ = 0;
    act(Report{.kind = ReportKind::released, .supervisor = spec_.name});
  }
  begin_work(Work::release);
  cursor_ = ChildKey{};
}

void SupervisorCore::shut_down(const ExitReason& reason) {
  phase_ = Phase::stopping;
  begin_work(Work::shut_down);
  cursor_ = ChildKey{last_key_ + 1};
  exit_reason_ = reason;
  for (const Waiting& waiting : waiting_) {
    if (const auto* request = std::get_if<Request>(&waiting))
      reply(request->ticket, ReplyCode::shutting_down);
  }
  waiting_.clear();
  if (simple())
    stop_all();
}

/// Dynamic children have no order: all are told at once and share one timer.
void SupervisorCore::stop_all() {
  const Shutdown shutdown = template_->effective_shutdown();
  const auto* limit = std::get_if<Duration>(&shutdown);
  if (limit != nullptr && active_ > 0) {
    shutdown_timer_ = ++last_timer_;
    act(SetTimer{{ChildKey{}, shutdown_timer_}, *limit});
  }
  for (auto it = children_.begin(); it != children_.end();) {
    const auto next = std::next(it);
    Child& child = it->second;
    if (child.state == ChildState::restarting) {
      settle_stopped(it);
    } else if (child.state != ChildState::stopping) {
      reply_to(child, ReplyCode::shutting_down);
      set_state(child, ChildState::stopping);
      const ChildRef ref{it->first, child.incarnation};
      if (std::holds_alternative<BrutalKill>(shutdown))
        act(Kill{ref});
      else
        act(StopPolitely{ref});
    }
    it = next;
  }
}

void SupervisorCore::kill_all() {
  for (const auto& [key, child] : children_) {
    if (child.state == ChildState::stopping)
      act(Kill{{key, child.incarnation}});
  }
}

// -- Requests ----------------------------------------------------------------

Actions SupervisorCore::start_child(ChildSpec spec, Ticket ticket,
                                    TimePoint now) {
  std::string id = spec.id;
  return request({Request::Kind::start, ticket, std::move(id), std::move(spec)},
                 now);
}

Actions SupervisorCore::terminate_child(const std::string& id, Ticket ticket,
                                        TimePoint now) {
  return request({Request::Kind::terminate, ticket, id, {}}, now);
}

Actions SupervisorCore::restart_child(const std::string& id, Ticket ticket,
                                      TimePoint now) {
  return request({Request::Kind::restart, ticket, id, {}}, now);
}

Actions SupervisorCore::start_all(Ticket ticket, TimePoint now) {
  return request({Request::Kind::start_all, ticket, {}, {}}, now);
}

Actions SupervisorCore::delete_child(const std::string& id, Ticket ticket,
                                     TimePoint now) {
  return request({Request::Kind::remove, ticket, id, {}}, now);
}

Actions SupervisorCore::start_dynamic(ChildKey key, Ticket ticket) {
  if (!simple() || phase_ != Phase::running) {
    reply(ticket, simple() ? ReplyCode::shutting_down : ReplyCode::unsupported);
    act(Forget{key});
    return take_actions();
  }
  const auto it = add(template_, key);
  it->second.tickets = {ticket};
  begin_start(it);
  return take_actions();
}

Actions SupervisorCore::terminate_dynamic(ChildKey key, Ticket ticket) {
  const auto it = children_.find(key);
  if (!simple()) {
    reply(ticket, ReplyCode::unsupported);
  } else if (it == children_.end()) {
    reply(ticket, ReplyCode::not_found);
  } else if (it->second.state == ChildState::stopping) {
    reply(ticket, ReplyCode::stopping);
  } else if (begin_stop(it)) {
    it->second.tickets = {ticket};
  } else {
    reply(ticket, ReplyCode::ok);
    settle_stopped(it);
  }
  return take_actions();
}

Actions SupervisorCore::request(Request request, TimePoint now) {
  if (phase_ == Phase::stopping || phase_ == Phase::ended) {
    reply(request.ticket, ReplyCode::shutting_down);
  } else if (!must_wait(request)) {
    execute(std::move(request));
    proceed(now);
  } else if (waiting_requests_ >= max_waiting_requests) {
    reply(request.ticket, ReplyCode::overloaded);
  } else {
    ++waiting_requests_;
    waiting_.emplace_back(std::move(request));
  }
  return take_actions();
}

void SupervisorCore::execute(Request request) {
  if (simple()) {
    reply(request.ticket, ReplyCode::unsupported);
    return;
  }
  switch (request.kind) {
    case Request::Kind::start:
      execute_start(std::move(request));
      break;
    case Request::Kind::terminate:
      execute_terminate(request);
      break;
    case Request::Kind::restart:
      execute_restart(request);
      break;
    case Request::Kind::start_all:
      reply(request.ticket, ReplyCode::ok);
      release();
      break;
    case Request::Kind::remove:
      execute_remove(request);
      break;
  }
}

void SupervisorCore::execute_start(Request request) {
  if (auto result = check(*request.spec, spec_.auto_shutdown); !result) {
    reply(request.ticket, ReplyCode::invalid_spec, {}, result.error().what);
    return;
  }
  if (const auto it = find(request.id); it != children_.end()) {
    reply(request.ticket, has_process(it->second.state)
                              ? ReplyCode::already_started
                              : ReplyCode::already_present);
    return;
  }
  const auto it = add(
      std::make_shared<const ChildSpec>(std::move(*request.spec)), new_key());
  it->second.tickets = {request.ticket};
  it->second.added = true;
  start_one(it);
}

void SupervisorCore::execute_terminate(const Request& request) {
  const auto it = find(request.id);
  if (it == children_.end()) {
    reply(request.ticket, ReplyCode::not_found);
    return;
  }
  Child& child = it->second;
  if (child.tickets.size() >= max_waiting_requests) {
    reply(request.ticket, ReplyCode::overloaded);
    return;
  }
  child.left_alone_by = work_number_;
  if (begin_stop(it)) {
    child.awaits_group = false;
    child.tickets.push_back(request.ticket);
    if (!spec_.serves_while_starting)
      begin_work(Work::stop_one);
    return;
  }
  reply(request.ticket, ReplyCode::ok);
  settle_stopped(it);
}

void SupervisorCore::execute_restart(const Request& request) {
  const auto it = find(request.id);
  if (const auto refusal = refuse_unless_stopped(it)) {
    reply(request.ticket, *refusal);
    return;
  }
  it->second.tickets = {request.ticket};
  start_one(it);
}

void SupervisorCore::execute_remove(const Request& request) {
  const auto it = find(request.id);
  if (const auto refusal = refuse_unless_stopped(it)) {
    reply(request.ticket, *refusal);
    return;
  }
  erase(it);
  reply(request.ticket, ReplyCode::ok);
}

std::optional<ReplyCode> SupervisorCore::refuse_unless_stopped(
    Children::iterator it) const {
  if (it == children_.end())
    return ReplyCode::not_found;
  switch (it->second.state) {
    case ChildState::stopped:
      return std::nullopt;
    case ChildState::restarting:
      return ReplyCode::restarting;
    case ChildState::starting:
    case ChildState::running:
    case ChildState::stopping:
      return ReplyCode::running;
  }
  return std::nullopt;
}

// -- Views -------------------------------------------------------------------

std::vector<ChildInfo> SupervisorCore::which_children() const {
  std::vector<ChildInfo> result;
  result.reserve(children_.size());
  for (const auto& [key, child] : children_) {
    ChildInfo info{.id = child.spec->id,
                   .ref = {key, child.incarnation},
                   .state = child.state,
                   .type = child.spec->type,
                   .restart = child.spec->restart,
                   .restarts = child.restarts,
                   .next_start = {},
                   .last_exit = child.last_exit};
    if (child.state == ChildState::restarting)
      info.next_start = child.next_start;
    result.push_back(std::move(info));
  }
  return result;
}

ChildCounts SupervisorCore::count_children() const {
  return {.specs = simple() ? 1 : children_.size(),
          .active = active_,
          .supervisors = supervisors_,
          .workers = children_.size() - supervisors_};
}

SupervisorInfo SupervisorCore::info(TimePoint now) const {
  SupervisorInfo info{.name = spec_.name,
                      .strategy = spec_.strategy,
                      .intensity = spec_.intensity,
                      .period = spec_.period,
                      .restarts_used = window_.used(now),
                      .is_held = is_held_,
                      .held_until = {}};
  if (is_held_ && hold_timer_ != 0)
    info.held_until = held_until_;
  return info;
}

const ChildSpec& SupervisorCore::spec_of(ChildKey key) const {
  const auto it = children_.find(key);
  TROUPE_ASSERT(it != children_.end());
  return *it->second.spec;
}

// -- Children ----------------------------------------------------------------

SupervisorCore::Children::iterator SupervisorCore::find(ChildRef child) {
  const auto it = children_.find(child.key);
  if (it == children_.end() || it->second.incarnation != child.incarnation)
    return children_.end();
  return it;
}

SupervisorCore::Children::iterator SupervisorCore::find(const std::string& id) {
  const auto key = keys_.find(id);
  return key == keys_.end() ? children_.end() : children_.find(key->second);
}

SupervisorCore::Children::iterator SupervisorCore::add(
    std::shared_ptr<const ChildSpec> spec, ChildKey key) {
  if (!simple())
    keys_.emplace(spec->id, key);
  if (spec->on_presence)
    listened_to_.insert(key);
  if (spec->type == ChildType::supervisor)
    ++supervisors_;
  Child child;
  child.spec = std::move(spec);
  return children_.emplace_hint(children_.end(), key, std::move(child));
}

void SupervisorCore::erase(Children::iterator it) {
  set_state(it->second, ChildState::stopped);
  if (it->second.spec->type == ChildType::supervisor)
    --supervisors_;
  if (!simple())
    keys_.erase(it->second.spec->id);
  if (listened_to_.erase(it->first) > 0)
    announce(it->second, Presence::gone, actions_);
  act(Forget{it->first});
  children_.erase(it);
}

/// The only place that changes a state, so that the counts are right.
void SupervisorCore::set_state(Child& child, ChildState state) {
  const auto count = [&](ChildState in, bool enters) {
    const auto change = [&](std::size_t& counter) {
      counter = enters ? counter + 1 : counter - 1;
    };
    if (has_process(in))
      change(active_);
    if (in == ChildState::stopping)
      change(stopping_);
    if (in != ChildState::stopped && in != ChildState::stopping &&
        child.spec->significant)
      change(significant_);
  };
  count(child.state, false);
  child.state = state;
  count(child.state, true);
}

Presence SupervisorCore::presence_of(ChildKey key, const Child& child) const {
  switch (child.state) {
    case ChildState::running:
      return child.exited ? Presence::away : Presence::up;
    case ChildState::starting:
    case ChildState::restarting:
      return Presence::away;
    case ChildState::stopping:
    case ChildState::stopped:
      return comes_back(key, child) ? Presence::away : Presence::gone;
  }
  return Presence::gone;
}

/// Whether the work at hand, or a restart that is due, starts this child, which
/// is stopped or about to be.
bool SupervisorCore::comes_back(ChildKey key, const Child& child) const {
  switch (work_) {
    case Work::start_all:
    case Work::release:
      return key >= cursor_ && !is_left_alone(child);
    case Work::stop_group:
    case Work::start_group:
      return child.awaits_group;
    case Work::none:
    case Work::start_one:
    case Work::stop_one:
      // Of a group whose restart failed half-way, one waits for the next try.
      return child.awaits_group &&
             std::any_of(children_.begin(), children_.end(), [](const auto& c) {
               return c.second.state == ChildState::restarting;
             });
    case Work::hold:
    case Work::shut_down:
      return false;
  }
  return false;
}

void SupervisorCore::announce(Child& child, Presence presence,
                              Actions& announcements) {
  if (std::exchange(child.announced, presence) != presence)
    announcements.emplace_back(Announce{child.spec, presence});
}

/// Before what the event leads to: who is told to stop gets no more work.
Actions SupervisorCore::take_actions() {
  if (listened_to_.empty())
    return std::exchange(actions_, {});
  Actions actions;
  for (const ChildKey key : listened_to_) {
    Child& child = children_.at(key);
    announce(child, presence_of(key, child), actions);
  }
  actions.insert(actions.end(), std::make_move_iterator(actions_.begin()),
                 std::make_move_iterator(actions_.end()));
  actions_.clear();
  return actions;
}

void SupervisorCore::reply(Ticket ticket, ReplyCode code, ChildRef child,
                           std::string what) {
  act(Reply{ticket, code, child, std::move(what)});
}

void SupervisorCore::reply_to(Child& child, ReplyCode code, ChildRef ref,
                              const std::string& what) {
  for (const Ticket ticket : std::exchange(child.tickets, {}))
    reply(ticket, code, ref, what);
}

void SupervisorCore::set_timer(Children::iterator it, Duration delay) {
  it->second.timer = ++last_timer_;
  act(SetTimer{{it->first, it->second.timer}, delay});
}

void SupervisorCore::report(ReportKind kind, Children::iterator it,
                            const ExitReason& reason) {
  act(Report{.kind = kind,
             .supervisor = spec_.name,
             .child = it->second.spec->id,
             .key = it->first,
             .reason = reason,
             .restarts = it->second.restarts});
}

}  // namespace troupe::supervisor
