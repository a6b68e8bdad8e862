#include "job_logs.hpp"

#include "job_json.hpp"

#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/base/wall_time.hpp>

#include <algorithm>
#include <condition_variable>
#include <fmt/format.h>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace troupe::cli {
namespace {

constexpr std::size_t longest_log_piece = 64 << 10;

/// So many tasks are followed at a time, each by a thread and a connection of
/// its own; the next one begins when one of them has ended.
constexpr std::uint64_t most_followed = 32;

/// So many are read at a time and printed in their order: a look at a store
/// that is elsewhere takes as long for one as for all of them.
constexpr std::uint64_t most_read = 16;

/// What is read before its turn to be printed has come.
constexpr std::size_t most_kept = 256 << 10;

/// Ended tasks that are asked for at once.
constexpr std::size_t most_at_once = 1000;

/// Until a task that waits is looked at again.
constexpr Duration pause_of_following_task = 250ms;

using Writer = std::function<void(std::string_view bytes)>;

/// Reads the log of one task, over attempts and restarts of the node.
class TaskLog {
 public:
  TaskLog(NodeCalls& calls, std::uint64_t job, std::uint64_t task,
          const JobLogOptions& options)
      : calls_{calls},
        job_{fmt::format("{}", job)},
        task_{fmt::format("{}", task)},
        options_{options} {}

  /// Of a task that has ended, which needs no look then: `known` is how.
  Result<void> read_ended(const TaskAttempt& known, const Writer& writer) {
    was_tried_ = known.number != 0;
    if (!was_tried_)
      return {};
    if (options_.attempt.value_or(known.number) != known.number)
      return read(writer);
    attempt_ = known.number;
    auto read_all = read_attempt(writer);
    if (read_all)
      tell_what_is_missing(known);
    // Cut off, or tried again in the meantime.
    const bool may_go_on = !read_all && (printed_ == 0 || !options_.tail);
    return may_go_on ? read(writer) : read_all;
  }

  Result<void> read(const Writer& writer) {
    Duration until_it_begins = 10ms;
    while (true) {
      const auto task = look();
      if (!task)
        return tl::unexpected{task.error()};
      was_tried_ = task->attempt != 0;
      const bool may_begin = options_.follow && task->state != "ended";
      if (!was_tried_ && !may_begin && !options_.attempt)
        return {};
      const std::uint64_t attempt = options_.attempt.value_or(task->attempt);
      if (attempt == 0) {
        calls_.pause(until_it_begins);
        until_it_begins =
            std::min<Duration>(2 * until_it_begins, pause_of_following_task);
        continue;
      }
      if (attempt != attempt_)
        printed_ = 0;
      attempt_ = attempt;
      auto read = read_attempt(writer);
      const bool is_lost =
          !read && may_come_back(read.error(), calls_.client());
      // What has not begun has no log yet.
      const bool is_missing =
          !read && read.error().code == Errc::not_found && !options_.attempt;
      if (!read && !is_lost && !is_missing)
        return read;
      // The end of a log cannot be asked for twice without a gap.
      if (is_lost && options_.tail && printed_ != 0)
        return read;
      if (!is_lost &&
          (!options_.follow || task->state == "ended" || has_ended(attempt))) {
        tell_what_is_missing();
        return {};
      }
      calls_.pause(pause_of_following_task);
    }
  }

  /// Whether the task had an attempt when it was last looked at.
  [[nodiscard]] bool was_tried() const { return was_tried_; }

 private:
  Result<QueueTask> look() {
    const auto answer = calls_.get(node_target({"jobs", job_, "tasks", task_}));
    if (!answer)
      return tl::unexpected{answer.error()};
    return task_from_json(*answer);
  }

  /// Whether nothing comes after `attempt`.
  bool has_ended(std::uint64_t attempt) {
    const auto task = look();
    return options_.attempt.has_value() ||
           (task && task->state == "ended" && task->attempt == attempt);
  }

  void tell_what_is_missing() {
    const auto task = look();
    if (!task)
      return;
    for (const TaskAttempt& attempt : task->attempts) {
      if (attempt.number == attempt_)
        tell_what_is_missing(attempt);
    }
  }

