#pragma once

/// Actors that take turns on the thread of a loop, instead of on threads of
/// their own: what they send to each other, and to whatever else lives on this
/// loop, wakes up nobody (docs/adr/0018-actors-on-the-loop.md).
#include <troupe/actors/caf.hpp>
#include <troupe/base/time.hpp>

#include <functional>

namespace troupe::actors {

class LoopScheduler;

/// Runs the actors of one system whenever the loop lets it. Outlives the
/// system.
class ActorLoop {
 public:
  struct Hooks {
    /// Has run() called soon, on the thread of the loop. From any thread.
    std::function<void()> wake;
    /// Has run() called at that time, and not at an earlier one any more. It
    /// is the end of a tick, so that timers that are due together cost one
    /// call. From the thread of the loop.
    std::function<void(TimePoint)> wake_at;
  };

  explicit ActorLoop(Hooks hooks) : hooks_{std::move(hooks)} {}
  ActorLoop(const ActorLoop&) = delete;
  ActorLoop& operator=(const ActorLoop&) = delete;

  /// Lets all actors that have something to do take their turns, for a bounded
  /// number of them. Always on the same thread, and never in a handler.
  void run();

  /// As await_all_actors(), on the thread of the loop when that does not run
  /// any more: lets the actors take their turns meanwhile.
  [[nodiscard]] bool await_all_actors(ActorSystem& system, Duration limit);

 private:
  friend class LoopScheduler;
  friend struct LoopSystemConfig;

  Hooks hooks_;
  LoopScheduler* scheduler_ = nullptr;  ///< Of the system, and owned by it.
};

/// A configuration that reads no file and no arguments. An actor yields after
/// 100 messages, so that a busy one starves nobody. It must outlive the system
/// made from it.
struct LoopSystemConfig : caf::actor_system_config {
  explicit LoopSystemConfig(ActorLoop& loop);
};

}  // namespace troupe::actors
