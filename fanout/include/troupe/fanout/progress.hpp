#pragma once

#include <troupe/base/time.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace troupe::fanout {

/// What `--bar` shows. Owned by the dispatcher; time is passed in.
///
/// Throughput is the inverse of the mean time between two ends of jobs: a plain
/// mean at first, later an exponential one over about the last 32 jobs, or four
/// rounds of jobs where more run at once. While nothing ends for longer than
/// that mean, the wait itself counts, so a stalled map slows down on screen.
class Progress {
 public:
  explicit Progress(TimePoint start) : last_end_{start} {}

  /// The number of all jobs, once it is known. May be repeated.
  void set_total(std::uint64_t jobs) { total_ = jobs; }

  void on_started();
  void on_finished(bool ok, TimePoint now);
  /// A job that needs not run (--resume): done, but no measure of speed.
  void on_skipped() { ++skipped_; }

  [[nodiscard]] std::uint64_t running() const { return running_; }
  /// Finished or skipped.
  [[nodiscard]] std::uint64_t done() const { return finished_ + skipped_; }
  [[nodiscard]] std::uint64_t failed() const { return failed_; }

  /// Jobs per second; none before the first has ended.
  [[nodiscard]] std::optional<double> per_second(TimePoint now) const;

  /// Time until everything is done; none while the total or the speed is
  /// unknown.
  [[nodiscard]] std::optional<Duration> eta(TimePoint now) const;

  /// One line of at most `columns`, all ASCII, without a newline:
  ///
  ///   [=======>            ]  40% 400/1000, 8 running, 2 failed, 9.5/s, eta
  ///   1m3s 400 done, 8 running, 2 failed, 9.5/s
  ///
  /// What does not fit is left out from the right, the bar first.
  [[nodiscard]] std::string render(std::size_t columns, TimePoint now) const;

 private:
  [[nodiscard]] std::string describe(std::size_t columns, TimePoint now) const;
  [[nodiscard]] double done_fraction() const;

  std::optional<std::uint64_t> total_;
  std::uint64_t running_ = 0;
  std::uint64_t most_running_ = 0;
  std::uint64_t finished_ = 0;
  std::uint64_t failed_ = 0;
  std::uint64_t skipped_ = 0;
  TimePoint last_end_;
  double mean_gap_seconds_ = 0;  ///< Between two ends.
};

}  // namespace troupe::fanout
