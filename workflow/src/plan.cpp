#include "command_argv.hpp"

#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/config/diagnostics.hpp>
#include <troupe/supervisor/restart_window.hpp>
#include <troupe/workflow/plan.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <set>

namespace troupe::workflow {
namespace {

constexpr std::size_t name_columns = 60;

/// What a job's end means to the run and to the jobs that need it.
enum class Verdict : std::uint8_t { success, failure, cancelled, skipped };

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::success:
      return "success";
    case Verdict::failure:
      return "failure";
    case Verdict::cancelled:
      return "cancelled";
    case Verdict::skipped:
      return "skipped";
  }
  return "skipped";
}

bool holds(When when, Verdict verdict) {
  switch (when) {
    case When::succeeded:
      return verdict == Verdict::success;
    case When::finished:
      return true;
    case When::failed:
      return verdict == Verdict::failure;
  }
  return false;
}

/// A step that has ended or was passed over.
struct StepRecord {
  StepOutcome outcome = StepOutcome::skipped;
  StepOutcome conclusion = StepOutcome::skipped;  ///< After continue-on-error.
  bool timed_out = false;
  Outputs outputs;
};

/// What the plan knows of an instance besides what displays need.
struct Progress {
  std::size_t job = 0;  ///< Index in the workflow.
  Value matrix;
  std::vector<StepRecord> steps;  ///< As many as have ended.
  bool step_runs = false;         ///< The one after `steps`.
  bool stop_asked = false;        ///< For that step.
  /// By fail-fast or with the run. A job that starts after that, since its
  /// `if` says so, is not: its steps run as usual.
  bool cancelled = false;
  std::uint32_t restarts = 0;
  bool restarts_at_end = false;  ///< With its group.
  bool out_of_time = false;      ///< Of the job.
  bool step_out_of_time = false;
  std::optional<TimePoint> job_deadline;
  std::optional<TimePoint> step_deadline;
  Value env;                            ///< Of the workflow and the job.
  Value steps_so_far{Value::Object{}};  ///< By id, for expressions.
  Value outputs;
};

/// What the plan knows of a job with all its instances.
struct JobProgress {
  std::size_t first = 0;               ///< Index of its first instance.
  std::size_t left = 0;                ///< Instances that have not ended.
  std::size_t running = 0;             ///< Instances.
  std::size_t needs_left = 0;          ///< Jobs before it that have not ended.
  std::vector<std::size_t> needed_by;  ///< Indices of jobs.
  Value needs;                         ///< For expressions, once none is left.
  bool needs_changed = true;           ///< Since `needs` was made.
  bool has_ended = false;              ///< Those after it have been told.
  // Once it has:
  Verdict verdict = Verdict::skipped;
  bool failed_before = false;  ///< It, or a job before it.
  Value outputs;
};

/// What the plan knows of a group.
struct GroupProgress {
  supervisor::RestartWindow window;
  std::vector<std::size_t> jobs{};  ///< In the order of the file.
  std::size_t stopping = 0;         ///< Instances that have to end first.
};

using Variables = std::vector<std::pair<std::string, std::string>>;

void put(Value::Object& object, const std::string& name, Value value) {
  for (auto& [key, old] : object) {
    if (key == name) {
      old = std::move(value);
      return;
    }
  }
  object.emplace_back(name, std::move(value));
}

std::string_view first_line(std::string_view text) {
  const std::size_t start = text.find_first_not_of(" \t\r\n");
  if (start == std::string_view::npos)
    return {};
  return text.substr(start, text.find('\n', start) - start);
}

/// The text in front of every problem with an input.
Error input_error(const Workflow& workflow, config::Span where,
                  std::string message, std::string hint) {
  config::Diagnostics diagnostics{workflow.source};
  diagnostics.add(where, std::move(message), std::move(hint));
  return diagnostics.error();
}

}  // namespace

std::string_view to_string(JobState state) {
  switch (state) {
    case JobState::pending:
      return "pending";
    case JobState::ready:
      return "ready";
    case JobState::running:
      return "running";
    case JobState::succeeded:
      return "succeeded";
    case JobState::failed:
      return "failed";
    case JobState::timed_out:
      return "timed_out";
    case JobState::cancelled:
      return "cancelled";
    case JobState::skipped:
      return "skipped";
  }
  return "unknown";
}

bool has_ended(JobState state) {
  switch (state) {
    case JobState::pending:
    case JobState::ready:
    case JobState::running:
      return false;
    case JobState::succeeded:
    case JobState::failed:
    case JobState::timed_out:
    case JobState::cancelled:
    case JobState::skipped:
      return true;
  }
  return true;
}

