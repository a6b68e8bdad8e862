#pragma once

/// The loop of a process, and the actors that take their turns on it.
#include <troupe/actors/actor_loop.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <optional>
#include <utility>

namespace troupe::node {

/// Whatever else may hold a handle of an actor has to go before it. One thread
/// runs io(); when that has ended, it calls loop().await_all_actors().
class ActorHost {
 public:
  ActorHost() = default;
  ActorHost(const ActorHost&) = delete;
  ActorHost& operator=(const ActorHost&) = delete;

  /// What still waits on the loop may hold handles as well, and the system
  /// waits until nobody does: the loop goes first. By now no other thread may
  /// send anything.
  ~ActorHost() {
    is_over_ = true;
    timer_.reset();
    keep_running_.reset();
    io_.reset();
  }

  [[nodiscard]] boost::asio::io_context& io() { return *io_; }
  [[nodiscard]] actors::ActorLoop& loop() { return loop_; }
  [[nodiscard]] actors::ActorSystem& system() { return system_; }

 private:
  void run_soon() {
    if (!is_over_)
      boost::asio::post(*io_, [this] { loop_.run(); });
  }
  void run_at(TimePoint time) {
    if (is_over_)
      return;
    timer_->expires_at(time);
    timer_->async_wait([this](const auto& error) {
      if (!error)
        loop_.run();
    });
  }

  std::atomic<bool> is_over_{false};
  std::optional<boost::asio::io_context> io_{std::in_place, 1};
  std::optional<
      boost::asio::executor_work_guard<boost::asio::io_context::executor_type>>
      keep_running_{io_->get_executor()};
  std::optional<boost::asio::steady_timer> timer_{*io_};
  actors::ActorLoop loop_{
      {.wake = [this] { run_soon(); },
       .wake_at = [this](TimePoint time) { run_at(time); }}};
  actors::LoopSystemConfig config_{loop_};
  actors::ActorSystem system_{config_};
};

}  // namespace troupe::node
