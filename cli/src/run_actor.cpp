#include "run_actor.hpp"

#include "approval_question.hpp"
#include "batch.hpp"
#include "file_io.hpp"
#include "printer_actor.hpp"
#include "run_event.hpp"
#include "run_json.hpp"
#include "run_lines.hpp"
#include "run_mask.hpp"
#include "run_names.hpp"
#include "run_values.hpp"
#include "run_view.hpp"
#include "terminal.hpp"
#include "terminal_lines.hpp"

#include <troupe/actors/messages.hpp>
#include <troupe/base/assert.hpp>
#include <troupe/base/overload.hpp>
#include <troupe/base/pausable_clock.hpp>
#include <troupe/base/text.hpp>
#include <troupe/base/wall_time.hpp>
#include <troupe/fanout/job_slots.hpp>
#include <troupe/flow_control/memory_governor.hpp>
#include <troupe/node/approvers.hpp>
#include <troupe/node/machine.hpp>
#include <troupe/node/step_secrets.hpp>

#include <boost/asio/post.hpp>

#include <algorithm>
#include <deque>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <map>
#include <optional>
#include <set>
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
constexpr Duration run_sample_interval = 1s;
constexpr Duration hold_interval = 100ms;

/// Which step of the run.
using StepId = std::pair<InstanceId, std::size_t>;

struct PlanTick {};
struct RunSampleTick {};
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
/// The same of a notice.
struct TellAgain {
  std::uint64_t number = 0;
};
/// A job waits for approval, for which people are asked when all else that
/// follows has been done.
struct AskApproval {
  std::string job;
  std::string prompt;
};
/// From the I/O thread: what somebody has typed; nothing if nobody will.
struct LineTyped {
  std::optional<std::string> line;
};
/// All output has been written, and so has run.json.
struct RunWritten {};

}  // namespace
}  // namespace troupe::cli

