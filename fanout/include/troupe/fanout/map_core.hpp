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
  /// Between short jobs no time is lost by asking: each running one gets
  /// successors in advance. Not with a delay, nor with a halt policy other than
  /// never, nor if jobs are tried again: for these the end of a job decides
  /// whether another one starts.
  bool with_successors = false;
};

/// Decides what a map does next: reads arguments ahead of the free slots, never
/// more than it can use soon, starts jobs in order, and ends when all have, or
/// earlier by --halt or by the user. Pure; owned by the dispatcher.
///
/// The successors of a job are a chain: each starts, in the slot of the one
/// before it, as soon as that has ended. The shorter jobs are, the more there
/// are, so that all of a chain take some milliseconds. One is withdrawn, with
/// all behind it, and waits again as the first of all, when another slot is
/// free and nobody else could use it, when too many others have begun since
/// because a job before it turned out to be long, when jobs take longer than
/// before, and when fewer or no more of them shall start.
class MapCore {
 public:
  /// Get up to `most` further arguments, then call on_arguments. One at a time.
  struct Read {
    std::size_t most;
  };
  struct Launch {
    Arguments arguments;
    std::uint32_t slot;  ///< From 1; nobody else's until the job ends.
    /// Of a successor: the one before it in that slot. See predecessor_of().
    std::optional<std::uint64_t> after{};
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

  /// Behind which job a successor is to be started: `after` of its Launch, or,
  /// if that has failed to start meanwhile, the one before that.
  [[nodiscard]] std::optional<std::uint64_t> predecessor_of(
      std::uint64_t successor) const;
  /// Successors not counted.
  [[nodiscard]] std::size_t running() const { return running_.size(); }
  [[nodiscard]] bool stopping() const { return stopping_; }
  [[nodiscard]] const HaltPolicy& halt() const { return halt_; }

 private:
  struct Running {
    std::uint32_t slot = 0;
    std::optional<TimePoint> started{};
    bool is_long = false;  ///< A successor has waited in vain for its end.
    /// Of one that was withdrawn as a successor; the answer is to come.
    std::optional<Arguments> withdrawn{};
  };
  struct Successor {
    Arguments arguments;
    std::uint32_t slot = 0;
    std::optional<TimePoint>
        started{};              ///< The end of the other is to be told.
    bool is_withdrawn = false;  ///< The answer is to come.
  };
  using Successors = std::map<std::uint64_t, Successor>;
  struct Next {
    std::uint64_t seq = 0;
    /// With so many jobs begun since the start of the map it is overtaken.
    std::uint64_t patience = 0;
  };
  /// A slot that is taken.
  struct Line {
    std::uint64_t running = 0;
    std::deque<Next> successors{};  ///< The next one first.
    bool is_filled_up = false;
  };

  void note_duration(const Running& ended, TimePoint now);
  void pass_on_slot(std::uint32_t slot);
  void start_what_can(Actions& actions, TimePoint now);
  void skip_finished(Actions& actions);
  void give_successors(Actions& actions);
  [[nodiscard]] std::size_t useful_successors() const;
  [[nodiscard]] bool choose_lines(std::size_t wanted);
  [[nodiscard]] bool may_grow(const Line& line) const;
  [[nodiscard]] bool may_launch_next(Actions& actions);
  void append_successor(Actions& actions, std::uint32_t slot, Line& line);
  void withdraw_successors(Actions& actions);
  [[nodiscard]] bool is_overtaken(const Line& line) const;
  void withdraw_all_behind(Actions& actions, const Line& line,
                           std::size_t kept);
  void withdraw_for_free_slots(Actions& actions);
  void withdraw(Actions& actions, std::uint64_t seq);
  [[nodiscard]] std::size_t count_waiting(const Line& line) const;
  [[nodiscard]] static bool is_waiting(const Successor& successor) {
    return !successor.started && !successor.is_withdrawn;
  }
  void take_back(Arguments arguments);
  Arguments detach(Successors::iterator successor);
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
  std::size_t successor_bytes_ = 0;
  std::optional<Duration> mean_duration_;  ///< Of the last jobs.
  std::uint64_t begun_ = 0;                ///< How many jobs.
  std::map<std::uint32_t, Line> lines_;    ///< By their slots.
  std::optional<TimePoint> last_start_;
  std::optional<TimePoint> wake_at_;
  bool reading_ = false;
  bool is_shrunk_ = false;  ///< Fewer slots than before: successors go back.
  bool at_end_ = false;
  bool stopping_ = false;
  bool finished_ = false;
};

}  // namespace troupe::fanout
