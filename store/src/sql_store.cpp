#include "sql.hpp"

#include <troupe/store/sql_store.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <deque>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <limits>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>
#include <utility>

namespace troupe::store {
namespace {

std::int64_t to_stored(WallTime time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             time.time_since_epoch())
      .count();
}

WallTime from_stored(std::int64_t nanoseconds) {
  return WallTime{std::chrono::nanoseconds{nanoseconds}};
}

std::optional<std::int64_t> to_stored(const std::optional<WallTime>& time) {
  if (!time)
    return std::nullopt;
  return to_stored(*time);
}

std::optional<std::int64_t> to_stored(const std::optional<Outcome>& outcome) {
  if (!outcome)
    return std::nullopt;
  return static_cast<std::int64_t>(*outcome);
}

[[noreturn]] void refuse(Errc code, std::string what) {
  throw Error{code, std::move(what)};
}

std::int64_t to_stored(Duration duration) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(duration).count();
}

void require(Result<void> checked) {
  if (!checked)
    throw std::move(checked.error());
}

/// "3,17": for people, too. Nothing for those of a node by itself.
std::optional<std::string> to_stored(const std::vector<std::uint32_t>& shards) {
  if (shards.empty())
    return std::nullopt;
  return fmt::format("{}", fmt::join(shards, ","));
}

std::vector<std::uint32_t> read_shards(const std::string& text) {
  std::vector<std::uint32_t> shards;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    const auto read = std::from_chars(at, end, shards.emplace_back());
    if (read.ec != std::errc{})
      refuse(Errc::corrupt, fmt::format("shards are no numbers: {}", text));
    at = read.ptr + 1;
  }
  return shards;
}

/// The columns of a row that change, in this order: what a claim or an end
/// changes comes first, since all that is written costs.
constexpr std::array<std::string_view, 24> changing_columns{
    "id",         "next",         "again",       "n_waiting",   "n_retrying",
    "n_running",  "n_success",    "ended",       "tasks",       "chunks",
    "needs_left", "sealed",       "due",         "held",        "cancelled",
    "doomed",     "n_failed",     "n_timed_out", "n_cancelled", "n_lost",
    "n_skipped",  "rest_outcome", "rest_from",   "rest_at"};
/// How many of them are written together: those without an end, with one, all.
constexpr std::array<std::size_t, 3> writable_columns{7, 8, 24};

using ChangingColumns =
    std::array<std::optional<std::int64_t>, changing_columns.size()>;

/// What changes of a job.
struct Row {
  JobId id;
  QueueId queue;
  std::int64_t priority = 0;
  Delivery delivery = Delivery::at_least_once;
  WallTime not_before;
  std::optional<WallTime> ended;
  std::uint64_t chunks = 0;
  std::uint64_t next = 0;   ///< The first task that was never claimed.
  std::uint64_t again = 0;  ///< Rows of `again`.
  std::uint64_t needs_left = 0;
  bool sealed = false;
  bool due = false;
  bool held = false;
  bool cancelled = false;
  bool doomed = false;  ///< A need has not ended as it should.
  JobCounts counts;
  /// Tasks from `rest_from` on have ended without a row of their own.
  std::optional<Outcome> rest_outcome;
  std::uint64_t rest_from = 0;
  WallTime rest_at;
  RunId run;
  std::vector<std::uint32_t> shards;
  GroupCounts in_group;  ///< What its group counts of it.
  bool in_queue = false;
  ChangingColumns stored{};  ///< What its columns are in the table.

  [[nodiscard]] bool may_be_claimed() const {
    return sealed && !ended && due && !held && needs_left == 0 &&
           (again > 0 || next < counts.tasks);
  }
  /// The shards in whose queues it stands.
  [[nodiscard]] std::span<const std::uint32_t> places() const {
    static constexpr std::uint32_t first = 0;
    return shards.empty() ? std::span{&first, 1} : std::span{shards};
  }
  [[nodiscard]] GroupCounts for_group() const {
    if (ended)
      return {};
    return {1, counts.waiting, counts.retrying, counts.running};
  }
  [[nodiscard]] JobState state() const {
    if (!sealed)
      return JobState::open;
    if (ended)
      return state_of_ended(counts);
    if (counts.running + counts.retrying > 0)
      return JobState::running;
    if (held)
      return JobState::held;
    if (needs_left > 0)
      return JobState::blocked;
    return due ? JobState::queued : JobState::delayed;
  }
  std::uint64_t& count_of(Outcome outcome) {
    switch (outcome) {
      case Outcome::success:
        return counts.success;
      case Outcome::failed:
        return counts.failed;
      case Outcome::timed_out:
        return counts.timed_out;
      case Outcome::cancelled:
        return counts.cancelled;
      case Outcome::lost:
        return counts.lost;
      case Outcome::skipped:
        return counts.skipped;
    }
    return counts.failed;
  }
};

constexpr std::string_view row_columns =
    "id, grp, resources, priority, delivery, not_before, ended, tasks, chunks, "
    "next, "
    "again, needs_left, sealed, due, held, cancelled, doomed, n_waiting, "
    "n_retrying, n_running, n_success, n_failed, n_timed_out, n_cancelled, "
    "n_lost, n_skipped, rest_outcome, rest_from, rest_at, run, shards";

ChangingColumns columns_of(const Row& r) {
  const auto number = [](auto value) {
    return std::optional{static_cast<std::int64_t>(value)};
  };
  const JobCounts& counts = r.counts;
  return {number(r.id.value),
          number(r.next),
          number(r.again),
          number(counts.waiting),
          number(counts.retrying),
          number(counts.running),
          number(counts.success),
          to_stored(r.ended),
          number(counts.tasks),
          number(r.chunks),
          number(r.needs_left),
          number(r.sealed),
          number(r.due),
          number(r.held),
          number(r.cancelled),
          number(r.doomed),
          number(counts.failed),
          number(counts.timed_out),
          number(counts.cancelled),
          number(counts.lost),
          number(counts.skipped),
          to_stored(r.rest_outcome),
          number(r.rest_from),
          number(to_stored(r.rest_at))};
}

/// How many columns have to be written so that the table has all of `now`.
std::size_t columns_to_write(const ChangingColumns& stored,
                             const ChangingColumns& now) {
  for (const std::size_t count : writable_columns) {
    if (std::equal(now.begin() + static_cast<std::ptrdiff_t>(count), now.end(),
                   stored.begin() + static_cast<std::ptrdiff_t>(count)))
      return count;
  }
  return now.size();
}

Row read_row(const SqlStatement& s) {
  int column = 0;
  const auto number = [&] { return s.number(column++); };
  const auto count = [&] { return static_cast<std::uint64_t>(number()); };
  Row row;
  row.id = JobId{count()};
  row.queue.group = s.bytes(column++);
  row.queue.resources = s.bytes(column++);
  row.priority = number();
  row.delivery = static_cast<Delivery>(number());
  row.not_before = from_stored(number());
  if (!s.is_null(column))
    row.ended = from_stored(s.number(column));
  ++column;
  row.counts.tasks = count();
  row.chunks = count();
  row.next = count();
  row.again = count();
  row.needs_left = count();
  row.sealed = number() != 0;
  row.due = number() != 0;
  row.held = number() != 0;
  row.cancelled = number() != 0;
  row.doomed = number() != 0;
  row.counts.waiting = count();
  row.counts.retrying = count();
  row.counts.running = count();
  row.counts.success = count();
  row.counts.failed = count();
  row.counts.timed_out = count();
  row.counts.cancelled = count();
  row.counts.lost = count();
  row.counts.skipped = count();
  if (!s.is_null(column))
    row.rest_outcome = static_cast<Outcome>(s.number(column));
  ++column;
  row.rest_from = count();
  row.rest_at = from_stored(number());
  row.run = RunId{count()};
  if (!s.is_null(column))
    row.shards = read_shards(s.bytes(column));
  row.in_group = row.for_group();
  row.in_queue = row.may_be_claimed();
  row.stored = columns_of(row);
  return row;
}

}  // namespace

std::string_view to_string(Durability durability) {
  switch (durability) {
    case Durability::buffered:
      return "buffered";
    case Durability::synced:
      return "synced";
    case Durability::replicated:
      return "replicated";
  }
  return "buffered";
}

/// The operations, without transactions. What fails is thrown.
class SqlStore::Tables {
 public:
  explicit Tables(std::unique_ptr<SqlDatabase> database)
      : database_{std::move(database)}, in_sets_{database_->works_in_sets()} {}

  /// What a call changes, and so whom it waits for.
  enum class Changes : std::uint8_t {
    anything,
    one_row,  ///< Of a session or the view: nobody else's but that row's.
  };

  /// One call: all of it or nothing.
  template <class F>
  auto act(F work, Changes changes = Changes::anything)
      -> Result<decltype(work())> {
    database_->begin_call();
    for (;;) {
      try {
        if (in_batch_)
          database_->begin_part();
        else if (changes == Changes::one_row)
          database_->begin_one_row();
        else
          database_->begin();
        if constexpr (std::is_void_v<decltype(work())>) {
          work();
          end();
          return {};
        } else {
          auto value = work();
          end();
          return value;
        }
      } catch (Error& error) {
        take_back(error);
        if (in_batch_ || !database_->try_again())
          return tl::unexpected(std::move(error));
      }
    }
  }

  /// What a look is for.
  enum class Seen : std::uint8_t {
    fact,  ///< It may be told to somebody: no crash will undo it.
    hint,  ///< Where there may be work, or somebody to evict.
  };

  /// One look, which changes nothing.
  template <class F>
  auto look(F work, Seen seen = Seen::fact) -> Result<decltype(work())> {
    database_->begin_call();
    for (;;) {
      try {
        if (!in_batch_)
          database_->begin_look();
        auto value = work();
        let_go();
        if (!in_batch_ && seen == Seen::fact)
          database_->end_look();
        else if (!in_batch_)
          database_->end_hint();
        return value;
      } catch (Error& error) {
        let_go();
        if (!in_batch_)
          database_->end_hint();
        if (in_batch_ || !database_->try_again())
          return tl::unexpected(std::move(error));
      }
    }
  }

  [[nodiscard]] SqlDatabase& database() { return *database_; }

  Result<void> batch(const std::function<void()>& work) {
    database_->begin_call();
    for (;;) {
      try {
        database_->begin();
        database_->settle();
        break;
      } catch (Error& error) {
        database_->roll_back();
        if (!database_->try_again())
          return tl::unexpected(std::move(error));
      }
    }
    in_batch_ = true;
    work();
    in_batch_ = false;
    try {
      if (auto lost = std::exchange(lost_, std::nullopt))
        throw std::move(*lost);
      database_->begin_call();
      write_counts(batch_counted_);
      batch_counted_.clear();
      database_->commit();
      return {};
    } catch (Error& error) {
      batch_counted_.clear();
      take_back(error);
      return tl::unexpected(std::move(error));
    }
  }

  Result<void> give_back_space() {
    try {
      database_->give_back_space();
      return {};
    } catch (Error& error) {
      return tl::unexpected(std::move(error));
    }
  }

  // -- Submitting ------------------------------------------------------------

  Submitted open_job(const NewJob& job, WallTime now) {
    require(check(job));
    if (const auto there = known(job.request_id))
      return *there;
    require_group(job.group);
    if (job.run)
      require_run(job.run);
    std::uint64_t needs_left = 0;
    bool doomed = false;
    std::vector<bool> open;
    for (const Need& need : job.needs) {
      const Row& needed = row(need.job);
      open.push_back(!needed.ended);
      if (!needed.ended)
        ++needs_left;
      else
        doomed = doomed || !satisfies(needed.state(), need.when);
    }
    const auto id = insert(
        "INSERT INTO job(request_id, name, grp, resources, priority, "
        "delivery, spec, not_before, submitted, tasks, chunks, next, again, "
        "needs_left, "
        "sealed, due, held, cancelled, doomed, n_waiting, n_retrying, "
        "n_running, n_success, n_failed, n_timed_out, n_cancelled, n_lost, "
        "n_skipped, rest_from, rest_at, run, shards) VALUES(?1, ?2, ?3, ?4, "
        "?5, ?6, ?7, ?8, ?9, 0, 0, 0, 0, ?10, 0, 0, 0, 0, ?11, 0, 0, 0, 0, 0, "
        "0, 0, 0, 0, 0, 0, ?12, ?13)",
        job.request_id, job.name, job.group, job.resources,
        static_cast<int>(job.priority), static_cast<int>(job.delivery),
        job.spec, to_stored(job.not_before), to_stored(now), needs_left, doomed,
        job.run.value, to_stored(job.shards));
    count_in(job.group, {.jobs = 1}, {});
    for (std::size_t i = 0; i < job.needs.size(); ++i)
      sql("INSERT INTO need VALUES(?1, ?2, ?3, ?4, ?5)")
          .run(id, i, job.needs[i].job.value,
               static_cast<int>(job.needs[i].when), static_cast<bool>(open[i]));
    const JobId added{static_cast<std::uint64_t>(id)};
    add_tags(added, job.tags);
    return {added, true, false};
  }

