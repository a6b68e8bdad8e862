#include <troupe/base/exit_status.hpp>
#include <troupe/base/log.hpp>
#include <troupe/base/overload.hpp>
#include <troupe/base/random.hpp>
#include <troupe/base/text.hpp>
#include <troupe/queue/attempt_end.hpp>
#include <troupe/queue/dispatcher_actor.hpp>
#include <troupe/queue/job_spec.hpp>
#include <troupe/queue/labels.hpp>
#include <troupe/queue/shard_look_core.hpp>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <fmt/format.h>
#include <set>
#include <utility>
#include <variant>

namespace troupe::queue {
namespace {

using actors::Actor;
using actors::ActorRef;
using actors::Behavior;
using process::AttemptEnded;
using process::AttemptEvent;
using process::AttemptId;
using process::AttemptStarted;
using store::AttemptRef;
using store::Claim;
using store::Completion;
using store::JobId;
using store::Outcome;
using store::QueueId;
using store::Recorded;
using store::SessionId;
using store::Store;

constexpr int index_bits = 24;
static_assert(store::most_tasks < (std::uint64_t{1} << index_bits));

/// Due jobs and retries that are looked at in one go.
constexpr std::uint32_t most_woken = 10'000;
/// Results that are recorded in one go.
constexpr std::size_t most_recorded = 1000;
/// Results that wait to be recorded before nothing more is started.
constexpr std::size_t most_unrecorded = 10'000;
constexpr Duration store_pause = 1s;
/// Of the store in a row of pauses, before the rest is left to the next node.
constexpr int most_failures_at_end = 3;
constexpr Duration sample_interval = 1s;
constexpr std::size_t most_listed = 1000;
/// Specs that are kept beyond those of tasks at hand.
constexpr std::size_t most_known_jobs = 256;

/// What is known of a job whose tasks are at hand.
struct KnownJob {
  QueueId queue;
  store::Delivery delivery = store::Delivery::at_least_once;
  Result<JobCommand> command;
  bool is_cancelled = false;
};
using KnownJobs = std::map<JobId, std::shared_ptr<const KnownJob>>;

/// A command has the environment that its job came with, or that one: never
/// ours, which may have what is not for commands.
void set_environment(
    JobSpec& spec,
    const std::vector<std::pair<std::string, std::string>>& without) {
  process::CommandSpec& command = spec.request.spec;
  if (!command.clear_env)
    command.env = without;
  command.clear_env = true;
}

/// Gives the command what it is to get of our variables.
void add_node_variables(JobSpec& spec) {
  for (const auto& [name, ours] : spec.node_variables) {
    // Nobody changes our variables.
    if (const char* const value =
            std::getenv(ours.c_str()))  // NOLINT(concurrency-mt-unsafe)
      spec.request.spec.env.emplace_back(name, value);
  }
}

/// Puts our words where the command has those of another node.
void add_node_words(JobSpec& spec,
                    const std::map<std::string, std::string>& words) {
  for (const auto& [place, name] : spec.node_words) {
    const auto ours = words.find(name);
    if (ours != words.end() && place < spec.argv.size())
      spec.argv[place] = ours->second;
  }
}

KnownJob to_known(
    const store::JobInfo& info,
    const std::vector<std::pair<std::string, std::string>>& environment,
    const std::map<std::string, std::string>& words) {
  auto spec = decode(info.job.spec);
  if (spec) {
    set_environment(*spec, environment);
    add_node_variables(*spec);
    add_node_words(*spec, words);
  }
  return {.queue = {info.job.group, info.job.resources},
          .delivery = info.job.delivery,
          .command = spec ? JobCommand::make(std::move(*spec))
                          : tl::unexpected(spec.error()),
          .is_cancelled = info.is_cancelled};
}

/// Looks up those jobs of `claims` that are not in `known`.
Result<std::vector<store::JobInfo>> look_up(Store& store,
                                            const std::vector<Claim>& claims,
                                            const std::set<JobId>& known) {
  std::vector<store::JobInfo> found;
  std::set<JobId> seen = known;
  for (const Claim& claim : claims) {
    if (!seen.insert(claim.attempt.task.job).second)
      continue;
    auto info = store.job(claim.attempt.task.job);
    if (!info)
      return tl::unexpected(std::move(info.error()));
    found.push_back(std::move(*info));
  }
  return found;
}

/// Records results. What comes too late counts no more, but somebody may look
/// for what has become of it.
Result<std::vector<Recorded>> record_in(
    Store& store, const SessionId& session,
    const std::vector<Completion>& completions, WallTime now) {
  auto recorded = store.complete(session, completions, now);
  if (!recorded)
    return recorded;
  std::vector<store::LateResult> late;
  for (std::size_t i = 0; i < completions.size(); ++i) {
    if ((*recorded)[i] == Recorded::fenced)
      late.push_back(too_late(completions[i]));
  }
  if (late.empty())
    return recorded;
  if (const auto kept = store.keep_late(session, late); !kept)
    log(LogLevel::warn,
        fmt::format("late_results_not_kept results={} reason={}", late.size(),
                    shell_quote(kept.error().what)));
  return recorded;
}

/// So many tasks, from the first of these queues that has them.
struct Request {
  std::vector<QueueId> queues;
  std::uint32_t count = 0;
  bool is_shared = false;  ///< The slots of the group are for all nodes.
};

/// Work, with what is to be known of its jobs.
struct Work {
  std::vector<Claim> claims;
  std::vector<store::JobInfo> jobs;
  /// Where each of `claims` has waited, if that is known.
  std::vector<std::uint32_t> shards{};
};

Result<void> claim_from(Store& store, const SessionId& session,
                        const Request& request, Work& work) {
  std::uint32_t left = request.count;
  for (const QueueId& queue : request.queues) {
    if (left == 0)
      break;
    auto claims = request.is_shared
                      ? store.claim_within_slots(session, queue, left)
                      : store.claim(session, queue, left);
    if (!claims)
      return tl::unexpected(std::move(claims.error()));
    left -= static_cast<std::uint32_t>(claims->size());
    work.shards.insert(work.shards.end(), claims->size(), queue.shard);
    work.claims.insert(work.claims.end(),
                       std::make_move_iterator(claims->begin()),
                       std::make_move_iterator(claims->end()));
  }
  return {};
}

/// All that the session has claimed.
Result<Work> held_by(Store& store, const SessionId& session) {
  auto claims = store.claimed_by(session);
  if (!claims)
    return tl::unexpected(std::move(claims.error()));
  auto jobs = look_up(store, *claims, {});
  if (!jobs)
    return tl::unexpected(std::move(jobs.error()));
  return Work{std::move(*claims), std::move(*jobs)};
}

struct Look {
  std::vector<store::GroupInfo> groups;
  std::vector<store::QueueHead> heads;
  std::vector<store::QueueHead> abroad{};  ///< See ShardLookCore.
  std::optional<WallTime> next_wake;
};

// What comes back to the actor.

struct Inherited {
  Result<Work> work;
};
/// Those from this shard on, and then those before it.
Result<std::vector<store::QueueHead>> heads_around(Store& store,
                                                   std::uint32_t shard) {
  constexpr std::uint32_t most = ShardLookCore::most_abroad;
  auto heads = store.queues_from(shard, most);
  if (!heads || shard == 0 || heads->size() >= most)
    return heads;
  auto before =
      store.queues_from(0, most - static_cast<std::uint32_t>(heads->size()));
  if (!before)
    return before;
  for (store::QueueHead& head : *before) {
    if (head.queue.shard < shard)
      heads->push_back(std::move(head));
  }
  return heads;
}

/// In all shards, or where it is said.
Result<Look> look_at(Store& store,
                     const std::optional<ShardLookCore::Where>& where,
                     WallTime now) {
  if (auto woken = store.wake(now, most_woken); !woken)
    return tl::unexpected(std::move(woken.error()));
  auto groups = store.groups();
  auto heads = where ? store.queues_of(where->shards) : store.queues();
  auto abroad = where && where->abroad
                    ? heads_around(store, *where->abroad)
                    : Result<std::vector<store::QueueHead>>{};
  auto next = store.next_wake();
  if (!groups || !heads || !abroad || !next)
    return tl::unexpected(!groups   ? groups.error()
                          : !heads  ? heads.error()
                          : !abroad ? abroad.error()
                                    : next.error());
  return Look{std::move(*groups), std::move(*heads), std::move(*abroad), *next};
}

struct Looked {
  Result<Look> look;
};
struct Claimed {
  Result<Work> work;
};
struct Begun {
  std::vector<AttemptRef> attempts;
  Result<std::vector<bool>> may_start;
};
struct ResultsRecorded {
  std::vector<Completion> completions;
  Result<std::vector<Recorded>> recorded;
};
struct GivenBack {
  std::vector<AttemptRef> attempts;
  Result<void> done;
};
struct News {
  AttemptId id;
  AttemptEvent event;
};
struct TextsFound {
  AttemptRef attempt;
  std::shared_ptr<const AttemptEnded> ended;
  std::vector<bool> found;
};
struct EndSeen {
  AttemptRef attempt;
  std::shared_ptr<const AttemptEnded> ended;
  std::vector<bool> found;
  EndRead read;
};
struct LookAgain {
  std::uint64_t token = 0;
};
struct TryStoreAgain {};
struct ListClaims {};
struct Reclaimed {
  Result<Work> work;
};
struct PaceOver {};
struct JobsSeen {
  Result<std::vector<store::JobInfo>> jobs;
};
struct SampleMachine {};

}  // namespace
}  // namespace troupe::queue

