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

MapCore::Actions MapCore::on_finished(std::uint64_t seq, bool ok, int status,
                                      TimePoint now) {
  const auto slot = slot_of_.find(seq);
  if (slot == slot_of_.end())
    return {};
  used_slots_.erase(slot->second);
  slot_of_.erase(slot);
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
  if (!slot_of_.empty())
    actions.emplace_back(StopAll{});
  const Actions more = stop_starting(now);
  actions.insert(actions.end(), more.begin(), more.end());
  return actions;
}

MapCore::Actions MapCore::go_on(TimePoint now) {
  Actions actions;
  if (!finished_) {
    start_what_can(actions, now);
    read_ahead(actions);
    finish_if_over(actions);
  }
  return actions;
}

bool MapCore::may_start(std::uint64_t seq) const {
  if (options_.window == 0)
    return true;
  const std::uint64_t first_unfinished =
      slot_of_.empty() ? seq : slot_of_.begin()->first;
  return seq - first_unfinished < options_.window;
}

void MapCore::start_what_can(Actions& actions, TimePoint now) {
  while (!waiting_.empty() && !stopping_) {
    const std::uint64_t seq = waiting_.front().seq;
    if (options_.finished.contains(seq)) {
      (void)take_waiting();
      actions.emplace_back(Skip{seq});
      continue;
    }
    if (slot_of_.size() >= options_.slots || !may_start(seq))
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
    slot_of_[seq] = slot;
    last_start_ = now;
    actions.emplace_back(Launch{take_waiting(), slot});
  }
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
  if (!nothing_follows || !slot_of_.empty())
    return;
  finished_ = true;
  actions.emplace_back(Finish{});
}

}  // namespace troupe::fanout
