#include "map_actor.hpp"

#include "argument_reader_actor.hpp"
#include "batch.hpp"
#include "printer_actor.hpp"
#include "terminal.hpp"

#include <troupe/base/overload.hpp>
#include <troupe/base/pausable_clock.hpp>
#include <troupe/base/text.hpp>
#include <troupe/node/machine.hpp>

#include <algorithm>
#include <deque>
#include <fmt/format.h>
#include <map>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace troupe::cli {
namespace {

using actors::Actor;
using actors::ActorRef;
using actors::Behavior;
using actors::Outcome;
using fanout::MapCore;

/// How often the machine is looked at, and the bar drawn.
constexpr Duration map_sample_interval = 1s;
constexpr Duration bar_interval = 200ms;

/// With -j auto, so many times the cores at most.
constexpr std::size_t auto_slots_per_core = 32;

/// Without an end known, the time of the limit is looked at so often.
constexpr Duration limit_interval = 100ms;

struct MapSampleTick {};
struct BarTick {};
struct CoreTick {};
struct LimitTick {};
/// Of the job log no more can be written.
struct LogBroken {
  Error error;
};
/// All output has been written.
struct Printed {};

}  // namespace
}  // namespace troupe::cli

TROUPE_LOCAL_MESSAGE(troupe::cli::MapSampleTick)
TROUPE_LOCAL_MESSAGE(troupe::cli::BarTick)
TROUPE_LOCAL_MESSAGE(troupe::cli::CoreTick)
TROUPE_LOCAL_MESSAGE(troupe::cli::LimitTick)
TROUPE_LOCAL_MESSAGE(troupe::cli::LogBroken)
TROUPE_LOCAL_MESSAGE(troupe::cli::Printed)

namespace troupe::cli {
namespace {

/// What a job of the joblog and of the exit status is judged by.
struct JobEnd {
  bool ok = false;
  int status = 0;
  /// Not of the command: it succeeded, and some of its output is lost.
  bool is_lost = false;
};

class MapActor {
 public:
  MapActor(Actor* self, node::Engine& engine,
           std::shared_ptr<const MapPlan> plan, ActorRef reader,
           ActorRef printer, std::function<void(const MapResult&)> on_end)
      : self_{self},
        engine_{engine},
        plan_{std::move(plan)},
        reader_{std::move(reader)},
        printer_{std::move(printer)},
        on_end_{std::move(on_end)},
        core_{plan_->core},
        timeout_{plan_->timeout},
        progress_{actors::now(self)},
        order_{order_window()},
        governor_{governor_config(*plan_)} {
    if (plan_->adaptive)
      parallelism_.emplace(
          flow_control::ParallelismConfig{.initial = plan_->core.slots,
                                          .max = governor_limit(*plan_)},
          actors::now(self_));
    if (plan_->total)
      set_total(*plan_->total);
    for (const ActorRef& helper : {reader_, printer_})
      actors::monitor(self_, helper);
    actors::handle_down(
        self_, [this](actors::ActorId, const actors::ExitReason& reason) {
          on_helper_died(reason);
        });
  }

  Behavior make_behavior() {
    send_self(self_, MapSampleTick{});
    if (plan_->bar)
      send_self(self_, BarTick{});
    perform(core_.on_start(now()));
    return {
        [this](const ArgumentsRead& m) { on_arguments(m); },
        [this](const actors::CommandStarted& m) { on_started(m); },
        [](const actors::AttemptFinished&) {},
        [this](const actors::CommandFinished& m) { on_finished(m); },
        [this](StopStarting) {
          say("stopping: the jobs that run may finish; once more to end them");
          perform(core_.stop_starting(now()));
        },
        [this](EndJobs) { perform(core_.stop_all(now())); },
        [this](const Suspend& m) { suspend(m); },
        [this](Resume) { clock_.resume(actors::now(self_)); },
        [this](MapSampleTick) { on_sample(); },
        [this](BarTick) { draw_bar(); },
        [this](CoreTick) { perform(core_.on_time(now())); },
        [this](LimitTick) { enforce_limit(); },
        [this](const LogBroken& m) { on_log_broken(m.error); },
        [this](Printed) { end(); },
    };
  }