  std::optional<Submitted> known(const std::string& request_id) {
    auto& find = sql("SELECT id, sealed FROM job WHERE request_id=?1");
    if (!find.bind(request_id).step())
      return std::nullopt;
    return Submitted{JobId{static_cast<std::uint64_t>(find.number(0))}, false,
                     find.number(1) != 0};
  }

  /// Whether the tasks of this chunk are still to be added.
  bool begin_chunk(JobId job, std::uint64_t chunk, std::uint64_t count) {
    Row& changed = row(job);
    if (chunk < changed.chunks)
      return false;
    if (chunk > changed.chunks)
      refuse(Errc::invalid_argument, "a chunk before it is missing");
    if (changed.sealed)
      refuse(Errc::invalid_argument, "the job is sealed");
    if (count > most_tasks || changed.counts.tasks + count > most_tasks)
      refuse(Errc::invalid_argument, "too many tasks");
    ++changed.chunks;
    changed.counts.tasks += count;
    changed.counts.waiting += count;
    return true;
  }

  void append(JobId job, std::uint64_t chunk,
              std::span<const std::string> arguments) {
    if (!begin_chunk(job, chunk, arguments.size()))
      return;
    std::uint64_t index = row(job).counts.tasks - arguments.size();
    auto& insert = sql("INSERT INTO argument VALUES(?1, ?2, ?3)");
    for (const std::string& argument : arguments) {
      if (!argument.empty())
        insert.run(job.value, index, argument);
      ++index;
    }
  }

  void seal(JobId job, WallTime now) {
    Row& sealed = row(job);
    if (std::exchange(sealed.sealed, true))
      return;
    sealed.due = sealed.not_before <= now;
    if (!sealed.due)
      add_timer(sealed.not_before, {{job, 0}, 0}, /*is_job=*/true, "");
    if (sealed.cancelled)
      end_waiting(sealed, Outcome::cancelled, now);
    else if (sealed.doomed)
      end_waiting(sealed, Outcome::skipped, now);
    end_if_done(job, now);
  }

  // -- Working ---------------------------------------------------------------

  void open_session(const SessionId& session) {
    require(check(session));
    auto& known = sql("SELECT open FROM session WHERE id=?1");
    if (known.bind(session.value).step()) {
      if (known.number(0) == 0)
        refuse(Errc::already_exists, "the session has ended");
      return;
    }
    sql("INSERT INTO session(id, open) VALUES(?1, 1)").run(session.value);
  }

  SessionEnd end_session(const SessionId& session, WallTime now) {
    require(check(session));
    sql("INSERT INTO session(id, open) VALUES(?1, 0) ON CONFLICT(id) DO UPDATE "
        "SET open=0")
        .run(session.value);
    return take_from(session, now);
  }

  /// All that a session holds, which has ended.
  SessionEnd take_from(const SessionId& session, WallTime now) {
    std::map<AttemptRef, bool> held;  // Whether it was started.
    auto& take =
        sql("DELETE FROM running WHERE session=?1 RETURNING job, idx, attempt, "
            "started");
    take.bind(session.value);
    while (take.step())
      held.emplace(read_attempt(take), take.number(3) != 0);
    if (in_sets_) {
      std::set<JobId> jobs;
      for (const auto& [attempt, started] : held)
        jobs.insert(attempt.task.job);
      load_touched(std::move(jobs));
    }
    SessionEnd end;
    std::string whose;
    if (!held.empty()) {
      auto& told = sql("SELECT detail FROM session WHERE id=?1");
      if (told.bind(session.value).step())
        whose = told.bytes(0);
    }
    for (const auto& [attempt, started] : held) {
      Row& job = row(attempt.task.job);
      --job.counts.running;
      if (started && job.delivery == Delivery::at_most_once) {
        add_result(job, attempt, "", Outcome::lost, unknown_exit_status, whose,
                   now);
        ++end.lost;
      } else if (job.cancelled) {
        add_result(job, attempt, "", Outcome::cancelled, unknown_exit_status,
                   whose, now);
      } else {
        add_again(job, attempt, "");
        add_attempt(attempt, Outcome::lost, unknown_exit_status, whose, now);
        ++job.counts.retrying;
        ++end.queued_again;
      }
    }
    for (const auto& [attempt, started] : held)
      end_if_done(attempt.task.job, now);
    return end;
  }

  std::vector<Claim> claim(const SessionId& session, const QueueId& queue,
                           std::uint32_t limit, bool is_within_slots) {
    auto& open = sql("SELECT 1 FROM session WHERE id=?1 AND open<>0");
    auto& group = sql(find_group);
    auto& counter = sql("SELECT claims FROM counter WHERE one=1");
    open.bind(session.value);
    group.bind(queue.group);
    counter.bind();
    if (in_sets_)
      ask_heads(queue, std::min(heads_, limit));
    if (!open.step())
      refuse(Errc::permission_denied, "no such session");
    std::vector<Claim> claims;
    if (is_held(group, queue.group))
      return claims;
    if (is_within_slots)
      limit = std::min(limit, slots_left(group, queue.group));
    if (limit == 0)
      return claims;
    counter.step();
    claim_ = static_cast<std::uint64_t>(counter.number(0)) + 1;
    if (in_sets_)
      claim_set(session, queue, limit, claims);
    while (!in_sets_ && claims.size() < limit) {
      auto& first =
          sql("SELECT job FROM queue WHERE shard=?1 AND grp=?2 AND "
              "resources=?3 ORDER BY rank, job LIMIT 1");
      if (!first.bind(queue.shard, queue.group, queue.resources).step())
        break;
      Row& job = row(JobId{static_cast<std::uint64_t>(first.number(0))});
      claim_from(job, session, limit, claims);
      // The next look at the queue has to see it.
      keep(job);
      touched_.erase(job.id);
    }
    if (!claims.empty())
      sql("UPDATE counter SET claims=?1 WHERE one=1").run(claim_);
    return claims;
  }

  std::vector<bool> start(const SessionId& session,
                          std::span<const AttemptRef> attempts) {
    std::vector<bool> started;
    if (in_sets_) {
      const auto all = changed_by(change(
          "UPDATE running r SET started=1 FROM unnest(?1::bigint[], "
          "?2::bigint[], ?3::bigint[], ?4::bigint[]) u(j, i, a, c) WHERE "
          "r.job=u.j AND r.idx=u.i AND r.attempt=u.a AND r.claim=u.c AND "
          "r.session=?5 RETURNING r.job, r.idx, r.attempt, r.claim",
          session, attempts));
      for (const AttemptRef& attempt : attempts)
        started.push_back(all.contains(attempt));
      return started;
    }
    for (const AttemptRef& attempt : attempts) {
      const bool holds = held(session, attempt).has_value();
      if (holds)
        sql("UPDATE running SET started=1 WHERE job=?1 AND idx=?2")
            .run(attempt.task.job.value, attempt.task.index);
      started.push_back(holds);
    }
    return started;
  }

  std::vector<Recorded> complete(const SessionId& session,
                                 std::span<const Completion> completions,
                                 WallTime now) {
    for (const Completion& completion : completions)
      check_completion(session, completion);
    std::vector<AttemptRef> attempts;
    attempts.reserve(completions.size());
    for (const Completion& completion : completions)
      attempts.push_back(completion.attempt);
    const std::vector<bool> taken = take_running(session, attempts);
    std::vector<Recorded> recorded;
    for (const Completion& completion : completions) {
      const AttemptRef& attempt = completion.attempt;
      if (!taken[recorded.size()]) {
        recorded.push_back(was_of(session, attempt) ? Recorded::already
                                                    : Recorded::fenced);
        continue;
      }
      recorded.push_back(Recorded::yes);
      const WallTime at = end_of(completion, now);
      Row& job = row(attempt.task.job);
      --job.counts.running;
      if (completion.retry_at && !job.cancelled) {
        add_timer(*completion.retry_at, attempt, /*is_job=*/false,
                  session.value);
        add_attempt(attempt, completion.outcome, completion.exit_status,
                    completion.detail, at, completion.started);
        ++job.counts.retrying;
        continue;
      }
      add_result(job, attempt, session.value,
                 completion.retry_at ? Outcome::cancelled : completion.outcome,
                 completion.exit_status, completion.detail, at);
      end_if_done(job.id, now, at);
    }
    return recorded;
  }

  void keep_late(const SessionId& session,
                 std::span<const LateResult> results) {
    auto& ended = sql("SELECT detail FROM session WHERE id=?1 AND open=0");
    if (!ended.bind(session.value).step())
      return;
    const std::string whose{ended.bytes(0)};
    for (const LateResult& late : results) {
      const AttemptRef& attempt = late.attempt;
      for (const char* const text :
           {"UPDATE attempt SET detail=?4 WHERE job=?1 AND idx=?2 AND "
            "attempt=?3 AND outcome=5 AND (detail=?5 OR length(detail)=0)",
            "UPDATE result SET detail=?4 WHERE job=?1 AND idx=?2 AND "
            "attempt=?3 AND outcome=5 AND (detail=?5 OR length(detail)=0)"})
        sql(text).run(attempt.task.job.value, attempt.task.index,
                      attempt.attempt, late.detail, whose);
    }
  }

  void release(const SessionId& session, std::span<const AttemptRef> attempts) {
    const std::vector<bool> taken = take_running(session, attempts);
    std::size_t next = 0;
    for (const AttemptRef& attempt : attempts) {
      if (!taken[next++])
        continue;
      Row& job = row(attempt.task.job);
      --job.counts.running;
      add_again(job, {attempt.task, attempt.attempt - 1}, "");
      ++(attempt.attempt == 1 ? job.counts.waiting : job.counts.retrying);
    }
  }

  std::vector<Claim> claimed_by(const SessionId& session) {
    auto& find =
        sql("SELECT r.job, r.idx, r.attempt, r.claim, r.started, a.argument "
            "FROM running r LEFT JOIN argument a ON a.job=r.job AND "
            "a.idx=r.idx WHERE r.session=?1 ORDER BY r.job, r.idx");
    find.bind(session.value);
    std::vector<Claim> held;
    while (find.step())
      held.push_back({.attempt = read_claimed(find),
                      .argument = find.bytes(5),
                      .is_started = find.number(4) != 0});
    for (Claim& claim : held)
      add_history(claim);
    return held;
  }

  std::vector<SessionId> open_sessions() {
    auto& find = sql("SELECT id FROM session WHERE open<>0 ORDER BY id");
    find.bind();
    std::vector<SessionId> open;
    while (find.step())
      open.push_back({find.bytes(0)});
    return open;
  }

  // -- Clusters --------------------------------------------------------------

  Registered register_session(const NewSession& session, WallTime now) {
    require(check(session));
    auto& known = sql("SELECT open FROM session WHERE id=?1");
    auto& last = sql("SELECT max(incarnation) FROM session WHERE node=?1");
    auto& before = sql("SELECT id FROM session WHERE node=?1 AND open<>0");
    known.bind(session.session.value);
    last.bind(session.node);
    before.bind(session.node);
    if (known.step()) {
      if (known.number(0) == 0)
        return Registered::ended;
      sql("UPDATE session SET detail=?2 WHERE id=?1")
          .run(session.session.value, session.detail);
      return Registered::yes;
    }
    last.step();
    if (static_cast<std::uint64_t>(last.number(0)) >= session.incarnation)
      return Registered::late;
    std::vector<SessionId> ended;
    while (before.step())
      ended.push_back({before.bytes(0)});
    for (const SessionId& id : ended)
      (void)end_session(id, now);
    sql("DELETE FROM session WHERE node=?1 AND open=0 AND seen<?2")
        .run(session.node, to_stored(now - session_memory));
    sql("INSERT INTO session(id, open, node, incarnation, detail, seen) "
        "VALUES(?1, 1, ?2, ?3, ?4, ?5)")
        .run(session.session.value, session.node, session.incarnation,
             session.detail, to_stored(now));
    return Registered::yes;
  }

  /// Whatever an eviction does at the same time: whichever of the two comes
  /// second looks at the row once more.
  Renewal renew(const SessionId& session, bool is_draining, WallTime now) {
    auto& renewed =
        sql("UPDATE session SET counter=counter+1, seen=?3, draining=CASE WHEN "
            "?2<>0 THEN 1 ELSE draining END WHERE id=?1 AND open<>0 RETURNING "
            "draining");
    auto& newest = sql("SELECT number FROM agreed WHERE one=1");
    renewed.bind(session.value, is_draining, to_stored(now));
    newest.bind();
    Renewal renewal;
    if (!renewed.step())
      renewal.session = Renewed::ended;
    else if (renewed.number(0) != 0)
      renewal.session = Renewed::draining;
    newest.step();
    renewal.view = static_cast<std::uint64_t>(newest.number(0));
    return renewal;
  }

