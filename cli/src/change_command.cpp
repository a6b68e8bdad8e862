/// troupe cancel, retry, edit, forget, pause and resume: changing what is in
/// the queue of a node.
#include "command_options.hpp"
#include "job_list.hpp"
#include "job_words.hpp"
#include "queue_context.hpp"
#include "queue_run_commands.hpp"

#include <troupe/base/text.hpp>
#include <troupe/base/wall_time.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace troupe::cli {
namespace {

using api::Json;

std::string job_target(std::uint64_t job, std::string_view what) {
  return node_target({"jobs", fmt::format("{}", job), what});
}

/// What changes one job.
using Change = std::function<Result<Json>(NodeCalls& calls, std::uint64_t job)>;

/// Changes each of `jobs`, also if one of them cannot be changed; `done` gets
/// those that were, with the answers. The exit code is that of the first error.
int change_each(NodeCalls& calls, const std::vector<std::uint64_t>& jobs,
                const Change& change,
                std::vector<std::pair<std::uint64_t, Json>>& done) {
  int code = exit_ok;
  for (const std::uint64_t job : jobs) {
    auto answer = change(calls, job);
    if (answer) {
      done.emplace_back(job, std::move(*answer));
      continue;
    }
    const int failed = node_failed(answer.error());
    code = code == exit_ok ? failed : code;
    // Of what cannot be asked, the next answer would be the same.
    if (failed == exit_troupe_failed)
      break;
  }
  return code;
}

using Done = std::vector<std::pair<std::uint64_t, Json>>;

Json names_of(const Done& done) {
  Json jobs = Json::array();
  for (const auto& [job, answer] : done)
    jobs.push_back(job);
  return {{"jobs", std::move(jobs)}};
}

/// For write_answer().
std::string describe(const Done& done, const char* command) {
  return fmt::format("{} is done for {} job{}", command, done.size(),
                     done.size() == 1 ? "" : "s");
}

/// Changes the jobs that `texts` name.
int change_named(const QueueContext& context, const NodeOptions& node,
                 const char* command, const std::vector<std::string>& texts,
                 const Change& change) {
  const auto jobs = parse_jobs(texts);
  if (!jobs)
    return usage_error(command, jobs.error().what);
  auto session = NodeSession::open(context, node);
  if (!session)
    return node_failed(session.error());
  Done done;
  const int code = change_each(session->calls(), *jobs, change, done);
  if (node.json)
    print_json(names_of(done), describe(done, command));
  return code;
}

Change posting(const char* what, const Json& body = nullptr) {
  return [what, body](NodeCalls& calls, std::uint64_t job) {
    return calls.call(NodeMethod::post, job_target(job, what), body);
  };
}

struct RetryOptions {
  NodeOptions node;
  std::vector<std::string> jobs;
  bool dead = false;
  bool failed = false;
  std::string group;
  std::string from;
};

/// The jobs that are to be retried.
Result<std::vector<std::uint64_t>> jobs_to_retry(NodeCalls& calls,
                                                 const RetryOptions& o) {
  if (!o.dead)
    return parse_jobs(o.jobs);
  return job_numbers_of(calls, JobChoice::failed, o.group);
}

int retry(const QueueContext& context, const RetryOptions& o) {
  auto session = NodeSession::open(context, o.node);
  if (!session)
    return node_failed(session.error());
  const auto jobs = jobs_to_retry(session->calls(), o);
  if (!jobs)
    return node_failed(jobs.error());
  Done done;
  const int code = change_each(
      session->calls(), *jobs,
      posting("retry", o.failed ? Json{{"tasks", "failed"}} : Json{}), done);
  Json list = Json::array();
  std::string text;
  for (const auto& [job, answer] : done) {
    const auto tasks = answer.value("tasks", std::uint64_t{0});
    list.push_back({{"job", job}, {"tasks", tasks}});
    text += fmt::format("job {}: {} task{} again\n", job, tasks,
                        tasks == 1 ? " waits" : "s wait");
  }
  if (o.dead && jobs->empty())
    text = "no job has failed\n";
  if (o.node.json)
    print_json({{"jobs", std::move(list)}}, describe(done, "retry"));
  else
    write_answer(text, describe(done, "retry"));
  return code;
}

int retry_runs(const QueueContext& context, const RetryOptions& o) {
  if (o.dead || !o.group.empty())
    return usage_error("retry", "--dead and --group go with jobs");
  Json body = Json::object();
  if (!o.from.empty())
    body["from"] = to_utf8(o.from);
  return change_runs(context, o.node, "retry", o.jobs, "retry", body,
                     [](std::uint64_t run) {
                       return fmt::format("run {} goes on\n", run_text(run));
                     });
}

struct EditOptions {
  NodeOptions node;
  std::string job;
  std::string name;
  bool has_name = false;  ///< It may be empty.
  std::vector<std::string> tags;
  std::string group;
  std::string priority;
  std::string resources;
  std::string runs_on;
  std::string at;
  std::vector<std::string> words;  ///< Of another command.
};

void add_options(CLI::App& app, EditOptions& o) {
  app.add_option("ID", o.job, "The job");
  app.add_option("--name", o.name, "What people call it")->type_name("NAME");
  repeated(
      app.add_option("--tag", o.tags, "Its tags instead of those that it has")
          ->type_name("TAG"));
  app.add_option("--group", o.group, "The group that it waits in")
      ->type_name("NAME");
  app.add_option("--priority", o.priority, "low, normal, high or critical")
      ->type_name("WHICH");
  app.add_option("--resources", o.resources, "What a task needs")
      ->type_name("NAME=N,..");
  app.add_option("--runs-on", o.runs_on, "Only on nodes with all these labels")
      ->type_name("LABEL,..");
  app.add_option("--at", o.at, "Not before this: 03:30 or 2026-05-01T03:30:00Z")
      ->type_name("TIME");
  o.node.add_to(app);
}

/// What changes, but for the command. Errors: invalid_argument, naming the
/// option.
Result<Json> changes_of(const EditOptions& o, WallTime now) {
  Json changes = Json::object();
  if (o.has_name)
    changes["name"] = to_utf8(o.name);
  for (const std::string& tag : o.tags)
    changes["tags"].push_back(to_utf8(tag));
  if (!o.group.empty())
    changes["group"] = to_utf8(o.group);
  if (!o.priority.empty()) {
    auto priority = parse_priority(o.priority);
    if (!priority)
      return tl::unexpected{std::move(priority.error()).within("--priority")};
    changes["priority"] = std::move(*priority);
  }
  if (!o.resources.empty()) {
    auto resources = parse_resources(o.resources);
    if (!resources)
      return tl::unexpected{std::move(resources.error()).within("--resources")};
    changes["resources"] = std::move(*resources);
  }
  if (!o.runs_on.empty()) {
    auto labels = parse_labels(o.runs_on);
    if (!labels)
      return tl::unexpected{std::move(labels.error()).within("--runs-on")};
    changes["runs_on"] = std::move(*labels);
  }
  if (!o.at.empty()) {
    auto time = parse_start_time(o.at, now);
    if (!time)
      return tl::unexpected{std::move(time.error()).within("--at")};
    changes["not_before"] = format_wall_time(*time);
  }
  for (const std::string& word : o.words) {
    if (!is_utf8(word))
      return failure(
          Errc::invalid_argument,
          fmt::format("the command is not UTF-8: \"{}\"", printable(word)));
  }
  if (changes.empty() && o.words.empty())
    return failure(Errc::invalid_argument, "nothing to change was given");
  return changes;
}

/// The command of the job with other words: its folder, its environment and its
/// settings stay.
Result<Json> command_with(NodeCalls& calls, std::uint64_t job,
                          const std::vector<std::string>& words) {
  const auto answer = calls.get(node_target({"jobs", fmt::format("{}", job)}));
  if (!answer)
    return tl::unexpected{answer.error()};
  const auto found = answer->find("command");
  if (found == answer->end() || !found->is_object())
    return failure(Errc::corrupt, "the node does not tell the command");
  Json command = *found;
  command["words"] = words;
  return command;
}

int edit(const QueueContext& context, const EditOptions& o, std::uint64_t job,
         Json changes) {
  auto session = NodeSession::open(context, o.node);
  if (!session)
    return node_failed(session.error());
  if (!o.words.empty()) {
    auto command = command_with(session->calls(), job, o.words);
    if (!command)
      return node_failed(command.error());
    changes["command"] = std::move(*command);
  }
  const auto answer = session->calls().call(
      NodeMethod::patch, node_target({"jobs", fmt::format("{}", job)}),
      changes);
  if (!answer)
    return node_failed(answer.error());
  const auto running = answer->value("running", std::uint64_t{0});
  if (!o.words.empty() && running != 0)
    complain(
        fmt::format("note: {} of its tasks run{} the old command to the "
                    "end; attempts that begin later have the new one",
                    running, running == 1 ? "s" : ""));
  if (o.node.json)
    print_json({{"jobs", Json::array({job})}},
               fmt::format("job {} was changed", job));
  return exit_ok;
}

/// What is paused or resumed: jobs, a group or all.
struct HoldOptions {
  NodeOptions node;
  std::vector<std::string> jobs;
  std::string group;
  bool all = false;
  bool running = false;
};

int hold(const QueueContext& context, std::vector<std::string> words,
         const char* command, const char* operation, const char* description) {
  HoldOptions o;
  CLI::App app{description, fmt::format("troupe {}", command)};
  app.add_option("ID", o.jobs, "Jobs");
  app.add_option("--group", o.group, "All jobs of this group")
      ->type_name("NAME");
  app.add_flag("--all", o.all, "All jobs");
  if (operation == std::string_view{"hold"})
    app.add_flag("--running", o.running,
                 "Also stop what runs (SIGSTOP), with the clocks of its "
                 "limits,\nuntil it is resumed");
  o.node.add_to(app);
  if (const auto code = parse(app, std::move(words)))
    return *code;
  const Json body = o.running ? Json{{"running", true}} : Json{};
  const int ways =
      (o.jobs.empty() ? 0 : 1) + (o.group.empty() ? 0 : 1) + (o.all ? 1 : 0);
  if (ways != 1)
    return usage_error(command, "expected jobs, --group NAME or --all");
  if (!o.jobs.empty())
    return change_named(context, o.node, command, o.jobs,
                        posting(operation, body));
  auto session = NodeSession::open(context, o.node);
  if (!session)
    return node_failed(session.error());
  const auto answer =
      session->calls().call(NodeMethod::post,
                            o.all ? node_target({"node", operation})
                                  : node_target({"groups", o.group, operation}),
                            body);
  if (!answer)
    return node_failed(answer.error());
  if (o.node.json)
    print_json(o.all ? Json{{"all", true}} : Json{{"group", to_utf8(o.group)}},
               fmt::format("{} is done", command));
  return exit_ok;
}

}  // namespace

