#include "run_actor.hpp"

#include "batch.hpp"
#include "file_io.hpp"
#include "machine.hpp"
#include "printer_actor.hpp"
#include "run_event.hpp"
#include "run_json.hpp"
#include "run_lines.hpp"
#include "run_names.hpp"
#include "run_view.hpp"
#include "terminal.hpp"

#include <troupe/actors/messages.hpp>
#include <troupe/base/overload.hpp>
#include <troupe/base/pausable_clock.hpp>
#include <troupe/base/text.hpp>
#include <troupe/fanout/job_slots.hpp>
#include <troupe/flow_control/memory_governor.hpp>

#include <boost/asio/post.hpp>

#include <algorithm>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <map>
#include <optional>
#include <unistd.h>
#include <utility>
#include <vector>

namespace troupe::cli {
namespace {

using actors::Actor;
using actors::ActorRef;
using actors::Behavior;
using actors::Outcome;
using workflow::InstanceId;
using workflow::Plan;

constexpr Duration frame_interval = 100ms;

/// The engine counts a command a moment longer than we do.
constexpr Duration submit_interval = 10ms;

/// How often the machine is looked at, and asked again while it is short of
/// memory.
constexpr Duration sample_interval = 1s;
constexpr Duration hold_interval = 100ms;

/// Which step of the run.
using StepId = std::pair<InstanceId, std::size_t>;

struct PlanTick {};
struct SampleTick {};
struct FrameTick {};
struct FrameWritten {};
struct CleanUpOver {};
/// From the I/O thread: the outputs of a step that has ended.
struct OutputsRead {
  StepId id;
  std::shared_ptr<const Outcome> outcome;
  Result<workflow::Outputs> outputs;
};
/// The engine or the machine was full and may have room again.
struct SubmitAgain {
  StepId id;
};
/// All output has been written, and so has run.json.
struct RunWritten {};

}  // namespace
}  // namespace troupe::cli

TROUPE_LOCAL_MESSAGE(troupe::cli::PlanTick)
TROUPE_LOCAL_MESSAGE(troupe::cli::SampleTick)
TROUPE_LOCAL_MESSAGE(troupe::cli::FrameTick)
TROUPE_LOCAL_MESSAGE(troupe::cli::FrameWritten)
TROUPE_LOCAL_MESSAGE(troupe::cli::CleanUpOver)
TROUPE_LOCAL_MESSAGE(troupe::cli::OutputsRead)
TROUPE_LOCAL_MESSAGE(troupe::cli::SubmitAgain)
TROUPE_LOCAL_MESSAGE(troupe::cli::RunWritten)

namespace troupe::cli {
namespace {

std::string time_of_day(WallTime time) {
  return fmt::format(
      "{:%H:%M:%S}",
      fmt::localtime(std::chrono::system_clock::to_time_t(time)));
}

class RunActor {
 public:
  RunActor(Actor* self, node::Engine& engine, std::shared_ptr<RunOrder> order,
           ActorRef printer, std::function<void(workflow::RunResult)> on_end)
      : self_{self},
        engine_{engine},
        order_{std::move(order)},
        plan_{*order_->plan},
        settings_{order_->settings},
        printer_{std::move(printer)},
        on_end_{std::move(on_end)} {
    name_things();
  }

  Behavior make_behavior() {
    begin();
    return {
        [this](const actors::CommandStarted& m) { on_started(m); },
        [this](const actors::AttemptFinished& m) { on_attempt(m); },
        [this](const actors::CommandFinished& m) { on_finished(m); },
        [this](const OutputsRead& m) { on_outputs(m); },
        [this](const SubmitAgain& m) { submit_again(m.id); },
        [this](PlanTick) {
          next_tick_.reset();
          perform(plan_.on_time(now()));
        },
        [this](StopStarting) {
          tell(Notice{"stopping: what runs may finish; once more to end it"});
          perform(plan_.stop_starting(now()));
        },
        [this](EndJobs) { cancel(); },
        [this](const Suspend& m) { suspend(m); },
        [this](Resume) { clock_.resume(actors::now(self_)); },
        [this](CleanUpOver) { cancel_again(); },
        [this](SampleTick) { on_sample(); },
        [this](FrameTick) { on_frame_tick(); },
        [this](FrameWritten) { frame_waits_ = false; },
        [this](RunWritten) {
          on_end_(*plan_.result());
          actors::quit(self_);
        },
    };
  }