  void tell_what_is_missing(const TaskAttempt& attempt) const {
    if (attempt.tail_skipped != 0 && !options_.tail &&
        printed_ + attempt.tail_skipped == attempt.output_bytes)
      complain(fmt::format(
          "{} before that are on {}, which ran {}.{} and cannot be asked now",
          format_size(attempt.tail_skipped), attempt.node, job_, task_));
    if (attempt.unrecorded_bytes != 0)
      complain(fmt::format("{} of the output of {}.{} were not kept",
                           format_size(attempt.unrecorded_bytes), job_, task_));
    // Then no end of its output is kept elsewhere.
    if (attempt.is_end_unknown && !attempt.node.empty() &&
        !can_be_asked(attempt.node))
      complain(
          fmt::format("what {}attempt {} of {}.{} wrote is on {}, which cannot "
                      "be asked now",
                      printed_ == 0 ? "" : "else ", attempt.number, job_, task_,
                      printable(attempt.node)));
  }

  /// Whether the node that we ask can ask that one.
  [[nodiscard]] bool can_be_asked(const std::string& node) const {
    const auto cluster = calls_.get(node_target({"cluster"}));
    if (!cluster || !cluster->is_object())
      return false;
    const api::Json nodes = cluster->value("nodes", api::Json::array());
    return std::any_of(nodes.begin(), nodes.end(), [&](const api::Json& one) {
      return one.is_object() && one.value("name", "") == node &&
             one.value("is_linked", false);
    });
  }

  Result<void> read_attempt(const Writer& writer) {
    std::vector<std::pair<std::string, std::string>> query;
    query.emplace_back("attempt", fmt::format("{}", attempt_));
    if (options_.follow)
      query.emplace_back("follow", "true");
    if (options_.tail && printed_ == 0)
      query.emplace_back("tail", fmt::format("{}", *options_.tail));
    const bool as_record = options_.only.has_value() || options_.timestamps;
    if (as_record)
      query.emplace_back("format", "record");
    if (printed_ == 0)
      record_.emplace(options_.only, options_.timestamps);
    std::uint64_t skip = printed_;
    Result<void> parsed;
    auto read = calls_.client().stream(
        node_target({"jobs", job_, "tasks", task_, "log"}, query),
        [&](std::string_view bytes) {
          const auto known = std::min<std::uint64_t>(skip, bytes.size());
          skip -= known;
          bytes.remove_prefix(known);
          printed_ += bytes.size();
          parsed = as_record ? write_record(bytes, writer) : Result<void>{};
          if (!as_record && !bytes.empty())
            writer(bytes);
          return parsed.has_value();
        });
    return parsed ? std::move(read) : std::move(parsed);
  }

  Result<void> write_record(std::string_view bytes, const Writer& writer) {
    const auto text = record_->add(bytes);
    if (!text)
      return tl::unexpected{text.error()};
    if (!text->empty())
      writer(*text);
    return {};
  }

  NodeCalls& calls_;
  std::string job_;
  std::string task_;
  const JobLogOptions& options_;
  bool was_tried_ = false;
  std::uint64_t attempt_ = 0;
  std::uint64_t printed_ = 0;  ///< Bytes of that attempt, as they were sent.
  std::optional<RecordText> record_;
};

/// Lets those who read at the same time print one after the other. Whose turn
/// it is prints at once; others keep a little until then, and wait.
class Turns {
 public:
  void write(std::uint64_t turn, const std::string& lines) {
    std::unique_lock lock{mutex_};
    if (lines.empty() || is_over_)
      return;
    if (turn == now_) {
      write_out(lines);
      return;
    }
    Kept& kept = kept_[turn];
    kept.lines += lines;
    changed_.wait(lock, [&] {
      return turn == now_ || is_over_ || kept.lines.size() < most_kept;
    });
  }

  /// Nothing more comes of this one.
  void finish(std::uint64_t turn) {
    const std::lock_guard lock{mutex_};
    kept_[turn].is_whole = true;
    if (turn != now_)
      return;
    while (kept_[now_].is_whole) {
      kept_.erase(now_++);
      print(kept_[now_]);
    }
    changed_.notify_all();
  }

  /// After all before this one were printed, nothing more is.
  void end(std::uint64_t turn) {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [&] { return turn == now_ || is_over_; });
    is_over_ = true;
    changed_.notify_all();
  }

 private:
  struct Kept {
    std::string lines;
    bool is_whole = false;
  };

  static void print(Kept& kept) {
    if (!kept.lines.empty())
      write_out(kept.lines);
    kept.lines.clear();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::uint64_t, Kept> kept_;  ///< Of those who wait.
  std::uint64_t now_ = 0;
  bool is_over_ = false;
};

/// Prints all tasks of a job in their order, or as it comes while they are
/// followed. Several are read at a time.
class AllTasks {
 public:
  AllTasks(NodeSession& session, const QueueJob& job,
           const JobLogOptions& options)
      : session_{session},
        job_{job},
        options_{options},
        width_{name_of(job.tasks - 1).size()} {}