 private:
  struct Job {
    std::uint64_t seq = 0;
    std::string text;  ///< For --dry-run and the log.
    std::shared_ptr<JobOutput> output;
    std::optional<WallTime> started;
    std::optional<TimePoint> attempt_started;
    bool over_limit = false;
    bool is_counted = false;    ///< As one that has begun, by the progress.
    bool is_withdrawn = false;  ///< Is not to start, if it has not yet.
  };
  /// What is printed of a job when its turn has come.
  struct Ready {
    std::shared_ptr<JobOutput> output;
    std::string text;     ///< For standard output, before the output.
    std::string log_row;  ///< For the log, after the output.
  };

  [[nodiscard]] TimePoint now() const { return clock_.at(actors::now(self_)); }

  [[nodiscard]] std::size_t order_window() const {
    return plan_->core.window == 0
               ? 1
               : static_cast<std::size_t>(plan_->core.window);
  }

  static std::size_t governor_limit(const MapPlan& plan) {
    if (!plan.adaptive)
      return plan.core.slots;
    return std::min<std::size_t>(auto_slots_per_core * plan.core.slots,
                                 plan.most_slots);
  }

  static flow_control::GovernorConfig governor_config(const MapPlan& plan) {
    return {.memfree_bytes = plan.least_free_bytes,
            .max_load = plan.most_load,
            .max_running = governor_limit(plan)};
  }

  void set_total(std::uint64_t jobs) {
    core_.set_total(jobs);
    progress_.set_total(jobs);
  }

  /// One after the other, also those that come of the performing of others.
  void perform(const MapCore::Actions& actions) {
    const bool is_performing = !to_perform_.empty();
    to_perform_.insert(to_perform_.end(), actions.begin(), actions.end());
    if (is_performing)
      return;
    for (; !to_perform_.empty(); to_perform_.pop_front())
      std::visit([this](const auto& a) { perform(a); }, to_perform_.front());
  }

  void perform(MapCore::Read action) {
    send(self_, reader_, ReadArguments{action.most});
  }

  void perform(MapCore::Wake action) {
    send_after(self_, std::max(Duration{0}, Duration{action.at - now()}),
               CoreTick{});
  }

  void perform(MapCore::Skip action) {
    progress_.on_skipped();
    if (plan_->keep_order)
      print_all(order_.on_skipped(action.seq));
  }

  void perform(const MapCore::Launch& action) {
    const auto& arguments = action.arguments;
    Job job{.seq = arguments.seq};
    if (!action.after)
      count(job);
    const auto rendered = plan_->command.render(arguments, action.slot);
    if (!rendered) {
      fail_to_start(job, rendered.error());
      return;
    }
    if (plan_->dry_run || plan_->joblog >= 0)
      job.text = rendered->as_text();
    if (plan_->dry_run) {
      finish_job(job,
                 {.output = nullptr, .text = job.text + "\n", .log_row = {}},
                 {.ok = true, .status = 0});
      return;
    }
    auto output = output_for(arguments);
    if (!output) {
      fail_to_start(job, output.error());
      return;
    }
    job.output = *output;
    auto request =
        std::make_shared<actors::CommandRequest>(request_for(*rendered));
    const auto id = engine_.submit(std::move(request), job.output,
                                   actors::ref_of(self_), id_before(job.seq));
    if (!id) {
      fail_to_start(job, id.error());
      return;
    }
    ids_.emplace(job.seq, *id);
    jobs_.emplace(*id, std::move(job));
  }

  [[nodiscard]] std::optional<CommandId> id_before(std::uint64_t seq) const {
    const auto predecessor = core_.predecessor_of(seq);
    if (!predecessor)
      return std::nullopt;
    return ids_.at(*predecessor);
  }

  void count(Job& job) {
    if (!std::exchange(job.is_counted, true))
      progress_.on_started();
  }

  void fail_to_start(Job& job, const Error& error) {
    fail(error);
    finish_job(job, {}, {.ok = false, .status = 255});
  }

  void perform(MapCore::Withdraw action) {
    const auto id = ids_.find(action.seq);
    if (id == ids_.end())
      return;
    jobs_.at(id->second).is_withdrawn = true;
    engine_.runner().withdraw({id->second});
  }

