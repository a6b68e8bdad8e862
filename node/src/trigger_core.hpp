#pragma once

/// What becomes of the times and changes that start runs.
#include <troupe/base/time.hpp>
#include <troupe/store/job.hpp>
#include <troupe/workflow/triggers.hpp>

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <vector>

namespace troupe::node {

/// What is to start one run.
struct Fire {
  WallTime at;                       ///< The time that was meant.
  std::vector<std::string> files{};  ///< That have changed.

  friend bool operator==(const Fire&, const Fire&) = default;
};

/// What is kept of a trigger over restarts of the node.
struct TriggerState {
  /// All times, or changes of files, up to here are dealt with.
  WallTime handled;
  /// Those for which a run is to be submitted, or has been, but nobody knows.
  std::deque<Fire> pending{};
  store::RunId last_run{};  ///< Zero for none.
  WallTime last_fire{};     ///< Of that.

  friend bool operator==(const TriggerState&, const TriggerState&) = default;
};

/// A time that passed so long ago counts even if nobody looked: a node that is
/// started anew, or a machine that is busy, misses nothing.
inline constexpr Duration always_made_up_for = 1min;

/// A clock that is set back by less has no time come twice. If it is more, it
/// was wrong before, and to wait for that time could take years.
inline constexpr Duration longest_step_back = 1h;

/// Fires of one trigger that may wait.
inline constexpr std::size_t most_pending = 100;

/// Files that one run is told.
inline constexpr std::size_t most_files = 1000;

/// Decides for one trigger. What it wants submitted is in state() before it
/// asks for it, so that a node which keeps state() on the disk first, and
/// submits each Fire under a name of its own, submits it exactly once, whenever
/// it dies. Pure: the time comes with each call; owned by one actor.
class TriggerCore {
 public:
  /// `schedule` with its zone, or nothing for one that fires by on_change().
  /// What `kept` has pending may have been submitted by another node.
  TriggerCore(std::optional<workflow::ScheduleTrigger> schedule,
              TriggerState kept);

  /// Deals with all times up to `now`: of several the last counts, if it was
  /// not too long ago. Whether state() is another one now.
  bool on_time(WallTime now);

  /// Files have changed. While a run goes on they wait, all for one run.
  /// More than most_files become several. `known_until` is kept as
  /// state().handled.
  bool on_change(const std::vector<std::string>& files, WallTime now,
                 WallTime known_until);

  /// What to do, once state() is on the disk.
  struct Next {
    std::optional<Fire> submit{};
    std::optional<store::RunId> cancel{};
  };
  /// Each is told once; what was told to be submitted is followed by
  /// on_submitted(), on_refused() or on_failed().
  Next next();

  /// These answer whether state() is another one now.
  bool on_submitted(WallTime at, store::RunId run);
  /// It cannot be submitted, and is given up.
  bool on_refused(WallTime at);
  /// It could not be submitted this time; next() has it again.
  void on_failed(WallTime at);

  void on_run_ended(store::RunId run);

  /// Whether it wants to know of the end of state().last_run.
  [[nodiscard]] bool is_running() const { return is_running_; }
  /// The next `count` times after `now`.
  [[nodiscard]] std::vector<WallTime> next_fires(WallTime now,
                                                 std::size_t count) const;

  [[nodiscard]] const TriggerState& state() const { return state_; }
  /// Times that were passed over, as the run before still went on.
  [[nodiscard]] std::size_t skipped() const { return skipped_; }

 private:
  bool fire(WallTime at);
  void pop();

  std::optional<workflow::ScheduleTrigger> schedule_;
  TriggerState state_;
  bool is_running_ = false;
  bool is_submitting_ = false;
  bool is_cancelling_ = false;
  /// So many of the first ones, none or one, may have been submitted and cannot
  /// change.
  std::size_t frozen_ = 0;
  std::size_t skipped_ = 0;
};

}  // namespace troupe::node
