#include "store_property_test.hpp"

#include <troupe/store/model_store.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <set>

namespace troupe::store {
namespace {

constexpr int most_sessions = 10;

/// A number below `n`, evenly whatever the size of the test case.
template <class T>
T below(T n) {
  return *rc::gen::resize(rc::kNominalSize, rc::gen::inRange<T>(0, n));
}

template <class T>
std::optional<Errc> code_of(const Result<T>& result) {
  if (result)
    return std::nullopt;
  return result.error().code;
}

/// Both answer the same: an error of the same code, or the same value.
template <class T>
void same(const Result<T>& a, const Result<T>& b) {
  RC_ASSERT(code_of(a) == code_of(b));
  if constexpr (!std::is_void_v<T>) {
    if (a)
      RC_ASSERT(*a == *b);
  }
}

class Pair {
 public:
  explicit Pair(std::function<std::unique_ptr<SqlStore>(bool)> open)
      : open_{std::move(open)}, tables_{open_(/*is_first=*/true)} {}

  void step() {
    now_ += *rc::gen::element<Duration>(0ms, 1ms, 1s, 1h);
    switch (below(29)) {
      case 0:
      case 1:
      case 2:
        submit();
        break;
      case 3:
      case 4:
      case 5:
      case 6:
      case 7:
        claim();
        break;
      case 8:
        start();
        break;
      case 9:
      case 10:
      case 11:
      case 12:
        complete();
        break;
      case 13:
      case 28:
        release();
        break;
      case 14:
        wake();
        break;
      case 15:
      case 24:
        change_session();
        break;
      case 25:
      case 26:
        renew_or_evict();
        break;
      case 27:
        propose();
        break;
      case 16:
        cancel();
        break;
      case 17:
        change_job();
        break;
      case 18:
        change_group();
        break;
      case 19:
        edit();
        break;
      case 20:
      case 21:
        begin_run();
        break;
      case 22:
        change_run();
        break;
      default:
        if (below(4) == 0)
          reopen();
        else
          RC_ASSERT(tables_->tidy(2).has_value());
        break;
    }
  }

  /// Of what the nodes of a cluster do all the time, and little else.
  void step_of_cluster() {
    now_ += *rc::gen::element<Duration>(0ms, 1s);
    switch (below(17)) {
      case 16:
        both([group = Group{.name = "default",
                            .slots = 1 + below<std::uint32_t>(6)}](Store& s) {
          return s.set_group(group);
        });
        break;
      case 0:
      case 1:
        submit_sealed();
        break;
      case 2:
      case 3:
      case 4:
        claim();
        break;
      case 5:
      case 6:
        start();
        break;
      case 7:
      case 8:
        complete();
        break;
      case 9:
      case 10:
        release();
        break;
      case 11:
        wake();
        break;
      case 12:
        change_session();
        break;
      case 13:
      case 14:
        renew_or_evict();
        break;
      default:
        propose();
        break;
    }
  }