  void perform(MapCore::StopAll) {
    const auto& spec = plan_->request.spec;
    for (const auto& [id, job] : jobs_)
      actors::send(engine_.commands(),
                   actors::CancelCommand{
                       id, process::StopRequest{.signal = spec.polite_signal,
                                                .grace = spec.grace}});
  }

  void perform(MapCore::Finish) {
    // Also if there is no bar: done when all before it has been written.
    print_bar(
        "", [self = actors::ref_of(self_)] { actors::send(self, Printed{}); });
    over_ = true;
  }

  void suspend(const Suspend& m) {
    clock_.pause(actors::now(self_));
    print_bar("", m.ready);
  }

  [[nodiscard]] actors::CommandRequest request_for(
      const fanout::RenderedCommand& rendered) const {
    actors::CommandRequest request = plan_->request;
    if (rendered.shell_text.empty())
      request.spec.argv = rendered.argv;
    else
      request.spec.argv = {plan_->shell, "-c", rendered.shell_text};
    if (const auto limit = timeout_.limit())
      request.spec.time_limit = *limit;
    return request;
  }

  [[nodiscard]] Result<std::shared_ptr<JobOutput>> output_for(
      const fanout::Arguments& arguments) const {
    JobOutput::Options options{.grouping = plan_->grouping};
    if (plan_->tag) {
      for (const std::string& value : arguments.values)
        options.tag += (options.tag.empty() ? "" : " ") + value;
      options.tag += '\t';
    }
    if (!plan_->results.empty()) {
      auto paths = fanout::results_paths(plan_->results, arguments.values);
      if (!paths)
        return tl::unexpected(std::move(paths.error()));
      options.results = std::move(*paths);
    }
    return std::make_shared<JobOutput>(std::move(options), printer_);
  }

  void on_arguments(const ArgumentsRead& m) {
    if (m.error)
      fail(*m.error);
    if (!m.arguments.empty())
      last_seq_ = m.arguments.back().seq;
    if (m.at_end)
      set_total(last_seq_);
    perform(core_.on_arguments(m.arguments, m.at_end, now()));
  }

  void on_started(const actors::CommandStarted& m) {
    const auto job = jobs_.find(m.id);
    if (job == jobs_.end())
      return;
    count(job->second);
    if (!job->second.started)
      job->second.started = m.at;
    job->second.attempt_started = now();
    job->second.over_limit = false;
    if (plan_->core.with_successors)
      perform(core_.on_started(job->second.seq, now()));
  }

  void on_finished(const actors::CommandFinished& m) {
    auto node = jobs_.extract(m.id);
    if (!node)
      return;
    Job& job = node.mapped();
    ids_.erase(job.seq);
    const Outcome& outcome = *m.outcome;
    if (job.is_withdrawn && has_not_run(outcome)) {
      perform(core_.on_withdrawn(job.seq, now()));
      return;
    }
    const bool ok = outcome.kind == actors::OutcomeKind::success;
    if (!outcome.attempts.empty() && outcome.attempts.back().report) {
      const auto& report = *outcome.attempts.back().report;
      governor_.on_finished(report.max_rss_bytes);
      if (ok && timeout_.on_success(report.wall) && !limit_ticking_) {
        limit_ticking_ = true;
        send_after(self_, limit_interval, LimitTick{});
      }
    }
    explain(job, outcome);
    const auto problem = job.output->finish();
    if (problem)
      fail(Error{*problem}.within(fmt::format("job {}", job.seq)));
    const std::size_t running = core_.running();
    // Only a job that is not in the log is run again, and prints it all then.
    std::string log_row = problem ? std::string{} : log_row_of(job, outcome);
    finish_job(job,
               {.output = std::move(job.output),
                .text = {},
                .log_row = std::move(log_row)},
               {.ok = ok && !problem,
                .status = ok && problem ? exit_bad_file : outcome.exit_status,
                .is_lost = ok && problem});
    if (parallelism_) {
      parallelism_->on_completed(running, now());
      apply_limits();
    }
  }

