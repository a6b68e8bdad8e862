#include "run_driver_actor.hpp"

#include "run_admission.hpp"
#include "run_history.hpp"
#include "step_end.hpp"

#include <troupe/base/log.hpp>
#include <troupe/base/random_name.hpp>
#include <troupe/base/text.hpp>
#include <troupe/distributed/ring.hpp>
#include <troupe/distributed/stable_hash.hpp>
#include <troupe/node/approvers.hpp>
#include <troupe/queue/dispatcher_actor.hpp>
#include <troupe/queue/labels.hpp>
#include <troupe/queue/spread.hpp>
#include <troupe/service/free_ports.hpp>
#include <troupe/workflow/placement.hpp>
#include <troupe/workflow/services.hpp>

#include <algorithm>
#include <array>
#include <deque>
#include <fmt/format.h>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

namespace troupe::node {
namespace {

using actors::Actor;
using actors::ActorRef;
using actors::Behavior;
using store::JobId;
using store::RunId;
using store::Store;

constexpr Duration store_pause = 1s;
/// Between looks at what runs of other nodes do.
constexpr Duration places_pause = 1s;
/// Between looks at what others have recorded of runs of ours; so much longer
/// for each so many runs that have not ended.
constexpr Duration news_pause = 1s;
constexpr std::size_t runs_per_news_pause = 500;
/// Of a change that others come before.
constexpr std::uint32_t most_tries = 20;
/// Of a run, until it has begun.
constexpr std::uint32_t moves_at_once = 8;
/// Jobs that are submitted in one transaction: others wait for the store.
constexpr std::size_t most_submitted_at_once = 200;
constexpr std::uint32_t runs_at_once = 1000;
constexpr std::uint32_t events_at_once = 10'000;
/// Among which the earlier runs of a workflow are looked for.
constexpr std::uint32_t most_ended_runs = 200;
/// Among which those are looked for that a workflow does not keep.
constexpr std::uint32_t most_runs_to_expire = 2000;
constexpr Duration longest_run_timer = 1h;
/// At what other nodes run for runs of ours.
constexpr Duration placed_look_interval = 1s;
constexpr std::size_t most_placed_at_once = 500;
/// Of a node on which a job has begun: it may have been started again.
constexpr Duration longest_node_absence = 1min;
constexpr std::size_t longest_run_name = 200;

/// What the store must agree to before a run of one of several nodes begins.
struct RunPlace {
  std::string group;
  std::uint32_t limit = 1;
  std::set<RunId> rivals;     ///< Known to be of the same group.
  std::set<RunId> strangers;  ///< Known not to be.
  std::set<RunId> begun;      ///< Known to have begun.
};

/// One transaction of a run.
struct Write {
  RunId run;
  std::optional<store::RunEvent> event;
  store::RunState state = store::RunState::running;
  store::RunCounts counts;
  std::vector<std::pair<StepKey, store::NewJob>> submit;
  std::vector<StepKey> cancel;
  std::vector<RunStepEnded> refused;  ///< No node could run them.
  /// Those that the event is to be told by.
  std::vector<RunCore::NoticeJob> notices;
  std::string moved_from;  ///< RunSpec::home before, if the event is a move.
  std::string moved_to;
  /// What runs its services, as the node that drives it now runs them.
  std::optional<store::NewJob> moved_services{};
  /// Jobs, by their request ids, that do not move along.
  std::set<std::string> staying{};
  /// Of these steps, what they hand on of what they print.
  std::map<StepKey, std::vector<workflow::PrintedOutput>> printed;
  /// Of those who wait for the event to be recorded.
  std::vector<std::function<void(Result<void>)>> done;
  /// What the event comes of, if somebody has asked for it. It is told once
  /// more if another event was there first.
  std::optional<ChangeRun> asked{};
  std::optional<RunPlace> place;  ///< If it is to take one.
};

/// What has come of it.
struct WriteOutcome {
  std::vector<std::pair<StepKey, JobId>> submitted;
  std::vector<JobId> cancelled;
  std::vector<store::AttemptRef> to_stop;
  /// Steps that had ended, or cannot be submitted.
  std::vector<RunStepEnded> ended;
  bool has_notices = false;
  /// Another node has recorded another event in its place: nothing was done.
  bool is_overtaken = false;
  /// Runs of other nodes have the places of its group: likewise.
  bool has_no_place = false;
};

// What comes back to the actor.

struct RunsFound {
  Result<std::vector<RunId>> runs;
};
struct EarlierFound {
  std::shared_ptr<const RunSubmission> submission;
  std::string name;  ///< Of the run.
  std::function<void(Result<Json>)> done;
  std::shared_ptr<Result<std::vector<KeptRun>>> earlier;
};
struct RunOpened {
  std::shared_ptr<const RunSubmission> submission;
  std::function<void(Result<Json>)> done;
  Result<store::SubmittedRun> opened;
};
struct RunLoaded {
  RunId run;
  std::shared_ptr<Result<KeptRun>> kept;
};
struct RunWritten {
  std::shared_ptr<const Write> write;
  std::shared_ptr<Result<WriteOutcome>> outcome;
};
struct EndSeen {
  RunId run;
  JobId job;
  std::shared_ptr<Result<std::optional<RunStepEnded>>> end;
};
/// Runs that wait for their concurrency group may be able to begin.
struct Admit {};
struct SeePlaces {};
struct PlacesSeen {
  Result<std::map<RunId, bool>> open;  ///< And whether they have begun.
};
struct TryAgain {};
struct OpenRunsSeen {
  Result<std::vector<RunId>> runs;
};
/// Others may have recorded something of runs of ours.
struct LookForNews {};
struct NewsSeen {
  struct Runs {
    std::map<RunId, std::uint64_t> open{};  ///< With the number of events.
    RunId newest{};                         ///< Of all.
  };
  std::shared_ptr<Result<Runs>> runs;
};
/// What other nodes run is to be looked at.
struct LookAtPlaced {};
struct PlacedSeen {
  std::shared_ptr<Result<std::vector<std::pair<RunId, RunStepEnded>>>> ends;
};
/// What of all runs has begun here.
struct Beginnings {
  std::vector<std::pair<RunId, StepKey>> maybe{};
  std::size_t jobs = 0;
};
struct OpenToLeave {
  struct Runs {
    std::map<RunId, std::uint64_t> open{};  ///< With the number of events.
    std::size_t waiting = 0;                ///< Tasks that go on here.
  };
  std::shared_ptr<Result<Runs>> runs;
  std::function<void(Result<std::size_t>)> done;
};
struct RunTick {
  RunId run;
  std::uint64_t token = 0;
};

}  // namespace
}  // namespace troupe::node

