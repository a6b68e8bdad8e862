/// troupe submit: a job for the queue of a running node.
#include "argument_input.hpp"
#include "file_io.hpp"
#include "job_logs.hpp"
#include "job_submission.hpp"
#include "job_view.hpp"
#include "job_wait.hpp"
#include "queue_context.hpp"
#include "queue_run_commands.hpp"
#include "run_values.hpp"
#include "submit_options.hpp"
#include "workflow_file.hpp"

#include <troupe/base/owned_fd.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/workflow/plan.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace troupe::cli {
namespace {

using api::Json;

struct SubmitCommand {
  SubmitOptions job;
  NodeOptions node;
  bool wait = false;
  bool follow = false;
  bool block = false;
};

void add_options(CLI::App& app, SubmitCommand& o) {
  o.job.add_to(app);
  app.add_flag("--wait", o.wait,
               "Wait for the end; exit with the status of the command, or 0 "
               "or 1 for\nseveral tasks");
  app.add_flag("--follow", o.follow, "Print what it writes, and wait");
  app.add_flag("--block", o.block, "If the queue is full, wait for room");
  o.node.add_to(app);
}

/// What contradicts itself; empty if nothing does.
std::string contradiction(const SubmitOptions& o) {
  if (o.workflow.empty() && (!o.inputs.empty() || !o.only_job.empty() ||
                             !o.jobs.empty() || o.no_cache))
    return "--input, --job, --jobs and --no-cache go with -f";
  if (!o.workflow.empty() && !o.words.empty())
    return "-f takes no command; options of the run, such as --input, stand "
           "without --";
  if (!o.array.empty() && !o.each_line.empty())
    return "either --array or --each-line";
  if (o.null_separated && o.each_line.empty())
    return "-0 goes with --each-line";
  if (!o.at.empty() && !o.delay.empty())
    return "either --at or --delay";
  if (!o.key.empty() && o.spread)
    return "--key keeps tasks together, --spread does not: one of them";
  if (o.each_line == "-" && o.standard_input == "-")
    return "--each-line and --stdin cannot both read standard input";
  if (o.words.empty() && o.workflow.empty())
    return "no command given";
  return {};
}

/// The first option that was given and means nothing for a workflow, whose
/// steps say so themselves; empty if there is none.
std::string option_of_jobs(const CLI::App& app) {
  static constexpr std::array of_workflows{
      "--file",       "--input",    "--job",  "--jobs",   "--no-cache",
      "--group",      "--priority", "--cwd",  "--env",    "--clear-env",
      "--request-id", "--wait",     "--json", "--socket", "--help"};
  for (const CLI::Option* const option : app.get_options()) {
    const bool is_known =
        std::any_of(of_workflows.begin(), of_workflows.end(),
                    [&](const char* name) { return option->check_name(name); });
    if (option->count() != 0 && !is_known)
      return option->get_name();
  }
  return {};
}

Result<OwnedFd> open_input(std::string_view option, const std::string& file) {
  OwnedFd fd{file == "-" ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                         : ::open(file.c_str(), O_RDONLY | O_CLOEXEC)};
  struct stat info {};
  const bool is_open = fd.is_open() && ::fstat(fd.get(), &info) == 0;
  if (is_open && !S_ISDIR(info.st_mode))
    return fd;
  return tl::unexpected{
      system_error(fmt::format("{}: cannot read {}", option, printable(file)),
                   is_open ? EISDIR : errno)};
}

/// Nullopt if it is too long to be sent.
Result<std::optional<std::string>> read_input(const std::string& name) {
  const auto file = open_input("--stdin", name);
  if (!file)
    return tl::unexpected{file.error()};
  auto text = read_to_end(file->get(), most_stdin_text);
  if (!text && text.error().code == Errc::overloaded)
    return std::nullopt;
  if (!text)
    return tl::unexpected{
        std::move(text.error())
            .within(fmt::format("--stdin: {}", printable(name)))};
  return std::move(*text);
}

/// As for a workflow that cannot be read.
int bad_file(const Error& error) {
  complain(error.what);
  return exit_bad_file;
}

/// The whole body, or the exit code if something is wrong with it.
tl::expected<Json, int> body_of(const SubmitCommand& o,
                                const QueueContext& context) {
  const auto refused = [](const Error& error) {
    return tl::unexpected{usage_error("submit", error.what)};
  };
  std::vector<std::string> notes;
  const auto settings =
      o.job.body({context.folder, context.environment, context.now()}, notes);
  if (!settings)
    return refused(settings.error());
  for (const std::string& note : notes)
    complain(fmt::format("note: {}", note));
  Json body{{"request_id", o.job.request_id.empty() ? context.new_request_id()
                                                    : o.job.request_id}};
  body.update(*settings);
  if (o.job.standard_input.empty())
    return body;
  auto input = read_input(o.job.standard_input);
  if (!input)
    return tl::unexpected{bad_file(input.error())};
  if (const auto added = add_standard_input(body, o.job.standard_input,
                                            context.folder, std::move(*input));
      !added)
    return refused(added.error());
  return body;
}

/// `lines` are those of --each-line.
Result<SubmittedJob> submit_body(NodeCalls& calls, const Json& body,
                                 const SubmitCommand& o, OwnedFd lines) {
  if (!lines.is_open()) {
    auto answer = submit_whole(calls, body, o.block);
    if (!answer)
      return tl::unexpected{std::move(answer.error())};
    return SubmittedJob{std::move(*answer), o.job.tasks()};
  }
  fanout::RecordReader records{
      make_reader(lines.release(), std::make_shared<ReaderControl>()),
      o.job.null_separated
          ? fanout::RecordFormat{.separator = std::string{'\0'}}
          : fanout::RecordFormat{},
      o.job.each_line == "-" ? "standard input" : printable(o.job.each_line)};
  return submit_records(calls, body, records, o.block);
}

int refused_by_node(Error error, NodeCalls& calls) {
  if (error.code == Errc::overloaded) {
    const auto when = calls.client().retry_after();
    error.what +=
        fmt::format("; try again{}, or wait with --block",
                    when ? fmt::format(" in {}", format_duration(*when)) : "");
  }
  return node_failed(error);
}

void print_submitted(const SubmittedJob& job, const Json& body,
                     const SubmitCommand& o, const QueueContext& context) {
  const auto number = job.answer.value("job", std::uint64_t{0});
  const std::string done = fmt::format("job {} was accepted", number);
  if (o.node.json) {
    Json json = job.answer;
    json["tasks"] = job.tasks;
    json["request_id"] = body["request_id"];
    print_json(json, done);
    return;
  }
  const std::string line = describe_submitted(job.answer, job.tasks) + "\n";
  // With --follow standard output is for what the command writes.
  if (o.follow)
    (void)std::fputs(line.c_str(), stderr);
  else if (context.is_terminal)
    write_answer(line, done);
  else
    write_answer(fmt::format("{}\n", number), done);
}

int wait_for_end(NodeSession& session, std::uint64_t job, bool follow) {
  if (follow) {
    const auto printed = print_job_log(session, {job, {}}, {.follow = true});
    if (!printed)
      return node_failed(printed.error());
  }
  JobWait wait{{job}, false};
  if (const auto watched = watch_jobs(session.calls(), wait); !watched)
    return node_failed(watched.error());
  const auto status = exit_status_of(session.calls(), wait);
  return status ? *status : node_failed(status.error());
}

/// The body of submit_run, or the exit code if something is wrong with it.
tl::expected<Json, int> run_body_of(const SubmitCommand& o,
                                    const QueueContext& context) {
  std::vector<std::string> notes;
  const auto settings = o.job.run_body(
      {context.folder, context.environment, context.now()}, notes);
  if (!settings)
    return tl::unexpected{usage_error("submit", settings.error().what)};
  for (const std::string& note : notes)
    complain(fmt::format("note: {}", note));
  const auto workflow = read_workflow(o.job.workflow);
  if (workflow == nullptr)
    return tl::unexpected{exit_bad_file};
  workflow::PlanOptions plan{.only_job = o.job.only_job,
                             .surroundings = look_around()};
  if (settings->contains("inputs")) {
    for (const auto& [name, value] : (*settings)["inputs"].items())
      plan.inputs.emplace_back(name, value.get<std::string>());
  }
  if (const auto read = read_files(*workflow, o.job.workflow, plan); !read) {
    complain(
        fmt::format("{}: {}", printable(o.job.workflow), read.error().what));
    return tl::unexpected{exit_bad_file};
  }
  // So that a mistake is shown in its line.
  if (const auto made = workflow::Plan::make(workflow, plan); !made) {
    fmt::print(stderr, "{}\n", made.error().what);
    return tl::unexpected{exit_bad_file};
  }
  Json body{
      {"request_id",
       o.job.request_id.empty() ? context.new_request_id() : o.job.request_id},
      {"file", o.job.workflow == "-"
                   ? "-"
                   : to_utf8(absolute_path(o.job.workflow, context.folder))},
      {"text", std::string{workflow->source->text()}}};
  // By the paths that they have as seen from "file".
  for (const workflow::Workflow* const file : workflow::files_of(*workflow)) {
    if (file == workflow.get())
      continue;
    const std::string& name = file->source->name();
    body["files"]
        [o.job.workflow == "-" ? name : absolute_path(name, context.folder)] =
            std::string{file->source->text()};
  }
  body.update(*settings);
  for (const auto& [name, value] : plan.dotenv)
    body["dotenv"][to_utf8(name)] = to_utf8(value);
  for (const auto& [patterns, hash] : plan.file_hashes)
    body["file_hashes"].push_back({{"patterns", patterns}, {"hash", hash}});
  return body;
}

int submit_run(const QueueContext& context, const SubmitCommand& o) {
  const auto body = run_body_of(o, context);
  if (!body)
    return body.error();
  auto session = NodeSession::open(context, o.node);
  if (!session)
    return node_failed(session.error());
  const auto answer =
      session->calls().call(NodeMethod::post, node_target({"runs"}), *body);
  if (!answer) {
    const int code = node_failed(answer.error());
    return answer.error().code == Errc::unsupported ? exit_bad_file : code;
  }
  const auto run = number_from_json(*answer, "run");
  if (!run)
    return node_failed(run.error());
  const std::string done = fmt::format("run {} was accepted", run_text(*run));
  if (o.node.json) {
    Json json = *answer;
    json["request_id"] = (*body)["request_id"];
    print_json(json, done);
  } else if (context.is_terminal) {
    const auto jobs = answer->value("jobs", std::uint64_t{0});
    write_answer(
        fmt::format("run {}: {} ({} job{}, synced to disk)\n", run_text(*run),
                    answer->value("state", ""), jobs, jobs == 1 ? "" : "s"),
        done);
  } else {
    write_answer(run_text(*run) + "\n", done);
  }
  return o.wait ? wait_for_runs(session->calls(), {*run}, false, false)
                : exit_ok;
}

int submit(const QueueContext& context, const SubmitCommand& o) {
  const auto body = body_of(o, context);
  if (!body)
    return body.error();
  auto lines = o.job.each_line.empty()
                   ? Result<OwnedFd>{OwnedFd{}}
                   : open_input("--each-line", o.job.each_line);
  if (!lines)
    return bad_file(lines.error());
  auto session = NodeSession::open(context, o.node);
  if (!session)
    return node_failed(session.error());
  const auto submitted =
      submit_body(session->calls(), *body, o, std::move(*lines));
  if (!submitted)
    return refused_by_node(submitted.error(), session->calls());
  print_submitted(*submitted, *body, o, context);
  if (!o.wait && !o.follow)
    return exit_ok;
  const auto job = number_from_json(submitted->answer, "job");
  return job ? wait_for_end(*session, *job, o.follow)
             : node_failed(job.error());
}

}  // namespace

