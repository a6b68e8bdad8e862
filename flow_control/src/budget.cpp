#include <troupe/flow_control/budget.hpp>

#include <atomic>
#include <utility>

namespace troupe::flow_control {

struct Permit::State {
  explicit State(std::uint64_t n) : capacity{n} {}

  const std::uint64_t capacity;
  std::atomic<std::uint64_t> used{0};
  std::atomic<std::uint64_t> high_water{0};
  std::atomic<std::uint64_t> rejected{0};
};

Permit& Permit::operator=(Permit&& other) noexcept {
  Permit taken{std::move(other)};
  swap(taken);
  return *this;
}

void Permit::release() noexcept {
  if (state_ == nullptr)
    return;
  // Release: what the holder did is seen by whoever gets this share next.
  state_->used.fetch_sub(count_, std::memory_order_release);
  state_.reset();
  count_ = 0;
}

void Permit::swap(Permit& other) noexcept {
  std::swap(state_, other.state_);
  std::swap(count_, other.count_);
}

Budget::Budget(std::uint64_t capacity)
    : state_{std::make_shared<Permit::State>(capacity)} {}

Permit Budget::try_acquire(std::uint64_t n) const {
  Permit::State& state = *state_;
  // Exchange rather than add and take back: a large request that is refused
  // must not make small ones fail in the meantime.
  std::uint64_t used = state.used.load(std::memory_order_relaxed);
  do {
    if (n > state.capacity || used > state.capacity - n) {
      state.rejected.fetch_add(1, std::memory_order_relaxed);
      return {};
    }
  } while (!state.used.compare_exchange_weak(
      used, used + n, std::memory_order_acquire, std::memory_order_relaxed));

  std::uint64_t highest = state.high_water.load(std::memory_order_relaxed);
  while (highest < used + n && !state.high_water.compare_exchange_weak(
                                   highest, used + n, std::memory_order_relaxed,
                                   std::memory_order_relaxed)) {
  }
  return {state_, n};
}

SharedPermit Budget::try_acquire_shared(std::uint64_t n) const {
  Permit permit = try_acquire(n);
  if (!permit)
    return nullptr;
  return std::make_shared<const Permit>(std::move(permit));
}

std::uint64_t Budget::capacity() const { return state_->capacity; }

std::uint64_t Budget::in_use() const {
  return state_->used.load(std::memory_order_relaxed);
}

std::uint64_t Budget::available() const { return capacity() - in_use(); }

std::uint64_t Budget::high_water() const {
  return state_->high_water.load(std::memory_order_relaxed);
}

std::uint64_t Budget::rejected() const {
  return state_->rejected.load(std::memory_order_relaxed);
}

}  // namespace troupe::flow_control
