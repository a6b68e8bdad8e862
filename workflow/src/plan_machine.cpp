#include "plan_machine.hpp"

#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/config/diagnostics.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace troupe::workflow {
namespace {

/// The text in front of every problem with an input.
Error input_error(const Workflow& workflow, config::Span where,
                  std::string message, std::string hint) {
  config::Diagnostics diagnostics{workflow.source};
  diagnostics.add(where, std::move(message), std::move(hint));
  return diagnostics.error();
}

/// FNV-1a, which is the same everywhere.
std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : text)
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash;
}

}  // namespace

Result<std::optional<std::string>> workflow_group(const Workflow& workflow,
                                                  const PlanOptions& options) {
  if (!workflow.concurrency)
    return std::nullopt;
  Value::Object given;
  for (const auto& [name, value] : options.inputs)
    put(given, name, Value{value});
  const Value inputs{std::move(given)};
  const Value run{Value::Object{{"id", Value{options.run_id}},
                                {"name", Value{workflow.name}},
                                {"actor", Value{options.actor}},
                                {"trigger", Value{options.trigger}}}};
  Environment environment{{{"inputs", &inputs}, {"run", &run}}};
  environment.file_hashes = &options.file_hashes;
  auto group = resolve(workflow.concurrency->group, environment);
  if (!group)
    return tl::unexpected{std::move(group.error()).within("concurrency")};
  return std::move(*group);
}

Plan::Machine::Machine(std::shared_ptr<const Workflow> workflow,
                       PlanOptions options)
    : workflow_{std::move(workflow)},
      options_{std::move(options)},
      totals_{std::make_shared<RunTotals>()},
      random_{hash_of(options_.run_id)} {}

Plan::Machine::Machine(std::shared_ptr<const Workflow> workflow,
                       PlanOptions options, CalledWith given,
                       std::shared_ptr<RunTotals> totals)
    : workflow_{std::move(workflow)},
      options_{std::move(options)},
      given_{std::move(given)},
      totals_{std::move(totals)},
      random_{hash_of(given_->seed)} {}

Plan::Machine::~Machine() {
  totals_->instances -= instances_.size() - places_.size();
}

Result<void> Plan::Machine::take_values() {
  if (given_) {
    inputs_ = given_->inputs;
    run_ = given_->run;
    secrets_ = given_->secrets;
    return {};
  }
  auto inputs =
      resolve_inputs(*workflow_, options_.inputs, options_.surroundings);
  if (!inputs)
    return tl::unexpected{std::move(inputs.error())};
  inputs_ = Value{std::move(*inputs)};
  run_ = Value{Value::Object{{"id", Value{options_.run_id}},
                             {"name", Value{workflow_->name}},
                             {"actor", Value{options_.actor}},
                             {"trigger", Value{options_.trigger}}}};
  Value::Object secrets;
  for (const auto& [name, value] : options_.secrets)
    put(secrets, name, Value{value});
  secrets_ = Value{std::move(secrets)};
  Value::Object ports;
  for (const auto& [name, value] : options_.ports)
    put(ports, name, Value{value});
  ports_ = Value{std::move(ports)};
  return {};
}

Result<void> Plan::Machine::set_up() {
  if (auto taken = take_values(); !taken)
    return taken;
  env_ = Value{Value::Object{}};
  Environment environment{
      {{"inputs", &inputs_}, {"run", &run_}, {"secrets", &secrets_}}};
  environment.file_hashes = &options_.file_hashes;
  if (!given_) {
    auto title = resolve(workflow_->run_name, environment);
    if (!title)
      return tl::unexpected{std::move(title.error()).within("run-name")};
    title_ = std::move(*title);
  }
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
    if (!wanted->at(i) || is_end_hook(i))
      continue;
    jobs_[i].needs_left = workflow_->jobs[i].needs.size();
    for (const Need& need : workflow_->jobs[i].needs)
      (need.when == When::started ? jobs_[need.job].awaited_by
                                  : jobs_[need.job].needed_by)
          .push_back(i);
    if (const auto group = workflow_->jobs[i].group)
      groups_[*group].jobs.push_back(i);
    if (auto added = add_instances(i); !added)
      return added;
    add_services(i);
  }
  if (const auto on_start = workflow_->find(Hook::on_start);
      on_start && !given_)
    due_.insert(*on_start);
  else
    open_jobs();
  if (auto sorted = sort_by_resources(); !sorted)
    return sorted;
  rank_jobs();
  for (const auto& [name, service] : services_) {
    for (const std::size_t job : service.jobs)
      update_place(job);
  }
  return {};
}

Actions Plan::Machine::start(TimePoint now) {
  pump(now);
  return take_actions();
}

