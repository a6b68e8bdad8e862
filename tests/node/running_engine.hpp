#pragma once

#include "own_resources.hpp"

#include <troupe/node/engine.hpp>
#include <troupe/supervisor/messages.hpp>

#include <atomic>
#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace troupe::node {

/// Everything that owners have been told, from any thread.
class Tally {
 public:
  /// Called with each event, on the thread that counts it. Changed only while
  /// no command is in the engine.
  std::function<void()> on_event;

  void started(CommandId id) {
    {
      const std::lock_guard lock{mutex_};
      ++starts_[id];
    }
    event();
  }
  /// Counted as an event first: whoever sees the outcome here has seen all.
  void finished(const actors::CommandFinished& m) {
    event();
    const std::lock_guard lock{mutex_};
    outcomes_[m.id].push_back(m.outcome);
  }
  void event() {
    ++events_;
    if (on_event)
      on_event();
  }

  [[nodiscard]] std::size_t events() const { return events_; }
  [[nodiscard]] std::size_t commands_started() const {
    const std::lock_guard lock{mutex_};
    return starts_.size();
  }
  [[nodiscard]] std::size_t commands_finished() const {
    const std::lock_guard lock{mutex_};
    return outcomes_.size();
  }
  using Outcomes = std::vector<std::shared_ptr<const actors::Outcome>>;
  [[nodiscard]] std::map<CommandId, Outcomes> outcomes() const {
    const std::lock_guard lock{mutex_};
    return outcomes_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<CommandId, int> starts_;
  std::map<CommandId, Outcomes> outcomes_;
  std::atomic<std::size_t> events_{0};
};

/// Owns commands and counts what it is told of them.
class TallyActor {
 public:
  TallyActor(actors::Actor*, std::shared_ptr<Tally> tally)
      : tally_{std::move(tally)} {}
  actors::Behavior make_behavior() {
    return {
        [this](const actors::CommandStarted& m) { tally_->started(m.id); },
        [this](const actors::AttemptFinished&) { tally_->event(); },
        [this](const actors::CommandFinished& m) { tally_->finished(m); },
    };
  }

 private:
  std::shared_ptr<Tally> tally_;
};

/// An engine with its warden and its I/O thread, and one owner of commands.
class RunningEngine {
 public:
  explicit RunningEngine(EngineOptions options = {}) {
    sigemptyset(&options.signal_mask);
    auto started = Engine::start(options);
    EXPECT_TRUE(started.has_value()) << (started ? "" : started.error().what);
    engine = std::move(*started);
    owner = actors::spawn<TallyActor>(engine->system(), tally);
    io_thread_ = std::thread{[this] { engine->run(); }};
  }
  RunningEngine(const RunningEngine&) = delete;
  RunningEngine& operator=(const RunningEngine&) = delete;
  ~RunningEngine() { EXPECT_TRUE(shutdown()); }

  /// False if something did not end in time.
  bool shutdown() {
    if (!io_thread_.joinable())
      return true;
    engine->stop();
    io_thread_.join();
    actors::stop(std::exchange(owner, {}));
    return engine->shutdown().has_value();
  }

  Result<CommandId> submit(actors::CommandRequest request,
                           std::shared_ptr<actors::OutputSinks> sinks = {}) {
    return engine->submit(
        std::make_shared<const actors::CommandRequest>(std::move(request)),
        std::move(sinks), owner);
  }

  /// The actor of the child `name` of the tree; empty while it has none.
  actors::ActorRef child(const std::string& name) {
    actors::ThreadActor self{engine->system()};
    actors::ActorRef found;
    self->request(engine->tree(), caf::infinite, supervisor::WhichChildren{})
        .receive(
            [&](const supervisor::ChildList& list) {
              for (const auto& entry : list.children) {
                if (entry.info.id == name)
                  found = entry.actor;
              }
            },
            [](const caf::error&) {});
    return found;
  }

  std::unique_ptr<Engine> engine;
  std::shared_ptr<Tally> tally = std::make_shared<Tally>();
  actors::ActorRef owner;

 private:
  std::thread io_thread_;
};

inline actors::CommandRequest shell(std::string script) {
  actors::CommandRequest request;
  request.spec.argv = {"sh", "-c", std::move(script)};
  return request;
}

}  // namespace troupe::node
