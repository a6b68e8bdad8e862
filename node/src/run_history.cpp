#include "run_history.hpp"

#include <utility>

namespace troupe::node {
namespace {

workflow::PastStep past_step(const StepView& step, const workflow::Job& job) {
  workflow::PastStep past;
  past.step = workflow::step_key(job, step.key.step);
  past.outcome = step.outcome.value_or(workflow::StepOutcome::cancelled);
  past.command = step.command;
  past.attempts = step.attempts;
  if (step.ended)
    past.took = *step.ended - step.started;
  past.last_attempt = step.took;
  workflow::note_waiting(past);
  return past;
}

workflow::RunResult result_of(store::RunState state) {
  switch (state) {
    case store::RunState::succeeded:
      return workflow::RunResult::success;
    case store::RunState::running:
    case store::RunState::cancelled:
      return workflow::RunResult::cancelled;
    case store::RunState::failed:
      return workflow::RunResult::failure;
  }
  return workflow::RunResult::failure;
}

}  // namespace

Result<RunCore> make_core(KeptRun& kept) {
  auto spec = decode_run_spec(kept.info.run.spec);
  if (!spec)
    return tl::unexpected(std::move(spec.error()));
  kept.info.run.spec.clear();
  auto core = RunCore::make(kept.info.id, std::move(*spec));
  if (!core)
    return tl::unexpected(std::move(core.error()));
  if (auto replayed = core->replay(kept.events); !replayed)
    return tl::unexpected(std::move(replayed.error()));
  return core;
}

workflow::PastRun past_run(const RunCore& core, WallTime submitted) {
  workflow::PastRun run;
  run.id = run_name(core.run());
  run.result = result_of(core.state());
  run.start = submitted;
  run.end = core.last_event();
  run.max_parallel = core.spec().max_parallel;
  const auto instances = core.instances();
  for (std::size_t i = 0; i < instances.size(); ++i) {
    const InstanceView& instance = instances[i];
    workflow::PastJob job;
    job.job = instance.job;
    job.label = instance.label;
    job.state = instance.state;
    job.ready = instance.ready;
    job.start = instance.started;
    job.end = instance.ended;
    for (const StepView& step : instance.steps) {
      run.was_retried = run.was_retried || step.key.round > 0;
      job.steps.push_back(past_step(step, core.definition(i)));
    }
    run.jobs.push_back(std::move(job));
  }
  return run;
}

workflow::Estimates learn_from(std::vector<KeptRun> earlier,
                               const std::string& file) {
  std::vector<workflow::PastRun> runs;
  if (!file.starts_with('/'))
    return {};
  for (KeptRun& kept : earlier) {
    const auto core = make_core(kept);
    if (core && core->spec().file == file)
      runs.push_back(past_run(*core, kept.info.submitted));
  }
  return workflow::learn(runs);
}

}  // namespace troupe::node