  Result<void> print() {
    const std::uint64_t readers =
        std::min(job_.tasks, options_.follow ? most_followed : most_read);
    std::vector<Result<void>> ends(readers);
    {
      std::vector<std::jthread> others;
      for (std::uint64_t i = 1; i < readers; ++i)
        others.emplace_back([this, &end = ends[i]] {
          const auto client = session_.another();
          NodeCalls calls{
              *client, [this](Duration time) { session_.calls().pause(time); }};
          end = take_tasks(calls);
        });
      ends[0] = take_tasks(session_.calls());
    }
    for (Result<void>& end : ends) {
      if (!end)
        return std::move(end);
    }
    return {};
  }

 private:
  /// Of one task, for one reader.
  struct Taken {
    std::uint64_t task = 0;
    std::uint64_t turn = 0;
    std::optional<TaskAttempt> ended{};  ///< If that is known already.
  };

  [[nodiscard]] std::string name_of(std::uint64_t task) const {
    return fmt::format("{}.{}", job_.number, task);
  }

  Result<void> take_tasks(NodeCalls& calls) {
    while (true) {
      const auto taken = take(calls);
      if (!taken)
        return tl::unexpected{taken.error()};
      if (!*taken)
        return {};
      if (auto read = read_task(calls, **taken); !read) {
        stop(**taken);
        return read;
      }
    }
  }

  Result<void> read_task(NodeCalls& calls, const Taken& taken) {
    LinePrefixer lines{fmt::format("{:<{}} | ", name_of(taken.task), width_)};
    TaskLog log{calls, job_.number, taken.task, options_};
    const auto writer = [&](std::string_view bytes) {
      write(taken, lines.add(bytes));
    };
    auto read =
        taken.ended ? log.read_ended(*taken.ended, writer) : log.read(writer);
    // An attempt that one task had need not be one of all.
    if (!read && read.error().code != Errc::not_found)
      return read;
    write(taken, lines.finish());
    if (!options_.follow)
      turns_.finish(taken.turn);
    if (log.was_tried())
      return {};
    const std::lock_guard lock{mutex_};
    return pass_untried(calls, taken.task + 1);
  }

  /// The next task that may have something to print; nullopt if there is none.
  Result<std::optional<Taken>> take(NodeCalls& calls) {
    const std::lock_guard lock{mutex_};
    while (next_ < job_.tasks && !is_over_) {
      Taken taken{.task = next_++, .turn = next_turn_};
      auto ended = how_it_ended(calls, taken.task);
      if (!ended)
        return tl::unexpected{std::move(ended.error())};
      taken.ended = std::move(*ended);
      if (taken.ended && taken.ended->number == 0) {
        if (auto passed = pass_untried(calls, next_); !passed)
          return tl::unexpected{std::move(passed.error())};
        continue;
      }
      ++next_turn_;
      return taken;
    }
    return std::nullopt;
  }

  /// Nullopt if it had not ended when it was last asked, a thousand at once.
  Result<std::optional<TaskAttempt>> how_it_ended(NodeCalls& calls,
                                                  std::uint64_t task) {
    if (task >= known_until_) {
      const auto answer = calls.get(
          node_target({"jobs", fmt::format("{}", job_.number), "tasks"},
                      {{"from", fmt::format("{}", task)},
                       {"limit", fmt::format("{}", most_at_once)}}));
      if (!answer)
        return tl::unexpected{answer.error()};
      auto ended = results_from_json(*answer);
      if (!ended)
        return tl::unexpected{ended.error()};
      known_until_ =
          ended->size() < most_at_once ? job_.tasks : ended->back().task + 1;
      ended_ = std::move(*ended);
    }
    const auto found =
        std::lower_bound(ended_.begin(), ended_.end(), task,
                         [](const TaskAttempt& one, std::uint64_t number) {
                           return one.task < number;
                         });
    if (found != ended_.end() && found->task == task)
      return *found;
    // While they are followed, those behind it may end before their turn.
    if (options_.follow)
      known_until_ = std::min(known_until_, task + most_followed);
    return std::nullopt;
  }