std::string_view to_string(StepOutcome outcome) {
  switch (outcome) {
    case StepOutcome::success:
      return "success";
    case StepOutcome::failure:
      return "failure";
    case StepOutcome::cancelled:
      return "cancelled";
    case StepOutcome::skipped:
      return "skipped";
  }
  return "unknown";
}

std::string_view to_string(RunResult result) {
  switch (result) {
    case RunResult::success:
      return "success";
    case RunResult::failure:
      return "failure";
    case RunResult::cancelled:
      return "cancelled";
  }
  return "unknown";
}

class Plan::Machine {
 public:
  Machine(std::shared_ptr<const Workflow> workflow, PlanOptions options)
      : workflow_{std::move(workflow)}, options_{std::move(options)} {}

  /// Checks the inputs and makes the instances with their labels.
  Result<void> set_up() {
    if (auto checked = check_inputs(); !checked)
      return checked;
    Value::Object inputs;
    for (const auto& [name, value] : options_.inputs)
      put(inputs, name, Value{value});
    inputs_ = Value{std::move(inputs)};
    run_ = Value{Value::Object{{"id", Value{options_.run_id}},
                               {"name", Value{workflow_->name}}}};
    env_ = Value{Value::Object{}};
    Environment environment{{{"inputs", &inputs_}, {"run", &run_}}};
    auto env = resolve_all(workflow_->env, environment, Value::Object{});
    if (!env)
      return tl::unexpected{std::move(env.error()).within("env")};
    env_ = Value{std::move(*env)};
    jobs_.resize(workflow_->jobs.size());
    for (const JobGroup& group : workflow_->groups)
      groups_.push_back({supervisor::RestartWindow{
          static_cast<std::size_t>(group.intensity), group.period}});
    const auto wanted = wanted_jobs();
    if (!wanted)
      return tl::unexpected{wanted.error()};
    for (std::size_t i = 0; i < workflow_->jobs.size(); ++i) {
      if (!wanted->at(i))
        continue;
      jobs_[i].needs_left = workflow_->jobs[i].needs.size();
      for (const Need& need : workflow_->jobs[i].needs)
        jobs_[need.job].needed_by.push_back(i);
      if (const auto group = workflow_->jobs[i].group)
        groups_[*group].jobs.push_back(i);
      if (auto added = add_instances(i); !added)
        return added;
    }
    return {};
  }

  Actions start(TimePoint now) {
    pump(now);
    return take_actions();
  }

  Actions on_step_finished(InstanceId id, std::size_t step, StepResult result,
                           TimePoint now) {
    if (id.value == 0 || id.value > instances_.size())
      return {};
    const std::size_t i = index(id);
    Progress& progress = progress_[i];
    if (!progress.step_runs || progress.steps.size() != step)
      return {};
    end_step(i, std::move(result));
    now_ = now;
    advance(i, now);
    pump(now);
    return take_actions();
  }

  Actions on_time(TimePoint now) {
    for (std::size_t i = 0; i < instances_.size(); ++i) {
      Progress& progress = progress_[i];
      if (progress.job_deadline && *progress.job_deadline <= now) {
        progress.out_of_time = true;
        progress.job_deadline.reset();
        stop_step(i);
      }
      if (progress.step_deadline && *progress.step_deadline <= now) {
        progress.step_out_of_time = true;
        progress.step_deadline.reset();
        stop_step(i);
      }
    }
    return take_actions();
  }

  std::optional<TimePoint> next_deadline() const {
    std::optional<TimePoint> next;
    for (const Progress& progress : progress_) {
      for (const auto& deadline :
           {progress.job_deadline, progress.step_deadline}) {
        if (deadline && (!next || *deadline < *next))
          next = deadline;
      }
    }
    return next;
  }

  Actions cancel(TimePoint now) {
    const bool again = std::exchange(cancelled_, true);
    for (std::size_t i = 0; i < instances_.size(); ++i) {
      switch (instances_[i].state) {
        case JobState::pending:
          if (again)
            end_instance(i, JobState::cancelled, "the run was cancelled");
          break;
        case JobState::ready:
          if (again || !wants_to_run(i))
            end_instance(i, JobState::cancelled, reason_to_cancel());
          break;
        case JobState::running:
          progress_[i].cancelled = true;
          if (again || !current_step_wants_to_run(i))
            stop_step(i);
          break;
        case JobState::succeeded:
        case JobState::failed:
        case JobState::timed_out:
        case JobState::cancelled:
        case JobState::skipped:
          break;
      }
    }
    cancelled_twice_ = again;
    pump(now);
    return take_actions();
  }

