#include <troupe/base/assert.hpp>
#include <troupe/distributed/lease_core.hpp>

#include <algorithm>

namespace troupe::distributed {
namespace {

/// Renewals whose late answers still count. More are never on their way: one is
/// sent every ttl / 6, and an answer that took longer than ttl gives no right.
constexpr std::size_t most_sent = 8;

}  // namespace

std::string_view to_string(LeasePhase phase) {
  switch (phase) {
    case LeasePhase::confirming:
      return "confirming";
    case LeasePhase::registering:
      return "registering";
    case LeasePhase::unproven:
      return "unproven";
    case LeasePhase::held:
      return "held";
    case LeasePhase::draining:
      return "draining";
    case LeasePhase::ending:
      return "ending";
    case LeasePhase::lapsed:
      return "lapsed";
    case LeasePhase::retiring:
      return "retiring";
    case LeasePhase::over:
      return "over";
  }
  return "unknown";
}

Result<void> check(const LeaseTerms& terms) {
  const auto refuse = [](const char* what) {
    return failure(Errc::invalid_argument, std::string{"lease: "} + what);
  };
  if (terms.ttl < 1s || terms.ttl > 24h)
    return refuse("the time to live is not between 1s and 24h");
  if (terms.gone_before <= 0s || terms.kill_before <= terms.gone_before)
    return refuse("there is no time to kill commands in");
  if (terms.renew_every() + terms.answer_within() >
      terms.ttl - terms.kill_before)
    return refuse("commands would be killed before a renewal was answered");
  if (terms.eviction_margin <= 0s)
    return refuse("an eviction would not wait for the end of the right");
  if (terms.longest_pause < terms.renew_every())
    return refuse("the longest pause is shorter than that between renewals");
  return {};
}

LeaseCore::LeaseCore(const LeaseTerms& terms, std::uint64_t seed)
    : terms_{terms}, random_{seed} {
  TROUPE_ASSERT(check(terms).has_value());
}

LeaseCore::Actions LeaseCore::on_start(bool adopts, BootTime now) {
  if (adopts) {
    become(LeasePhase::unproven);
    send_renewal(now);
  } else {
    act(Confirm{++confirms_});
  }
  return take_actions();
}

LeaseCore::Actions LeaseCore::on_confirmed(std::uint64_t number, BootTime now) {
  advance(now);
  if (number != confirms_)
    return take_actions();  // Since then commands have been started.
  switch (phase_) {
    case LeasePhase::confirming:
      if (is_draining()) {
        quit(End::retired);
      } else {
        become(LeasePhase::registering);
        send_register(/*is_new=*/true, now);
      }
      break;
    case LeasePhase::registering:  // Repeated.
    case LeasePhase::unproven:
    case LeasePhase::held:
    case LeasePhase::draining:
    case LeasePhase::ending:
    case LeasePhase::lapsed:
    case LeasePhase::retiring:
    case LeasePhase::over:
      break;
  }
  return take_actions();
}

LeaseCore::Actions LeaseCore::on_registered(std::uint64_t number,
                                            Registered answer, BootTime now) {
  advance(now);
  if (phase_ != LeasePhase::registering || number < session_from_)
    return take_actions();
  switch (answer) {
    case Registered::yes:
      // Says nothing about when: it may repeat one that was committed long ago,
      // and whose counter others have been watching since. A renewal does.
      become(LeasePhase::unproven);
      unanswered_ = 0;
      send_renewal(now);
      break;
    case Registered::evicted:
      // Nothing has started since the warden's word. The next try has an id of
      // its own, and comes at its time, so that this cannot go round and round.
      forget_session();
      break;
    case Registered::refused:
      quit(End::refused);
      break;
  }
  return take_actions();
}

LeaseCore::Actions LeaseCore::on_renewed(std::uint64_t number, Renewed answer,
                                         BootTime now) {
  advance(now);
  if (number < session_from_)
    return take_actions();
  switch (phase_) {
    case LeasePhase::confirming:
    case LeasePhase::registering:
    case LeasePhase::over:
      return take_actions();  // Of an earlier session.
    case LeasePhase::unproven:
    case LeasePhase::held:
    case LeasePhase::draining:
    case LeasePhase::ending:
    case LeasePhase::lapsed:
      break;
    case LeasePhase::retiring:
      // It is gone, which is what was wanted; and if it lives, no matter.
      if (answer == Renewed::evicted)
        quit(End::retired);
      return take_actions();
  }
  if (answer == Renewed::evicted) {
    fence(now);
    return take_actions();
  }
  if (answer == Renewed::draining)
    drain(BootTime::max());
  const auto sent = sent_.find(number);
  if (sent != sent_.end())
    extend(sent->second, now);
  watch_right(now);
  return take_actions();
}

LeaseCore::Actions LeaseCore::on_retired(BootTime now) {
  advance(now);
  if (phase_ == LeasePhase::retiring)
    quit(End::retired);
  return take_actions();
}

LeaseCore::Actions LeaseCore::on_drain(BootTime kill_at, BootTime now) {
  const bool is_new = !is_draining();
  drain(kill_at);
  advance(now);
  switch (phase_) {
    case LeasePhase::registering:
      // Whatever comes of that has run nothing, and is evicted in the end.
      quit(End::retired);
      break;
    case LeasePhase::draining:
      if (is_new)
        send_renewal(now);  // The others should know soon.
      break;
    case LeasePhase::confirming:  // on_confirmed() ends it.
    case LeasePhase::unproven:    // The next renewal tells.
    case LeasePhase::held:
    case LeasePhase::ending:
    case LeasePhase::lapsed:
    case LeasePhase::retiring:
    case LeasePhase::over:
      break;
  }
  return take_actions();
}

LeaseCore::Actions LeaseCore::on_idle(BootTime now) {
  advance(now);
  if (!is_draining())
    return take_actions();
  switch (phase_) {
    case LeasePhase::unproven:
    case LeasePhase::draining:
    case LeasePhase::ending:
    case LeasePhase::lapsed:
      become(LeasePhase::retiring);
      unanswered_ = 0;
      next_send_ = now;
      advance(now);
      break;
    case LeasePhase::confirming:
    case LeasePhase::registering:
    case LeasePhase::held:
    case LeasePhase::retiring:
    case LeasePhase::over:
      break;
  }
  return take_actions();
}

LeaseCore::Actions LeaseCore::on_time(BootTime now) {
  advance(now);
  return take_actions();
}

std::optional<BootTime> LeaseCore::wake_at() const {
  std::optional<BootTime> at = next_send_;
  const auto also = [&at](std::optional<BootTime> other) {
    if (other && (!at || *other < *at))
      at = other;
  };
  switch (phase_) {
    case LeasePhase::confirming:
    case LeasePhase::over:
      return std::nullopt;
    case LeasePhase::registering:
    case LeasePhase::retiring:
      return at;
    case LeasePhase::held:
    case LeasePhase::draining:
      also(*right_until_ - terms_.kill_before);
      break;
    case LeasePhase::ending:
      also(right_until_);
      break;
    case LeasePhase::unproven:
    case LeasePhase::lapsed:
      break;
  }
  if (!has_killed_for_drain_ && drain_kill_at_ != BootTime::max())
    also(drain_kill_at_);
  return at;
}

/// All that time alone brings about, in the order in which it comes about. A
/// host that has slept takes several steps at once.
void LeaseCore::advance(BootTime now) {
  watch_right(now);
  watch_drain(now);
  if (next_send_ && now >= *next_send_)
    send(now);
}

void LeaseCore::watch_right(BootTime now) {
  switch (phase_) {
    case LeasePhase::held:
      if (is_draining())
        become(LeasePhase::draining);
      [[fallthrough]];
    case LeasePhase::draining:
      if (now < *right_until_ - terms_.kill_before)
        return;
      become(LeasePhase::ending);
      act(KillBy{Kill::expendable, *right_until_ - terms_.gone_before});
      [[fallthrough]];
    case LeasePhase::ending:
      if (now < *right_until_)
        return;
      become(LeasePhase::lapsed);
      act(SelfFence{Loss::lapsed});
      return;
    case LeasePhase::confirming:
    case LeasePhase::registering:
    case LeasePhase::unproven:
    case LeasePhase::lapsed:
    case LeasePhase::retiring:
    case LeasePhase::over:
      return;
  }
}

void LeaseCore::watch_drain(BootTime now) {
  switch (phase_) {
    case LeasePhase::unproven:
    case LeasePhase::draining:
    case LeasePhase::ending:
    case LeasePhase::lapsed:
      break;
    case LeasePhase::confirming:  // All are being killed, or nothing runs.
    case LeasePhase::registering:
    case LeasePhase::held:
    case LeasePhase::retiring:
    case LeasePhase::over:
      return;
  }
  if (!drain_kill_at_ || now < *drain_kill_at_ || has_killed_for_drain_)
    return;
  has_killed_for_drain_ = true;
  act(KillBy{Kill::all, now + (terms_.kill_before - terms_.gone_before)});
}

void LeaseCore::send(BootTime now) {
  switch (phase_) {
    case LeasePhase::registering:
      send_register(/*is_new=*/last_number_ < session_from_, now);
      break;
    case LeasePhase::unproven:
    case LeasePhase::held:
    case LeasePhase::draining:
    case LeasePhase::ending:
    case LeasePhase::lapsed:
      send_renewal(now);
      break;
    case LeasePhase::retiring:
      // It has no right any more and runs nothing: the others may find out for
      // themselves.
      if (unanswered_ > 0 && !(right_until_ && now < *right_until_)) {
        quit(End::retired);
        break;
      }
      ++unanswered_;
      next_send_ = now + terms_.renew_every();
      act(Retire{});
      break;
    case LeasePhase::confirming:
    case LeasePhase::over:
      next_send_.reset();
      break;
  }
}

void LeaseCore::send_register(bool is_new, BootTime now) {
  ++last_number_;
  if (is_new)
    session_from_ = last_number_;
  next_send_ = now + pause();
  ++unanswered_;
  act(Register{last_number_, is_new});
}

void LeaseCore::send_renewal(BootTime now) {
  ++last_number_;
  sent_.emplace(last_number_, now);
  if (sent_.size() > most_sent)
    sent_.erase(sent_.begin());
  next_send_ = now + (has_right_left() ? terms_.renew_every() : pause());
  ++unanswered_;
  act(Renew{last_number_, now + terms_.answer_within(), is_draining()});
}

/// A renewal that was sent at `sent` has been answered.
void LeaseCore::extend(BootTime sent, BootTime now) {
  unanswered_ = 0;
  // The store is there: no pause any more, after whatever was sent last.
  next_send_ = std::max(sent_.rbegin()->second + terms_.renew_every(), now);
  const BootTime until = sent + terms_.ttl;
  if (right_until_ && until <= *right_until_)
    return;  // An answer that was overtaken.
  switch (phase_) {
    case LeasePhase::unproven:
    case LeasePhase::lapsed:
    case LeasePhase::ending:
      // An answer can come too late to be worth anything.
      if (now >= until - terms_.kill_before)
        return;
      right_until_ = until;
      become(is_draining() ? LeasePhase::draining : LeasePhase::held);
      break;
    case LeasePhase::held:
    case LeasePhase::draining:
      right_until_ = until;
      break;
    case LeasePhase::confirming:
    case LeasePhase::registering:
    case LeasePhase::retiring:
    case LeasePhase::over:
      return;
  }
  act(Guard{until - terms_.kill_before, until - terms_.gone_before});
}

void LeaseCore::drain(BootTime kill_at) {
  drain_kill_at_ = std::min(drain_kill_at_.value_or(BootTime::max()), kill_at);
}

void LeaseCore::fence(BootTime now) {
  become(LeasePhase::confirming);
  act(KillBy{Kill::all, now + (terms_.kill_before - terms_.gone_before)});
  act(SelfFence{Loss::evicted});
  act(Confirm{++confirms_});
  forget_session();
  next_send_.reset();
  unanswered_ = 0;
}

void LeaseCore::forget_session() {
  session_from_ = last_number_ + 1;
  sent_.clear();
  right_until_.reset();
}

void LeaseCore::quit(End end) {
  become(LeasePhase::over);
  next_send_.reset();
  act(Quit{end});
}

void LeaseCore::become(LeasePhase next) {
  if (phase_ != LeasePhase::held && next == LeasePhase::held)
    act(MayStart{});
  if (phase_ == LeasePhase::held && next != LeasePhase::held)
    act(StopStarting{});
  phase_ = next;
}

bool LeaseCore::has_right_left() const {
  return phase_ == LeasePhase::held || phase_ == LeasePhase::draining ||
         phase_ == LeasePhase::ending;
}

/// renew_every, twice as long after each try, up to longest_pause; of that a
/// random part, but at least half, so that the nodes do not all come back to
/// the store at once.
Duration LeaseCore::pause() {
  Duration longest = terms_.renew_every();
  for (std::uint32_t i = 0; i < unanswered_ && longest < terms_.longest_pause;
       ++i)
    longest *= 2;
  longest = std::min(longest, terms_.longest_pause);
  const auto half = static_cast<std::uint64_t>(longest.count()) / 2;
  return Duration{
      static_cast<Duration::rep>(half + random_.next() % (half + 1))};
}

}  // namespace troupe::distributed