 private:
  /// A step that was handed to the engine and has not been reported to the
  /// plan.
  struct Running {
    StepRef ref;
    std::shared_ptr<StepLog> log;
    std::shared_ptr<const actors::CommandRequest> request;
    CommandId command;       ///< None while the engine is full.
    bool cancelled = false;  ///< Before the engine had it.
    std::uint32_t attempts = 1;
    TimePoint started;
  };

  [[nodiscard]] TimePoint now() const { return clock_.at(actors::now(self_)); }

  /// The names of all jobs, steps and folders, none of which ever changes.
  void name_things() {
    std::vector<std::string> labels;
    for (const Plan::Instance& instance : plan_.instances()) {
      labels.push_back(instance.label);
      jobs_.push_back({instance.id, instance.job, instance.label});
    }
    folders_ = unique_file_names(labels);
    for (const workflow::Job& job : plan_.workflow().jobs) {
      by_name_.emplace(job.id, &job);
      keys_.emplace(job.id, step_keys(job));
    }
  }

  void begin() {
    tell(RunStarted{.run_id = order_->folder->id(),
                    .workflow = plan_.workflow().name,
                    .file = settings_.file,
                    .folder = order_->folder->path(),
                    .jobs = jobs_});
    perform(plan_.start(now()));
    send_after(self_, sample_interval, SampleTick{});
    if (settings_.display == Display::table)
      send_self(self_, FrameTick{});
  }

  [[nodiscard]] const JobRef& job_ref(InstanceId id) const {
    return jobs_.at(static_cast<std::size_t>(id.value - 1));
  }

  [[nodiscard]] StepRef step_ref(StepId id, std::string name) const {
    const JobRef& job = job_ref(id.first);
    return {job, id.second, keys_.at(job.job).at(id.second), std::move(name)};
  }

  [[nodiscard]] const workflow::Step& step_of(StepId id) const {
    return by_name_.at(job_ref(id.first).job)->steps.at(id.second);
  }

  // -- What the plan wants ----------------------------------------------------

  void perform(workflow::Actions actions) {
    for (auto& action : actions)
      std::visit([this](auto& a) { perform(a); }, action);
    const auto deadline = plan_.next_deadline();
    if (!deadline || (next_tick_ && *next_tick_ <= *deadline))
      return;
    next_tick_ = deadline;
    send_after(self_, std::max(Duration{0}, Duration{*deadline - now()}),
               PlanTick{});
  }

  void perform(workflow::StartStep& action) {
    const StepId id{action.instance, action.step};
    Running step;
    step.ref = step_ref(id, action.name);
    step.attempts = action.retry.attempts;
    step.started = now();
    const std::string folder =
        order_->folder->path() + "/" +
        folders_.at(static_cast<std::size_t>(id.first.value - 1));
    std::string name = file_name(step.ref.key);
    if (action.restarts > 0)
      name += fmt::format("@{}", action.restarts + 1);
    step.log = std::make_shared<StepLog>(
        folder, name, fmt::format("{}/{}.outputs", folder, name));
    tell(StepStarted{step.ref, action.line, step.attempts});

    auto request = std::make_shared<actors::CommandRequest>();
    process::CommandSpec& spec = request->spec;
    spec.argv = std::move(action.argv);
    spec.working_directory = std::move(action.working_directory);
    spec.env = std::move(action.env);
    spec.env.emplace_back(workflow::output_variable, step.log->outputs());
    spec.standard_error = process::Output::merge;
    spec.time_limit = action.timeout;
    spec.grace = action.grace;
    request->retry = action.retry;
    request->success = std::move(action.success);
    step.request = std::move(request);
    submit(id, steps_.emplace(id, std::move(step)).first->second);
  }