  std::vector<SessionInfo> sessions() {
    auto& find = sql(
        "SELECT id, node, incarnation, detail, counter, draining, seen FROM "
        "session WHERE open<>0 AND incarnation>0 ORDER BY id");
    find.bind();
    std::vector<SessionInfo> all;
    while (find.step())
      all.push_back({.session = {.session = {find.bytes(0)},
                                 .node = find.bytes(1),
                                 .incarnation =
                                     static_cast<std::uint64_t>(find.number(2)),
                                 .detail = find.bytes(3)},
                     .counter = static_cast<std::uint64_t>(find.number(4)),
                     .is_draining = find.number(5) != 0,
                     .seen = from_stored(find.number(6))});
    return all;
  }

  std::optional<SessionEnd> evict(const SessionId& session,
                                  std::uint64_t counter, WallTime now) {
    sql("UPDATE session SET open=0 WHERE id=?1 AND counter=?2 AND open<>0 AND "
        "incarnation>0")
        .run(session.value, counter);
    if (database_->changes() == 0)
      return std::nullopt;
    return take_from(session, now);
  }

  AgreedView view() {
    auto& find = sql("SELECT number, what FROM agreed WHERE one=1");
    find.bind().step();
    return {static_cast<std::uint64_t>(find.number(0)), find.bytes(1)};
  }

  AgreedView propose(const AgreedView& next) {
    require(check(next));
    sql("UPDATE agreed SET number=?1, what=?2 WHERE one=1 AND number=?1-1")
        .run(next.number, next.what);
    return view();
  }

  std::optional<KnownRoster> roster_after(std::uint64_t known) {
    auto& find =
        sql("SELECT number, what FROM roster WHERE one=1 AND number>?1");
    find.bind(known);
    if (!find.step())
      return std::nullopt;
    return KnownRoster{static_cast<std::uint64_t>(find.number(0)),
                       find.bytes(1)};
  }

  void set_roster(const KnownRoster& next) {
    require(check(next));
    sql("UPDATE roster SET number=?1, what=?2 WHERE one=1 AND number<?1")
        .run(next.number, next.what);
  }

  // -- Time ------------------------------------------------------------------

  std::uint64_t wake(WallTime now, std::uint32_t limit) {
    struct Due {
      std::int64_t time;
      std::int64_t job;
      std::int64_t index;
      std::int64_t attempt;
      std::string session;
    };
    std::vector<Due> all;
    auto& find =
        sql("SELECT due, job, idx, attempt, session FROM timer WHERE due<=?1 "
            "ORDER BY due, job, idx LIMIT ?2");
    find.bind(to_stored(now), limit);
    while (find.step())
      all.push_back({find.number(0), find.number(1), find.number(2),
                     find.number(3), find.bytes(4)});
    for (const Due& due : all) {
      sql("DELETE FROM timer WHERE due=?1 AND job=?2 AND idx=?3")
          .run(due.time, due.job, due.index);
      Row& job = row(JobId{static_cast<std::uint64_t>(due.job)});
      if (due.index < 0)
        job.due = true;
      else
        add_again(job,
                  {{job.id, static_cast<std::uint64_t>(due.index)},
                   static_cast<std::uint32_t>(due.attempt)},
                  due.session);
    }
    return all.size();
  }

  std::optional<WallTime> next_wake() {
    auto& first = sql("SELECT due FROM timer ORDER BY due LIMIT 1");
    if (!first.bind().step())
      return std::nullopt;
    return from_stored(first.number(0));
  }

  // -- Changing --------------------------------------------------------------

  std::vector<AttemptRef> cancel(JobId id, WallTime now) {
    Row& job = row(id);
    if (job.ended)
      return {};
    job.cancelled = true;
    auto& find = sql(
        "SELECT job, idx, attempt, claim FROM running WHERE job=?1 ORDER BY "
        "idx");
    find.bind(id.value);
    std::vector<AttemptRef> running;
    while (find.step())
      running.push_back(read_claimed(find));
    // More may be added to one that is open; sealing it ends them as well.
    if (job.sealed)
      end_waiting(job, Outcome::cancelled, now);
    end_if_done(id, now);
    return running;
  }

  void hold(JobId id, bool is_held) {
    Row& job = row(id);
    if (!job.ended)
      job.held = is_held;
  }

  void edit(JobId id, const JobEdit& edit, WallTime now) {
    require(check(edit));
    Row& job = row(id);
    if (job.ended)
      refuse(Errc::invalid_argument, "it has ended");
    if (edit.group)
      (void)require_group(*edit.group);
    take_from_queue(job);
    count_in(job.queue.group, {}, job.in_group);
    job.queue = {edit.group.value_or(job.queue.group),
                 edit.resources.value_or(job.queue.resources)};
    count_in(job.queue.group, job.in_group, {});
    if (edit.priority)
      job.priority = static_cast<std::int64_t>(*edit.priority);
    if (edit.not_before)
      move_start(job, *edit.not_before, now);
    sql("UPDATE job SET name=coalesce(?2, name), spec=coalesce(?3, spec), "
        "grp=?4, resources=?5, priority=?6, not_before=?7 WHERE id=?1")
        .run(id.value, edit.name, edit.spec, job.queue.group,
             job.queue.resources, job.priority, to_stored(job.not_before));
    if (!edit.tags)
      return;
    sql("DELETE FROM tag WHERE job=?1").run(id.value);
    add_tags(id, *edit.tags);
  }

  std::uint64_t retry(JobId id, Retry which) {
    Row& job = row(id);
    if (!job.ended)
      refuse(Errc::invalid_argument, "it has not ended");
    if (job.run)
      refuse_job_of(job.run);
    (void)require_group(job.queue.group);
    JobCounts& counts = job.counts;
    const bool all = which == Retry::not_succeeded;
    const std::uint64_t count =
        all ? counts.tasks - counts.success
            : counts.failed + counts.timed_out + counts.lost;
    if (count == 0)
      return 0;
    sql("INSERT INTO again SELECT job, idx, attempt, ?3 FROM result WHERE "
        "job=?1 AND outcome<>1 AND (?2<>0 OR outcome IN (2, 3, 5))")
        .run(id.value, all, "");
    for (const char* const text :
         {"INSERT INTO attempt SELECT job, idx, attempt, outcome, status, "
          "detail, at, 0, NULL FROM result WHERE job=?1 AND outcome<>1 AND "
          "attempt>0 AND (?2<>0 OR outcome IN (2, 3, 5)) "
          "ON CONFLICT DO NOTHING",
          "DELETE FROM result WHERE job=?1 AND outcome<>1 AND (?2<>0 OR "
          "outcome IN (2, 3, 5))"})
      sql(text).run(id.value, all);
    sql("UPDATE attempt SET counts=0 WHERE job=?1 AND counts<>0").run(id.value);
    auto& rows =
        sql("SELECT count(*), count(*) FILTER (WHERE attempt>0) FROM again "
            "WHERE job=?1");
    rows.bind(id.value).step();
    job.again = static_cast<std::uint64_t>(rows.number(0));
    const auto tried = static_cast<std::uint64_t>(rows.number(1));
    if (all && std::exchange(job.rest_outcome, std::nullopt))
      job.next = job.rest_from;
    if (all)
      counts.cancelled = counts.skipped = 0;
    counts.failed = counts.timed_out = counts.lost = 0;
    counts.waiting = count - tried;
    counts.retrying = tried;
    sql("UPDATE need SET open=0 WHERE job=?1").run(id.value);
    job.needs_left = 0;
    job.ended.reset();
    job.cancelled = false;
    job.doomed = false;
    job.held = false;
    job.due = true;
    return count;
  }

  void forget(JobId id) {
    const Row& job = row(id);
    if (!job.ended)
      refuse(Errc::invalid_argument, "it has not ended");
    if (job.run)
      refuse_job_of(job.run);
    remove(id);
  }

  void remove(JobId id) {
    touched_.erase(id);
    for (const char* const statement :
         {"DELETE FROM job WHERE id=?1", "DELETE FROM tag WHERE job=?1",
          "DELETE FROM need WHERE job=?1", "INSERT INTO garbage VALUES(?1)"})
      sql(statement).run(id.value);
  }

  /// Whether there is more to do.
  bool tidy(std::uint32_t rows) {
    auto& first = sql("SELECT job FROM garbage LIMIT 1");
    if (!first.bind().step())
      return false;
    const std::int64_t job = first.number(0);
    for (const char* const statement :
         {"DELETE FROM argument WHERE job=?1 AND idx IN (SELECT idx FROM "
          "argument WHERE job=?1 LIMIT ?2)",
          "DELETE FROM result WHERE job=?1 AND idx IN (SELECT idx FROM result "
          "WHERE job=?1 LIMIT ?2)",
          "DELETE FROM attempt WHERE job=?1 AND idx IN (SELECT idx FROM "
          "attempt WHERE job=?1 LIMIT ?2)"}) {
      sql(statement).run(job, rows);
      if (database_->changes() > 0)
        return true;
    }
    sql("DELETE FROM garbage WHERE job=?1").run(job);
    return true;
  }

  void set_group(const Group& group) {
    require(check(group));
    sql("INSERT INTO grp(name, slots, held, weight, starts_per_minute, "
        "break_after, break_pause) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7) "
        "ON CONFLICT(name) DO UPDATE SET slots=?2, held=?3, weight=?4, "
        "starts_per_minute=?5, break_after=?6, break_pause=?7")
        .run(group.name, group.slots, group.is_held, group.weight,
             group.starts_per_minute, group.break_after,
             to_stored(group.break_pause));
  }

  void remove_group(const std::string& name) {
    (void)require_group(name);
    if (name == "default")
      refuse(Errc::invalid_argument, "the group default stays");
    auto& find = sql("SELECT n_jobs FROM grp WHERE name=?1");
    find.bind(name).step();
    const auto pending = batch_counted_.find(name);
    if (static_cast<std::uint64_t>(find.number(0)) +
            (pending == batch_counted_.end() ? 0 : pending->second.jobs) >
        0)
      refuse(Errc::invalid_argument, "it has jobs");
    sql("DELETE FROM grp WHERE name=?1").run(name);
    batch_counted_.erase(name);
  }

  // -- Runs ------------------------------------------------------------------

  SubmittedRun open_run(const NewRun& run, WallTime now) {
    require(check(run));
    auto& find = sql("SELECT id FROM run WHERE request_id=?1");
    if (find.bind(run.request_id).step())
      return {run_id(find, 0), false};
    const RunId id{static_cast<std::uint64_t>(insert(
        "INSERT INTO run(request_id, name, spec, state, n_jobs, n_ended, "
        "n_failed, n_events, submitted) VALUES(?1, ?2, ?3, ?4, 0, 0, 0, 0, ?5)",
        run.request_id, run.name, run.spec, static_cast<int>(RunState::running),
        to_stored(now)))};
    if (std::string name = with_number(run.name, id); name != run.name)
      sql("UPDATE run SET name=?2 WHERE id=?1").run(id.value, name);
    return {id, true};
  }

  bool add_event(RunId run, const RunEvent& event, RunState state,
                 const RunCounts& counts) {
    require(check(event));
    auto& find = sql("SELECT n_events FROM run WHERE id=?1");
    if (!find.bind(run.value).step())
      refuse_run(run);
    const auto next = static_cast<std::uint64_t>(find.number(0));
    if (event.number < next)
      return false;
    if (event.number > next)
      refuse(Errc::invalid_argument, "an event before it is missing");
    sql("INSERT INTO run_event(run, number, at, what) VALUES(?1, ?2, ?3, ?4)")
        .run(run.value, event.number, to_stored(event.at), event.what);
    sql("UPDATE run SET n_events=?2, state=?3, n_jobs=?4, n_ended=?5, "
        "n_failed=?6, ended=?7 WHERE id=?1")
        .run(run.value, next + 1, static_cast<int>(state), counts.jobs,
             counts.ended, counts.failed,
             has_ended(state) ? std::optional{to_stored(event.at)}
                              : std::nullopt);
    return true;
  }