TROUPE_LOCAL_MESSAGE(troupe::queue::Inherited)
TROUPE_LOCAL_MESSAGE(troupe::queue::Looked)
TROUPE_LOCAL_MESSAGE(troupe::queue::Claimed)
TROUPE_LOCAL_MESSAGE(troupe::queue::Begun)
TROUPE_LOCAL_MESSAGE(troupe::queue::ResultsRecorded)
TROUPE_LOCAL_MESSAGE(troupe::queue::GivenBack)
TROUPE_LOCAL_MESSAGE(troupe::queue::News)
TROUPE_LOCAL_MESSAGE(troupe::queue::TextsFound)
TROUPE_LOCAL_MESSAGE(troupe::queue::EndSeen)
TROUPE_LOCAL_MESSAGE(troupe::queue::LookAgain)
TROUPE_LOCAL_MESSAGE(troupe::queue::TryStoreAgain)
TROUPE_LOCAL_MESSAGE(troupe::queue::ListClaims)
TROUPE_LOCAL_MESSAGE(troupe::queue::Reclaimed)
TROUPE_LOCAL_MESSAGE(troupe::queue::PaceOver)
TROUPE_LOCAL_MESSAGE(troupe::queue::JobsSeen)
TROUPE_LOCAL_MESSAGE(troupe::queue::SampleMachine)

namespace troupe::queue {
namespace {

class DispatcherActor {
 public:
  DispatcherActor(Actor* self, std::shared_ptr<const DispatcherDeps> deps)
      : self_{self},
        deps_{std::move(deps)},
        is_first_{!*deps_->has_taken_over},
        core_{deps_->dispatch},
        governor_{deps_->governor},
        random_{deps_->seed} {
    if (deps_->member)
      shards_.emplace(deps_->member->look_every, random_.next());
  }

  Behavior make_behavior() {
    inherit();
    if (deps_->member)
      deps_->member->on_begin();
    return {
        [this](const Inherited& m) { take_over(m); },
        [this](const Looked& m) { on_looked(m); },
        [this](const Claimed& m) { on_claimed(m); },
        [this](const Begun& m) { on_begun(m); },
        [this](const ResultsRecorded& m) { on_recorded(m); },
        [this](const GivenBack& m) { on_given_back(m); },
        [this](const News& m) { on_news(m); },
        [this](const TextsFound& m) {
          const auto found = tasks_.find(m.attempt);
          if (found != tasks_.end())
            end_with_files(found->second, m.ended, m.found);
        },
        [this](const EndSeen& m) {
          const auto found = tasks_.find(m.attempt);
          if (found != tasks_.end())
            end(found->second, *m.ended, m.found, m.read);
        },
        [this](LookAgain m) {
          if (m.token == wake_token_)
            look();
        },
        [this](TryStoreAgain) { try_store_again(); },
        [this](ListClaims) {
          is_list_due_ = is_listing_ || !is_ending_;
          list_when_quiet();
          list_later();
        },
        [this](const Reclaimed& m) { on_reclaimed(m); },
        [this](PaceOver) {
          is_paced_ = false;
          record();
          claim();
          look();
        },
        [this](SampleMachine) { sample(); },
        [this](const WorkArrived& m) {
          if (shards_)
            shards_->tell(m.shards, m.found);
          look();
        },
        [this](MayWork m) {
          may_work_ = m.may;
          may_go_on_ = m.may_go_on;
          if (is_leaving())
            give_back_what_would_begin();
          start_all();
          look();
        },
        [this](const OwnShards& m) {
          shards_->set_own(m.shards, m.all);
          look();
        },
        [this](const JobsSeen& m) { on_jobs_seen(m); },
        [this](const StopTasks& m) {
          for (const AttemptRef& attempt : m.attempts)
            cancel(attempt);
          record();
        },
        [this](JobChanged m) {
          known_.erase(m.job);
          give_back_if([&](const Claim& claim) {
            return claim.attempt.task.job == m.job;
          });
          look();
        },
        [this](const GroupChanged& m) {
          give_back_group(m.group);
          look();
        },
        [this](HoldNode m) {
          core_.hold(m.is_held);
          start_all();
          look();
        },
        [this](const PauseTasks& m) { pause(m); },
        [this](const CloseBreaker& m) {
          core_.close_breaker(m.group, actors::now(self_));
          start_all();
          look();
        },
        [this](const AskObstacle& m) {
          Obstacle obstacle =
              core_.obstacle(m.queue, room(), actors::now(self_));
          if (obstacle.kind == Hindrance::memory && !deps_->has_disk_space())
            obstacle.kind = Hindrance::disk;
          m.done(std::move(obstacle));
        },
        [this](const AskSnapshot& m) { m.done(snapshot()); },
        [this](const EndWork& m) { end_work(m); },
    };
  }