  Actions stop_starting(TimePoint now) {
    stopping_ = true;
    for (std::size_t i = 0; i < instances_.size(); ++i) {
      if (instances_[i].state == JobState::ready && !wants_to_run(i))
        end_instance(i, JobState::cancelled, reason_to_cancel());
    }
    pump(now);
    return take_actions();
  }

  const Workflow& workflow() const { return *workflow_; }
  std::span<const Instance> instances() const { return instances_; }
  std::optional<RunResult> result() const { return result_; }

 private:
  static std::size_t index(InstanceId id) {
    return static_cast<std::size_t>(id.value - 1);
  }

  const Job& job_of(std::size_t i) const {
    return workflow_->jobs[progress_[i].job];
  }

  Actions take_actions() { return std::exchange(actions_, {}); }

  Result<void> check_inputs() const {
    std::vector<std::string_view> used;
    for (const InputUse& use : workflow_->inputs)
      used.push_back(use.name);
    std::set<std::string_view> given;
    for (const auto& [name, value] : options_.inputs) {
      if (value.find('\0') != std::string::npos)
        return failure(Errc::invalid_argument,
                       fmt::format("the input \"{}\" has a NUL byte", name));
      if (std::find(used.begin(), used.end(), name) == used.end())
        return tl::unexpected{input_error(
            *workflow_, {},
            fmt::format("unknown input \"{}\"", ellipsize(printable(name), 60)),
            config::did_you_mean(name, used))};
      given.insert(name);
    }
    for (const InputUse& use : workflow_->inputs) {
      if (!given.contains(use.name))
        return tl::unexpected{input_error(
            *workflow_, use.where,
            fmt::format("no value for the input \"{}\"", use.name),
            fmt::format("give it with --input {}=VALUE", use.name))};
    }
    return {};
  }

