#include <troupe/actors/actor_loop.hpp>

#include <atomic>
#include <chrono>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace troupe::actors {
namespace {

constexpr std::size_t most_messages = 100;
/// Turns in one run(): the loop has other work, too.
constexpr std::size_t most_turns = 256;

/// CAF calls it from any thread. What it holds may be the last that holds an
/// actor, whose end calls it again.
class LoopClock : public caf::detail::simple_actor_clock {
 public:
  using super = caf::detail::simple_actor_clock;

  /// `on_sooner` is called when something is due before all that was known.
  explicit LoopClock(std::function<void()> on_sooner)
      : on_sooner_{std::move(on_sooner)} {}

  void set_ordinary_timeout(time_point at, caf::abstract_actor* self,
                            caf::atom_value type, std::uint64_t id) override {
    change([&] { super::set_ordinary_timeout(at, self, type, id); });
  }
  void set_multi_timeout(time_point at, caf::abstract_actor* self,
                         caf::atom_value type, std::uint64_t id) override {
    change([&] { super::set_multi_timeout(at, self, type, id); });
  }
  void set_request_timeout(time_point at, caf::abstract_actor* self,
                           caf::message_id id) override {
    change([&] { super::set_request_timeout(at, self, id); });
  }
  void cancel_ordinary_timeout(caf::abstract_actor* self,
                               caf::atom_value type) override {
    change([&] { super::cancel_ordinary_timeout(self, type); });
  }
  void cancel_request_timeout(caf::abstract_actor* self,
                              caf::message_id id) override {
    change([&] { super::cancel_request_timeout(self, id); });
  }
  void cancel_timeouts(caf::abstract_actor* self) override {
    change([&] { super::cancel_timeouts(self); });
  }
  void schedule_message(time_point at, caf::strong_actor_ptr receiver,
                        caf::mailbox_element_ptr content) override {
    change([&] {
      super::schedule_message(at, std::move(receiver), std::move(content));
    });
  }
  void schedule_message(time_point at, caf::group target,
                        caf::strong_actor_ptr sender,
                        caf::message content) override {
    change([&] {
      super::schedule_message(at, std::move(target), std::move(sender),
                              std::move(content));
    });
  }
  void cancel_all() override {
    change([&] { super::cancel_all(); });
  }

  void deliver_what_is_due() {
    const std::lock_guard lock{mutex_};
    super::trigger_expired_timeouts();
  }

  [[nodiscard]] std::optional<TimePoint> next() {
    const std::lock_guard lock{mutex_};
    if (schedule().empty())
      return std::nullopt;
    return schedule().begin()->first;
  }

 private:
  template <class F>
  void change(F what) {
    bool is_sooner = false;
    {
      const std::lock_guard lock{mutex_};
      const auto before = next();
      what();
      const auto after = next();
      is_sooner = after && (!before || *after < *before);
    }
    if (is_sooner)
      on_sooner_();
  }

  std::function<void()> on_sooner_;
  std::recursive_mutex mutex_;  ///< Guards what is inherited.
};

}  // namespace

class LoopScheduler final : public caf::scheduler::abstract_coordinator {
 public:
  using super = caf::scheduler::abstract_coordinator;

  LoopScheduler(ActorSystem& system, ActorLoop& loop)
      : super{system}, loop_{loop}, unit_{system, ready_} {}

  void enqueue(caf::resumable* job) override {
    {
      const std::lock_guard lock{mutex_};
      arrived_.push_back(job);
    }
    wake();
  }

  caf::actor_clock& clock() noexcept override { return clock_; }

  void run() {
    is_woken_ = false;
    clock_.deliver_what_is_due();
    for (std::size_t turn = 0; turn < most_turns && take_next(); ++turn) {
    }
    if (!ready_.empty())
      wake();
    auto next = clock_.next();
    if (next)
      next = end_of_tick(*next);
    if (next && next != wakes_at_)
      loop_.hooks_.wake_at(*next);
    wakes_at_ = next;
  }

 protected:
  void stop() override {
    stop_actors();
    // Whoever is to get a message later is held until then.
    clock_.cancel_all();
    // Without the lock: what ends may send, and stops its timers.
    while (caf::resumable* const job = next_job())
      cleanup_and_release(job);
  }

 private:
  /// What an actor that has its turn makes others do.
  class Unit : public caf::execution_unit {
   public:
    Unit(ActorSystem& system, std::deque<caf::resumable*>& ready)
        : caf::execution_unit{&system}, ready_{ready} {}

    void exec_later(caf::resumable* job) override { ready_.push_back(job); }

   private:
    std::deque<caf::resumable*>& ready_;
  };

  void wake() {
    if (!is_woken_.exchange(true))
      loop_.hooks_.wake();
  }

  /// Null if there is none.
  caf::resumable* next_job() {
    if (ready_.empty()) {
      const std::lock_guard lock{mutex_};
      ready_.swap(arrived_);
    }
    if (ready_.empty())
      return nullptr;
    caf::resumable* const job = ready_.front();
    ready_.pop_front();
    return job;
  }

  /// False if there was none.
  bool take_next() {
    caf::resumable* const job = next_job();
    if (job == nullptr)
      return false;
    switch (job->resume(&unit_, most_messages)) {
      case caf::resumable::resume_later:
        ready_.push_back(job);
        break;
      case caf::resumable::done:
      case caf::resumable::awaiting_message:
      case caf::resumable::shutdown_execution_unit:
        caf::intrusive_ptr_release(job);
        break;
    }
    return true;
  }

  ActorLoop& loop_;
  std::deque<caf::resumable*> ready_;  ///< Of the thread of the loop.
  Unit unit_;
  LoopClock clock_{[this] { wake(); }};
  std::optional<TimePoint> wakes_at_;
  std::atomic<bool> is_woken_{false};
  std::mutex mutex_;
  std::deque<caf::resumable*> arrived_;  ///< From anywhere; guarded.
};

void ActorLoop::run() { scheduler_->run(); }

bool ActorLoop::await_all_actors(ActorSystem& system, Duration limit) {
  constexpr Duration pause = 100us;
  const TimePoint end = std::chrono::steady_clock::now() + limit;
  while (system.registry().running() > 0) {
    if (std::chrono::steady_clock::now() >= end)
      return false;
    scheduler_->run();
    // Some have threads of their own.
    std::this_thread::sleep_for(pause);
  }
  return true;
}

LoopSystemConfig::LoopSystemConfig(ActorLoop& loop) {
  module_factories.push_back([&loop](ActorSystem& system) {
    loop.scheduler_ = new LoopScheduler{system, loop};
    return static_cast<caf::actor_system::module*>(loop.scheduler_);
  });
}

}  // namespace troupe::actors