  std::vector<JobId> forget_run(RunId run) {
    auto& find = sql("SELECT ended FROM run WHERE id=?1");
    if (!find.bind(run.value).step())
      refuse_run(run);
    if (find.is_null(0))
      refuse(Errc::invalid_argument, "it has not ended");
    std::vector<JobId> jobs;
    auto& all =
        sql("SELECT id, ended FROM job WHERE run<>0 AND run=?1 ORDER BY id");
    all.bind(run.value);
    while (all.step()) {
      jobs.push_back(JobId{static_cast<std::uint64_t>(all.number(0))});
      if (all.is_null(1))
        refuse(Errc::invalid_argument,
               fmt::format("its job {} has not ended", jobs.back().value));
    }
    for (const JobId job : jobs)
      remove(job);
    sql("DELETE FROM run_event WHERE run=?1").run(run.value);
    sql("DELETE FROM run WHERE id=?1").run(run.value);
    return jobs;
  }

  RunInfo run(RunId run) {
    auto& find =
        sql("SELECT id, request_id, name, state, n_jobs, n_ended, n_failed, "
            "n_events, submitted, ended, spec FROM run WHERE id=?1");
    if (!find.bind(run.value).step())
      refuse_run(run);
    RunInfo info = read_run(find);
    info.run.spec = find.bytes(10);
    return info;
  }

  std::vector<RunInfo> runs(const RunFilter& filter, std::uint32_t limit) {
    std::string_view condition;
    switch (filter.set) {
      case RunSet::all:
        break;
      case RunSet::unended:
        condition = " AND ended IS NULL";
        break;
      case RunSet::ended:
        condition = " AND ended IS NOT NULL";
        break;
      case RunSet::failed:
        condition = " AND state=3";
        break;
    }
    const auto find = database_->prepare_once(fmt::format(
        "SELECT id, request_id, name, state, n_jobs, n_ended, n_failed, "
        "n_events, submitted, ended FROM run WHERE (?1=0 OR id<?1){} "
        "ORDER BY id DESC LIMIT ?2",
        condition));
    find->bind(filter.before.value, limit);
    return read_runs(*find);
  }

  std::vector<RunEvent> events(RunId run, std::uint64_t from,
                               std::uint32_t limit) {
    require_run(run);
    auto& find =
        sql("SELECT number, what, at FROM run_event WHERE run=?1 AND "
            "number>=?2 ORDER BY number LIMIT ?3");
    find.bind(run.value, from, limit);
    std::vector<RunEvent> all;
    while (find.step())
      all.push_back({.number = static_cast<std::uint64_t>(find.number(0)),
                     .what = find.bytes(1),
                     .at = from_stored(find.number(2))});
    return all;
  }

  std::vector<RunInfo> oldest_ended_runs(std::uint32_t limit) {
    auto& find =
        sql("SELECT id, request_id, name, state, n_jobs, n_ended, n_failed, "
            "n_events, submitted, ended FROM run WHERE ended IS NOT NULL "
            "ORDER BY ended, id LIMIT ?1");
    find.bind(limit);
    return read_runs(find);
  }

  std::uint64_t count_ended_runs() {
    auto& find = sql("SELECT count(*) FROM run WHERE ended IS NOT NULL");
    find.bind().step();
    return static_cast<std::uint64_t>(find.number(0));
  }

  // -- Looking ---------------------------------------------------------------

  JobInfo job(JobId id) {
    auto& find =
        sql("SELECT request_id, name, spec, submitted FROM job WHERE id=?1");
    if (!find.bind(id.value).step())
      refuse_job(id);
    JobInfo info;
    info.job.request_id = find.bytes(0);
    info.job.name = find.bytes(1);
    info.job.spec = find.bytes(2);
    info.submitted = from_stored(find.number(3));
    const Row row = load(id);
    info.id = id;
    info.job.group = row.queue.group;
    info.job.resources = row.queue.resources;
    info.job.priority = static_cast<Priority>(row.priority);
    info.job.delivery = row.delivery;
    info.job.not_before = row.not_before;
    info.job.run = row.run;
    info.job.shards = row.shards;
    info.state = row.state();
    info.counts = row.counts;
    info.needs_left = row.needs_left;
    info.is_held = row.held;
    info.is_cancelled = row.cancelled;
    info.ended = row.ended;
    auto& needs =
        sql("SELECT needs, \"when\" FROM need WHERE job=?1 ORDER BY pos");
    needs.bind(id.value);
    while (needs.step())
      info.job.needs.push_back(
          {JobId{static_cast<std::uint64_t>(needs.number(0))},
           static_cast<When>(needs.number(1))});
    auto& tags = sql("SELECT tag FROM tag WHERE job=?1 ORDER BY pos");
    tags.bind(id.value);
    while (tags.step())
      info.job.tags.push_back(tags.bytes(0));
    return info;
  }

  std::vector<JobInfo> jobs(const JobFilter& filter, std::uint32_t limit) {
    std::string text = "SELECT id FROM job WHERE (?1=0 OR id<?1)";
    if (filter.group)
      text += " AND grp=?2";
    if (filter.tag)
      text += " AND id IN (SELECT job FROM tag WHERE tag=?3)";
    // The index of those of runs is there for rows that say so.
    if (filter.run)
      text += *filter.run ? " AND run<>0 AND run=?4" : " AND run=0";
    text += condition_of(filter.set);
    text += " ORDER BY id DESC LIMIT ?5";
    const auto find = database_->prepare_once(text);
    find->bind(filter.before.value, filter.group.value_or(""),
               filter.tag.value_or(""), filter.run.value_or(RunId{}).value,
               limit);
    std::vector<JobId> ids;
    while (find->step())
      ids.push_back(JobId{static_cast<std::uint64_t>(find->number(0))});
    std::vector<JobInfo> found;
    found.reserve(ids.size());
    for (const JobId id : ids)
      found.push_back(job(id));
    return found;
  }

  std::vector<TaskResult> results(JobId id, std::uint64_t from,
                                  std::uint32_t limit) {
    return results_of(load(id), from, limit);
  }

  std::vector<TaskResult> results_of(const Row& job, std::uint64_t from,
                                     std::uint32_t limit) {
    const JobId id = job.id;
    std::vector<TaskResult> results;
    auto& find =
        sql("SELECT idx, attempt, outcome, status, detail, at FROM result "
            "WHERE job=?1 AND idx>=?2 ORDER BY idx LIMIT ?3");
    find.bind(id.value, from, limit);
    while (find.step())
      results.push_back(
          {.task = {id, static_cast<std::uint64_t>(find.number(0))},
           .attempt = static_cast<std::uint32_t>(find.number(1)),
           .outcome = static_cast<Outcome>(find.number(2)),
           .exit_status = static_cast<int>(find.number(3)),
           .detail = find.bytes(4),
           .at = from_stored(find.number(5))});
    if (!job.rest_outcome)
      return results;
    for (std::uint64_t i = std::max(from, job.rest_from);
         i < job.counts.tasks && results.size() < limit; ++i)
      results.push_back(
          {.task = {id, i}, .outcome = *job.rest_outcome, .at = job.rest_at});
    return results;
  }

  std::vector<std::uint64_t> tried(JobId id, std::uint64_t from,
                                   std::uint32_t limit) {
    (void)load(id);
    auto& find = sql(
        "SELECT idx FROM result WHERE job=?1 AND idx>=?2 AND attempt>0 "
        "UNION SELECT idx FROM running WHERE job=?1 AND idx>=?2 "
        "UNION SELECT idx FROM again WHERE job=?1 AND idx>=?2 AND attempt>0 "
        "UNION SELECT idx FROM timer WHERE job=?1 AND idx>=?2 "
        "ORDER BY idx LIMIT ?3");
    find.bind(id.value, from, limit);
    std::vector<std::uint64_t> indices;
    while (find.step())
      indices.push_back(static_cast<std::uint64_t>(find.number(0)));
    return indices;
  }

  TaskInfo task(const TaskRef& task) {
    const Row job = load(task.job);
    if (task.index >= job.counts.tasks)
      refuse(Errc::not_found,
             fmt::format("job {} has no task {}", task.job.value, task.index));
    TaskInfo info{.task = task, .argument = argument_of(task)};
    const auto attempt_in = [&](SqlStatement& find) {
      if (!find.bind(task.job.value, task.index).step())
        return false;
      info.attempt = static_cast<std::uint32_t>(find.number(0));
      return true;
    };
    auto& running =
        sql("SELECT attempt, started, session FROM running WHERE job=?1 AND "
            "idx=?2");
    auto& sleeping =
        sql("SELECT attempt, due FROM timer WHERE job=?1 AND idx=?2");
    if (attempt_in(running)) {
      info.state =
          running.number(1) != 0 ? TaskState::started : TaskState::claimed;
      info.session = {running.bytes(2)};
    } else if (attempt_in(sleeping)) {
      info.state = TaskState::backing_off;
      info.due = from_stored(sleeping.number(1));
    } else if (!attempt_in(
                   sql("SELECT attempt FROM again WHERE job=?1 AND idx=?2"))) {
      const auto ended = results_of(job, task.index, 1);
      if (!ended.empty() && ended[0].task == task) {
        info.state = TaskState::ended;
        info.attempt = ended[0].attempt;
        info.result = ended[0];
      }
    }
    return info;
  }

  std::vector<TaskResult> attempts(const TaskRef& task) {
    (void)load(task.job);
    auto& find = sql(
        "SELECT attempt, outcome, status, detail, at, started FROM attempt "
        "WHERE job=?1 AND idx=?2 UNION ALL "
        "SELECT attempt, outcome, status, detail, at, NULL FROM result WHERE "
        "job=?1 AND idx=?2 AND attempt>0 AND NOT EXISTS(SELECT 1 FROM "
        "attempt a WHERE a.job=?1 AND a.idx=?2 AND "
        "a.attempt=result.attempt) ORDER BY 1");
    find.bind(task.job.value, task.index);
    std::vector<TaskResult> all;
    while (find.step()) {
      all.push_back({.task = task,
                     .attempt = static_cast<std::uint32_t>(find.number(0)),
                     .outcome = static_cast<Outcome>(find.number(1)),
                     .exit_status = static_cast<int>(find.number(2)),
                     .detail = find.bytes(3),
                     .at = from_stored(find.number(4))});
      if (!find.is_null(5))
        all.back().started = from_stored(find.number(5));
    }
    return all;
  }

  std::optional<WallTime> next_due(JobId id) {
    (void)load(id);
    auto& find = sql("SELECT min(due) FROM timer WHERE job=?1 AND idx>=0");
    find.bind(id.value).step();
    if (find.is_null(0))
      return std::nullopt;
    return from_stored(find.number(0));
  }

  std::vector<GroupInfo> groups() {
    std::vector<GroupInfo> all;
    auto& find =
        sql("SELECT name, slots, held, weight, starts_per_minute, break_after, "
            "break_pause, n_jobs, n_waiting, n_retrying, n_running FROM grp "
            "ORDER BY name");
    find.bind();
    const auto small = [&](int column) {
      return static_cast<std::uint32_t>(find.number(column));
    };
    const auto count = [&](int column) {
      return static_cast<std::uint64_t>(find.number(column));
    };
    while (find.step())
      all.push_back({{.name = find.bytes(0),
                      .slots = small(1),
                      .is_held = find.number(2) != 0,
                      .weight = small(3),
                      .starts_per_minute = small(4),
                      .break_after = small(5),
                      .break_pause = std::chrono::nanoseconds{find.number(6)}},
                     {count(7), count(8), count(9), count(10)}});
    for (const auto& [group, change] : batch_counted_) {
      for (GroupInfo& info : all) {
        if (info.group.name == group)
          add(info.counts, change);
      }
    }
    return all;
  }

  std::map<SessionId, std::uint64_t> claims_in(const std::string& group) {
    // There is far less that runs than there are jobs of a group.
    auto& find =
        sql("SELECT session, count(*) FROM running WHERE (SELECT grp FROM job "
            "WHERE id=running.job)=?1 GROUP BY session");
    find.bind(group);
    std::map<SessionId, std::uint64_t> claims;
    while (find.step())
      claims.emplace(SessionId{find.bytes(0)},
                     static_cast<std::uint64_t>(find.number(1)));
    return claims;
  }

  std::vector<QueueHead> queues_of(std::span<const std::uint32_t> shards) {
    std::vector<QueueHead> heads;
    if (!in_sets_) {
      for (const std::uint32_t shard : shards)
        add_heads(shard, heads);
      std::sort(heads.begin(), heads.end(), is_before);
      return heads;
    }
    const std::vector<std::int64_t> all{shards.begin(), shards.end()};
    auto& find =
        sql("WITH RECURSIVE head AS ("
            "SELECT first.* FROM unnest(?1::bigint[]) s CROSS JOIN LATERAL ("
            "SELECT shard, grp, resources, rank, job FROM queue WHERE shard=s "
            "ORDER BY shard, grp, resources, rank, job LIMIT 1) first "
            "UNION ALL SELECT next.* FROM head h CROSS JOIN LATERAL ("
            "SELECT shard, grp, resources, rank, job FROM queue q WHERE "
            "q.shard=h.shard AND (q.grp, q.resources)>(h.grp, h.resources) "
            "ORDER BY shard, grp, resources, rank, job LIMIT 1) next) "
            "SELECT shard, grp, resources, rank, job FROM head h WHERE "
            "EXISTS(SELECT 1 FROM grp g WHERE g.name=h.grp AND g.held=0)");
    find.bind(all);
    return read_heads(find);
  }

