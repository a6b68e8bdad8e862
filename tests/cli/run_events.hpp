#pragma once

#include "run_event.hpp"

#include <memory>
#include <string>
#include <utility>

namespace troupe::cli {

/// Events of a made-up run of three jobs, at times that a test chooses.
inline const JobRef build{workflow::InstanceId{1}, "build", "build (eu)"};
inline const JobRef check{workflow::InstanceId{2}, "check", "check"};
inline const JobRef ship{workflow::InstanceId{3}, "ship", "ship"};
inline const StepRef compile{build, 0, "compile", "compile all"};

template <class What>
RunEvent at(Duration since_start, What what) {
  return {WallTime{} + std::chrono::duration_cast<WallTime::duration>(
                           1700000000s + since_start),
          TimePoint{} + since_start, std::move(what)};
}

inline RunStarted run_started() {
  return {.run_id = "20231114-221320-abcd",
          .workflow = "etl",
          .file = "etl.yaml",
          .folder = "/state/runs/20231114-221320-abcd",
          .jobs = {build, check, ship},
          .path = "/home/ada/etl.yaml",
          .max_parallel = 2};
}

inline AttemptEnded failed_attempt(std::uint32_t number,
                                   std::optional<Duration> next_in) {
  auto attempt = std::make_shared<actors::Attempt>();
  attempt->number = number;
  attempt->kind = actors::OutcomeKind::failed;
  attempt->causes = {{actors::CauseKind::exit_code, 1, "exited with 1"}};
  return {compile, 3, attempt, next_in, "/logs/compile.log"};
}

}  // namespace troupe::cli
