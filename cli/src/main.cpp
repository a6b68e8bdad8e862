/// troupe: one subcommand per job, see subcommand.hpp. What needs actors is in
/// a program of its own, troupe-engine, which this one becomes for that: most
/// of the time of a short command would go into loading it.
#include "startup.hpp"
#include "subcommand.hpp"

#include <troupe/base/assert.hpp>
#include <troupe/base/suggest.hpp>
#include <troupe/base/text.hpp>
#include <troupe/process/companion.hpp>

#include <array>
#include <cstdio>
#include <fmt/format.h>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::cli {
namespace {

constexpr std::string_view engine_program = "troupe-engine";

struct Subcommand {
  std::string_view name;
  std::string_view summary;
  /// Null: troupe-engine does it.
  int (*run)(const Startup&, std::vector<std::string>);
};

int print_version(const Startup&, std::vector<std::string> words) {
  CLI::App app{"Prints the version.", "troupe version"};
  if (const auto code = parse(app, std::move(words)))
    return *code;
  fmt::print("troupe {}\n", TROUPE_VERSION);
  return exit_ok;
}

constexpr std::array subcommands{
    Subcommand{"exec", "Run one command with time-outs and retries", run_exec},
    Subcommand{"map", "Run a command for each argument, many at a time",
               nullptr},
    Subcommand{"run", "Run a workflow", nullptr},
    Subcommand{"up", "Run services until they are ended", nullptr},
    Subcommand{"ps", "Show the services that run", run_ps},
    Subcommand{"restart", "End services and start them again", run_restart},
    Subcommand{"stop", "End services", run_stop},
    Subcommand{"start", "Start services that are stopped", run_start},
    Subcommand{"scale", "Change how many copies of a service run", run_scale},
    Subcommand{"logs", "Print what services, jobs or runs have written",
               run_logs},
    Subcommand{"down", "End all services", run_down},
    Subcommand{"node", "Keep a queue of jobs and run them", nullptr},
    Subcommand{"config", "Check the configuration of the node", nullptr},
    Subcommand{"audit", "Check the record of who has changed what", nullptr},
    Subcommand{"cluster", "Say who belongs to a cluster", nullptr},
    Subcommand{"submit", "Give a job or a workflow to a node", run_submit},
    Subcommand{"list", "List the jobs or the runs of the queue", run_list},
    Subcommand{"status", "Tell all about jobs, tasks or runs", run_status},
    Subcommand{"wait", "Wait until jobs or runs have ended", run_wait},
    Subcommand{"cancel", "End jobs or runs and what waits of them", run_cancel},
    Subcommand{"retry", "Run again what has failed of jobs or runs", run_retry},
    Subcommand{"approve", "Say yes or no to a job that waits for it",
               run_approve},
    Subcommand{"why", "Tell why nothing of a job or run runs", run_why},
    Subcommand{"edit", "Change a job that waits", run_edit},
    Subcommand{"forget", "Forget jobs or runs that have ended", run_forget},
    Subcommand{"pause", "Start nothing more of jobs or groups", run_pause},
    Subcommand{"resume", "Go on with what is paused", run_resume},
    Subcommand{"group", "List and change groups of jobs", run_group},
    Subcommand{"triggers", "List what a node starts by itself", run_triggers},
    Subcommand{"stats", "Print counts and rates of a node", run_stats},
    Subcommand{"top", "Watch a node at work", run_top},
    Subcommand{"cached", "Run a command, or use what it made before",
               run_cached},
    Subcommand{"artifact", "Keep and fetch files that jobs hand on",
               run_artifact},
    Subcommand{"graph", "Print a workflow or a run for drawing", run_graph},
    Subcommand{"insights", "Tell what would make a workflow faster",
               run_insights},
    Subcommand{"lint", "Check workflow files", run_lint},
    Subcommand{"test", "Kill services and check what becomes of it", nullptr},
    Subcommand{"schema", "Print the schema of workflows", run_schema},
    Subcommand{"completion", "Print the completion script of a shell",
               run_completion},
    Subcommand{"version", "Print the version", print_version},
};

void print_help(std::FILE* out) {
  fmt::print(out,
             "troupe: supervision for shell commands\n\n"
             "  troupe exec --timeout 30s --retries 3 -- curl -f URL\n"
             "  troupe map -j 4 'gzip {{}}' ::: *.log\n"
             "  troupe run workflow.yaml\n"
             "  troupe up stack.yaml\n"
             "  troupe submit --retries 3 -- ./report\n\nCommands:\n");
  for (const Subcommand& command : subcommands)
    fmt::print(out, "  {:<12}{}\n", command.name, command.summary);
  fmt::print(out, "\n\"troupe COMMAND --help\" lists the options of each.\n");
}

int run(char** argv) {
  std::vector<std::string> words;
  for (char** word = argv + 1; argv[0] != nullptr && *word != nullptr; ++word)
    words.emplace_back(*word);
  if (words.empty()) {
    print_help(stderr);
    return exit_usage;
  }
  const std::string name = words.front();
  words.erase(words.begin());
  if (name == "--help" || name == "-h" || name == "help") {
    print_help(stdout);
    return exit_ok;
  }
  if (name == "--version" || name == "-V")
    return print_version({}, {});
  std::vector<std::string_view> names;
  for (const Subcommand& command : subcommands) {
    if (command.name != name) {
      names.push_back(command.name);
      continue;
    }
    if (command.run != nullptr)
      return command.run(prepare_process(), std::move(words));
    return troupe_failed(
        process::become_companion(engine_program, "TROUPE_ENGINE", argv));
  }
  const auto meant = suggest(name, names);
  return usage_error(
      fmt::format("unknown command \"{}\"{}", printable(name),
                  meant ? fmt::format("; did you mean \"{}\"?", *meant) : ""));
}

}  // namespace
}  // namespace troupe::cli

int main(int, char** argv) {
  troupe::exit_on_exception();
  return troupe::cli::after_writing_all(troupe::cli::run(argv));
}
