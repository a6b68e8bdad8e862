#pragma once

/// One command with all its attempts, on the loop of this thread and without
/// actors: for a program that does nothing else, and should start at once.
/// What is decided is CommandCore's, as for commands that have an actor.
#include <troupe/actors/command_core.hpp>
#include <troupe/actors/command_request.hpp>
#include <troupe/process/command_runner.hpp>
#include <troupe/process/output_sink.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cstdint>
#include <functional>
#include <memory>

namespace troupe::cli {

class LoneCommand {
 public:
  struct Deps {
    boost::asio::io_context& io;
    process::CommandRunner& runner;
    std::shared_ptr<const actors::CommandRequest> request;
    /// Gets what is captured of all attempts; null discards it.
    std::shared_ptr<process::OutputSink> sink;
    std::uint64_t seed = 0;  ///< For the jitter.
    std::function<void(const actors::Attempt&)> on_attempt_ended;
    /// Once, at the end.
    std::function<void(actors::Outcome)> on_finished;
  };

  explicit LoneCommand(Deps deps);
  LoneCommand(const LoneCommand&) = delete;
  LoneCommand& operator=(const LoneCommand&) = delete;

  /// Once. All else happens when the loop runs, which must not run any more
  /// when this is destroyed.
  void start();

  /// No attempt after the one that runs, which this does not end.
  void cancel();

  /// Passes `signal` to the leader of the attempt that runs, if there is one.
  void tell(int signal);

 private:
  [[nodiscard]] process::AttemptId attempt(std::uint32_t number) const;
  void on_event(std::uint32_t number, const process::AttemptEvent& event);
  void perform(const actors::CommandCore::Actions& actions);
  void perform(const actors::CommandCore::StartAttempt& action);
  void perform(const actors::CommandCore::StopAttempt& action);
  void perform(const actors::CommandCore::Wait& action);
  void perform(const actors::CommandCore::Record& action);
  void perform(const actors::CommandCore::Finish& action);

  Deps deps_;
  actors::CommandCore core_;
  boost::asio::steady_timer timer_;
};

}  // namespace troupe::cli