  /// All that can be seen.
  void compare() {
    const auto jobs = model_.jobs({}, 1000);
    same(jobs, tables_->jobs({}, 1000));
    for (const JobInfo& job : *jobs) {
      same(model_.results(job.id, 0, 1000), tables_->results(job.id, 0, 1000));
      same(model_.tried(job.id, 0, 1000), tables_->tried(job.id, 0, 1000));
      RC_ASSERT(job.counts.waiting + job.counts.retrying + job.counts.running +
                    job.counts.ended() ==
                job.counts.tasks);
    }
    same(model_.groups(), tables_->groups());
    for (const char* const group : {"default", "g", "none"})
      same(model_.claims_in(group), tables_->claims_in(group));
    same(model_.queues(), tables_->queues());
    same(model_.open_sessions(), tables_->open_sessions());
    same(model_.sessions(), tables_->sessions());
    same(model_.view(), tables_->view());
    const std::vector<std::uint32_t> shards{some_shard(), 2};
    same(model_.queues_of(shards), tables_->queues_of(shards));
    const std::uint32_t shard = some_shard();
    const auto limit = below<std::uint32_t>(4);
    same(model_.queues_from(shard, limit), tables_->queues_from(shard, limit));
    const auto set = static_cast<JobSet>(below(6));
    same(model_.oldest_ended(set, 3), tables_->oldest_ended(set, 3));
    same(model_.count_ended(), tables_->count_ended());
    const std::vector<JobId> some{some_job(), JobId{some_job().value + 1}};
    same(model_.forgotten(some), tables_->forgotten(some));
    const std::vector<RunId> some_runs{RunId{1}, RunId{2}, RunId{3}};
    same(model_.forgotten_runs(some_runs), tables_->forgotten_runs(some_runs));
    same(model_.next_wake(), tables_->next_wake());
    for (int i = 0; i < most_sessions; ++i) {
      const SessionId session{fmt::format("s{}", i)};
      same(model_.claimed_by(session), tables_->claimed_by(session));
    }
    const JobFilter filter{
        .group = below(2) == 0 ? std::optional<std::string>{"g"} : std::nullopt,
        .tag = below(2) == 0 ? std::optional<std::string>{"t"} : std::nullopt,
        .set = static_cast<JobSet>(below(6)),
        .before = JobId{below<std::uint64_t>(12)},
        .run = below(2) == 0 ? std::optional{some_run()} : std::nullopt};
    same(model_.jobs(filter, 3), tables_->jobs(filter, 3));
    same(model_.runs({}, 1000), tables_->runs({}, 1000));
    const RunFilter runs{.set = static_cast<RunSet>(below(4)),
                         .before = some_run()};
    same(model_.runs(runs, 2), tables_->runs(runs, 2));
    same(model_.oldest_ended_runs(2), tables_->oldest_ended_runs(2));
    same(model_.count_ended_runs(), tables_->count_ended_runs());
    const RunId run = some_run();
    same(model_.run(run), tables_->run(run));
    const auto first = below<std::uint64_t>(4);
    same(model_.events(run, first, 2), tables_->events(run, first, 2));
    const JobId job = some_job();
    same(model_.job(job), tables_->job(job));
    same(model_.next_due(job), tables_->next_due(job));
    const std::string request = fmt::format("r{}", below(30));
    same(model_.known(request), tables_->known(request));
    const auto from = below<std::uint64_t>(5);
    same(model_.results(job, from, 2), tables_->results(job, from, 2));
    same(model_.tried(job, from, 2), tables_->tried(job, from, 2));
    same(model_.task({job, from}), tables_->task({job, from}));
    same(model_.attempts({job, from}), tables_->attempts({job, from}));
  }

 private:
  /// What was acknowledged is there afterwards.
  void reopen() {
    tables_.reset();
    tables_ = open_(/*is_first=*/false);
  }

  template <class F>
  void both(F call) {
    same(call(static_cast<Store&>(model_)),
         call(static_cast<Store&>(*tables_)));
  }
  template <class F>
  auto both_clusters(F call) {
    auto answer = call(static_cast<ClusterStore&>(model_));
    same(answer, call(static_cast<ClusterStore&>(*tables_)));
    return answer;
  }

  JobId some_job() { return JobId{below<std::uint64_t>(jobs_ + 2)}; }
  RunId some_run() { return RunId{below<std::uint64_t>(runs_ + 2)}; }
  /// Mostly one that is open.
  SessionId some_session() {
    const auto open = model_.open_sessions();
    if (!open->empty() && below(5) != 0)
      return (*open)[below(open->size())];
    return {fmt::format("s{}", below(most_sessions))};
  }
  std::uint32_t some_shard() {
    return *rc::gen::element<std::uint32_t>(0, 1, 3);
  }
  std::string some_group() {
    return *rc::gen::element<std::string>("default", "g", "none");
  }

  std::string some_resources() {
    return *rc::gen::element<std::string>("", "gpu=1");
  }

  /// Mostly one that the session holds.
  AttemptRef some_attempt(const SessionId& session) {
    const auto held = model_.claimed_by(session);
    if (!held->empty() && below(3) != 0)
      return (*held)[below(held->size())].attempt;
    if (!seen_.empty() && below(8) != 0)
      return seen_[below(seen_.size())];
    return {{some_job(), below<std::uint64_t>(4)}, below<std::uint32_t>(3)};
  }

