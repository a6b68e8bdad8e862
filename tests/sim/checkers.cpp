#include "checkers.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <limits>
#include <variant>

namespace troupe::sim {
namespace {

/// Reads that are answered follow each other within 10 s, and take no longer
/// than 6 s, or 10 s if the agent stood still: a longer outage has broken each
/// series.
constexpr Duration shortest_gap = 21s;
constexpr Duration watched = 58s;  ///< 62 s of a clock that may be fast.

std::string name_of(const store::TaskRef& task) {
  return fmt::format("{}.{}", task.job.value, task.index);
}

std::string_view name_of(const node::RunNews& news) {
  static constexpr std::array<std::string_view,
                              std::variant_size_v<node::RunNews>>
      names{"run begins",       "step of run has ended", "time of run passes",
            "run is cancelled", "run is retried",        "run is answered",
            "run is refused",   "services of run",       "run moves"};
  return names.at(news.index());
}

bool is_terminal_loss(const store::TaskResult& result) {
  return result.outcome == store::Outcome::lost;
}

}  // namespace

void Checkers::violate(std::string invariant, std::string what) {
  if (violation_)
    return;
  trace_.note(now_, "VIOLATION", Trace::no_node);
  violation_ = Violation{std::move(invariant), std::move(what)};
}

void Checkers::submits(const std::string& request, std::uint64_t tasks) {
  submissions_[request].tasks = tasks;
}

void Checkers::acknowledged(const std::string& request,
                            store::ModelStore& store) {
  Submission& submission = submissions_.at(request);
  submission.is_acknowledged = true;
  const auto& jobs = committed_.jobs[request];
  if (jobs.empty())
    violate("I1", request + " was acknowledged and is not there");
  for (const store::JobId job : jobs)
    audit_job(request, submission, job, store);
}

void Checkers::opened(const std::string& request, store::JobId job) {
  auto& jobs = committed_.jobs[request];
  jobs.insert(job);
  if (jobs.size() > 1)
    violate("I6", request + " is more than one job");
}

void Checkers::registered(std::uint32_t node, const std::string& session) {
  for (const auto& [id, command] : running_)
    if (command.node == node && command.session != session)
      violate("I10", fmt::format("{} begins while a command of {} runs",
                                 session, command.session));
}

void Checkers::evicted(const std::string& session, Duration asked_at) {
  ++counts_.evictions;
  for (const auto& [from, until] : outages_) {
    const Duration first = std::max(from, asked_at - watched);
    const Duration last = std::min({until, asked_at, now_});
    if (last - first > shortest_gap)
      violate("E1",
              fmt::format("{} is evicted for an outage of the store", session));
  }
}

void Checkers::ended(const std::string& session) {
  committed_.ended.insert(session);
  for (const auto& [id, command] : running_)
    if (command.session == session && !command.was_frozen && !command.is_kept &&
        command.delivery == store::Delivery::at_least_once)
      violate("I5", fmt::format("{} has ended while its task {} runs", session,
                                name_of(command.attempt.task)));
}

void Checkers::claimed(const std::string& session,
                       const store::AttemptRef& attempt) {
  if (committed_.ended.contains(session))
    violate("I4", fmt::format("{} has ended and claims {}", session,
                              name_of(attempt.task)));
  if (committed_.results.contains(attempt.task))
    violate("I2", fmt::format("{} has a result and is claimed",
                              name_of(attempt.task)));
}

void Checkers::claimed_of(const std::string& group, std::uint64_t claimed,
                          std::uint64_t slots) {
  if (claimed > slots)
    violate("I12", fmt::format("{} tasks of {} are claimed, which has {} slots",
                               claimed, group, slots));
}

void Checkers::recorded(const std::string& session,
                        const store::Completion& completion, bool is_retried) {
  const store::TaskRef task = completion.attempt.task;
  if (committed_.ended.contains(session))
    violate("I4", fmt::format("{} has ended and completes {}", session,
                              name_of(task)));
  if (is_retried)
    return;
  ++counts_.results;
  const Recorded result{completion.outcome, completion.attempt.attempt};
  if (!committed_.results.emplace(task, result).second)
    violate("I2", name_of(task) + " has a second result");
}

// -- Runs ---------------------------------------------------------------------

void Checkers::submits_run(const std::string& request,
                           const std::string& group) {
  groups_of_runs_[request] = group;
}

void Checkers::run_acknowledged(const std::string& request, store::RunId run,
                                store::ModelStore& store) {
  const auto [known, is_new] = acknowledged_runs_.emplace(request, run);
  if (known->second != run)
    violate("I6", request + " is more than one run");
  const auto info = store.run(run);
  if (!info || info->run.request_id != request)
    violate("I1", request + " was acknowledged and is not there");
}

void Checkers::step_submitted(store::RunId run, const std::string& request,
                              store::JobId job) {
  auto& jobs = committed_.steps[request];
  if (jobs.insert(job).second)
    trace_.note(now_, "step of run is submitted", Trace::no_node, run.value,
                job.value);
  if (jobs.size() > 1)
    violate("I14", fmt::format("{} of run {} is more than one job", request,
                               run.value));
}

void Checkers::event_recorded(store::RunId run, const store::RunEvent& event,
                              store::RunState state, store::ModelStore& store) {
  ++counts_.events;
  Run& known = committed_.runs[run];
  if (event.number != known.events++)
    violate("I15", fmt::format("event {} of run {} is the {}th", event.number,
                               run.value, known.events));
  if (known.events == 1)
    known.group = groups_of_runs_[store.run(run)->run.request_id];
  known.state = state;
  const auto news = node::decode_run_news(event.what);
  if (!news) {
    violate("I15", fmt::format("event {} of run {} cannot be read",
                               event.number, run.value));
    return;
  }
  trace_.note(now_, name_of(*news), Trace::no_node, run.value, event.number);
  if (const auto* const ended = std::get_if<node::RunStepEnded>(&*news))
    check_step_end(run, *ended, store);
  if (std::holds_alternative<node::RunMoved>(*news))
    ++counts_.moves;
  known.has_begun |= !std::holds_alternative<node::RunMoved>(*news);
  if (std::holds_alternative<node::RunBegun>(*news) ||
      std::holds_alternative<node::RunRetried>(*news))
    check_group(run, known);
  if (store::has_ended(state))
    ++counts_.runs_ended;
}

void Checkers::check_step_end(store::RunId run, const node::RunStepEnded& ended,
                              store::ModelStore& model) {
  // That its node is gone a driver says without asking anybody.
  if (ended.kind == actors::OutcomeKind::lost) {
    ++counts_.lost_steps;
    return;
  }
  if (!ended.job)
    return;
  const auto results = model.ModelStore::results(ended.job, 0, 1);
  if (!results || results->empty()) {
    violate("I16", fmt::format("run {} is told that job {} has ended, which "
                               "has not",
                               run.value, ended.job.value));
    return;
  }
  const bool has_succeeded =
      results->front().outcome == store::Outcome::success;
  if (has_succeeded != (ended.kind == actors::OutcomeKind::success))
    violate("I16", fmt::format("run {} is told another end of job {} than "
                               "it had",
                               run.value, ended.job.value));
}

void Checkers::check_group(store::RunId run, const Run& entering) {
  if (entering.group.empty())
    return;
  for (const auto& [id, other] : committed_.runs)
    if (id != run && other.has_begun && other.group == entering.group &&
        !store::has_ended(other.state))
      violate("I17", fmt::format("runs {} and {} of {} go on at a time",
                                 run.value, id.value, entering.group));
}

void Checkers::runs_changed(store::ModelStore& store) {
  constexpr auto all = std::numeric_limits<std::uint32_t>::max();
  for (const auto& [id, run] : committed_.runs) {
    if (!store::has_ended(run.state))
      continue;
    const auto open =
        store.jobs({.set = store::JobSet::unended, .run = id}, all);
    for (const store::JobInfo& job : *open)
      if (!job.is_cancelled)
        violate("I18", fmt::format("run {} has ended and its job {} has not",
                                   id.value, job.id.value));
  }
}

void Checkers::audit_runs(store::ModelStore& store) {
  constexpr auto all = std::numeric_limits<std::uint32_t>::max();
  for (const auto& [request, run] : acknowledged_runs_) {
    auto info = store.run(run);
    if (!info) {
      violate("I1", fmt::format("run {} of {} is gone", run.value, request));
      continue;
    }
    node::KeptRun kept{*info, *store.events(run, 0, all)};
    const auto core = node::make_core(kept);
    if (!core)
      violate("I15", fmt::format("what has happened to run {} cannot be told: "
                                 "{}",
                                 run.value, core.error().what));
    else if (core->state() != info->state)
      violate("I15", fmt::format("run {} is in another state than follows",
                                 run.value));
  }
}

void Checkers::keep() { kept_ = committed_; }

void Checkers::take_back() { committed_ = kept_; }

void Checkers::view_committed(std::uint64_t number, std::uint64_t ring_hash) {
  const auto known = ring_of_view_.emplace(number, ring_hash).first;
  if (known->second != ring_hash)
    violate("I8", fmt::format("there are two views {}", number));
}

void Checkers::ring_used(std::uint32_t node, std::uint64_t number,
                         std::uint64_t ring_hash) {
  const auto known = ring_of_view_.find(number);
  if (known != ring_of_view_.end() && known->second != ring_hash)
    violate("I8", fmt::format("n{} has another ring of view {}", node, number));
}

void Checkers::started(const RunningCommand& command) {
  ++counts_.commands;
  const store::TaskRef task = command.attempt.task;
  if (committed_.ended.contains(command.session))
    violate("I4", fmt::format("{} has ended and starts {}", command.session,
                              name_of(task)));
  if (command.delivery == store::Delivery::at_most_once &&
      !executed_.insert(task).second)
    violate("I3", name_of(task) + " is executed a second time");
  if (!command.has_what_it_takes)
    violate("I13", fmt::format("{} starts on n{}, which lacks what it takes",
                               name_of(task), command.node));
  for (const auto& [id, other] : running_) {
    if (other.attempt.task != task)
      continue;
    if (other.was_frozen)
      ++counts_.frozen_overlaps;
    else if (other.is_kept)
      ++counts_.kept_overlaps;
    else
      violate("I5", fmt::format("{} starts on n{} and runs on n{}",
                                name_of(task), command.node, other.node));
  }
  running_.emplace(command.id, command);
}

void Checkers::stopped(std::uint64_t command) { running_.erase(command); }

void Checkers::frozen(std::uint32_t node) {
  for (auto& [id, command] : running_)
    if (command.node == node)
      command.was_frozen = true;
}

void Checkers::outage(Duration from, Duration until) {
  outages_.emplace_back(from, until);
}

void Checkers::outages_over() {
  for (auto& [from, until] : outages_)
    until = std::min(until, now_);
}

void Checkers::audit(store::ModelStore& store) {
  for (const auto& [request, submission] : submissions_) {
    const auto& jobs = committed_.jobs[request];
    if (submission.is_acknowledged && jobs.empty())
      violate("I1", request + " was acknowledged and is not there");
    for (const store::JobId job : jobs)
      audit_job(request, submission, job, store);
  }
}

void Checkers::audit_job(const std::string& request,
                         const Submission& submission, store::JobId job,
                         store::ModelStore& store) {
  const auto info = store.job(job);
  if (!info) {
    violate("I1", fmt::format("job {} of {} is gone", job.value, request));
    return;
  }
  const store::JobCounts& counts = info->counts;
  if (submission.is_acknowledged && info->state == store::JobState::open)
    violate("I1", request + " was acknowledged and is not sealed");
  if (counts.tasks > submission.tasks ||
      (info->state != store::JobState::open &&
       counts.tasks != submission.tasks))
    violate("I11", fmt::format("{} has {} tasks instead of {}", request,
                               counts.tasks, submission.tasks));
  if (counts.waiting + counts.retrying + counts.running + counts.ended() !=
      counts.tasks)
    violate("I11", request + " has tasks in no state or in two");
  const auto results = store.ModelStore::results(
      job, 0, std::numeric_limits<std::uint32_t>::max());
  std::uint64_t found = 0;
  for (const store::TaskResult& result : *results) {
    const auto [known, is_new] = committed_.results.emplace(
        result.task, Recorded{result.outcome, result.attempt});
    if (is_new && !is_terminal_loss(result))
      violate("I2", name_of(result.task) + " has a result from nobody");
    if (known->second.outcome != result.outcome ||
        known->second.attempt != result.attempt)
      violate("I2", name_of(result.task) + " has another result than before");
    ++found;
  }
  const auto last = committed_.results.upper_bound(
      {job, std::numeric_limits<std::uint64_t>::max()});
  const auto first = committed_.results.lower_bound({job, 0});
  if (static_cast<std::uint64_t>(std::distance(first, last)) != found)
    violate("I2", fmt::format("job {} has lost a result", job.value));
}

}  // namespace troupe::sim