  /// Looks at the index, a few for each queue, however long they are.
  std::vector<QueueHead> queues_from(std::uint32_t shard, std::uint32_t limit) {
    if (in_sets_) {
      auto& find =
          sql("WITH RECURSIVE head AS (("
              "SELECT shard, grp, resources, rank, job FROM queue WHERE "
              "shard>=?1 ORDER BY shard, grp, resources, rank, job LIMIT 1) "
              "UNION ALL SELECT next.* FROM head h CROSS JOIN LATERAL ("
              "SELECT shard, grp, resources, rank, job FROM queue q WHERE "
              "(q.shard, q.grp, q.resources)>(h.shard, h.grp, h.resources) "
              "ORDER BY shard, grp, resources, rank, job LIMIT 1) next) "
              "SELECT shard, grp, resources, rank, job FROM head h WHERE "
              "EXISTS(SELECT 1 FROM grp g WHERE g.name=h.grp AND g.held=0) "
              "LIMIT ?2");
      find.bind(shard, limit);
      return read_heads(find);
    }
    std::vector<QueueHead> heads;
    auto& next =
        sql("SELECT shard FROM queue WHERE shard>=?1 ORDER BY shard LIMIT 1");
    for (std::int64_t from = shard;
         heads.size() < limit && next.bind(from).step();) {
      from = next.number(0) + 1;
      add_heads(static_cast<std::uint32_t>(from - 1), heads);
    }
    heads.resize(std::min<std::size_t>(heads.size(), limit));
    return heads;
  }

  std::uint64_t count_ended() {
    auto& find =
        sql("SELECT count(*) FROM job WHERE ended IS NOT NULL AND run=0");
    find.bind().step();
    return static_cast<std::uint64_t>(find.number(0));
  }

  std::vector<JobId> forgotten(std::span<const JobId> jobs) {
    return forgotten(
        jobs,
        "SELECT u.id FROM unnest(?1::bigint[]) u(id) WHERE "
        "u.id<(SELECT max(id) FROM job) AND "
        "NOT EXISTS(SELECT 1 FROM job WHERE job.id=u.id) ORDER BY u.id",
        "SELECT 1 WHERE ?1<(SELECT max(id) FROM job) AND "
        "NOT EXISTS(SELECT 1 FROM job WHERE id=?1)");
  }

  std::vector<RunId> forgotten_runs(std::span<const RunId> runs) {
    return forgotten(
        runs,
        "SELECT u.id FROM unnest(?1::bigint[]) u(id) WHERE "
        "u.id<(SELECT max(id) FROM run) AND "
        "NOT EXISTS(SELECT 1 FROM run WHERE run.id=u.id) ORDER BY u.id",
        "SELECT 1 WHERE ?1<(SELECT max(id) FROM run) AND "
        "NOT EXISTS(SELECT 1 FROM run WHERE id=?1)");
  }

  template <class Id>
  std::vector<Id> forgotten(std::span<const Id> ids, const char* all,
                            const char* one) {
    std::vector<Id> forgotten;
    if (in_sets_) {
      std::vector<std::int64_t> numbers;
      numbers.reserve(ids.size());
      for (const Id id : ids)
        numbers.push_back(static_cast<std::int64_t>(id.value));
      auto& find = sql(all);
      find.bind(numbers);
      while (find.step())
        forgotten.push_back(Id{static_cast<std::uint64_t>(find.number(0))});
      return forgotten;
    }
    auto& find = sql(one);
    for (const Id id : ids) {
      if (find.bind(id.value).step())
        forgotten.push_back(id);
    }
    return forgotten;
  }

  std::vector<JobId> oldest_ended(JobSet set, std::uint32_t limit) {
    const auto find = database_->prepare_once(
        fmt::format("SELECT id FROM job WHERE ended IS NOT NULL AND run=0{} "
                    "ORDER BY ended, id LIMIT ?1",
                    condition_of(set)));
    find->bind(limit);
    std::vector<JobId> oldest;
    while (find->step())
      oldest.push_back(JobId{static_cast<std::uint64_t>(find->number(0))});
    return oldest;
  }

 private:
  struct Prepared {
    std::unique_ptr<SqlStatement> statement;
    bool is_used = false;
  };

  SqlStatement& use(Prepared& prepared) {
    if (!std::exchange(prepared.is_used, true))
      used_.push_back(&prepared);
    return *prepared.statement;
  }

  /// A prepared statement; `text` is a literal. Not to be used again before its
  /// rows are read.
  SqlStatement& sql(const char* text) {
    auto known = statements_.find(text);
    if (known == statements_.end())
      known =
          statements_.emplace(text, Prepared{database_->prepare(text)}).first;
    return use(known->second);
  }

  /// Adds a row that the database numbers. Answers the number.
  template <class... Values>
  std::int64_t insert(const char* text, const Values&... values) {
    auto known = statements_.find(text);
    if (known == statements_.end())
      known =
          statements_.emplace(text, Prepared{database_->prepare_insert(text)})
              .first;
    return database_->added(use(known->second).bind(values...));
  }

  /// Where the two differ. `postgres` is a literal as well.
  [[nodiscard]] const char* either(const char* sqlite,
                                   const char* postgres) const {
    return in_sets_ ? postgres : sqlite;
  }

  [[noreturn]] static void refuse_job(JobId id) {
    refuse(Errc::not_found, fmt::format("no job {}", id.value));
  }

  [[noreturn]] static void refuse_run(RunId run) {
    refuse(Errc::not_found, fmt::format("no run r{}", run.value));
  }

  [[noreturn]] static void refuse_job_of(RunId run) {
    refuse(Errc::invalid_argument,
           fmt::format("it belongs to run r{0}; give r{0} instead", run.value));
  }

  static bool is_before(const QueueHead& a, const QueueHead& b) {
    return a.queue < b.queue;
  }

  static QueueHead read_head(const SqlStatement& s) {
    return {{.group = s.bytes(1),
             .resources = s.bytes(2),
             .shard = static_cast<std::uint32_t>(s.number(0))},
            static_cast<Priority>(-s.number(3)),
            JobId{static_cast<std::uint64_t>(s.number(4))}};
  }

  static std::vector<QueueHead> read_heads(SqlStatement& s) {
    std::vector<QueueHead> heads;
    while (s.step())
      heads.push_back(read_head(s));
    std::sort(heads.begin(), heads.end(), is_before);
    return heads;
  }

  /// Those of one shard. Not of groups that are held.
  void add_heads(std::uint32_t shard, std::vector<QueueHead>& heads) {
    auto& first =
        sql("SELECT shard, grp, resources, rank, job FROM queue WHERE shard=?1 "
            "ORDER BY grp, resources, rank, job LIMIT 1");
    // As one comparison of pairs these two would be a walk through the queue.
    auto& in_group =
        sql("SELECT shard, grp, resources, rank, job FROM queue WHERE shard=?1 "
            "AND grp=?2 AND resources>?3 ORDER BY grp, resources, rank, job "
            "LIMIT 1");
    auto& in_next_group =
        sql("SELECT shard, grp, resources, rank, job FROM queue WHERE shard=?1 "
            "AND grp>?2 ORDER BY grp, resources, rank, job LIMIT 1");
    SqlStatement* find = &first.bind(shard);
    bool found = find->step();
    while (found) {
      const QueueHead head = read_head(*find);
      find = &in_group.bind(shard, head.queue.group, head.queue.resources);
      found = find->step();
      if (!found) {
        find = &in_next_group.bind(shard, head.queue.group);
        found = find->step();
      }
      if (!require_group(head.queue.group))
        heads.push_back(head);
    }
  }

  void require_run(RunId run) {
    if (!sql("SELECT 1 FROM run WHERE id=?1").bind(run.value).step())
      refuse_run(run);
  }

  static RunId run_id(const SqlStatement& s, int column) {
    return RunId{static_cast<std::uint64_t>(s.number(column))};
  }

  static RunInfo read_run(const SqlStatement& s) {
    const auto count = [&](int column) {
      return static_cast<std::uint64_t>(s.number(column));
    };
    RunInfo info;
    info.id = run_id(s, 0);
    info.run.request_id = s.bytes(1);
    info.run.name = s.bytes(2);
    info.state = static_cast<RunState>(s.number(3));
    info.counts = {count(4), count(5), count(6)};
    info.events = count(7);
    info.submitted = from_stored(s.number(8));
    if (!s.is_null(9))
      info.ended = from_stored(s.number(9));
    return info;
  }

  static std::vector<RunInfo> read_runs(SqlStatement& s) {
    std::vector<RunInfo> all;
    while (s.step())
      all.push_back(read_run(s));
    return all;
  }

  /// Those jobs in one statement, as row() would give them.
  void load_all(const std::vector<std::int64_t>& ids) {
    static const std::string text =
        fmt::format("SELECT {} FROM job WHERE id=ANY(?1)", row_columns);
    auto& find = sql(text.c_str());
    find.bind(ids);
    load_rows(find);
  }

  std::vector<JobId> load_rows(SqlStatement& find) {
    std::vector<JobId> ids;
    while (find.step()) {
      Row row = read_row(find);
      ids.push_back(row.id);
      touched_.try_emplace(row.id, std::move(row));
    }
    return ids;
  }

  /// Those jobs, and which of them somebody needs.
  void load_touched(std::set<JobId> jobs) {
    if (jobs.empty())
      return;
    std::vector<std::int64_t> ids;
    ids.reserve(jobs.size());
    for (const JobId job : jobs)
      ids.push_back(static_cast<std::int64_t>(job.value));
    auto& needed =
        sql("SELECT needs FROM need WHERE needs=ANY(?1) AND open<>0");
    needed.bind(ids);
    load_all(ids);
    not_needed_ = std::move(jobs);
    while (needed.step())
      not_needed_.erase(JobId{static_cast<std::uint64_t>(needed.number(0))});
  }

  Row load(JobId id) {
    static const std::string text =
        fmt::format("SELECT {} FROM job WHERE id=?1", row_columns);
    auto& find = sql(text.c_str());
    if (!find.bind(id.value).step())
      refuse_job(id);
    return read_row(find);
  }

  /// The job, to look at or to change; written at the end of the call.
  Row& row(JobId id) {
    const auto known = touched_.find(id);
    if (known != touched_.end())
      return known->second;
    return touched_.emplace(id, load(id)).first->second;
  }

  void keep(Row& r) {
    keep_columns(r);
    keep_place(r);
  }

  void keep_columns(Row& r) {
    const ChangingColumns now = columns_of(r);
    if (now == r.stored)
      return;
    std::array<SqlValue, changing_columns.size()> values;
    std::transform(now.begin(), now.end(), values.begin(),
                   [](const auto& column) { return SqlValue::of(column); });
    const std::size_t count = columns_to_write(r.stored, now);
    update_of_one(count).run_all(std::span{values}.first(count));
    r.stored = now;
  }

  SqlStatement& update_of_one(std::size_t columns) {
    static const auto texts = texts_for([](std::size_t count) {
      std::vector<std::string> changes;
      for (std::size_t i = 1; i < count; ++i)
        changes.push_back(fmt::format("{}=?{}", changing_columns[i], i + 1));
      return fmt::format("UPDATE job SET {} WHERE id=?1",
                         fmt::join(changes, ", "));
    });
    return sql(texts.at(columns).c_str());
  }

  /// The text of a statement, by how many columns it writes.
  template <class F>
  static std::map<std::size_t, std::string> texts_for(F text_of) {
    std::map<std::size_t, std::string> texts;
    for (const std::size_t count : writable_columns)
      texts.emplace(count, text_of(count));
    return texts;
  }

  /// In its group and in its queue.
  void keep_place(Row& r) {
    count_in(r.queue.group, r.for_group(), r.in_group);
    r.in_group = r.for_group();
    if (!r.may_be_claimed())
      take_from_queue(r);
    else if (!std::exchange(r.in_queue, true))
      for (const std::uint32_t shard : r.places())
        sql("INSERT INTO queue(shard, grp, resources, rank, job) VALUES(?1, "
            "?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING")
            .run(shard, r.queue.group, r.queue.resources, -r.priority,
                 r.id.value);
  }