Actions Plan::Machine::on_step_finished(InstanceId id, std::size_t step,
                                        StepResult result, TimePoint now) {
  if (id.value == 0 || id.value > instances_.size())
    return {};
  const std::size_t i = index(id);
  Progress& progress = progress_[i];
  if (progress.caller) {
    const auto found = called_.find(*progress.caller);
    if (found == called_.end() || found->second.here.size() <= progress.inner ||
        found->second.here[progress.inner] != i)
      return {};
    note(*progress.caller,
         found->second.machine->on_step_finished(InstanceId{progress.inner + 1},
                                                 step, std::move(result), now));
    pump(now);
    return take_actions();
  }
  if (!progress.step_runs || progress.steps.size() != step)
    return {};
  end_step(i, std::move(result));
  now_ = now;
  advance(i, now);
  pump(now);
  return take_actions();
}

Actions Plan::Machine::on_time(TimePoint now) {
  now_ = now;
  while (const auto passed = deadlines_.take_passed(now)) {
    const std::size_t i = passed->instance;
    switch (passed->kind) {
      case Deadlines::Kind::job:
        progress_[i].out_of_time = true;
        stop_running(i, /*hard=*/true);
        break;
      case Deadlines::Kind::step:
        progress_[i].step_out_of_time = true;
        stop_step(i);
        break;
      case Deadlines::Kind::queue:
        end_instance(i, JobState::timed_out,
                     fmt::format("it waited longer than {} for a place",
                                 format_duration(job_of(i).queue_limit)));
        break;
      case Deadlines::Kind::retry:
        progress_[i].waits_to_retry = false;
        due_.insert(progress_[i].job);
        break;
      case Deadlines::Kind::approval:
        end_approval(i);
        break;
      case Deadlines::Kind::call:
        note(i, called_.at(i).machine->on_time(now));
        break;
    }
  }
  pump(now);
  return take_actions();
}

std::optional<TimePoint> Plan::Machine::next_deadline() const {
  return deadlines_.next();
}

