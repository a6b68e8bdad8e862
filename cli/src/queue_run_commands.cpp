#include "queue_run_commands.hpp"

#include "job_json.hpp"
#include "job_view.hpp"

#include <troupe/base/text.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <set>
#include <utility>

namespace troupe::cli {
namespace {

using api::Json;

constexpr std::uint64_t page = 1000;
constexpr std::uint64_t recently_ended_runs = 10;
constexpr Duration first_wait_pause = 50ms;
constexpr Duration longest_wait_pause = 1s;
constexpr Duration pause_of_following_run = 250ms;

std::string number(std::uint64_t value) { return fmt::format("{}", value); }

/// Up to `limit` runs of a set, the newest first.
Result<Json> runs_of(NodeCalls& calls, const std::string& set,
                     std::uint64_t limit) {
  Json all = Json::array();
  std::uint64_t before = 0;
  while (all.size() < limit) {
    const std::uint64_t wanted =
        std::min<std::uint64_t>(page, limit - all.size());
    const auto answer = calls.get(node_target(
        {"runs"},
        {{"set", set}, {"before", number(before)}, {"limit", number(wanted)}}));
    if (!answer)
      return answer;
    const auto runs = runs_from_json(*answer);
    if (!runs)
      return tl::unexpected{runs.error()};
    for (const Json& run : (*answer)["runs"])
      all.push_back(run);
    if (runs->size() < wanted)
      break;
    before = runs->back().number;
  }
  return all;
}

/// Those that have not ended, and the last of those that have.
Result<Json> recent_runs(NodeCalls& calls, std::uint64_t limit) {
  auto all = runs_of(calls, "unended", limit);
  if (!all)
    return all;
  const auto ended = runs_of(
      calls, "ended", std::min(limit - all->size(), recently_ended_runs));
  if (!ended)
    return ended;
  all->insert(all->end(), ended->begin(), ended->end());
  std::stable_sort(all->begin(), all->end(), [](const Json& a, const Json& b) {
    return a["run"].get<std::uint64_t>() > b["run"].get<std::uint64_t>();
  });
  return all;
}

Result<QueueRun> brief_run(NodeCalls& calls, std::uint64_t run) {
  const auto answer =
      calls.get(node_target({"runs", number(run)}, {{"limit", "1"}}));
  if (!answer)
    return tl::unexpected{answer.error()};
  return run_from_json(*answer);
}

/// Why a step that has a job of the queue does not run.
Result<std::string> reasons_of(NodeCalls& calls, const RunStep& step,
                               WallTime now) {
  const auto answer =
      calls.get(node_target({"jobs", number(*step.job), "why"}));
  if (!answer)
    return tl::unexpected{answer.error()};
  const auto why = why_from_json(*answer);
  if (!why)
    return tl::unexpected{why.error()};
  return describe_why(*step.job, *why, now);
}

}  // namespace

bool names_runs(const std::vector<std::string>& texts) {
  return !texts.empty() && run_number(texts.front()).has_value();
}

Result<Json> fetch_run(NodeCalls& calls, std::uint64_t run) {
  Json whole;
  for (std::uint64_t from = 0;; from += page) {
    auto answer = calls.get(
        node_target({"runs", number(run)},
                    {{"from", number(from)}, {"limit", number(page)}}));
    if (!answer)
      return answer;
    const auto read = run_from_json(*answer);
    if (!read)
      return tl::unexpected{read.error()};
    if (from == 0)
      whole = std::move(*answer);
    else
      for (Json& instance : (*answer)["instances"])
        whole["instances"].push_back(std::move(instance));
    if (read->instances.size() < page)
      return whole;
  }
}

int list_runs(const QueueContext& context, NodeSession& session,
              const RunListOptions& o) {
  const auto list = o.set == "recent"
                        ? recent_runs(session.calls(), o.limit)
                        : runs_of(session.calls(), o.set, o.limit);
  if (!list)
    return node_failed(list.error());
  if (o.json) {
    print_json({{"runs", *list}});
    return exit_ok;
  }
  const auto runs = runs_from_json({{"runs", *list}});
  if (!runs)
    return node_failed(runs.error());
  write_out(render_runs(*runs, context.now(), table_style(context)));
  return exit_ok;
}

int show_run(const QueueContext& context, NodeCalls& calls, std::uint64_t run,
             bool as_json) {
  const auto answer = fetch_run(calls, run);
  if (!answer)
    return node_failed(answer.error());
  if (as_json) {
    print_json(*answer);
    return exit_ok;
  }
  const auto read = run_from_json(*answer);
  if (!read)
    return node_failed(read.error());
  write_out(describe_run(*read, context.now()));
  return exit_ok;
}

int explain_run(const QueueContext& context, NodeCalls& calls,
                std::uint64_t run, bool as_json) {
  const auto answer = fetch_run(calls, run);
  if (!answer)
    return node_failed(answer.error());
  const auto read = run_from_json(*answer);
  if (!read)
    return node_failed(read.error());
  Json reasons = Json::array();
  std::string text;
  const auto add = [&](const RunJob& job, const std::string& what) {
    reasons.push_back(
        {{"job", job.label}, {"state", job.state}, {"what", what}});
    text += fmt::format("  {}: {}{}{}\n", printable(job.label),
                        printable(job.state), what.empty() ? "" : ": ",
                        printable(what));
  };
  for (const RunJob& job : read->instances) {
    if (job.has_ended()) {
      if (job.state == "failed" || job.state == "timed_out")
        add(job, job.reason);
      continue;
    }
    const bool has_step = !job.steps.empty() && !job.steps.back().has_ended &&
                          job.steps.back().job;
    if (!has_step) {
      add(job, describe_waiting(job));
      continue;
    }
    const RunStep& step = job.steps.back();
    if (step.state == "running") {
      add(job, fmt::format("job {} runs", *step.job));
      continue;
    }
    const auto why = reasons_of(calls, step, context.now());
    if (!why)
      return node_failed(why.error());
    std::string line = *why;
    line.erase(line.find_last_not_of('\n') + 1);
    std::replace(line.begin(), line.end(), '\n', ';');
    add(job, line);
  }
  if (as_json) {
    print_json({{"run", run}, {"state", read->state}, {"reasons", reasons}});
    return exit_ok;
  }
  write_out(fmt::format("run {} is {}{}\n", run_text(run),
                        printable(read->state), text.empty() ? "" : ":"));
  write_out(text);
  return exit_ok;
}

int wait_for_runs(NodeCalls& calls, const std::vector<std::uint64_t>& runs,
                  bool any, bool as_json) {
  std::vector<std::uint64_t> open = runs;
  std::vector<QueueRun> ended;
  Duration pause = first_wait_pause;
  while (!open.empty() && !(any && !ended.empty())) {
    for (auto it = open.begin(); it != open.end();) {
      auto run = brief_run(calls, *it);
      if (!run)
        return node_failed(run.error());
      if (!run->has_ended()) {
        ++it;
        continue;
      }
      ended.push_back(std::move(*run));
      it = open.erase(it);
    }
    if (open.empty() || (any && !ended.empty()))
      break;
    calls.pause(pause);
    pause = std::min(pause * 3 / 2, longest_wait_pause);
  }
  int code = exit_ok;
  Json states = Json::array();
  for (const QueueRun& run : ended) {
    states.push_back({{"run", run.number}, {"state", run.state}});
    if (run.state == "succeeded")
      continue;
    code = exit_failed;
    if (!as_json)
      complain(fmt::format("{}; see troupe status {}", describe_end(run),
                           run_text(run.number)));
  }
  if (as_json)
    print_json({{"exit_status", code}, {"runs", states}});
  return code;
}

int print_run_logs(NodeSession& session, const std::vector<std::string>& names,
                   const JobLogOptions& options) {
  const std::string job = names.size() > 1 ? names[1] : "";
  const std::string step = names.size() > 2 ? names[2] : "";
  std::set<std::uint64_t> printed;  // Jobs of the queue.
  for (;;) {
    const auto answer = fetch_run(session.calls(), *run_number(names.front()));
    if (!answer)
      return node_failed(answer.error());
    const auto run = run_from_json(*answer);
    if (!run)
      return node_failed(run.error());
    const bool more_may_come = options.follow && !run->has_ended();
    auto logs = logs_of(*run, job, step);
    if (!logs && more_may_come && logs_of(*run, job, ""))
      logs = std::vector<RunLog>{};  // The step has not started.
    if (!logs)
      return node_failed(logs.error());
    if (options.follow)
      std::sort(logs->begin(), logs->end(),
                [](const RunLog& a, const RunLog& b) { return a.job < b.job; });
    const bool has_heads = options.follow ? step.empty() : logs->size() > 1;
    bool is_new = false;
    for (const RunLog& log : *logs) {
      if (!printed.insert(log.job).second)
        continue;
      is_new = true;
      if (has_heads)
        write_out(fmt::format("==> {}: {} (job {}) <==\n", printable(log.label),
                              printable(log.name), log.job));
      const auto read = print_job_log(session, {log.job, 0}, options);
      // What waits in the queue has written nothing yet.
      if (!read && read.error().code != Errc::not_found)
        return node_failed(read.error());
    }
    if (!more_may_come)
      return exit_ok;
    if (!is_new)
      session.calls().pause(pause_of_following_run);
  }
}

int change_runs(const QueueContext& context, const NodeOptions& node,
                const char* command, const std::vector<std::string>& texts,
                const char* what, const Json& body,
                const std::function<std::string(std::uint64_t run)>& describe) {
  const auto runs = parse_runs(texts);
  if (!runs)
    return usage_error(command, runs.error().what);
  auto session = NodeSession::open(context, node);
  if (!session)
    return node_failed(session.error());
  Json changed = Json::array();
  std::string text;
  int code = exit_ok;
  for (const std::uint64_t run : *runs) {
    const bool is_removal = *what == '\0';
    const auto answer =
        is_removal ? session->calls().call(NodeMethod::remove,
                                           node_target({"runs", number(run)}))
                   : session->calls().call(
                         NodeMethod::post,
                         node_target({"runs", number(run), what}), body);
    if (!answer) {
      const int failed = node_failed(answer.error());
      code = code == exit_ok ? failed : code;
      if (failed == exit_troupe_failed)
        break;
      continue;
    }
    changed.push_back(run);
    if (describe)
      text += describe(run);
  }
  const std::string done =
      fmt::format("{} is done for {} run{}", command, changed.size(),
                  changed.size() == 1 ? "" : "s");
  if (node.json)
    print_json({{"runs", std::move(changed)}}, done);
  else
    write_answer(text, done);
  return code;
}

}  // namespace troupe::cli