int cancel_jobs(const QueueContext& context, std::vector<std::string> words) {
  NodeOptions node;
  std::vector<std::string> jobs;
  CLI::App app{
      "Ends what runs of jobs, and cancels what waits. A run of a workflow "
      "still does what\nits file wants for this case; a second time ends "
      "that, too.",
      "troupe cancel"};
  app.add_option("ID", jobs, "Jobs, or runs (r7)");
  node.add_to(app);
  if (const auto code = parse(app, std::move(words)))
    return *code;
  if (names_runs(jobs))
    return change_runs(context, node, "cancel", jobs, "cancel", nullptr, {});
  return change_named(context, node, "cancel", jobs, posting("cancel"));
}

int retry_jobs(const QueueContext& context, std::vector<std::string> words) {
  RetryOptions o;
  CLI::App app{
      "Lets all tasks of jobs that did not succeed wait again, with all their "
      "attempts. Of\na run of a workflow, the jobs that did not succeed.\n\n"
      "  troupe retry 17\n"
      "  troupe retry r7 --from load\n"
      "  troupe retry --dead --group mail",
      "troupe retry"};
  app.add_option("ID", o.jobs, "Jobs, or runs (r7)");
  app.add_flag("--failed", o.failed,
               "Only tasks that failed, timed out or were lost, not those\n"
               "that were cancelled or skipped");
  app.add_flag("--dead", o.dead, "All jobs that have failed");
  app.add_option("--group", o.group, "Of those, only the ones of this group")
      ->type_name("NAME");
  app.add_option("--from", o.from,
                 "Of a run, also this job and all that come after it, even\n"
                 "if they have succeeded")
      ->type_name("JOB");
  o.node.add_to(app);
  if (const auto code = parse(app, std::move(words)))
    return *code;
  if (names_runs(o.jobs))
    return retry_runs(context, o);
  if (!o.from.empty())
    return usage_error("retry", "--from goes with runs");
  if (o.dead != o.jobs.empty())
    return usage_error("retry", "expected either jobs or --dead");
  if (!o.group.empty() && !o.dead)
    return usage_error("retry", "--group goes with --dead");
  if (const auto jobs = parse_jobs(o.jobs); !o.dead && !jobs)
    return usage_error("retry", jobs.error().what);
  return retry(context, o);
}