 private:
  /// What has been claimed and has not started.
  struct Ready {
    Claim claim;
    std::shared_ptr<const KnownJob> job;
    std::optional<FromAbroad> from;
  };

  /// A task at hand that has left `ready_`.
  struct Task {
    Claim claim;
    std::shared_ptr<const KnownJob> job;
    std::optional<FromAbroad> from;
    DispatchCore::Start slot;
    WallTime started{};
    int pid = 0;
    bool is_cancelled = false;
    bool is_launched = false;
    bool is_paused = false;
  };

  // -- The store -------------------------------------------------------------

  /// Calls the store; the answer comes back as a message that `wrap` makes.
  template <class F, class Wrap>
  void ask(F work, Wrap wrap) {
    call(deps_->store, std::move(work),
         [self = actors::ref_of(self_),
          wrap = std::move(wrap)](auto answer) mutable {
           actors::send(self, wrap(std::move(answer)));
         });
  }

  /// After the last time, `last`; if so, its turn will come.
  [[nodiscard]] bool is_too_soon(TimePoint last) {
    const Duration left = last + deps_->store_pace - actors::now(self_);
    if (left <= Duration{0})
      return false;
    if (!std::exchange(is_paced_, true))
      actors::send_after(self_, left, PaceOver{});
    return true;
  }

  /// Whatever it was will be tried again.
  void on_trouble(const Error& error) {
    if (!std::exchange(has_store_trouble_, true)) {
      if (!std::exchange(is_trouble_known_, true))
        log(LogLevel::error,
            fmt::format("store_trouble reason={}", shell_quote(error.what)));
      actors::send_after(self_, store_pause, TryStoreAgain{});
      if (is_ending_)
        ++failures_at_end_;
    }
    check_end();
  }

  void try_store_again() {
    if (misses_claims_) {
      reclaim();
      return;
    }
    has_store_trouble_ = false;
    list_when_quiet();
    record();
    give_back();
    begin_at_most_once();
    look();
  }

  /// A claim whose answer was lost may have happened, or happen some time after
  /// that: what the session holds and we do not know of would never be run.
  /// Nothing else is asked meanwhile, so that nothing of what we know is on its
  /// way.
  void reclaim() {
    if (is_asking()) {
      actors::send_after(self_, store_pause, TryStoreAgain{});
      return;
    }
    list_claims();
  }

  /// Whether the store may be asked for anything but what is claimed.
  [[nodiscard]] bool may_ask() const {
    return !has_store_trouble_ && !is_list_due_;
  }

  [[nodiscard]] bool is_asking() const {
    return is_recording_ || is_giving_back_ || is_beginning_;
  }

  void list_later() {
    if (deps_->list_every > Duration{0})
      actors::send_after(self_, deps_->list_every, ListClaims{});
  }

  /// The same although nothing seems to be missing. What is to be asked waits
  /// for it, and what is being asked is waited for.
  void list_when_quiet() {
    if (is_list_due_ && !is_looking_ && !has_store_trouble_ && !is_ending_ &&
        !is_asking())
      list_claims();
  }

  void list_claims() {
    is_looking_ = true;
    is_list_due_ = true;
    is_listing_ = true;
    ask([session =
             deps_->session](Store& store) { return held_by(store, session); },
        [](Result<Work> work) { return Reclaimed{std::move(work)}; });
  }

  void on_reclaimed(const Reclaimed& m) {
    is_looking_ = false;
    is_list_due_ = false;
    is_listing_ = false;
    has_store_trouble_ = false;
    if (!m.work) {
      misses_claims_ = true;
      on_trouble(m.work.error());
      return;
    }
    misses_claims_ = false;
    std::set<AttemptRef> ours;
    for (const auto& [attempt, task] : tasks_)
      ours.insert(attempt);
    for (const auto& [queue, claims] : ready_) {
      for (const Ready& ready : claims)
        ours.insert(ready.claim.attempt);
    }
    for (const Completion& completion : unrecorded_)
      ours.insert(completion.attempt);
    ours.insert(returned_.begin(), returned_.end());
    know(m.work->jobs);
    std::vector<Claim> missed;
    for (const Claim& claim : m.work->claims) {
      if (ours.contains(claim.attempt))
        continue;
      // Whoever cancelled it could not tell us.
      if (known_.at(claim.attempt.task.job)->is_cancelled)
        unrecorded_.push_back(cancelled(claim.attempt));
      else
        missed.push_back(claim);
    }
    if (!missed.empty())
      log(LogLevel::info, fmt::format("claims_found tasks={}", missed.size()));
    take(missed);
    try_store_again();
    start_or_sample();
    give_back_shared();
    check_end();
  }

  [[nodiscard]] std::set<JobId> known_jobs() const {
    std::set<JobId> ids;
    for (const auto& [id, job] : known_)
      ids.insert(id);
    return ids;
  }

  void know(const std::vector<store::JobInfo>& jobs) {
    if (known_.size() > most_known_jobs)
      std::erase_if(known_, [](const auto& entry) {
        return entry.second.use_count() == 1;
      });
    for (const store::JobInfo& info : jobs)
      known_[info.id] = std::make_shared<const KnownJob>(
          to_known(info, deps_->environment, deps_->words));
  }

  // -- Taking over -----------------------------------------------------------

  void inherit() {
    ask([session =
             deps_->session](Store& store) { return held_by(store, session); },
        [](Result<Work> work) { return Inherited{std::move(work)}; });
  }

  void take_over(const Inherited& m) {
    if (!m.work) {
      // Without knowing what runs, nothing can be done: ask again.
      log(LogLevel::error, fmt::format("store_trouble reason={}",
                                       shell_quote(m.work.error().what)));
      quit(self_, {actors::ExitKind::crashed, m.work.error().what});
      return;
    }
    know(m.work->jobs);
    std::set<AttemptId> unknown =
        is_first_ ? deps_->adopted : std::set<AttemptId>{};
    for (const Claim& claim : m.work->claims) {
      unknown.erase(to_attempt_id(claim.attempt));
      adopt(claim);
    }
    // It was recorded, and its node had no time to say so.
    for (const AttemptId& id : unknown)
      deps_->runner.forget(id);
    *deps_->has_taken_over = true;
    is_ready_ = true;
    if (is_ending_) {
      end_what_is_here();
      return;
    }
    list_later();
    sample();
    begin_at_most_once();
    record();
    give_back();
    look();
  }

