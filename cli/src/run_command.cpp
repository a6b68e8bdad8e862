/// troupe run: a workflow, from its file to its end.
#include "assignment.hpp"
#include "batch.hpp"
#include "content_folder.hpp"
#include "past_runs.hpp"
#include "run_actor.hpp"
#include "run_folder.hpp"
#include "run_place.hpp"
#include "run_preview.hpp"
#include "run_secrets.hpp"
#include "run_values.hpp"
#include "state_folder.hpp"
#include "subcommand.hpp"
#include "terminal.hpp"
#include "workflow_file.hpp"

#include <troupe/base/suggest.hpp>
#include <troupe/base/text.hpp>
#include <troupe/fanout/job_slots.hpp>
#include <troupe/node/approvers.hpp>
#include <troupe/node/machine.hpp>
#include <troupe/node/step_secrets.hpp>
#include <troupe/workflow/history.hpp>
#include <troupe/workflow/plan.hpp>

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <memory>
#include <thread>
#include <unistd.h>
#include <utility>

namespace troupe::cli {
namespace {

constexpr Duration place_interval = 100ms;

struct RunOptions {
  std::string file;
  std::vector<std::string> inputs;
  std::string job;
  std::string jobs;
  std::string resources;
  std::string output;
  std::vector<std::string> approve;
  bool approve_all = false;
  bool dry_run = false;
  bool no_cache = false;
  bool json = false;
};

Result<workflow::PlanOptions> plan_options(const RunOptions& o) {
  workflow::PlanOptions options;
  options.only_job = o.job;
  for (const std::string& input : o.inputs) {
    auto assignment = parse_assignment("--input", input);
    if (!assignment)
      return tl::unexpected{std::move(assignment.error())};
    options.inputs.push_back(std::move(*assignment));
  }
  const auto slots = fanout::parse_job_slots(
      o.jobs.empty() ? "100%" : o.jobs,
      std::max(1U, std::thread::hardware_concurrency()));
  if (!slots)
    return tl::unexpected{Error{slots.error()}.within("-j")};
  options.max_parallel = std::min(*slots, most_jobs_by_open_files());
  const auto resources = flow_control::Resources::parse(o.resources);
  if (!resources)
    return tl::unexpected{Error{resources.error()}.within("--resources")};
  options.capacity = node::with_those_of_machine(*resources);
  options.surroundings = look_around();
  options.actor = node::user_name(::geteuid());
  return options;
}

Result<ShowOutput> show_output(const RunOptions& o) {
  constexpr std::array<std::pair<std::string_view, ShowOutput>, 3> known{
      {{"none", ShowOutput::none},
       {"failed", ShowOutput::failed},
       {"all", ShowOutput::all}}};
  if (o.output.empty())
    return o.json ? ShowOutput::none : ShowOutput::all;
  for (const auto& [name, value] : known) {
    if (name != o.output)
      continue;
    if (o.json && value != ShowOutput::none)
      return failure(Errc::invalid_argument,
                     "--json and --output exclude each other: standard output "
                     "is for one of them");
    return value;
  }
  const auto meant =
      suggest(o.output, std::vector<std::string_view>{"none", "failed", "all"});
  return failure(
      Errc::invalid_argument,
      fmt::format("--output: expected none, failed or all, got \"{}\"{}",
                  printable(o.output),
                  meant ? fmt::format("; did you mean \"{}\"?", *meant) : ""));
}

/// Adds what `text`, JOB or JOB:NAME=VALUE, says to the approval of a job.
Result<void> add_approval(const workflow::Workflow& workflow,
                          const std::string& text, RunSettings& settings) {
  const std::size_t colon = text.find(':');
  const std::string job = text.substr(0, colon);
  std::vector<std::string_view> names;
  for (const workflow::Job& one : workflow.jobs) {
    if (one.approval != nullptr)
      names.push_back(one.id);
  }
  if (std::find(names.begin(), names.end(), job) == names.end()) {
    const auto meant = suggest(job, names);
    return failure(
        Errc::invalid_argument,
        fmt::format(
            "--approve: no job \"{}\" needs approval{}", printable(job),
            meant ? fmt::format("; did you mean \"{}\"?", *meant) : ""));
  }
  auto& inputs = settings.approvals[job];
  if (colon == std::string::npos)
    return {};
  const std::size_t equals = text.find('=', colon);
  if (equals == std::string::npos || equals == colon + 1)
    return failure(Errc::invalid_argument,
                   fmt::format("--approve: expected JOB or JOB:NAME=VALUE, got "
                               "\"{}\"",
                               printable(text)));
  inputs.emplace_back(text.substr(colon + 1, equals - colon - 1),
                      text.substr(equals + 1));
  return {};
}

/// What was said to the approvals of `workflow`, and whether people can be
/// asked for the others.
Result<void> add_approvals(const workflow::Workflow& workflow,
                           const RunOptions& o, RunSettings& settings) {
  for (const std::string& text : o.approve) {
    if (auto added = add_approval(workflow, text, settings); !added)
      return added;
  }
  settings.approve_all = o.approve_all;
  settings.surroundings = look_around();
  settings.can_ask =
      !o.json && ::isatty(STDIN_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1;
  return {};
}

RunSettings settings_of(const RunOptions& o, ShowOutput output,
                        std::size_t max_parallel) {
  RunSettings settings{.file = o.file,
                       .path = recorded_path(o.file),
                       .max_parallel = max_parallel,
                       .output = output};
  const bool terminal = can_redraw(STDERR_FILENO);
  settings.display = o.json     ? Display::json
                     : terminal ? Display::table
                                : Display::lines;
  settings.colour = wants_colour();
  settings.shared_terminal =
      terminal && is_same_file(STDOUT_FILENO, STDERR_FILENO);
  return settings;
}

/// What a called file takes is not counted, so it is not let in.
Result<void> check_resources(const workflow::Workflow& workflow) {
  for (const workflow::Workflow* const file : workflow::files_of(workflow)) {
    if (file == &workflow)
      continue;
    for (const workflow::Job& job : file->jobs) {
      if (!job.resources.empty())
        return failure(
            Errc::unsupported,
            fmt::format("job {} of {}: \"resources\" of a file that is called "
                        "are for a node; troupe submit -f runs it",
                        printable(job.id), printable(file->name)));
    }
  }
  return {};
}

/// Waits until the `concurrency` of the workflow lets the run in, and takes
/// `place`. If it does not, the exit status. A signal meanwhile ends troupe.
std::optional<int> enter_group(const workflow::Workflow& workflow,
                               const workflow::PlanOptions& options,
                               std::optional<RunPlace>& place) {
  using Answer = RunPlace::Answer;
  if (!workflow.concurrency)
    return std::nullopt;
  const auto group = workflow::workflow_group(workflow, options);
  if (!group) {
    complain(group.error().what);
    return exit_bad_file;
  }
  const std::string name = fmt::format("concurrency group \"{}\"",
                                       ellipsize(printable(**group), 60));
  std::vector<std::string> notes;
  const auto home = state_home(notes);
  auto opened = home ? RunPlace::open(*home + "/troupe/concurrency", **group)
                     : tl::unexpected{home.error()};
  if (!opened) {
    complain(opened.error().what);
    return exit_troupe_failed;
  }
  place.emplace(std::move(*opened));
  for (bool has_said = false;; std::this_thread::sleep_for(place_interval)) {
    const auto answer = place->ask(workflow.concurrency->limits);
    if (!answer) {
      complain(answer.error().what);
      return exit_troupe_failed;
    }
    switch (*answer) {
      case Answer::enter:
        return std::nullopt;
      case Answer::wait:
        if (!std::exchange(has_said, true))
          complain(fmt::format("waits for {}, which process {} is in", name,
                               place->holder()));
        break;
      case Answer::skip:
        complain(
            fmt::format("skipped: process {} is in {}", place->holder(), name));
        return exit_ok;
      case Answer::fail:
        complain(fmt::format("process {} is in {}", place->holder(), name));
        return exit_failed;
      case Answer::queue_full:
        complain(fmt::format("{} has no room for one more: {} wait", name,
                             workflow.concurrency->limits.queue));
        return exit_failed;
    }
  }
}

/// Of node::secrets_variable; empty if there are none.
std::string secrets_text(const std::vector<std::string>& secrets) {
  std::vector<node::StepSecret> all;
  for (const std::string& secret : secrets)
    all.push_back({.placeholder = {},
                   .secret = {},
                   .workflow_path = {},
                   .variable = {},
                   .value = secret});
  return all.empty() ? std::string{} : node::encode(all);
}

int exit_code_of_run(workflow::RunResult result, int by_signal) {
  if (result == workflow::RunResult::success)
    return exit_ok;
  return by_signal != 0 ? 128 + by_signal : exit_failed;
}

int execute(const Startup& startup, RunOrder order) {
  workflow::RunResult result = workflow::RunResult::failure;
  // It outlives the engine.
  const auto services = order.services;
  const auto start_run = [&](node::Engine& engine, actors::ActorRef printer,
                             const std::function<void()>& on_end) {
    return spawn_run(engine, std::move(order), std::move(printer),
                     [&, on_end](workflow::RunResult how) {
                       result = how;
                       on_end();
                     });
  };
  const BatchEnd end = run_batch(startup, fanout::most_job_slots, start_run);
  if (end.output_lost)
    return exit_troupe_failed;
  return end.exit_code.value_or(exit_code_of_run(result, end.by_signal));
}

void add_options(CLI::App& app, RunOptions& o) {
  app.add_option("FILE", o.file, "The workflow; - is standard input");
  repeated(
      app.add_option("--input", o.inputs, "Set ${{ inputs.NAME }}; repeatable")
          ->type_name("NAME=VALUE"));
  app.add_option("--job", o.job, "Run only this job and what it needs")
      ->type_name("JOB");
  app.add_option("-j,--jobs", o.jobs,
                 "Jobs at the same time: a number, 50%, +2 or -1; default "
                 "100% of the processors")
      ->type_name("N");
  app.add_option("--output", o.output,
                 "Whose output to print, once they have ended: none, failed "
                 "or all steps; default all")
      ->type_name("WHICH");
  repeated(app.add_option("--approve", o.approve,
                          "Say yes to the approval of a job, with its inputs; "
                          "repeatable")
               ->type_name("JOB[:NAME=VALUE]"));
  app.add_option("--resources", o.resources,
                 "What jobs with \"resources\" can take together: "
                 "gpu=1,mem=8GiB")
      ->type_name("NAME=AMOUNT,...");
  app.add_flag("--approve-all", o.approve_all,
               "Say yes to the approvals of all jobs");
  app.add_flag("--dry-run", o.dry_run, "Print the plan and start nothing");
  app.add_flag("--no-cache", o.no_cache,
               "Run each step, also those that have a \"cache\"");
  app.add_flag("--json", o.json,
               "Print events as JSON, one per line, and nothing else");
}

}  // namespace

int run_workflow(const Startup& startup, std::vector<std::string> words) {
  RunOptions o;
  CLI::App app{
      "Runs the jobs of a workflow, each as soon as those that it needs have "
      "succeeded.\nExits with 0 if the run succeeded, 1 if not, 3 for a bad "
      "file, and 128+n if a\nsignal ended it.\n\n"
      "  troupe run etl.yaml --input date=2024-05-01\n\n"
      "Ctrl-C lets running jobs finish; a second one ends them.",
      "troupe run"};
  add_options(app, o);
  if (const auto code = parse(app, std::move(words)))
    return *code;
  if (o.file.empty())
    return usage_error("run", "no file given");
  auto options = plan_options(o);
  if (!options)
    return usage_error("run", options.error().what);
  const auto output = show_output(o);
  if (!output)
    return usage_error("run", output.error().what);

  const auto workflow = read_workflow(o.file);
  if (!workflow)
    return exit_bad_file;
  if (workflow->jobs.empty()) {
    complain(fmt::format("{0} has no jobs; troupe up {0} runs its services",
                         printable(o.file)));
    return exit_bad_file;
  }
  if (const auto fit = check_resources(*workflow); !fit) {
    complain(fit.error().what);
    return exit_bad_file;
  }
  if (const auto read = read_files(*workflow, o.file, *options); !read) {
    complain(fmt::format("{}: {}", printable(o.file), read.error().what));
    return exit_bad_file;
  }
  options->estimate = workflow::learn(past_runs(recorded_path(o.file),
                                                workflow::most_durations))
                          .function();
  RunSettings settings = settings_of(o, *output, options->max_parallel);
  if (const auto added = add_approvals(*workflow, o, settings); !added)
    return usage_error("run", added.error().what);
  if (o.dry_run) {
    options->run_id = "RUN_ID";
    const auto plan = workflow::Plan::make(workflow, *options);
    if (!plan) {
      fmt::print(stderr, "{}\n", plan.error().what);
      return exit_bad_file;
    }
    write_out(describe_plan(*plan, *options));
    return exit_ok;
  }
  // Checked before anything is left on disk.
  const auto draft = workflow::Plan::make(workflow, *options);
  if (!draft) {
    fmt::print(stderr, "{}\n", draft.error().what);
    return exit_bad_file;
  }
  if (const auto read = read_secrets(*workflow, o.file, *options); !read) {
    fmt::print(stderr, "{}\n", read.error().what);
    return exit_bad_file;
  }
  std::optional<RunPlace> place;
  if (const auto refused = enter_group(*workflow, *options, place))
    return *refused;
  std::vector<std::string> notes;
  auto folder = RunFolder::make(notes);
  for (const std::string& note : std::exchange(notes, {}))
    complain(note);
  if (!folder) {
    complain(folder.error().what);
    return exit_troupe_failed;
  }
  options->run_id = (*folder)->id();
  auto services =
      RunServices::make(*workflow, draft->services(), *options, notes);
  for (const std::string& note : notes)
    complain(note);
  if (!services) {
    complain(fmt::format("{}: {}", printable(o.file), services.error().what));
    return exit_bad_file;
  }
  if (*services != nullptr) {
    if (const auto ready = (*services)->prepare((*folder)->path()); !ready) {
      complain(ready.error().what);
      return exit_troupe_failed;
    }
  }
  auto plan = workflow::Plan::make(workflow, *options);
  if (!plan) {
    fmt::print(stderr, "{}\n", plan.error().what);
    return exit_bad_file;
  }
  if (!workflow->notify.empty()) {
    settings.failed_before =
        (*folder)->failed_before(to_utf8(workflow->name), to_utf8(o.file));
  }
  std::vector<std::string> secrets;
  for (const auto& [name, value] : options->secrets)
    secrets.push_back(value);
  for (const auto& [file, values] : options->included) {
    for (const auto& [name, value] : values.secrets)
      secrets.push_back(value);
  }
  const int exit_code = execute(
      startup, {.plan = std::make_unique<workflow::Plan>(std::move(*plan)),
                .folder = std::move(*folder),
                .mask = std::make_shared<const workflow::SecretMask>(secrets),
                .content = {.program = own_program(),
                            .folder = default_content_folder(),
                            .run = options->run_id,
                            .is_fresh = o.no_cache},
                .cached_secrets = secrets_text(secrets),
                .settings = std::move(settings),
                .services = std::move(*services)});
  delete_past_runs(recorded_path(o.file), workflow->retention);
  return exit_code;
}

}  // namespace troupe::cli
