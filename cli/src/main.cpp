/// troupe: one program, one subcommand per job. See subcommand.hpp.
#include "deliver_notice.hpp"
#include "run_services_command.hpp"
#include "subcommand.hpp"
#include "with_secrets.hpp"

#include <troupe/base/assert.hpp>
#include <troupe/base/suggest.hpp>
#include <troupe/base/text.hpp>
#include <troupe/node/run_services.hpp>
#include <troupe/node/step_secrets.hpp>
#include <troupe/workflow/notify.hpp>

#include <array>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <string>
#include <vector>

namespace troupe::cli {
namespace {

struct Subcommand {
  std::string_view name;
  std::string_view summary;
  int (*run)(const Startup&, std::vector<std::string>);
};

// NOLINTNEXTLINE(performance-unnecessary-value-param): as all subcommands.
int print_version(const Startup&, std::vector<std::string>) {
  fmt::print("troupe {}\n", TROUPE_VERSION);
  return exit_ok;
}

constexpr std::array subcommands{
    Subcommand{"exec", "Run one command with time-outs and retries", run_exec},
    Subcommand{"map", "Run a command for each argument, many at a time",
               run_map},
    Subcommand{"run", "Run a workflow", run_workflow},
    Subcommand{"up", "Run services until they are ended", run_up},
    Subcommand{"ps", "Show the services that run", run_ps},
    Subcommand{"restart", "End services and start them again", run_restart},
    Subcommand{"stop", "End services", run_stop},
    Subcommand{"start", "Start services that are stopped", run_start},
    Subcommand{"scale", "Change how many copies of a service run", run_scale},
    Subcommand{"logs", "Print what services, jobs or runs have written",
               run_logs},
    Subcommand{"down", "End all services", run_down},
    Subcommand{"node", "Keep a queue of jobs and run them", run_node},
    Subcommand{"config", "Check the configuration of the node", run_config},
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
    Subcommand{"test", "Kill services and check what becomes of it", run_test},
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

/// A standard stream that is closed would become the number of whatever we
/// open next. It gets a descriptor that refuses to be used in its direction, as
/// a closed one does.
void fill_closed_streams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) < 0)
      ::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

Startup prepare_process() {
  fill_closed_streams();
  Startup startup;
  // A reader that went away and a file that may not grow are errors of a write,
  // not the end of us. Blocked instead of ignored, because ignored signals stay
  // so in every command.
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGPIPE);
  sigaddset(&blocked, SIGXFSZ);
  ::pthread_sigmask(SIG_BLOCK, &blocked, &startup.signal_mask);
  return startup;
}

int run(std::vector<std::string> words) {
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
  const Startup startup = prepare_process();
  if (name == "--version" || name == "-V")
    return print_version(startup, {});
  // For our own runs and nodes, and not for people.
  if (name == workflow::deliver_command)
    return deliver_notice(startup, std::move(words));
  if (name == node::run_services_command)
    return run_services_of_run(startup, std::move(words));
  if (name == node::with_secrets_command)
    return with_secrets(startup, std::move(words));
  std::vector<std::string_view> names;
  for (const Subcommand& command : subcommands) {
    if (command.name == name)
      return command.run(startup, std::move(words));
    names.push_back(command.name);
  }
  const auto meant = suggest(name, names);
  return usage_error(
      fmt::format("unknown command \"{}\"{}", printable(name),
                  meant ? fmt::format("; did you mean \"{}\"?", *meant) : ""));
}

/// `code`, unless something that was printed has not arrived. Nobody who closed
/// a pipe early wants to hear of it.
int after_writing_all(int code) {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0)
    return code;
  if (errno == EPIPE)
    return 128 + SIGPIPE;
  complain(system_error("cannot write to standard output", errno).what);
  return exit_troupe_failed;
}

}  // namespace
}  // namespace troupe::cli

int main(int argc, char** argv) {
  troupe::exit_on_exception();
  return troupe::cli::after_writing_all(
      troupe::cli::run({argv + 1, argv + argc}));
}