  /// Neither was it started, nor may it have been.
  static bool has_not_run(const Outcome& outcome) {
    return (outcome.kind == actors::OutcomeKind::failed ||
            outcome.kind == actors::OutcomeKind::cancelled) &&
           (outcome.attempts.empty() || !outcome.attempts.back().report);
  }

  /// What the command itself could not say.
  void explain(const Job& job, const Outcome& outcome) {
    for (const auto& incident : outcome.incidents)
      complain_about(job, incident.what);
    if (!outcome.attempts.empty()) {
      for (const std::string& note : outcome.attempts.back().notes)
        complain_about(job, note);
    }
    const bool plain_failure = outcome.kind == actors::OutcomeKind::failed &&
                               !outcome.attempts.empty() &&
                               outcome.attempts.back().report;
    if (outcome.kind != actors::OutcomeKind::success && !plain_failure &&
        outcome.kind != actors::OutcomeKind::cancelled)
      complain_about(job, actors::describe(outcome.causes));
  }

  void complain_about(const Job& job, const std::string& what) {
    say(fmt::format("job {}: {}", job.seq, what));
  }

  void print_text(int fd, std::string text, std::function<void()> done = {}) {
    auto print = std::make_shared<PrintJob>();
    print->fd = fd;
    print->bytes = std::move(text);
    print->done = std::move(done);
    send(self_, printer_, Print{std::move(print)});
  }

  void finish_job(Job& job, Ready ready, JobEnd how) {
    count(job);
    progress_.on_finished(how.ok, now());
    if (!how.ok && !how.is_lost)
      ++failed_;
    if (plan_->keep_order)
      print_all(order_.on_finished(job.seq, std::move(ready)));
    else
      print(ready);
    perform(core_.on_finished(job.seq, how.ok, how.status, now()));
  }

  void print_all(const std::vector<Ready>& outputs) {
    for (const Ready& ready : outputs)
      print(ready);
  }

  void print(const Ready& ready) {
    if (!ready.text.empty())
      print_text(STDOUT_FILENO, ready.text);
    if (ready.output)
      ready.output->print({});
    // A job in the log is not run again, so its output must have arrived.
    if (!ready.log_row.empty())
      print_log_row(ready.log_row);
  }

  void print_log_row(const std::string& row) {
    auto print = std::make_shared<PrintJob>();
    print->fd = plan_->joblog;
    print->bytes = row;
    print->about_output = true;
    print->on_failed = [self = actors::ref_of(self_),
                        plan = plan_](int errno_value) {
      actors::send(
          self, LogBroken{system_error(
                    fmt::format("cannot write job log {}", plan->joblog_path),
                    errno_value)});
    };
    send(self_, printer_, Print{std::move(print)});
  }

  void on_log_broken(const Error& error) {
    fail({error.code,
          error.what + "; the jobs that end from now on are not in it"});
  }

  /// Empty for no row: there is no log, or the job was stopped and has to be
  /// run again.
  [[nodiscard]] std::string log_row_of(const Job& job,
                                       const Outcome& outcome) const {
    if (plan_->joblog < 0 || outcome.kind == actors::OutcomeKind::cancelled)
      return {};
    fanout::JobLogRow row{.seq = job.seq, .command = job.text};
    row.started = job.started.value_or(outcome.attempts.empty()
                                           ? WallTime{}
                                           : outcome.attempts.front().started);
    row.exit_value = outcome.exit_status;
    if (!outcome.attempts.empty() && outcome.attempts.back().report) {
      const auto& report = *outcome.attempts.back().report;
      row.runtime = report.wall;
      row.received_bytes = report.stdout_bytes;
      row.exit_value = report.signal != 0 ? 0 : report.exit_code;
      row.signal = report.signal;
    }
    // As GNU parallel writes it, so that it resumes from our logs.
    if (outcome.kind == actors::OutcomeKind::timed_out) {
      row.exit_value = -1;
      row.signal = SIGTERM;
    }
    return fanout::format_job_log_row(row);
  }

