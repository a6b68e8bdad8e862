#include "command_argv.hpp"
#include "plan_machine.hpp"

#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace troupe::workflow {
namespace {

std::string_view first_line(std::string_view text) {
  const std::size_t start = text.find_first_not_of(" \t\r\n");
  if (start == std::string_view::npos)
    return {};
  return text.substr(start, text.find('\n', start) - start);
}

/// The values of a matrix as the name of a folder: "eu-a".
std::string instance_name(const Value& matrix) {
  std::string name;
  for (const auto& [key, value] : std::get<Value::Object>(matrix.data)) {
    std::string text = value.text();
    for (char& c : text) {
      const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                            (c >= '0' && c <= '9') || c == '_' || c == '.';
      if (!is_plain || (c == '.' && name.empty()))
        c = '_';
    }
    name += (name.empty() ? "" : "-") + text;
  }
  return name;
}

/// A limit that the plan itself watches has passed.
actors::Cause took_too_long() {
  return {actors::CauseKind::timeout, 0, "took too long"};
}

}  // namespace

Result<Value::Object> Plan::Machine::resolve_all(
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

void Plan::Machine::run(std::size_t i, TimePoint now) {
  Progress& progress = progress_[i];
  const Job& job = job_of(i);
  learn_needs(progress.job);
  if (!job.call)
    ++totals_->running;
  JobProgress& all = jobs_[progress.job];
  ++all.running;
  if (all.kind != 0) {
    free_.take(kinds_[all.kind]);
    update_kinds();
  }
  update_place(progress.job);
  change(i, JobState::running, {});
  if (!std::exchange(all.has_started, true)) {
    for (const std::size_t next : all.awaited_by) {
      if (--jobs_[next].needs_left == 0)
        due_.insert(next);
    }
  }
  if (!progress.first_start)
    progress.first_start = now;
  if (job.time_limit > Duration{0})
    deadlines_.set({i, Deadlines::Kind::job}, now + job.time_limit);
  progress.env = env_;
  if (job.call) {
    start_call(i);
    return;
  }
  auto env =
      resolve_all(job.env, environment(i), std::get<Value::Object>(env_.data));
  if (!env) {
    end_instance(i, JobState::failed, env.error().what);
    return;
  }
  progress.env = Value{std::move(*env)};
  advance(i, now);
}

Environment Plan::Machine::environment(std::size_t i) const {
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
           {"steps", &progress.steps_so_far},
           {"approval", &jobs_[progress.job].approval},
           {"port", &ports_},
           {"secrets", &secrets_}},
          !failed && !stopped && !progress.cancelled,
          failed && !progress.cancelled,
          cancelled_ || progress.cancelled,
          &options_.file_hashes};
}

Environment Plan::Machine::environment_before(std::size_t i) {
  learn_needs(progress_[i].job);
  const Value& needs = jobs_[progress_[i].job].needs;
  Environment environment{{{"inputs", &inputs_},
                           {"run", &run_},
                           {"env", &env_},
                           {"matrix", &progress_[i].matrix},
                           {"needs", &needs},
                           {"jobs", &needs}}};
  environment.file_hashes = &options_.file_hashes;
  return environment;
}

Result<bool> Plan::Machine::step_wants_to_run(std::size_t i,
                                              const Step& step) const {
  const Environment names = environment(i);
  return step.condition ? is_true(*step.condition, names) : names.success;
}

std::string Plan::Machine::reason_to_pass_over(std::size_t i,
                                               const Step& step) const {
  if (cancelled_twice_ || progress_[i].cancelled)
    return "the job was cancelled";
  const bool asked =
      step.condition &&
      (step.condition->expression.asks_for_status() || environment(i).success);
  return asked ? "its condition is false" : "a step before it failed";
}

bool Plan::Machine::current_step_wants_to_run(std::size_t i) const {
  const std::size_t current = progress_[i].steps.size();
  return step_wants_to_run(i, job_of(i).steps[current]).value_or(false);
}