int submit_job(const QueueContext& context, std::vector<std::string> words) {
  SubmitCommand o;
  CLI::App app{
      "Gives a job to the queue of a running troupe node, which keeps it on "
      "disk until it\nhas run. A single word is text for the shell; several "
      "are executed as they are.\n\n"
      "  troupe submit --retries 3 -- curl -fO https://example.org/x\n"
      "  troupe submit --array 1-1000 -- ./simulate --seed {}\n"
      "  find . -name '*.png' | troupe submit --each-line - -- optipng {}\n"
      "  troupe submit -f etl.yaml --input date=2026-05-01",
      "troupe submit"};
  show_usage(app,
             "troupe submit [OPTIONS] [--] COMMAND [ARGUMENT...]\n"
             "       troupe submit [OPTIONS] -f FILE");
  add_options(app, o);
  if (const auto code = parse_with_command(app, std::move(words), o.job.words))
    return *code;
  const std::string wrong = contradiction(o.job);
  if (!wrong.empty())
    return usage_error("submit", wrong);
  if (o.job.workflow.empty())
    return submit(context, o);
  const std::string option = option_of_jobs(app);
  if (!option.empty())
    return usage_error(
        "submit", fmt::format("{} goes with a command, not with -f", option));
  return submit_run(context, o);
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): as all subcommands.
int run_submit(const Startup&, std::vector<std::string> words) {
  return submit_job(real_queue_context(), std::move(words));
}

}  // namespace troupe::cli
