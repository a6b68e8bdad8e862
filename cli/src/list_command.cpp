/// troupe list, status, why and stats: looking at the queue of a node.
#include "command_options.hpp"
#include "job_list.hpp"
#include "job_view.hpp"
#include "live_view.hpp"
#include "queue_context.hpp"
#include "queue_run_commands.hpp"

#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <optional>
#include <utility>

namespace troupe::cli {
namespace {

using api::Json;

struct ListOptions {
  NodeOptions node;
  std::string what;
  JobQuestion question;
  bool all = false;
  bool running = false;
  bool queued = false;
  bool failed = false;
  bool ended = false;
  bool watch = false;
  std::string limit;
};

void add_options(CLI::App& app, ListOptions& o) {
  app.add_option("WHAT", o.what, "runs: the runs of workflows");
  app.add_option("--group", o.question.group, "Only of this group")
      ->type_name("NAME");
  app.add_option("--tag", o.question.tag, "Only with this tag")
      ->type_name("TAG");
  app.add_flag("--all", o.all, "All jobs");
  app.add_flag("--running", o.running, "Those that run");
  app.add_flag("--queued", o.queued, "Those that wait");
  app.add_flag("--failed,--dead", o.failed, "Those that have failed");
  app.add_flag("--ended", o.ended, "Those that have ended");
  app.add_option("--limit", o.limit, "At most so many (1000)")->type_name("N");
  app.add_flag("--watch", o.watch, "Show it anew each second; q ends it");
  o.node.add_to(app);
}

Result<void> choose_set(ListOptions& o) {
  const std::array<std::pair<bool, JobChoice>, 5> flags{
      {{o.all, JobChoice::all},
       {o.running, JobChoice::running},
       {o.queued, JobChoice::queued},
       {o.failed, JobChoice::failed},
       {o.ended, JobChoice::ended}}};
  if (std::count_if(flags.begin(), flags.end(),
                    [](const auto& flag) { return flag.first; }) > 1)
    return failure(Errc::invalid_argument,
                   "only one of --all, --running, --queued, --failed and "
                   "--ended");
  for (const auto& [is_set, choice] : flags) {
    if (is_set)
      o.question.choice = choice;
  }
  std::uint64_t limit = o.question.limit;
  auto read = read_count("--limit", o.limit, limit);
  o.question.limit = std::max<std::uint64_t>(limit, 1);
  return read;
}

std::string contradiction(const ListOptions& o) {
  if (o.what.empty())
    return {};
  if (o.what != "runs")
    return fmt::format("expected runs, got \"{}\"", printable(o.what));
  if (o.watch || !o.question.group.empty() || !o.question.tag.empty() ||
      o.queued)
    return "--watch, --group, --tag and --queued go with jobs";
  return {};
}

std::string run_set_of(const ListOptions& o) {
  if (o.all)
    return "all";
  if (o.running)
    return "unended";
  if (o.failed)
    return "failed";
  return o.ended ? "ended" : "recent";
}

int explain_runs(const QueueContext& context, NodeCalls& calls,
                 const std::vector<std::uint64_t>& runs, bool as_json) {
  for (const std::uint64_t run : runs) {
    const int code = explain_run(context, calls, run, as_json);
    if (code != exit_ok)
      return code;
  }
  return exit_ok;
}

int print_jobs(const QueueContext& context, NodeSession& session,
               const ListOptions& o) {
  const auto list = list_jobs_of(session.calls(), o.question);
  if (!list)
    return node_failed(list.error());
  if (o.node.json) {
    print_json({{"jobs", list->jobs}});
    return exit_ok;
  }
  const auto jobs = jobs_from_json({{"jobs", list->jobs}});
  if (!jobs)
    return node_failed(jobs.error());
  write_out(render_jobs(*jobs, context.now(), table_style(context)));
  if (list->is_cut)
    complain(fmt::format("there are more than {} jobs; see --limit",
                         o.question.limit));
  return exit_ok;
}

Result<std::vector<std::string>> frame_of(const QueueContext& context,
                                          NodeSession& session,
                                          const ListOptions& o,
                                          const FrameStyle& style) {
  const auto list = list_jobs_of(session.calls(), o.question);
  if (!list)
    return tl::unexpected{list.error()};
  const auto jobs = jobs_from_json({{"jobs", list->jobs}});
  if (!jobs)
    return tl::unexpected{jobs.error()};
  return lines_of(
      render_jobs(*jobs, context.now(),
                  {.colour = style.colour, .columns = style.columns}),
      style.rows);
}

/// The last tasks that failed, of those that are looked at.
Result<Json> last_failures(NodeCalls& calls, const std::string& job,
                           std::uint64_t tasks) {
  // From the end, a window after the other: a job may have a million tasks.
  constexpr std::uint64_t window = 1000;
  constexpr int most_windows = 10;
  constexpr std::size_t most_failures = 5;
  Json failures = Json::array();
  std::uint64_t end = tasks;
  for (int i = 0; i < most_windows && end != 0; ++i) {
    const std::uint64_t from = end > window ? end - window : 0;
    const auto answer = calls.get(node_target(
        {"jobs", job, "tasks"}, {{"from", fmt::format("{}", from)},
                                 {"limit", fmt::format("{}", end - from)}}));
    if (!answer)
      return tl::unexpected{answer.error()};
    const auto results = results_from_json(*answer);
    if (!results)
      return tl::unexpected{results.error()};
    for (std::size_t n = results->size(); n-- > 0;) {
      const TaskAttempt& result = (*results)[n];
      const bool is_wanted =
          result.task < end &&
          (result.outcome == "failed" || result.outcome == "timed_out" ||
           result.outcome == "lost");
      if (is_wanted)
        failures.push_back((*answer)["tasks"][n]);
      if (failures.size() == most_failures)
        return failures;
    }
    end = from;
  }
  return failures;
}

int show_job(const QueueContext& context, NodeCalls& calls,
             std::uint64_t number, bool as_json) {
  const std::string name = fmt::format("{}", number);
  auto answer = calls.get(node_target({"jobs", name}));
  if (!answer)
    return node_failed(answer.error());
  const auto job = job_from_json(*answer);
  if (!job)
    return node_failed(job.error());
  Json why = Json::object();
  if (!job->has_ended()) {
    auto reasons = calls.get(node_target({"jobs", name, "why"}));
    if (!reasons)
      return node_failed(reasons.error());
    why = std::move(*reasons);
  }
  Json failures = Json::array();
  if (job->counts.unsuccessful() != 0) {
    auto found = last_failures(calls, name, job->tasks);
    if (!found)
      return node_failed(found.error());
    failures = std::move(*found);
  }
  if (as_json) {
    (*answer)["why"] = std::move(why);
    (*answer)["failures"] = std::move(failures);
    print_json(*answer);
    return exit_ok;
  }
  const auto reasons = why_from_json(why);
  const auto shown = results_from_json({{"tasks", failures}});
  if (!reasons || !shown)
    return node_failed(reasons ? shown.error() : reasons.error());
  write_out(describe_job(*job, *reasons, *shown, context.now()));
  return exit_ok;
}

int show_task(const QueueContext& context, NodeCalls& calls,
              const TaskName& name, bool as_json) {
  const auto answer =
      calls.get(node_target({"jobs", fmt::format("{}", name.job), "tasks",
                             fmt::format("{}", *name.task)}));
  if (!answer)
    return node_failed(answer.error());
  if (as_json) {
    print_json(*answer);
    return exit_ok;
  }
  const auto task = task_from_json(*answer);
  if (!task)
    return node_failed(task.error());
  write_out(describe_task(name.job, *task, context.now()));
  return exit_ok;
}

}  // namespace

int list_jobs(const QueueContext& context, std::vector<std::string> words) {
  ListOptions o;
  CLI::App app{
      "Lists the jobs of a running troupe node, the newest first. Without "
      "options: those\nthat have not ended, and the last 10 that have. Jobs "
      "of runs are told of by\ntroupe status RUN.\n\n"
      "  troupe list --failed\n"
      "  troupe list runs\n"
      "  troupe list --watch --group gpu",
      "troupe list"};
  add_options(app, o);
  if (const auto code = parse(app, std::move(words)))
    return *code;
  if (const auto chosen = choose_set(o); !chosen)
    return usage_error("list", chosen.error().what);
  if (const auto wrong = contradiction(o); !wrong.empty())
    return usage_error("list", wrong);
  auto session = NodeSession::open(context, o.node);
  if (!session)
    return node_failed(session.error());
  if (!o.what.empty())
    return list_runs(
        context, *session,
        {.set = run_set_of(o), .limit = o.question.limit, .json = o.node.json});
  if (!o.watch || o.node.json || !context.is_terminal)
    return print_jobs(context, *session, o);
  session->calls().set_patience(Duration{0});
  return redraw_until_quit([&](const FrameStyle& style) {
    return frame_of(context, *session, o, style);
  });
}

int show_status(const QueueContext& context, std::vector<std::string> words) {
  NodeOptions node;
  std::vector<std::string> texts;
  CLI::App app{
      "Tells all about jobs of the queue, about tasks with all their "
      "attempts, or about\nruns of workflows with their jobs.\n\n"
      "  troupe status 17\n"
      "  troupe status 17.3\n"
      "  troupe status r7",
      "troupe status"};
  app.add_option("ID", texts, "Jobs (17), tasks (17.3) or runs (r7)");
  node.add_to(app);
  if (const auto code = parse(app, std::move(words)))
    return *code;
  if (texts.empty())
    return usage_error("status", "no job given");
  std::vector<TaskName> names;
  for (const std::string& text : texts) {
    if (run_number(text))
      continue;
    const auto name = parse_task_name(text);
    if (!name)
      return usage_error("status", name.error().what);
    names.push_back(*name);
  }
  auto session = NodeSession::open(context, node);
  if (!session)
    return node_failed(session.error());
  int code = exit_ok;
  auto name = names.begin();
  for (const std::string& text : texts) {
    int one = exit_ok;
    if (const auto run = run_number(text)) {
      one = show_run(context, session->calls(), *run, node.json);
    } else {
      one = name->task
                ? show_task(context, session->calls(), *name, node.json)
                : show_job(context, session->calls(), name->job, node.json);
      ++name;
    }
    code = code == exit_ok ? one : code;
  }
  return code;
}

int explain_jobs(const QueueContext& context, std::vector<std::string> words) {
  NodeOptions node;
  std::vector<std::string> texts;
  CLI::App app{
      "Tells why nothing, or no more, of a job runs, and what it waits for; "
      "of a run, for\neach of its jobs.",
      "troupe why"};
  app.add_option("ID", texts, "Jobs, or runs (r7)");
  node.add_to(app);
  if (const auto code = parse(app, std::move(words)))
    return *code;
  const bool of_runs = names_runs(texts);
  const auto jobs = of_runs ? parse_runs(texts) : parse_jobs(texts);
  if (!jobs)
    return usage_error("why", jobs.error().what);
  auto session = NodeSession::open(context, node);
  if (!session)
    return node_failed(session.error());
  if (of_runs)
    return explain_runs(context, session->calls(), *jobs, node.json);
  for (const std::uint64_t job : *jobs) {
    const auto answer = session->calls().get(
        node_target({"jobs", fmt::format("{}", job), "why"}));
    if (!answer)
      return node_failed(answer.error());
    if (node.json) {
      print_json(*answer);
      continue;
    }
    const auto why = why_from_json(*answer);
    if (!why)
      return node_failed(why.error());
    write_out(describe_why(job, *why, context.now()));
  }
  return exit_ok;
}

int show_stats(const QueueContext& context, std::vector<std::string> words) {
  NodeOptions node;
  CLI::App app{"Prints counts and rates of a node since it has started.",
               "troupe stats"};
  node.add_to(app);
  if (const auto code = parse(app, std::move(words)))
    return *code;
  auto session = NodeSession::open(context, node);
  if (!session)
    return node_failed(session.error());
  const auto answer = session->calls().get(node_target({"stats"}));
  if (!answer)
    return node_failed(answer.error());
  if (node.json)
    print_json(*answer);
  else
    write_out(describe_stats(*answer));
  return exit_ok;
}

// NOLINTBEGIN(performance-unnecessary-value-param): as all subcommands.

int run_list(const Startup&, std::vector<std::string> words) {
  return list_jobs(real_queue_context(), std::move(words));
}

int run_status(const Startup&, std::vector<std::string> words) {
  return show_status(real_queue_context(), std::move(words));
}

int run_why(const Startup&, std::vector<std::string> words) {
  return explain_jobs(real_queue_context(), std::move(words));
}

int run_stats(const Startup&, std::vector<std::string> words) {
  return show_stats(real_queue_context(), std::move(words));
}

// NOLINTEND(performance-unnecessary-value-param)

}  // namespace troupe::cli