  /// As keep_place(), of many jobs.
  void keep_places() {
    struct Places {
      std::vector<std::int64_t> shards;
      std::vector<std::string> groups;
      std::vector<std::string> resources;
      std::vector<std::int64_t> ranks;
      std::vector<std::int64_t> jobs;

      void add(const Row& r) {
        for (const std::uint32_t shard : r.places()) {
          shards.push_back(shard);
          groups.push_back(r.queue.group);
          resources.push_back(r.queue.resources);
          ranks.push_back(-r.priority);
          jobs.push_back(static_cast<std::int64_t>(r.id.value));
        }
      }
    };
    Places left;
    Places entered;
    for (auto& [id, r] : touched_) {
      count_in(r.queue.group, r.for_group(), r.in_group);
      r.in_group = r.for_group();
      if (r.may_be_claimed() == r.in_queue)
        continue;
      (r.in_queue ? left : entered).add(r);
      r.in_queue = !r.in_queue;
    }
    if (!left.jobs.empty())
      sql("DELETE FROM queue q USING unnest(?1::bigint[], ?2::bytea[], "
          "?3::bytea[], ?4::bigint[], ?5::bigint[]) u(s, g, r, k, j) WHERE "
          "q.shard=u.s AND q.grp=u.g AND q.resources=u.r AND q.rank=u.k AND "
          "q.job=u.j")
          .run(left.shards, left.groups, left.resources, left.ranks, left.jobs);
    if (!entered.jobs.empty())
      sql("INSERT INTO queue(shard, grp, resources, rank, job) SELECT * FROM "
          "unnest(?1::bigint[], ?2::bytea[], ?3::bytea[], ?4::bigint[], "
          "?5::bigint[]) ON CONFLICT DO NOTHING")
          .run(entered.shards, entered.groups, entered.resources, entered.ranks,
               entered.jobs);
  }

  void take_from_queue(Row& r) {
    if (!std::exchange(r.in_queue, false))
      return;
    for (const std::uint32_t shard : r.places())
      sql("DELETE FROM queue WHERE shard=?1 AND grp=?2 AND resources=?3 AND "
          "rank=?4 AND job=?5")
          .run(shard, r.queue.group, r.queue.resources, -r.priority,
               r.id.value);
  }

  /// The columns of many jobs.
  void keep_set() {
    using Columns = std::array<std::vector<std::optional<std::int64_t>>,
                               changing_columns.size()>;
    std::map<std::size_t, Columns> sets;  // By how many are to be written.
    for (auto& [id, r] : touched_) {
      const ChangingColumns now = columns_of(r);
      if (now == r.stored)
        continue;
      const std::size_t count = columns_to_write(r.stored, now);
      Columns& set = sets[count];
      for (std::size_t i = 0; i < count; ++i)
        set[i].push_back(now[i]);
      r.stored = now;
    }
    for (const auto& [count, set] : sets) {
      std::array<SqlValue, changing_columns.size()> values;
      std::transform(set.begin(), set.end(), values.begin(),
                     [](const auto& column) { return SqlValue::of(column); });
      update_of_many(count).run_all(std::span{values}.first(count));
    }
  }

  SqlStatement& update_of_many(std::size_t columns) {
    static const auto texts = texts_for([](std::size_t count) {
      std::vector<std::string> changes;
      std::vector<std::string> arrays;
      for (std::size_t i = 0; i < count; ++i) {
        arrays.push_back(fmt::format("?{}::bigint[]", i + 1));
        if (i > 0)
          changes.push_back(fmt::format("{0}=u.{0}", changing_columns[i]));
      }
      return fmt::format(
          "UPDATE job SET {} FROM unnest({}) u({}) WHERE job.id=u.id",
          fmt::join(changes, ", "), fmt::join(arrays, ", "),
          fmt::join(std::span{changing_columns}.first(count), ", "));
    });
    return sql(texts.at(columns).c_str());
  }

  /// A job of the group counts as `now` instead of as `before`; written at the
  /// end of the call.
  void count_in(const std::string& group, const GroupCounts& now,
                const GroupCounts& before) {
    if (now == before)
      return;
    GroupCounts& change = counted_[group];
    change.jobs += now.jobs - before.jobs;
    change.waiting += now.waiting - before.waiting;
    change.retrying += now.retrying - before.retrying;
    change.running += now.running - before.running;
  }

  void add_tags(JobId job, const std::vector<std::string>& tags) {
    for (std::size_t i = 0; i < tags.size(); ++i)
      sql("INSERT INTO tag VALUES(?1, ?2, ?3)").run(job.value, i, tags[i]);
  }

  void move_start(Row& job, WallTime not_before, WallTime now) {
    job.not_before = not_before;
    if (!job.sealed)
      return;
    sql("DELETE FROM timer WHERE job=?1 AND idx=-1").run(job.id.value);
    job.due = not_before <= now;
    if (!job.due)
      add_timer(not_before, {{job.id, 0}, 0}, /*is_job=*/true, "");
  }

  static std::string_view condition_of(JobSet set) {
    switch (set) {
      case JobSet::all:
        return "";
      case JobSet::unended:
        return " AND ended IS NULL";
      case JobSet::active:
        return " AND ended IS NULL AND n_running+n_retrying>0";
      case JobSet::ended:
        return " AND ended IS NOT NULL";
      case JobSet::failed:
        return " AND ended IS NOT NULL AND n_failed+n_timed_out+n_lost>0";
      case JobSet::settled:
        return " AND ended IS NOT NULL AND n_failed+n_timed_out+n_lost=0";
    }
    return "";
  }

  void end() {
    if (in_sets_ && touched_.size() > 1) {
      keep_set();
      keep_places();
    } else {
      for (auto& [id, row] : touched_)
        keep(row);
    }
    if (in_batch_ && in_sets_) {
      for (const auto& [group, change] : counted_)
        add(batch_counted_[group], change);
    } else {
      write_counts(counted_);
    }
    add_sets();
    forget_call();
    let_go();
    if (in_batch_)
      database_->end_part();
    else
      database_->commit();
  }

  void let_go() {
    for (Prepared* const used : used_) {
      used->statement->reset();
      used->is_used = false;
    }
    used_.clear();
  }

  void write_counts(const std::map<std::string, GroupCounts>& changes) {
    for (const auto& [group, change] : changes)
      sql("UPDATE grp SET n_jobs=n_jobs+?2, n_waiting=n_waiting+?3, "
          "n_retrying=n_retrying+?4, n_running=n_running+?5 WHERE name=?1")
          .run(group, change.jobs, change.waiting, change.retrying,
               change.running);
  }

  static void add(GroupCounts& to, const GroupCounts& change) {
    to.jobs += change.jobs;
    to.waiting += change.waiting;
    to.retrying += change.retrying;
    to.running += change.running;
  }

  void forget_call() {
    touched_.clear();
    counted_.clear();
    not_needed_.clear();
    running_.clear();
    results_.clear();
  }

  void take_back(const Error& error) {
    forget_call();
    let_go();
    if (!in_batch_) {
      database_->roll_back();
      return;
    }
    try {
      database_->roll_back_part();
    } catch (const Error&) {
      // What is below may have taken all of the batch back.
      if (!lost_)
        lost_ = error;
    }
  }

  static constexpr const char* find_group =
      "SELECT held, slots, n_running FROM grp WHERE name=?1";

  /// Whether the group is held.
  bool require_group(const std::string& name) {
    return is_held(sql(find_group).bind(name), name);
  }

  static bool is_held(SqlStatement& find, const std::string& name) {
    if (!find.step())
      refuse(Errc::not_found, fmt::format("no group {}", name));
    return find.number(0) != 0;
  }

  /// Of a row of find_group: how many more tasks all sessions together may
  /// have. It is exact since whoever claims has the store alone.
  [[nodiscard]] std::uint32_t slots_left(const SqlStatement& found,
                                         const std::string& name) const {
    const auto slots = static_cast<std::uint64_t>(found.number(1));
    auto running = static_cast<std::uint64_t>(found.number(2));
    if (const auto pending = batch_counted_.find(name);
        pending != batch_counted_.end())
      running += pending->second.running;
    return static_cast<std::uint32_t>(slots - std::min(slots, running));
  }

  static AttemptRef read_attempt(const SqlStatement& s) {
    return {{JobId{static_cast<std::uint64_t>(s.number(0))},
             static_cast<std::uint64_t>(s.number(1))},
            static_cast<std::uint32_t>(s.number(2))};
  }

  /// With the number of its claim as the fourth column.
  static AttemptRef read_claimed(const SqlStatement& s) {
    AttemptRef attempt = read_attempt(s);
    attempt.claim = static_cast<std::uint64_t>(s.number(3));
    return attempt;
  }

  static std::vector<AttemptRef> read_attempts(SqlStatement& s) {
    std::vector<AttemptRef> attempts;
    while (s.step())
      attempts.push_back(read_attempt(s));
    return attempts;
  }

  SqlStatement& heads_of_queue() {
    static const std::string text = fmt::format(
        "SELECT {} FROM (SELECT rank, job AS head FROM queue WHERE shard=?1 "
        "AND grp=?2 AND resources=?3 ORDER BY rank, job LIMIT ?4) q JOIN job "
        "ON id=head ORDER BY rank, head",
        row_columns);
    return sql(text.c_str());
  }

  void ask_heads(const QueueId& queue, std::uint32_t count) {
    heads_of_queue().bind(queue.shard, queue.group, queue.resources, count);
  }

  /// As claim(), with few ways to the server.
  void claim_set(const SessionId& session, const QueueId& queue,
                 std::uint32_t limit, std::vector<Claim>& claims) {
    // claim() has asked for as many as the last time, which are often enough.
    std::uint32_t used = 0;
    for (std::uint32_t asked = std::min(heads_, limit);; asked = limit) {
      const auto ids = load_rows(heads_of_queue());
      for (const JobId id : ids) {
        Row& job = row(id);
        if (claims.size() >= limit || !job.may_be_claimed())
          continue;
        claim_from(job, session, limit, claims);
        ++used;
      }
      if (ids.size() < asked || asked == limit || claims.size() == limit)
        break;
      ask_heads(queue, limit);
    }
    heads_ = std::max(used, 1U);
    // What was looked at and not taken stays as it is.
    std::erase_if(touched_, [&](const auto& entry) {
      return entry.second.in_queue &&
             entry.second.in_group == entry.second.for_group();
    });
    add_arguments(claims);
  }

  /// To those that have had no attempt before.
  void add_arguments(std::vector<Claim>& claims) {
    std::vector<std::int64_t> jobs;
    std::vector<std::int64_t> from;
    std::vector<std::int64_t> to;
    std::map<TaskRef, Claim*> first;
    for (Claim& claim : claims) {
      const TaskRef& task = claim.attempt.task;
      if (claim.attempt.attempt != 1 || !claim.argument.empty())
        continue;
      first.emplace(task, &claim);
      const auto job = static_cast<std::int64_t>(task.job.value);
      const auto index = static_cast<std::int64_t>(task.index);
      if (jobs.empty() || jobs.back() != job || to.back() != index) {
        jobs.push_back(job);
        from.push_back(index);
        to.push_back(index);
      }
      ++to.back();
    }
    if (jobs.empty())
      return;
    auto& find =
        sql("SELECT a.job, a.idx, a.argument FROM unnest(?1::bigint[], "
            "?2::bigint[], ?3::bigint[]) u(j, f, t) JOIN argument a ON "
            "a.job=u.j AND a.idx>=u.f AND a.idx<u.t");
    find.bind(jobs, from, to);
    while (find.step())
      first
          .at({JobId{static_cast<std::uint64_t>(find.number(0))},
               static_cast<std::uint64_t>(find.number(1))})
          ->argument = find.bytes(2);
  }

  void claim_from(Row& job, const SessionId& session, std::uint32_t limit,
                  std::vector<Claim>& claims) {
    if (job.again > 0)
      claim_again(job, session, limit - claims.size(), claims);
    claim_next(job, session, limit - claims.size(), claims);
  }

  /// Of those that wait for another attempt, or have given theirs back.
  void claim_again(Row& job, const SessionId& session, std::uint64_t limit,
                   std::vector<Claim>& claims) {
    auto& find =
        sql("SELECT job, idx, attempt FROM again WHERE job=?1 ORDER BY idx "
            "LIMIT ?2");
    find.bind(job.id.value, limit);
    for (AttemptRef attempt : read_attempts(find)) {
      sql("DELETE FROM again WHERE job=?1 AND idx=?2")
          .run(job.id.value, attempt.task.index);
      --job.again;
      --(attempt.attempt == 0 ? job.counts.waiting : job.counts.retrying);
      ++attempt.attempt;
      attempt.claim = claim_;
      add_running(job, attempt, session);
      claims.push_back(
          {.attempt = attempt, .argument = argument_of(attempt.task)});
      add_history(claims.back());
    }
  }