TROUPE_LOCAL_MESSAGE(troupe::cli::PlanTick)
TROUPE_LOCAL_MESSAGE(troupe::cli::RunSampleTick)
TROUPE_LOCAL_MESSAGE(troupe::cli::FrameTick)
TROUPE_LOCAL_MESSAGE(troupe::cli::FrameWritten)
TROUPE_LOCAL_MESSAGE(troupe::cli::CleanUpOver)
TROUPE_LOCAL_MESSAGE(troupe::cli::OutputsRead)
TROUPE_LOCAL_MESSAGE(troupe::cli::SubmitAgain)
TROUPE_LOCAL_MESSAGE(troupe::cli::TellAgain)
TROUPE_LOCAL_MESSAGE(troupe::cli::AskApproval)
TROUPE_LOCAL_MESSAGE(troupe::cli::LineTyped)
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
        [this](const TellAgain& m) { submit_notice(m.number); },
        [this](const AskApproval& m) { on_approval_wanted(m); },
        [this](const LineTyped& m) { on_line(m); },
        [this](PlanTick) {
          next_tick_.reset();
          perform(plan_.on_time(now()));
        },
        [this](StopStarting) {
          if (plan_.result()) {
            cancel();
            return;
          }
          tell(Notice{"stopping: what runs may finish; once more to end it"});
          perform(plan_.stop_starting(now()));
        },
        [this](EndJobs) { cancel(); },
        [this](const Suspend& m) { suspend(m); },
        [this](Resume) {
          clock_.resume(actors::now(self_));
          if (services_run_)
            order_->services->pass_on(Resume{});
        },
        [this](CleanUpOver) {
          if (!plan_.result())
            perform(plan_.cancel(now()));
        },
        [this](RunSampleTick) { on_sample(); },
        [this](FrameTick) { on_frame_tick(); },
        [this](FrameWritten) { frame_waits_ = false; },
        [this](const ServicesNews& m) { on_services(m.what); },
        [this](const ServicesOver& m) { on_services_over(m.end); },
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

  /// What tells people something of the run.
  struct Telling {
    std::string what;  ///< "failure by mail"
    std::shared_ptr<const actors::CommandRequest> request;
    std::shared_ptr<StepLog> log;
    CommandId command;  ///< None while the engine is full.
  };

  [[nodiscard]] TimePoint now() const { return clock_.at(actors::now(self_)); }

  /// The names of all jobs, steps and folders, none of which ever changes.
  void name_things() {
    std::vector<std::string> labels;
    for (const Plan::Instance& instance : plan_.instances()) {
      labels.push_back(instance.label);
      jobs_.push_back(job_ref(instance));
    }
    // The logs of services have a folder, too.
    labels.insert(labels.begin(), service_log_folder);
    folders_ = unique_file_names(labels);
    folders_.erase(folders_.begin());
  }

  static JobRef job_ref(const Plan::Instance& instance) {
    return {instance.id, instance.job, instance.label, instance.caller};
  }

  void begin() {
    tell(RunStarted{.run_id = order_->folder->id(),
                    .workflow = plan_.workflow().name,
                    .title = plan_.title(),
                    .file = settings_.file,
                    .folder = order_->folder->path(),
                    .jobs = jobs_,
                    .path = settings_.path,
                    .max_parallel = settings_.max_parallel});
    tell_people(notices_of_start(plan_));
    perform(plan_.start(now()));
    send_after(self_, run_sample_interval, RunSampleTick{});
    if (settings_.display == Display::table)
      send_self(self_, FrameTick{});
  }

  [[nodiscard]] const JobRef& job_ref(InstanceId id) const {
    return jobs_.at(static_cast<std::size_t>(id.value - 1));
  }

  [[nodiscard]] StepRef step_ref(StepId id, std::string name) const {
    return {job_ref(id.first), id.second,
            workflow::step_key(definition_of(id.first), id.second),
            std::move(name)};
  }

  [[nodiscard]] const workflow::Job& definition_of(InstanceId id) const {
    return *plan_.instances()[static_cast<std::size_t>(id.value - 1)]
                .definition;
  }

  [[nodiscard]] const workflow::Step& step_of(StepId id) const {
    return definition_of(id.first).steps.at(id.second);
  }

  // -- What the plan wants ----------------------------------------------------

  void perform(workflow::Actions actions) {
    tell_people(notices_of(actions, plan_));
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
        folder, name, fmt::format("{}/{}.outputs", folder, name), order_->mask,
        action.printed);
    tell(StepStarted{step.ref, action.line, step.attempts});

    if (action.cache && !order_->cached_secrets.empty()) {
      action.argv.insert(
          action.argv.begin(),
          {order_->content.program, std::string{node::with_secrets_command}});
      action.env.emplace_back(node::secrets_variable, order_->cached_secrets);
    }
    auto request = std::make_shared<actors::CommandRequest>();
    process::CommandSpec& spec = request->spec;
    spec.argv = workflow::content_argv(action, order_->content);
    spec.working_directory = std::move(action.working_directory);
    spec.env = std::move(action.env);
    spec.env.emplace_back(workflow::output_variable, step.log->outputs());
    // What is to be taken from one stream must not have the other in it.
    spec.standard_error = action.printed.empty() ? process::Output::merge
                                                 : process::Output::capture;
    spec.time_limit = action.timeout;
    spec.silence_limit = action.silence;
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
        governor_.observe(node::look_at_machine(), commands_.size());
    if (admission == flow_control::Admission::hold &&
        !std::exchange(said_held_, true))
      tell(Notice{"memory is short: steps wait for more of it"});
    send_after(self_, run_sample_interval, RunSampleTick{});
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
    if (question_ && !awaits(question_->job()))
      drop_question();
  }

  // -- Approvals --------------------------------------------------------------

  void perform(const workflow::ApprovalWanted& action) {
    const std::string& job = job_ref(action.instance).job;
    if (wanted_.insert(job).second)
      send_self(self_, AskApproval{job, action.prompt});
  }

  [[nodiscard]] bool awaits(const std::string& job) const {
    const auto all = plan_.instances();
    return std::any_of(all.begin(), all.end(), [&](const Plan::Instance& one) {
      return one.job == job && one.state == workflow::JobState::awaiting;
    });
  }

  [[nodiscard]] const workflow::Approval& approval_of(
      const std::string& job) const {
    const auto all = plan_.instances();
    const auto found =
        std::find_if(all.begin(), all.end(),
                     [&](const Plan::Instance& one) { return one.job == job; });
    TROUPE_ASSERT(found != all.end() && found->definition->approval);
    return *found->definition->approval;
  }

  void on_approval_wanted(const AskApproval& m) {
    wanted_.erase(m.job);
    if (!awaits(m.job))
      return;
    const workflow::Approval& approval = approval_of(m.job);
    const auto given = settings_.approvals.find(m.job);
    if (!approval.approvers.empty() &&
        !node::is_one_of(::getuid(), approval.approvers)) {
      reject(m.job, fmt::format("{} is not among those who may approve it: {}",
                                node::user_name(::geteuid()),
                                fmt::join(approval.approvers, ", ")));
    } else if (given != settings_.approvals.end() || settings_.approve_all) {
      workflow::ApprovalAnswer answer;
      if (given != settings_.approvals.end())
        answer.inputs = given->second;
      answer_approval(m.job, std::move(answer));
    } else if (settings_.can_ask) {
      questions_.push_back(m);
      ask_next();
    } else {
      reject(m.job,
             fmt::format("it needs approval, and nobody can be asked here: "
                         "--approve {}",
                         m.job));
    }
  }

  void reject(const std::string& job, std::string why) {
    workflow::ApprovalAnswer answer;
    answer.approved = false;
    answer.reason = std::move(why);
    auto actions = plan_.answer(job, answer, now());
    if (actions)
      perform(std::move(*actions));
  }

  void answer_approval(const std::string& job,
                       workflow::ApprovalAnswer answer) {
    answer.who = node::user_name(::geteuid());
    auto actions = plan_.answer(job, answer, now());
    if (actions)
      perform(std::move(*actions));
    else
      reject(job, actions.error().what);
  }

  void ask_next() {
    while (!question_ && !questions_.empty()) {
      const AskApproval next = std::move(questions_.front());
      questions_.pop_front();
      if (!awaits(next.job))
        continue;
      if (!lines_) {
        auto lines = TerminalLines::open(engine_.io());
        if (!lines) {
          reject(next.job, lines.error().what);
          continue;
        }
        lines_ = std::move(*lines);
      }
      if (settings_.display == Display::table)
        print(STDERR_FILENO, painter_.erase() + painter_.finish());
      lines_->forget_typed();
      question_.emplace(next.job, approval_of(next.job), next.prompt,
                        settings_.surroundings);
      ask();
    }
  }

  void ask() {
    print(STDERR_FILENO, question_->text());
    lines_->read([self = actors::ref_of(self_)](auto line) {
      actors::send(self, LineTyped{std::move(line)});
    });
  }

  void on_line(const LineTyped& m) {
    if (!question_)
      return;
    if (!m.line)
      print(STDERR_FILENO, "\n");
    auto answer =
        m.line ? question_->take(*m.line)
               : std::optional{workflow::ApprovalAnswer{
                     .approved = false, .who = {}, .reason = {}, .inputs = {}}};
    if (!answer) {
      ask();
      return;
    }
    const std::string job = question_->job();
    question_.reset();
    answer_approval(job, std::move(*answer));
    ask_next();
  }

  /// It has been answered by the end of the run, or by time.
  void drop_question() {
    question_.reset();
    lines_->stop();
    print(STDERR_FILENO, "\n");
    ask_next();
  }

  void perform(const workflow::JobExpanded& action) {
    JobExpanded event{
        .job = action.job, .jobs = {}, .is_called = action.is_called};
    for (const InstanceId id : action.instances) {
      const auto i = static_cast<std::size_t>(id.value - 1);
      const Plan::Instance& instance = plan_.instances()[i];
      if (i >= jobs_.size()) {
        jobs_.resize(i + 1);
        folders_.resize(i + 1);
      }
      jobs_[i] = job_ref(instance);
      folders_[i].clear();
      event.jobs.push_back(jobs_[i]);
    }
    // Those that there are come first, so that they stay as they are.
    std::vector<std::string> names{service_log_folder};
    for (const std::string& folder : folders_) {
      if (!folder.empty())
        names.push_back(folder);
    }
    const std::size_t kept = names.size();
    for (const JobRef& job : event.jobs)
      names.push_back(job.label);
    names = unique_file_names(names);
    for (std::size_t n = 0; n < event.jobs.size(); ++n)
      folders_[static_cast<std::size_t>(event.jobs[n].instance.value - 1)] =
          names[kept + n];
    tell(std::move(event));
  }

  void perform(const workflow::GroupDecided& action) { tell(action); }

  void perform(const workflow::RunFinished&) {
    if (services_run_)
      order_->services->pass_on(TakeDown{});
    else
      finish();
  }

  void finish() {
    is_over_ = true;
    tell(RunEnded{*plan_.result()});
    finish_display();
    if (lines_)
      lines_->stop();
    write_record_once_told();
  }

  // -- Services ---------------------------------------------------------------

  void perform(const workflow::StartServices&) {
    services_run_ = true;
    availability_.emplace(order_->services->root());
    order_->services->start(engine_, printer_, actors::ref_of(self_));
  }

  void on_services(const StackNews& news) {
    const auto changes = note_news(*availability_, news);
    if (const auto* said = std::get_if<StackSaid>(&news))
      tell(Notice{fmt::format("services: {}", printable(said->text))});
    if (const auto* of_one = std::get_if<service::ServiceNews>(&news))
      tell_state(*of_one);
    apply(changes);
  }

  void tell_state(const service::ServiceNews& news) {
    using State = ServiceChanged::State;
    std::visit(Overload{[&](const service::ServiceLaunched& launched) {
                          tell_state(news.service, State::starting, {},
                                     launched.pid);
                        },
                        [&](const service::ServiceReady&) {
                          tell_state(news.service, State::ready, {});
                        },
                        [](const service::ServiceTrouble&) {},
                        [&](const service::ServiceEnd& end) {
                          tell_state(news.service, State::ended, describe(end));
                        }},
               news.what);
  }

  void tell_state(const std::string& service, ServiceChanged::State state,
                  std::string reason, int pid = 0) {
    tell(ServiceChanged{service, state, pid, std::move(reason),
                        order_->services->log_of(service)});
  }

  void on_services_over(const StackEnd& end) {
    services_run_ = false;
    if (plan_.result())
      finish();
    else
      apply(availability_->on_tree_ended(end.why));
  }

  void apply(const service::AvailabilityCore::Changes& changes) {
    for (const service::AvailabilityChange& change : changes) {
      if (change.state == service::Availability::lost && !plan_.result())
        tell_state(change.service, ServiceChanged::State::lost, change.why);
      perform(plan_.on_service(change, now()));
    }
  }

  // -- Notices ----------------------------------------------------------------

  void tell_people(const std::vector<workflow::NoticeOrder>& orders) {
    using If = workflow::NoticeOrder::If;
    for (const workflow::NoticeOrder& order : orders) {
      if (order.condition == If::always ||
          settings_.failed_before == (order.condition == If::recovered))
        tell_people(order);
    }
  }

  void tell_people(const workflow::NoticeOrder& order) {
    const workflow::NotifyRule& rule = plan_.workflow().notify.at(order.rule);
    const std::string_view route = to_string(rule.route);
    const std::uint64_t number = ++last_notice_;
    Telling telling;
    telling.what = fmt::format("{} by {}", to_string(order.notice.kind), route);
    const std::string folder = order_->folder->path() + "/notify";
    telling.log = std::make_shared<StepLog>(
        folder, fmt::format("{}-{}", number, to_string(order.notice.kind)),
        fmt::format("{}/{}.outputs", folder, number), order_->mask,
        std::vector<workflow::PrintedOutput>{});
    auto request = std::make_shared<actors::CommandRequest>();
    request->retry = workflow::notice_retries();
    process::CommandSpec& spec = request->spec;
    spec.argv = {order_->content.program,
                 std::string{workflow::deliver_command}, std::string{route}};
    spec.env = {
        {std::string{workflow::notice_variable},
         notice_json(order.notice, {.id = order_->folder->id(),
                                    .workflow = plan_.workflow().name,
                                    .title = plan_.title(),
                                    .file = settings_.file,
                                    .time = format_wall_time(
                                        std::chrono::system_clock::now())})},
        {std::string{workflow::notice_target_variable}, rule.to}};
    spec.standard_error = process::Output::merge;
    spec.time_limit = workflow::longest_delivery;
    telling.request = std::move(request);
    notices_.emplace(number, std::move(telling));
    submit_notice(number);
  }

  void submit_notice(std::uint64_t number) {
    const auto found = notices_.find(number);
    if (found == notices_.end())
      return;
    Telling& telling = found->second;
    const auto command =
        engine_.submit(telling.request, telling.log, actors::ref_of(self_));
    if (command)
      telling.command = *command;
    else
      send_after(self_, submit_interval, TellAgain{number});
  }

  /// False if the command is none of a notice.
  bool end_notice(const actors::CommandFinished& m) {
    const auto found = std::find_if(
        notices_.begin(), notices_.end(),
        [&](const auto& one) { return one.second.command == m.id; });
    if (found == notices_.end())
      return false;
    if (m.outcome->kind != actors::OutcomeKind::success)
      tell(Notice{fmt::format(
          "nobody was told of {}: {}; see {}", found->second.what,
          actors::describe(m.outcome->causes),
          found->second.log->path(
              static_cast<std::uint32_t>(m.outcome->attempts.size())))});
    boost::asio::post(engine_.io(), [log = found->second.log] {
      log->finish();
      ::unlink(log->outputs().c_str());
    });
    notices_.erase(found);
    write_record_once_told();
    return true;
  }

  /// Somebody who ends the run twice does not wait for those either.
  void cancel_notices() {
    for (auto it = notices_.begin(); it != notices_.end();) {
      if (it->second.command) {
        actors::send(engine_.commands(),
                     actors::CancelCommand{it->second.command, {}});
        ++it;
      } else {
        it = notices_.erase(it);
      }
    }
    write_record_once_told();
  }

  void write_record_once_told() {
    if (is_over_ && notices_.empty() && !std::exchange(has_ended_, true))
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
    if (!found) {
      end_notice(m);
      return;
    }
    const StepId id = found.mapped();
    if (const auto& attempts = m.outcome->attempts;
        !attempts.empty() && attempts.back().report)
      governor_.on_finished(attempts.back().report->max_rss_bytes);
    boost::asio::post(
        engine_.io(), [self = actors::ref_of(self_), id, outcome = m.outcome,
                       log = steps_.at(id).log, mask = order_->mask] {
          log->finish();
          // Else a secret could reach a command line, where all can see it.
          auto outputs = take_outputs(log->outputs(), *mask);
          if (outputs && outcome->kind == actors::OutcomeKind::success) {
            if (auto taken = log->take_printed(*outputs); !taken)
              outputs = tl::unexpected{std::move(taken.error())};
          }
          actors::send(self, OutputsRead{id, outcome, std::move(outputs)});
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
      tell(Notice{fmt::format("{}: {}", title_of(step.ref.job),
                              printable(incident.what))});
    if (!outcome.attempts.empty()) {
      for (const std::string& note : outcome.attempts.back().notes)
        tell(Notice{
            fmt::format("{}: {}", title_of(step.ref.job), printable(note))});
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
      event.tail = outcome.attempts.back().stdout_tail +
                   outcome.attempts.back().stderr_tail;
    }
    auto actions = plan_.on_step_finished(
        id.first, id.second,
        {outcome.kind, outcome.exit_status, std::move(outputs), outcome.causes},
        now());
    // How the plan takes it comes first of all that follows.
    if (!actions.empty()) {
      if (const auto* const ended =
              std::get_if<workflow::StepEnded>(&actions.front())) {
        event.outcome = ended->outcome;
        event.forgiven = ended->forgiven;
        if (!ended->reason.empty())
          event.reason = ended->reason;
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
    if (plan_.result()) {
      // All that is left are notices, and services on their way out.
      cancel_notices();
      if (services_run_)
        order_->services->pass_on(EndJobs{});
      return;
    }
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
    cancel_notices();
    if (!plan_.result())
      perform(plan_.cancel(now()));
  }

  void suspend(const Suspend& m) {
    clock_.pause(actors::now(self_));
    if (services_run_)
      order_->services->pass_on(Suspend{[] {}});
    print(STDERR_FILENO, painter_.finish(), m.ready);
  }

  // -- What people see --------------------------------------------------------

  template <class Event>
  void tell(Event what) {
    RunEvent event{std::chrono::system_clock::now(), now(), std::move(what)};
    hide_secrets(event, *order_->mask);
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
        if (std::string line = line_of(event, time_of_day(event.at));
            !line.empty())
          print_above(STDERR_FILENO, std::move(line));
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
    if (question_ && (fd == STDERR_FILENO || settings_.shared_terminal)) {
      print(STDERR_FILENO, "\n");
      print(fd, std::move(text));
      print(STDERR_FILENO, question_->text());
      return;
    }
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
    if (is_over_)
      return;
    draw_frame();
    send_after(self_, frame_interval, FrameTick{});
  }

  /// Not before the last one has been written: a slow terminal gets fewer.
  void draw_frame() {
    if (frame_waits_ || clock_.paused() || question_)
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

  std::map<StepId, Running> steps_;
  std::map<CommandId, StepId> commands_;
  std::optional<StepId> reported_;
  flow_control::MemoryGovernor governor_{
      {.max_running = fanout::most_job_slots}};
  bool said_held_ = false;
  std::optional<TimePoint> next_tick_;  ///< One that is on its way.
  bool cancelled_ = false;
  PausableClock clock_;

  /// Of the services, once they have been started.
  std::optional<service::AvailabilityCore> availability_;
  bool services_run_ = false;
  bool is_over_ = false;  ///< No job and no service runs any more.

  std::map<std::uint64_t, Telling> notices_;  ///< On their way.
  std::uint64_t last_notice_ = 0;
  bool has_ended_ = false;  ///< And so have all notices.

  std::set<std::string> wanted_;       ///< Approvals on their way to us.
  std::deque<AskApproval> questions_;  ///< That are still to be asked.
  std::optional<ApprovalQuestion> question_;
  std::optional<TerminalLines> lines_;

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