  void adopt(const Claim& claim) {
    const auto& job = known_.at(claim.attempt.task.job);
    const AttemptId id = to_attempt_id(claim.attempt);
    const bool runs = !is_first_ || deps_->adopted.contains(id);
    if (!runs && claim.is_started) {
      // Whoever started it is gone, and so is what came of it.
      unrecorded_.push_back(refused(claim.attempt, Outcome::lost,
                                    status_troupe_failed,
                                    "was lost with its node"));
      return;
    }
    if (!runs && job->is_cancelled) {
      unrecorded_.push_back(cancelled(claim.attempt));
      return;
    }
    // Whether it may still start that, nobody has said yet.
    if (!runs && deps_->member) {
      returned_.push_back(claim.attempt);
      return;
    }
    const AttemptRef attempt = claim.attempt;
    Task& task = tasks_[attempt];
    task = {.claim = claim,
            .job = job,
            .from = {},
            .slot = core_.adopted(job->queue, actors::now(self_)),
            .started = deps_->wall_now()};
    // It was claimed, and whoever did that had no time to begin it.
    if (job->delivery == store::Delivery::at_most_once && !claim.is_started)
      to_begin_.push_back(attempt);
    else
      launch(task);
    if (job->is_cancelled)
      cancel(attempt);
  }

  // -- Finding work ----------------------------------------------------------

  /// Whether it may claim and start anything.
  [[nodiscard]] bool may_work() const { return !deps_->member || may_work_; }

  /// Whether it only ends what has begun here.
  [[nodiscard]] bool is_leaving() const { return !may_work() && may_go_on_; }
  [[nodiscard]] bool may_start_some() const {
    return may_work() || is_leaving();
  }
  [[nodiscard]] bool may_take(const QueueId& queue) const {
    return !is_leaving() || goes_on_at(queue.resources, deps_->member->home);
  }

  void look() {
    if (!is_ready_ || is_ending_ || !may_ask() || !may_start_some())
      return;
    if (is_looking_) {
      look_again_ = true;
      return;
    }
    // What is here is enough for a while.
    if (core_.waiting_here() > 0 && is_too_soon(looked_at_))
      return;
    looked_at_ = actors::now(self_);
    is_looking_ = true;
    look_again_ = false;
    std::optional<ShardLookCore::Where> where;
    if (shards_)
      where = shards_->where(core_.waiting_here() == 0, looked_at_);
    ask([now = deps_->wall_now(), where = std::move(where)](
            Store& store) { return look_at(store, where, now); },
        [](Result<Look> look) { return Looked{std::move(look)}; });
  }

  void on_looked(const Looked& m) {
    if (!m.look) {
      is_looking_ = false;
      on_trouble(m.look.error());
      return;
    }
    is_trouble_known_ = false;
    std::vector<store::Group> groups;
    for (const store::GroupInfo& info : m.look->groups) {
      groups.push_back(info.group);
      if (deps_->member && !is_of_all_nodes(info.group.name))
        groups.back().slots = deps_->member->slots;
    }
    const TimePoint now = actors::now(self_);
    core_.set_groups(groups, now);
    if (deps_->member) {
      for (const store::GroupInfo& info : m.look->groups) {
        if (is_of_all_nodes(info.group.name))
          core_.share(info.group.name, info.counts.running);
      }
    }
    next_wake_ = m.look->next_wake;
    if (!is_ending_ && unrecorded_.size() <= most_unrecorded &&
        may_start_some())
      orders_ = core_.claims_for(
          takeable(shards_ ? shards_->offer(m.look->heads, m.look->abroad)
                           : m.look->heads),
          room(), now);
    if (has_to_leave_it())
      orders_.clear();
    if (deps_->member && deps_->member->on_look)
      tell_of_look(m.look->heads);
    if (orders_.empty())
      end_look();
    // With the next results, it is one more commit less.
    else if (core_.waiting_here() == 0 || !is_too_soon(recorded_at_))
      claim();
  }

  [[nodiscard]] std::vector<store::QueueHead> takeable(
      std::vector<store::QueueHead> heads) const {
    std::erase_if(heads, [this](const store::QueueHead& head) {
      return !may_take(head.queue);
    });
    return heads;
  }

  /// `near` is what waits in its own shards.
  void tell_of_look(const std::vector<store::QueueHead>& near) {
    std::set<std::uint32_t> waiting;
    for (const store::QueueHead& head : near) {
      // Nobody has a slot for it.
      if (!core_.is_full(head.queue.group))
        waiting.insert(head.queue.shard);
    }
    const bool is_hungry = may_work() && !has_to_leave_it() &&
                           waiting.empty() && orders_.empty() &&
                           core_.waiting_here() == 0;
    if (!orders_.empty())
      waiting.clear();
    deps_->member->on_look(
        {is_hungry, {waiting.begin(), waiting.end()}, core_.is_held()});
  }

  void claim() {
    if (orders_.empty())
      return;
    std::vector<Request> requests;
    for (const DispatchCore::ClaimOrder& order : std::exchange(orders_, {}))
      requests.push_back(
          {shards_ ? shards_->queues_of(order.queue) : std::vector{order.queue},
           order.count, core_.is_shared(order.queue.group)});
    ask(
        [session = deps_->session, requests = std::move(requests),
         known = known_jobs()](Store& store) -> Result<Work> {
          Work work;
          for (const Request& request : requests) {
            if (auto claimed = claim_from(store, session, request, work);
                !claimed)
              return tl::unexpected(std::move(claimed.error()));
          }
          auto jobs = look_up(store, work.claims, known);
          if (!jobs)
            return tl::unexpected(std::move(jobs.error()));
          work.jobs = std::move(*jobs);
          return work;
        },
        [](Result<Work> work) { return Claimed{std::move(work)}; });
  }

  void on_claimed(const Claimed& m) {
    if (!m.work) {
      is_looking_ = false;
      misses_claims_ = true;
      on_trouble(m.work.error());
      return;
    }
    know(m.work->jobs);
    take(m.work->claims, m.work->shards);
    start_or_sample();
    give_back_shared();
    end_look();
  }

  void start_or_sample() {
    if (is_sampling_)
      start_all();
    else
      sample();
  }

  /// What has been claimed waits here to be started.
  void take(const std::vector<Claim>& claims,
            const std::vector<std::uint32_t>& shards = {}) {
    for (std::size_t i = 0; i < claims.size(); ++i) {
      const Claim& claim = claims[i];
      // It may have been looked up before it was dropped for being edited.
      const auto job = known_.find(claim.attempt.task.job);
      if (job == known_.end() || is_ending_ || !may_take(job->second->queue) ||
          !core_.can_run(job->second->queue)) {
        returned_.push_back(claim.attempt);
        continue;
      }
      const QueueId& queue = job->second->queue;
      core_.claimed(queue, 1);
      ready_[queue].push_back(
          {claim, job->second,
           i < shards.size() ? from_abroad(shards[i]) : std::nullopt});
    }
  }