  void submit() {
    NewJob job;
    job.request_id = fmt::format("r{}", below(30));
    job.name = "n";
    job.group = some_group();
    job.resources = some_resources();
    job.priority = static_cast<Priority>(1 + below(4));
    job.delivery = static_cast<Delivery>(1 + below(2));
    job.spec = std::string("a\0b", 3);
    if (below(2) == 0)
      job.tags = {"t", "u"};
    for (int i = below(3); i > 0; --i)
      job.needs.push_back({some_job(), static_cast<When>(1 + below(3))});
    if (below(3) == 0)
      job.not_before = now_ + std::chrono::hours{below(3)};
    if (below(3) == 0)
      job.run = some_run();
    for (int i = below(3); i > 0; --i)
      job.shards.push_back(some_shard());
    const auto submitted = model_.open_job(job, now_);
    same(submitted, tables_->open_job(job, now_));
    if (!submitted)
      return;
    jobs_ = std::max(jobs_, submitted->job.value);
    const JobId id = submitted->job;
    for (std::uint64_t chunk = 0; chunk < below<std::uint64_t>(3); ++chunk) {
      const std::uint64_t number = below<std::uint64_t>(3);
      if (below(2) == 0) {
        const auto count = below<std::uint64_t>(4);
        both([&](Store& s) { return s.append_range(id, number, count); });
      } else {
        const std::vector<std::string> arguments(below<std::size_t>(4), "x\n");
        both([&](Store& s) { return s.append(id, number, arguments); });
      }
    }
    if (below(4) != 0)
      both([&](Store& s) { return s.seal(id, now_); });
  }

  void submit_sealed() {
    NewJob job{.request_id = fmt::format("c{}", jobs_),
               .delivery = static_cast<Delivery>(1 + below(2))};
    if (below(2) == 0)
      job.shards = {3, 1};
    const auto submitted = model_.open_job(job, now_);
    same(submitted, tables_->open_job(job, now_));
    jobs_ = std::max(jobs_, submitted->job.value);
    const auto count = 1 + below<std::uint64_t>(3);
    both([&](Store& s) { return s.append_range(submitted->job, 0, count); });
    both([&](Store& s) { return s.seal(submitted->job, now_); });
  }

  void claim() {
    const SessionId session = some_session();
    QueueId queue{some_group(), some_resources(), some_shard()};
    const auto heads = model_.queues();
    if (!heads->empty() && below(4) != 0)
      queue = (*heads)[below(heads->size())].queue;
    claim(session, queue, below<std::uint32_t>(5));
  }

  void claim(const SessionId& session, const QueueId& queue,
             std::uint32_t limit) {
    const bool is_within_slots = below(3) == 0;
    const auto claim_of = [&](Store& store) {
      return is_within_slots ? store.claim_within_slots(session, queue, limit)
                             : store.claim(session, queue, limit);
    };
    const auto before = taken_slots(queue.group);
    const auto claims = claim_of(model_);
    same(claims, claim_of(*tables_));
    if (!claims)
      return;
    if (is_within_slots && !claims->empty())
      RC_ASSERT(before + claims->size() <= slots_of(queue.group));
    for (const Claim& claim : *claims) {
      seen_.push_back(claim.attempt);
      // Each attempt is given out once, over all time, or has a new number if
      // it was given back.
      RC_ASSERT(claim.attempt.claim > last_claim_);
      const AttemptRef name{claim.attempt.task, claim.attempt.attempt};
      RC_ASSERT(released_.contains(name) || given_.insert(name).second);
      released_.erase(name);
    }
    if (!claims->empty())
      last_claim_ = claims->front().attempt.claim;
    // Who has ended claims nothing.
    RC_ASSERT(claims->empty() || is_open(session));
  }

  /// Of all sessions.
  std::uint64_t taken_slots(const std::string& group) {
    std::uint64_t taken = 0;
    const auto claims = model_.claims_in(group);
    for (const auto& [session, count] : *claims)
      taken += count;
    return taken;
  }
  std::uint64_t slots_of(const std::string& name) {
    const auto groups = model_.groups();
    for (const GroupInfo& info : *groups) {
      if (info.group.name == name)
        return info.group.slots;
    }
    return 0;
  }

  void start() {
    const SessionId session = some_session();
    const std::vector<AttemptRef> attempts{some_attempt(session),
                                           some_attempt(session)};
    both([&](Store& s) { return s.start(session, attempts); });
  }

