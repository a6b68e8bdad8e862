#include <troupe/supervisor/backoff_span.hpp>

#include <algorithm>
#include <cmath>

namespace troupe::supervisor {
namespace {

double nanoseconds(Duration duration) {
  return static_cast<double>(duration.count());
}

Duration clamped(double count) {
  constexpr auto most = Duration::max();
  return count >= nanoseconds(most)
             ? most
             : Duration{static_cast<Duration::rep>(count)};
}

DurationRange with_jitter(const Backoff& backoff, double planned) {
  return {clamped(planned * (1 - backoff.jitter)),
          clamped(planned * (1 + backoff.jitter))};
}

/// The sum of the first `restarts` waits without jitter: a geometric series
/// until `max` is reached, and `max` from there on.
double planned_span(const Backoff& backoff, double restarts) {
  const double min = nanoseconds(backoff.min);
  const double max = nanoseconds(backoff.max);
  if (!(backoff.factor > 1))
    return min * restarts;
  const double growing = std::min(
      restarts, std::ceil(std::log(max / min) / std::log(backoff.factor)));
  return min * (std::pow(backoff.factor, growing) - 1) / (backoff.factor - 1) +
         max * (restarts - growing);
}

/// The least time of `restarts` waits in a row if the child may have been up
/// for `reset-after` now and then, so that the waits begin with `min` again.
/// Only what is at most `period` need be right.
Duration least_span(const Backoff& backoff, std::uint64_t restarts,
                    Duration period) {
  constexpr std::uint64_t most_rounds = 64;
  if (backoff.reset_after < period / most_rounds)
    return clamped(nanoseconds(backoff_wait(backoff, 0).shortest) *
                   static_cast<double>(restarts));
  Duration least = Duration::max();
  // Waits grow, so that equal rounds are best.
  for (std::uint64_t rounds = 1;
       rounds <= std::min(restarts, most_rounds + 1) &&
       (rounds == 1 || backoff.reset_after <= period / (rounds - 1));
       ++rounds) {
    const std::uint64_t longer = restarts % rounds;
    const double waits =
        nanoseconds(backoff_span(backoff, restarts / rounds).shortest) *
            static_cast<double>(rounds - longer) +
        nanoseconds(backoff_span(backoff, restarts / rounds + 1).shortest) *
            static_cast<double>(longer);
    least =
        std::min(least, clamped(waits + nanoseconds(backoff.reset_after) *
                                            static_cast<double>(rounds - 1)));
  }
  return restarts == 0 ? Duration{0} : least;
}

}  // namespace

DurationRange backoff_wait(const Backoff& backoff, std::uint64_t step) {
  return with_jitter(
      backoff, std::min(nanoseconds(backoff.min) *
                            std::pow(backoff.factor, static_cast<double>(step)),
                        nanoseconds(backoff.max)));
}

DurationRange backoff_span(const Backoff& backoff, std::uint64_t restarts) {
  return with_jitter(backoff,
                     planned_span(backoff, static_cast<double>(restarts)));
}

std::uint64_t most_failures_within(const Backoff& backoff, Duration period,
                                   std::uint64_t limit) {
  std::uint64_t fits = 0;  // So many waits do.
  std::uint64_t too_many = limit;
  while (too_many - fits > 1) {
    const std::uint64_t middle = fits + (too_many - fits) / 2;
    if (least_span(backoff, middle, period) <= period)
      fits = middle;
    else
      too_many = middle;
  }
  return fits + 1;
}

}  // namespace troupe::supervisor
