/// troupe run-services: the services of a durable run.
#include "run_services_command.hpp"

#include "batch.hpp"
#include "printer_actor.hpp"
#include "queue_context.hpp"
#include "run_services.hpp"
#include "services_reporter_actor.hpp"

#include <troupe/base/text.hpp>
#include <troupe/fanout/job_slots.hpp>
#include <troupe/node/run_services.hpp>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fcntl.h>
#include <fmt/format.h>
#include <optional>
#include <sys/file.h>
#include <unistd.h>
#include <utility>
#include <variant>

namespace troupe::cli {
namespace {

/// For what is still to be told when the services have given up.
constexpr Duration longest_farewell = 30s;
constexpr Duration longest_wait_for_node = 1h;

/// What the actor needs.
struct HostDeps {
  node::Engine& engine;  ///< Outlives it, as the next.
  RunServices& services;
  actors::ActorRef printer;
  std::unique_ptr<NodeClient> client;
  std::string target;
  node::RunServicesTold who;
  /// Once, on any thread, when all has ended and been told.
  std::function<void(StackEnd)> on_end;
};

/// Passes on what happens in the services, and what the user wants of them.
class ServicesHostActor {
 public:
  ServicesHostActor(actors::Actor* self, const std::shared_ptr<HostDeps>& deps)
      : self_{self},
        services_{deps->services},
        printer_{deps->printer},
        on_end_{std::move(deps->on_end)},
        core_{services_.root()},
        reporter_{spawn_services_reporter(
            self->system(), std::move(deps->client), std::move(deps->target),
            ServiceReports{std::move(deps->who)}, actors::ref_of(self))} {
    send(self_, reporter_, ReportChanges{});
    services_.start(deps->engine, printer_, actors::ref_of(self_));
  }

  actors::Behavior make_behavior() {
    return {
        [this](const ServicesNews& m) { on_news(m.what); },
        [this](const ServicesOver& m) { on_over(m.end); },
        [this](const ReportsRefused& m) { on_refused(m.error); },
        [this](StopStarting) { services_.pass_on(TakeDown{}); },
        [this](EndJobs m) { services_.pass_on(m); },
        [this](const Suspend& m) { services_.pass_on(m); },
        [this](Resume m) { services_.pass_on(m); },
    };
  }

 private:
  void on_news(const StackNews& news) {
    if (const auto* said = std::get_if<StackSaid>(&news))
      say(said->text);
    report(note_news(core_, news));
  }

  void report(ServiceReports::Changes changes) {
    if (!changes.empty())
      send(self_, reporter_, ReportChanges{std::move(changes)});
  }

  void on_over(const StackEnd& end) {
    if (end.failed)
      report(core_.on_tree_ended(end.why));
    send(self_, reporter_,
         EndReports{end.failed ? longest_farewell : Duration{0},
                    [done = std::move(on_end_), end] { done(end); }});
    actors::quit(self_);
  }

  void on_refused(const Error& error) {
    // The run has ended, and the node is about to end us.
    if (error.code == Errc::invalid_argument)
      return;
    // There may be nobody else who would ever do that.
    say(fmt::format("the node refuses: {}", error.what));
    services_.pass_on(TakeDown{});
  }

  void say(const std::string& what) {
    auto job = std::make_shared<PrintJob>();
    job->fd = STDERR_FILENO;
    job->bytes = fmt::format("troupe: {}\n", printable(what));
    send(self_, printer_, Print{std::move(job)});
  }

  actors::Actor* self_;
  RunServices& services_;
  actors::ActorRef printer_;
  std::function<void(StackEnd)> on_end_;
  service::AvailabilityCore core_;
  actors::ActorRef reporter_;
};

/// Those of the round before may still be ending: they have the same ports.
Result<OwnedFd> await_those_before(const std::string& folder) {
  const std::string path = folder + "/lock";
  OwnedFd lock{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  if (!lock.is_open())
    return tl::unexpected{system_error(path, errno)};
  while (::flock(lock.get(), LOCK_EX) != 0) {
    if (errno != EINTR)
      return tl::unexpected{system_error(path, errno)};
  }
  return lock;
}

/// The node may have been killed just after it has started us.
Result<api::Json> ask_patiently(NodeCalls& node, const std::string& target) {
  const TimePoint end =
      std::chrono::steady_clock::now() + longest_wait_for_node;
  for (int tries = 0;; ++tries) {
    auto answer = node.get(target);
    if (answer || answer.error().code != Errc::unavailable ||
        std::chrono::steady_clock::now() >= end)
      return answer;
    node.pause(pause_after(tries));
  }
}

}  // namespace

int run_services_of_run(const Startup& startup,
                        std::vector<std::string> words) {
  if (words.size() != 3)
    return usage_error("run-services: only nodes start this command");
  const std::string& run = words[0];
  const std::string& folder = words[2];
  const QueueContext context = real_queue_context();
  auto session = NodeSession::open(context, {});
  if (!session)
    return troupe_failed(session.error());
  const std::string target = node_target({"runs", run.substr(1), "services"});
  const auto answer = ask_patiently(session->calls(), target);
  if (!answer)
    return troupe_failed(answer.error());
  auto of_run = node::services_of_run(run, *answer);
  if (!of_run)
    return troupe_failed(of_run.error());
  std::vector<std::string> notes;
  auto services = RunServices::make(*of_run->workflow, of_run->needed,
                                    of_run->options, notes);
  if (!services)
    return troupe_failed(services.error());
  for (const std::string& note : notes)
    complain(note);
  if (auto made = (*services)->prepare(folder, /*shows_output=*/true); !made)
    return troupe_failed(made.error());
  const auto lock = await_those_before(folder);
  if (!lock)
    return troupe_failed(lock.error());

  const auto number = [](const char* text) {
    return text == nullptr ? 0 : std::strtoul(text, nullptr, 10);
  };
  node::RunServicesTold who;
  who.round = static_cast<std::uint32_t>(number(words[1].c_str()));
  who.job = store::JobId{number(std::getenv("TROUPE_JOB"))};
  who.attempt =
      static_cast<std::uint32_t>(number(std::getenv("TROUPE_ATTEMPT")));
  StackEnd stack_end;
  const BatchEnd end = run_batch(
      startup, fanout::most_job_slots,
      [&](node::Engine& engine, const actors::ActorRef& printer,
          std::function<void()> on_end) {
        return actors::spawn<ServicesHostActor>(
            engine.system(),
            std::make_shared<HostDeps>(HostDeps{
                engine, **services, printer, session->another(), target, who,
                [&stack_end, done = std::move(on_end)](StackEnd how) {
                  stack_end = std::move(how);
                  done();
                }}));
      },
      /*needs_output=*/false);
  if (end.exit_code)
    return *end.exit_code;
  if (!stack_end.failed)
    return exit_ok;
  complain(fmt::format("ended: {}", printable(stack_end.why)));
  return exit_failed;
}

}  // namespace troupe::cli
