#include "plan_machine.hpp"

#include <troupe/base/overload.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace troupe::workflow {
namespace {

InstanceId id_of(std::size_t i) { return InstanceId{i + 1}; }

/// What has been called, for people: "lib/common.yaml".
std::string_view name_of(const Call& call) {
  return call.workflow->source->name();
}

}  // namespace

// -- Before -------------------------------------------------------------------

void Plan::Machine::start_call(std::size_t i) {
  auto machine = make_called(i);
  if (!machine) {
    end_instance(i, JobState::failed, machine.error().what);
    return;
  }
  Called& called = called_[i];
  called.machine = std::move(*machine);
  adopt(i, /*tell=*/true);
  note(i, called.machine->start(now_));
}

Result<std::unique_ptr<Plan::Machine>> Plan::Machine::make_called(
    std::size_t i) {
  const Call& call = *job_of(i).call;
  auto inputs = arguments(i);
  if (!inputs)
    return tl::unexpected{std::move(inputs.error()).within("with")};
  auto secrets = secrets_for(i);
  if (!secrets)
    return tl::unexpected{std::move(secrets.error()).within("secrets")};
  PlanOptions options = options_;
  options.inputs.clear();
  options.only_job = call.job;
  options.secrets.clear();
  options.dotenv.clear();
  if (const auto own = options_.included.find(std::string{name_of(call)});
      own != options_.included.end())
    options.dotenv = own->second.dotenv;
  if (options_.estimate)
    options.estimate = [ask = options_.estimate, prefix = job_of(i).id + "/"](
                           const std::string& job, const std::string& step) {
      return ask(prefix + job, step);
    };
  auto machine = std::make_unique<Machine>(
      call.workflow, std::move(options),
      CalledWith{Value{std::move(*inputs)}, run_, Value{std::move(*secrets)},
                 fmt::format("{}/{}", given_ ? given_->seed : options_.run_id,
                             instances_[i].label)},
      totals_);
  if (auto ready = machine->set_up(); !ready)
    return tl::unexpected{
        std::move(ready.error()).within(std::string{name_of(call)})};
  if (totals_->instances > most_instances)
    return failure(Errc::overloaded,
                   fmt::format("with those of {} the run has more than {} jobs",
                               name_of(call), most_instances));
  return machine;
}

Result<Value::Object> Plan::Machine::arguments(std::size_t i) const {
  const Call& call = *job_of(i).call;
  const Environment names = environment(i);
  Value::Object given;
  for (const Argument& argument : call.inputs) {
    auto text = resolve(argument.value, names);
    if (!text)
      return tl::unexpected{std::move(text.error()).within(argument.name)};
    put(given, argument.name, Value{std::move(*text)});
  }
  const auto* const declared = call.workflow->inputs_of_call();
  if (declared == nullptr)  // Each is a text, as the loader has checked.
    return given;
  Value::Object out;
  const Value known{std::move(given)};
  for (const Input& input : *declared) {
    const Value* const text = known.member(input.name);
    if (text == nullptr && !input.fallback) {
      out.emplace_back(input.name, Value{});
      continue;
    }
    auto value =
        parse_input(input, text != nullptr ? text->text() : *input.fallback,
                    options_.surroundings);
    if (!value)
      return tl::unexpected{std::move(value.error()).within(input.name)};
    out.emplace_back(input.name, std::move(*value));
  }
  return out;
}

Result<Value::Object> Plan::Machine::secrets_for(std::size_t i) const {
  const Call& call = *job_of(i).call;
  Value::Object out;
  if (const auto own = options_.included.find(std::string{name_of(call)});
      own != options_.included.end()) {
    for (const auto& [name, value] : own->second.secrets)
      put(out, name, Value{value});
  }
  if (call.inherits_secrets) {
    for (const Secret& secret : call.workflow->secrets) {
      if (const Value* const value = secrets_.member(secret.name))
        put(out, secret.name, *value);
    }
  }
  const Environment names = environment(i);
  for (const Argument& argument : call.secrets) {
    auto text = resolve(argument.value, names);
    if (!text)
      return tl::unexpected{std::move(text.error()).within(argument.name)};
    put(out, argument.name, Value{std::move(*text)});
  }
  return out;
}

// -- Meanwhile ----------------------------------------------------------------