  void submit(StepId id, Running& step) {
    if (governor_.may_start(commands_.size()) == 0) {
      send_after(self_, hold_interval, SubmitAgain{id});
      return;
    }
    const auto command =
        engine_.submit(step.request, step.log, actors::ref_of(self_));
    if (!command) {
      send_after(self_, submit_interval, SubmitAgain{id});
      return;
    }
    step.command = *command;
    commands_.emplace(*command, id);
  }

  void submit_again(StepId id) {
    Running& step = steps_.at(id);
    if (!step.cancelled) {
      submit(id, step);
      return;
    }
    Outcome outcome;
    outcome.kind = actors::OutcomeKind::cancelled;
    outcome.causes = {{actors::CauseKind::cancelled, 0, "was cancelled"}};
    end_step(id, outcome, {});
  }

  /// Starting waits while the machine is short of memory.
  void on_sample() {
    if (plan_.result())
      return;
    const auto admission =
        governor_.observe(look_at_machine(), commands_.size());
    if (admission == flow_control::Admission::hold &&
        !std::exchange(said_held_, true))
      tell(Notice{"memory is short: steps wait for more of it"});
    send_after(self_, sample_interval, SampleTick{});
  }

  void perform(const workflow::CancelStep& action) {
    const StepId id{action.instance, action.step};
    const auto step = steps_.find(id);
    if (step == steps_.end())
      return;
    if (!step->second.command) {
      step->second.cancelled = true;
      return;
    }
    actors::send(engine_.commands(),
                 actors::CancelCommand{
                     step->second.command,
                     process::StopRequest{.grace = step_of(id).grace}});
  }

  void perform(const workflow::StepEnded& action) {
    const StepId id{action.instance, action.step};
    // Of one that ran, end_step() has said so already.
    if (std::exchange(reported_, std::nullopt) == id)
      return;
    tell(StepFinished{.step = step_ref(id, step_title(step_of(id))),
                      .outcome = action.outcome,
                      .reason = action.reason});
  }

  void perform(const workflow::JobStateChanged& action) {
    tell(JobChanged{job_ref(action.instance), action.state, action.reason});
  }

  void perform(const workflow::GroupDecided& action) { tell(action); }

  void perform(const workflow::RunFinished& action) {
    tell(RunEnded{action.result});
    finish_display();
    write_record();
  }

  // -- What the engine tells --------------------------------------------------

  Running* find(CommandId command) {
    const auto id = commands_.find(command);
    return id == commands_.end() ? nullptr : &steps_.at(id->second);
  }

  void on_started(const actors::CommandStarted& m) {
    if (const Running* const step = find(m.id))
      tell(AttemptStarted{step->ref, m.attempt});
  }

  void on_attempt(const actors::AttemptFinished& m) {
    if (const Running* const step = find(m.id))
      tell(AttemptEnded{step->ref, step->attempts, m.attempt, m.next_in,
                        step->log->path(m.attempt->number)});
  }

  void on_finished(const actors::CommandFinished& m) {
    const auto found = commands_.extract(m.id);
    if (!found)
      return;
    const StepId id = found.mapped();
    if (const auto& attempts = m.outcome->attempts;
        !attempts.empty() && attempts.back().report)
      governor_.on_finished(attempts.back().report->max_rss_bytes);
    boost::asio::post(
        engine_.io(), [self = actors::ref_of(self_), id, outcome = m.outcome,
                       path = steps_.at(id).log->outputs()] {
          actors::send(self, OutputsRead{id, outcome, take_outputs(path)});
        });
  }