  void on_sample() {
    if (over_)
      return;
    const auto sample = node::look_at_machine();
    const auto admission = governor_.observe(sample, core_.running());
    if (admission == flow_control::Admission::hold &&
        !std::exchange(said_held_, true))
      say("memory is short: further jobs wait for more of it");
    if (parallelism_)
      parallelism_->observe(sample, core_.running(), now());
    apply_limits();
    send_after(self_, map_sample_interval, MapSampleTick{});
  }

  void apply_limits() {
    const std::size_t wanted =
        parallelism_ ? parallelism_->slots() : plan_->core.slots;
    const std::size_t allowed =
        core_.running() + governor_.may_start(core_.running());
    perform(core_.resize(static_cast<std::uint32_t>(std::min(wanted, allowed)),
                         now()));
  }

  /// --timeout N%: the limit comes and moves while jobs run.
  void enforce_limit() {
    const auto limit = timeout_.limit();
    const auto& spec = plan_->request.spec;
    for (auto& [id, job] : jobs_) {
      if (!limit || job.over_limit || !job.attempt_started ||
          now() - *job.attempt_started < *limit)
        continue;
      job.over_limit = true;
      actors::send(engine_.commands(),
                   actors::ExpireAttempt{
                       id, process::StopRequest{.signal = spec.polite_signal,
                                                .grace = spec.grace}});
    }
    if (!over_)
      send_after(self_, limit_interval, LimitTick{});
  }

  void print_bar(std::string bar, std::function<void()> done = {}) {
    auto print = std::make_shared<PrintJob>();
    print->fd = STDERR_FILENO;
    print->bytes = std::move(bar);
    print->is_footer = true;
    print->done = std::move(done);
    send(self_, printer_, Print{std::move(print)});
  }

  void draw_bar() {
    if (over_)
      return;
    if (!clock_.paused())
      print_bar(progress_.render(terminal_size().columns - 1, now()));
    send_after(self_, bar_interval, BarTick{});
  }

  void fail(const Error& error) {
    if (!error_)
      error_ = error;
    say(error.what);
  }

  void say(std::string_view what) {
    print_text(STDERR_FILENO, fmt::format("troupe: {}\n", printable(what)));
  }

  /// Without them the map cannot go on, nor wait for its output.
  void on_helper_died(const actors::ExitReason& reason) {
    error_ = Error{Errc::internal, fmt::format("troupe is broken: {}",
                                               actors::describe(reason))};
    end();
  }

  void end() {
    on_end_({.exit_status = exit_status(), .error = error_});
    actors::quit(self_);
  }

  /// That of the commands: what is lost of their output is in `error_`.
  [[nodiscard]] int exit_status() const {
    const fanout::HaltPolicy& halt = core_.halt();
    if (failed_ == 0 || halt.decision() == fanout::HaltDecision::carry_on)
      return fanout::exit_status_of(failed_);
    return halt.exit_status();
  }

  Actor* self_;
  node::Engine& engine_;
  std::shared_ptr<const MapPlan> plan_;
  ActorRef reader_;
  ActorRef printer_;
  std::function<void(const MapResult&)> on_end_;
  PausableClock clock_;
  MapCore core_;
  std::deque<MapCore::Action> to_perform_;
  fanout::TimeoutPolicy timeout_;
  fanout::Progress progress_;
  fanout::OutputOrder<Ready> order_;
  flow_control::MemoryGovernor governor_;
  std::optional<flow_control::AdaptiveParallelism> parallelism_;
  std::map<CommandId, Job> jobs_;
  std::map<std::uint64_t, CommandId> ids_;  ///< Of `jobs_`, by their number.
  std::uint64_t last_seq_ = 0;
  std::uint64_t failed_ = 0;  ///< Commands, not what was lost of them.
  std::optional<Error> error_;
  bool limit_ticking_ = false;
  bool said_held_ = false;
  bool over_ = false;
};

}  // namespace

ActorRef spawn_map(node::Engine& engine, std::shared_ptr<const MapPlan> plan,
                   ActorRef reader, ActorRef printer,
                   std::function<void(const MapResult&)> on_end) {
  return actors::spawn<MapActor>(engine.system(), engine, std::move(plan),
                                 std::move(reader), std::move(printer),
                                 std::move(on_end));
}

}  // namespace troupe::cli