  void complete() {
    const SessionId session = some_session();
    std::vector<Completion> completions;
    for (int i = below(4); i > 0; --i) {
      Completion completion;
      completion.attempt = some_attempt(session);
      completion.outcome =
          static_cast<Outcome>(below(10) == 0 ? 1 + below(6) : 1 + below(4));
      completion.exit_status = below(3);
      completion.detail = "why";
      if (below(3) == 0 && completion.outcome != Outcome::success)
        completion.retry_at = now_ + std::chrono::minutes{below(90)};
      if (below(2) == 0)
        completion.started = now_ - std::chrono::minutes{below(90)};
      if (below(2) == 0)
        completion.ended = now_ + std::chrono::minutes{below(90) - 80};
      completions.push_back(std::move(completion));
    }
    const auto recorded = model_.complete(session, completions, now_);
    same(recorded, tables_->complete(session, completions, now_));
    // Who has ended completes nothing.
    if (recorded && !is_open(session))
      RC_ASSERT(std::count(recorded->begin(), recorded->end(), Recorded::yes) ==
                0);
    if (!recorded)
      return;
    std::vector<LateResult> late;
    for (std::size_t i = 0; i < completions.size(); ++i) {
      if ((*recorded)[i] == Recorded::fenced)
        late.push_back({completions[i].attempt, fmt::format("late {}", i)});
    }
    both([&](Store& s) { return s.keep_late(session, late); });
  }

  void release() {
    const SessionId session = some_session();
    const std::vector<AttemptRef> attempts{some_attempt(session)};
    const auto held = model_.claimed_by(session);
    if (std::any_of(held->begin(), held->end(), [&](const Claim& claim) {
          return claim.attempt == attempts[0];
        }))
      released_.insert({attempts[0].task, attempts[0].attempt});
    both([&](Store& s) { return s.release(session, attempts); });
    const auto info = model_.job(attempts[0].task.job);
    if (!info || below(3) == 0)
      return;
    // It is claimed once more, maybe, and what is said of the claim before
    // comes late.
    const NewJob& job = info->job;
    claim(session,
          {job.group, job.resources, job.shards.empty() ? 0 : job.shards[0]},
          4);
    const Completion completion{.attempt = attempts[0]};
    switch (below(3)) {
      case 0:
        both([&](Store& s) { return s.start(session, attempts); });
        break;
      case 1:
        both([&](Store& s) { return s.release(session, attempts); });
        break;
      default:
        both([&](Store& s) {
          return s.complete(session, {&completion, 1}, now_);
        });
        break;
    }
  }

  void wake() {
    const auto limit = below<std::uint32_t>(5);
    both([&](Store& s) { return s.wake(now_, limit); });
  }

  void change_session() {
    const SessionId session{fmt::format("s{}", below(most_sessions))};
    switch (below(6)) {
      case 0:
        both([&](Store& s) { return s.open_session(session); });
        break;
      case 1:
        both([&](Store& s) { return s.end_session(session, now_); });
        break;
      default: {
        const NewSession begun{.session = session,
                               .node = fmt::format("n{}", below(3)),
                               .incarnation = below<std::uint64_t>(8),
                               .detail = std::string("a\0b", 3)};
        both_clusters(
            [&](ClusterStore& s) { return s.register_session(begun, now_); });
        break;
      }
    }
  }

  void renew_or_evict() {
    const SessionId session = some_session();
    if (below(3) != 0) {
      const bool is_draining = below(4) == 0;
      both_clusters(
          [&](ClusterStore& s) { return s.renew(session, is_draining, now_); });
      return;
    }
    std::uint64_t counter = below<std::uint64_t>(3);
    const auto all = model_.sessions();
    for (const SessionInfo& info : *all) {
      if (info.session.session == session && below(4) != 0)
        counter = info.counter;
    }
    const auto evicted = both_clusters(
        [&](ClusterStore& s) { return s.evict(session, counter, now_); });
    if (evicted && *evicted)
      RC_ASSERT(!is_open(session) && model_.claimed_by(session)->empty());
  }

