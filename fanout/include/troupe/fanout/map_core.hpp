#pragma once

#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>
#include <troupe/fanout/arguments.hpp>
#include <troupe/fanout/halt_policy.hpp>
#include <troupe/fanout/interval_set.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <variant>
#include <vector>

namespace troupe::fanout {

struct MapOptions {
  std::uint32_t slots = 1;  ///< Jobs at once; at least 1.
  HaltPolicy halt{};
  Duration delay{0};       ///< At least so long from one start to the next.
  IntervalSet finished{};  ///< Jobs of an earlier map that are not run again.
  /// No job starts that is so far ahead of the first unfinished one; zero for
  /// no such limit. See OutputOrder.
  std::uint64_t window = 0;
  /// Between short jobs no time is lost by asking: each running one gets a
  /// successor in advance. Not with a delay, nor with a halt policy other than
  /// never, nor if jobs are tried again: for these the end of a job decides
  /// whether another one starts.
  bool with_successors = false;
};

/// Decides what a map does next: reads arguments ahead of the free slots, never
/// more than it can use soon, starts jobs in order, and ends when all have, or
/// earlier by --halt or by the user. Pure; owned by the dispatcher.
///
/// A successor starts, in the slot of its predecessor, as soon as that has
/// ended. It is withdrawn, and waits again as the first of all, when another
/// slot is free and nobody else could use it, when too many later jobs have
/// overtaken it because its predecessor turned out to be long, and when fewer
/// or no more jobs shall start.
class MapCore {
 public:
  /// Get up to `most` further arguments, then call on_arguments. One at a time.
  struct Read {
    std::size_t most;
  };
  struct Launch {
    Arguments arguments;
    std::uint32_t slot;  ///< From 1; nobody else's until the job ends.
    std::optional<std::uint64_t> after{};  ///< The predecessor in that slot.
  };
  /// A successor shall not start, if it has not yet. Call on_withdrawn if it
  /// did not; if it did, it is a job like any other.
  struct Withdraw {
    std::uint64_t seq;
  };
  /// The job ended in an earlier map.
  struct Skip {
    std::uint64_t seq;
  };
  /// Call on_time at or after `at`.
  struct Wake {
    TimePoint at;
  };
  /// End all running jobs; each is still reported by on_finished.
  struct StopAll {};
  /// All is over. The last action.
  struct Finish {};
  using Action =
      std::variant<Read, Launch, Withdraw, Skip, Wake, StopAll, Finish>;
  using Actions = std::vector<Action>;

  explicit MapCore(MapOptions options);

  [[nodiscard]] Actions on_start(TimePoint now);
  /// The answer to Read. `at_end` if nothing follows. After a failed read the
  /// arguments so far count and nothing follows.
  [[nodiscard]] Actions on_arguments(std::vector<Arguments> arguments,
                                     bool at_end, TimePoint now);
  /// A launched job runs. Only needed for successors.
  [[nodiscard]] Actions on_started(std::uint64_t seq, TimePoint now);
  /// A successor will not start.
  [[nodiscard]] Actions on_withdrawn(std::uint64_t seq, TimePoint now);
  /// A job has ended for good. `status` is what a shell would put into `$?`.
  [[nodiscard]] Actions on_finished(std::uint64_t seq, bool ok, int status,
                                    TimePoint now);
  [[nodiscard]] Actions on_time(TimePoint now);
  /// Changes the number of slots (-j auto, --load, --memfree); zero starts
  /// nothing for now. Running jobs keep theirs.
  [[nodiscard]] Actions resize(std::uint32_t slots, TimePoint now);
  /// Starts no more jobs; what runs goes on to its end.
  [[nodiscard]] Actions stop_starting(TimePoint now);
  /// And ends what runs.
  [[nodiscard]] Actions stop_all(TimePoint now);
  /// How many jobs there are in all, once that is known.
  void set_total(std::uint64_t jobs) { halt_.set_total(jobs); }

  /// Successors not counted.
  [[nodiscard]] std::size_t running() const { return running_.size(); }
  [[nodiscard]] bool stopping() const { return stopping_; }
  [[nodiscard]] const HaltPolicy& halt() const { return halt_; }

 private:
  struct Running {
    std::uint32_t slot = 0;
    std::optional<TimePoint> started{};
    std::optional<std::uint64_t> successor{};
    bool is_long = false;  ///< A successor has waited in vain for its end.
    /// Of one that was withdrawn as a successor; the answer is to come.
    std::optional<Arguments> withdrawn{};
  };
  struct Successor {
    Arguments arguments;
    std::uint64_t predecessor = 0;
    std::optional<TimePoint>
        started{};              ///< The end of the other is to be told.
    bool is_withdrawn = false;  ///< The answer is to come.
  };
  using Successors = std::map<std::uint64_t, Successor>;

  void leave_slot(const Running& ended, TimePoint now);
  void start_what_can(Actions& actions, TimePoint now);
  void skip_finished(Actions& actions);
  void give_successors(Actions& actions);
  void withdraw_successors(Actions& actions);
  static void withdraw(Actions& actions, Successors::value_type& successor);
  void take_back(Arguments arguments);
  void detach(Successors::iterator successor);
  [[nodiscard]] Arguments take_waiting();
  void read_ahead(Actions& actions);
  void finish_if_over(Actions& actions);
  [[nodiscard]] bool may_start(std::uint64_t seq) const;
  [[nodiscard]] Actions go_on(TimePoint now);

  MapOptions options_;
  HaltPolicy halt_;
  std::deque<Arguments> waiting_;
  std::size_t waiting_bytes_ = 0;
  std::map<std::uint64_t, Running> running_;
  Successors successors_;
  std::optional<Duration> mean_duration_;  ///< Of the last jobs.
  std::uint64_t last_launched_ = 0;
  std::set<std::uint32_t> used_slots_;
  std::optional<TimePoint> last_start_;
  std::optional<TimePoint> wake_at_;
  bool reading_ = false;
  bool is_shrunk_ = false;  ///< Fewer slots than before: successors go back.
  bool at_end_ = false;
  bool stopping_ = false;
  bool finished_ = false;
};

}  // namespace troupe::fanout
