#include "run_transactions.hpp"

#include "step_end.hpp"

#include <troupe/base/log.hpp>
#include <troupe/base/text.hpp>
#include <troupe/queue/labels.hpp>

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <iterator>
#include <limits>
#include <variant>

namespace troupe::node {
namespace {

using store::JobId;
using store::RunId;
using store::Store;

/// Of a run, until it has begun.
constexpr std::uint32_t moves_at_once = 8;
constexpr std::uint32_t runs_at_once = 1000;
constexpr std::uint32_t events_at_once = 10'000;
/// Among which the earlier runs of a workflow are looked for.
constexpr std::uint32_t most_ended_runs = 200;
/// Among which those are looked for that a workflow does not keep.
constexpr std::uint32_t most_runs_to_expire = 2000;

Result<std::vector<store::RunInfo>> find_open(Store& store) {
  std::vector<store::RunInfo> all;
  store::RunFilter filter{.set = store::RunSet::unended};
  while (true) {
    const auto some = store.runs(filter, runs_at_once);
    if (!some)
      return tl::unexpected(some.error());
    all.insert(all.end(), some->begin(), some->end());
    if (some->size() < runs_at_once)
      return all;
    filter.before = some->back().id;
  }
}

/// With the number of their events.
Result<std::map<RunId, std::uint64_t>> find_open_events(Store& store) {
  const auto open = find_open(store);
  if (!open)
    return tl::unexpected(open.error());
  std::map<RunId, std::uint64_t> events;
  for (const store::RunInfo& run : *open)
    events.emplace(run.id, run.events);
  return events;
}

/// Whether more has happened to it than that it has moved.
Result<bool> has_begun(Store& store, const store::RunInfo& run) {
  for (std::uint64_t from = 0; from < run.events; from += moves_at_once) {
    const auto some = store.events(run.id, from, moves_at_once);
    if (!some)
      return tl::unexpected(some.error());
    for (const store::RunEvent& event : *some) {
      const auto news = decode_run_news(event.what);
      if (!news || !std::holds_alternative<RunMoved>(*news))
        return true;
    }
  }
  return false;
}

/// Whether there is a place for it at this moment. Whoever records that a run
/// begins has the store alone, so of two that want the last one, one finds that
/// it is taken. There is none as well as long as it is not known whether a run
/// has it.
Result<bool> is_free(Store& store, RunId self, const RunPlace& place) {
  const auto open = find_open(store);
  if (!open)
    return tl::unexpected(open.error());
  std::uint32_t in = 0;
  for (const store::RunInfo& run : *open) {
    if (run.id == self || place.strangers.contains(run.id))
      continue;
    auto is_in = place.begun.contains(run.id) ? Result<bool>{true}
                                              : has_begun(store, run);
    if (!is_in)
      return is_in;
    if (!*is_in)
      continue;
    if (!place.rivals.contains(run.id))
      return false;
    ++in;
  }
  return in < place.limit;
}

/// The job of a step, made if it is not there.
Result<store::Submitted> submit(Store& store, const store::NewJob& job,
                                WallTime now) {
  auto opened = store.open_job(job, now);
  if (!opened || opened->is_sealed)
    return opened;
  if (auto filled = store.append_range(opened->job, 0, 1); !filled)
    return tl::unexpected(std::move(filled.error()));
  if (auto sealed = store.seal(opened->job, now); !sealed)
    return tl::unexpected(std::move(sealed.error()));
  return opened;
}

/// People may give it fewer slots, and remove it.
Result<void> make_services_group(Store& store) {
  const auto is_there = has_group(store, services_group);
  if (!is_there)
    return tl::unexpected(is_there.error());
  if (*is_there)
    return {};
  return store.set_group({.name = services_group, .slots = services_slots});
}

/// Adds the end of a job to `outcome`, if it has ended.
Result<void> add_end(Store& store, JobId job, const StepKey& step,
                     const RunWrite& write, const std::string& output_folder,
                     RunWriteOutcome& outcome) {
  const auto printed = write.printed.find(step);
  auto end = look_at_end(store, job, step,
                         printed != write.printed.end()
                             ? printed->second
                             : std::vector<workflow::PrintedOutput>{},
                         output_folder);
  if (!end)
    return tl::unexpected(std::move(end.error()));
  if (*end)
    outcome.ended.push_back(std::move(**end));
  return {};
}

/// Whether the last run of the same file before this one, of those that were
/// not cancelled, has failed. What has no path goes by its name.
Result<bool> failed_before(Store& store, RunId run) {
  const auto own = store.run(run);
  if (!own)
    return tl::unexpected(own.error());
  const auto spec = decode_run_spec(own->run.spec);
  if (!spec)
    return tl::unexpected(spec.error());
  const auto others =
      store.runs({.set = store::RunSet::ended, .before = run}, most_ended_runs);
  if (!others)
    return tl::unexpected(others.error());
  for (const store::RunInfo& one : *others) {
    if (one.state == store::RunState::cancelled)
      continue;
    const auto other = store.run(one.id);
    if (!other)
      return tl::unexpected(other.error());
    const bool is_same = spec->file.starts_with('/')
                             ? is_spec_of(other->run.spec, spec->file)
                             : one.run.name == own->run.name;
    if (is_same)
      return one.state == store::RunState::failed;
  }
  return false;
}

/// Submits what tells people of the event. That this cannot be done is no
/// reason not to record it.
Result<void> submit_notices(Store& store, const RunWrite& write, WallTime now,
                            RunWriteOutcome& outcome) {
  using If = workflow::NoticeOrder::If;
  for (const auto& [condition, job] : write.notices) {
    if (condition != If::always) {
      const auto failed = failed_before(store, write.run);
      if (!failed)
        return tl::unexpected(failed.error());
      if (*failed != (condition == If::recovered))
        continue;
    }
    const auto submitted = submit(store, job, now);
    if (!submitted && may_pass(submitted.error()))
      return tl::unexpected(submitted.error());
    if (!submitted)
      log(LogLevel::warn, fmt::format("notice_not_submitted run={} reason={}",
                                      run_name(write.run),
                                      shell_quote(submitted.error().what)));
    outcome.has_notices = true;
  }
  return {};
}

/// What of it waits, waits for the node from now on that drives it now.
Result<void> move_jobs(Store& store, const RunWrite& write, WallTime now) {
  const auto jobs =
      store.jobs({.set = store::JobSet::unended, .run = write.run},
                 std::numeric_limits<std::uint32_t>::max());
  if (!jobs)
    return tl::unexpected(jobs.error());
  for (const store::JobInfo& job : *jobs) {
    std::string resources = job.job.resources;
    const auto at = resources.find(write.moved_from);
    if (write.moved_from.empty() || at == std::string::npos ||
        write.staying.contains(job.job.request_id))
      continue;
    resources.replace(at, write.moved_from.size(), write.moved_to);
    store::JobEdit edit{.resources = resources};
    // Its program, its socket and its folders are those of a node.
    if (write.moved_services &&
        write.moved_services->request_id == job.job.request_id)
      edit.spec = write.moved_services->spec;
    if (auto edited = store.edit(job.id, edit, now);
        !edited && edited.error().code != Errc::invalid_argument)
      return edited;  // Otherwise it has just ended.
  }
  return {};
}

}  // namespace

bool may_pass(const Error& error) {
  return error.code != Errc::invalid_argument && error.code != Errc::not_found;
}

Result<std::vector<RunId>> find_open_runs(Store& store) {
  const auto open = find_open(store);
  if (!open)
    return tl::unexpected(open.error());
  std::vector<RunId> all;
  for (const store::RunInfo& run : *open)
    all.push_back(run.id);
  return all;
}

Result<std::map<RunId, RunHome>> find_homes(
    Store& store, const std::map<RunId, std::uint64_t>& known) {
  const auto open = find_open_events(store);
  if (!open)
    return tl::unexpected(open.error());
  std::map<RunId, RunHome> homes;
  for (const auto& [run, events] : *open) {
    RunHome& seen = homes[run];
    const auto from = known.find(run);
    if (from == known.end())
      continue;
    seen.events = from->second;
    while (seen.events < events) {
      const auto some = store.events(run, seen.events, events_at_once);
      if (!some)
        return tl::unexpected(some.error());
      if (some->empty())
        break;
      seen.events += some->size();
      for (const store::RunEvent& event : *some) {
        const auto news = decode_run_news(event.what);
        if (const auto* const moved =
                news ? std::get_if<RunMoved>(&*news) : nullptr)
          seen.home = moved->home;
      }
    }
  }
  return homes;
}

Result<RunNewsSeen> find_news(Store& store) {
  auto open = find_open_events(store);
  if (!open)
    return tl::unexpected(open.error());
  const auto newest = store.runs({}, 1);
  if (!newest)
    return tl::unexpected(newest.error());
  RunNewsSeen seen{.open = std::move(*open)};
  if (!newest->empty())
    seen.newest = newest->front().id;
  return seen;
}

Result<RunsToLeave> find_what_stays(Store& store, const std::string& home) {
  auto open = find_open_events(store);
  if (!open)
    return tl::unexpected(open.error());
  // What only one node may run waits there.
  constexpr std::array<std::uint32_t, 1> shard{0};
  const auto heads = store.queues_of(shard);
  if (!heads)
    return tl::unexpected(heads.error());
  RunsToLeave seen{.open = std::move(*open)};
  for (const store::QueueHead& head : *heads) {
    if (queue::goes_on_at(head.queue.resources, home))
      ++seen.waiting;
  }
  return seen;
}

Result<std::size_t> count_begun(
    Store& store, const std::vector<std::pair<RunId, StepKey>>& steps,
    const store::SessionId& session, const std::string& home) {
  std::size_t count = 0;
  for (const auto& [run, step] : steps) {
    const auto known = store.known(request_id_of(run, step));
    if (!known)
      return tl::unexpected(known.error());
    if (!*known)
      continue;
    const auto task = store.task({(*known)->job, 0});
    if (!task && task.error().code == Errc::not_found)
      continue;
    if (!task)
      return tl::unexpected(task.error());
    const bool is_here = task->result
                             ? queue::home_in(task->result->detail) == home
                             : task->session == session;
    if (is_here)
      ++count;
  }
  return count;
}

Result<std::map<RunId, bool>> find_places(Store& store,
                                          const std::set<RunId>& begun) {
  const auto open = find_open(store);
  if (!open)
    return tl::unexpected(open.error());
  std::map<RunId, bool> all;
  for (const store::RunInfo& run : *open) {
    const auto is_in =
        begun.contains(run.id) ? Result<bool>{true} : has_begun(store, run);
    if (!is_in)
      return tl::unexpected(is_in.error());
    all.emplace(run.id, *is_in);
  }
  return all;
}

Result<KeptRun> load_kept(Store& store, RunId run) {
  auto info = store.run(run);
  if (!info)
    return tl::unexpected(std::move(info.error()));
  KeptRun kept{std::move(*info), {}};
  while (true) {
    auto some = store.events(run, kept.events.size(), events_at_once);
    if (!some)
      return tl::unexpected(std::move(some.error()));
    const bool is_all = some->size() < events_at_once;
    kept.events.insert(kept.events.end(),
                       std::make_move_iterator(some->begin()),
                       std::make_move_iterator(some->end()));
    if (is_all)
      return kept;
  }
}

Result<std::vector<KeptRun>> find_earlier(Store& store,
                                          const std::string& file) {
  std::vector<KeptRun> earlier;
  const auto ended = store.runs({.set = store::RunSet::ended}, most_ended_runs);
  if (!ended)
    return tl::unexpected(ended.error());
  std::size_t events = 0;
  std::size_t bytes = 0;
  for (const store::RunInfo& run : *ended) {
    auto info = store.run(run.id);
    if (!info)
      return tl::unexpected(std::move(info.error()));
    bytes += info->run.spec.size();
    if (bytes > most_earlier_bytes)
      break;
    if (!is_spec_of(info->run.spec, file))
      continue;
    events += run.events;
    if (events > most_earlier_events)
      break;
    auto kept = load_kept(store, run.id);
    if (!kept)
      return tl::unexpected(std::move(kept.error()));
    earlier.push_back(std::move(*kept));
    if (earlier.size() == most_earlier_runs)
      break;
  }
  return earlier;
}

Result<std::vector<RunId>> find_expired(Store& store, const std::string& file,
                                        const workflow::Retention& retention,
                                        WallTime now) {
  const auto ended =
      store.runs({.set = store::RunSet::ended}, most_runs_to_expire);
  if (!ended)
    return tl::unexpected(ended.error());
  std::vector<RunId> expired;
  std::uint32_t kept = 0;
  for (const store::RunInfo& one : *ended) {
    const auto run = store.run(one.id);
    if (!run)
      return tl::unexpected(run.error());
    if (!is_spec_of(run->run.spec, file) || !run->ended)
      continue;
    const bool is_old =
        retention.age != Duration{0} && now - *run->ended > retention.age;
    if (is_old || (retention.runs != 0 && kept == retention.runs))
      expired.push_back(one.id);
    else
      ++kept;
  }
  return expired;
}

Result<bool> has_group(Store& store, const std::string& name) {
  const auto groups = store.groups();
  if (!groups)
    return tl::unexpected(groups.error());
  return std::any_of(
      groups->begin(), groups->end(),
      [&](const store::GroupInfo& info) { return info.group.name == name; });
}

Result<RunWriteOutcome> perform(Store& store, const RunWrite& write,
                                const std::string& output_folder,
                                WallTime now) {
  if (write.place) {
    const auto there = store.run(write.run);
    if (!there)
      return tl::unexpected(there.error());
    // Else it has been recorded, and the answer was lost.
    if (there->events == write.event->number) {
      const auto free = is_free(store, write.run, *write.place);
      if (!free)
        return tl::unexpected(free.error());
      if (!*free)
        return RunWriteOutcome{.has_no_place = true};
    }
  }
  if (write.event) {
    const auto added =
        store.add_event(write.run, *write.event, write.state, write.counts);
    if (!added)
      return tl::unexpected(added.error());
    if (!*added) {
      const auto there = store.events(write.run, write.event->number, 1);
      if (!there)
        return tl::unexpected(there.error());
      if (there->empty() || there->front().what != write.event->what)
        return RunWriteOutcome{.is_overtaken = true};
    }
  }
  RunWriteOutcome outcome;
  outcome.ended = write.refused;
  if (!write.moved_to.empty()) {
    if (auto moved = move_jobs(store, write, now); !moved)
      return tl::unexpected(std::move(moved.error()));
  }
  if (auto told = submit_notices(store, write, now, outcome); !told)
    return tl::unexpected(std::move(told.error()));
  for (const auto& [step, job] : write.submit) {
    if (step.is_of_services()) {
      if (auto made = make_services_group(store); !made)
        return tl::unexpected(std::move(made.error()));
    }
    const auto submitted = submit(store, job, now);
    if (!submitted) {
      if (may_pass(submitted.error()))
        return tl::unexpected(submitted.error());
      outcome.ended.push_back({.step = step,
                               .kind = actors::OutcomeKind::failed,
                               .exit_status = 125,
                               .why = fmt::format("cannot be submitted: {}",
                                                  submitted.error().what)});
      continue;
    }
    outcome.submitted.emplace_back(step, submitted->job);
    if (submitted->is_new)
      continue;
    outcome.known.push_back(step);
    if (auto seen =
            add_end(store, submitted->job, step, write, output_folder, outcome);
        !seen)
      return tl::unexpected(std::move(seen.error()));
  }
  for (const StepKey& step : write.cancel) {
    const auto known = store.known(request_id_of(write.run, step));
    if (!known)
      return tl::unexpected(known.error());
    if (!*known)
      continue;
    const JobId job = (*known)->job;
    const auto running = store.cancel(job, now);
    if (!running)
      return tl::unexpected(running.error());
    outcome.cancelled.push_back(job);
    outcome.to_stop.insert(outcome.to_stop.end(), running->begin(),
                           running->end());
    if (auto seen = add_end(store, job, step, write, output_folder, outcome);
        !seen)
      return tl::unexpected(std::move(seen.error()));
  }
  return outcome;
}

Result<std::vector<store::AttemptRef>> cancel_unread(Store& store, RunId run,
                                                     WallTime now) {
  const auto info = store.run(run);
  if (!info)
    return tl::unexpected(info.error());
  if (info->ended)
    return failure(Errc::invalid_argument,
                   fmt::format("run {}: it has ended", run_name(run)));
  const auto jobs = store.jobs({.set = store::JobSet::unended, .run = run},
                               std::numeric_limits<std::uint32_t>::max());
  if (!jobs)
    return tl::unexpected(jobs.error());
  std::vector<store::AttemptRef> running;
  for (const store::JobInfo& job : *jobs) {
    const auto tasks = store.cancel(job.id, now);
    if (!tasks)
      return tl::unexpected(tasks.error());
    running.insert(running.end(), tasks->begin(), tasks->end());
  }
  const auto added =
      store.add_event(run, {info->events, encode(RunNews{RunCancelled{}}), now},
                      store::RunState::cancelled, info->counts);
  if (!added)
    return tl::unexpected(added.error());
  return running;
}

}  // namespace troupe::node
