#include "lone_command.hpp"

#include <troupe/actors/digest_sink.hpp>
#include <troupe/base/overload.hpp>

#include <boost/asio/post.hpp>

#include <chrono>
#include <utility>
#include <variant>

namespace troupe::cli {
namespace {

WallTime wall_now() { return std::chrono::system_clock::now(); }

}  // namespace

LoneCommand::LoneCommand(Deps deps)
    : deps_{std::move(deps)},
      core_{deps_.request, {}, deps_.seed},
      timer_{deps_.io} {}

void LoneCommand::start() { perform(core_.on_start(wall_now())); }

void LoneCommand::cancel() { perform(core_.on_cancel(std::nullopt)); }

void LoneCommand::tell(int signal) {
  deps_.runner.signal(attempt(core_.current_attempt()), signal);
}

process::AttemptId LoneCommand::attempt(std::uint32_t number) const {
  return {CommandId{1}, number};
}

void LoneCommand::on_event(std::uint32_t number,
                           const process::AttemptEvent& event) {
  if (number != core_.current_attempt())
    return;
  std::visit(Overload{[&](const process::AttemptStarted&) {
                        core_.on_attempt_started(wall_now());
                      },
                      [&](const process::AttemptEnded& m) {
                        perform(core_.on_attempt_ended(
                            actors::seen_of(m, wall_now())));
                      }},
             event);
}

void LoneCommand::perform(const actors::CommandCore::Actions& actions) {
  for (const auto& action : actions)
    std::visit([this](const auto& a) { perform(a); }, action);
}

void LoneCommand::perform(const actors::CommandCore::StartAttempt& action) {
  actors::start_attempt(
      deps_.runner, attempt(action.number), deps_.request, deps_.sink,
      [this, number = action.number](const process::AttemptEvent& event) {
        boost::asio::post(deps_.io,
                          [this, number, event] { on_event(number, event); });
      });
}

void LoneCommand::perform(const actors::CommandCore::StopAttempt& action) {
  deps_.runner.stop(attempt(action.number), action.request);
}

void LoneCommand::perform(const actors::CommandCore::Wait& action) {
  timer_.expires_after(action.delay);
  timer_.async_wait([this, token = action.token](const auto& error) {
    if (!error)
      perform(core_.on_wait_over(token, wall_now()));
  });
}

void LoneCommand::perform(const actors::CommandCore::Record& action) {
  deps_.runner.forget(attempt(action.attempt.number));
  deps_.on_attempt_ended(action.attempt);
}

void LoneCommand::perform(const actors::CommandCore::Finish& action) {
  timer_.cancel();
  deps_.on_finished(action.outcome);
}

}  // namespace troupe::cli
