#pragma once

/// Decides, for one running attempt, when to signal, when to kill, how long to
/// read on, and when it is over. Performed by the warden's lane.
///
///   running ----- time limit or stop ----> stopping
///   running ----- leader exits ----------> draining
///   stopping ---- leader exits ----------> draining (for what grace is left)
///   stopping ---- grace passes ----------> killing
///   killing ----- tree is gone ----------> settling
///   draining ---- all quiet -------------> ended
///   draining ---- time passes -----------> killing
///   settling ---- all quiet, or time ----> ended
///
/// "All quiet": the leader has exited, its tree has no process left and every
/// captured stream has come to its end. The leader is reaped last, so that its
/// pid, group and session cannot mean anybody else before that.
#include <troupe/base/time.hpp>
#include <troupe/process/command_runner.hpp>

#include <cstdint>
#include <optional>
#include <vector>

namespace troupe::process {

/// How long a command's streams and leftovers are waited for once its leader
/// has exited. Long enough for the end of `cmd | tee`, short enough for people.
inline constexpr Duration drain_time = 100ms;

/// How long the last bytes are waited for once the whole tree has been killed.
inline constexpr Duration settle_time = 20ms;

/// A command that is being started has the pipes of all others open until it
/// executes its program, which takes long only on a machine that is too busy.
/// For so long after the times above, an open stream is held by nobody else.
inline constexpr Duration launch_time = 1s;

class AttemptCore {
 public:
  enum class State : std::uint8_t {
    running,
    stopping,
    draining,
    killing,
    settling,
    ended
  };

  /// What the lane does next, in the order of the list.
  struct Action {
    enum class Kind : std::uint8_t {
      signal_tree,  ///< Send `signal`, then SIGCONT, to every process of it.
      kill_tree,    ///< SIGKILL all of it; then call on_tree_killed.
      probe_tree,   ///< Look whether the tree has processes; call on_probed.
      set_timer,    ///< Call on_timer at `at`; replaces the timer before.
      finish,       ///< Close the streams, reap the leader, report. The last.
    };
    Kind kind;
    int signal = 0;
    TimePoint at{};

    friend bool operator==(const Action&, const Action&) = default;
  };
  using Actions = std::vector<Action>;

  /// What the core knows about the end; the lane adds what the kernel tells.
  struct Verdict {
    bool timed_out = false;
    bool silent = false;  ///< Timed out for want of output.
    bool stopped = false;
    bool right_ended = false;  ///< Stopped for that.
    bool killed = false;
    bool output_held = false;
  };

  /// `open_streams` is the number of captured streams.
  AttemptCore(const CommandSpec& spec, int open_streams);

  [[nodiscard]] Actions on_started(TimePoint now);
  /// Output has come, or would have if the lane had not been too busy to read.
  void on_output(TimePoint now) { heard_at_ = now; }
  [[nodiscard]] Actions on_stop(StopRequest request, TimePoint now);
  /// Stops it with its own polite signal and grace, or kills it.
  [[nodiscard]] Actions on_right_ended(bool is_grace_over, TimePoint now);
  [[nodiscard]] Actions on_stream_closed(TimePoint now);
  [[nodiscard]] Actions on_leader_exited(TimePoint now);
  /// What there is to be known when a time has passed.
  struct Surroundings {
    /// Another command is being started, or may not have closed yet what it
    /// got.
    bool others_start = false;
    /// A stream is open because nobody takes what was read before.
    bool is_held_back = false;
  };
  [[nodiscard]] Actions on_timer(TimePoint now, Surroundings around);
  [[nodiscard]] Actions on_timer(TimePoint now) { return on_timer(now, {}); }
  [[nodiscard]] Actions on_probed(bool empty, TimePoint now);
  [[nodiscard]] Actions on_tree_killed(TimePoint now);

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] const Verdict& verdict() const { return verdict_; }

 private:
  [[nodiscard]] bool quiet() const;
  /// When the first limit of a command that runs passes; nothing if it has
  /// none.
  [[nodiscard]] std::optional<TimePoint> next_limit() const;
  [[nodiscard]] Actions begin_stop(int signal, Duration grace, TimePoint now);
  [[nodiscard]] Actions begin_kill();
  [[nodiscard]] Actions drain_on(TimePoint now);
  /// Whether what holds a stream open may be a command that is being started.
  [[nodiscard]] bool may_be_released(TimePoint now, bool others_start) const {
    return tree_empty_ && others_start && now < deadline_ + launch_time;
  }
  [[nodiscard]] Actions finish();

  State state_ = State::running;
  Verdict verdict_;
  Duration time_limit_;
  Duration silence_limit_;
  Duration grace_;
  int polite_signal_;
  int open_streams_;
  bool leader_exited_ = false;
  bool tree_empty_ = false;
  bool awaits_reader_ = true;  ///< Of the rest of its output.
  TimePoint heard_at_{};       ///< The last output, or the start.
  TimePoint deadline_{};       ///< Of the current state, if it has one.
  Duration probe_delay_{0};    ///< Doubles while draining.
};

}  // namespace troupe::process
