#pragma once

#include <troupe/process/command_runner.hpp>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace troupe::process {

/// A CommandRunner that runs nothing and remembers what it was asked. A test
/// says when attempts run and end. For one thread.
class FakeCommandRunner : public CommandRunner {
 public:
  struct Stopped {
    AttemptId id;
    StopRequest request;
  };

  void start(AttemptId id, std::shared_ptr<const CommandSpec> spec,
             std::shared_ptr<OutputSink> sink,
             AttemptHandler handler) override {
    const auto known = attempts_.find(id);
    if (known != attempts_.end()) {
      adopted.push_back(id);
      known->second.handler = std::move(handler);
      replay(known->second);
      return;
    }
    started.push_back(id);
    attempts_[id] = {.spec = std::move(spec),
                     .sink = std::move(sink),
                     .handler = std::move(handler),
                     .events = {}};
    if (runs_at_once)
      run(id);
  }

  /// The test says when its predecessor has ended, by run().
  void start_after(AttemptId predecessor, AttemptId id,
                   std::shared_ptr<const CommandSpec> spec,
                   std::shared_ptr<OutputSink> sink,
                   AttemptHandler handler) override {
    const bool runs = std::exchange(runs_at_once, false);
    start(id, std::move(spec), std::move(sink), std::move(handler));
    runs_at_once = runs;
    predecessors[id] = predecessor;
  }

  void withdraw(AttemptId id) override { withdrawn.push_back(id); }

  /// Of several requests for one attempt all are remembered.
  void stop(AttemptId id, StopRequest request) override {
    if (is_running(id))
      stopped.push_back({id, request});
  }

  void signal(AttemptId id, int signal) override {
    if (is_running(id))
      signalled.emplace_back(id, signal);
  }

  void pause(AttemptId id) override {
    if (is_running(id))
      paused.insert(id);
  }

  void resume(AttemptId id) override { paused.erase(id); }

  void forget(AttemptId id) override {
    const auto known = attempts_.find(id);
    if (known == attempts_.end())
      return;
    forgotten.push_back(id);
    if (is_running(id))
      killed.push_back(id);
    attempts_.erase(known);
  }

  /// The attempt runs from now on.
  void run(AttemptId id) { tell(id, AttemptStarted{.pid = 4711}); }

  /// The attempt has ended by itself.
  void exit(AttemptId id, int code) {
    ExitReport report;
    report.exit_code = code;
    end(id, report);
  }

  /// It has ended because of a stop(): as cancelled, or as timed out.
  void obey(AttemptId id) {
    ExitReport report;
    report.signal = SIGTERM;
    report.stopped = true;
    for (const Stopped& stop : stopped)
      report.timed_out =
          report.timed_out || (stop.id == id && stop.request.timed_out);
    end(id, report);
  }

  void end(AttemptId id, AttemptEnd how) {
    tell(id, AttemptEnded{std::move(how), attempts_.at(id).sink});
  }

  void tell(AttemptId id, AttemptEvent event) {
    Attempt& attempt = attempts_.at(id);
    attempt.events.push_back(event);
    attempt.handler(event);
  }

  /// What has been started, has not ended and is not forgotten.
  [[nodiscard]] std::vector<AttemptId> running() const {
    std::vector<AttemptId> ids;
    for (const auto& [id, attempt] : attempts_) {
      if (is_running(id))
        ids.push_back(id);
    }
    return ids;
  }

  /// Of an attempt that is not forgotten.
  [[nodiscard]] const CommandSpec& spec_of(AttemptId id) const {
    return *attempts_.at(id).spec;
  }

  /// Everything that is not forgotten.
  [[nodiscard]] std::size_t remembered() const { return attempts_.size(); }

  std::vector<AttemptId> started;  ///< Adoptions not counted.
  std::vector<AttemptId> adopted;
  std::map<AttemptId, AttemptId> predecessors;
  std::vector<AttemptId> withdrawn;
  std::vector<Stopped> stopped;
  std::vector<std::pair<AttemptId, int>> signalled;
  std::set<AttemptId> paused;  ///< And not resumed.
  std::vector<AttemptId> forgotten;
  std::vector<AttemptId> killed;  ///< Forgotten while they ran.

  /// start() is followed by run().
  bool runs_at_once = true;

 private:
  struct Attempt {
    std::shared_ptr<const CommandSpec> spec;
    std::shared_ptr<OutputSink> sink;
    AttemptHandler handler;
    std::vector<AttemptEvent> events;
  };

  [[nodiscard]] bool is_running(AttemptId id) const {
    const auto known = attempts_.find(id);
    if (known == attempts_.end())
      return false;
    const auto& events = known->second.events;
    return std::none_of(events.begin(), events.end(), [](const auto& event) {
      return std::holds_alternative<AttemptEnded>(event);
    });
  }

  static void replay(const Attempt& attempt) {
    for (const AttemptEvent& event : attempt.events)
      attempt.handler(event);
  }

  std::map<AttemptId, Attempt> attempts_;
};

}  // namespace troupe::process