  [[nodiscard]] std::optional<FromAbroad> from_abroad(
      std::uint32_t shard) const {
    const Found found = shards_ ? shards_->found_in(shard) : Found::own;
    if (found == Found::own)
      return std::nullopt;
    return FromAbroad{
        shard, found,
        deps_->member->owner_of ? deps_->member->owner_of(shard) : ""};
  }

  void end_look() {
    is_looking_ = false;
    list_when_quiet();
    if (look_again_)
      look();
    else
      set_wake();
    check_end();
  }

  /// The next time at which something changes by itself.
  void set_wake() {
    std::optional<Duration> delay;
    const auto consider = [&](Duration wait) {
      wait = std::clamp<Duration>(wait, 1ms, 1h);
      delay = std::min(delay.value_or(wait), wait);
    };
    if (next_wake_)
      consider(*next_wake_ - deps_->wall_now());
    const TimePoint now = actors::now(self_);
    if (const auto change = core_.next_change(now))
      consider(*change - now);
    if (shards_)
      consider(shards_->next_look() - now);
    if (delay)
      actors::send_after(self_, *delay, LookAgain{++wake_token_});
  }

  // -- Starting --------------------------------------------------------------

  [[nodiscard]] std::size_t room() const {
    if (!deps_->has_disk_space())
      return 0;
    return governor_.may_start(core_.running());
  }

  /// The machine has no room for anything, and those of other nodes may have.
  [[nodiscard]] bool has_to_leave_it() const {
    return deps_->member && room() == 0;
  }

  void start_all() {
    if (is_ending_ || has_store_trouble_ || !may_start_some())
      return;
    while (unrecorded_.size() <= most_unrecorded) {
      const auto start = core_.start_next(room(), actors::now(self_));
      if (!start)
        break;
      auto& waiting = ready_[start->queue];
      Ready ready = std::move(waiting.front());
      waiting.pop_front();
      begin(std::move(ready), *start);
    }
    begin_at_most_once();
    // What could not be started has ended.
    record();
  }

  void begin(Ready ready, const DispatchCore::Start& slot) {
    const AttemptRef attempt = ready.claim.attempt;
    Task& task = tasks_[attempt];
    task = {.claim = std::move(ready.claim),
            .job = std::move(ready.job),
            .from = std::move(ready.from),
            .slot = slot,
            .started = deps_->wall_now()};
    deps_->on_change(attempt.task.job);
    if (task.claim.losses >= most_losses)
      give_up(task, Outcome::lost,
              fmt::format("was lost {} times with its node or warden",
                          task.claim.losses));
    else if (task.job->delivery == store::Delivery::at_most_once)
      to_begin_.push_back(attempt);
    else
      launch(task);
  }

  /// What runs at most once begins in the store before it does.
  void begin_at_most_once() {
    if (is_beginning_ || to_begin_.empty() || !may_ask() || is_ending_)
      return;
    is_beginning_ = true;
    ask([session = deps_->session, attempts = to_begin_](
            Store& store) { return store.start(session, attempts); },
        [attempts = to_begin_](Result<std::vector<bool>> may_start) {
          return Begun{attempts, std::move(may_start)};
        });
  }

  void on_begun(const Begun& m) {
    is_beginning_ = false;
    if (!m.may_start) {
      if (is_ending_)
        give_back_unbegun();
      on_trouble(m.may_start.error());
      return;
    }
    to_begin_.erase(
        to_begin_.begin(),
        to_begin_.begin() + static_cast<std::ptrdiff_t>(m.attempts.size()));
    for (std::size_t i = 0; i < m.attempts.size(); ++i) {
      const auto found = tasks_.find(m.attempts[i]);
      if (found == tasks_.end())
        continue;
      if (!(*m.may_start)[i])
        drop(found->second);
      else if (found->second.is_cancelled)
        give_up(found->second, Outcome::cancelled, "was cancelled");
      else if (is_ending_)
        give_back_task(found->second);
      else
        launch(found->second);
    }
    if (is_ending_)
      give_back_unbegun();
    list_when_quiet();
    begin_at_most_once();
    record();
    give_back();
    check_end();
  }

  /// It has not run and shall not, for now.
  void give_back_task(Task& task) {
    returned_.push_back(task.claim.attempt);
    leave(task);
  }

  void give_back_unbegun() {
    for (const AttemptRef& attempt : std::exchange(to_begin_, {}))
      give_back_task(tasks_.at(attempt));
  }

  void launch(Task& task) {
    const AttemptRef attempt = task.claim.attempt;
    if (!task.job->command) {
      give_up(task, Outcome::failed, task.job->command.error().what);
      return;
    }
    auto command = task.job->command->command_for(attempt, task.claim.argument);
    if (!command) {
      give_up(task, Outcome::failed, command.error().what);
      return;
    }
    const std::uint64_t limit = task.job->command->spec().output_limit;
    command->record = {.path = record_path(deps_->output_folder, attempt),
                       .most_bytes = limit != 0 ? limit : deps_->output_limit};
    if (task.job->command->spec().has_outputs) {
      const std::string outputs = outputs_path(deps_->output_folder, attempt);
      make_folder_of(outputs);
      command->env.emplace_back("TROUPE_OUTPUT", outputs);
    }
    // Nobody else may start it, whatever becomes of our right.
    if (task.job->delivery == store::Delivery::at_most_once)
      command->outlives_right = true;
    task.is_launched = true;
    ++started_;
    const AttemptId id = to_attempt_id(attempt);
    deps_->runner.start(
        id, std::make_shared<const process::CommandSpec>(std::move(*command)),
        nullptr, [self = actors::ref_of(self_), id](const AttemptEvent& event) {
          actors::send(self, News{id, event});
        });
    if (task.is_paused)
      deps_->runner.pause(id);
  }

  /// The warden makes that of a record, when there is something to record.
  static void make_folder_of(const std::filesystem::path& file) {
    // If it cannot be made, the command cannot write there, and says so.
    std::error_code ignored;
    std::filesystem::create_directories(file.parent_path(), ignored);
  }

  // -- Ends ------------------------------------------------------------------

  void on_news(const News& m) {
    // The warden does not know the number of the claim.
    const auto found = tasks_.lower_bound(to_attempt_ref(m.id));
    if (found == tasks_.end() || to_attempt_id(found->first) != m.id)
      return;
    Task& task = found->second;
    std::visit(
        Overload{[&](const AttemptStarted& started) {
                   task.pid = started.pid;
                   task.is_paused |= started.is_paused;
                   task.started = deps_->wall_now();
                   deps_->on_change(task.claim.attempt.task.job);
                 },
                 [&](const AttemptEnded& ended) { on_end(task, ended); }},
        m.event);
  }

