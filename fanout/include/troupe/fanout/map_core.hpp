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
};

/// Decides what a map does next: reads arguments ahead of the free slots, never
/// more than it can use soon, starts jobs in order, and ends when all have, or
/// earlier by --halt or by the user. Pure; owned by the dispatcher.
class MapCore {
 public:
  /// Get up to `most` further arguments, then call on_arguments. One at a time.
  struct Read {
    std::size_t most;
  };
  struct Launch {
    Arguments arguments;
    std::uint32_t slot;  ///< From 1; nobody else's until the job ends.
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
  using Action = std::variant<Read, Launch, Skip, Wake, StopAll, Finish>;
  using Actions = std::vector<Action>;

  explicit MapCore(MapOptions options);

  [[nodiscard]] Actions on_start(TimePoint now);
  /// The answer to Read. `at_end` if nothing follows. After a failed read the
  /// arguments so far count and nothing follows.
  [[nodiscard]] Actions on_arguments(std::vector<Arguments> arguments,
                                     bool at_end, TimePoint now);
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

  [[nodiscard]] std::size_t running() const { return slot_of_.size(); }
  [[nodiscard]] bool stopping() const { return stopping_; }
  [[nodiscard]] const HaltPolicy& halt() const { return halt_; }

 private:
  void start_what_can(Actions& actions, TimePoint now);
  [[nodiscard]] Arguments take_waiting();
  void read_ahead(Actions& actions);
  void finish_if_over(Actions& actions);
  [[nodiscard]] bool may_start(std::uint64_t seq) const;
  [[nodiscard]] Actions go_on(TimePoint now);

  MapOptions options_;
  HaltPolicy halt_;
  std::deque<Arguments> waiting_;
  std::size_t waiting_bytes_ = 0;
  std::map<std::uint64_t, std::uint32_t> slot_of_;  ///< Of the running jobs.
  std::set<std::uint32_t> used_slots_;
  std::optional<TimePoint> last_start_;
  std::optional<TimePoint> wake_at_;
  bool reading_ = false;
  bool at_end_ = false;
  bool stopping_ = false;
  bool finished_ = false;
};

}  // namespace troupe::fanout
