#pragma once

#include <troupe/base/time.hpp>

#include <cstddef>
#include <cstdint>
#include <variant>

namespace troupe::flow_control {

/// Additive increase, multiplicative decrease, as TCP does with its window: for
/// a service that says when it has too much (errors, time-outs).
struct AimdConfig {
  std::size_t min = 1;  ///< At least 1; min <= initial <= max.
  std::size_t initial = 10;
  std::size_t max = 1000;
  double backoff = 0.9;  ///< Factor on overload; 0 < backoff < 1.
  /// A latency above this counts as overload too; zero for no such limit.
  Duration too_slow{0};
};

/// Follows the latency: for a service that gets slow before it fails. The idea
/// is TCP Vegas' (Brakmo, Peterson 1994): a round trip longer than without load
/// is time spent in a queue; as a ratio it is in Netflix' concurrency-limits.
struct GradientConfig {
  std::size_t min = 1;  ///< At least 1; min <= initial <= max.
  std::size_t initial = 10;
  std::size_t max = 1000;
  double backoff = 0.9;  ///< Factor when a call was dropped; 0 < backoff < 1.
  /// Latency allowed, as a multiple of that without load; 1 to 2.
  double tolerance = 1.5;
  /// How often the unloaded latency is measured again.
  Duration probe_interval = 30s;
};

/// What one finished call tells.
struct CallSample {
  Duration latency{0};
  bool dropped = false;
  std::size_t in_flight = 0;  ///< Calls running at its end, itself included.
  TimePoint now;
};

/// The AIMD rule. Per call that ended well while at least half of the limit was
/// in use, limit += 1 / limit: one more per round. On overload, limit *=
/// backoff, but only for calls that started after the last decrease: one
/// overload fails many calls and is to be answered once.
class AimdLimit {
 public:
  explicit AimdLimit(const AimdConfig& config);
  void on_sample(const CallSample& sample);
  [[nodiscard]] double limit() const { return limit_; }

 private:
  AimdConfig config_;
  double limit_;
  TimePoint decreased_;
};

/// The gradient rule. A round is `limit` calls that all started after the last
/// change, so that they show its effect. At its end, if at least half of the
/// limit was in use:
///
///   gradient = clamp(tolerance * unloaded / mean latency, 1/2, 1)
///   limit    = limit * gradient + sqrt(limit)
///
/// sqrt(limit) is the queue it may build. A dropped call ends the round with
/// limit *= backoff. `unloaded` is the smallest mean of a round. Each
/// probe_interval it is measured afresh, since under a load that never pauses
/// nothing else would show it: the limit is halved for a round, and again as
/// long as that makes calls faster by an eighth; then the old limit returns.
class GradientLimit {
 public:
  GradientLimit(const GradientConfig& config, TimePoint now);
  void on_sample(const CallSample& sample);
  [[nodiscard]] double limit() const { return limit_; }

  /// Zero until the first round is over.
  [[nodiscard]] Duration unloaded() const { return unloaded_; }

 private:
  enum class Phase : std::uint8_t {
    following,  ///< Rounds at the limit.
    draining,   ///< Limit halved; waits until no more than that are running.
    probing,    ///< One round at the halved limit.
  };

  void enter(Phase phase, double limit, TimePoint now);
  void finish_round(TimePoint now);
  void follow(Duration mean, TimePoint now);
  [[nodiscard]] double bounded(double limit) const;

  GradientConfig config_;
  Phase phase_ = Phase::following;
  double limit_;
  double resumed_limit_ = 0;  ///< While draining and probing: the limit before.
  Duration probed_mean_{0};   ///< Likewise: the mean at twice the limit.
  Duration unloaded_{0};
  TimePoint probed_;

  TimePoint round_start_;
  std::size_t calls_ = 0;
  double latency_sum_ns_ = 0;
  std::size_t peak_ = 0;
};

/// How many calls to something may run at once, learnt from how they end. Never
/// below `min`, never above `max`. Pure; one thread owns it.
class ConcurrencyLimiter {
 public:
  explicit ConcurrencyLimiter(const AimdConfig& config);
  ConcurrencyLimiter(const GradientConfig& config, TimePoint now);

  /// Whether one more may start. If so it counts as running until on_end().
  [[nodiscard]] bool on_start();

  /// A call ended after `latency`. `dropped` means overload: refused, timed
  /// out; not an answer that was merely an error. Exactly once per on_start().
  void on_end(Duration latency, bool dropped, TimePoint now);

  [[nodiscard]] std::size_t limit() const;
  [[nodiscard]] std::size_t in_flight() const { return in_flight_; }

  /// How many calls of on_start() were refused.
  [[nodiscard]] std::uint64_t rejected() const { return rejected_; }

 private:
  std::variant<AimdLimit, GradientLimit> rule_;
  std::size_t in_flight_ = 0;
  std::uint64_t rejected_ = 0;
};

}  // namespace troupe::flow_control
