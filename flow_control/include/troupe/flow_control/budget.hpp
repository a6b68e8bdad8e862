#pragma once

#include <cstdint>
#include <memory>

namespace troupe::flow_control {

/// A share of a Budget, given back when it is destroyed, from any thread and
/// also after the Budget is gone. Put into a message, it comes back when the
/// message is handled, bounced, or thrown away with the mailbox of a dead
/// actor, so that no crash can lose a part of the bound. Moves, never copies; a
/// single Permit belongs to one thread at a time.
class [[nodiscard]] Permit {
 public:
  /// Holds nothing, as after a refusal, a move or release().
  Permit() = default;
  Permit(Permit&& other) noexcept { swap(other); }
  Permit& operator=(Permit&& other) noexcept;
  ~Permit() { release(); }

  /// Whether it was granted and is still held. A grant of zero is held too.
  [[nodiscard]] explicit operator bool() const { return state_ != nullptr; }

  /// What will be given back: zero if nothing is held.
  [[nodiscard]] std::uint64_t count() const { return count_; }

  /// Gives back early. Repeating it does nothing.
  void release() noexcept;

 private:
  friend class Budget;
  struct State;
  Permit(std::shared_ptr<State> state, std::uint64_t count)
      : state_{std::move(state)}, count_{count} {}
  void swap(Permit& other) noexcept;

  std::shared_ptr<State> state_;
  std::uint64_t count_ = 0;
};

/// A Permit for messages, which the actor system may copy: comes back when the
/// last copy is gone. Null if refused. The copies may be in different threads.
using SharedPermit = std::shared_ptr<const Permit>;

/// The bound of a mailbox or buffer, counted in messages or in bytes: there are
/// never more permits out than the capacity. A handle: copies share one bound,
/// so that each sender can own a copy. Any thread may call any method at any
/// time; none waits.
class Budget {
 public:
  explicit Budget(std::uint64_t capacity);

  /// A permit for `n`, or an empty one if that would exceed the capacity; `n`
  /// above the capacity is never granted. Exact: it is refused only if there is
  /// no room at the moment of the call. One atomic exchange if nobody
  /// interferes.
  Permit try_acquire(std::uint64_t n = 1) const;

  /// The same as something that can be copied, at the cost of an allocation.
  [[nodiscard]] SharedPermit try_acquire_shared(std::uint64_t n = 1) const;

  [[nodiscard]] std::uint64_t capacity() const;
  [[nodiscard]] std::uint64_t in_use() const;
  [[nodiscard]] std::uint64_t available() const;

  /// The most that was ever in use at once.
  [[nodiscard]] std::uint64_t high_water() const;

  /// How many calls were refused.
  [[nodiscard]] std::uint64_t rejected() const;

 private:
  std::shared_ptr<Permit::State> state_;
};

}  // namespace troupe::flow_control
