#include <troupe/fanout/map_core.hpp>

#include <algorithm>
#include <utility>

namespace troupe::fanout {
namespace {

/// Arguments kept ready per slot: enough to never wait for the reader, few
/// enough to hold little of an endless input.
constexpr std::size_t ahead_per_slot = 4;
constexpr std::size_t least_ahead = 64;
constexpr std::size_t most_ahead = 4096;
/// Of long arguments fewer are kept, down to one.
constexpr std::size_t most_ahead_bytes = 4 << 20;

/// With longer jobs the time between two of them does not matter.
constexpr Duration longest_short_job = 100ms;
constexpr int mean_weight = 8;
/// So many later jobs per slot may be launched before one that waits as a
/// successor is withdrawn.
constexpr std::uint64_t most_overtaking = 4;

}  // namespace

MapCore::MapCore(MapOptions options)
    : options_{std::move(options)}, halt_{options_.halt} {}

MapCore::Actions MapCore::on_start(TimePoint now) { return go_on(now); }

MapCore::Actions MapCore::on_arguments(std::vector<Arguments> arguments,
                                       bool at_end, TimePoint now) {
  reading_ = false;
  at_end_ = at_end_ || at_end;
  for (Arguments& job : arguments) {
    waiting_bytes_ += memory_bytes(job);
    waiting_.push_back(std::move(job));
  }
  return go_on(now);
}

MapCore::Actions MapCore::on_started(std::uint64_t seq, TimePoint now) {
  if (const auto job = running_.find(seq); job != running_.end()) {
    job->second.started = now;
    job->second.withdrawn.reset();
  } else if (const auto next = successors_.find(seq);
             next != successors_.end()) {
    next->second.started = now;
  } else {
    return {};
  }
  return go_on(now);
}

MapCore::Actions MapCore::on_withdrawn(std::uint64_t seq, TimePoint now) {
  if (const auto next = successors_.find(seq); next != successors_.end()) {
    take_back(std::move(next->second.arguments));
    running_.at(next->second.predecessor).is_long = true;
    detach(next);
  } else if (const auto job = running_.find(seq);
             job != running_.end() && job->second.withdrawn) {
    take_back(std::move(*job->second.withdrawn));
    used_slots_.erase(job->second.slot);
    running_.erase(job);
  } else {
    return {};
  }
  return go_on(now);
}

MapCore::Actions MapCore::on_finished(std::uint64_t seq, bool ok, int status,
                                      TimePoint now) {
  if (const auto next = successors_.find(seq); next != successors_.end()) {
    detach(next);  // It was faster than the news of its predecessor.
  } else {
    const auto job = running_.extract(seq);
    if (!job)
      return {};
    leave_slot(job.mapped(), now);
  }
  switch (halt_.on_finished(ok, status)) {
    case HaltDecision::carry_on:
      return go_on(now);
    case HaltDecision::stop_starting:
      return stop_starting(now);
    case HaltDecision::kill_all:
      return stop_all(now);
  }
  return {};
}

void MapCore::leave_slot(const Running& ended, TimePoint now) {
  if (ended.started) {
    const Duration lasted = now - *ended.started;
    const Duration before = mean_duration_.value_or(lasted);
    mean_duration_ = before + (lasted - before) / mean_weight;
  }
  if (!ended.successor) {
    used_slots_.erase(ended.slot);
    return;
  }
  auto next = successors_.extract(*ended.successor);
  Successor& successor = next.mapped();
  Running& running = running_[next.key()];
  running = {.slot = ended.slot, .started = successor.started};
  if (successor.is_withdrawn && !successor.started)
    running.withdrawn = std::move(successor.arguments);
}

MapCore::Actions MapCore::on_time(TimePoint now) {
  if (!wake_at_)
    return {};
  // Another event was faster than this one and moved the time.
  if (now < *wake_at_)
    return {Wake{*wake_at_}};
  wake_at_.reset();
  return go_on(now);
}

MapCore::Actions MapCore::resize(std::uint32_t slots, TimePoint now) {
  is_shrunk_ = slots < options_.slots;
  options_.slots = slots;
  return go_on(now);
}

MapCore::Actions MapCore::stop_starting(TimePoint now) {
  stopping_ = true;
  waiting_.clear();
  waiting_bytes_ = 0;
  return go_on(now);
}

MapCore::Actions MapCore::stop_all(TimePoint now) {
  Actions actions;
  if (!running_.empty() || !successors_.empty())
    actions.emplace_back(StopAll{});
  const Actions more = stop_starting(now);
  actions.insert(actions.end(), more.begin(), more.end());
  return actions;
}

MapCore::Actions MapCore::go_on(TimePoint now) {
  Actions actions;
  if (!finished_) {
    start_what_can(actions, now);
    give_successors(actions);
    withdraw_successors(actions);
    read_ahead(actions);
    finish_if_over(actions);
  }
  return actions;
}

bool MapCore::may_start(std::uint64_t seq) const {
  if (options_.window == 0)
    return true;
  std::uint64_t first_unfinished = seq;
  if (!running_.empty())
    first_unfinished = std::min(first_unfinished, running_.begin()->first);
  if (!successors_.empty())
    first_unfinished = std::min(first_unfinished, successors_.begin()->first);
  return seq - first_unfinished < options_.window;
}

void MapCore::skip_finished(Actions& actions) {
  while (!waiting_.empty() && options_.finished.contains(waiting_.front().seq))
    actions.emplace_back(Skip{take_waiting().seq});
}

void MapCore::start_what_can(Actions& actions, TimePoint now) {
  while (!stopping_) {
    skip_finished(actions);
    if (waiting_.empty())
      return;
    const std::uint64_t seq = waiting_.front().seq;
    if (running_.size() >= options_.slots || !may_start(seq))
      return;
    if (last_start_ && now < *last_start_ + options_.delay) {
      if (!wake_at_)
        actions.emplace_back(Wake{*last_start_ + options_.delay});
      wake_at_ = *last_start_ + options_.delay;
      return;
    }
    std::uint32_t slot = 1;
    while (used_slots_.count(slot) != 0)
      ++slot;
    used_slots_.insert(slot);
    running_[seq] = {.slot = slot};
    last_start_ = now;
    last_launched_ = std::max(last_launched_, seq);
    actions.emplace_back(Launch{take_waiting(), slot});
  }
}

void MapCore::give_successors(Actions& actions) {
  const bool pays = options_.with_successors && !stopping_ && mean_duration_ &&
                    *mean_duration_ < longest_short_job &&
                    running_.size() == options_.slots;
  if (!pays)
    return;
  for (auto& [seq, job] : running_) {
    skip_finished(actions);
    if (waiting_.empty() || !may_start(waiting_.front().seq))
      return;
    if (!job.started || job.successor || job.is_long)
      continue;
    Arguments next = take_waiting();
    job.successor = next.seq;
    last_launched_ = std::max(last_launched_, next.seq);
    successors_[next.seq] = {.arguments = next, .predecessor = seq};
    actions.emplace_back(Launch{std::move(next), job.slot, seq});
  }
}

void MapCore::withdraw_successors(Actions& actions) {
  const bool all = stopping_ || std::exchange(is_shrunk_, false);
  std::size_t free_slots = 0;
  if (waiting_.empty() && running_.size() < options_.slots)
    free_slots = options_.slots - running_.size();
  for (auto& successor : successors_) {
    const bool is_overtaken =
        last_launched_ - successor.first > most_overtaking * options_.slots;
    const bool has_a_place = free_slots > 0;
    if (has_a_place)
      --free_slots;
    if (all || is_overtaken || has_a_place)
      withdraw(actions, successor);
  }
}

void MapCore::withdraw(Actions& actions, Successors::value_type& successor) {
  if (!std::exchange(successor.second.is_withdrawn, true))
    actions.emplace_back(Withdraw{successor.first});
}

/// Before all that waits: it was read before that.
void MapCore::take_back(Arguments arguments) {
  if (stopping_)
    return;
  waiting_bytes_ += memory_bytes(arguments);
  const auto later = std::find_if(
      waiting_.begin(), waiting_.end(),
      [&](const Arguments& job) { return job.seq > arguments.seq; });
  waiting_.insert(later, std::move(arguments));
}

void MapCore::detach(Successors::iterator successor) {
  running_.at(successor->second.predecessor).successor.reset();
  successors_.erase(successor);
}

Arguments MapCore::take_waiting() {
  Arguments taken = std::move(waiting_.front());
  waiting_.pop_front();
  waiting_bytes_ -= memory_bytes(taken);
  return taken;
}

void MapCore::read_ahead(Actions& actions) {
  const std::size_t wanted =
      std::clamp(ahead_per_slot * options_.slots, least_ahead, most_ahead);
  if (reading_ || at_end_ || stopping_ || waiting_.size() > wanted / 2 ||
      waiting_bytes_ > most_ahead_bytes)
    return;
  reading_ = true;
  actions.emplace_back(Read{wanted - waiting_.size()});
}

void MapCore::finish_if_over(Actions& actions) {
  const bool nothing_follows = stopping_ || (at_end_ && waiting_.empty());
  if (!nothing_follows || !running_.empty() || !successors_.empty())
    return;
  finished_ = true;
  actions.emplace_back(Finish{});
}

}  // namespace troupe::fanout