  /// Where one task has not run, a million may follow that have not either.
  Result<void> pass_untried(NodeCalls& calls, std::uint64_t from) {
    // Others may have come further, and not have seen yet what they took.
    from = std::max(from, next_);
    const auto answer = calls.get(
        node_target({"jobs", fmt::format("{}", job_.number), "tried"},
                    {{"from", fmt::format("{}", from)}, {"limit", "1"}}));
    // An older node cannot tell: then each is asked for.
    if (!answer && answer.error().code == Errc::not_found)
      return {};
    if (!answer)
      return tl::unexpected{answer.error()};
    const auto tried = tried_from_json(*answer);
    if (!tried)
      return tl::unexpected{tried.error()};
    next_ = tried->empty() ? job_.tasks : tried->front();
    return {};
  }

  /// Whole lines at once: those of different threads do not mix.
  void write(const Taken& taken, const std::string& lines) {
    if (!options_.follow)
      turns_.write(taken.turn, lines);
    else if (!lines.empty())
      write_out(lines);
  }

  void stop(const Taken& failed) {
    if (!options_.follow)
      turns_.end(failed.turn);
    const std::lock_guard lock{mutex_};
    is_over_ = !options_.follow;
  }

  NodeSession& session_;
  const QueueJob& job_;
  const JobLogOptions& options_;
  std::size_t width_;
  Turns turns_;  ///< While nothing is followed.
  std::mutex mutex_;
  // Under it, as are calls that ask which task comes next.
  std::uint64_t next_ = 0;
  std::uint64_t next_turn_ = 0;
  bool is_over_ = false;
  /// Those that have ended, in order, before `known_until_`.
  std::vector<TaskAttempt> ended_;
  std::uint64_t known_until_ = 0;
};

}  // namespace

Result<std::string> RecordText::add(std::string_view bytes) {
  pending_ += bytes;
  std::string_view rest = pending_;
  if (!has_header_) {
    const auto size = process::parse_record_header(rest);
    if (!size)
      return tl::unexpected{size.error()};
    if (!*size)
      return std::string{};
    rest.remove_prefix(**size);
    has_header_ = true;
  }
  std::string out;
  while (true) {
    const auto parsed = process::parse_record_frame(rest);
    if (!parsed)
      return tl::unexpected{parsed.error()};
    if (!*parsed)
      break;
    print((*parsed)->frame, out);
    rest.remove_prefix((*parsed)->size);
  }
  pending_.erase(0, pending_.size() - rest.size());
  return out;
}

void RecordText::print(const process::RecordFrame& frame, std::string& out) {
  if (frame.kind == process::RecordKind::gap || (only_ && frame.kind != *only_))
    return;
  if (!timestamps_) {
    out += frame.bytes;
    return;
  }
  std::string_view rest = frame.bytes;
  while (!rest.empty()) {
    if (!std::exchange(is_line_begun_, true))
      out += format_wall_time(frame.time) + ' ';
    const std::size_t newline = rest.find('\n');
    const bool is_whole = newline != std::string_view::npos;
    out += rest.substr(0, is_whole ? newline + 1 : newline);
    rest.remove_prefix(is_whole ? newline + 1 : rest.size());
    is_line_begun_ = !is_whole;
  }
}

std::string LinePrefixer::add(std::string_view bytes) {
  std::string lines;
  while (!bytes.empty()) {
    const std::size_t newline = bytes.find('\n');
    const bool is_whole = newline != std::string_view::npos;
    pending_ += bytes.substr(0, newline);
    bytes.remove_prefix(is_whole ? newline + 1 : bytes.size());
    if (!is_whole && pending_.size() < longest_log_piece)
      break;
    lines += prefix_ + pending_ + '\n';
    pending_.clear();
  }
  return lines;
}

std::string LinePrefixer::finish() {
  if (pending_.empty())
    return {};
  return prefix_ + std::exchange(pending_, {}) + '\n';
}

Result<void> print_job_log(NodeSession& session, const TaskName& name,
                           const JobLogOptions& options) {
  std::optional<std::uint64_t> task = name.task;
  if (!task) {
    const auto answer =
        session.calls().get(node_target({"jobs", fmt::format("{}", name.job)}));
    if (!answer)
      return tl::unexpected{answer.error()};
    const auto job = job_from_json(*answer);
    if (!job)
      return tl::unexpected{job.error()};
    if (job->tasks == 0)
      return {};
    if (job->tasks != 1)
      return AllTasks{session, *job, options}.print();
    task = 0;
  }
  return TaskLog{session.calls(), name.job, *task, options}.read(write_out);
}

}  // namespace troupe::cli
