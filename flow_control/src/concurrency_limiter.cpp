#include <troupe/base/assert.hpp>
#include <troupe/flow_control/concurrency_limiter.hpp>

#include <algorithm>
#include <cmath>

namespace troupe::flow_control {
namespace {

/// Fewer latencies than this are an accident, not a mean.
constexpr std::size_t min_calls_per_round = 8;

template <class Config>
const Config& checked(const Config& config) {
  TROUPE_ASSERT(1 <= config.min && config.min <= config.initial);
  TROUPE_ASSERT(config.initial <= config.max);
  TROUPE_ASSERT(0 < config.backoff && config.backoff < 1);
  return config;
}

template <class Config>
double within_bounds(double limit, const Config& config) {
  return std::clamp(limit, static_cast<double>(config.min),
                    static_cast<double>(config.max));
}

/// Whether the limit was felt; if not, nothing is learnt about it.
bool half_used(std::size_t in_flight, double limit) {
  return 2 * static_cast<double>(in_flight) >= limit;
}

}  // namespace

AimdLimit::AimdLimit(const AimdConfig& config)
    : config_{checked(config)},
      limit_{static_cast<double>(config.initial)},
      decreased_{TimePoint::min()} {}

void AimdLimit::on_sample(const CallSample& sample) {
  const bool slow =
      config_.too_slow > Duration{0} && sample.latency > config_.too_slow;
  if (sample.dropped || slow) {
    if (sample.now - sample.latency < decreased_)
      return;
    decreased_ = sample.now;
    limit_ = within_bounds(limit_ * config_.backoff, config_);
    return;
  }
  if (half_used(sample.in_flight, limit_))
    limit_ = within_bounds(limit_ + 1 / limit_, config_);
}

GradientLimit::GradientLimit(const GradientConfig& config, TimePoint now)
    : config_{checked(config)},
      limit_{static_cast<double>(config.initial)},
      probed_{now},
      round_start_{now} {
  TROUPE_ASSERT(1 <= config.tolerance && config.tolerance <= 2);
  TROUPE_ASSERT(config.probe_interval > Duration{0});
}

double GradientLimit::bounded(double limit) const {
  return within_bounds(limit, config_);
}

void GradientLimit::enter(Phase phase, double limit, TimePoint now) {
  phase_ = phase;
  limit_ = bounded(limit);
  round_start_ = now;
  calls_ = 0;
  latency_sum_ns_ = 0;
  peak_ = 0;
}

void GradientLimit::on_sample(const CallSample& sample) {
  switch (phase_) {
    case Phase::draining:
      if (static_cast<double>(sample.in_flight) <= std::floor(limit_) + 1)
        enter(Phase::probing, limit_, sample.now);
      return;
    case Phase::following:
    case Phase::probing:
      break;
  }
  if (sample.now - sample.latency < round_start_)
    return;
  if (sample.dropped) {
    const double before = phase_ == Phase::probing ? resumed_limit_ : limit_;
    enter(Phase::following, before * config_.backoff, sample.now);
    return;
  }
  ++calls_;
  latency_sum_ns_ += static_cast<double>(sample.latency.count());
  peak_ = std::max(peak_, sample.in_flight);
  if (calls_ >= min_calls_per_round && static_cast<double>(calls_) + 1 > limit_)
    finish_round(sample.now);
}

void GradientLimit::finish_round(TimePoint now) {
  const double mean_ns = latency_sum_ns_ / static_cast<double>(calls_);
  const Duration mean{std::max<Duration::rep>(std::llround(mean_ns), 1)};
  switch (phase_) {
    case Phase::following:
      follow(mean, now);
      return;
    case Phase::draining:
      return;
    case Phase::probing:
      if (mean < probed_mean_ / 8 * 7 &&
          limit_ > static_cast<double>(config_.min)) {
        probed_mean_ = mean;
        enter(Phase::draining, limit_ / 2, now);
        return;
      }
      unloaded_ = mean;
      probed_ = now;
      enter(Phase::following, resumed_limit_, now);
      return;
  }
}

void GradientLimit::follow(Duration mean, TimePoint now) {
  unloaded_ = unloaded_ == Duration{0} ? mean : std::min(unloaded_, mean);
  double next = limit_;
  if (half_used(peak_, limit_)) {
    const double gradient =
        std::clamp(config_.tolerance * static_cast<double>(unloaded_.count()) /
                       static_cast<double>(mean.count()),
                   0.5, 1.0);
    next = bounded(limit_ * gradient + std::sqrt(limit_));
  }
  if (now - probed_ < config_.probe_interval) {
    enter(Phase::following, next, now);
    return;
  }
  resumed_limit_ = next;
  probed_mean_ = mean;
  enter(Phase::draining, next / 2, now);
}

ConcurrencyLimiter::ConcurrencyLimiter(const AimdConfig& config)
    : rule_{AimdLimit{config}} {}

ConcurrencyLimiter::ConcurrencyLimiter(const GradientConfig& config,
                                       TimePoint now)
    : rule_{GradientLimit{config, now}} {}

bool ConcurrencyLimiter::on_start() {
  if (in_flight_ >= limit()) {
    ++rejected_;
    return false;
  }
  ++in_flight_;
  return true;
}

void ConcurrencyLimiter::on_end(Duration latency, bool dropped, TimePoint now) {
  TROUPE_ASSERT(in_flight_ > 0);
  const CallSample sample{std::max(latency, Duration{0}), dropped, in_flight_,
                          now};
  std::visit([&](auto& rule) { rule.on_sample(sample); }, rule_);
  --in_flight_;
}

std::size_t ConcurrencyLimiter::limit() const {
  const double limit =
      std::visit([](const auto& rule) { return rule.limit(); }, rule_);
  return static_cast<std::size_t>(limit);
}

}  // namespace troupe::flow_control