  void on_end(Task& task, const AttemptEnded& ended) {
    const auto* const lost = std::get_if<process::RunnerLost>(&ended.how);
    // Another node has it now, and will say what becomes of it.
    if (lost != nullptr && lost->cut_off)
      return;
    // It has never run, and says nothing about the command.
    const auto* const failure = std::get_if<process::SpawnFailure>(&ended.how);
    if (failure != nullptr && failure->stage == process::SpawnStage::right &&
        !task.is_cancelled) {
      interrupt(task);
      return;
    }
    const actors::SuccessCriteria& success =
        task.job->command->spec().request.success;
    std::vector<std::string> texts = success.output_contains;
    texts.insert(texts.end(), success.output_not_contains.begin(),
                 success.output_not_contains.end());
    const AttemptRef attempt = task.claim.attempt;
    auto shared = std::make_shared<const AttemptEnded>(ended);
    if (texts.empty() ||
        !std::holds_alternative<process::ExitReport>(ended.how)) {
      end_with_files(task, std::move(shared), std::vector<bool>(texts.size()));
      return;
    }
    deps_->find_texts(
        record_path(deps_->output_folder, attempt), std::move(texts),
        [self = actors::ref_of(self_), attempt,
         ended = std::move(shared)](std::vector<bool> found) {
          actors::send(self, TextsFound{attempt, ended, std::move(found)});
        });
  }

  /// Of one of several nodes: the others do not see its files.
  void end_with_files(Task& task, std::shared_ptr<const AttemptEnded> ended,
                      const std::vector<bool>& texts_found) {
    const auto* const report = std::get_if<process::ExitReport>(&ended->how);
    const JobSpec& spec = task.job->command->spec();
    if (!deps_->member || report == nullptr ||
        (report->stdout_bytes + report->stderr_bytes == 0 &&
         !spec.has_outputs)) {
      end(task, *ended, texts_found, {});
      return;
    }
    const AttemptRef attempt = task.claim.attempt;
    deps_->member->read_end(
        {.record = record_path(deps_->output_folder, attempt),
         .outputs = spec.has_outputs
                        ? outputs_path(deps_->output_folder, attempt)
                        : "",
         .printed = spec.printed},
        [self = actors::ref_of(self_), attempt, ended = std::move(ended),
         texts_found](EndRead read) {
          actors::send(self,
                       EndSeen{attempt, ended, texts_found, std::move(read)});
        });
  }

  void end(Task& task, const AttemptEnded& ended,
           const std::vector<bool>& texts_found, EndRead read) {
    const std::string group = task.slot.queue.group;
    bool is_ended_by_us = false;
    if (const auto* report = std::get_if<process::ExitReport>(&ended.how)) {
      governor_.on_finished(report->max_rss_bytes);
      const bool is_interrupted =
          report->right_ended || (is_ending_ && report->stopped);
      if (is_interrupted && !task.is_cancelled &&
          task.job->delivery == store::Delivery::at_least_once) {
        is_ended_by_us = group == ended_group_;
        if (!is_ended_by_us) {
          interrupt(task);
          return;
        }
      }
    }
    const auto [started, ended_at] = times_of(task, ended.how);
    auto judged = judge(
        {.spec = task.job->command->spec(),
         .claim = task.claim,
         .delivery = task.job->delivery,
         .is_cancelled = task.is_cancelled,
         .started = started,
         .ended = ended_at,
         .texts_found = texts_found,
         .node = deps_->member ? deps_->member->node : "",
         .home = deps_->member ? deps_->member->home : "",
         .from = task.from,
         .read = std::move(read)},
        // Another attempt has to begin elsewhere.
        is_ended_by_us ? process::AttemptEnd{process::RunnerLost{}} : ended.how,
        random_);
    finish(task, std::move(judged.completion), judged.for_group);
    // What the breaker keeps here would look as if it ran.
    if (core_.breaker(group) == flow_control::BreakerState::open)
      give_back_group(group);
    start_all();
    record();
    look();
  }

  struct Times {
    WallTime started;
    WallTime ended;
  };

  /// We may have heard of its start, or of its end, long after that: when we
  /// took it over, or when others kept us from it.
  [[nodiscard]] Times times_of(const Task& task,
                               const process::AttemptEnd& how) const {
    const WallTime now = deps_->wall_now();
    const auto* const report = std::get_if<process::ExitReport>(&how);
    if (report == nullptr || report->ended == BootTime{})
      return {task.started, now};
    const auto before = [](WallTime time, Duration by) {
      return time - std::chrono::duration_cast<WallTime::duration>(by);
    };
    const WallTime ended =
        before(now, std::max<Duration>(deps_->boot_now() - report->ended, 0s));
    return {std::min(task.started, before(ended, report->wall)), ended};
  }

  /// It was ended because we are: it waits again as if it had never run.
  void interrupt(Task& task) {
    const AttemptRef attempt = task.claim.attempt;
    std::error_code ignored;
    std::filesystem::remove(record_path(deps_->output_folder, attempt),
                            ignored);
    std::filesystem::remove(outputs_path(deps_->output_folder, attempt),
                            ignored);
    deps_->runner.forget(to_attempt_id(attempt));
    give_back_task(task);
    give_back();
  }

  void give_up(Task& task, Outcome outcome, const std::string& why) {
    finish(task,
           refused(task.claim.attempt, outcome, status_troupe_failed, why),
           DispatchCore::End::neutral);
  }

  void finish(Task& task, Completion completion, DispatchCore::End how) {
    unrecorded_.push_back(std::move(completion));
    leave(task, how);
  }

  /// It is not ours any more.
  void drop(Task& task) {
    deps_->runner.forget(to_attempt_id(task.claim.attempt));
    leave(task);
  }

  void leave(Task& task, DispatchCore::End how = DispatchCore::End::neutral) {
    ++ended_;
    core_.ended(task.slot, how, actors::now(self_));
    tasks_.erase(AttemptRef{task.claim.attempt});
  }

  static Completion cancelled(const AttemptRef& attempt) {
    return refused(attempt, Outcome::cancelled, status_troupe_failed,
                   "was cancelled");
  }

  void cancel(const AttemptRef& attempt) {
    for (auto& [queue, claims] : ready_) {
      const auto waiting = std::find_if(
          claims.begin(), claims.end(),
          [&](const Ready& ready) { return ready.claim.attempt == attempt; });
      if (waiting == claims.end())
        continue;
      claims.erase(waiting);
      core_.given_back(queue, 1);
      unrecorded_.push_back(cancelled(attempt));
      return;
    }
    const auto found = tasks_.find(attempt);
    if (found == tasks_.end())
      return;
    Task& task = found->second;
    task.is_cancelled = true;
    if (task.is_launched)
      stop(task);
  }