int edit_job(const QueueContext& context, std::vector<std::string> words) {
  EditOptions o;
  CLI::App app{
      "Changes a job that has not ended. A new command keeps the folder, the "
      "environment\nand the settings of the old one.\n\n"
      "  troupe edit 17 --priority high\n"
      "  troupe edit 17 -- ./simulate --seed {} --fast",
      "troupe edit"};
  show_usage(app, "troupe edit ID [OPTIONS] [-- COMMAND [ARGUMENT...]]");
  add_options(app, o);
  const auto dashes = std::find(words.begin(), words.end(), "--");
  const bool has_dashes = dashes != words.end();
  o.words.assign(has_dashes ? dashes + 1 : dashes, words.end());
  words.erase(dashes, words.end());
  if (const auto code = parse(app, std::move(words)))
    return *code;
  o.has_name = app.get_option("--name")->count() != 0;
  const auto job = parse_job(o.job);
  if (!job)
    return usage_error("edit",
                       o.job.empty() ? "no job given" : job.error().what);
  if (has_dashes && o.words.empty())
    return usage_error("edit", "no command after --");
  auto changes = changes_of(o, context.now());
  if (!changes)
    return usage_error("edit", changes.error().what);
  return edit(context, o, *job, std::move(*changes));
}

int forget_jobs(const QueueContext& context, std::vector<std::string> words) {
  NodeOptions node;
  std::vector<std::string> texts;
  bool ended = false;
  CLI::App app{
      "Forgets jobs, or runs with all their jobs, that have ended, "
      "and removes their\noutput.",
      "troupe forget"};
  app.add_option("ID", texts, "Jobs, or runs (r7)");
  app.add_flag("--ended", ended, "All jobs that have ended");
  node.add_to(app);
  if (const auto code = parse(app, std::move(words)))
    return *code;
  const Change forget = [](NodeCalls& calls, std::uint64_t job) {
    return calls.call(NodeMethod::remove,
                      node_target({"jobs", fmt::format("{}", job)}));
  };
  if (names_runs(texts) && !ended)
    return change_runs(context, node, "forget", texts, "", nullptr, {});
  if (ended != texts.empty())
    return usage_error("forget", "expected either jobs or --ended");
  if (!ended)
    return change_named(context, node, "forget", texts, forget);
  auto session = NodeSession::open(context, node);
  if (!session)
    return node_failed(session.error());
  const auto jobs = job_numbers_of(session->calls(), JobChoice::ended, {});
  if (!jobs)
    return node_failed(jobs.error());
  Done done;
  const int code = change_each(session->calls(), *jobs, forget, done);
  if (node.json)
    print_json(names_of(done), describe(done, "forget"));
  else
    write_answer(fmt::format("{} job{} forgotten\n", done.size(),
                             done.size() == 1 ? "" : "s"),
                 describe(done, "forget"));
  return code;
}