Actions Plan::Machine::cancel(TimePoint now) {
  now_ = now;
  const bool again = std::exchange(cancelled_, true);
  for (std::size_t i = 0; i < instances_.size(); ++i) {
    if (progress_[i].caller)
      continue;
    switch (instances_[i].state) {
      case JobState::pending:
        if (progress_[i].waits_to_retry)
          give_up_retry(i);
        else if (again)
          end_instance(i, JobState::cancelled, reason_to_cancel());
        break;
      case JobState::awaiting:
      case JobState::ready:
        if (again || !still_wants_to_run(i))
          end_instance(i, JobState::cancelled, reason_to_cancel());
        break;
      case JobState::running:
        if (!again && is_end_hook(progress_[i].job))
          break;
        progress_[i].cancelled = true;
        stop_running(i, again);
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

Actions Plan::Machine::refuse(TimePoint now) {
  cancelled_ = true;
  cancelled_twice_ = true;
  return cancel(now);
}

Actions Plan::Machine::stop_starting(TimePoint now) {
  now_ = now;
  stopping_ = true;
  for (std::size_t i = 0; i < instances_.size(); ++i) {
    if (progress_[i].caller)
      continue;
    if (const auto called = called_.find(i); called != called_.end())
      note(i, called->second.machine->stop_starting(now));
    else if (progress_[i].waits_to_retry)
      give_up_retry(i);
    else if ((instances_[i].state == JobState::ready ||
              instances_[i].state == JobState::awaiting) &&
             !still_wants_to_run(i))
      end_instance(i, JobState::cancelled, reason_to_cancel());
  }
  pump(now);
  return take_actions();
}

const std::string& Plan::Machine::title() const { return title_; }

const Workflow& Plan::Machine::workflow() const { return *workflow_; }

std::span<const Plan::Instance> Plan::Machine::instances() const {
  return instances_;
}

std::optional<RunResult> Plan::Machine::result() const { return result_; }

std::size_t Plan::Machine::index(InstanceId id) {
  return static_cast<std::size_t>(id.value - 1);
}

const Job& Plan::Machine::job_of(std::size_t i) const {
  return workflow_->jobs[progress_[i].job];
}

Actions Plan::Machine::take_actions() { return std::exchange(actions_, {}); }

Result<std::vector<bool>> Plan::Machine::wanted_jobs() const {
  std::vector<std::string_view> names;
  for (const Job& job : workflow_->jobs) {
    if (!job.hook)
      names.push_back(job.id);
  }
  if (!options_.only_job.empty() &&
      std::find(names.begin(), names.end(), options_.only_job) == names.end())
    return tl::unexpected{input_error(
        *workflow_, {},
        fmt::format("no job \"{}\"",
                    ellipsize(printable(options_.only_job), name_columns)),
        config::did_you_mean(options_.only_job, names))};
  auto wanted = needed_by(*workflow_, options_.only_job);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    // Hooks are of a run, not of what it calls.
    if (workflow_->jobs[i].hook)
      wanted[i] = !given_;
  }
  return wanted;
}

Result<void> Plan::Machine::add_instances(std::size_t job_index) {
  for (const Value::Object& combination : workflow_->jobs[job_index].matrix) {
    if (const auto added = add_instance(job_index, combination); !added)
      return tl::unexpected{added.error()};
  }
  return {};
}

Result<std::size_t> Plan::Machine::add_instance(
    std::size_t job_index, const Value::Object& combination) {
  const Job& job = workflow_->jobs[job_index];
  Progress progress;
  progress.job = job_index;
  progress.matrix = Value{combination};
  const std::size_t i = instances_.size();
  Instance instance;
  instance.id = InstanceId{i + 1};
  instance.job = job.id;
  instance.file = workflow_.get();
  instance.definition = &job;
  if (job.computed_matrix && combination.empty()) {
    instance.label = job.id;
  } else {
    auto label = label_of(job_index, progress.matrix);
    if (!label)
      return tl::unexpected{std::move(label.error())};
    instance.label = std::move(*label);
  }
  jobs_[job_index].instances.push_back(i);
  ++jobs_[job_index].left;
  ++unfinished_;
  ++totals_->instances;
  instances_.push_back(std::move(instance));
  progress_.push_back(std::move(progress));
  return i;
}

Result<std::string> Plan::Machine::label_of(std::size_t job_index,
                                            const Value& matrix) const {
  const Job& job = workflow_->jobs[job_index];
  Environment environment{{{"inputs", &inputs_},
                           {"run", &run_},
                           {"env", &env_},
                           {"matrix", &matrix}}};
  environment.file_hashes = &options_.file_hashes;
  auto name = resolve(job.name, environment);
  if (!name)
    return tl::unexpected{
        std::move(name.error()).within(fmt::format("job {}", job.id))};
  return label(job, *name, std::get<Value::Object>(matrix.data));
}

bool Plan::Machine::still_wants_to_run(std::size_t i) {
  const auto wanted = wants_to_run(i);
  forget_needs(progress_[i].job);
  return wanted.value_or(false);
}

Result<void> Plan::Machine::sort_by_resources() {
  if (options_.capacity.empty())
    return {};
  free_ = options_.capacity;
  for (std::size_t j = 0; j < jobs_.size(); ++j) {
    const Job& job = workflow_->jobs[j];
    if (job.resources.empty() || jobs_[j].instances.empty())
      continue;
    if (const auto lacking = free_.lacks(job.resources))
      return tl::unexpected{input_error(
          *workflow_, job.where,
          fmt::format(
              "job {} takes {} of {}, and there is {}", printable(job.id),
              flow_control::format_amount(*lacking,
                                          job.resources.amount(*lacking)),
              *lacking,
              flow_control::format_amount(*lacking, free_.amount(*lacking))),
          fmt::format("troupe run --resources {}=... says how much there is",
                      *lacking))};
    const auto known = std::find(kinds_.begin(), kinds_.end(), job.resources);
    jobs_[j].kind = static_cast<std::size_t>(known - kinds_.begin());
    if (known == kinds_.end())
      kinds_.push_back(job.resources);
  }
  return {};
}

void Plan::Machine::update_kinds() {
  for (std::size_t kind = 1; kind < kinds_.size(); ++kind)
    ready_->set_kind_open(kind, !free_.lacks(kinds_[kind]));
}

void Plan::Machine::rank_jobs() {
  std::vector<Duration> durations;
  for (std::size_t j = 0; j < workflow_->jobs.size(); ++j)
    durations.push_back(jobs_[j].instances.empty()  // No part of the run.
                            ? Duration{0}
                            : job_time(workflow_->jobs[j], options_.estimate,
                                       options_.max_parallel));
  const auto paths = longest_paths(*workflow_, durations);
  std::vector<JobRank> ranks;
  for (std::size_t j = 0; j < workflow_->jobs.size(); ++j) {
    // Once for its own line and once for that of what it has called.
    const JobRank rank{workflow_->jobs[j].priority, paths[j], jobs_[j].kind};
    ranks.insert(ranks.end(), 2, rank);
    for (const std::size_t i : jobs_[j].instances) {
      instances_[i].estimate =
          variant_time(workflow_->jobs[j], options_.estimate);
      instances_[i].path = paths[j];
    }
  }
  ready_.emplace(ranks);
}

std::string Plan::Machine::label(const Job& job, const std::string& name,
                                 const Value::Object& combination) {
  if (!name.empty())
    return name;
  std::string values;
  for (const auto& [key, value] : combination)
    values += (values.empty() ? "" : ", ") +
              ellipsize(printable(value.text()), name_columns);
  return values.empty() ? job.id : fmt::format("{} ({})", job.id, values);
}

RunResult Plan::Machine::verdict() const {
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

}  // namespace troupe::workflow