  /// Of those that were never claimed before.
  void claim_next(Row& job, const SessionId& session, std::uint64_t limit,
                  std::vector<Claim>& claims) {
    const std::uint64_t from = job.next;
    job.next += std::min(limit, job.counts.tasks - from);
    job.counts.waiting -= job.next - from;
    if (in_sets_) {
      for (std::uint64_t index = from; index < job.next; ++index) {
        add_running(job, {{job.id, index}, 1, claim_}, session);
        claims.push_back({.attempt = {{job.id, index}, 1, claim_}});
      }
      return;
    }
    // Many have none.
    auto& arguments =
        sql("SELECT idx, argument FROM argument WHERE job=?1 AND idx>=?2 AND "
            "idx<?3 ORDER BY idx");
    bool has_argument = arguments.bind(job.id.value, from, job.next).step();
    for (std::uint64_t index = from; index < job.next; ++index) {
      const AttemptRef attempt{{job.id, index}, 1, claim_};
      add_running(job, attempt, session);
      claims.push_back({.attempt = attempt});
      if (!has_argument ||
          static_cast<std::uint64_t>(arguments.number(0)) != index)
        continue;
      claims.back().argument = arguments.bytes(1);
      has_argument = arguments.step();
    }
  }

  void add_running(Row& job, const AttemptRef& attempt,
                   const SessionId& session) {
    ++job.counts.running;
    if (in_sets_) {
      running_.emplace_back(attempt, session.value);
      return;
    }
    sql("INSERT INTO running(job, idx, attempt, session, started, claim) "
        "VALUES(?1, ?2, ?3, ?4, 0, ?5)")
        .run(job.id.value, attempt.task.index, attempt.attempt, session.value,
             attempt.claim);
  }

  /// Of the attempts before it.
  void add_history(Claim& claim) {
    const AttemptRef& attempt = claim.attempt;
    if (attempt.attempt == 1)
      return;
    auto& find =
        sql("SELECT count(*) FILTER (WHERE outcome IN (2, 3)), count(*) FILTER "
            "(WHERE outcome=5), min(started) FROM attempt WHERE job=?1 AND "
            "idx=?2 AND counts<>0");
    find.bind(attempt.task.job.value, attempt.task.index).step();
    claim.failures = static_cast<std::uint32_t>(find.number(0));
    claim.losses = static_cast<std::uint32_t>(find.number(1));
    if (!find.is_null(2))
      claim.first_started = from_stored(find.number(2));
  }

  std::string argument_of(const TaskRef& task) {
    auto& find = sql("SELECT argument FROM argument WHERE job=?1 AND idx=?2");
    return find.bind(task.job.value, task.index).step() ? find.bytes(0)
                                                        : std::string{};
  }

  /// Whether an attempt that the session holds was started; nullopt if it does
  /// not hold it.
  std::optional<bool> held(const SessionId& session,
                           const AttemptRef& attempt) {
    auto& find = sql(
        "SELECT started FROM running WHERE job=?1 AND idx=?2 AND attempt=?3 "
        "AND session=?4 AND claim=?5");
    if (!find.bind(attempt.task.job.value, attempt.task.index, attempt.attempt,
                   session.value, attempt.claim)
             .step())
      return std::nullopt;
    return find.number(0) != 0;
  }

  /// Whether the session has completed this very attempt, and nothing has come
  /// after that.
  bool was_of(const SessionId& session, const AttemptRef& attempt) {
    add_sets();
    // Of a job that was forgotten rows may be left, which count for nothing.
    if (!sql("SELECT 1 FROM job WHERE id=?1")
             .bind(attempt.task.job.value)
             .step())
      return false;
    for (const char* const text :
         {"SELECT 1 FROM result WHERE job=?1 AND idx=?2 AND attempt=?3 AND "
          "session=?4",
          "SELECT 1 FROM again WHERE job=?1 AND idx=?2 AND attempt=?3 AND "
          "session=?4",
          "SELECT 1 FROM timer WHERE job=?1 AND idx=?2 AND attempt=?3 AND "
          "session=?4"}) {
      if (sql(text)
              .bind(attempt.task.job.value, attempt.task.index, attempt.attempt,
                    session.value)
              .step())
        return true;
    }
    return false;
  }

  void check_completion(const SessionId& session,
                        const Completion& completion) {
    if (completion.outcome == Outcome::skipped ||
        (completion.retry_at && completion.outcome == Outcome::success))
      refuse(Errc::invalid_argument, "an outcome of the store's own");
    if (!completion.retry_at)
      return;
    const auto started = held(session, completion.attempt);
    if (started && *started &&
        row(completion.attempt.task.job).delivery == Delivery::at_most_once)
      refuse(Errc::invalid_argument, "started at most once");
  }

  SqlStatement& change(const char* text, const SessionId& session,
                       std::span<const AttemptRef> attempts) {
    Columns columns;
    for (const AttemptRef& attempt : attempts)
      columns.add(attempt);
    return sql(text).bind(columns.jobs, columns.indices, columns.attempts,
                          columns.claims, session.value);
  }

  /// Those that it has changed.
  static std::set<AttemptRef> changed_by(SqlStatement& change) {
    std::set<AttemptRef> changed;
    while (change.step())
      changed.insert(read_claimed(change));
    return changed;
  }

  /// Ends those that the session holds. Answers which, each once. The counts of
  /// their jobs, which it may load, are the caller's.
  std::vector<bool> take_running(const SessionId& session,
                                 std::span<const AttemptRef> attempts) {
    std::vector<bool> taken;
    taken.reserve(attempts.size());
    if (in_sets_) {
      auto& take = change(
          "DELETE FROM running r USING unnest(?1::bigint[], ?2::bigint[], "
          "?3::bigint[], ?4::bigint[]) u(j, i, a, c) WHERE r.job=u.j AND "
          "r.idx=u.i AND r.attempt=u.a AND r.claim=u.c AND r.session=?5 "
          "RETURNING r.job, r.idx, r.attempt, r.claim",
          session, attempts);
      // Most of the time all are taken, and this comes by the same way.
      std::set<JobId> jobs;
      for (const AttemptRef& attempt : attempts)
        jobs.insert(attempt.task.job);
      load_touched(std::move(jobs));
      auto all = changed_by(take);
      jobs.clear();
      for (const AttemptRef& attempt : attempts) {
        taken.push_back(all.erase(attempt) > 0);
        if (taken.back())
          jobs.insert(attempt.task.job);
      }
      std::erase_if(touched_, [&jobs](const auto& entry) {
        return !jobs.contains(entry.first);
      });
      return taken;
    }
    for (const AttemptRef& attempt : attempts) {
      sql("DELETE FROM running WHERE job=?1 AND idx=?2 AND attempt=?3 AND "
          "session=?4 AND claim=?5")
          .run(attempt.task.job.value, attempt.task.index, attempt.attempt,
               session.value, attempt.claim);
      taken.push_back(database_->changes() > 0);
    }
    return taken;
  }

  void add_result(Row& job, const AttemptRef& attempt,
                  const std::string& session, Outcome outcome, int status,
                  const std::string& detail, WallTime now) {
    ++job.count_of(outcome);
    if (in_sets_) {
      results_.push_back(
          {attempt, session, outcome, status, detail, to_stored(now)});
      return;
    }
    sql("INSERT INTO result VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")
        .run(job.id.value, attempt.task.index, attempt.attempt, session,
             static_cast<int>(outcome), status, detail, to_stored(now));
  }

  /// What was collected for one statement each.
  void add_sets() {
    if (!running_.empty()) {
      Columns columns;
      for (const auto& [attempt, session] : running_)
        columns.add(attempt, session);
      sql("INSERT INTO running(job, idx, attempt, session, claim, started) "
          "SELECT *, 0 FROM unnest(?1::bigint[], ?2::bigint[], ?3::bigint[], "
          "?4::bytea[], ?5::bigint[])")
          .run(columns.jobs, columns.indices, columns.attempts,
               columns.sessions, columns.claims);
      running_.clear();
    }
    if (results_.empty())
      return;
    Columns columns;
    std::vector<std::int64_t> outcomes;
    std::vector<std::int64_t> statuses;
    std::vector<std::string> details;
    std::vector<std::int64_t> times;
    for (NewResult& result : results_) {
      columns.add(result.attempt, result.session);
      outcomes.push_back(static_cast<std::int64_t>(result.outcome));
      statuses.push_back(result.status);
      details.push_back(std::move(result.detail));
      times.push_back(result.at);
    }
    sql("INSERT INTO result SELECT * FROM unnest(?1::bigint[], ?2::bigint[], "
        "?3::bigint[], ?4::bytea[], ?5::bigint[], ?6::bigint[], ?7::bytea[], "
        "?8::bigint[])")
        .run(columns.jobs, columns.indices, columns.attempts, columns.sessions,
             outcomes, statuses, details, times);
    results_.clear();
  }

  /// It was not the last of its task.
  void add_attempt(const AttemptRef& attempt, Outcome outcome, int status,
                   const std::string& detail, WallTime now,
                   std::optional<WallTime> started = {}) {
    sql("INSERT INTO attempt VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, 1, ?8) "
        "ON CONFLICT(job, idx, attempt) DO UPDATE SET outcome=?4, status=?5, "
        "detail=?6, at=?7, counts=1, started=?8")
        .run(attempt.task.job.value, attempt.task.index, attempt.attempt,
             static_cast<int>(outcome), status, detail, to_stored(now),
             to_stored(started));
  }

  /// Its count is the caller's.
  void add_again(Row& job, const AttemptRef& attempt,
                 const std::string& session) {
    sql("INSERT INTO again VALUES(?1, ?2, ?3, ?4)")
        .run(job.id.value, attempt.task.index, attempt.attempt, session);
    ++job.again;
  }

  void add_timer(WallTime due, const AttemptRef& attempt, bool is_job,
                 const std::string& session) {
    const std::int64_t index =
        is_job ? -1 : static_cast<std::int64_t>(attempt.task.index);
    sql("INSERT INTO timer VALUES(?1, ?2, ?3, ?4, ?5)")
        .run(to_stored(due), attempt.task.job.value, index, attempt.attempt,
             session);
  }

  void end_waiting(Row& job, Outcome outcome, WallTime now) {
    for (const char* const text :
         {"INSERT INTO result SELECT job, idx, attempt, session, ?2, 0, ?4, ?3 "
          "FROM again WHERE job=?1",
          "INSERT INTO result SELECT job, idx, attempt, session, ?2, 0, ?4, ?3 "
          "FROM timer WHERE job=?1 AND idx>=0"})
      sql(text).run(job.id.value, static_cast<int>(outcome), to_stored(now),
                    "");
    sql("DELETE FROM again WHERE job=?1").run(job.id.value);
    sql("DELETE FROM timer WHERE job=?1 AND idx>=0").run(job.id.value);
    job.again = 0;
    job.count_of(outcome) += std::exchange(job.counts.waiting, 0) +
                             std::exchange(job.counts.retrying, 0);
    if (job.next == job.counts.tasks)
      return;
    job.rest_outcome = outcome;
    job.rest_from = std::exchange(job.next, job.counts.tasks);
    job.rest_at = now;
  }

  /// And what that means for those that need it.
  void end_if_done(JobId id, WallTime now) { end_if_done(id, now, now); }

  /// Of which a task has ended at that time.
  void end_if_done(JobId id, WallTime now, WallTime at) {
    std::deque<JobId> open{id};
    while (!open.empty()) {
      Row& job = row(open.front());
      open.pop_front();
      if (!job.sealed || job.ended || job.counts.ended() < job.counts.tasks)
        continue;
      job.ended = job.id == id && job.counts.tasks == 1 ? at : now;
      if (!job.due)
        sql("DELETE FROM timer WHERE job=?1 AND idx=-1").run(job.id.value);
      if (not_needed_.contains(job.id))
        continue;
      std::vector<std::pair<JobId, When>> dependents;
      auto& find = sql(
          either("SELECT job, \"when\" FROM need WHERE needs=?1 AND open "
                 "ORDER BY job",
                 "SELECT job, \"when\" FROM need WHERE needs=?1 AND open<>0 "
                 "ORDER BY job"));
      find.bind(job.id.value);
      while (find.step())
        dependents.emplace_back(
            JobId{static_cast<std::uint64_t>(find.number(0))},
            static_cast<When>(find.number(1)));
      if (!dependents.empty())
        sql(either("UPDATE need SET open=0 WHERE needs=?1 AND open",
                   "UPDATE need SET open=0 WHERE needs=?1 AND open<>0"))
            .run(job.id.value);
      for (const auto& [other_id, when] : dependents) {
        Row& other = row(other_id);
        --other.needs_left;
        if (satisfies(job.state(), when))
          continue;
        other.doomed = true;
        if (!other.sealed || other.cancelled)
          continue;
        end_waiting(other, Outcome::skipped, now);
        open.push_back(other_id);
      }
    }
  }