TROUPE_LOCAL_MESSAGE(troupe::node::RunsFound)
TROUPE_LOCAL_MESSAGE(troupe::node::EarlierFound)
TROUPE_LOCAL_MESSAGE(troupe::node::RunOpened)
TROUPE_LOCAL_MESSAGE(troupe::node::RunLoaded)
TROUPE_LOCAL_MESSAGE(troupe::node::RunWritten)
TROUPE_LOCAL_MESSAGE(troupe::node::EndSeen)
TROUPE_LOCAL_MESSAGE(troupe::node::Admit)
TROUPE_LOCAL_MESSAGE(troupe::node::SeePlaces)
TROUPE_LOCAL_MESSAGE(troupe::node::PlacesSeen)
TROUPE_LOCAL_MESSAGE(troupe::node::TryAgain)
TROUPE_LOCAL_MESSAGE(troupe::node::RunTick)
TROUPE_LOCAL_MESSAGE(troupe::node::LookAtPlaced)
TROUPE_LOCAL_MESSAGE(troupe::node::PlacedSeen)
TROUPE_LOCAL_MESSAGE(troupe::node::OpenRunsSeen)
TROUPE_LOCAL_MESSAGE(troupe::node::LookForNews)
TROUPE_LOCAL_MESSAGE(troupe::node::NewsSeen)
TROUPE_LOCAL_MESSAGE(troupe::node::OpenToLeave)