int pause_jobs(const QueueContext& context, std::vector<std::string> words) {
  return hold(context, std::move(words), "pause", "hold",
              "Starts nothing more of jobs, of a group or at all. What runs "
              "goes on,\nunless it is to stand still as well.\n\n"
              "  troupe pause 17\n"
              "  troupe pause --running --group mail");
}

int resume_jobs(const QueueContext& context, std::vector<std::string> words) {
  return hold(context, std::move(words), "resume", "resume",
              "Lets what was paused start or go on. Of a group, this also "
              "closes its breaker.");
}

// NOLINTBEGIN(performance-unnecessary-value-param): as all subcommands.

int run_cancel(const Startup&, std::vector<std::string> words) {
  return cancel_jobs(real_queue_context(), std::move(words));
}

int run_retry(const Startup&, std::vector<std::string> words) {
  return retry_jobs(real_queue_context(), std::move(words));
}

int run_edit(const Startup&, std::vector<std::string> words) {
  return edit_job(real_queue_context(), std::move(words));
}

int run_forget(const Startup&, std::vector<std::string> words) {
  return forget_jobs(real_queue_context(), std::move(words));
}

int run_pause(const Startup&, std::vector<std::string> words) {
  return pause_jobs(real_queue_context(), std::move(words));
}

int run_resume(const Startup&, std::vector<std::string> words) {
  return resume_jobs(real_queue_context(), std::move(words));
}

// NOLINTEND(performance-unnecessary-value-param)

}  // namespace troupe::cli
