#pragma once

/// What happens in a run of a workflow, as every display of it gets told: the
/// lines and the table on a terminal, the JSON events, and the record on disk.
#include <troupe/actors/outcome.hpp>
#include <troupe/base/time.hpp>
#include <troupe/workflow/hook.hpp>
#include <troupe/workflow/plan.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace troupe::cli {

/// A job instance with the names that people know it by.
struct JobRef {
  workflow::InstanceId instance;
  std::string job;                ///< In the file.
  std::string label;              ///< With the values of the matrix.
  workflow::InstanceId caller{};  ///< That has called it; 0 for none.
};

struct StepRef {
  JobRef job;
  std::size_t step = 0;  ///< Index in the job.
  std::string key;       ///< Its id, or "step-2"; unique in the job.
  std::string name;      ///< For people.
};

struct RunStarted {
  std::string run_id;
  std::string workflow;
  std::string title;  ///< By `run-name`; empty if there is none.
  std::string file;
  std::string folder;  ///< Where the logs are.
  std::vector<JobRef> jobs;
  std::string path;  ///< Of the file, absolute; empty if it was piped in.
  std::size_t max_parallel = 0;
};

struct JobChanged {
  JobRef job;
  workflow::JobState state = workflow::JobState::pending;
  std::string reason;  ///< Empty if there is nothing to explain.
};

struct StepStarted {
  StepRef step;
  std::string line;  ///< The resolved command.
  std::uint32_t attempts = 1;
};

struct AttemptStarted {
  StepRef step;
  std::uint32_t number = 1;
};

struct AttemptEnded {
  StepRef step;
  std::uint32_t attempts = 1;  ///< At most.
  std::shared_ptr<const actors::Attempt> attempt;
  std::optional<Duration> next_in;  ///< Until the next one, if one comes.
  std::string log;                  ///< The file with its output.
};

struct StepFinished {
  StepRef step;
  workflow::StepOutcome outcome = workflow::StepOutcome::success;
  bool forgiven = false;  ///< Failed under continue-on-error.
  std::string reason;     ///< Why it failed or was not run; empty on success.
  Duration took{0};
  std::string log;   ///< Of its last attempt; empty if it was not run.
  std::string tail;  ///< The last bytes of that.
  workflow::Outputs outputs;
};

/// The matrix of a job has been computed: these stand for it from now on, the
/// first of them under a new name.
struct JobExpanded {
  std::string job;
  std::vector<JobRef> jobs;
  bool is_called = false;  ///< By a job that has started, instead.
};

using workflow::GroupDecided;

/// A service that jobs of the run need.
struct ServiceChanged {
  enum class State : std::uint8_t { starting, ready, ended, lost };

  std::string service;  ///< Its path.
  State state = State::starting;
  int pid = 0;         ///< While it starts.
  std::string reason;  ///< How it ended or was lost; empty otherwise.
  std::string log;     ///< The file with its output.
};

/// "starting".
[[nodiscard]] std::string_view to_string(ServiceChanged::State state);

/// Something that the user should know and that is no event of the run.
struct Notice {
  std::string what;
};

struct RunEnded {
  workflow::RunResult result = workflow::RunResult::success;
};

struct RunEvent {
  WallTime at;     ///< For people and records.
  TimePoint when;  ///< For lengths of time.
  std::variant<RunStarted, JobExpanded, JobChanged, StepStarted, AttemptStarted,
               AttemptEnded, StepFinished, GroupDecided, ServiceChanged, Notice,
               RunEnded>
      what;
};

}  // namespace troupe::cli