namespace troupe::node {
namespace {

/// Whether asking once more may help.
bool may_pass(const Error& error) {
  return error.code != Errc::invalid_argument && error.code != Errc::not_found;
}

// -- In the store's thread ---------------------------------------------------

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

Result<std::vector<RunId>> find_open_runs(Store& store) {
  const auto open = find_open(store);
  if (!open)
    return tl::unexpected(open.error());
  std::vector<RunId> all;
  for (const store::RunInfo& run : *open)
    all.push_back(run.id);
  return all;
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

Result<NewsSeen::Runs> find_news(Store& store) {
  auto open = find_open_events(store);
  if (!open)
    return tl::unexpected(open.error());
  const auto newest = store.runs({}, 1);
  if (!newest)
    return tl::unexpected(newest.error());
  NewsSeen::Runs seen{.open = std::move(*open)};
  if (!newest->empty())
    seen.newest = newest->front().id;
  return seen;
}

Result<OpenToLeave::Runs> find_what_stays(Store& store,
                                          const std::string& home) {
  auto open = find_open_events(store);
  if (!open)
    return tl::unexpected(open.error());
  // What only one node may run waits there.
  constexpr std::array<std::uint32_t, 1> shard{0};
  const auto heads = store.queues_of(shard);
  if (!heads)
    return tl::unexpected(heads.error());
  OpenToLeave::Runs seen{.open = std::move(*open)};
  for (const store::QueueHead& head : *heads) {
    if (queue::goes_on_at(head.queue.resources, home))
      ++seen.waiting;
  }
  return seen;
}

/// How many of these are at hand in this session, or have ended here.
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

/// Runs that have not ended, and whether they have begun; of `begun` that is
/// known.
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
    const auto is_in = place.begun.contains(run.id) ? Result<bool>{true}
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

Result<KeptRun> load(Store& store, RunId run) {
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

/// The last runs of the workflow at `file` that have ended, as far as the
/// bounds on what is looked at let.
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
    auto kept = load(store, run.id);
    if (!kept)
      return tl::unexpected(std::move(kept.error()));
    earlier.push_back(std::move(*kept));
    if (earlier.size() == most_earlier_runs)
      break;
  }
  return earlier;
}

/// The runs of the workflow at `file` that have ended and are not to be kept.
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

/// Variables of whoever has submitted it that are secrets must not be kept.
std::shared_ptr<const RunSubmission> leave_out_secrets(
    std::shared_ptr<RunSubmission> submission, const RunCore& core) {
  for (const StepSecret& secret : core.secrets()) {
    if (secret.secret.source == workflow::SecretSource::environment)
      submission->spec.environment.erase(secret.secret.key);
  }
  return submission;
}

/// The job of a step, made if it is not there.
Result<store::Submitted> submit(Store& store, const store::NewJob& job,
                                WallTime now) {
  const auto opened = store.open_job(job, now);
  if (!opened || opened->is_sealed)
    return opened;
  if (auto filled = store.append_range(opened->job, 0, 1); !filled)
    return tl::unexpected(std::move(filled.error()));
  if (auto sealed = store.seal(opened->job, now); !sealed)
    return tl::unexpected(std::move(sealed.error()));
  return opened;
}

Result<bool> has_group(Store& store, const std::string& name) {
  const auto groups = store.groups();
  if (!groups)
    return tl::unexpected(groups.error());
  return std::any_of(
      groups->begin(), groups->end(),
      [&](const store::GroupInfo& info) { return info.group.name == name; });
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
                     const Write& write, const std::string& output_folder,
                     WriteOutcome& outcome) {
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
Result<void> submit_notices(Store& store, const Write& write, WallTime now,
                            WriteOutcome& outcome) {
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
Result<void> move_jobs(Store& store, const Write& write, WallTime now) {
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

Result<WriteOutcome> perform(Store& store, const Write& write,
                             const std::string& output_folder, WallTime now) {
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
        return WriteOutcome{.has_no_place = true};
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
        return WriteOutcome{.is_overtaken = true};
    }
  }
  WriteOutcome outcome;
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

Result<void> choose_ports(const workflow::Workflow& workflow, RunSpec& spec) {
  service::FreePorts ports;
  for (const std::string& name : workflow::port_names(workflow)) {
    const auto port = ports.port_of(name);
    if (!port)
      return tl::unexpected(port.error());
    spec.ports.emplace_back(name, fmt::format("{}", *port));
  }
  return {};
}

// -- The actor ---------------------------------------------------------------

class RunDriverActor {
 public:
  RunDriverActor(Actor* self, std::shared_ptr<const RunDriverDeps> deps)
      : self_{self}, deps_{std::move(deps)} {}

  Behavior make_behavior() {
    *deps_->has_runs = true;
    find_runs();
    if (is_shared())
      look_for_news();
    return {
        [this](const RunsFound& m) { on_found(m); },
        [this](const SubmitRun& m) { submit_run(m); },
        [this](const EarlierFound& m) { on_earlier(m); },
        [this](const RunOpened& m) { on_opened(m); },
        [this](const RunLoaded& m) { on_loaded(m); },
        [this](const ChangeRun& m) { change(m); },
        [this](const AskRun& m) { show(m); },
        [this](const AskAwaiting& m) { count_awaiting(m); },
        [this](const RunWritten& m) { on_written(m); },
        [this](RunJobChanged m) { look_at(m.job); },
        [this](const HomesSeen& m) { look_for_homeless(m); },
        [this](const PlacementSeen& m) { placement_ = m; },
        [this](const OpenRunsSeen& m) { on_open_runs(m); },
        [this](LookForNews) { look_for_news(); },
        [this](const NewsSeen& m) { on_news(m); },
        [this](const AskBegun& m) { look_for_begun(m); },
        [this](const OpenToLeave& m) { count_begun_of(m); },
        [this](const EndSeen& m) { on_end(m); },
        [this](RunTick m) { on_tick(m); },
        [this](Admit) { admit(); },
        [this](SeePlaces) {
          is_place_look_due_ = false;
          see_places();
        },
        [this](const PlacesSeen& m) { on_places(m); },
        [this](LookAtPlaced) { look_at_placed(); },
        [this](const PlacedSeen& m) { on_placed(m); },
        [this](TryAgain) { try_again(); },
    };
  }

 private:
  struct Entry {
    store::RunInfo info;                        ///< As it was loaded.
    std::optional<RunCore> core;                ///< None while it is loaded.
    std::deque<std::shared_ptr<Write>> writes;  ///< The first is under way.
    bool is_writing = false;
    std::uint64_t timer = 0;
    /// Of those who want the core.
    std::vector<std::function<void(Result<RunCore*>)>> waiting;
  };

  template <class F, class Wrap>
  void ask(F work, Wrap wrap) {
    queue::call(deps_->store, std::move(work),
                [self = actors::ref_of(self_),
                 wrap = std::move(wrap)](auto answer) mutable {
                  actors::send(self, wrap(std::move(answer)));
                });
  }

  /// Whatever it was is tried again.
  void on_trouble(const Error& error) {
    if (std::exchange(has_trouble_, true))
      return;
    log(LogLevel::error,
        fmt::format("run_store_trouble reason={}", shell_quote(error.what)));
    actors::send_after(self_, store_pause, TryAgain{});
  }

  void try_again() {
    has_trouble_ = false;
    if (!has_found_)
      find_runs();
    for (auto& [run, entry] : runs_)
      write_next(entry);
    for (const RunId run : std::exchange(unloaded_, {}))
      load_run(run);
    for (const JobId job : std::exchange(unseen_, {}))
      look_at(job);
    if (sees_places_again_)
      see_places();
  }

  // -- Runs that go on --------------------------------------------------------

  void find_runs() {
    ask([](Store& store) { return find_open_runs(store); },
        [](Result<std::vector<RunId>> runs) {
          return RunsFound{std::move(runs)};
        });
  }

  void on_found(const RunsFound& m) {
    if (!m.runs) {
      on_trouble(m.runs.error());
      return;
    }
    has_found_ = true;
    std::map<RunId, bool> open;
    for (const RunId run : *m.runs)
      open.emplace(run, false);
    admission_.see(open);
    admit();
    for (const RunId run : *m.runs)
      with_core(run, [](const Result<RunCore*>&) {});
    note_runs();
  }

  void note_runs() { *deps_->has_runs = !has_found_ || !runs_.empty(); }

  /// Calls `then` with the run, which is loaded if it is not at hand. What
  /// `then` gets is valid for the call.
  ///
  /// Errors: not_found, corrupt, and those of reading its workflow.
  void with_core(RunId run, std::function<void(Result<RunCore*>)> then) {
    const auto [found, is_new] = runs_.try_emplace(run);
    Entry& entry = found->second;
    if (entry.core) {
      then(&*entry.core);
      return;
    }
    entry.waiting.push_back(std::move(then));
    if (!is_new)
      return;
    note_runs();
    load_run(run);
  }

  void load_run(RunId run) {
    ask([run](Store& store) { return load(store, run); },
        [run](Result<KeptRun> kept) {
          return RunLoaded{run,
                           std::make_shared<Result<KeptRun>>(std::move(kept))};
        });
  }

  void on_loaded(const RunLoaded& m) {
    const auto found = runs_.find(m.run);
    if (found == runs_.end())
      return;
    Entry& entry = found->second;
    if (!*m.kept && may_pass(m.kept->error())) {
      unloaded_.insert(m.run);
      on_trouble(m.kept->error());
      return;
    }
    Result<RunCore> core =
        *m.kept ? make_core(**m.kept) : tl::unexpected(m.kept->error());
    if (!core) {
      // Anybody may ask for a run that there is not.
      if (core.error().code != Errc::not_found)
        log(LogLevel::error,
            fmt::format("run_cannot_go_on run={} reason={}", run_name(m.run),
                        shell_quote(core.error().what)));
      auto waiting = std::move(entry.waiting);
      runs_.erase(found);
      note_runs();
      for (const auto& then : waiting)
        then(tl::unexpected(core.error()));
      // Its group, nobody can say.
      if (core.error().code != Errc::not_found &&
          admission_.unknown().contains(m.run))
        admission_.know(m.run, {.is_ours = false});
      else
        admission_.forget(m.run);
      admit();
      return;
    }
    entry.info = std::move((*m.kept)->info);
    entry.core.emplace(std::move(*core));
    if (is_at_home(*entry.core))
      away_.erase(m.run);
    else
      away_[m.run] = {entry.core->home(), entry.core->events(),
                      entry.core->awaiting(),
                      entry.core->begun_at(deps_->home)};
    if (entry.core->state() == store::RunState::running) {
      know_place(*entry.core);
      if (is_at_home(*entry.core))
        go_on(entry);
    } else {
      admission_.forget(m.run);
    }
    for (const auto& then : std::exchange(entry.waiting, {}))
      then(&*entry.core);
    admit();
    let_go(m.run);
  }

  void know_place(const RunCore& core) {
    const std::string& group = core.concurrency_group();
    admission_.know(
        core.run(),
        {.group = group,
         .limits = group.empty() ? RunAdmission::Limits{}
                                 : core.workflow().concurrency->limits,
         .is_ours = is_at_home(core),
         .has_begun = core.has_begun()});
  }

  /// Begins a run, or does once more what was to be done.
  void go_on(Entry& entry) {
    if (!entry.core->has_begun()) {
      if (entry.core->concurrency_group().empty())
        tell(entry, RunBegun{});
      else
        ask_for_place();
      return;
    }
    if (is_shared() && !entry.core->concurrency_group().empty())
      see_places_soon();
    RunCore::Decision again;
    for (const auto& [step, running] : entry.core->running()) {
      again.submit.push_back(step);
      if (running.is_cancelled)
        again.cancel.push_back(step);
    }
    add_writes(entry, std::nullopt, again, {}, entry.core->home());
    set_timer(entry);
  }

  // -- Runs of other nodes ----------------------------------------------------

  /// Takes over those whose node has no session any more, if they fall to us.
  void look_for_homeless(const HomesSeen& m) {
    homes_ = m;
    look_for_lost();
    ask([](Store& store) { return find_open_runs(store); },
        [](Result<std::vector<RunId>> runs) {
          return OpenRunsSeen{std::move(runs)};
        });
  }

  void on_open_runs(const OpenRunsSeen& m) {
    if (!m.runs)
      return;  // It is looked again.
    const std::set<RunId> open{m.runs->begin(), m.runs->end()};
    std::erase_if(away_,
                  [&](const auto& run) { return !open.contains(run.first); });
    for (const RunId run : *m.runs) {
      const auto away = away_.find(run);
      if (away == away_.end()) {
        // Whose it is, nobody has looked up yet.
        if (!runs_.contains(run))
          with_core(run, [](const Result<RunCore*>&) {});
      } else if (!homes_.live.contains(away->second.home) &&
                 homes_.falls_to_us(run)) {
        take_over(run);
      }
    }
  }

  /// A job that has begun on a node that is gone cannot go on elsewhere: what
  /// its steps have left behind is there.
  void look_for_lost() {
    std::set<std::string> missing;
    std::vector<std::pair<RunId, StepKey>> lost;
    for (const auto& [run, entry] : runs_) {
      if (!entry.core || !is_at_home(*entry.core))
        continue;
      for (const auto& [step, running] : entry.core->running()) {
        const std::string home = entry.core->bound_to(step).home;
        if (home.empty() || homes_.live.contains(home))
          continue;
        missing.insert(home);
        const auto since = missing_.try_emplace(home, deps_->wall_now()).first;
        if (deps_->wall_now() - since->second >= longest_node_absence)
          lost.emplace_back(run, step);
      }
    }
    std::erase_if(missing_, [&](const auto& one) {
      return !missing.contains(one.first);
    });
    for (const auto& [run, step] : lost)
      lose_step(runs_.at(run), step);
  }

  void lose_step(Entry& entry, const StepKey& step) {
    const auto running = entry.core->running().find(step);
    if (running == entry.core->running().end())
      return;  // What was lost before it has ended it.
    RunStepEnded ended{.step = step,
                       .job = running->second.job,
                       .kind = actors::OutcomeKind::lost,
                       .why = fmt::format("its job has begun on {}, which is "
                                          "gone, with what it had made there",
                                          entry.core->bound_to(step).node)};
    log(LogLevel::warn, fmt::format("run_step_lost run={} job={} reason={}",
                                    run_name(entry.core->run()),
                                    ended.job.value, shell_quote(ended.why)));
    steps_.erase(ended.job);
    tell(entry, ended, {}, {step});
  }

  void take_over(RunId run) {
    with_core(run, [this, run](const Result<RunCore*>& core) {
      // It may have moved since it was looked at.
      if (core && is_homeless(**core))
        move_here(runs_.at(run));
    });
    let_go(run);
  }

  [[nodiscard]] bool is_homeless(const RunCore& core) const {
    return !is_at_home(core) && homes_.falls_to_us &&
           !homes_.live.contains(core.home());
  }

  void move_here(Entry& entry) {
    const RunId run = entry.core->run();
    log(LogLevel::warn, fmt::format("run_taken_over run={} from={}",
                                    run_name(run), entry.core->home()));
    tell(entry, RunMoved{deps_->home});
    away_.erase(run);
  }

  // -- What others record of runs of ours -------------------------------------

  /// Whatever is asked of a run can be asked at any node, which records it as
  /// the next event. We drive the run, and find that.
  void look_for_news() {
    ask([](Store& store) { return find_news(store); },
        [](Result<NewsSeen::Runs> runs) {
          return NewsSeen{
              std::make_shared<Result<NewsSeen::Runs>>(std::move(runs))};
        });
  }

  void on_news(const NewsSeen& m) {
    const Result<NewsSeen::Runs>& seen = *m.runs;
    const std::size_t open = seen ? seen->open.size() : 0;
    actors::send_after(
        self_,
        news_pause * static_cast<Duration::rep>(1 + open / runs_per_news_pause),
        LookForNews{});
    if (!seen)
      return;
    std::vector<RunId> changed;
    for (const auto& [run, entry] : runs_) {
      // What we are about to record finds it by itself.
      if (!entry.core || !entry.writes.empty() || !is_at_home(*entry.core))
        continue;
      const auto found = seen->open.find(run);
      if (found == seen->open.end() || found->second > entry.core->events())
        changed.push_back(run);
    }
    for (const RunId run : changed)
      load_again(run);
    // It had ended, and somebody has retried it: it may be one of ours.
    for (const auto& [run, events] : seen->open) {
      if (last_news_ && run <= last_news_->newest &&
          !last_news_->open.contains(run) && !runs_.contains(run))
        with_core(run, [](const Result<RunCore*>&) {});
    }
    last_news_ = *seen;
  }

  /// The store has it otherwise than we thought: it is as the store has it.
  void load_again(RunId run) {
    log(LogLevel::debug,
        fmt::format("run_changed_elsewhere run={}", run_name(run)));
    const auto entry = runs_.extract(run);
    std::erase_if(steps_,
                  [&](const auto& step) { return step.second.first == run; });
    with_core(run, [](const Result<RunCore*>&) {});
    for (const auto& write : entry.mapped().writes) {
      if (write->asked) {
        ask_again(*write->asked);
        continue;
      }
      // An end of a step, say, which is found once more.
      for (const auto& done : write->done)
        done(failure(Errc::unavailable, "something else has happened"));
    }
  }

  void ask_again(ChangeRun asked) {
    if (++asked.tries < most_tries) {
      change(asked);
      return;
    }
    asked.done(
        failure(Errc::unavailable,
                fmt::format("run {}: something else has happened to it, {} "
                            "times; try again",
                            run_name(asked.run), most_tries)));
  }

  // -- Leaving ----------------------------------------------------------------

  void look_for_begun(const AskBegun& m) {
    ask([home = deps_->home](
            Store& store) { return find_what_stays(store, home); },
        [done = m.done](Result<OpenToLeave::Runs> runs) {
          return OpenToLeave{
              std::make_shared<Result<OpenToLeave::Runs>>(std::move(runs)),
              done};
        });
  }

  void count_begun_of(const OpenToLeave& m) {
    if (!*m.runs) {
      m.done(tl::unexpected(m.runs->error()));
      return;
    }
    // The rest is looked up when all runs are known.
    const std::shared_ptr<Beginnings> all{
        new Beginnings{.jobs = (*m.runs)->waiting},
        [deps = deps_, done = m.done](const Beginnings* found) {
          queue::call(
              deps->store,
              [maybe = found->maybe, session = deps->session,
               home = deps->home](Store& store) {
                return count_begun(store, maybe, session, home);
              },
              [done, jobs = found->jobs](Result<std::size_t> more) {
                if (more)
                  *more += jobs;
                done(std::move(more));
              });
          delete found;
        }};
    const auto add = [all](RunId run, const RunCore::Begun& begun) {
      all->jobs += begun.jobs;
      for (const StepKey& step : begun.maybe)
        all->maybe.emplace_back(run, step);
    };
    for (const auto& [run, events] : (*m.runs)->open) {
      const auto away = away_.find(run);
      if (away != away_.end() && homes_.unaware.contains(away->second.home))
        continue;  // It does not tell what goes on from what begins.
      if (away != away_.end() && away->second.events == events) {
        add(run, away->second.begun);
        continue;
      }
      with_core(run, [this, run = run, all, add](const Result<RunCore*>& core) {
        if (!core)
          return;
        add(run, (*core)->begun_at(deps_->home));
        // What is to be recorded may be the end of such a job.
        const auto entry = runs_.find(run);
        if (entry != runs_.end() && !entry->second.writes.empty())
          ++all->jobs;
      });
      let_go(run);
    }
  }

  // -- Concurrency groups -----------------------------------------------------

  /// Whether other nodes drive runs as well.
  [[nodiscard]] bool is_shared() const { return !deps_->home.empty(); }

  /// One of ours wants a place.
  void ask_for_place() {
    if (is_shared())
      see_places();
    else
      actors::send(self_, Admit{});
  }

  /// Looks at what runs of others do. Each look that is asked for is made after
  /// that.
  void see_places() {
    if (is_seeing_places_ || has_trouble_) {
      sees_places_again_ = true;
      return;
    }
    is_seeing_places_ = true;
    sees_places_again_ = false;
    ask([begun = admission_.begun()](
            Store& store) { return find_places(store, begun); },
        [](Result<std::map<RunId, bool>> open) {
          return PlacesSeen{std::move(open)};
        });
  }

  void on_places(const PlacesSeen& m) {
    is_seeing_places_ = false;
    if (m.open && !sees_places_again_) {
      admission_.see(*m.open);
      const std::set<RunId> unknown = admission_.unknown();
      for (const RunId run : unknown)
        with_core(run, [this](const Result<RunCore*>& core) {
          if (core)
            know_place(**core);
        });
      admit();
    }
    if (sees_places_again_)
      see_places();
    else
      see_places_soon();
  }

  /// As long as it concerns one of ours.
  void see_places_soon() {
    if (is_shared() && (admission_.has_ours() || !retries_.empty()) &&
        !std::exchange(is_place_look_due_, true))
      actors::send_after(self_, places_pause, SeePlaces{});
  }

  void admit() {
    // Of what others do more is about to be known.
    if (is_seeing_places_ || sees_places_again_)
      return;
    for (const RunAdmission::Decision& decision : admission_.decide())
      admit(decision);
    if (!admission_.unknown().empty())
      return;
    for (const ChangeRun& retry : std::exchange(retries_, {}))
      change_now(retry);
  }

  void admit(const RunAdmission::Decision& decision) {
    using What = RunAdmission::What;
    const auto found = runs_.find(decision.run);
    if (found == runs_.end() || !found->second.core)
      return;
    const RunCore& core = *found->second.core;
    const std::string group = group_text(core.concurrency_group());
    switch (decision.what) {
      case What::enter:
        tell(found->second, RunBegun{});
        break;
      case What::cancel:
        tell(found->second, RunCancelled{});
        break;
      case What::skip:
        tell(found->second, RunRefused{fmt::format("{} is in use", group)});
        break;
      case What::fail:
        tell(found->second,
             RunRefused{fmt::format("{} is in use", group), true});
        break;
      case What::queue_full:
        tell(found->second,
             RunRefused{
                 fmt::format("{} has no room for one more: {} wait", group,
                             core.workflow().concurrency->limits.queue),
                 true});
        break;
    }
  }

  /// Others may begin then.
  void leave_group(RunId run) {
    admission_.forget(run);
    actors::send(self_, Admit{});
  }

  /// What is to be so in the store before it begins, or goes on after its end.
  [[nodiscard]] std::optional<RunPlace> place_for(const RunCore& core,
                                                  const RunNews& news) const {
    const std::string& group = core.concurrency_group();
    if (!is_shared() || group.empty() ||
        (!std::holds_alternative<RunBegun>(news) &&
         !std::holds_alternative<RunRetried>(news)))
      return std::nullopt;
    return RunPlace{group,
                    std::max(1U, core.workflow().concurrency->limits.limit),
                    admission_.runs_in(group), admission_.runs_outside(group),
                    admission_.begun()};
  }

  /// It has not begun, although we thought so: it is as the store has it.
  void take_back(RunId run, const RunPlace& place) {
    log(LogLevel::debug, fmt::format("run_place_taken run={}", run_name(run)));
    const auto entry = runs_.extract(run);
    for (const auto& write : entry.mapped().writes) {
      for (const auto& done : write->done)
        done(failure(Errc::invalid_argument,
                     fmt::format("{} is in use", group_text(place.group))));
    }
    std::erase_if(steps_,
                  [&](const auto& step) { return step.second.first == run; });
    admission_.forget(run);
    with_core(run, [](const Result<RunCore*>&) {});
  }

  /// A retry takes a place as a new run does, and does not wait for it.
  Result<void> take_place_again(const RunCore& core) {
    const std::string& group = core.concurrency_group();
    if (group.empty() ||
        admission_.enter_again(core.run(), group,
                               core.workflow().concurrency->limits,
                               is_at_home(core)))
      return {};
    return failure(Errc::invalid_argument,
                   fmt::format("{} is in use", group_text(group)));
  }

  /// Of one that another node drives what is known here is what was known when
  /// it was loaded.
  [[nodiscard]] bool is_at_home(const RunCore& core) const {
    return core.home() == deps_->home;
  }

  /// Of a run that has ended, or that another node drives, nothing is kept
  /// here.
  void let_go(RunId run) {
    const auto found = runs_.find(run);
    if (found == runs_.end())
      return;
    const Entry& entry = found->second;
    const bool is_idle =
        entry.core && entry.writes.empty() && entry.waiting.empty();
    const bool has_ended =
        entry.core && entry.core->state() != store::RunState::running;
    if (!is_idle || (!has_ended && is_at_home(*entry.core)))
      return;
    // Its end is of no interest any more.
    if (const auto& services = entry.core->services())
      steps_.erase(services->job);
    runs_.erase(found);
    if (has_ended)
      leave_group(run);
    note_runs();
  }

  /// Has the runs forgotten that the workflow does not keep.
  void expire_runs(const RunCore& core) {
    const workflow::Retention retention = core.workflow().retention;
    if (retention.runs == 0 && retention.age == Duration{0})
      return;
    queue::call(
        deps_->store,
        [file = core.spec().file, retention, now = deps_->wall_now()](
            Store& store) { return find_expired(store, file, retention, now); },
        [deps = deps_](const Result<std::vector<RunId>>& expired) {
          if (expired && !expired->empty())
            deps->on_runs_expired(*expired);
        });
  }

  // -- What happens -----------------------------------------------------------

  /// Tells the run what has happened, and has it recorded; `done` is called
  /// then, or at once with what is wrong.
  void tell(Entry& entry, const RunNews& news,
            std::function<void(Result<void>)> done = {},
            const std::vector<StepKey>& cancel = {},
            std::optional<ChangeRun> asked = {}) {
    RunCore& core = *entry.core;
    const std::uint64_t number = core.events();
    const std::string home = core.home();
    auto decision = core.apply(news, deps_->wall_now());
    if (!decision || !*decision) {
      if (done)
        done(decision ? Result<void>{} : tl::unexpected(decision.error()));
      return;
    }
    (*decision)->cancel.insert((*decision)->cancel.end(), cancel.begin(),
                               cancel.end());
    add_writes(entry, store::RunEvent{number, encode(news), core.last_event()},
               **decision, std::move(done), home, place_for(core, news),
               std::move(asked));
    set_timer(entry);
  }

  /// The same of one that may be gone.
  void tell(RunId run, const RunNews& news) {
    const auto found = runs_.find(run);
    if (found != runs_.end() && found->second.core)
      tell(found->second, news);
  }

  /// The event goes with the first of the jobs that it leads to; the rest
  /// follows, and is found again if it does not come to that.
  void add_writes(Entry& entry, std::optional<store::RunEvent> event,
                  const RunCore::Decision& decision,
                  std::function<void(Result<void>)> done,
                  const std::string& home_before,
                  std::optional<RunPlace> place = {},
                  std::optional<ChangeRun> asked = {}) {
    const RunCore& core = *entry.core;
    auto write = std::make_shared<Write>();
    const auto add = [&] {
      write->run = core.run();
      write->state = core.state();
      write->counts = core.counts();
      entry.writes.push_back(std::exchange(write, std::make_shared<Write>()));
    };
    for (std::size_t i = 0; event && i < decision.notices.size(); ++i)
      write->notices.push_back(
          at_home(core, core.notice_job(decision.notices[i], event->number, i,
                                        deps_->content.program)));
    write->event = std::move(event);
    if (core.home() != home_before) {
      write->moved_from = home_before;
      write->moved_to = core.home();
      for (const auto& [step, running] : core.running()) {
        if (step.is_of_services())
          write->moved_services = job_for(core, step);
        else if (core.is_placed(step))
          write->staying.insert(request_id_of(core.run(), step));
      }
    }
    if (done)
      write->done.push_back(std::move(done));
    write->place = std::move(place);
    write->asked = std::move(asked);
    if (!is_at_home(core)) {
      // The node that drives it does the rest.
      add();
      write_next(entry);
      return;
    }
    for (const StepKey& step : decision.submit) {
      if (write->submit.size() == most_submitted_at_once)
        add();
      if (std::string why = core.refusal_of(step); !why.empty()) {
        write->refused.push_back({.step = step,
                                  .kind = actors::OutcomeKind::failed,
                                  .exit_status = 125,
                                  .why = std::move(why)});
        continue;
      }
      write->submit.emplace_back(step, job_for(core, step));
      note_printed(core, step, *write);
    }
    write->cancel = decision.cancel;
    for (const StepKey& step : decision.cancel)
      note_printed(core, step, *write);
    add();
    write_next(entry);
  }

  [[nodiscard]] store::NewJob job_for(const RunCore& core,
                                      const StepKey& step) const {
    if (!step.is_of_services())
      return placed(core.job_for(step, deps_->content),
                    core.preference_of(step));
    return at_home(core,
                   core.services_job(deps_->content.program, deps_->socket,
                                     deps_->services_folder));
  }

  /// While nobody knows who is there it waits where all look.
  [[nodiscard]] store::NewJob placed(
      store::NewJob job,
      const std::optional<RunCore::Preference>& preference) const {
    if (!preference)
      return job;
    const std::string& key = preference->key;
    if (preference->spread.empty()) {
      if (placement_.shard_of)
        job.shards = {placement_.shard_of(key)};
      return job;
    }
    auto takes = flow_control::Resources::parse(job.resources);
    if (!placement_.spreading || !takes)
      return job;
    const std::size_t variants = preference->variants;
    const auto shards = placement_.spreading(
        preference->spread, *takes,
        std::min<std::size_t>(variants, distributed::most_shards_of_job));
    if (shards.empty())
      return job;
    if (!key.empty()) {
      // Those with one key together, and keys apart, as far as chance has it.
      job.shards = {shards[distributed::stable_hash(key, 0) % shards.size()]};
      return job;
    }
    job.shards = {shards[preference->variant % shards.size()]};
    job.resources =
        queue::want_spread(std::move(*takes),
                           distributed::stable_hash(preference->spread, 0),
                           (variants + shards.size() - 1) / shards.size())
            .text();
    return job;
  }

  /// What it hands on is in the folder of the node that drives the run.
  [[nodiscard]] static store::NewJob at_home(const RunCore& core,
                                             store::NewJob job) {
    if (!core.home().empty())
      job.resources =
          queue::at_home(job.resources, core.home(), /*goes_on=*/false);
    return job;
  }
  [[nodiscard]] static RunCore::NoticeJob at_home(const RunCore& core,
                                                  RunCore::NoticeJob notice) {
    if (!core.home().empty())
      notice.job.resources =
          queue::at_home(notice.job.resources, core.home(), /*goes_on=*/true);
    return notice;
  }

  static void note_printed(const RunCore& core, const StepKey& step,
                           Write& write) {
    const auto running = core.running().find(step);
    if (running != core.running().end() &&
        !running->second.start.printed.empty())
      write.printed.emplace(step, running->second.start.printed);
  }

  void write_next(Entry& entry) {
    if (entry.is_writing || entry.writes.empty() || has_trouble_)
      return;
    entry.is_writing = true;
    std::shared_ptr<const Write> write = entry.writes.front();
    queue::call(
        deps_->store,
        [write, folder = deps_->output_folder, now = deps_->wall_now()](
            Store& store) { return perform(store, *write, folder, now); },
        [self = actors::ref_of(self_), write,
         deps = deps_](Result<WriteOutcome> outcome) {
          if (outcome && write->event && deps->on_recorded)
            deps->on_recorded();
          actors::send(self,
                       RunWritten{write, std::make_shared<Result<WriteOutcome>>(
                                             std::move(outcome))});
        });
  }

  void on_written(const RunWritten& m) {
    const RunId run = m.write->run;
    const auto found = runs_.find(run);
    if (found == runs_.end())
      return;
    Entry& entry = found->second;
    entry.is_writing = false;
    const Result<WriteOutcome>& outcome = *m.outcome;
    if (!outcome && may_pass(outcome.error())) {
      on_trouble(outcome.error());
      return;
    }
    if (!outcome) {
      give_up(run, outcome.error());
      return;
    }
    if (outcome->is_overtaken) {
      load_again(run);
      return;
    }
    if (outcome->has_no_place) {
      take_back(run, *m.write->place);
      return;
    }
    entry.writes.pop_front();
    if (!m.write->moved_to.empty() &&
        entry.core->state() == store::RunState::running) {
      know_place(*entry.core);
      go_on(entry);
    }
    for (const auto& done : m.write->done)
      done({});
    if (m.write->event && store::has_ended(m.write->state))
      expire_runs(*entry.core);
    for (const auto& [step, job] : outcome->submitted) {
      entry.core->on_submitted(step, job);
      steps_[job] = {run, step};
    }
    if (!m.write->submit.empty() || outcome->has_notices)
      actors::send(deps_->dispatcher, queue::WorkArrived{});
    std::vector<std::uint32_t> shards;
    for (const auto& [step, job] : m.write->submit)
      shards.insert(shards.end(), job.shards.begin(), job.shards.end());
    if (!shards.empty() && deps_->tell_owners)
      deps_->tell_owners(shards);
    if (!outcome->to_stop.empty())
      actors::send(deps_->dispatcher, queue::StopTasks{outcome->to_stop});
    for (const JobId job : outcome->cancelled)
      deps_->on_change(job);
    for (const RunStepEnded& ended : outcome->ended)
      end_step(entry, ended);
    write_next(entry);
    let_go(run);
    const bool is_any_elsewhere = std::any_of(
        outcome->submitted.begin(), outcome->submitted.end(),
        [&](const auto& one) { return may_end_elsewhere(run, one.first); });
    if (is_any_elsewhere)
      look_at_placed_later();
  }

  /// It cannot be recorded, and never will be.
  void give_up(RunId run, const Error& error) {
    log(LogLevel::error, fmt::format("run_cannot_go_on run={} reason={}",
                                     run_name(run), shell_quote(error.what)));
    const auto entry = runs_.extract(run);
    for (const auto& write : entry.mapped().writes) {
      for (const auto& done : write->done)
        done(tl::unexpected(error));
    }
    std::erase_if(steps_,
                  [&](const auto& step) { return step.second.first == run; });
    leave_group(run);
    note_runs();
  }

  void end_step(Entry& entry, const RunStepEnded& ended) {
    steps_.erase(ended.job);
    if (!entry.core->running().contains(ended.step))
      return;
    tell(entry, ended,
         [deps = deps_, job = ended.job,
          attempts = ended.attempts](const Result<void>& told) {
           // Not before: what they say would be lost with the node.
           for (std::uint32_t attempt = 1; told && attempt <= attempts;
                ++attempt)
             deps->on_outputs_read(
                 queue::outputs_path(deps->output_folder, {{job, 0}, attempt}));
         });
  }

  // -- Ends of jobs -----------------------------------------------------------

  void look_at(JobId job) {
    const auto found = steps_.find(job);
    if (found == steps_.end())
      return;
    if (has_trouble_) {
      unseen_.insert(job);
      return;
    }
    const auto& [run, step] = found->second;
    std::vector<workflow::PrintedOutput> printed;
    if (const auto entry = runs_.find(run);
        entry != runs_.end() && entry->second.core) {
      const auto& running = entry->second.core->running();
      if (const auto it = running.find(step); it != running.end())
        printed = it->second.start.printed;
    }
    ask(
        [job, step = step, printed = std::move(printed),
         folder = deps_->output_folder](Store& store) {
          return look_at_end(store, job, step, printed, folder);
        },
        [run = run, job](Result<std::optional<RunStepEnded>> end) {
          return EndSeen{run, job,
                         std::make_shared<Result<std::optional<RunStepEnded>>>(
                             std::move(end))};
        });
  }

  void on_end(const EndSeen& m) {
    if (!*m.end) {
      unseen_.insert(m.job);
      on_trouble(m.end->error());
      return;
    }
    const auto found = runs_.find(m.run);
    if (found == runs_.end() || !found->second.core || !**m.end)
      return;
    end_step(found->second, ***m.end);
    let_go(m.run);
  }

  // -- Steps that other nodes run ---------------------------------------------

  /// Whether its job may end on another node. The node that a run had before
  /// may be back before the run has moved, and have begun some of its jobs.
  [[nodiscard]] bool may_end_elsewhere(RunId run, const StepKey& step) const {
    const auto entry = runs_.find(run);
    if (entry == runs_.end() || !entry->second.core)
      return false;
    const RunCore& core = *entry->second.core;
    return core.running().contains(step) &&
           (core.is_placed(step) || core.has_moved());
  }

  void look_at_placed_later() {
    if (!std::exchange(is_look_due_, true))
      actors::send_after(self_, placed_look_interval, LookAtPlaced{});
  }

  /// Nobody tells us when they end.
  void look_at_placed() {
    is_look_due_ = false;
    std::vector<
        std::tuple<JobId, RunId, StepKey, std::vector<workflow::PrintedOutput>>>
        some;
    auto at = steps_.upper_bound(last_looked_at_);
    for (std::size_t i = 0;
         i < steps_.size() && some.size() < most_placed_at_once; ++i, ++at) {
      if (at == steps_.end())
        at = steps_.begin();
      const auto& [run, step] = at->second;
      if (!may_end_elsewhere(run, step))
        continue;
      some.emplace_back(at->first, run, step,
                        runs_.at(run).core->running().at(step).start.printed);
    }
    if (some.empty())
      return;
    if (has_trouble_) {
      look_at_placed_later();
      return;
    }
    last_looked_at_ = std::get<JobId>(some.back());
    using Ends = std::vector<std::pair<RunId, RunStepEnded>>;
    ask(
        [some = std::move(some),
         folder = deps_->output_folder](Store& store) -> Result<Ends> {
          Ends ends;
          for (const auto& [job, run, step, printed] : some) {
            auto end = look_at_end(store, job, step, printed, folder);
            if (!end)
              return tl::unexpected(std::move(end.error()));
            if (*end)
              ends.emplace_back(run, std::move(**end));
          }
          return ends;
        },
        [](Result<Ends> ends) {
          return PlacedSeen{std::make_shared<Result<Ends>>(std::move(ends))};
        });
  }

  void on_placed(const PlacedSeen& m) {
    if (*m.ends) {
      for (const auto& [run, ended] : **m.ends) {
        const auto found = runs_.find(run);
        if (found == runs_.end() || !found->second.core)
          continue;
        end_step(found->second, ended);
        let_go(run);
      }
    }
    look_at_placed_later();
  }

  // -- Time -------------------------------------------------------------------

  void set_timer(Entry& entry) {
    const auto deadline = entry.core->next_deadline();
    const std::uint64_t token = ++last_timer_;
    entry.timer = token;
    if (!deadline || !is_at_home(*entry.core))
      return;
    const Duration wait = std::clamp<Duration>(*deadline - deps_->wall_now(),
                                               1ms, longest_run_timer);
    actors::send_after(self_, wait, RunTick{entry.core->run(), token});
  }

  void on_tick(RunTick m) {
    const auto found = runs_.find(m.run);
    if (found == runs_.end() || found->second.timer != m.token ||
        !found->second.core)
      return;
    Entry& entry = found->second;
    const auto deadline = entry.core->next_deadline();
    if (deadline && *deadline <= deps_->wall_now())
      tell(entry, RunTimePassed{});
    else
      set_timer(entry);
  }

  // -- What is asked ----------------------------------------------------------

  void submit_run(const SubmitRun& m) {
    auto submission = std::make_shared<RunSubmission>(*m.submission);
    submission->spec.nonce = random_name(4);
    submission->spec.home = deps_->home;
    // Whatever is wrong with it is told before anything is kept.
    const auto core = RunCore::make(RunId{}, submission->spec);
    if (!core) {
      m.done(tl::unexpected(core.error()));
      return;
    }
    if (auto placed = check_places(core->workflow()); !placed) {
      m.done(tl::unexpected(std::move(placed.error())));
      return;
    }
    if (auto chosen = choose_ports(core->workflow(), submission->spec);
        !chosen) {
      m.done(tl::unexpected(std::move(chosen.error())));
      return;
    }
    for (const workflow::Job& job : core->workflow().jobs) {
      const auto unknown = job.approval == nullptr
                               ? std::nullopt
                               : first_unknown(job.approval->approvers);
      if (!unknown)
        continue;
      m.done(failure(Errc::invalid_argument,
                     fmt::format("job {}: approvers: \"{}\" is neither a user "
                                 "nor a group on this machine",
                                 printable(job.id), printable(*unknown))));
      return;
    }
    ask([file = m.submission->spec.file](
            Store& store) { return find_earlier(store, file); },
        [submission = leave_out_secrets(std::move(submission), *core),
         name = ellipsize(printable(core->title()), longest_run_name),
         done = m.done](Result<std::vector<KeptRun>> earlier) {
          return EarlierFound{submission, name, done,
                              std::make_shared<Result<std::vector<KeptRun>>>(
                                  std::move(earlier))};
        });
  }

  /// On several nodes `runs-on` counts.
  [[nodiscard]] Result<void> check_places(
      const workflow::Workflow& workflow) const {
    if (deps_->home.empty())
      return {};
    for (const workflow::Workflow* const file : workflow::files_of(workflow)) {
      auto checked = workflow::check_placement(
          *file, [](const auto& label) { return queue::check_label(label); });
      if (!checked)
        return checked;
    }
    return {};
  }

  /// A run goes on as well if nothing can be learned for it.
  void on_earlier(const EarlierFound& m) {
    // One that is gone would be waited for once more.
    if (!*m.earlier && (m.earlier->error().code == Errc::unavailable ||
                        m.earlier->error().code == Errc::timed_out)) {
      m.done(tl::unexpected(m.earlier->error()));
      return;
    }
    RunSpec spec = m.submission->spec;
    if (*m.earlier)
      spec.estimates = learn_from(std::move(**m.earlier), spec.file);
    store::NewRun run = m.submission->run;
    run.name = m.name;
    run.spec = encode(spec);
    if (run.spec.size() > store::largest_run_spec)
      run.spec = encode(m.submission->spec);
    ask(
        [run = std::move(run), group = spec.group,
         now = deps_->wall_now()](Store& store) -> Result<store::SubmittedRun> {
          const auto is_there = has_group(store, group);
          if (!is_there)
            return tl::unexpected(is_there.error());
          if (!*is_there)
            return failure(Errc::not_found,
                           fmt::format("no group {}", printable(group)));
          return store.open_run(run, now);
        },
        [submission = m.submission,
         done = m.done](Result<store::SubmittedRun> opened) {
          return RunOpened{submission, done, std::move(opened)};
        });
  }

  void on_opened(const RunOpened& m) {
    if (!m.opened) {
      m.done(tl::unexpected(m.opened.error()));
      return;
    }
    const auto [run, is_new] = *m.opened;
    with_core(run, [run = run, is_new = is_new, done = m.done,
                    durability = deps_->durability](Result<RunCore*> core) {
      if (!core) {
        done(tl::unexpected(core.error()));
        return;
      }
      done(Json{{"run", run.value},
                {"is_new", is_new},
                {"durability", durability},
                {"state", store::to_string((*core)->state())},
                {"jobs", (*core)->counts().jobs}});
    });
  }

  void change(const ChangeRun& m) {
    // Whether there is a place for it, others know.
    if (is_shared() && std::holds_alternative<RunRetried>(m.news)) {
      retries_.push_back(m);
      see_places();
      return;
    }
    change_now(m);
  }

  void change_now(const ChangeRun& m) {
    with_core(m.run, [this, m](Result<RunCore*> core) {
      if (!core && core.error().code != Errc::not_found &&
          std::holds_alternative<RunCancelled>(m.news)) {
        end_unread(m);
        return;
      }
      if (!core) {
        m.done(tl::unexpected(core.error()));
        return;
      }
      if (is_homeless(**core))
        move_here(runs_.at(m.run));
      if (const auto unaware = homes_.unaware.find((*core)->home());
          !is_at_home(**core) && unaware != homes_.unaware.end()) {
        m.done(failure(
            Errc::unsupported,
            fmt::format("run {}: {} drives it, whose version does not see what "
                        "is asked at other nodes; ask that one, or upgrade it",
                        run_name(m.run), printable(unaware->second))));
        return;
      }
      RunNews news = m.news;
      if (std::holds_alternative<RunRetried>(news) &&
          (*core)->state() != store::RunState::running) {
        if (auto placed = take_place_again(**core); !placed) {
          m.done(tl::unexpected(
              std::move(placed.error())
                  .within(fmt::format("run {}", run_name(m.run)))));
          return;
        }
      }
      if (m.check) {
        if (auto checked = m.check(**core, news); !checked) {
          m.done(tl::unexpected(std::move(checked.error())));
          return;
        }
      }
      tell(
          runs_.at(m.run), news,
          [run = m.run, done = m.done](Result<void> told) {
            if (!told && told.error().code == Errc::invalid_argument)
              told = tl::unexpected(Error{told.error()}.within(
                  fmt::format("run {}", run_name(run))));
            done(std::move(told));
          },
          {}, m);
    });
    let_go(m.run);
  }

  /// Of a run that this version does not understand at least the jobs can be
  /// ended.
  void end_unread(const ChangeRun& m) {
    queue::call(
        deps_->store,
        [run = m.run, now = deps_->wall_now()](Store& store) {
          return cancel_unread(store, run, now);
        },
        [dispatcher = deps_->dispatcher,
         done = m.done](const Result<std::vector<store::AttemptRef>>& running) {
          if (running)
            actors::send(dispatcher, queue::StopTasks{*running});
          done(running ? Result<void>{} : tl::unexpected(running.error()));
        });
  }

  void show(const AskRun& m) {
    with_core(m.run, [this, m](Result<RunCore*> core) {
      if (!core) {
        m.done(tl::unexpected(core.error()));
        return;
      }
      Json json = to_json(runs_.at(m.run).info, **core, m.page);
      json["awaits"] = admission_.what_awaits(m.run);
      m.done(std::move(json));
    });
    let_go(m.run);
  }

  /// Those of other nodes are loaded if something has happened to them since
  /// the last time.
  void count_awaiting(const AskAwaiting& m) {
    struct Counting {
      std::map<RunId, std::size_t> counts{};
      std::function<void(const std::map<RunId, std::size_t>&)> done{};
      ~Counting() { done(counts); }
      Counting() = default;
      Counting(const Counting&) = delete;
      Counting& operator=(const Counting&) = delete;
    };
    const auto counting = std::make_shared<Counting>();
    counting->done = m.done;
    for (const auto& [run, events] : m.runs) {
      if (const auto away = away_.find(run);
          away != away_.end() && away->second.events == events) {
        counting->counts.emplace(run, away->second.awaiting);
        continue;
      }
      with_core(run, [counting, run = run](const Result<RunCore*>& core) {
        counting->counts.emplace(run, core ? (*core)->awaiting() : 0);
      });
      let_go(run);
    }
  }

  Actor* self_;
  std::shared_ptr<const RunDriverDeps> deps_;
  std::map<RunId, Entry> runs_;
  /// Of jobs that have not ended, as far as is known here.
  std::map<JobId, std::pair<RunId, StepKey>> steps_;
  RunAdmission admission_;
  bool is_seeing_places_ = false;
  bool sees_places_again_ = false;
  bool is_place_look_due_ = false;
  std::vector<ChangeRun> retries_;  ///< That wait for such a look.
  /// A run that another node drives, as it was when it was loaded.
  struct Away {
    std::string home{};
    std::uint64_t events = 0;
    std::size_t awaiting = 0;
    RunCore::Begun begun{};  ///< On this node.
  };
  std::map<RunId, Away> away_;
  HomesSeen homes_;
  std::optional<NewsSeen::Runs> last_news_;
  PlacementSeen placement_;
  /// Nodes that jobs of ours have begun on and that have no session any more,
  /// and since when.
  std::map<std::string, WallTime> missing_;
  bool is_look_due_ = false;  ///< LookAtPlaced is on its way.
  JobId last_looked_at_;
  // To be looked at when the store is well:
  std::set<RunId> unloaded_;
  std::set<JobId> unseen_;
  bool has_found_ = false;
  bool has_trouble_ = false;
  std::uint64_t last_timer_ = 0;
};

}  // namespace

ActorRef spawn_run_driver(Actor* parent,
                          std::shared_ptr<const RunDriverDeps> deps) {
  // A workflow may be long, and so may a history.
  if (deps->has_own_thread)
    return actors::spawn_detached<RunDriverActor>(parent->system(),
                                                  std::move(deps));
  return actors::spawn<RunDriverActor>(parent, std::move(deps));
}

}  // namespace troupe::node