  void propose() {
    const AgreedView next{model_.view()->number + below<std::uint64_t>(3),
                          std::string("v\0", 2)};
    both_clusters([&](ClusterStore& s) { return s.propose(next); });
    const KnownRoster roster{below<std::uint64_t>(5), std::string("r\0", 2)};
    both_clusters([&](ClusterStore& s) { return s.set_roster(roster); });
    both_clusters(
        [&](ClusterStore& s) { return s.roster_after(roster.number / 2); });
  }

  bool is_open(const SessionId& session) {
    const auto open = model_.open_sessions();
    return std::find(open->begin(), open->end(), session) != open->end();
  }

  void cancel() {
    const JobId job = some_job();
    both([&](Store& s) { return s.cancel(job, now_); });
  }

  void change_job() {
    const JobId job = some_job();
    switch (below(4)) {
      case 0: {
        const bool is_held = below(2) == 0;
        both([&](Store& s) { return s.hold(job, is_held); });
        break;
      }
      case 1:
        both([&](Store& s) {
          return s.retry(
              job, job.value % 2 == 0 ? Retry::failed : Retry::not_succeeded);
        });
        break;
      case 2:
        both([&](Store& s) { return s.seal(job, now_); });
        break;
      default:
        both([&](Store& s) { return s.forget(job); });
        break;
    }
  }

  void edit() {
    const JobId job = some_job();
    JobEdit edit;
    switch (below(6)) {
      case 0:
        edit.name = "renamed";
        edit.tags = {"u"};
        break;
      case 1:
        edit.group = some_group();
        break;
      case 2:
        edit.resources = some_resources();
        break;
      case 3:
        edit.priority = static_cast<Priority>(1 + below(4));
        break;
      case 4:
        edit.spec = "other";
        break;
      default:
        edit.not_before = now_ + std::chrono::minutes{below(90)};
        break;
    }
    both([&](Store& s) { return s.edit(job, edit, now_); });
  }

  void begin_run() {
    const NewRun run{.request_id = fmt::format("r{}", below(10)),
                     .name = "n",
                     .spec = std::string("a\0b", 3)};
    const auto begun = model_.open_run(run, now_);
    same(begun, tables_->open_run(run, now_));
    if (begun)
      runs_ = std::max(runs_, begun->run.value);
  }

  void change_run() {
    const RunId run = some_run();
    if (below(4) == 0) {
      both([&](Store& s) { return s.forget_run(run); });
      return;
    }
    const auto known = model_.run(run);
    const std::uint64_t next = known ? known->events : 0;
    const RunEvent event{.number = next + below<std::uint64_t>(3) -
                                   std::min<std::uint64_t>(next, 1),
                         .what = std::string("e\0", 2),
                         .at = now_};
    const auto state = static_cast<RunState>(1 + below(4));
    const RunCounts counts{5, below<std::uint64_t>(6), 1};
    both([&](Store& s) { return s.add_event(run, event, state, counts); });
  }

  void change_group() {
    if (below(4) == 0) {
      const std::string name = some_group();
      both([&](Store& s) { return s.remove_group(name); });
      return;
    }
    const Group group{.name = "g",
                      .slots = below<std::uint32_t>(3),
                      .is_held = below(3) == 0,
                      .weight = below<std::uint32_t>(4),
                      .break_after = below<std::uint32_t>(2)};
    both([&](Store& s) { return s.set_group(group); });
  }

  std::function<std::unique_ptr<SqlStore>(bool)> open_;
  ModelStore model_;
  std::unique_ptr<SqlStore> tables_;
  WallTime now_{std::chrono::hours{1'000'000}};
  std::uint64_t jobs_ = 0;
  std::uint64_t runs_ = 0;
  std::vector<AttemptRef> seen_;
  std::uint64_t last_claim_ = 0;
  std::set<AttemptRef> given_;  ///< Without the numbers of their claims.
  std::set<AttemptRef> released_;
};

}  // namespace

void do_as_the_model_does(const OpenStore& open, int steps_per_look,
                          Histories histories) {
  const testing::TempDir folder;
  Pair stores{[&](bool is_first) { return open(folder, is_first); }};
  const int steps = below(120);
  for (int i = 0; i < steps; ++i) {
    if (histories == Histories::of_clusters)
      stores.step_of_cluster();
    else
      stores.step();
    if (i % steps_per_look == 0)
      stores.compare();
  }
  stores.compare();
}

}  // namespace troupe::store