  struct NewResult {
    AttemptRef attempt;
    std::string session;
    Outcome outcome;
    int status;
    std::string detail;
    std::int64_t at;
  };
  /// Attempts as parameters of a statement for many rows.
  struct Columns {
    std::vector<std::int64_t> jobs;
    std::vector<std::int64_t> indices;
    std::vector<std::int64_t> attempts;
    std::vector<std::int64_t> claims;
    std::vector<std::string> sessions;

    void add(const AttemptRef& attempt) {
      jobs.push_back(static_cast<std::int64_t>(attempt.task.job.value));
      indices.push_back(static_cast<std::int64_t>(attempt.task.index));
      attempts.push_back(attempt.attempt);
      claims.push_back(static_cast<std::int64_t>(attempt.claim));
    }
    void add(const AttemptRef& attempt, const std::string& session) {
      add(attempt);
      sessions.push_back(session);
    }
  };

  std::unique_ptr<SqlDatabase> database_;
  bool in_sets_;
  std::unordered_map<const char*, Prepared> statements_;
  std::vector<Prepared*> used_;  ///< Since they were let go, each once.
  std::uint32_t heads_ = 1;      ///< Jobs that the last claim has taken from.
  /// As counted_, of the calls of a batch. A row that is changed again and
  /// again in one transaction costs PostgreSQL more each time.
  std::map<std::string, GroupCounts> batch_counted_;
  // Of the call at hand.
  std::uint64_t claim_ = 0;  ///< Its number, if it claims.
  std::map<JobId, Row> touched_;
  std::map<std::string, GroupCounts> counted_;  ///< By group: the difference.
  std::set<JobId> not_needed_;                  ///< Of these it is known.
  std::vector<std::pair<AttemptRef, std::string>> running_;  ///< To be added.
  std::vector<NewResult> results_;                           ///< Likewise.

  bool in_batch_ = false;
  std::optional<Error> lost_;  ///< Why the batch at hand cannot be committed.
};

SqlStore::SqlStore(std::unique_ptr<SqlDatabase> database, bool is_new)
    : tables_{std::make_unique<Tables>(std::move(database))},
      is_new_{is_new},
      facts_{tables_->database().facts()} {}
SqlStore::~SqlStore() = default;

void SqlStore::set_patience(Duration left, Duration whole) {
  tables_->database().set_patience(left, whole);
}

bool SqlStore::may_have_happened() const {
  return tables_->database().may_have_committed();
}

Result<void> SqlStore::batch(const std::function<void()>& work) {
  return tables_->batch(work);
}

Result<bool> SqlStore::tidy(std::uint32_t rows) {
  auto more = tables_->act([&] { return tables_->tidy(rows); });
  if (!more)
    return more;
  if (auto freed = tables_->give_back_space(); !freed)
    return tl::unexpected(std::move(freed.error()));
  return more;
}

Result<Submitted> SqlStore::open_job(const NewJob& job, WallTime now) {
  return tables_->act([&] { return tables_->open_job(job, now); });
}
Result<std::optional<Submitted>> SqlStore::known(
    const std::string& request_id) {
  return tables_->look([&] { return tables_->known(request_id); });
}
Result<void> SqlStore::append(JobId job, std::uint64_t chunk,
                              std::span<const std::string> arguments) {
  return tables_->act([&] { tables_->append(job, chunk, arguments); });
}
Result<void> SqlStore::append_range(JobId job, std::uint64_t chunk,
                                    std::uint64_t count) {
  return tables_->act([&] { tables_->begin_chunk(job, chunk, count); });
}
Result<void> SqlStore::seal(JobId job, WallTime now) {
  return tables_->act([&] { tables_->seal(job, now); });
}
Result<void> SqlStore::open_session(const SessionId& session) {
  return tables_->act([&] { tables_->open_session(session); });
}
Result<SessionEnd> SqlStore::end_session(const SessionId& session,
                                         WallTime now) {
  return tables_->act([&] { return tables_->end_session(session, now); });
}
Result<std::vector<Claim>> SqlStore::claim(const SessionId& session,
                                           const QueueId& queue,
                                           std::uint32_t limit) {
  return tables_->act([&] {
    return tables_->claim(session, queue, limit, /*is_within_slots=*/false);
  });
}
Result<std::vector<Claim>> SqlStore::claim_within_slots(
    const SessionId& session, const QueueId& queue, std::uint32_t limit) {
  return tables_->act([&] {
    return tables_->claim(session, queue, limit, /*is_within_slots=*/true);
  });
}
Result<std::vector<bool>> SqlStore::start(
    const SessionId& session, std::span<const AttemptRef> attempts) {
  return tables_->act([&] { return tables_->start(session, attempts); });
}
Result<std::vector<Recorded>> SqlStore::complete(
    const SessionId& session, std::span<const Completion> completions,
    WallTime now) {
  return tables_->act(
      [&] { return tables_->complete(session, completions, now); });
}
Result<void> SqlStore::keep_late(const SessionId& session,
                                 std::span<const LateResult> results) {
  return tables_->act([&] { tables_->keep_late(session, results); });
}
Result<void> SqlStore::release(const SessionId& session,
                               std::span<const AttemptRef> attempts) {
  return tables_->act([&] { tables_->release(session, attempts); });
}
Result<std::vector<Claim>> SqlStore::claimed_by(const SessionId& session) {
  return tables_->look([&] { return tables_->claimed_by(session); });
}
Result<std::vector<SessionId>> SqlStore::open_sessions() {
  return tables_->look([&] { return tables_->open_sessions(); });
}
Result<std::uint64_t> SqlStore::wake(WallTime now, std::uint32_t limit) {
  return tables_->act([&] { return tables_->wake(now, limit); });
}
Result<std::optional<WallTime>> SqlStore::next_wake() {
  return tables_->look([&] { return tables_->next_wake(); },
                       Tables::Seen::hint);
}
Result<std::vector<AttemptRef>> SqlStore::cancel(JobId job, WallTime now) {
  return tables_->act([&] { return tables_->cancel(job, now); });
}
Result<void> SqlStore::hold(JobId job, bool is_held) {
  return tables_->act([&] { tables_->hold(job, is_held); });
}
Result<void> SqlStore::edit(JobId job, const JobEdit& edit, WallTime now) {
  return tables_->act([&] { tables_->edit(job, edit, now); });
}
Result<std::uint64_t> SqlStore::retry(JobId job, Retry which) {
  return tables_->act([&] { return tables_->retry(job, which); });
}
Result<void> SqlStore::forget(JobId job) {
  return tables_->act([&] { tables_->forget(job); });
}
Result<void> SqlStore::set_group(const Group& group) {
  return tables_->act([&] { tables_->set_group(group); });
}
Result<void> SqlStore::remove_group(const std::string& name) {
  return tables_->act([&] { tables_->remove_group(name); });
}
Result<SubmittedRun> SqlStore::open_run(const NewRun& run, WallTime now) {
  return tables_->act([&] { return tables_->open_run(run, now); });
}
Result<bool> SqlStore::add_event(RunId run, const RunEvent& event,
                                 RunState state, const RunCounts& counts) {
  return tables_->act(
      [&] { return tables_->add_event(run, event, state, counts); });
}
Result<std::vector<JobId>> SqlStore::forget_run(RunId run) {
  return tables_->act([&] { return tables_->forget_run(run); });
}
Result<RunInfo> SqlStore::run(RunId run) {
  return tables_->look([&] { return tables_->run(run); });
}
Result<std::vector<RunInfo>> SqlStore::runs(const RunFilter& filter,
                                            std::uint32_t limit) {
  return tables_->look([&] { return tables_->runs(filter, limit); });
}
Result<std::vector<RunEvent>> SqlStore::events(RunId run, std::uint64_t from,
                                               std::uint32_t limit) {
  return tables_->look([&] { return tables_->events(run, from, limit); });
}
Result<std::vector<RunInfo>> SqlStore::oldest_ended_runs(std::uint32_t limit) {
  return tables_->look([&] { return tables_->oldest_ended_runs(limit); },
                       Tables::Seen::hint);
}
Result<std::uint64_t> SqlStore::count_ended_runs() {
  return tables_->look([&] { return tables_->count_ended_runs(); },
                       Tables::Seen::hint);
}
Result<JobInfo> SqlStore::job(JobId job) {
  return tables_->look([&] { return tables_->job(job); });
}
Result<std::vector<JobInfo>> SqlStore::jobs(const JobFilter& filter,
                                            std::uint32_t limit) {
  return tables_->look([&] { return tables_->jobs(filter, limit); });
}
Result<std::vector<TaskResult>> SqlStore::results(JobId job, std::uint64_t from,
                                                  std::uint32_t limit) {
  return tables_->look([&] { return tables_->results(job, from, limit); });
}
Result<std::vector<std::uint64_t>> SqlStore::tried(JobId job,
                                                   std::uint64_t from,
                                                   std::uint32_t limit) {
  return tables_->look([&] { return tables_->tried(job, from, limit); });
}
Result<TaskInfo> SqlStore::task(const TaskRef& task) {
  return tables_->look([&] { return tables_->task(task); });
}
Result<std::vector<TaskResult>> SqlStore::attempts(const TaskRef& task) {
  return tables_->look([&] { return tables_->attempts(task); });
}
Result<std::optional<WallTime>> SqlStore::next_due(JobId job) {
  return tables_->look([&] { return tables_->next_due(job); });
}
Result<std::vector<GroupInfo>> SqlStore::groups() {
  return tables_->look([&] { return tables_->groups(); }, Tables::Seen::hint);
}
Result<std::map<SessionId, std::uint64_t>> SqlStore::claims_in(
    const std::string& group) {
  return tables_->look([&] { return tables_->claims_in(group); });
}
Result<std::vector<QueueHead>> SqlStore::queues() {
  constexpr auto all = std::numeric_limits<std::uint32_t>::max();
  return queues_from(0, all);
}
Result<std::vector<JobId>> SqlStore::oldest_ended(JobSet set,
                                                  std::uint32_t limit) {
  return tables_->look([&] { return tables_->oldest_ended(set, limit); },
                       Tables::Seen::hint);
}
Result<std::uint64_t> SqlStore::count_ended() {
  return tables_->look([&] { return tables_->count_ended(); },
                       Tables::Seen::hint);
}
Result<std::vector<JobId>> SqlStore::forgotten(std::span<const JobId> jobs) {
  return tables_->look([&] { return tables_->forgotten(jobs); });
}

Result<std::vector<RunId>> SqlStore::forgotten_runs(
    std::span<const RunId> runs) {
  return tables_->look([&] { return tables_->forgotten_runs(runs); });
}
Result<Registered> SqlStore::register_session(const NewSession& session,
                                              WallTime now) {
  return tables_->act([&] { return tables_->register_session(session, now); });
}
Result<Renewal> SqlStore::renew(const SessionId& session, bool is_draining,
                                WallTime now) {
  return tables_->act([&] { return tables_->renew(session, is_draining, now); },
                      Tables::Changes::one_row);
}
Result<std::vector<SessionInfo>> SqlStore::sessions() {
  return tables_->look([&] { return tables_->sessions(); }, Tables::Seen::hint);
}
Result<std::optional<SessionEnd>> SqlStore::evict(const SessionId& session,
                                                  std::uint64_t counter,
                                                  WallTime now) {
  return tables_->act([&] { return tables_->evict(session, counter, now); });
}
Result<AgreedView> SqlStore::view() {
  return tables_->look([&] { return tables_->view(); }, Tables::Seen::hint);
}
Result<AgreedView> SqlStore::propose(const AgreedView& next) {
  return tables_->act([&] { return tables_->propose(next); },
                      Tables::Changes::one_row);
}
Result<std::optional<KnownRoster>> SqlStore::roster_after(std::uint64_t known) {
  return tables_->look([&] { return tables_->roster_after(known); },
                       Tables::Seen::hint);
}
Result<void> SqlStore::set_roster(const KnownRoster& next) {
  return tables_->act([&] { tables_->set_roster(next); },
                      Tables::Changes::one_row);
}
Result<std::vector<QueueHead>> SqlStore::queues_of(
    std::span<const std::uint32_t> shards) {
  return tables_->look([&] { return tables_->queues_of(shards); },
                       Tables::Seen::hint);
}
Result<std::vector<QueueHead>> SqlStore::queues_from(std::uint32_t shard,
                                                     std::uint32_t limit) {
  return tables_->look([&] { return tables_->queues_from(shard, limit); },
                       Tables::Seen::hint);
}

}  // namespace troupe::store
