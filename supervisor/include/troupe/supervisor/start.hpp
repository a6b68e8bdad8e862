#pragma once

#include <troupe/actors/caf.hpp>
#include <troupe/base/error.hpp>
#include <troupe/supervisor/child_spec.hpp>
#include <troupe/supervisor/supervisor_core.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <variant>

namespace troupe::supervisor {

using actors::Actor;
using actors::ActorRef;
using actors::Message;

/// What a start function may use. Valid during the call only.
class StartContext {
 public:
  StartContext(Actor* supervisor, const ChildSpec& spec, ChildRef child,
               std::uint32_t restarts, const Message& arguments,
               ActorRef report_to)
      : supervisor_{supervisor},
        spec_{spec},
        child_{child},
        restarts_{restarts},
        arguments_{arguments},
        report_to_{std::move(report_to)} {}

  /// The supervisor: spawn the child with spawn<State>(context.supervisor(),
  /// ..). It monitors what the start function returns.
  [[nodiscard]] Actor* supervisor() const { return supervisor_; }
  [[nodiscard]] const std::string& id() const { return spec_.id; }
  /// Names this incarnation in a ChildReady message.
  [[nodiscard]] ChildRef child() const { return child_; }
  /// Earlier starts of this child, failed or not. Zero for the first: whoever
  /// starts at a higher number looks after what its predecessor left.
  [[nodiscard]] std::uint32_t restarts() const { return restarts_; }
  /// What StartDynamicChild brought, the same for every restart.
  [[nodiscard]] const Message& arguments() const { return arguments_; }
  /// Where the supervisor sends its reports; may be empty.
  [[nodiscard]] const ActorRef& report_to() const { return report_to_; }

 private:
  Actor* supervisor_;
  const ChildSpec& spec_;
  ChildRef child_;
  std::uint32_t restarts_;
  const Message& arguments_;
  ActorRef report_to_;
};

/// The actor runs but is not ready: the start returns when it sends ChildReady
/// to the supervisor, and has failed if it ends before that.
struct Starting {
  ActorRef actor;
};
/// The child does not want a process now. That is no failure.
struct Ignore {};

/// What a start function returns: an actor that is ready, or one of the above,
/// or an Error. The actor of another child counts as an error.
class StartResult {
 public:
  using Value = std::variant<ActorRef, Starting, Ignore, Error>;

  // NOLINTBEGIN(google-explicit-constructor): `return actor;` is the point.
  StartResult(ActorRef actor) : value_{std::move(actor)} {}
  StartResult(Starting starting) : value_{std::move(starting)} {}
  StartResult(Ignore ignore) : value_{ignore} {}
  StartResult(Error error) : value_{std::move(error)} {}
  // NOLINTEND(google-explicit-constructor)

  [[nodiscard]] const Value& value() const { return value_; }

 private:
  Value value_;
};

/// A start function for dynamic children whose arguments are one `T`:
/// start(StartContext&, const T&). Other arguments fail with invalid_argument.
template <class T, class F>
[[nodiscard]] StartFunction start_with(F start) {
  return [start = std::move(start)](StartContext& context) -> StartResult {
    if (const T* arguments = actors::value_in<T>(context.arguments()))
      return start(context, *arguments);
    return Error{Errc::invalid_argument,
                 "the arguments are not of the type that the child expects"};
  };
}

}  // namespace troupe::supervisor