void Plan::Machine::advance(std::size_t i, TimePoint now) {
  Progress& progress = progress_[i];
  const Job& job = job_of(i);
  while (progress.steps.size() < job.steps.size()) {
    if (progress.out_of_time) {
      progress.causes = {took_too_long()};
      fail_instance(i, JobState::timed_out, late_reason(job));
      return;
    }
    const std::size_t number = progress.steps.size();
    const Step& step = job.steps[number];
    const auto wanted = step_wants_to_run(i, step);
    if (cancelled_twice_ || (wanted && !*wanted)) {
      record(i, StepRecord{}, reason_to_pass_over(i, step));
      continue;
    }
    auto command =
        wanted ? command_of(i, number) : tl::unexpected{wanted.error()};
    if (command) {
      progress.step_runs = true;
      progress.stop_asked = false;
      progress.step_out_of_time = false;
      if (step.timeout.total > Duration{0})
        deadlines_.set({i, Deadlines::Kind::step}, now + step.timeout.total);
      actions_.push_back(std::move(*command));
      return;
    }
    StepRecord failed;
    failed.outcome = StepOutcome::failure;
    failed.conclusion = step.continue_on_error.covers({})
                            ? StepOutcome::success
                            : StepOutcome::failure;
    record(i, std::move(failed), command.error().what);
  }
  finish_instance(i);
}

Result<StartStep> Plan::Machine::command_of(std::size_t i, std::size_t number) {
  const Progress& progress = progress_[i];
  const Step& step = job_of(i).steps[number];
  Environment names = environment(i);
  auto env =
      resolve_all(step.env, names, std::get<Value::Object>(progress.env.data));
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
  for (const auto& [key, value] : options_.dotenv) {
    if (all_env.member(key) == nullptr)
      out.env.emplace_back(key, value);
  }
  for (auto& [key, value] : *env)
    out.env.emplace_back(key, value.text());
  out.working_directory = std::move(*directory);
  out.timeout = step.timeout.attempt;
  out.silence = step.timeout.silence;
  out.grace = step.grace;
  out.retry = step.retry;
  out.success = step.success;
  out.resources = job_of(i).resources;
  out.printed = step.outputs;
  for (const Template& text : job_of(i).placement.labels) {
    auto label = resolve(text, names);
    if (!label)
      return tl::unexpected{std::move(label.error()).within("runs-on")};
    out.labels.push_back(std::move(*label));
  }
  auto key = resolve(job_of(i).placement.key, names);
  if (!key)
    return tl::unexpected{std::move(key.error()).within("placement.key")};
  out.key = std::move(*key);
  const std::vector<std::size_t>& variants = jobs_[progress.job].instances;
  out.is_spread = job_of(i).placement.spread;
  out.variant = static_cast<std::size_t>(
      std::find(variants.begin(), variants.end(), i) - variants.begin());
  out.variants = variants.size();
  if (auto added = add_content(out, step, names, i); !added)
    return tl::unexpected{std::move(added.error())};
  return out;
}

Result<void> Plan::Machine::add_content(StartStep& out, const Step& step,
                                        const Environment& names,
                                        std::size_t i) const {
  const auto resolve_into = [&](const std::vector<Template>& texts,
                                std::vector<std::string>& words) {
    Result<void> done;
    for (const Template& text : texts) {
      auto word = resolve(text, names);
      if (!word)
        done = tl::unexpected{std::move(word.error())};
      else
        words.push_back(std::move(*word));
    }
    return done;
  };
  Result<void> done;
  if (step.cache) {
    CacheUse& use = out.cache.emplace();
    use.max_age = step.cache->max_age;
    auto key = resolve(step.cache->key, names);
    done = key ? resolve_into(step.cache->sources, use.sources)
               : tl::unexpected{std::move(key.error())};
    if (done)
      done = resolve_into(step.cache->generates, use.generates);
    if (done)
      use.key = std::move(*key);
    else
      done = tl::unexpected{std::move(done.error()).within("cache")};
  }
  if (step.transfer) {
    TransferUse& use = out.transfer.emplace();
    use.is_upload = step.transfer->is_upload;
    use.job = step.transfer->job;
    use.name = step.transfer->name;
    use.instance = instance_name(progress_[i].matrix);
    use.retention = step.transfer->retention;
    out.argv.clear();
    out.line = out.name;
    done = resolve_into(step.transfer->patterns, use.patterns);
  }
  return done;
}

