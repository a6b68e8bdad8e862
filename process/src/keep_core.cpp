#include "keep_core.hpp"

namespace troupe::process {
namespace {

using KeepAction = KeepCore::Action::Kind;

}  // namespace

KeepCore::Actions KeepCore::wait_for_runner(TimePoint now) {
  state_ = State::alone;
  deadline_ = now + patience_;
  return {{.kind = KeepAction::set_timer, .at = deadline_}};
}

KeepCore::Actions KeepCore::on_begin(TimePoint now) {
  return wait_for_runner(now);
}

KeepCore::Actions KeepCore::on_connected() {
  switch (state_) {
    case State::alone:
    case State::leaving:
      state_ = State::attended;
      return {};
    case State::attended:
    case State::ending:
    case State::ended:
      return {};
  }
  return {};
}

KeepCore::Actions KeepCore::on_alone(TimePoint now) {
  switch (state_) {
    case State::attended:
      return wait_for_runner(now);
    case State::alone:
    case State::leaving:
    case State::ending:
    case State::ended:
      return {};
  }
  return {};
}

KeepCore::Actions KeepCore::on_timer(TimePoint now) {
  switch (state_) {
    case State::alone:
      if (now < deadline_)
        return {{.kind = KeepAction::set_timer, .at = deadline_}};
      state_ = State::leaving;
      return {{.kind = KeepAction::stop_all}};
    case State::attended:
    case State::leaving:
    case State::ending:
    case State::ended:
      return {};
  }
  return {};
}

KeepCore::Actions KeepCore::on_told_to_end() {
  switch (state_) {
    case State::alone:
    case State::attended:
    case State::leaving:
      state_ = State::ending;
      return {{.kind = KeepAction::refuse}, {.kind = KeepAction::stop_all}};
    case State::ending:
    case State::ended:
      return {};
  }
  return {};
}

KeepCore::Actions KeepCore::on_empty() {
  switch (state_) {
    case State::leaving:
      state_ = State::ended;
      return {{.kind = KeepAction::refuse}, {.kind = KeepAction::exit}};
    case State::ending:
      state_ = State::ended;
      return {{.kind = KeepAction::exit}};
    case State::alone:
    case State::attended:
    case State::ended:
      return {};
  }
  return {};
}

}  // namespace troupe::process
