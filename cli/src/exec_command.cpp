/// troupe exec: one command, run as if troupe were not there, but with
/// time-outs, retries and the certainty that nothing of it survives.
#include "command_options.hpp"
#include "outcome_json.hpp"
#include "printer_actor.hpp"
#include "subcommand.hpp"
#include "terminal.hpp"

#include <troupe/actors/messages.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/node/engine.hpp>
#include <troupe/node/signal_watcher.hpp>

#include <boost/asio/post.hpp>
#include <nlohmann/json.hpp>

#include <cerrno>
#include <cstdlib>
#include <fmt/format.h>
#include <memory>
#include <sys/resource.h>
#include <unistd.h>
#include <utility>

namespace troupe::cli {
namespace {

using actors::Actor;
using actors::ActorRef;
using actors::Behavior;
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
  for (const auto& incident : outcome.incidents)
    complain(fmt::format("note: {}", incident.what));
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

/// The owner of the one command.
class ExecActor {
 public:
  struct Deps {
    node::Engine& engine;
    const ExecOptions& options;
    std::uint32_t attempts;  ///< At most.
    std::shared_ptr<const Outcome>& outcome;
  };

  ExecActor(Actor* self, Deps deps) : self_{self}, deps_{deps} {}

  Behavior make_behavior() {
    return {
        [](const actors::CommandStarted&) {},
        [this](const actors::AttemptFinished& m) { report(*m.attempt); },
        [this](const actors::CommandFinished& m) {
          deps_.outcome = m.outcome;
          deps_.engine.stop();
          actors::quit(self_);
        },
    };
  }

 private:
  void report(const actors::Attempt& attempt) const {
    const bool last = attempt.number >= deps_.attempts ||
                      attempt.kind == OutcomeKind::success ||
                      attempt.kind == OutcomeKind::cancelled || !attempt.report;
    if (!last && !deps_.options.quiet)
      complain(fmt::format("attempt {} of {}: {}", attempt.number,
                           deps_.attempts, actors::describe(attempt.causes)));
  }

  Actor* self_;
  Deps deps_;
};

/// With --json the object alone is on standard output.
class JsonModeSinks : public actors::OutputSinks {
 public:
  explicit JsonModeSinks(ActorRef printer)
      : sink_{std::make_shared<PrinterSink>(std::move(printer), STDERR_FILENO,
                                            STDERR_FILENO)} {}
  std::shared_ptr<process::OutputSink> for_attempt(std::uint32_t) override {
    return sink_;
  }

 private:
  std::shared_ptr<PrinterSink> sink_;
};

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
  node::SignalWatcher signals{SIGINT, SIGQUIT, SIGTERM,
                              SIGHUP, SIGUSR1, SIGUSR2};
  auto started = node::Engine::start({.signal_mask = startup.signal_mask,
                                      .inherit_descriptors = true,
                                      .foreground = foreground,
                                      .crashes = crashes_for_test()});
  if (!started) {
    complain(started.error().what);
    return exit_troupe_failed;
  }
  node::Engine& engine = **started;

  std::shared_ptr<const Outcome> outcome;
  CommandId command;
  const auto tell = [&](int signal) {
    actors::send(engine.commands(), actors::SignalCommand{command, signal});
  };
  // Before the signal: the other way round the command could end by it before
  // it counts as cancelled, or begin in between and never get it.
  const auto cancel = [&] {
    actors::send(engine.commands(),
                 actors::CancelCommand{command, std::nullopt});
  };
  // What the command's own write would have caused, were the pipe its own.
  const auto on_no_reader = [&] {
    cancel();
    tell(SIGPIPE);
  };
  ActorRef printer;
  std::shared_ptr<JsonModeSinks> sinks;
  if (options.json) {
    printer = spawn_printer(engine.system(), [&](int, int) {
      boost::asio::post(engine.io(), on_no_reader);
    });
    sinks = std::make_shared<JsonModeSinks>(printer);
  }
  auto owner = actors::spawn<ExecActor>(
      engine.system(), ExecActor::Deps{engine, options, attempts, outcome});
  const auto id = engine.submit(
      std::make_shared<const actors::CommandRequest>(std::move(request)), sinks,
      owner);
  if (!id) {
    complain(id.error().what);
    return exit_troupe_failed;
  }
  command = *id;

  int told_to_end = 0;
  signals.watch(engine.io(), [&](const signalfd_siginfo& info) {
    const int signal = static_cast<int>(info.ssi_signo);
    // The terminal has sent it to the command as well; but a hang-up goes to
    // the leader of the session alone, and that may be us.
    const bool from_terminal =
        foreground && info.ssi_code == SI_KERNEL && signal != SIGHUP;
    if (signal != SIGUSR1 && signal != SIGUSR2) {
      cancel();
      told_to_end = signal;
    }
    if (!from_terminal)
      tell(signal);
  });
  engine.run();
  signals.stop();

  owner = nullptr;
  if (printer) {
    sinks = nullptr;
    actors::stop(printer);
    printer = nullptr;
  }
  if (auto ended = engine.shutdown(); !ended)
    complain(ended.error().what);
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
    return usage_error("exec: no command given");

  auto request = request_from(options);
  if (!request)
    return usage_error(fmt::format("exec: {}", request.error().what));
  return execute(startup, options, std::move(*request));
}

}  // namespace troupe::cli