  void on_outputs(const OutputsRead& m) {
    if (m.outputs) {
      end_step(m.id, *m.outcome, *m.outputs);
      return;
    }
    // A command that has failed anyway has said why itself.
    Outcome outcome = *m.outcome;
    if (outcome.kind == actors::OutcomeKind::success) {
      outcome.kind = actors::OutcomeKind::failed;
      outcome.causes = {
          {actors::CauseKind::output, 0,
           fmt::format("its outputs: {}", m.outputs.error().what)}};
    }
    end_step(m.id, outcome, {});
  }

  void end_step(StepId id, const Outcome& outcome, workflow::Outputs outputs) {
    const auto found = steps_.extract(id);
    const Running& step = found.mapped();
    for (const auto& incident : outcome.incidents)
      tell(Notice{fmt::format("job {}: {}", printable(step.ref.job.label),
                              printable(incident.what))});
    if (!outcome.attempts.empty()) {
      for (const std::string& note : outcome.attempts.back().notes)
        tell(Notice{fmt::format("job {}: {}", printable(step.ref.job.label),
                                printable(note))});
    }
    const auto log = step.log->last();
    if (log && !log->problem().empty())
      tell(Notice{
          fmt::format("some output is lost: {}", printable(log->problem()))});
    StepFinished event{
        .step = step.ref, .took = now() - step.started, .outputs = outputs};
    if (outcome.kind != actors::OutcomeKind::success)
      event.reason = actors::describe(outcome.causes);
    if (!outcome.attempts.empty()) {
      event.log = step.log->path(outcome.attempts.back().number);
      event.tail = outcome.attempts.back().stdout_tail;
    }
    auto actions = plan_.on_step_finished(
        id.first, id.second,
        {outcome.kind, outcome.exit_status, std::move(outputs)}, now());
    // How the plan takes it comes first of all that follows.
    if (!actions.empty()) {
      if (const auto* const ended =
              std::get_if<workflow::StepEnded>(&actions.front())) {
        event.outcome = ended->outcome;
        event.forgiven = ended->outcome == workflow::StepOutcome::failure &&
                         step_of(id).continue_on_error;
      }
    }
    reported_ = id;
    show_output(event, log);
    tell(event);
    perform(std::move(actions));
    reported_.reset();
  }

  // -- Stopping ---------------------------------------------------------------

  void cancel() {
    if (std::exchange(cancelled_, true)) {
      cancel_again();
      return;
    }
    tell(
        Notice{"stopping: what runs is ended; once more to leave out what "
               "cleans up"});
    send_after(self_, longest_clean_up, CleanUpOver{});
    perform(plan_.cancel(now()));
  }

  void cancel_again() {
    if (!plan_.result())
      perform(plan_.cancel(now()));
  }

  void suspend(const Suspend& m) {
    clock_.pause(actors::now(self_));
    print(STDERR_FILENO, painter_.finish(), m.ready);
  }

  // -- What people see --------------------------------------------------------

  template <class Event>
  void tell(Event what) {
    const RunEvent event{std::chrono::system_clock::now(), now(),
                         std::move(what)};
    view_.apply(event);
    record_.apply(event);
    switch (settings_.display) {
      case Display::table:
        if (const auto* const notice = std::get_if<Notice>(&event.what))
          print_above(STDERR_FILENO, fmt::format("troupe: {}\n", notice->what));
        if (const auto* const decided = std::get_if<GroupDecided>(&event.what))
          print_above(STDERR_FILENO,
                      fmt::format("troupe: {}\n", text_of(*decided)));
        break;
      case Display::lines:
        print(STDERR_FILENO, line_of(event, time_of_day(event.at)));
        break;
      case Display::json:
        if (const auto json = to_json(event))
          print(STDOUT_FILENO, json->dump() + "\n");
        break;
    }
  }

  void print(int fd, std::string text, std::function<void()> done = {}) {
    if (text.empty() && !done)
      return;
    auto job = std::make_shared<PrintJob>();
    job->fd = fd;
    job->bytes = std::move(text);
    job->done = std::move(done);
    send(self_, printer_, Print{std::move(job)});
  }