  /// Of each job, whether the run has it.
  Result<std::vector<bool>> wanted_jobs() const {
    const auto& jobs = workflow_->jobs;
    if (options_.only_job.empty())
      return std::vector<bool>(jobs.size(), true);
    std::vector<std::string_view> names;
    std::vector<std::size_t> open;
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      names.push_back(jobs[i].id);
      if (jobs[i].id == options_.only_job)
        open.push_back(i);
    }
    if (open.empty())
      return tl::unexpected{input_error(
          *workflow_, {},
          fmt::format("no job \"{}\"",
                      ellipsize(printable(options_.only_job), name_columns)),
          config::did_you_mean(options_.only_job, names))};
    std::vector<bool> wanted(jobs.size(), false);
    while (!open.empty()) {
      const std::size_t i = open.back();
      open.pop_back();
      if (wanted[i])
        continue;
      wanted[i] = true;
      for (const Need& need : jobs[i].needs)
        open.push_back(need.job);
    }
    return wanted;
  }

  Result<void> add_instances(std::size_t job_index) {
    const Job& job = workflow_->jobs[job_index];
    jobs_[job_index].first = instances_.size();
    jobs_[job_index].left = job.matrix.size();
    for (const Value::Object& combination : job.matrix) {
      Progress progress;
      progress.job = job_index;
      progress.matrix = Value{combination};
      Instance instance;
      instance.id = InstanceId{instances_.size() + 1};
      instance.job = job.id;
      Environment environment{{{"inputs", &inputs_},
                               {"run", &run_},
                               {"env", &env_},
                               {"matrix", &progress.matrix}}};
      auto name = resolve(job.name, environment);
      if (!name)
        return tl::unexpected{
            std::move(name.error()).within(fmt::format("job {}", job.id))};
      instance.label = label(job, *name, combination);
      instances_.push_back(std::move(instance));
      progress_.push_back(std::move(progress));
    }
    return {};
  }

  /// "pull (eu, a)"; a name of its own is taken as it is.
  static std::string label(const Job& job, const std::string& name,
                           const Value::Object& combination) {
    if (!name.empty())
      return name;
    std::string values;
    for (const auto& [key, value] : combination)
      values += (values.empty() ? "" : ", ") +
                ellipsize(printable(value.text()), name_columns);
    return values.empty() ? job.id : fmt::format("{} ({})", job.id, values);
  }

  /// `around` with the variables of `env`, later ones winning.
  static Result<Value::Object> resolve_all(
      const std::vector<NamedTemplate>& env, const Environment& environment,
      Value::Object around) {
    for (const NamedTemplate& variable : env) {
      auto value = resolve(variable.value, environment);
      if (!value)
        return tl::unexpected{std::move(value.error()).within(variable.name)};
      put(around, variable.name, Value{std::move(*value)});
    }
    return around;
  }

  /// Starts what can start until nothing changes, then looks for the end.
  void pump(TimePoint now) {
    now_ = now;
    for (bool changed = true; std::exchange(changed, false);) {
      for (std::size_t i = 0; i < instances_.size(); ++i) {
        if (instances_[i].state == JobState::pending &&
            jobs_[progress_[i].job].needs_left == 0 && !awaits_group(i)) {
          judge(i);
          changed = true;
        }
        if (instances_[i].state == JobState::ready && has_place(i) &&
            !awaits_group(i)) {
          run(i, now);
          changed = true;
        }
      }
    }
    const bool over = std::all_of(
        instances_.begin(), instances_.end(),
        [](const Instance& instance) { return has_ended(instance.state); });
    if (over && !result_) {
      result_ = verdict();
      actions_.push_back(RunFinished{*result_});
    }
  }

  /// Whether others of its group have to end first.
  bool awaits_group(std::size_t i) const {
    const auto group = job_of(i).group;
    return group && groups_[*group].stopping > 0;
  }

  bool has_place(std::size_t i) const {
    return running_ < std::max<std::size_t>(1, options_.max_parallel) &&
           jobs_[progress_[i].job].running < job_of(i).max_parallel;
  }

  void judge(std::size_t i) {
    JobProgress& job = jobs_[progress_[i].job];
    if (std::exchange(job.needs_changed, false))
      job.needs = needs_value(job_of(i));
    if (wants_to_run(i))
      change(i, JobState::ready, {});
    else if (is_ending())
      end_instance(i, JobState::cancelled, reason_to_cancel());
    else
      end_instance(i, JobState::skipped, reason_to_skip(i));
  }

  std::string reason_to_skip(std::size_t i) const {
    for (const Need& need : job_of(i).needs) {
      if (!holds(need.when, jobs_[need.job].verdict))
        return fmt::format("job \"{}\" ended with {}",
                           workflow_->jobs[need.job].id,
                           to_string(jobs_[need.job].verdict));
    }
    return "its condition is false";
  }

  /// For jobs that have not started, a run whose running jobs may finish is as
  /// cancelled as one whose jobs are stopped.
  bool is_ending() const { return cancelled_ || stopping_; }

  std::string reason_to_cancel() const {
    return cancelled_ ? "the run was cancelled" : "no further jobs are started";
  }

  /// Whether a job whose needs have ended should run, as things stand.
  bool wants_to_run(std::size_t i) const {
    const Job& job = job_of(i);
    bool good = !is_ending();
    bool failed = false;
    for (const Need& need : job.needs) {
      good = good && holds(need.when, jobs_[need.job].verdict);
      failed = failed || jobs_[need.job].failed_before;
    }
    if (!job.condition)
      return good;
    const Value& needs = jobs_[progress_[i].job].needs;
    const Environment environment{{{"inputs", &inputs_},
                                   {"run", &run_},
                                   {"env", &env_},
                                   {"matrix", &progress_[i].matrix},
                                   {"needs", &needs},
                                   {"jobs", &needs}},
                                  good,
                                  failed && !is_ending(),
                                  is_ending()};
    return is_true(*job.condition, environment);
  }

  /// An `if` without a status function also asks for success().
  static bool is_true(const Condition& condition,
                      const Environment& environment) {
    if (!condition.expression.asks_for_status() && !environment.success)
      return false;
    const auto value = evaluate(condition.expression, environment);
    return value && value->is_true();
  }

  Value needs_value(const Job& job) const {
    Value::Object needs;
    for (const Need& need : job.needs) {
      const JobProgress& end = jobs_[need.job];
      needs.emplace_back(
          workflow_->jobs[need.job].id,
          Value{Value::Object{{"result", Value{to_string(end.verdict)}},
                              {"outputs", end.outputs}}});
    }
    return Value{std::move(needs)};
  }

  void run(std::size_t i, TimePoint now) {
    Progress& progress = progress_[i];
    const Job& job = job_of(i);
    ++running_;
    ++jobs_[progress.job].running;
    change(i, JobState::running, {});
    if (job.time_limit > Duration{0})
      progress.job_deadline = now + job.time_limit;
    progress.env = env_;
    auto env = resolve_all(job.env, environment(i),
                           std::get<Value::Object>(env_.data));
    if (!env) {
      end_instance(i, JobState::failed, env.error().what);
      return;
    }
    progress.env = Value{std::move(*env)};
    advance(i, now);
  }

  /// The names of an instance, with the status of its steps so far.
  Environment environment(std::size_t i) const {
    const Progress& progress = progress_[i];
    bool failed = false;
    bool stopped = false;
    for (const StepRecord& step : progress.steps) {
      failed = failed || step.conclusion == StepOutcome::failure;
      stopped = stopped || step.conclusion == StepOutcome::cancelled;
    }
    return {{{"inputs", &inputs_},
             {"run", &run_},
             {"env", &progress.env},
             {"matrix", &progress.matrix},
             {"needs", &jobs_[progress.job].needs},
             {"jobs", &jobs_[progress.job].needs},
             {"steps", &progress.steps_so_far}},
            !failed && !stopped && !progress.cancelled,
            failed && !progress.cancelled,
            cancelled_ || progress.cancelled};
  }

  bool step_wants_to_run(std::size_t i, const Step& step) const {
    const Environment names = environment(i);
    return step.condition ? is_true(*step.condition, names) : names.success;
  }

  std::string reason_to_pass_over(std::size_t i, const Step& step) const {
    if (cancelled_twice_ || progress_[i].cancelled)
      return "the job was cancelled";
    const bool asked =
        step.condition && (step.condition->expression.asks_for_status() ||
                           environment(i).success);
    return asked ? "its condition is false" : "a step before it failed";
  }

  bool current_step_wants_to_run(std::size_t i) const {
    const std::size_t current = progress_[i].steps.size();
    return step_wants_to_run(i, job_of(i).steps[current]);
  }

  /// Goes on to the next step that wants to run, or to the end of the job.
  void advance(std::size_t i, TimePoint now) {
    Progress& progress = progress_[i];
    const Job& job = job_of(i);
    while (progress.steps.size() < job.steps.size()) {
      if (progress.out_of_time) {
        end_instance(i, JobState::timed_out, late_reason(job));
        return;
      }
      const std::size_t number = progress.steps.size();
      const Step& step = job.steps[number];
      if (cancelled_twice_ || !step_wants_to_run(i, step)) {
        record(i, StepRecord{}, reason_to_pass_over(i, step));
        continue;
      }
      auto command = command_of(i, number);
      if (command) {
        progress.step_runs = true;
        progress.stop_asked = false;
        progress.step_out_of_time = false;
        if (step.timeout.total > Duration{0})
          progress.step_deadline = now + step.timeout.total;
        actions_.push_back(std::move(*command));
        return;
      }
      StepRecord failed;
      failed.outcome = StepOutcome::failure;
      failed.conclusion =
          step.continue_on_error ? StepOutcome::success : StepOutcome::failure;
      record(i, std::move(failed), command.error().what);
    }
    finish_instance(i);
  }

  Result<StartStep> command_of(std::size_t i, std::size_t number) {
    const Progress& progress = progress_[i];
    const Step& step = job_of(i).steps[number];
    Environment names = environment(i);
    auto env = resolve_all(step.env, names,
                           std::get<Value::Object>(progress.env.data));
    if (!env)
      return tl::unexpected{std::move(env.error()).within("env")};
    const Value all_env{*env};
    for (auto& [name, context] : names.contexts) {
      if (name == "env")
        context = &all_env;
    }
    auto line = resolve(step.run, names);
    auto name = resolve(step.name, names);
    auto directory = resolve(step.working_directory, names);
    if (!line)
      return tl::unexpected{std::move(line.error()).within("run")};
    if (!name)
      return tl::unexpected{std::move(name.error()).within("name")};
    if (!directory)
      return tl::unexpected{
          std::move(directory.error()).within("working-directory")};

    StartStep out;
    out.instance = instances_[i].id;
    out.step = number;
    out.restarts = progress.restarts;
    out.label = instances_[i].label;
    out.name = ellipsize(printable(first_line(name->empty() ? *line : *name)),
                         name_columns);
    out.line = *line;
    out.argv = argv_of(step.shell, std::move(*line));
    for (auto& [key, value] : *env)
      out.env.emplace_back(key, value.text());
    out.working_directory = std::move(*directory);
    out.timeout = step.timeout.attempt;
    out.grace = step.grace;
    out.retry = step.retry;
    out.success = step.success;
    return out;
  }

  void end_step(std::size_t i, StepResult result) {
    Progress& progress = progress_[i];
    const Step& step = job_of(i).steps[progress.steps.size()];
    // A limit of ours passed, and stopping the command was our doing.
    const bool late = progress.out_of_time || progress.step_out_of_time;
    StepRecord ended;
    ended.outputs = std::move(result.outputs);
    switch (result.kind) {
      case actors::OutcomeKind::success:
        ended.outcome = StepOutcome::success;
        break;
      case actors::OutcomeKind::failed:
      case actors::OutcomeKind::crashed:
      case actors::OutcomeKind::lost:
        ended.outcome = StepOutcome::failure;
        ended.timed_out = late;
        break;
      case actors::OutcomeKind::timed_out:
        ended.outcome = StepOutcome::failure;
        ended.timed_out = true;
        break;
      case actors::OutcomeKind::cancelled:
        ended.timed_out = late;
        ended.outcome = late ? StepOutcome::failure : StepOutcome::cancelled;
        break;
    }
    const bool forgiven = step.continue_on_error && !progress.out_of_time &&
                          ended.outcome == StepOutcome::failure;
    ended.conclusion = forgiven ? StepOutcome::success : ended.outcome;
    progress.step_runs = false;
    progress.step_deadline.reset();
    record(i, std::move(ended), {});
  }

  /// Notes the end of the current step and lets later ones see it.
  void record(std::size_t i, StepRecord ended, std::string reason) {
    Progress& progress = progress_[i];
    const std::size_t number = progress.steps.size();
    const Step& step = job_of(i).steps[number];
    actions_.push_back(
        StepEnded{instances_[i].id, number, ended.outcome, std::move(reason)});
    if (!step.id.empty()) {
      Value::Object outputs;
      for (auto& [name, value] : ended.outputs)
        outputs.emplace_back(name, Value{std::move(value)});
      std::get<Value::Object>(progress.steps_so_far.data)
          .emplace_back(
              step.id,
              Value{Value::Object{
                  {"outputs", Value{std::move(outputs)}},
                  {"outcome", Value{to_string(ended.outcome)}},
                  {"conclusion", Value{to_string(ended.conclusion)}}}});
    }
    ended.outputs.clear();
    progress.steps.push_back(std::move(ended));
  }

  void finish_instance(std::size_t i) {
    Progress& progress = progress_[i];
    auto outputs = resolve_all(job_of(i).outputs, environment(i), {});
    if (!outputs) {
      end_instance(i, JobState::failed,
                   std::move(outputs.error()).within("outputs").what);
      return;
    }
    progress.outputs = Value{std::move(*outputs)};
    bool stopped = false;
    for (std::size_t s = 0; s < progress.steps.size(); ++s) {
      const StepRecord& step = progress.steps[s];
      if (step.conclusion == StepOutcome::failure) {
        end_instance(i, step.timed_out ? JobState::timed_out : JobState::failed,
                     reason_of_failure(i, s));
        return;
      }
      stopped = stopped || step.conclusion == StepOutcome::cancelled;
    }
    if (stopped || left_out_by_cancel(progress))
      end_instance(i, JobState::cancelled, "a step was cancelled");
    else
      end_instance(i, JobState::succeeded, {});
  }

  std::string reason_of_failure(std::size_t i, std::size_t s) const {
    const Job& job = job_of(i);
    if (progress_[i].out_of_time)
      return late_reason(job);
    const Step& step = job.steps[s];
    std::string who = "its command";
    if (job.steps.size() > 1)
      who = step.id.empty() ? fmt::format("step {}", s + 1)
                            : fmt::format("step \"{}\"", step.id);
    return who +
           (progress_[i].steps[s].timed_out ? " took too long" : " failed");
  }

  static std::string late_reason(const Job& job) {
    return fmt::format("it took longer than {}",
                       format_duration(job.time_limit));
  }

  /// Whether steps were passed over because somebody asked for the end.
  static bool left_out_by_cancel(const Progress& progress) {
    return progress.cancelled &&
           progress.steps.back().outcome == StepOutcome::skipped;
  }

  void stop_step(std::size_t i) {
    Progress& progress = progress_[i];
    if (!progress.step_runs || std::exchange(progress.stop_asked, true))
      return;
    actions_.push_back(CancelStep{instances_[i].id, progress.steps.size()});
  }

  void change(std::size_t i, JobState state, std::string reason) {
    instances_[i].state = state;
    actions_.push_back(
        JobStateChanged{instances_[i].id, state, std::move(reason)});
  }

  void end_instance(std::size_t i, JobState state, std::string reason) {
    Progress& progress = progress_[i];
    JobProgress& end = jobs_[progress.job];
    if (instances_[i].state == JobState::running) {
      --running_;
      --end.running;
    }
    --end.left;
    if (progress.restarts_at_end) {
      --groups_[*job_of(i).group].stopping;
      if (!is_ending()) {
        open_again(i);
        return;
      }
    }
    progress.job_deadline.reset();
    progress.step_deadline.reset();
    change(i, state, std::move(reason));
    progress.env = {};
    progress.steps_so_far = {};
    const bool failed =
        state == JobState::failed || state == JobState::timed_out;
    if (end.left == 0)
      end_job(progress.job);
    else if (failed && job_of(i).fail_fast && !job_of(i).continue_on_error)
      fail_fast(i);
  }

  /// The other instances of the matrix are cancelled as a run is.
  void fail_fast(std::size_t failed) {
    const JobProgress& end = jobs_[progress_[failed].job];
    const std::size_t count = job_of(failed).matrix.size();
    const std::uint32_t restarts = progress_[failed].restarts;
    for (std::size_t i = end.first; i < end.first + count; ++i) {
      // The last one to end may make the group start all of them again.
      if (progress_[failed].restarts != restarts)
        return;
      if (has_ended(instances_[i].state) || progress_[i].cancelled)
        continue;
      progress_[i].cancelled = true;
      if (instances_[i].state != JobState::running)
        end_instance(i, JobState::cancelled,
                     fmt::format("{} failed", instances_[failed].label));
      else if (progress_[i].step_runs && !current_step_wants_to_run(i))
        stop_step(i);
    }
  }

  void end_job(std::size_t job_index) {
    const Job& job = workflow_->jobs[job_index];
    JobProgress& end = jobs_[job_index];
    bool all_skipped = true;
    bool failed = false;
    bool stopped = false;
    for (std::size_t i = end.first; i < end.first + job.matrix.size(); ++i) {
      const JobState state = instances_[i].state;
      all_skipped = all_skipped && state == JobState::skipped;
      failed =
          failed || state == JobState::failed || state == JobState::timed_out;
      stopped = stopped || state == JobState::cancelled;
    }
    if (failed && !job.continue_on_error && restart_group(job_index))
      return;
    Value::Object outputs;
    for (std::size_t i = end.first; i < end.first + job.matrix.size(); ++i)
      collect_outputs(progress_[i], outputs);
    end.has_ended = true;
    if (failed)
      end.verdict = job.continue_on_error ? Verdict::success : Verdict::failure;
    else if (stopped)
      end.verdict = Verdict::cancelled;
    else
      end.verdict = all_skipped ? Verdict::skipped : Verdict::success;
    end.outputs = Value{std::move(outputs)};
    end.failed_before = end.verdict == Verdict::failure;
    for (const Need& need : job.needs)
      end.failed_before = end.failed_before || jobs_[need.job].failed_before;
    for (const std::size_t next : end.needed_by)
      --jobs_[next].needs_left;
  }

  /// False if the failure of the job stands.
  bool restart_group(std::size_t failed_job) {
    const Job& job = workflow_->jobs[failed_job];
    if (!job.group || is_ending())
      return false;
    const JobGroup& spec = workflow_->groups[*job.group];
    GroupProgress& group = groups_[*job.group];
    const std::size_t used = group.window.used(now_);
    const bool again = group.window.allow(now_);
    actions_.push_back(GroupDecided{.group = spec.id,
                                    .job = job.id,
                                    .gave_up = !again,
                                    .restarts_used = again ? used + 1 : used,
                                    .intensity = spec.intensity,
                                    .period = spec.period});
    if (!again)
      return false;
    switch (spec.strategy) {
      case supervisor::Strategy::one_for_one:
      case supervisor::Strategy::simple_one_for_one:
        restart_job(failed_job, /*all_of_it=*/false);
        break;
      case supervisor::Strategy::rest_for_one:
      case supervisor::Strategy::one_for_all:
        for (const std::size_t member : group.jobs) {
          if (spec.strategy == supervisor::Strategy::one_for_all ||
              member >= failed_job)
            restart_job(member, /*all_of_it=*/true);
        }
        break;
    }
    return true;
  }

  void restart_job(std::size_t job_index, bool all_of_it) {
    const std::size_t first = jobs_[job_index].first;
    const std::size_t count = workflow_->jobs[job_index].matrix.size();
    for (std::size_t i = first; i < first + count; ++i) {
      Progress& progress = progress_[i];
      switch (instances_[i].state) {
        case JobState::pending:
          break;
        case JobState::ready:
          // What it needs may be among those that start again.
          jobs_[job_index].needs_changed = true;
          change(i, JobState::pending, {});
          break;
        case JobState::running:
          if (std::exchange(progress.restarts_at_end, true))
            break;
          ++groups_[*job_of(i).group].stopping;
          progress.cancelled = true;
          if (progress.step_runs && !current_step_wants_to_run(i))
            stop_step(i);
          break;
        case JobState::succeeded:
        case JobState::skipped:
          if (all_of_it)
            open_again(i);
          break;
        case JobState::failed:
        case JobState::timed_out:
        case JobState::cancelled:
          open_again(i);
          break;
      }
    }
  }

  /// As if it had not run. The jobs after it wait for it once more.
  void open_again(std::size_t i) {
    Progress fresh;
    fresh.job = progress_[i].job;
    fresh.matrix = std::move(progress_[i].matrix);
    fresh.restarts = progress_[i].restarts + 1;
    progress_[i] = std::move(fresh);
    JobProgress& job = jobs_[progress_[i].job];
    ++job.left;
    job.needs_changed = true;
    change(i, JobState::pending, "starts again with its group");
    if (!std::exchange(job.has_ended, false))
      return;
    for (const std::size_t next : job.needed_by) {
      ++jobs_[next].needs_left;
      wait_again(next);
    }
  }

  /// Of a job that was about to start.
  void wait_again(std::size_t job_index) {
    const auto first = instances_.begin() +
                       static_cast<std::ptrdiff_t>(jobs_[job_index].first);
    const std::span all{first,
                        first + static_cast<std::ptrdiff_t>(
                                    workflow_->jobs[job_index].matrix.size())};
    if (!std::all_of(all.begin(), all.end(), [](const Instance& instance) {
          return instance.state == JobState::ready;
        }))
      return;
    jobs_[job_index].needs_changed = true;
    for (const Instance& instance : all)
      change(index(instance.id), JobState::pending, {});
  }

  /// Of several instances the last one with a value gives it.
  static void collect_outputs(Progress& progress, Value::Object& all) {
    auto* const own = std::get_if<Value::Object>(&progress.outputs.data);
    if (own == nullptr)
      return;
    for (auto& [name, value] : *own) {
      if (value.is_true())
        put(all, name, std::move(value));
    }
    progress.outputs = {};
  }

  RunResult verdict() const {
    bool failed = false;
    bool stopped = cancelled_;
    for (const JobProgress& end : jobs_) {
      failed = failed || end.verdict == Verdict::failure;
      stopped = stopped || end.verdict == Verdict::cancelled;
    }
    if (cancelled_)
      return RunResult::cancelled;
    if (failed)
      return RunResult::failure;
    return stopped ? RunResult::cancelled : RunResult::success;
  }

  std::shared_ptr<const Workflow> workflow_;
  PlanOptions options_;
  Value inputs_;
  Value run_;
  Value env_;  ///< Of the workflow.
  std::vector<Instance> instances_;
  std::vector<Progress> progress_;  ///< Of each instance.
  std::vector<JobProgress> jobs_;   ///< Of each job.
  std::vector<GroupProgress> groups_;
  TimePoint now_{};          ///< Of the event at hand.
  std::size_t running_ = 0;  ///< Instances.
  bool stopping_ = false;
  bool cancelled_ = false;
  bool cancelled_twice_ = false;
  std::optional<RunResult> result_;
  Actions actions_;  ///< Of the event at hand.
};