void Plan::Machine::adopt(std::size_t caller, bool tell) {
  Called& called = called_.at(caller);
  const auto inner = called.machine->instances();
  for (std::size_t n = called.here.size(); n < inner.size(); ++n) {
    const std::size_t i = adopt_one(caller, n);
    called.here.push_back(i);
    if (!tell)
      continue;
    auto* const last =
        actions_.empty() ? nullptr : std::get_if<JobExpanded>(&actions_.back());
    if (last != nullptr && last->is_called && last->job == instances_[i].job)
      last->instances.push_back(id_of(i));
    else
      actions_.push_back(JobExpanded{instances_[i].job, {id_of(i)}, true});
  }
  if (!tell)
    return;
  // Those that a plan before this one had are as new.
  for (const std::size_t i : called.here) {
    if (instances_[i].state == JobState::pending)
      continue;
    instances_[i].state = JobState::pending;
    actions_.push_back(JobStateChanged{
        id_of(i), JobState::pending,
        fmt::format("starts again with {}", instances_[caller].label)});
  }
}

std::size_t Plan::Machine::adopt_one(std::size_t caller, std::size_t inner) {
  Called& called = called_.at(caller);
  const Instance& there = called.machine->instances()[inner];
  Instance here = there;
  here.job = fmt::format("{}/{}", job_of(caller).id, there.job);
  here.label = fmt::format("{}/{}", instances_[caller].label, there.label);
  here.caller =
      there.caller ? id_of(called.here.at(index(there.caller))) : id_of(caller);
  const std::size_t place = called.counted[there.job]++;
  const auto [known, is_new] =
      places_.try_emplace({caller, there.job, place}, instances_.size());
  const std::size_t i = known->second;
  here.id = id_of(i);
  if (is_new) {
    Progress progress;
    progress.caller = caller;
    progress.inner = inner;
    instances_.push_back(std::move(here));
    progress_.push_back(std::move(progress));
    return i;
  }
  here.state = instances_[i].state;
  instances_[i] = std::move(here);
  progress_[i].inner = inner;
  progress_[i].restarts_before = ++progress_[i].restarts;
  return i;
}

void Plan::Machine::note(std::size_t caller, Actions said) {
  Actions& all = called_.at(caller).said;
  all.insert(all.end(), std::make_move_iterator(said.begin()),
             std::make_move_iterator(said.end()));
  unheard_.insert(caller);
}

void Plan::Machine::hear(std::size_t caller) {
  Called& called = called_.at(caller);
  for (Action& action : std::exchange(called.said, {}))
    hear(caller, action);
  const std::size_t line = line_of_calls(progress_[caller].job);
  const auto& ready = called.machine->ready_;
  if (ready->best())
    ready_->add(line, caller);
  else
    ready_->remove(line, caller);
  const Deadlines::Deadline deadline{caller, Deadlines::Kind::call};
  if (const auto when = called.machine->next_deadline())
    deadlines_.set(deadline, *when);
  else
    deadlines_.clear(deadline);
  if (called.machine->result())
    finish_call(caller);
}

void Plan::Machine::hear(std::size_t caller, Action& action) {
  const Called& called = called_.at(caller);
  const auto here = [&](InstanceId there) {
    return called.here.at(index(there));
  };
  const std::string prefix = job_of(caller).id + "/";
  std::visit(Overload{[&](StartStep& start) {
                        const std::size_t i = here(start.instance);
                        Progress& progress = progress_[i];
                        progress.restarts =
                            progress.restarts_before + start.restarts;
                        start.instance = id_of(i);
                        start.restarts = progress.restarts;
                        start.label = instances_[i].label;
                        actions_.emplace_back(std::move(start));
                      },
                      [&](CancelStep& cancel) {
                        cancel.instance = id_of(here(cancel.instance));
                        actions_.emplace_back(cancel);
                      },
                      [&](StepEnded& ended) {
                        ended.instance = id_of(here(ended.instance));
                        actions_.emplace_back(std::move(ended));
                      },
                      [&](JobStateChanged& changed) {
                        const std::size_t i = here(changed.instance);
                        instances_[i].state = changed.state;
                        changed.instance = id_of(i);
                        actions_.emplace_back(std::move(changed));
                      },
                      [&](JobExpanded& expanded) {
                        adopt(caller, /*tell=*/false);
                        for (InstanceId& id : expanded.instances) {
                          const std::size_t i = here(id);
                          instances_[i].label = fmt::format(
                              "{}/{}", instances_[caller].label,
                              called.machine->instances()[index(id)].label);
                          id = id_of(i);
                        }
                        expanded.job = prefix + expanded.job;
                        actions_.emplace_back(std::move(expanded));
                      },
                      [&](GroupDecided& decided) {
                        decided.group = prefix + decided.group;
                        decided.job = prefix + decided.job;
                        actions_.emplace_back(std::move(decided));
                      },
                      [&](ApprovalWanted& wanted) {
                        wanted.instance = id_of(here(wanted.instance));
                        actions_.emplace_back(std::move(wanted));
                      },
                      [](RunFinished&) {},
                      // A called file has no services.
                      [](StartServices&) {}},
             action);
}

