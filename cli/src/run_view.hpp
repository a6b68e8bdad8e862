#pragma once

/// What a person looks at while a workflow runs, and reads at its end.
#include "run_event.hpp"

#include <array>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::cli {

/// How a frame is drawn.
struct FrameStyle {
  std::size_t columns = 80;
  std::size_t rows = 24;
  bool colour = false;
};

/// The state of a run as far as people see it: fed with the events, asked for
/// texts. Owned by the actor of the run; pure.
class RunView {
 public:
  void apply(const RunEvent& event);

  /// A line for the run, one for each job, in the order of the file, and one
  /// for each service; none wider than the terminal, and fewer than it is high.
  /// Where not all jobs fit, those that run and then those that failed are
  /// shown first; services have at most a third of the room.
  [[nodiscard]] std::vector<std::string> frame(const FrameStyle& style,
                                               TimePoint now) const;

  /// What the run came to, with each failed step: why, its last lines and its
  /// log. Ends in a newline.
  [[nodiscard]] std::string summary() const;

 private:
  struct Row {
    JobRef job;
    workflow::JobState state = workflow::JobState::pending;
    TimePoint started;
    TimePoint ended;
    std::string step;  ///< The one that runs.
    std::string note;  ///< Why it ended as it did.
    std::uint32_t attempt = 1;
    std::uint32_t attempts = 1;
  };

  /// A service, below the jobs.
  struct ServiceRow {
    ServiceChanged::State state = ServiceChanged::State::starting;
    TimePoint since;
    std::uint32_t starts = 0;
    std::string note;
  };

  Row& row(const JobRef& job);
  void forget_failures(workflow::InstanceId job);
  [[nodiscard]] std::string headline(TimePoint now) const;
  [[nodiscard]] std::string counts() const;
  [[nodiscard]] std::vector<std::size_t> rows_shown(std::size_t most) const;
  /// All, each with those below it that it has called.
  [[nodiscard]] std::vector<std::size_t> rows_in_order() const;
  [[nodiscard]] static std::string line(const Row& row, const FrameStyle& style,
                                        TimePoint now);
  [[nodiscard]] static std::string line(const std::string& name,
                                        const ServiceRow& row,
                                        const FrameStyle& style, TimePoint now);

  RunStarted run_;
  TimePoint started_;
  TimePoint ended_;
  std::optional<workflow::RunResult> result_;
  std::vector<Row> rows_;
  std::map<std::string, ServiceRow> services_;  ///< By path.
  std::vector<StepFinished> failures_;          ///< The first ones.
  std::size_t more_failures_ = 0;
  std::vector<JobChanged> failed_jobs_;  ///< That failed without a step.
};

/// Draws frames over each other at the place of the cursor. Owned by the actor
/// of the run; returns what is to be written to the terminal, in one piece.
class FramePainter {
 public:
  /// Replaces the last frame; empty if nothing has changed.
  [[nodiscard]] std::string draw(const std::vector<std::string>& lines);
  /// Removes the last frame, so that other text can be written in its place.
  [[nodiscard]] std::string erase();
  /// Leaves the last frame for good and shows the cursor again.
  [[nodiscard]] std::string finish();

 private:
  std::vector<std::string> drawn_;
  bool cursor_hidden_ = false;
};

}  // namespace troupe::cli