void Plan::Machine::end_step(std::size_t i, StepResult result) {
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
  ended.causes = std::move(result.causes);
  if (late)
    ended.causes = {took_too_long()};
  const bool is_loss = std::exchange(progress.stopped_for_service, false) &&
                       ended.outcome != StepOutcome::success;
  if (is_loss) {
    ended.outcome = StepOutcome::failure;
    ended.causes = {{actors::CauseKind::gave_up, 0, progress.lost_service}};
  }
  const bool forgiven = ended.outcome == StepOutcome::failure &&
                        !progress.out_of_time && !is_loss &&
                        step.continue_on_error.covers(ended.causes);
  ended.conclusion = forgiven ? StepOutcome::success : ended.outcome;
  progress.step_runs = false;
  deadlines_.clear({i, Deadlines::Kind::step});
  record(i, std::move(ended), is_loss ? progress.lost_service : std::string{});
}

void Plan::Machine::record(std::size_t i, StepRecord ended,
                           std::string reason) {
  Progress& progress = progress_[i];
  const std::size_t number = progress.steps.size();
  const Step& step = job_of(i).steps[number];
  actions_.push_back(StepEnded{instances_[i].id, number, ended.outcome,
                               std::move(reason),
                               ended.outcome == StepOutcome::failure &&
                                   ended.conclusion == StepOutcome::success});
  if (!step.id.empty()) {
    Value::Object outputs;
    for (auto& [name, value] : ended.outputs)
      outputs.emplace_back(name, Value{std::move(value)});
    std::get<Value::Object>(progress.steps_so_far.data)
        .emplace_back(step.id,
                      Value{Value::Object{
                          {"outputs", Value{std::move(outputs)}},
                          {"outcome", Value{to_string(ended.outcome)}},
                          {"conclusion", Value{to_string(ended.conclusion)}}}});
  }
  ended.outputs.clear();
  progress.steps.push_back(std::move(ended));
}

void Plan::Machine::finish_instance(std::size_t i) {
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
      progress.causes = step.causes;
      if (!progress.lost_service.empty()) {
        end_instance(i, JobState::failed, progress.lost_service);
        return;
      }
      fail_instance(i, step.timed_out ? JobState::timed_out : JobState::failed,
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

std::string Plan::Machine::reason_of_failure(std::size_t i,
                                             std::size_t s) const {
  const Job& job = job_of(i);
  if (progress_[i].out_of_time)
    return late_reason(job);
  const Step& step = job.steps[s];
  std::string who = "its command";
  if (job.steps.size() > 1)
    who = step.id.empty() ? fmt::format("step {}", s + 1)
                          : fmt::format("step \"{}\"", step.id);
  return who + (progress_[i].steps[s].timed_out ? " took too long" : " failed");
}

std::string Plan::Machine::late_reason(const Job& job) {
  return fmt::format("it took longer than {}", format_duration(job.time_limit));
}

bool Plan::Machine::left_out_by_cancel(const Progress& progress) {
  return progress.cancelled &&
         progress.steps.back().outcome == StepOutcome::skipped;
}

void Plan::Machine::clear_deadlines(std::size_t i) {
  for (const auto kind : {Deadlines::Kind::step, Deadlines::Kind::job,
                          Deadlines::Kind::queue, Deadlines::Kind::retry,
                          Deadlines::Kind::approval, Deadlines::Kind::call})
    deadlines_.clear({i, kind});
}

void Plan::Machine::stop_running(std::size_t i, bool hard) {
  if (const auto called = called_.find(i); called != called_.end()) {
    Machine& plan = *called->second.machine;
    if (!plan.cancelled_)
      note(i, plan.cancel(now_));
    if (hard && !plan.cancelled_twice_)
      note(i, plan.cancel(now_));
  } else if (hard ||
             (progress_[i].step_runs && !current_step_wants_to_run(i))) {
    stop_step(i);
  }
}

void Plan::Machine::stop_step(std::size_t i) {
  Progress& progress = progress_[i];
  if (!progress.step_runs || std::exchange(progress.stop_asked, true))
    return;
  actions_.push_back(CancelStep{instances_[i].id, progress.steps.size()});
}

}  // namespace troupe::workflow