Result<void> Plan::Machine::answer_in_call(std::string_view job,
                                           std::string_view rest,
                                           const ApprovalAnswer& answer) {
  Result<void> answered =
      failure(Errc::invalid_argument,
              fmt::format("job \"{}\" has called nothing that waits", job));
  for (auto& [caller, called] : called_) {
    if (job_of(caller).id != job)
      continue;
    auto actions = called.machine->answer(std::string{rest}, answer, now_);
    if (actions) {
      note(caller, std::move(*actions));
      answered = {};
    } else if (!answered) {
      answered = tl::unexpected{std::move(actions.error())};
    }
  }
  return answered;
}

// -- After --------------------------------------------------------------------

void Plan::Machine::finish_call(std::size_t i) {
  const Called ended = std::move(called_.extract(i).mapped());
  unheard_.erase(i);
  ready_->remove(line_of_calls(progress_[i].job), i);
  Progress& progress = progress_[i];
  auto outputs = ended.machine->outputs_of_call();
  if (!outputs) {
    end_instance(i, JobState::failed,
                 std::move(outputs.error()).within("outputs").what);
    return;
  }
  progress.outputs = Value{std::move(*outputs)};
  if (progress.out_of_time) {
    progress.causes = {{actors::CauseKind::timeout, 0, "took too long"}};
    fail_instance(i, JobState::timed_out, late_reason(job_of(i)));
    return;
  }
  if (!progress.lost_service.empty() &&
      *ended.machine->result() != RunResult::success) {
    progress.causes = {{actors::CauseKind::gave_up, 0, progress.lost_service}};
    end_instance(i, JobState::failed, progress.lost_service);
    return;
  }
  switch (*ended.machine->result()) {
    case RunResult::success:
      end_instance(i, JobState::succeeded, {});
      return;
    case RunResult::cancelled:
      end_instance(
          i, JobState::cancelled,
          is_ending() ? reason_to_cancel() : "a job of it was cancelled");
      return;
    case RunResult::failure:
      break;
  }
  const auto failed = ended.machine->first_failure();
  const std::size_t at = failed.value_or(0);
  const JobState how = ended.machine->instances_[at].state;
  progress.causes = ended.machine->progress_[at].causes;
  fail_instance(
      i, how == JobState::timed_out ? how : JobState::failed,
      fmt::format("job {}/{} {}", instances_[i].label,
                  ended.machine->instances_[at].label,
                  how == JobState::timed_out ? "took too long" : "failed"));
}

Result<Value::Object> Plan::Machine::outputs_of_call() const {
  Value::Object out;
  Value::Object ends;
  for (std::size_t j = 0; j < jobs_.size(); ++j) {
    const Job& job = workflow_->jobs[j];
    ends.emplace_back(
        job.id,
        Value{Value::Object{{"result", Value{to_string(jobs_[j].verdict)}},
                            {"outputs", jobs_[j].outputs}}});
    const auto* const own = std::get_if<Value::Object>(&jobs_[j].outputs.data);
    if (own != nullptr && job.id == options_.only_job)
      out = *own;
  }
  const Value jobs{std::move(ends)};
  Environment environment{
      {{"inputs", &inputs_}, {"run", &run_}, {"env", &env_}, {"jobs", &jobs}}};
  environment.file_hashes = &options_.file_hashes;
  auto called = resolve_all(workflow_->triggers.call_outputs, environment, {});
  if (!called)
    return called;
  for (auto& [name, value] : *called) {
    if (value.is_true() || Value{out}.member(name) == nullptr)
      put(out, name, std::move(value));
  }
  return out;
}

}  // namespace troupe::workflow