Plan::Plan(std::unique_ptr<Machine> machine) : machine_{std::move(machine)} {}
Plan::Plan(Plan&&) noexcept = default;
Plan& Plan::operator=(Plan&&) noexcept = default;
Plan::~Plan() = default;

Result<Plan> Plan::make(std::shared_ptr<const Workflow> workflow,
                        PlanOptions options) {
  auto machine =
      std::make_unique<Machine>(std::move(workflow), std::move(options));
  if (auto ready = machine->set_up(); !ready)
    return tl::unexpected{std::move(ready.error())};
  return Plan{std::move(machine)};
}

Actions Plan::start(TimePoint now) { return machine_->start(now); }

Actions Plan::on_step_finished(InstanceId instance, std::size_t step,
                               StepResult result, TimePoint now) {
  return machine_->on_step_finished(instance, step, std::move(result), now);
}

Actions Plan::on_time(TimePoint now) { return machine_->on_time(now); }

std::optional<TimePoint> Plan::next_deadline() const {
  return machine_->next_deadline();
}

Actions Plan::cancel(TimePoint now) { return machine_->cancel(now); }

Actions Plan::stop_starting(TimePoint now) {
  return machine_->stop_starting(now);
}

const Workflow& Plan::workflow() const { return machine_->workflow(); }

std::span<const Plan::Instance> Plan::instances() const {
  return machine_->instances();
}

std::optional<RunResult> Plan::result() const { return machine_->result(); }

}  // namespace troupe::workflow
