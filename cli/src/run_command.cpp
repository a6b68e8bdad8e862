/// troupe run: a workflow, from its file to its end.
#include "batch.hpp"
#include "run_actor.hpp"
#include "run_folder.hpp"
#include "run_preview.hpp"
#include "subcommand.hpp"
#include "terminal.hpp"
#include "workflow_file.hpp"

#include <troupe/base/suggest.hpp>
#include <troupe/base/text.hpp>
#include <troupe/fanout/job_slots.hpp>
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

struct RunOptions {
  std::string file;
  std::vector<std::string> inputs;
  std::string job;
  std::string jobs;
  std::string output;
  bool dry_run = false;
  bool json = false;
};

Result<workflow::PlanOptions> plan_options(const RunOptions& o) {
  workflow::PlanOptions options;
  options.only_job = o.job;
  for (const std::string& input : o.inputs) {
    const std::size_t equals = input.find('=');
    if (equals == std::string::npos || equals == 0)
      return failure(Errc::invalid_argument,
                     fmt::format("--input: expected NAME=VALUE, got \"{}\"",
                                 printable(input)));
    options.inputs.emplace_back(input.substr(0, equals),
                                input.substr(equals + 1));
  }
  const auto slots = fanout::parse_job_slots(
      o.jobs.empty() ? "100%" : o.jobs,
      std::max(1U, std::thread::hardware_concurrency()));
  if (!slots)
    return tl::unexpected{Error{slots.error()}.within("-j")};
  options.max_parallel = std::min(*slots, most_jobs_by_open_files());
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

RunSettings settings_of(const RunOptions& o, ShowOutput output) {
  RunSettings settings{.file = o.file, .output = output};
  const bool terminal = can_redraw(STDERR_FILENO);
  settings.display = o.json     ? Display::json
                     : terminal ? Display::table
                                : Display::lines;
  settings.colour = wants_colour();
  settings.shared_terminal =
      terminal && is_same_file(STDOUT_FILENO, STDERR_FILENO);
  return settings;
}

int exit_code_of(workflow::RunResult result, int by_signal) {
  if (result == workflow::RunResult::success)
    return exit_ok;
  return by_signal != 0 ? 128 + by_signal : exit_failed;
}

int execute(const Startup& startup, RunOrder order) {
  workflow::RunResult result = workflow::RunResult::failure;
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
  return end.exit_code.value_or(exit_code_of(result, end.by_signal));
}

void add_options(CLI::App& app, RunOptions& o) {
  app.add_option("FILE", o.file, "The workflow; - is standard input");
  app.add_option("--input", o.inputs, "Set ${{ inputs.NAME }}; repeatable")
      ->type_name("NAME=VALUE")
      ->expected(1)
      ->take_all();
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
  app.add_flag("--dry-run", o.dry_run, "Print the plan and start nothing");
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
    return usage_error("run: no file given");
  auto options = plan_options(o);
  if (!options)
    return usage_error(fmt::format("run: {}", options.error().what));
  const auto output = show_output(o);
  if (!output)
    return usage_error(fmt::format("run: {}", output.error().what));

  const auto workflow = read_workflow(o.file);
  if (!workflow)
    return exit_bad_file;
  if (workflow->services != nullptr) {
    complain(
        fmt::format("{0} has services, which run does not start yet; "
                    "troupe up {0} does, without the jobs",
                    printable(o.file)));
    return exit_bad_file;
  }
  if (o.dry_run) {
    options->run_id = "RUN_ID";
    const auto plan = workflow::Plan::make(workflow, *options);
    if (!plan) {
      fmt::print(stderr, "{}\n", plan.error().what);
      return exit_bad_file;
    }
    fmt::print("{}", describe_plan(*plan, *options));
    return exit_ok;
  }
  // Checked before anything is left on disk.
  if (const auto plan = workflow::Plan::make(workflow, *options); !plan) {
    fmt::print(stderr, "{}\n", plan.error().what);
    return exit_bad_file;
  }
  std::vector<std::string> notes;
  auto folder = RunFolder::make(notes);
  for (const std::string& note : notes)
    complain(note);
  if (!folder) {
    complain(folder.error().what);
    return exit_troupe_failed;
  }
  options->run_id = (*folder)->id();
  auto plan = workflow::Plan::make(workflow, *options);
  if (!plan) {
    fmt::print(stderr, "{}\n", plan.error().what);
    return exit_bad_file;
  }
  return execute(startup,
                 {.plan = std::make_unique<workflow::Plan>(std::move(*plan)),
                  .folder = std::move(*folder),
                  .settings = settings_of(o, *output)});
}

}  // namespace troupe::cli
