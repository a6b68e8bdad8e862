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
/// The successors of a job cover so much time, in which nobody has to be asked.
constexpr Duration covered_time = 20ms;
constexpr std::size_t most_successors = 16;
/// Of those with long arguments there are fewer, but one.
constexpr std::size_t most_successor_bytes = 4 << 20;
/// So many more jobs per slot than there were before it in its own may begin
/// before a successor is withdrawn.
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
    next->second.is_withdrawn = false;
  } else {
    return {};
  }
  ++begun_;
  return go_on(now);
}

MapCore::Actions MapCore::on_withdrawn(std::uint64_t seq, TimePoint now) {
  if (const auto next = successors_.find(seq); next != successors_.end()) {
    running_.at(lines_.at(next->second.slot).running).is_long = true;
    take_back(detach(next));
  } else if (const auto job = running_.find(seq);
             job != running_.end() && job->second.withdrawn) {
    take_back(std::move(*job->second.withdrawn));
    const std::uint32_t slot = job->second.slot;
    running_.erase(job);
    pass_on_slot(slot);
  } else {
    return {};
  }
  return go_on(now);
}

MapCore::Actions MapCore::on_finished(std::uint64_t seq, bool ok, int status,
                                      TimePoint now) {
  if (const auto next = successors_.find(seq); next != successors_.end()) {
    (void)detach(next);  // It was faster than the news of its predecessor.
  } else {
    const auto job = running_.extract(seq);
    if (!job)
      return {};
    note_duration(job.mapped(), now);
    pass_on_slot(job.mapped().slot);
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

void MapCore::note_duration(const Running& ended, TimePoint now) {
  if (!ended.started)
    return;
  const Duration lasted = now - *ended.started;
  const Duration before = mean_duration_.value_or(lasted);
  mean_duration_ = before + (lasted - before) / mean_weight;
}

void MapCore::pass_on_slot(std::uint32_t slot) {
  Line& line = lines_.at(slot);
  if (line.successors.empty()) {
    lines_.erase(slot);
    return;
  }
  line.running = line.successors.front().seq;
  line.successors.pop_front();
  auto next = successors_.extract(line.running);
  Successor& successor = next.mapped();
  successor_bytes_ -= memory_bytes(successor.arguments);
  Running& running = running_[line.running];
  running = {.slot = slot, .started = successor.started};
  if (successor.is_withdrawn)
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
    while (lines_.contains(slot))
      ++slot;
    lines_[slot] = {.running = seq};
    running_[seq] = {.slot = slot};
    last_start_ = now;
    actions.emplace_back(Launch{take_waiting(), slot});
  }
}

/// A line of which half has been used up is filled up, so that there is less to
/// do for each of many.
void MapCore::give_successors(Actions& actions) {
  const bool pays = options_.with_successors && !stopping_ &&
                    running_.size() == options_.slots;
  const std::size_t wanted = pays ? useful_successors() : 0;
  if (wanted == 0 || !choose_lines(wanted))
    return;
  for (std::size_t length = 0; length < wanted; ++length) {
    for (auto& [slot, line] : lines_) {
      if (!line.is_filled_up || line.successors.size() != length)
        continue;
      if (!may_launch_next(actions) ||
          (length > 0 && successor_bytes_ >= most_successor_bytes))
        return;
      append_successor(actions, slot, line);
    }
  }
}

/// Of each job, as long as they are; none of long ones.
std::size_t MapCore::useful_successors() const {
  if (!mean_duration_ || *mean_duration_ >= longest_short_job)
    return 0;
  const Duration shortest = covered_time / most_successors;
  const auto count = covered_time / std::max(*mean_duration_, shortest);
  return std::max<std::size_t>(1, static_cast<std::size_t>(count));
}

bool MapCore::choose_lines(std::size_t wanted) {
  bool any = false;
  for (auto& [slot, line] : lines_) {
    line.is_filled_up = line.successors.size() <= wanted / 2 && may_grow(line);
    any = any || line.is_filled_up;
  }
  return any;
}

bool MapCore::may_grow(const Line& line) const {
  const Running& job = running_.at(line.running);
  const bool ends_in_doubt =
      !line.successors.empty() &&
      successors_.at(line.successors.back().seq).is_withdrawn;
  return job.started && !job.is_long && !ends_in_doubt;
}

bool MapCore::may_launch_next(Actions& actions) {
  skip_finished(actions);
  return !waiting_.empty() && may_start(waiting_.front().seq);
}

void MapCore::append_successor(Actions& actions, std::uint32_t slot,
                               Line& line) {
  Arguments next = take_waiting();
  const std::uint64_t seq = next.seq;
  const std::uint64_t after =
      line.successors.empty() ? line.running : line.successors.back().seq;
  successor_bytes_ += memory_bytes(next);
  successors_[seq] = {.arguments = next, .slot = slot};
  line.successors.push_back(
      {.seq = seq,
       .patience = begun_ + (line.successors.size() + most_overtaking) *
                                options_.slots});
  actions.emplace_back(Launch{std::move(next), slot, after});
}

std::optional<std::uint64_t> MapCore::predecessor_of(
    std::uint64_t successor) const {
  const auto found = successors_.find(successor);
  if (found == successors_.end())
    return std::nullopt;
  std::uint64_t before = lines_.at(found->second.slot).running;
  for (const Next& next : lines_.at(found->second.slot).successors) {
    if (next.seq == successor)
      break;
    before = next.seq;
  }
  return before;
}

void MapCore::withdraw_successors(Actions& actions) {
  const bool all = std::exchange(is_shrunk_, false) || stopping_;
  if (successors_.empty())
    return;
  // Twice as many as useful are left alone: durations vary.
  const std::size_t most =
      all ? 0 : std::max<std::size_t>(1, 2 * useful_successors());
  for (const auto& [slot, line] : lines_)
    withdraw_all_behind(actions, line, is_overtaken(line) ? 0 : most);
  withdraw_for_free_slots(actions);
}

/// All behind the next one wait for that.
bool MapCore::is_overtaken(const Line& line) const {
  return !line.successors.empty() && begun_ > line.successors.front().patience;
}

/// The last one first: nobody shall start because one before it does not.
void MapCore::withdraw_all_behind(Actions& actions, const Line& line,
                                  std::size_t kept) {
  for (std::size_t i = line.successors.size(); i > kept; --i)
    withdraw(actions, line.successors[i - 1].seq);
}

void MapCore::withdraw(Actions& actions, std::uint64_t seq) {
  Successor& successor = successors_.at(seq);
  if (!is_waiting(successor))
    return;
  successor.is_withdrawn = true;
  actions.emplace_back(Withdraw{seq});
}

/// One for each slot that stays free otherwise, the last of the longest line.
void MapCore::withdraw_for_free_slots(Actions& actions) {
  if (running_.size() >= options_.slots || may_launch_next(actions))
    return;
  const std::size_t free_slots = options_.slots - running_.size();
  auto coming = static_cast<std::size_t>(
      std::count_if(successors_.begin(), successors_.end(),
                    [](const auto& next) { return next.second.is_withdrawn; }));
  for (; coming < free_slots; ++coming) {
    const auto longest = std::max_element(
        lines_.begin(), lines_.end(), [this](const auto& a, const auto& b) {
          return count_waiting(a.second) < count_waiting(b.second);
        });
    if (longest == lines_.end() || count_waiting(longest->second) == 0)
      return;
    const auto& line = longest->second.successors;
    const auto last =
        std::find_if(line.rbegin(), line.rend(), [this](const Next& next) {
          return is_waiting(successors_.at(next.seq));
        });
    withdraw(actions, last->seq);
  }
}

std::size_t MapCore::count_waiting(const Line& line) const {
  return static_cast<std::size_t>(std::count_if(
      line.successors.begin(), line.successors.end(), [this](const Next& next) {
        return is_waiting(successors_.at(next.seq));
      }));
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

Arguments MapCore::detach(Successors::iterator successor) {
  auto& line = lines_.at(successor->second.slot).successors;
  line.erase(std::find_if(line.begin(), line.end(), [&](const Next& next) {
    return next.seq == successor->first;
  }));
  Arguments arguments = std::move(successor->second.arguments);
  successor_bytes_ -= memory_bytes(arguments);
  successors_.erase(successor);
  return arguments;
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
