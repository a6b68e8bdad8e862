#include "operations.hpp"

#include "content_stream.hpp"
#include "job_json.hpp"
#include "log_stream.hpp"
#include "run_driver_actor.hpp"
#include "run_json.hpp"
#include "trigger_actor.hpp"

#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/base/wall_time.hpp>
#include <troupe/distributed/spread.hpp>
#include <troupe/distributed/stable_hash.hpp>
#include <troupe/node/approvers.hpp>
#include <troupe/queue/dispatcher_actor.hpp>
#include <troupe/queue/json_fields.hpp>
#include <troupe/queue/labels.hpp>
#include <troupe/queue/spread.hpp>

#include <boost/asio/post.hpp>

#include <chrono>
#include <fmt/format.h>
#include <fstream>
#include <map>
#include <numeric>
#include <set>
#include <unistd.h>
#include <utility>

namespace troupe::node {
namespace {

using api::HttpMethod;
using api::HttpRequest;
using api::HttpResponder;
using api::Operation;
using api::Role;
using flow_control::Resources;
using store::JobId;
using store::JobInfo;
using store::RunId;
using store::Store;

constexpr std::size_t small_body = 4 << 10;
constexpr std::size_t medium_body = 256 << 10;
constexpr std::size_t large_body = api::most_http_body_bytes;
constexpr std::uint64_t most_listed = 1000;
constexpr std::int64_t longest_drain_ms = 7LL * 24 * 3600 * 1000;
constexpr Duration usual_consent = 5min;
constexpr Duration longest_consent = 1h;
constexpr Duration full_pause = 1s;
constexpr std::uint64_t most_times = 100;

WallTime wall_now() { return std::chrono::system_clock::now(); }

Json done() { return Json::object(); }

template <class T>
tl::unexpected<Error> error_of(Result<T>&& result) {
  return tl::unexpected(std::move(result.error()));
}

Result<std::uint64_t> number_of(const std::string& text,
                                std::string_view what) {
  const auto number = parse_count(text);
  if (!number)
    return failure(Errc::invalid_argument,
                   fmt::format("{} is not the number of a {}", text, what));
  return *number;
}

/// "it has ended" says what, and not which.
Result<Json> about(JobId id, Result<Json> result) {
  if (!result && result.error().code == Errc::invalid_argument)
    return tl::unexpected(
        std::move(result.error()).within(fmt::format("job {}", id.value)));
  return result;
}

/// What each request works with.
struct Ask {
  NodeContext& node;
  HttpRequest request;
  HttpResponder responder;

  [[nodiscard]] Result<JobId> job() const {
    const auto number = number_of(request.path.at(0), "job");
    if (!number)
      return tl::unexpected(number.error());
    return JobId{*number};
  }

  [[nodiscard]] Result<RunId> run() const {
    const auto number = number_of(request.path.at(0), "run");
    if (!number)
      return tl::unexpected(number.error());
    return RunId{*number};
  }

  [[nodiscard]] Result<store::TaskRef> task() const {
    const auto id = job();
    if (!id)
      return tl::unexpected(id.error());
    const auto index = number_of(request.path.at(1), "task");
    if (!index)
      return tl::unexpected(index.error());
    return store::TaskRef{*id, *index};
  }

  /// Answers with what `work(Store&)` returns, a Result<Json>; before that
  /// `then()` is called if all went well.
  template <class F, class Then>
  void by_store(F work, Then then) const {
    queue::call(node.store, std::move(work),
                [responder = responder,
                 then = std::move(then)](Result<Json> result) mutable {
                  if (!result) {
                    responder.fail(result.error());
                    return;
                  }
                  then();
                  responder.succeed(*result);
                });
  }
  template <class F>
  void by_store(F work) const {
    by_store(std::move(work), [] {});
  }