  void pause(const PauseTasks& m) {
    for (auto& [attempt, task] : tasks_) {
      const bool is_meant = (!m.job || attempt.task.job == *m.job) &&
                            (!m.group || task.slot.queue.group == *m.group);
      if (!is_meant || task.is_paused == m.is_paused || task.is_cancelled)
        continue;
      task.is_paused = m.is_paused;
      deps_->on_change(attempt.task.job);
      if (!task.is_launched)
        continue;
      if (m.is_paused)
        deps_->runner.pause(to_attempt_id(attempt));
      else
        deps_->runner.resume(to_attempt_id(attempt));
    }
  }

  void stop(const Task& task) {
    const auto& spec = task.job->command->spec().request.spec;
    deps_->runner.stop(to_attempt_id(task.claim.attempt),
                       {.signal = spec.polite_signal, .grace = spec.grace});
  }

  // -- Recording -------------------------------------------------------------

  void record() {
    if (is_recording_ || unrecorded_.empty() || !may_ask())
      return;
    // While others run, more results will come.
    if (!is_ending_ && !tasks_.empty() && unrecorded_.size() < most_recorded &&
        is_too_soon(recorded_at_))
      return;
    recorded_at_ = actors::now(self_);
    is_recording_ = true;
    const std::size_t count = std::min(unrecorded_.size(), most_recorded);
    std::vector<Completion> batch{
        std::make_move_iterator(unrecorded_.begin()),
        std::make_move_iterator(unrecorded_.begin() +
                                static_cast<std::ptrdiff_t>(count))};
    unrecorded_.erase(unrecorded_.begin(),
                      unrecorded_.begin() + static_cast<std::ptrdiff_t>(count));
    auto shared = std::make_shared<std::vector<Completion>>(std::move(batch));
    ask([session = deps_->session, shared, now = deps_->wall_now()](
            Store& store) { return record_in(store, session, *shared, now); },
        [shared](Result<std::vector<Recorded>> recorded) {
          return ResultsRecorded{std::move(*shared), std::move(recorded)};
        });
    claim();
  }

  void on_recorded(const ResultsRecorded& m) {
    is_recording_ = false;
    if (!m.recorded) {
      unrecorded_.insert(unrecorded_.begin(), m.completions.begin(),
                         m.completions.end());
      on_trouble(m.recorded.error());
      return;
    }
    for (std::size_t i = 0; i < m.completions.size(); ++i) {
      const AttemptRef& attempt = m.completions[i].attempt;
      if ((*m.recorded)[i] == Recorded::fenced)
        log(LogLevel::warn,
            fmt::format("result_too_late task={}.{} attempt={} outcome={} "
                        "exit_status={}",
                        attempt.task.job.value, attempt.task.index,
                        attempt.attempt, to_string(m.completions[i].outcome),
                        m.completions[i].exit_status));
      deps_->runner.forget(to_attempt_id(attempt));
      deps_->on_recorded(attempt);
      deps_->on_change(attempt.task.job);
    }
    list_when_quiet();
    record();
    // What needed these may start now.
    look();
    check_end();
  }

  void give_back_if(const std::function<bool(const Claim&)>& matches) {
    for (auto& [queue, claims] : ready_) {
      for (auto it = claims.begin(); it != claims.end();) {
        if (!matches(it->claim)) {
          ++it;
          continue;
        }
        returned_.push_back(it->claim.attempt);
        core_.given_back(queue, 1);
        it = claims.erase(it);
      }
    }
    give_back();
  }

  void give_back_group(const std::string& group) {
    give_back_queues(
        [&](const QueueId& queue) { return queue.group == group; });
  }

  /// Other nodes may have room for it.
  void give_back_to_others() {
    give_back_queues([](const QueueId&) { return true; });
  }

  void give_back_what_would_begin() {
    give_back_queues([this](const QueueId& queue) { return !may_take(queue); });
  }

  /// What has not started at once, of slots that others wait for.
  void give_back_shared() {
    give_back_queues(
        [this](const QueueId& queue) { return core_.is_shared(queue.group); });
  }

  template <class Pick>
  void give_back_queues(Pick pick) {
    for (auto& [queue, claims] : ready_) {
      if (pick(queue))
        give_back_all(queue, claims);
    }
    give_back();
  }

  template <class Claims>
  void give_back_all(const QueueId& queue, Claims& claims) {
    for (const Ready& ready : claims)
      returned_.push_back(ready.claim.attempt);
    core_.given_back(queue, static_cast<std::uint32_t>(claims.size()));
    claims.clear();
  }

  void give_back() {
    if (is_giving_back_ || returned_.empty() || !may_ask())
      return;
    is_giving_back_ = true;
    ask([session = deps_->session, attempts = returned_](
            Store& store) { return store.release(session, attempts); },
        [attempts = returned_](Result<void> done) {
          return GivenBack{attempts, std::move(done)};
        });
  }

  void on_given_back(const GivenBack& m) {
    is_giving_back_ = false;
    if (!m.done) {
      on_trouble(m.done.error());
      return;
    }
    returned_.erase(
        returned_.begin(),
        returned_.begin() + static_cast<std::ptrdiff_t>(m.attempts.size()));
    for (const AttemptRef& attempt : m.attempts)
      deps_->on_change(attempt.task.job);
    list_when_quiet();
    give_back();
    look();
    check_end();
  }

  // -- The end ---------------------------------------------------------------

  void end_work(const EndWork& m) {
    is_ending_ = true;
    // One that is on its way is waited for: what is told beside it would be
    // taken for a claim that nobody knows of.
    is_list_due_ = is_listing_;
    keeps_ = m.keep;
    waits_ = m.waits;
    ended_group_ = m.ended_group;
    on_end_ = m.done;
    // Before that nobody can say what there is to be ended, or left.
    if (is_ready_)
      end_what_is_here();
  }

  void end_what_is_here() {
    for (auto& [queue, claims] : ready_)
      give_back_all(queue, claims);
    // Those that the store is being asked about come back with its answer.
    if (!is_beginning_)
      give_back_unbegun();
    give_back();
    record();
    for (auto& [attempt, task] : tasks_) {
      const bool may_stay =
          keeps_ || (waits_ && task.slot.queue.group != ended_group_);
      if (!may_stay && task.is_launched)
        stop(task);
    }
    check_end();
  }

  void check_end() {
    const bool is_quiet = is_ready_ && is_ending_ && on_end_ && !is_looking_ &&
                          !is_recording_ && !is_giving_back_ &&
                          !is_beginning_ && (keeps_ || tasks_.empty());
    const std::size_t unwritten = unrecorded_.size() + returned_.size();
    if (is_quiet &&
        (unwritten == 0 || failures_at_end_ >= most_failures_at_end))
      std::exchange(on_end_, nullptr)(tasks_.size() + unwritten);
  }

  // -- Looking at us ---------------------------------------------------------

