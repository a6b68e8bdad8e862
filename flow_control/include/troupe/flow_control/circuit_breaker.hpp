#pragma once

#include <troupe/base/time.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <variant>

namespace troupe::flow_control {

enum class BreakerState : std::uint8_t {
  closed = 0,     ///< Calls pass and their results are counted.
  open = 1,       ///< Calls are refused until a time has passed.
  half_open = 2,  ///< A few probes pass; they decide.
};

/// The name for metrics and people: "closed", "open", "half_open".
[[nodiscard]] std::string_view to_string(BreakerState state);

/// When to stop calling something that fails, and when to try again.
struct BreakerConfig {
  /// Opens if, of at least `min_calls` in the last `window`, this share failed.
  /// 0 < ratio <= 1. The window slides in tenths of itself.
  double failure_ratio = 0.5;
  std::uint64_t min_calls = 20;
  Duration window = 10s;
  /// Opens also after so many failures in a row; zero turns that off.
  std::uint64_t consecutive_failures = 5;

  /// Stays open for min(open_min * backoff^n, open_max), n being how often it
  /// has opened since it was last closed, less one. 0 < open_min <= open_max.
  Duration open_min = 1s;
  Duration open_max = 1min;
  double backoff = 2.0;  ///< At least 1.

  /// Calls let through while half open; all must succeed to close. At least 1.
  std::uint32_t probes = 3;
  /// A probe without a result for so long counts as failed, so that one lost
  /// caller cannot keep the breaker half open for ever. More than zero.
  Duration probe_timeout = 30s;
};

/// Stops calls to something that keeps failing (Nygard, "Release It!"), so that
/// it can recover and its callers hear at once. Pure; one thread owns it.
///
///            failures                open time over, next allow()
///   closed -----------> open -------------------------> half_open
///      ^                  ^        one probe fails          |  |
///      |                  +---------------------------------+  |
///      +----------------- all probes succeed -----------------+
class CircuitBreaker {
 public:
  /// The call may be made. Report its result with this value, once.
  struct [[nodiscard]] Allowed {
    std::uint64_t generation = 0;  ///< Which stretch between two changes.
    friend bool operator==(const Allowed&, const Allowed&) = default;
  };
  /// The call must not be made; asking sooner is pointless.
  struct [[nodiscard]] Refused {
    Duration retry_after{0};
    friend bool operator==(const Refused&, const Refused&) = default;
  };

  explicit CircuitBreaker(const BreakerConfig& config);

  /// Whether a call may be made. Each Allowed is to be followed by exactly one
  /// of on_success(), on_failure() and on_abandoned().
  [[nodiscard]] std::variant<Allowed, Refused> allow(TimePoint now);

  /// A result counts only if the state has not changed since allow(): what a
  /// call from before an outage says about the time after it is ignored.
  void on_success(Allowed call, TimePoint now);
  void on_failure(Allowed call, TimePoint now);

  /// The call ended without saying anything about the other side (cancelled
  /// before it was made). Gives a probe's place back.
  void on_abandoned(Allowed call);

  /// As of the last call of a method; an open breaker turns half open only when
  /// somebody asks.
  [[nodiscard]] BreakerState state() const { return state_; }

  /// How often it has opened.
  [[nodiscard]] std::uint64_t opened() const { return opened_; }

  /// How many calls were refused.
  [[nodiscard]] std::uint64_t refused() const { return refused_; }

 private:
  struct Slice {
    std::int64_t number = -1;  ///< Time since the epoch in tenths of a window.
    std::uint64_t successes = 0;
    std::uint64_t failures = 0;
  };
  static constexpr std::int64_t slices = 10;

  void become(BreakerState state);
  void open(TimePoint now);
  [[nodiscard]] Slice& slice_at(TimePoint now);
  [[nodiscard]] bool too_many_failures(TimePoint now) const;
  [[nodiscard]] std::int64_t number_of(TimePoint now) const;
  [[nodiscard]] Duration open_time() const;
  [[nodiscard]] std::variant<Allowed, Refused> probe(TimePoint now);

  BreakerConfig config_;
  BreakerState state_ = BreakerState::closed;
  std::uint64_t generation_ = 1;
  std::uint64_t opened_ = 0;
  std::uint64_t refused_ = 0;

  // While closed.
  std::array<Slice, slices> window_{};
  std::uint64_t failures_in_a_row_ = 0;

  // While open and half open.
  std::uint32_t opened_in_a_row_ = 0;
  TimePoint until_;  ///< End of being open, or of waiting for the probes.
  std::uint32_t probes_out_ = 0;
  std::uint32_t probes_ok_ = 0;
};

}  // namespace troupe::flow_control