  /// Changes a job by `work(Store&, JobId)`, a Result<Json>, and lets the
  /// dispatcher, by what each `note(id)` makes, and those who watch know.
  template <class F, class... Note>
  void change_job(F work, Note... note) const {
    const auto id = job();
    if (!id) {
      responder.fail(id.error());
      return;
    }
    by_store([id = *id, work = std::move(work)](
                 Store& store) mutable { return about(id, work(store, id)); },
             [&node = node, id = *id, note...] {
               (actors::send(node.dispatcher, note(id)), ...);
               node.watch->changed(id);
             });
  }
};

using Perform = void (*)(const Ask&);

/// Reads the body by `read(queue::JsonFields&)`; without one all stays as it
/// is. False if it was refused.
template <class F>
bool read_body(const Ask& ask, F read) {
  if (ask.request.body.is_null())
    return true;
  queue::JsonFields fields{ask.request.body, ""};
  read(fields);
  if (auto done = fields.finish(); !done) {
    ask.responder.fail(done.error());
    return false;
  }
  return true;
}

/// Whether what runs is to stand still as well; none if the body was refused.
std::optional<bool> pauses_running(const Ask& ask) {
  bool running = false;
  if (!read_body(ask, [&](auto& fields) { fields.read("running", running); }))
    return std::nullopt;
  return running;
}

// -- The node ----------------------------------------------------------------

std::uint64_t resident_bytes() {
  std::ifstream file{"/proc/self/statm"};
  std::uint64_t all = 0;
  std::uint64_t resident = 0;
  file >> all >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

void with_snapshot(const Ask& ask,
                   std::function<void(const queue::DispatcherSnapshot&)> then) {
  actors::send(ask.node.dispatcher,
               queue::AskSnapshot{
                   [then = std::move(then), responder = ask.responder](
                       const queue::DispatcherSnapshot& seen) { then(seen); }});
}

void show_node(const Ask& ask) {
  const NodeContext& node = ask.node;
  Json json{{"version", node.version},
            {"pid", ::getpid()},
            {"session", node.session},
            {"started", format_wall_time(node.started)},
            {"folder", node.config->folder},
            {"durability", node.store.durability()},
            {"store",
             {{"software", node.store.facts().software},
              {"settings", node.store.facts().settings},
              {"is_gone", node.store.is_gone()}}}};
  with_snapshot(ask,
                [json, responder = ask.responder](const auto& seen) mutable {
                  json["is_held"] = seen.is_held;
                  const auto all = queue::split_labels(seen.capacity);
                  json["resources"] = to_json(all.rest);
                  json["labels"] = all.labels;
                  json["free"] = to_json(queue::split_labels(seen.free).rest);
                  responder.succeed(json);
                });
}

void show_cluster(const Ask& ask) {
  if (ask.node.member)
    ask.responder.succeed(ask.node.member->status());
  else
    ask.responder.fail({Errc::not_found,
                        "this node is no member of a cluster: it takes `store` "
                        "and `listen` in its configuration to be one"});
}

/// By its name or id, or this one.
void drain_node(const Ask& ask) {
  std::string node;
  std::int64_t within_ms = -1;
  if (!read_body(ask, [&](auto& fields) {
        fields.read("node", node);
        fields.read("within_ms", within_ms, 0, longest_drain_ms);
      }))
    return;
  const auto& member = ask.node.member;
  if (!member) {
    show_cluster(ask);
    return;
  }
  if (!node.empty() && !member->is_self(node)) {
    if (within_ms >= 0) {
      ask.responder.fail(
          {Errc::invalid_argument,
           fmt::format("how long it may take (--within) only {0} itself can be "
                       "told; ask {0}",
                       printable(node))});
      return;
    }
    member->drain_other(node,
                        [responder = ask.responder](const Result<void>& told) {
                          if (told)
                            responder.succeed(done());
                          else
                            responder.fail(told.error());
                        });
    return;
  }
  member->drain(within_ms < 0 ? std::nullopt
                              : std::optional<Duration>{
                                    std::chrono::milliseconds{within_ms}});
  ask.responder.succeed(done());
}

/// That many are evicted at once.
void consent_to_evictions(const Ask& ask) {
  std::int64_t within_ms = usual_consent / 1ms;
  if (!read_body(ask, [&](auto& fields) {
        fields.read("within_ms", within_ms, 1, longest_consent / 1ms);
      }))
    return;
  if (!ask.node.member) {
    show_cluster(ask);
    return;
  }
  ask.node.member->consent(std::chrono::milliseconds{within_ms});
  ask.responder.succeed(done());
}

/// Whose is what has this key?
void show_owner(const Ask& ask) {
  const auto key = ask.request.text("key");
  const auto& member = ask.node.member;
  if (!member)
    show_cluster(ask);
  else if (!key)
    ask.responder.fail({Errc::invalid_argument, "key: it is missing"});
  else
    ask.responder.succeed(member->owner_of(*key));
}

void show_stats(const Ask& ask) {
  const NodeContext& node = ask.node;
  Json json{{"uptime_ms", std::chrono::duration_cast<std::chrono::milliseconds>(
                              wall_now() - node.started)
                              .count()},
            {"accepted_jobs", node.counters.accepted.load()},
            {"refused_submissions", node.counters.refused.load()},
            {"store_calls_waiting", node.store.waiting()},
            {"resident_bytes", resident_bytes()}};
  with_snapshot(ask,
                [json, responder = ask.responder](const auto& seen) mutable {
                  json["running"] = seen.running_count;
                  json["claimed_ahead"] = seen.claimed_ahead;
                  json["started_attempts"] = seen.started;
                  json["ended_attempts"] = seen.ended;
                  json["has_store_trouble"] = seen.has_store_trouble;
                  responder.succeed(json);
                });
}

void stop_node(const Ask& ask) {
  std::string how = "end";
  if (!read_body(ask, [&](auto& fields) { fields.read("commands", how); }))
    return;
  if (how != "end" && how != "keep") {
    ask.responder.fail(
        {Errc::invalid_argument, "commands: expected one of end, keep"});
    return;
  }
  ask.responder.succeed(done());
  ask.node.stop(how == "keep" ? OnStop::keep : OnStop::end);
}

/// Lets the dispatcher know of `running` tasks, if there is something to know.
void set_hold(const Ask& ask, bool is_held,
              std::optional<queue::PauseTasks> running) {
  ask.node.hold(is_held, [dispatcher = ask.node.dispatcher, running,
                          responder = ask.responder](Result<void> kept) {
    if (!kept) {
      responder.fail(std::move(kept.error()));
      return;
    }
    if (running)
      actors::send(dispatcher, *running);
    responder.succeed(done());
  });
}

void hold_node(const Ask& ask) {
  if (const auto running = pauses_running(ask))
    set_hold(ask, true,
             *running ? std::optional{queue::PauseTasks{.is_paused = true}}
                      : std::nullopt);
}

void resume_node(const Ask& ask) {
  set_hold(ask, false, queue::PauseTasks{.is_paused = false});
}

// -- Submitting --------------------------------------------------------------

Json submitted_json(const store::Submitted& submitted, const JobInfo& info,
                    std::string_view durability) {
  return {{"job", submitted.job.value},
          {"is_new", submitted.is_new},
          {"durability", durability},
          {"state", to_string(info.state)},
          {"tasks", info.counts.tasks}};
}

std::uint64_t tasks_that_wait(const std::vector<store::GroupInfo>& groups) {
  return std::accumulate(groups.begin(), groups.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const store::GroupInfo& group) {
                           return sum + group.counts.waiting +
                                  group.counts.retrying;
                         });
}

/// Errors: overloaded.
Result<void> check_room(Store& store, std::uint64_t count,
                        std::uint64_t limit) {
  if (count > limit)
    return failure(Errc::invalid_argument,
                   fmt::format("{} tasks are more than this node takes ({})",
                               count, limit));
  auto groups = store.groups();
  if (!groups)
    return error_of(std::move(groups));
  const std::uint64_t waiting = tasks_that_wait(*groups);
  if (waiting + count > limit)
    return failure(Errc::overloaded,
                   fmt::format("the queue is full: {} tasks wait, and {} more "
                               "would be more than {}",
                               waiting, count, limit));
  return {};
}

Result<void> fill(Store& store, JobId job, const Submission& submission) {
  if (submission.has_arguments) {
    if (submission.arguments.empty())
      return {};
    return store.append(job, 0, submission.arguments);
  }
  return store.append_range(job, 0, submission.count);
}

Result<Json> submit(Store& store, const Submission& submission,
                    std::uint64_t limit, std::string_view durability,
                    WallTime now) {
  auto known = store.known(submission.job.request_id);
  if (!known)
    return error_of(std::move(known));
  std::optional<store::Submitted> there = *known;
  if (!there) {
    const std::uint64_t count = submission.has_arguments
                                    ? submission.arguments.size()
                                    : submission.count;
    if (auto room = check_room(store, count, limit); !room)
      return error_of(std::move(room));
    auto opened = store.open_job(submission.job, now);
    if (!opened)
      return error_of(std::move(opened));
    if (auto filled = fill(store, opened->job, submission); !filled)
      return error_of(std::move(filled));
    there = *opened;
  }
  if (!there->is_sealed && !submission.is_open) {
    if (auto sealed = store.seal(there->job, now); !sealed)
      return error_of(std::move(sealed));
  }
  auto info = store.job(there->job);
  if (!info)
    return error_of(std::move(info));
  return submitted_json(*there, *info, durability);
}

/// Shards whose owners have what the tasks take: they look first. Where nobody
/// has it, whoever comes to have it looks abroad.
void prefer_those_that_fit(std::vector<std::uint32_t>& shards,
                           const std::string& key,
                           const distributed::RingParameters& ring,
                           const Member& member, const Resources& takes) {
  constexpr int most_tries = 64;
  std::set<std::uint32_t> chosen;
  int tried = 0;
  for (const std::uint32_t shard : shards) {
    std::uint32_t next = shard;
    while (tried < most_tries &&
           (!member.fits_in(next, takes) || chosen.contains(next)))
      next = distributed::shard_of(fmt::format("{}#{}", key, ++tried), ring);
    chosen.insert(next);
  }
  shards.assign(chosen.begin(), chosen.end());
}

/// Its tasks wait at as many nodes as there are for them. False if nobody knows
/// who is there.
bool spread(Submission& submission, std::uint64_t tasks, const Member& member) {
  store::NewJob& job = submission.job;
  const std::string& key = job.request_id;
  auto takes = Resources::parse(job.resources);
  if (!takes)
    return false;
  const auto most = std::min(tasks, distributed::most_shards_of_job);
  job.shards = member.spreading()(key, *takes, most);
  if (job.shards.empty())
    return false;
  job.resources =
      queue::want_spread(std::move(*takes), distributed::stable_hash(key, 0),
                         distributed::spread_share(tasks, job.shards.size()))
          .text();
  std::sort(job.shards.begin(), job.shards.end());
  return true;
}

/// Where its tasks wait, for several nodes to share them.
void place(Submission& submission, const distributed::RingParameters& ring,
           const Member* member) {
  // Nobody knows yet how many they become: as many as a large array has.
  constexpr std::uint64_t of_an_open_one = 1'000'000;
  const std::uint64_t tasks = submission.is_open ? of_an_open_one
                              : submission.has_arguments
                                  ? submission.arguments.size()
                                  : submission.count;
  if (submission.spread && member != nullptr &&
      spread(submission, tasks, *member))
    return;
  const std::string& key =
      submission.key.empty() ? submission.job.request_id : submission.key;
  // For slots that all nodes share all of them look at one place, so that it
  // goes by priority and age whoever has one free.
  if (submission.key.empty() && queue::is_of_all_nodes(submission.job.group))
    return;
  // What is to stay together is in one.
  submission.job.shards =
      distributed::shards_of_job(key, submission.key.empty() ? tasks : 1, ring);
  const auto takes = Resources::parse(submission.job.resources);
  if (member != nullptr && submission.key.empty() && takes && !takes->empty())
    prefer_those_that_fit(submission.job.shards, key, ring, *member, *takes);
  std::sort(submission.job.shards.begin(), submission.job.shards.end());
}

void submit_job(const Ask& ask) {
  NodeContext& node = ask.node;
  auto submission = submission_from_json(ask.request.body, wall_now());
  if (!submission) {
    ask.responder.fail(submission.error());
    return;
  }
  if (auto space = node.housekeeper.check_space(); !space) {
    ++node.counters.refused;
    ask.responder.fail(space.error(), full_pause);
    return;
  }
  const std::uint64_t limit = node.config->queue_limit;
  queue::WorkArrived arrived;
  std::vector<std::uint32_t> shards;
  if (node.ring) {
    place(*submission, *node.ring, node.member.get());
    shards = submission->job.shards;
    if (shards.empty())
      shards = {0};
    // With a key, or spread, it is for the owner, as long as that has room.
    if (submission->key.empty() && !submission->spread)
      arrived.shards = shards;
  }
  queue::call(
      node.store,
      [submission = std::move(*submission), limit, now = wall_now(),
       durability = node.store.durability()](Store& store) {
        return submit(store, submission, limit, durability, now);
      },
      [&node, arrived, shards, responder = ask.responder](Result<Json> result) {
        if (!result) {
          ++node.counters.refused;
          responder.fail(result.error(), full_pause);
          return;
        }
        ++node.counters.accepted;
        actors::send(node.dispatcher, arrived);
        if (!shards.empty())
          node.tell_owners(shards);
        node.watch->changed(JobId{result->at("job").get<std::uint64_t>()});
        responder.succeed(201, *result);
      });
}

void add_arguments(const Ask& ask) {
  const auto id = ask.job();
  auto chunk = chunk_from_json(ask.request.body);
  if (!id || !chunk) {
    ask.responder.fail(id ? chunk.error() : id.error());
    return;
  }
  ask.by_store([id = *id, chunk = std::move(*chunk),
                limit = ask.node.config->queue_limit](
                   Store& store) -> Result<Json> {
    if (auto room = check_room(store, chunk.arguments.size(), limit); !room)
      return error_of(std::move(room));
    if (auto added = store.append(id, chunk.number, chunk.arguments); !added)
      return error_of(std::move(added));
    return done();
  });
}

void seal_job(const Ask& ask) {
  ask.change_job(
      [now = wall_now(), durability = ask.node.store.durability()](
          Store& store, JobId id) -> Result<Json> {
        if (auto sealed = store.seal(id, now); !sealed)
          return error_of(std::move(sealed));
        auto info = store.job(id);
        if (!info)
          return error_of(std::move(info));
        return submitted_json({id, false, true}, *info, durability);
      },
      [](JobId) { return queue::WorkArrived{}; });
}

// -- Jobs --------------------------------------------------------------------

void list_jobs(const Ask& ask) {
  store::JobFilter filter{.group = ask.request.text("group"),
                          .tag = ask.request.text("tag")};
  const std::string set_name = ask.request.text("set").value_or("all");
  const auto set = job_set(set_name);
  const auto before = ask.request.count("before", 0, {0, UINT64_MAX >> 1});
  const auto limit = ask.request.count("limit", 50, {1, most_listed});
  const auto run = ask.request.count("run", 0, {0, UINT64_MAX >> 1});
  if (!set || !before || !limit || !run) {
    ask.responder.fail(
        !set      ? Error{Errc::invalid_argument,
                     fmt::format("query set: expected all, unended, active, "
                                           "ended or failed, got \"{}\"",
                                      set_name)}
        : !before ? before.error()
        : !limit  ? limit.error()
                  : run.error());
    return;
  }
  filter.set = *set;
  filter.before = JobId{*before};
  filter.run = RunId{*run};
  with_snapshot(ask, [ask, filter, limit = static_cast<std::uint32_t>(*limit)](
                         const queue::DispatcherSnapshot& seen) {
    ask.by_store([filter, limit,
                  at_hand = seen.jobs](Store& store) -> Result<Json> {
      auto jobs = store.jobs(filter, limit);
      if (!jobs)
        return error_of(std::move(jobs));
      Json list = Json::array();
      for (JobInfo& job : *jobs)
        list.push_back(to_json(as_it_looks(std::move(job), at_hand), false));
      return Json{{"jobs", std::move(list)}};
    });
  });
}

void show_job(const Ask& ask) {
  const auto id = ask.job();
  if (!id) {
    ask.responder.fail(id.error());
    return;
  }
  with_snapshot(ask, [ask, id = *id](const queue::DispatcherSnapshot& seen) {
    ask.by_store([id, at_hand = seen.jobs](Store& store) -> Result<Json> {
      auto job = store.job(id);
      if (!job)
        return error_of(std::move(job));
      return to_json(as_it_looks(std::move(*job), at_hand), true);
    });
  });
}

void edit_job(const Ask& ask) {
  ask.change_job(
      [body = ask.request.body, now = wall_now()](Store& store,
                                                  JobId id) -> Result<Json> {
        auto job = store.job(id);
        if (!job)
          return error_of(std::move(job));
        auto before = queue::decode(job->job.spec);
        if (!before)
          return error_of(std::move(before));
        auto edit = edit_from_json(body, *before, job->job.resources);
        if (!edit)
          return error_of(std::move(edit));
        if (auto edited = store.edit(id, *edit, now); !edited)
          return error_of(std::move(edited));
        return Json{{"running", job->counts.running}};
      },
      [](JobId id) { return queue::JobChanged{id}; });
}

void forget_job(const Ask& ask) {
  const auto id = ask.job();
  if (!id) {
    ask.responder.fail(id.error());
    return;
  }
  ask.by_store(
      [id = *id](Store& store) -> Result<Json> {
        if (auto forgotten = store.forget(id); !forgotten)
          return about(id, error_of(std::move(forgotten)));
        return done();
      },
      [&node = ask.node, id = *id] {
        node.housekeeper.remove_output(id);
        node.watch->changed(id);
      });
}

void cancel_job(const Ask& ask) {
  const auto id = ask.job();
  if (!id) {
    ask.responder.fail(id.error());
    return;
  }
  queue::call(
      ask.node.store,
      [id = *id, now = wall_now()](Store& store) {
        return store.cancel(id, now);
      },
      [&node = ask.node, responder = ask.responder,
       id = *id](const Result<std::vector<store::AttemptRef>>& running) {
        if (!running) {
          responder.fail(running.error());
          return;
        }
        actors::send(node.dispatcher, queue::StopTasks{*running});
        node.watch->changed(id);
        responder.succeed({{"running", running->size()}});
      });
}

Result<Json> hold(Store& store, JobId id, bool is_held) {
  if (auto held = store.hold(id, is_held); !held)
    return error_of(std::move(held));
  return done();
}

void hold_job(const Ask& ask) {
  const auto running = pauses_running(ask);
  if (!running)
    return;
  const auto work = [](Store& store, JobId id) {
    return hold(store, id, true);
  };
  const auto changed = [](JobId id) { return queue::JobChanged{id}; };
  if (*running)
    ask.change_job(work, changed, [](JobId id) {
      return queue::PauseTasks{.is_paused = true, .job = id};
    });
  else
    ask.change_job(work, changed);
}

void resume_job(const Ask& ask) {
  ask.change_job([](Store& store, JobId id) { return hold(store, id, false); },
                 [](JobId) { return queue::WorkArrived{}; },
                 [](JobId id) {
                   return queue::PauseTasks{.is_paused = false, .job = id};
                 });
}

void retry_job(const Ask& ask) {
  std::string tasks = "not_succeeded";
  if (!read_body(ask, [&](auto& fields) { fields.read("tasks", tasks); }))
    return;
  if (tasks != "not_succeeded" && tasks != "failed") {
    ask.responder.fail({Errc::invalid_argument,
                        "tasks: expected one of not_succeeded, failed"});
    return;
  }
  ask.change_job(
      [which = tasks == "failed" ? store::Retry::failed
                                 : store::Retry::not_succeeded](
          Store& store, JobId id) -> Result<Json> {
        auto count = store.retry(id, which);
        if (!count)
          return error_of(std::move(count));
        return Json{{"tasks", *count}};
      },
      [](JobId id) { return queue::JobChanged{id}; });
}

// -- Tasks -------------------------------------------------------------------

/// Answers with what `list(Store&, JobId, from, limit)` returns, a
/// Result<Json>, as tasks.
template <class F>
void list_tasks(const Ask& ask, F list) {
  const auto id = ask.job();
  const auto from = ask.request.count("from", 0, {0, store::most_tasks});
  const auto limit = ask.request.count("limit", 100, {1, most_listed});
  if (!id || !from || !limit) {
    ask.responder.fail(!id ? id.error() : !from ? from.error() : limit.error());
    return;
  }
  ask.by_store([list, id = *id, from = *from,
                limit = static_cast<std::uint32_t>(*limit)](
                   Store& store) -> Result<Json> {
    auto tasks = list(store, id, from, limit);
    if (!tasks)
      return tasks;
    return Json{{"tasks", std::move(*tasks)}};
  });
}

void list_results(const Ask& ask) {
  list_tasks(ask,
             [](Store& store, JobId id, std::uint64_t from,
                std::uint32_t limit) -> Result<Json> {
               auto results = store.results(id, from, limit);
               if (!results)
                 return error_of(std::move(results));
               Json list = Json::array();
               for (const store::TaskResult& result : *results)
                 list.push_back(to_json(result));
               return list;
             });
}

void list_tried(const Ask& ask) {
  list_tasks(ask,
             [](Store& store, JobId id, std::uint64_t from,
                std::uint32_t limit) -> Result<Json> {
               auto tried = store.tried(id, from, limit);
               if (!tried)
                 return error_of(std::move(tried));
               return Json(*tried);
             });
}

/// Which node has it now; on the I/O thread, to which the member belongs.
void answer_with_node(const Ask& ask, Json task) {
  const store::SessionId session{task["session"].get<std::string>()};
  task.erase("session");
  const std::string node = ask.node.member && !session.value.empty()
                               ? ask.node.member->name_of(session)
                               : "";
  task["node"] = node.empty() ? Json() : Json(to_utf8(node));
  if (ask.node.member) {
    if (const auto silent = ask.node.member->silence_of(session))
      task["silent_ms"] =
          std::chrono::duration_cast<std::chrono::milliseconds>(*silent)
              .count();
  }
  ask.responder.succeed(task);
}

void show_task(const Ask& ask) {
  const auto ref = ask.task();
  if (!ref) {
    ask.responder.fail(ref.error());
    return;
  }
  queue::call(
      ask.node.store,
      [ref = *ref](Store& store) -> Result<Json> {
        auto task = store.task(ref);
        if (!task)
          return error_of(std::move(task));
        auto attempts = store.attempts(ref);
        if (!attempts)
          return error_of(std::move(attempts));
        const auto job = store.job(ref.job);
        if (!job)
          return tl::unexpected(job.error());
        Json json = to_json(*task, *attempts);
        json["session"] = task->session.value;
        json["is_cancelled"] = job->is_cancelled;
        return json;
      },
      [ask, ref = *ref](Result<Json> json) {
        if (!json) {
          ask.responder.fail(json.error());
          return;
        }
        with_snapshot(
            ask, [json = std::move(*json), ask, ref](const auto& seen) mutable {
              for (const queue::RunningTask& running : seen.running) {
                if (running.attempt.task == ref && running.pid != 0)
                  json.update(
                      {{"pid", running.pid},
                       {"state", running.is_paused ? "paused" : "running"}});
              }
              boost::asio::post(ask.node.io, [ask, json = std::move(json)] {
                answer_with_node(ask, json);
              });
            });
      });
}

void read_log(const Ask& ask) {
  const auto ref = ask.task();
  const auto attempt = ask.request.count("attempt", 0, {1, UINT32_MAX});
  const auto follow = ask.request.flag("follow");
  const auto tail = ask.request.count("tail", 0, {0, 1'000'000});
  const std::string format = ask.request.text("format").value_or("raw");
  if (!ref || !attempt || !follow || !tail ||
      (format != "raw" && format != "record")) {
    ask.responder.fail(!ref       ? ref.error()
                       : !attempt ? attempt.error()
                       : !follow  ? follow.error()
                       : !tail    ? tail.error()
                                  : Error{Errc::invalid_argument,
                                       "query format: expected raw or record"});
    return;
  }
  LogRequest request{
      .task = *ref,
      .attempt = static_cast<std::uint32_t>(*attempt),
      .follow = *follow,
      .format = format == "record" ? LogFormat::record : LogFormat::raw};
  if (ask.request.text("tail"))
    request.tail = *tail;
  queue::call(
      ask.node.store, [ref = *ref](Store& store) { return store.task(ref); },
      [&node = ask.node, request,
       responder = ask.responder](const Result<store::TaskInfo>& task) {
        if (!task) {
          responder.fail(task.error());
          return;
        }
        if (request.attempt > task->attempt) {
          responder.fail(
              {Errc::not_found, fmt::format("task {}.{} has had {} attempts",
                                            task->task.job.value,
                                            task->task.index, task->attempt)});
          return;
        }
        LogStream::start(
            {.io = node.io,
             .store = node.store,
             .output_folder = node.output_folder,
             .ask_owner = node.ask_owner},
            request, request.attempt != 0 ? request.attempt : task->attempt,
            std::make_shared<HttpLogSink>(
                responder.begin_stream("application/octet-stream")));
      });
}

// -- Content -----------------------------------------------------------------

/// What is asked for, as one of three keys.
Result<link::ContentOpen> content_in(const HttpRequest& request) {
  std::vector<link::ContentOpen> all;
  for (const auto& [key, kind] :
       {std::pair{"artifact", link::ContentKind::artifact},
        std::pair{"result", link::ContentKind::result},
        std::pair{"blob", link::ContentKind::blob}}) {
    if (auto name = request.text(key))
      all.push_back({.stream = 1, .what = kind, .name = *name, .window = 1});
  }
  if (all.size() != 1)
    return failure(Errc::invalid_argument,
                   "expected one of artifact, result and blob");
  if (auto checked = link::check(all.front()); !checked)
    return tl::unexpected(std::move(checked.error()));
  return std::move(all.front());
}

void get_content(const Ask& ask) {
  const auto what = content_in(ask.request);
  if (!what) {
    ask.responder.fail(what.error());
    return;
  }
  const std::string node = ask.request.text("node").value_or("");
  if (node.empty() || (ask.node.member && ask.node.member->is_self(node))) {
    serve_content(ask.node.io, ask.node.content_folder, *what,
                  std::make_shared<HttpLogSink>(
                      ask.responder.begin_stream("application/octet-stream")));
    return;
  }
  auto remote =
      ask.node.ask_content ? ask.node.ask_content(node, *what) : nullptr;
  if (!remote) {
    ask.responder.fail({Errc::unavailable, fmt::format("{} cannot be asked now",
                                                       printable(node))});
    return;
  }
  relay_content(std::move(remote), ask.responder);
}

// -- Why ---------------------------------------------------------------------

/// Where its tasks have run, and its only one does.
Result<void> look_where(Store& store, Circumstances& seen) {
  constexpr std::uint32_t most = 200;
  const JobId id = seen.job.id;
  auto results = store.results(id, 0, most);
  if (!results)
    return tl::unexpected(std::move(results.error()));
  for (const store::TaskResult& result : *results)
    add_to(seen.ran, result.detail);
  if (seen.job.counts.tasks != 1 || seen.job.counts.running != 1)
    return {};
  const auto task = store.task({id, 0});
  if (!task)
    return tl::unexpected(task.error());
  seen.runs_in = task->session;
  return {};
}

Result<Circumstances> look_at(
    Store& store, JobId id, const std::map<JobId, queue::TasksAtHand>& at_hand,
    bool is_member) {
  auto job = store.job(id);
  if (!job)
    return error_of(std::move(job));
  auto [info, paused] = as_it_looks(std::move(*job), at_hand);
  Circumstances seen{.job = std::move(info), .paused = paused};
  for (const store::Need& need : seen.job.job.needs) {
    auto needed = store.job(need.job);
    std::optional<store::JobState> state;
    if (needed)
      state = as_it_looks(std::move(*needed), at_hand).info.state;
    seen.needs.push_back({need, state});
  }
  auto due = store.next_due(id);
  auto groups = store.groups();
  auto queues = store.queues();
  if (!due || !groups || !queues)
    return tl::unexpected(!due      ? due.error()
                          : !groups ? groups.error()
                                    : queues.error());
  seen.next_due = *due;
  for (const store::GroupInfo& group : *groups) {
    if (group.group.name == seen.job.job.group)
      seen.group = group;
  }
  if (is_member && queue::is_of_all_nodes(seen.job.job.group)) {
    auto claims = store.claims_in(seen.job.job.group);
    if (!claims)
      return tl::unexpected(std::move(claims.error()));
    seen.claims = std::move(*claims);
  }
  if (is_member) {
    if (auto placed = look_where(store, seen); !placed)
      return tl::unexpected(std::move(placed.error()));
  }
  const store::QueueId queue{seen.job.job.group, seen.job.job.resources};
  for (const store::QueueHead& head : *queues) {
    if (head.queue == queue && head.job != id)
      seen.ahead = head.job;
  }
  return seen;
}

/// On the I/O thread, to which the member belongs.
void explain_with_places(const NodeContext& node, Circumstances& seen) {
  const store::NewJob& job = seen.job.job;
  if (!node.member)
    return;
  seen.places =
      node.member->placement(job.shards, spread_in(job.resources).rest);
  if (const auto spec = queue::decode(job.spec))
    seen.places->key = spec->key;
  if (!queue::is_of_all_nodes(job.group))
    seen.group.group.slots = node.member->slots();
  seen.silent_for = node.member->silence_of(seen.runs_in);
  std::string running = node.member->name_of(seen.runs_in);
  if (running.empty())
    seen.runs.reset();
  else
    seen.runs = Ran{.node = std::move(running),
                    .from = seen.runs ? seen.runs->from : std::nullopt,
                    .tasks = 1};
  std::uint64_t taken = 0;
  for (const auto& [session, count] : seen.claims) {
    taken += count;
    if (std::string name = node.member->name_of(session); !name.empty())
      seen.places->slot_holders.push_back(std::move(name));
  }
  std::sort(seen.places->slot_holders.begin(), seen.places->slot_holders.end());
  // It may have changed since the dispatcher has looked.
  if (taken >= seen.group.group.slots && seen.obstacle &&
      seen.obstacle->kind == queue::Hindrance::none)
    seen.obstacle->kind = queue::Hindrance::slots;
}

/// Of what was seen of a job all is known but what keeps its queue.
void explain_with_obstacle(const Ask& ask, Result<Circumstances> seen) {
  if (!seen) {
    ask.responder.fail(seen.error());
    return;
  }
  const store::QueueId queue{seen->job.job.group, seen->job.job.resources};
  actors::send(
      ask.node.dispatcher,
      queue::AskObstacle{
          queue, [seen = std::make_shared<Circumstances>(std::move(*seen)),
                  &node = ask.node,
                  responder = ask.responder](queue::Obstacle obstacle) {
            seen->obstacle = std::move(obstacle);
            boost::asio::post(node.io, [seen, &node, responder] {
              explain_with_places(node, *seen);
              responder.succeed(
                  explain(*seen, wall_now(), std::chrono::steady_clock::now()));
            });
          }});
}

/// The first task of a job that runs here.
std::optional<queue::RunningTask> running_of(
    const queue::DispatcherSnapshot& seen, JobId job) {
  for (const queue::RunningTask& running : seen.running) {
    if (running.attempt.task.job == job)
      return running;
  }
  return std::nullopt;
}

void explain_job(const Ask& ask) {
  const auto id = ask.job();
  if (!id) {
    ask.responder.fail(id.error());
    return;
  }
  with_snapshot(ask, [ask, id = *id](const queue::DispatcherSnapshot& now) {
    queue::call(
        ask.node.store,
        [id, at_hand = now.jobs, is_member = ask.node.ring.has_value()](
            Store& store) { return look_at(store, id, at_hand, is_member); },
        [ask, running = running_of(now, id)](Result<Circumstances> seen) {
          if (seen && running)
            seen->runs = Ran{.node = "", .from = running->from, .tasks = 1};
          explain_with_obstacle(ask, std::move(seen));
        });
  });
}

// -- Groups ------------------------------------------------------------------

Result<store::Group> group_named(Store& store, const std::string& name) {
  auto groups = store.groups();
  if (!groups)
    return error_of(std::move(groups));
  for (const store::GroupInfo& info : *groups) {
    if (info.group.name == name)
      return info.group;
  }
  return failure(Errc::not_found, fmt::format("no group {}", name));
}

/// Of one of several nodes, those of the group of which each has its own.
std::optional<std::uint32_t> own_slots(const NodeContext& node) {
  return node.member ? std::optional{node.member->slots()} : std::nullopt;
}

void list_groups(const Ask& ask) {
  with_snapshot(ask, [ask](const queue::DispatcherSnapshot& seen) {
    ask.by_store(
        [breakers = seen.breakers, at_hand = seen.groups,
         own_slots = own_slots(ask.node)](Store& store) -> Result<Json> {
          auto groups = store.groups();
          if (!groups)
            return error_of(std::move(groups));
          Json list = Json::array();
          for (store::GroupInfo& info : *groups) {
            if (own_slots && !queue::is_of_all_nodes(info.group.name))
              info.group.slots = *own_slots;
            const auto breaker = breakers.find(info.group.name);
            list.push_back(to_json(as_it_looks(std::move(info), at_hand),
                                   breaker == breakers.end()
                                       ? flow_control::BreakerState::closed
                                       : breaker->second));
          }
          return Json{{"groups", std::move(list)}};
        });
  });
}

void set_group(const Ask& ask) {
  const std::string& name = ask.request.path.at(0);
  ask.by_store(
      [name, body = ask.request.body,
       is_fixed = ask.node.ring &&
                  !queue::is_of_all_nodes(name)](Store& store) -> Result<Json> {
        auto before = group_named(store, name);
        if (!before && before.error().code != Errc::not_found)
          return error_of(std::move(before));
        auto group = group_from_json(
            body, before ? *before : store::Group{.name = name});
        if (!group)
          return error_of(std::move(group));
        if (is_fixed && before && group->slots != before->slots)
          return failure(Errc::invalid_argument,
                         fmt::format("each node has slots of its own for group "
                                     "{}: as many as `slots` in its "
                                     "configuration says",
                                     printable(name)));
        if (auto set = store.set_group(*group); !set)
          return error_of(std::move(set));
        return done();
      },
      [&node = ask.node] {
        actors::send(node.dispatcher, queue::WorkArrived{});
      });
}

void remove_group(const Ask& ask) {
  ask.by_store([name = ask.request.path.at(0)](Store& store) -> Result<Json> {
    if (auto removed = store.remove_group(name); !removed)
      return error_of(std::move(removed));
    return done();
  });
}

Result<Json> hold_group_named(Store& store, const std::string& name,
                              bool is_held) {
  auto group = group_named(store, name);
  if (!group)
    return error_of(std::move(group));
  group->is_held = is_held;
  if (auto set = store.set_group(*group); !set)
    return error_of(std::move(set));
  return done();
}

void hold_group(const Ask& ask) {
  const std::string& name = ask.request.path.at(0);
  const auto running = pauses_running(ask);
  if (!running)
    return;
  ask.by_store(
      [name](Store& store) { return hold_group_named(store, name, true); },
      [&node = ask.node, name, running = *running] {
        actors::send(node.dispatcher, queue::GroupChanged{name});
        if (running)
          actors::send(node.dispatcher,
                       queue::PauseTasks{.is_paused = true, .group = name});
      });
}

void resume_group(const Ask& ask) {
  const std::string& name = ask.request.path.at(0);
  ask.by_store(
      [name](Store& store) { return hold_group_named(store, name, false); },
      [&node = ask.node, name] {
        actors::send(node.dispatcher, queue::CloseBreaker{name});
        actors::send(node.dispatcher,
                     queue::PauseTasks{.is_paused = false, .group = name});
      });
}

// -- Runs --------------------------------------------------------------------

void submit_run(const Ask& ask) {
  NodeContext& node = ask.node;
  auto submission = run_from_json(ask.request.body);
  if (!submission) {
    ask.responder.fail(submission.error());
    return;
  }
  if (!ask.request.body.contains("env"))
    submission->spec.environment = node.environment;
  submission->spec.today = local_day(wall_now());
  submission->spec.actor = to_utf8(user_name(ask.request.caller.uid));
  if (auto space = node.housekeeper.check_space(); !space) {
    ++node.counters.refused;
    ask.responder.fail(space.error(), full_pause);
    return;
  }
  actors::send(
      node.run_driver,
      SubmitRun{std::make_shared<const RunSubmission>(std::move(*submission)),
                [responder = ask.responder](const Result<Json>& json) {
                  if (json)
                    responder.succeed(201, *json);
                  else
                    responder.fail(json.error());
                }});
}

void list_runs(const Ask& ask) {
  const std::string set_name = ask.request.text("set").value_or("all");
  const auto set = run_set(set_name);
  const auto before = ask.request.count("before", 0, {0, UINT64_MAX >> 1});
  const auto limit = ask.request.count("limit", 50, {1, most_listed});
  if (!set || !before || !limit) {
    ask.responder.fail(
        !set      ? Error{Errc::invalid_argument,
                     fmt::format("query set: expected all, unended, ended or "
                                           "failed, got \"{}\"",
                                      set_name)}
        : !before ? before.error()
                  : limit.error());
    return;
  }
  const store::RunFilter filter{*set, RunId{*before}};
  queue::call(
      ask.node.store,
      [filter, most = static_cast<std::uint32_t>(*limit)](Store& store) {
        return store.runs(filter, most);
      },
      [ask](Result<std::vector<store::RunInfo>> runs) {
        if (!runs) {
          ask.responder.fail(runs.error());
          return;
        }
        AskAwaiting awaiting;
        for (const store::RunInfo& run : *runs) {
          if (!store::has_ended(run.state))
            awaiting.runs.emplace(run.id, run.events);
        }
        awaiting.done = [responder = ask.responder, runs = std::move(*runs)](
                            const std::map<RunId, std::size_t>& counts) {
          Json list = Json::array();
          for (const store::RunInfo& run : runs) {
            list.push_back(to_json(run));
            const auto waits = counts.find(run.id);
            list.back()["awaiting_jobs"] =
                waits == counts.end() ? 0 : waits->second;
          }
          responder.succeed(Json{{"runs", std::move(list)}});
        };
        actors::send(ask.node.run_driver, std::move(awaiting));
      });
}

void list_triggers(const Ask& ask) {
  const auto times = ask.request.count("next", 1, {0, most_times});
  if (!times) {
    ask.responder.fail(times.error());
    return;
  }
  if (!ask.node.triggers) {
    ask.responder.succeed(Json{{"folder", ""},
                               {"webhook_address", ""},
                               {"triggers", Json::array()},
                               {"errors", Json::array()}});
    return;
  }
  actors::send(ask.node.triggers,
               AskTriggers{static_cast<std::size_t>(*times),
                           [responder = ask.responder](const Json& json) {
                             responder.succeed(json);
                           }});
}

/// What the queue says of the steps that run.
Result<Json> with_queue_states(
    Store& store, Json run,
    const std::map<JobId, queue::TasksAtHand>& at_hand) {
  for (Json& instance : run["instances"]) {
    for (Json& step : instance["steps"]) {
      if (step["state"] != "running" || step["job"].is_null())
        continue;
      const auto job = store.job(JobId{step["job"].get<std::uint64_t>()});
      if (!job)
        continue;
      step["state"] = to_string(as_it_looks(*job, at_hand).info.state);
      const auto task = store.task({job->id, 0});
      if (task)
        step["attempts"] = task->attempt;
    }
  }
  return run;
}

void show_run(const Ask& ask) {
  constexpr std::uint64_t most = InstancePage::most_instances_at_once;
  const auto id = ask.run();
  const auto from = ask.request.count("from", 0, {0, UINT32_MAX});
  const auto limit = ask.request.count("limit", most, {1, most});
  if (!id || !from || !limit) {
    ask.responder.fail(!id ? id.error() : !from ? from.error() : limit.error());
    return;
  }
  actors::send(
      ask.node.run_driver,
      AskRun{*id, {*from, *limit}, [ask](Result<Json> run) {
               if (!run) {
                 ask.responder.fail(run.error());
                 return;
               }
               with_snapshot(ask, [ask, run = std::move(*run)](
                                      const queue::DispatcherSnapshot& seen) {
                 ask.by_store([run, at_hand = seen.jobs](Store& store) {
                   return with_queue_states(store, run, at_hand);
                 });
               });
             }});
}

/// Answers with what `read` makes of the spec that is kept with a run.
void answer_from_spec(const Ask& ask,
                      Result<Json> (*read)(const std::string&)) {
  const auto id = ask.run();
  if (!id) {
    ask.responder.fail(id.error());
    return;
  }
  ask.by_store([id = *id, read](Store& store) -> Result<Json> {
    auto run = store.run(id);
    if (!run)
      return error_of(std::move(run));
    return read(run->run.spec);
  });
}

void show_workflow(const Ask& ask) {
  answer_from_spec(ask, [](const std::string& bytes) -> Result<Json> {
    const auto spec = decode_run_spec(bytes);
    if (!spec)
      return tl::unexpected(spec.error());
    Json json{{"file", spec->file}, {"text", spec->text}};
    if (!spec->files.empty())
      json["files"] = spec->files;
    return json;
  });
}

void change_run(
    const Ask& ask, RunNews news,
    std::function<Result<void>(const RunCore&, RunNews&)> check = {}) {
  const auto id = ask.run();
  if (!id) {
    ask.responder.fail(id.error());
    return;
  }
  actors::send(ask.node.run_driver,
               ChangeRun{*id, std::move(news),
                         [responder = ask.responder](const Result<void>& did) {
                           if (did)
                             responder.succeed(done());
                           else
                             responder.fail(did.error());
                         },
                         std::move(check)});
}

void cancel_run(const Ask& ask) { change_run(ask, RunCancelled{}); }

void retry_run(const Ask& ask) {
  RunRetried retried;
  if (!ask.request.body.is_null()) {
    queue::JsonFields fields{ask.request.body, ""};
    fields.read("from", retried.from);
    if (auto finished = fields.finish(); !finished) {
      ask.responder.fail(finished.error());
      return;
    }
  }
  change_run(ask, std::move(retried));
}

/// Whether the caller may say something to the approval of a job: if the file
/// names those who may, he has to be one of them, whatever else he may do.
Result<void> check_approver(const RunCore& core, const std::string& job,
                            const api::Caller& caller) {
  const workflow::Approval* approval = nullptr;
  for (const workflow::Job& one : core.workflow().jobs) {
    if (one.id == job)
      approval = one.approval.get();
  }
  const bool anybody = approval == nullptr || approval->approvers.empty();
  if (anybody && caller.role < Role::operate)
    return failure(Errc::permission_denied,
                   fmt::format("{} may only look at runs",
                               printable(user_name(caller.uid))));
  if (anybody || is_one_of(caller.uid, approval->approvers))
    return {};
  return failure(Errc::permission_denied,
                 fmt::format("{} is not among those who may approve job {}: {}",
                             printable(user_name(caller.uid)), printable(job),
                             printable(fmt::format(
                                 "{}", fmt::join(approval->approvers, ", ")))));
}

void answer_run(const Ask& ask) {
  RunAnswered answered{.job = ask.request.path.at(1), .answer = {}};
  std::optional<std::map<std::string, std::string>> inputs;
  if (!read_body(ask, [&](queue::JsonFields& fields) {
        fields.read("approved", answered.answer.approved);
        fields.read("reason", answered.answer.reason);
        fields.read("inputs", inputs);
      }))
    return;
  if (inputs)
    answered.answer.inputs.assign(inputs->begin(), inputs->end());
  // The kernel says who it is, and not the request.
  auto check = [caller = ask.request.caller](const RunCore& core,
                                             RunNews& news) {
    auto& told = std::get<RunAnswered>(news);
    told.answer.who = user_name(caller.uid);
    return check_approver(core, told.job, caller);
  };
  change_run(ask, std::move(answered), std::move(check));
}

/// What runs the services of a run asks for what it needs to know of it.
void show_run_spec(const Ask& ask) {
  answer_from_spec(ask, [](const std::string& bytes) -> Result<Json> {
    return Json{{"spec", bytes}};
  });
}

void note_services(const Ask& ask) {
  auto told = services_from_json(ask.request.body);
  if (!told) {
    ask.responder.fail(told.error());
    return;
  }
  change_run(ask, std::move(*told));
}

void forget_run(const Ask& ask) {
  const auto id = ask.run();
  if (!id) {
    ask.responder.fail(id.error());
    return;
  }
  queue::call(
      ask.node.store, [id = *id](Store& store) { return store.forget_run(id); },
      [&node = ask.node, responder = ask.responder,
       id = *id](Result<std::vector<JobId>> jobs) {
        if (!jobs) {
          responder.fail(jobs.error().code == Errc::invalid_argument
                             ? std::move(jobs.error())
                                   .within(fmt::format("run {}", run_name(id)))
                             : jobs.error());
          return;
        }
        for (const JobId job : *jobs) {
          node.housekeeper.remove_output(job);
          node.watch->changed(job);
        }
        node.housekeeper.remove_files_of(id);
        responder.succeed({{"jobs", jobs->size()}});
      });
}

// -- Events ------------------------------------------------------------------

Result<std::set<JobId>> jobs_in(const std::string& text) {
  std::set<JobId> jobs;
  std::string_view rest = text;
  while (true) {
    const std::size_t comma = rest.find(',');
    const auto number = number_of(std::string{rest.substr(0, comma)}, "job");
    if (!number)
      return tl::unexpected(number.error());
    jobs.insert(JobId{*number});
    if (comma == std::string_view::npos)
      return jobs;
    rest.remove_prefix(comma + 1);
  }
}

void watch_jobs(const Ask& ask) {
  const auto text = ask.request.text("jobs");
  if (!text) {
    ask.node.watch->watch(ask.responder.begin_events(), std::nullopt);
    return;
  }
  const auto jobs = jobs_in(*text);
  if (!jobs) {
    ask.responder.fail(jobs.error());
    return;
  }
  queue::call(
      ask.node.store,
      [jobs = *jobs](Store& store) -> Result<void> {
        for (const JobId id : jobs) {
          if (auto job = store.job(id); !job)
            return error_of(std::move(job));
        }
        return {};
      },
      [&node = ask.node, jobs = *jobs,
       responder = ask.responder](const Result<void>& all) {
        if (!all) {
          responder.fail(all.error());
          return;
        }
        boost::asio::post(node.io, [watch = node.watch, jobs, responder] {
          watch->watch(responder.begin_events(), jobs);
        });
      });
}

}  // namespace

std::vector<Operation> operations(NodeContext& context) {
  std::vector<Operation> table;
  const auto add = [&](HttpMethod method, const char* path, Role role,
                       const char* summary, Perform perform,
                       std::size_t most_body = 0,
                       std::vector<std::string> query = {}) {
    table.push_back(
        {.method = method,
         .path = path,
         .role = role,
         .query = std::move(query),
         .most_body_bytes = most_body,
         .summary = summary,
         .handler = [&context, perform](HttpRequest request,
                                        HttpResponder responder) {
           perform({context, std::move(request), std::move(responder)});
         }});
  };
  const auto get = HttpMethod::get;
  const auto post = HttpMethod::post;
  const auto put = HttpMethod::put;
  const auto patch = HttpMethod::patch;
  const auto remove = HttpMethod::remove;
  const auto read = Role::read;
  const auto operate = Role::operate;
  const auto admin = Role::admin;

  add(get, "/v1/node", read, "Who answers", show_node);
  add(post, "/v1/node/stop", admin, "End the node", stop_node, small_body);
  add(post, "/v1/node/hold", operate, "Start nothing more", hold_node,
      small_body);
  add(post, "/v1/node/resume", operate, "Start commands again", resume_node);

  add(get, "/v1/jobs", read, "Jobs, the newest first", list_jobs, 0,
      {"group", "tag", "set", "before", "limit", "run"});
  add(post, "/v1/jobs", operate, "Submit a job", submit_job, large_body);
  add(get, "/v1/jobs/{job}", read, "One job with its command", show_job);
  add(patch, "/v1/jobs/{job}", operate, "Change a job that has not ended",
      edit_job, large_body);
  add(remove, "/v1/jobs/{job}", operate,
      "Forget a job that has ended, and its output", forget_job);
  add(post, "/v1/jobs/{job}/arguments", operate,
      "Add tasks to a job that is open", add_arguments, large_body);
  add(post, "/v1/jobs/{job}/seal", operate, "All arguments are there",
      seal_job);
  add(get, "/v1/jobs/{job}/why", read, "Why nothing, or no more, of a job runs",
      explain_job);
  add(post, "/v1/jobs/{job}/cancel", operate,
      "End what runs of a job and cancel what waits", cancel_job);
  add(post, "/v1/jobs/{job}/hold", operate, "Start nothing more of a job",
      hold_job, small_body);
  add(post, "/v1/jobs/{job}/resume", operate, "Let a job that is held start",
      resume_job);
  add(post, "/v1/jobs/{job}/retry", operate,
      "Let tasks that did not succeed wait again", retry_job, small_body);

  add(get, "/v1/jobs/{job}/tasks", read, "Tasks that have ended, in order",
      list_results, 0, {"from", "limit"});
  add(get, "/v1/jobs/{job}/tried", read,
      "Numbers of tasks that have or had an attempt, in order", list_tried, 0,
      {"from", "limit"});
  add(get, "/v1/jobs/{job}/tasks/{task}", read,
      "One task with the ends of all its attempts", show_task);
  add(get, "/v1/jobs/{job}/tasks/{task}/log", read,
      "What an attempt has written, byte for byte", read_log, 0,
      {"attempt", "follow", "tail", "format"});

  add(get, "/v1/runs", read, "Runs of workflows, the newest first", list_runs,
      0, {"set", "before", "limit"});
  add(post, "/v1/runs", operate, "Submit a run of a workflow", submit_run,
      large_body);
  add(get, "/v1/runs/{run}", read, "One run with its jobs and their steps",
      show_run, 0, {"from", "limit"});
  add(remove, "/v1/runs/{run}", operate,
      "Forget a run that has ended, with its jobs and their output",
      forget_run);
  add(get, "/v1/runs/{run}/workflow", read, "The workflow as it was submitted",
      show_workflow);
  add(post, "/v1/runs/{run}/cancel", operate,
      "End a run in order, and what cleans up if asked again", cancel_run);
  add(post, "/v1/runs/{run}/retry", operate,
      "Run what has not succeeded once more", retry_run, small_body);
  add(post, "/v1/runs/{run}/jobs/{job}/answer", read,
      "Approve a job that waits for it, or reject it", answer_run, medium_body);

  add(get, "/v1/runs/{run}/services", operate,
      "What runs the services of a run needs to know", show_run_spec);
  add(post, "/v1/runs/{run}/services", operate,
      "Tell a run how its services are", note_services, large_body);

  add(get, "/v1/content", operate,
      "Files of caches and artifacts, of this node or of another one",
      get_content, 0, {"node", "artifact", "result", "blob"});

  add(get, "/v1/triggers", read, "What starts runs by itself, and when",
      list_triggers, 0, {"next"});

  add(get, "/v1/groups", read, "Groups with what waits and runs in them",
      list_groups);
  add(put, "/v1/groups/{group}", operate, "Add or change a group", set_group,
      small_body);
  add(remove, "/v1/groups/{group}", operate, "Remove a group without jobs",
      remove_group);
  add(post, "/v1/groups/{group}/hold", operate, "Start nothing more of a group",
      hold_group, small_body);
  add(post, "/v1/groups/{group}/resume", operate,
      "Let a group that is held start, and close its breaker", resume_group);

  add(get, "/v1/cluster", read, "The nodes that share the store", show_cluster);
  add(get, "/v1/cluster/owner", read, "Who looks first for what has a key",
      show_owner, 0, {"key"});
  add(post, "/v1/cluster/consent", admin,
      "Let others take over what many nodes had at once", consent_to_evictions,
      small_body);
  add(post, "/v1/cluster/drain", admin, "Let a node leave its cluster in order",
      drain_node, small_body);
  add(get, "/v1/stats", read, "Counts and rates since the node has started",
      show_stats);
  add(get, "/v1/events", read, "Tell of jobs as they change", watch_jobs, 0,
      {"jobs"});
  return table;
}

}  // namespace troupe::node