  /// Makes room for text where the table is.
  void print_above(int fd, std::string text) {
    if (settings_.display == Display::table &&
        (fd == STDERR_FILENO || settings_.shared_terminal))
      print(STDERR_FILENO, painter_.erase());
    print(fd, std::move(text));
  }

  void show_output(const StepFinished& step,
                   const std::shared_ptr<const AttemptLog>& log) {
    const bool wanted = settings_.output == ShowOutput::all ||
                        (settings_.output == ShowOutput::failed &&
                         step.outcome == workflow::StepOutcome::failure);
    if (!wanted || !log || log->empty() || log->file() < 0)
      return;
    print_above(STDOUT_FILENO,
                fmt::format("==> {}: {} <==\n", printable(step.step.job.label),
                            printable(step.step.name)));
    auto job = std::make_shared<PrintJob>();
    job->file = log->file();
    job->done = [keep = log] {};
    send(self_, printer_, Print{std::move(job)});
    if (!log->ends_in_newline())
      print(STDOUT_FILENO, "\n");
  }

  void on_frame_tick() {
    if (plan_.result())
      return;
    draw_frame();
    send_after(self_, frame_interval, FrameTick{});
  }

  /// Not before the last one has been written: a slow terminal gets fewer.
  void draw_frame() {
    if (frame_waits_ || clock_.paused())
      return;
    const TerminalSize size = terminal_size();
    std::string frame = painter_.draw(view_.frame({.columns = size.columns,
                                                   .rows = size.rows,
                                                   .colour = settings_.colour},
                                                  now()));
    if (frame.empty())
      return;
    frame_waits_ = true;
    print(STDERR_FILENO, std::move(frame), [self = actors::ref_of(self_)] {
      actors::send(self, FrameWritten{});
    });
  }

  void finish_display() {
    switch (settings_.display) {
      case Display::table:
        frame_waits_ = false;
        draw_frame();
        print(STDERR_FILENO, painter_.finish() + view_.summary());
        return;
      case Display::lines:
        print(STDERR_FILENO, view_.summary());
        return;
      case Display::json:
        return;
    }
  }

  void write_record() {
    auto written = [self = actors::ref_of(self_)] {
      actors::send(self, RunWritten{});
    };
    boost::asio::post(
        engine_.io(), [printer = printer_, written, text = record_.text(),
                       path = order_->folder->path() + "/run.json"] {
          auto job = std::make_shared<PrintJob>();
          job->fd = STDERR_FILENO;
          if (const auto done = replace_file(path, text); !done)
            job->bytes = fmt::format("troupe: {}\n", done.error().what);
          job->done = written;
          actors::send(printer, Print{std::move(job)});
        });
  }

  Actor* self_;
  node::Engine& engine_;
  std::shared_ptr<RunOrder> order_;
  Plan& plan_;
  const RunSettings& settings_;
  ActorRef printer_;
  std::function<void(workflow::RunResult)> on_end_;

  std::vector<JobRef> jobs_;          ///< By instance.
  std::vector<std::string> folders_;  ///< Likewise.
  std::map<std::string, const workflow::Job*> by_name_;
  std::map<std::string, std::vector<std::string>> keys_;  ///< By job.

  std::map<StepId, Running> steps_;
  std::map<CommandId, StepId> commands_;
  std::optional<StepId> reported_;
  flow_control::MemoryGovernor governor_{
      {.max_running = fanout::most_job_slots}};
  bool said_held_ = false;
  std::optional<TimePoint> next_tick_;  ///< One that is on its way.
  bool cancelled_ = false;
  PausableClock clock_;

  RunView view_;
  RunRecord record_;
  FramePainter painter_;
  bool frame_waits_ = false;
};

}  // namespace

ActorRef spawn_run(node::Engine& engine, RunOrder order, ActorRef printer,
                   std::function<void(workflow::RunResult)> on_end) {
  return actors::spawn<RunActor>(engine.system(), engine,
                                 std::make_shared<RunOrder>(std::move(order)),
                                 std::move(printer), std::move(on_end));
}

}  // namespace troupe::cli
