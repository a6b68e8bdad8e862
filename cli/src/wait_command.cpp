/// troupe wait: until jobs have ended.
#include "command_options.hpp"
#include "job_view.hpp"
#include "job_wait.hpp"
#include "job_words.hpp"
#include "queue_context.hpp"
#include "queue_run_commands.hpp"

#include <troupe/base/text.hpp>

#include <csignal>
#include <fmt/format.h>
#include <string_view>
#include <sys/time.h>
#include <unistd.h>
#include <utility>

namespace troupe::cli {
namespace {

struct WaitOptions {
  NodeOptions node;
  std::vector<std::string> jobs;
  bool any = false;
  std::string timeout;
};

/// Only what a signal handler may do. Nothing is lost: this process has only
/// looked.
void end_by_timeout(int) {
  constexpr std::string_view text = "troupe: wait: timed out\n";
  (void)!::write(STDERR_FILENO, text.data(), text.size());
  ::_exit(status_timed_out);
}

/// Ends this process after `limit`, wherever it waits then; zero for never.
void limit_time(Duration limit) {
  if (limit == Duration{0})
    return;
  struct sigaction action {};
  action.sa_handler = end_by_timeout;
  ::sigaction(SIGALRM, &action, nullptr);
  const auto us = std::chrono::ceil<std::chrono::microseconds>(limit).count();
  itimerval timer{};
  timer.it_value = {us / 1'000'000, us % 1'000'000};
  ::setitimer(ITIMER_REAL, &timer, nullptr);
}

void explain(const JobWait& wait) {
  for (const QueueJob& job : wait.jobs()) {
    if (job.has_ended() && job.state != "succeeded")
      complain(fmt::format(
          "job {} {} ({}); see troupe status {}", job.number,
          job.state == "failed" ? "has failed" : "is " + printable(job.state),
          describe_progress(job), job.number));
  }
}

api::Json states_of(const JobWait& wait) {
  api::Json jobs = api::Json::array();
  for (const QueueJob& job : wait.jobs())
    jobs.push_back({{"job", job.number}, {"state", job.state}});
  return jobs;
}

}  // namespace

int wait_for_jobs(const QueueContext& context, std::vector<std::string> words) {
  WaitOptions o;
  CLI::App app{
      "Waits until jobs or runs have ended. Exits with 0 if all have succeeded "
      "and with 1 if\nnot; for one job of one task with the status of its "
      "command; with 124 if time is up.\n\n"
      "  troupe wait 17 18\n"
      "  troupe wait r7\n"
      "  troupe wait --timeout 1h \"$(troupe submit -- make)\"",
      "troupe wait"};
  app.add_option("ID", o.jobs, "Jobs, or runs (r7)");
  app.add_flag("--any", o.any, "Until the first of them has ended");
  app.add_option("--timeout", o.timeout, "Give up after this time")
      ->type_name("DURATION");
  o.node.add_to(app);
  if (const auto code = parse(app, std::move(words)))
    return *code;
  const bool of_runs = names_runs(o.jobs);
  const auto jobs = of_runs ? parse_runs(o.jobs) : parse_jobs(o.jobs);
  if (!jobs)
    return usage_error("wait", jobs.error().what);
  Duration limit{0};
  if (const auto read = read_duration("--timeout", o.timeout, limit); !read)
    return usage_error("wait", read.error().what);
  auto session = NodeSession::open(context, o.node);
  if (!session)
    return node_failed(session.error());
  limit_time(limit);
  if (of_runs)
    return wait_for_runs(session->calls(), *jobs, o.any, o.node.json);
  JobWait wait{*jobs, o.any};
  if (const auto watched = watch_jobs(session->calls(), wait); !watched)
    return node_failed(watched.error());
  const auto status = exit_status_of(session->calls(), wait);
  if (!status)
    return node_failed(status.error());
  limit_time(Duration{0});
  if (o.node.json)
    print_json({{"exit_status", *status}, {"jobs", states_of(wait)}});
  else
    explain(wait);
  return *status;
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): as all subcommands.
int run_wait(const Startup&, std::vector<std::string> words) {
  return wait_for_jobs(real_queue_context(), std::move(words));
}

}  // namespace troupe::cli