  /// A node that has nothing to do does not look, either.
  void sample() {
    (void)governor_.observe(deps_->sample(), core_.running());
    is_sampling_ = core_.running() > 0 || core_.waiting_here() > 0;
    if (is_sampling_)
      actors::send_after(self_, sample_interval, SampleMachine{});
    start_all();
    if (has_to_leave_it())
      give_back_to_others();
    look_at_jobs();
  }

  /// Another node may have been told to cancel or to edit what runs here.
  void look_at_jobs() {
    if (!deps_->member || tasks_.empty() || has_store_trouble_ ||
        std::exchange(is_looking_at_jobs_, true))
      return;
    std::set<JobId> jobs;
    for (const auto& [attempt, task] : tasks_) {
      if (!task.is_cancelled && jobs.size() < most_listed)
        jobs.insert(attempt.task.job);
    }
    ask(
        [jobs](Store& store) -> Result<std::vector<store::JobInfo>> {
          std::vector<store::JobInfo> all;
          for (const JobId job : jobs) {
            auto info = store.job(job);
            if (info)
              all.push_back(std::move(*info));
            else if (info.error().code != Errc::not_found)
              return tl::unexpected(std::move(info.error()));
          }
          return all;
        },
        [](Result<std::vector<store::JobInfo>> seen) {
          return JobsSeen{std::move(seen)};
        });
  }

  void on_jobs_seen(const JobsSeen& m) {
    is_looking_at_jobs_ = false;
    if (!m.jobs)
      return;  // It is looked again.
    know(*m.jobs);
    for (const store::JobInfo& info : *m.jobs) {
      if (info.is_cancelled)
        cancel_all_of(info.id);
    }
    record();
  }

  void cancel_all_of(JobId job) {
    std::vector<AttemptRef> attempts;
    const AttemptRef first{.task = {job, 0}, .attempt = 0};
    for (auto it = tasks_.lower_bound(first);
         it != tasks_.end() && it->first.task.job == job; ++it) {
      if (!it->second.is_cancelled)
        attempts.push_back(it->first);
    }
    for (const AttemptRef& attempt : attempts)
      cancel(attempt);
  }

  [[nodiscard]] DispatcherSnapshot snapshot() const {
    DispatcherSnapshot seen{.running_count = core_.running(),
                            .claimed_ahead = core_.waiting_here(),
                            .capacity = core_.capacity(),
                            .free = core_.free(),
                            .is_held = core_.is_held(),
                            .has_store_trouble = has_store_trouble_,
                            .started = started_,
                            .ended = ended_};
    for (const auto& [attempt, task] : tasks_) {
      if (task.is_paused)
        ++seen.jobs[attempt.task.job].paused;
      if (seen.running.size() < most_listed)
        seen.running.push_back(
            {attempt, task.pid, task.started, task.is_paused, task.from});
    }
    for (const std::string& group : core_.groups())
      seen.breakers[group] = core_.breaker(group);
    for (const auto& [queue, claims] : ready_) {
      for (const Ready& ready : claims) {
        const AttemptRef& attempt = ready.claim.attempt;
        const auto before = attempt.attempt == 1 ? &TasksAtHand::waiting
                                                 : &TasksAtHand::retrying;
        ++(seen.jobs[attempt.task.job].*before);
        ++(seen.groups[queue.group].*before);
      }
    }
    return seen;
  }

  Actor* self_;
  std::shared_ptr<const DispatcherDeps> deps_;
  bool is_first_;  ///< To take over what there was before this process.
  DispatchCore core_;
  flow_control::MemoryGovernor governor_;
  Random random_;
  std::optional<ShardLookCore> shards_;  ///< Of a member.
  bool may_work_ = false;                ///< Likewise.
  bool may_go_on_ = false;               ///< Likewise.
  bool is_looking_at_jobs_ = false;

  KnownJobs known_;
  std::map<QueueId, std::deque<Ready>> ready_;
  std::map<AttemptRef, Task> tasks_;
  std::vector<AttemptRef> to_begin_;  ///< Of them, that run at most once.
  std::deque<Completion> unrecorded_;
  std::vector<AttemptRef> returned_;

  bool is_ready_ = false;  ///< What was claimed before has been taken over.
  bool is_sampling_ = false;
  bool is_looking_ = false;
  bool look_again_ = false;
  bool is_beginning_ = false;
  bool is_recording_ = false;
  bool is_giving_back_ = false;
  bool has_store_trouble_ = false;
  bool is_trouble_known_ = false;  ///< It was logged.
  bool misses_claims_ = false;     ///< A claim has failed, or so it seems.
  bool is_list_due_ = false;       ///< Of them, as it is from time to time.
  bool is_listing_ = false;        ///< It has been asked for.
  std::vector<DispatchCore::ClaimOrder> orders_;  ///< Wait for the pace.
  std::optional<WallTime> next_wake_;
  std::uint64_t wake_token_ = 0;
  bool is_paced_ = false;  ///< PaceOver is on its way.
  TimePoint looked_at_{};
  TimePoint recorded_at_{};
  std::uint64_t started_ = 0;
  std::uint64_t ended_ = 0;

  bool is_ending_ = false;
  bool keeps_ = false;
  bool waits_ = false;
  std::string ended_group_;
  int failures_at_end_ = 0;  ///< Of the store.
  std::function<void(std::size_t)> on_end_;
};

}  // namespace

bool is_of_all_nodes(const std::string& group) { return group != "default"; }

std::string record_folder(const std::string& output_folder, JobId job) {
  return fmt::format("{}/{}/{}", output_folder, job.value / 1000, job.value);
}

std::string record_path(const std::string& output_folder,
                        const AttemptRef& attempt) {
  const std::uint64_t index = attempt.task.index;
  const std::string folder = record_folder(output_folder, attempt.task.job);
  // So that no folder has more than some thousand entries.
  if (index < 1000)
    return fmt::format("{}/{}.{}", folder, index, attempt.attempt);
  return fmt::format("{}/{}k/{}.{}", folder, index / 1000, index,
                     attempt.attempt);
}

std::string outputs_path(const std::string& output_folder,
                         const AttemptRef& attempt) {
  return record_path(output_folder, attempt) + ".outputs";
}

AttemptId to_attempt_id(const AttemptRef& ref) {
  return {CommandId{ref.task.job.value << index_bits | ref.task.index},
          ref.attempt};
}

AttemptRef to_attempt_ref(const AttemptId& id) {
  constexpr std::uint64_t mask = (std::uint64_t{1} << index_bits) - 1;
  return {{JobId{id.command.value >> index_bits}, id.command.value & mask},
          id.attempt};
}

ActorRef spawn_dispatcher(Actor* parent,
                          std::shared_ptr<const DispatcherDeps> deps) {
  return actors::spawn<DispatcherActor>(parent, std::move(deps));
}

}  // namespace troupe::queue
