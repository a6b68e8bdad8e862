/// troupe exec: one command, run as if troupe were not there, but with
/// time-outs, retries and the certainty that nothing of it survives.
#include "command_options.hpp"
#include "lone_command.hpp"
#include "outcome_json.hpp"
#include "stream_sink.hpp"
#include "subcommand.hpp"
#include "terminal.hpp"

#include <troupe/actors/outcome.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/process/signal_watcher.hpp>
#include <troupe/process/warden_runner.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <nlohmann/json.hpp>

#include <cerrno>
#include <cstdlib>
#include <fmt/format.h>
#include <memory>
#include <optional>
#include <random>
#include <sys/resource.h>
#include <unistd.h>
#include <utility>

namespace troupe::cli {
namespace {

using actors::Outcome;
using actors::OutcomeKind;

struct ExecOptions {
  CommandOptions command;
  bool json = false;
  bool quiet = false;
  std::vector<std::string> argv;
};

/// Tells the user what troupe did: what the command itself said is above.
void explain(const Outcome& outcome) {
  if (outcome.attempts.empty()) {
    complain(actors::describe(outcome.causes));
    return;
  }
  const actors::Attempt& last = outcome.attempts.back();
  for (const std::string& note : last.notes)
    complain(fmt::format("note: {}", note));
  const bool plain_failure = outcome.kind == OutcomeKind::failed &&
                             last.report.has_value() &&
                             outcome.attempts.size() == 1;
  const bool by_user = outcome.kind == OutcomeKind::cancelled;
  if (outcome.kind != OutcomeKind::success && !plain_failure && !by_user)
    complain(actors::describe(outcome.causes));
}

/// Tells of an attempt that is not the last one.
void report(const actors::Attempt& attempt, std::uint32_t attempts) {
  const bool last = attempt.number >= attempts ||
                    attempt.kind == OutcomeKind::success ||
                    attempt.kind == OutcomeKind::cancelled || !attempt.report;
  if (!last)
    complain(fmt::format("attempt {} of {}: {}", attempt.number, attempts,
                         actors::describe(attempt.causes)));
}

Result<actors::CommandRequest> request_from(const ExecOptions& options) {
  auto request = options.command.resolve();
  if (!request)
    return request;
  process::CommandSpec& spec = request->spec;
  if (options.command.shell.empty()) {
    spec.argv = options.argv;
  } else {
    std::string script;
    for (const std::string& word : options.argv)
      script += (script.empty() ? "" : " ") + word;
    spec.argv = {options.command.shell, "-c", script};
  }
  const auto output =
      options.json ? process::Output::capture : process::Output::inherit;
  spec.standard_input = process::StdinInherit{};
  spec.standard_output = output;
  spec.standard_error = output;
  // A terminal knows process groups: where there is one, the command stays in
  // ours, also if a shell brings it to the foreground only later.
  spec.foreground = has_controlling_terminal();
  return request;
}

/// Ends us as the command was ended, so that a calling shell can tell a Ctrl-C
/// from a failure and stop its loop or script.
[[noreturn]] void die_by(int signal) {
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  sigset_t unblocked;
  sigemptyset(&unblocked);
  sigaddset(&unblocked, signal);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
  ::pthread_sigmask(SIG_UNBLOCK, &unblocked, nullptr);
  std::_Exit(128 + signal);
}

/// Whether it was cancelled when there was no process that could have decided
/// how to end.
bool ended_between_attempts(const Outcome& outcome) {
  return outcome.kind == OutcomeKind::cancelled &&
         (outcome.attempts.empty() ||
          outcome.attempts.back().kind != OutcomeKind::cancelled);
}

/// Zero, or the errno of the write that failed.
int print(const std::string& text) {
  errno = 0;
  const bool written =
      std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0;
  if (written)
    return 0;
  std::clearerr(stdout);  // Said once is enough.
  return errno;
}

int execute(const Startup& startup, const ExecOptions& options,
            actors::CommandRequest request) {
  const std::uint32_t attempts = request.retry.attempts;
  const bool foreground = request.spec.foreground;
  process::SignalWatcher signals{SIGINT, SIGQUIT, SIGTERM,
                                 SIGHUP, SIGUSR1, SIGUSR2};
  boost::asio::io_context io{1};
  const auto runner =
      process::WardenRunner::create(io, {.lanes = 1,
                                         .signal_mask = startup.signal_mask,
                                         .inherit_descriptors = true,
                                         .in_our_group = foreground});
  if (!runner)
    return troupe_failed(runner.error());

  std::optional<LoneCommand> command;
  // Cancelled first: the other way round it could end by the signal before it
  // counts as cancelled, or begin in between and never get it.
  const auto end_by = [&](int signal) {
    command->cancel();
    command->tell(signal);
  };
  std::shared_ptr<StreamSink> sink;
  if (options.json) {
    // With --json the object alone is on standard output. And if nobody reads,
    // then what the command's own write would have caused.
    sink = std::make_shared<StreamSink>(io, STDERR_FILENO, [&] {
      boost::asio::post(io, [&] { end_by(SIGPIPE); });
    });
  }
  std::optional<Outcome> outcome;
  command.emplace(LoneCommand::Deps{
      .io = io,
      .runner = **runner,
      .request =
          std::make_shared<const actors::CommandRequest>(std::move(request)),
      .sink = sink,
      .seed = std::random_device{}(),
      .on_attempt_ended =
          [&](const actors::Attempt& attempt) {
            if (!options.quiet)
              report(attempt, attempts);
          },
      .on_finished =
          [&](Outcome how) {
            outcome = std::move(how);
            if (sink)
              sink->when_written([&] { io.stop(); });
            else
              io.stop();
          }});

  int told_to_end = 0;
  signals.watch(io, [&](const signalfd_siginfo& info) {
    const int signal = static_cast<int>(info.ssi_signo);
    // The terminal has sent it to the command as well; but a hang-up goes to
    // the leader of the session alone, and that may be us.
    const bool from_terminal =
        foreground && info.ssi_code == SI_KERNEL && signal != SIGHUP;
    const bool ends = signal != SIGUSR1 && signal != SIGUSR2;
    if (ends) {
      command->cancel();
      told_to_end = signal;
    }
    if (!from_terminal)
      command->tell(signal);
    if (ends && outcome)
      io.stop();  // It has ended, and nobody reads what it has written.
  });
  command->start();
  io.run();
  signals.stop();
  constexpr Duration closing_time = 10s;
  (*runner)->close(closing_time);

  if (!options.json && !options.quiet)
    explain(*outcome);
  const int error = options.json ? print(to_json(*outcome).dump(2) + '\n') : 0;
  if (error != 0) {
    complain(system_error("cannot write to standard output", error).what);
    return exit_troupe_failed;
  }
  const bool interrupted =
      told_to_end == SIGINT && outcome->exit_status == 128 + SIGINT;
  if (interrupted || (told_to_end != 0 && ended_between_attempts(*outcome)))
    die_by(told_to_end);
  return outcome->exit_status;
}

}  // namespace

int run_exec(const Startup& startup, std::vector<std::string> words) {
  ExecOptions options;
  CLI::App app{
      "Runs one command, with its own standard streams, and exits with "
      "its exit code:\n128+n for a signal, 124 timed out, 125 troupe "
      "failed, 126 not executable, 127 not found.",
      "troupe exec"};
  show_usage(app, "troupe exec [OPTIONS] [--] COMMAND [ARGUMENT...]");
  options.command.add_to(app, "--delay,--retry-delay");
  app.add_flag("--shell{/bin/sh}", options.command.shell,
               "Run the words, joined by spaces, by a shell; --shell=PROGRAM "
               "picks it");
  app.add_flag("--json", options.json,
               "Print the outcome as JSON; the command's output goes to "
               "standard error");
  app.add_flag("-q,--quiet", options.quiet,
               "Say nothing about time-outs, retries and leftovers");
  if (const auto code = parse_with_command(app, std::move(words), options.argv))
    return *code;
  if (options.argv.empty())
    return usage_error("exec", "no command given");

  auto request = request_from(options);
  if (!request)
    return usage_error("exec", request.error().what);
  return execute(startup, options, std::move(*request));
}

}  // namespace troupe::cli
