#include "run_record.hpp"

#include <troupe/base/wall_time.hpp>

#include <nlohmann/json.hpp>

#include <array>
#include <fmt/format.h>
#include <optional>

namespace troupe::cli {
namespace {

using SortedJson = nlohmann::json;
using workflow::JobState;
using workflow::PastJob;
using workflow::PastRun;
using workflow::PastStep;
using workflow::RunResult;
using workflow::StepOutcome;

/// As to_string() spells it; nullopt for what a later version may have.
template <class Enum, std::size_t N>
std::optional<Enum> named(const SortedJson& json,
                          const std::array<Enum, N>& all) {
  for (const Enum one : all) {
    if (json == to_string(one))
      return one;
  }
  return std::nullopt;
}

std::optional<WallTime> time_in(const SortedJson& job, const char* key) {
  const auto found = job.find(key);
  if (found == job.end() || !found->is_string())
    return std::nullopt;
  const auto time = parse_wall_time(found->get<std::string>());
  return time ? std::optional{*time} : std::nullopt;
}

Duration seconds_in(const SortedJson& json, const char* key) {
  return std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(json.value(key, 0.0)));
}

PastStep past_step_in(const SortedJson& json) {
  PastStep step;
  step.step = json.at("step").get<std::string>();
  step.outcome = named(json.at("outcome"),
                       std::array{StepOutcome::success, StepOutcome::failure,
                                  StepOutcome::cancelled, StepOutcome::skipped})
                     .value_or(StepOutcome::skipped);
  if (const auto command = json.find("command");
      command != json.end() && command->is_string())
    step.command = command->get<std::string>();
  step.took = seconds_in(json, "seconds");
  const SortedJson attempts = json.value("attempts", SortedJson::array());
  step.attempts = static_cast<std::uint32_t>(attempts.size());
  if (!attempts.empty())
    step.last_attempt = seconds_in(attempts.back(), "wall_s");
  return step;
}

PastJob past_job_in(const SortedJson& json) {
  PastJob job;
  job.job = json.at("job").get<std::string>();
  job.label = json.at("label").get<std::string>();
  job.state = named(json.at("state"),
                    std::array{JobState::succeeded, JobState::failed,
                               JobState::timed_out, JobState::cancelled,
                               JobState::skipped})
                  .value_or(JobState::pending);
  job.ready = time_in(json, "ready");
  job.start = time_in(json, "start");
  job.end = time_in(json, "end");
  for (const SortedJson& step : json.at("steps"))
    job.steps.push_back(past_step_in(step));
  return job;
}

}  // namespace

bool may_be_of(std::string_view head, const std::string& path) {
  return head.find(SortedJson(path).dump()) != std::string_view::npos;
}

Result<PastRun> past_run_from_record(const std::string& text,
                                     const std::string& path) {
  try {
    const SortedJson json = SortedJson::parse(text);
    if (json.value("path", SortedJson()) != path)
      return failure(Errc::not_found, "a run of another workflow");
    const auto result = named(json.at("result"),
                              std::array{RunResult::success, RunResult::failure,
                                         RunResult::cancelled});
    const auto start = time_in(json, "start");
    const auto end = time_in(json, "end");
    if (!result || !start || !end)
      return failure(Errc::corrupt, "a run that has not ended");
    PastRun run;
    run.id = json.at("run").get<std::string>();
    run.result = *result;
    run.start = *start;
    run.end = *end;
    run.max_parallel = json.value("max_parallel", std::size_t{0});
    for (const SortedJson& job : json.at("jobs"))
      run.jobs.push_back(past_job_in(job));
    return run;
  } catch (const SortedJson::exception& error) {
    return failure(Errc::corrupt,
                   fmt::format("no record of a run: {}", error.what()));
  }
}

}  // namespace troupe::cli
