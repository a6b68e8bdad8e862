#pragma once

/// The door to the actor framework (CAF 0.17). No other file of the tree
/// includes <caf/..>, so what another version spells differently is changed
/// here and in src/caf.cpp (docs/adr/0001-caf-version-and-seam.md).
///
/// An actor is a plain class, its *state*, whose constructor takes `Actor*`
/// first and which has `Behavior make_behavior()`; spawn<State>(..) runs it.
/// Messages are plain structs, matched by their exact type, and never leave
/// the process: register each with TROUPE_LOCAL_MESSAGE.

#include <troupe/actors/exit_reason.hpp>
#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>

#include <caf/actor.hpp>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/mailbox_element.hpp>
#include <caf/message_id.hpp>
#include <caf/response_promise.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>
#include <caf/system_messages.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>

/// Allows `type` in messages between actors of this process. At global scope,
/// after the complete, copyable type and before its first use in a message.
#define TROUPE_LOCAL_MESSAGE(type) CAF_ALLOW_UNSAFE_MESSAGE_TYPE(type)

namespace troupe::actors {

namespace detail {
/// What one thread has done before hand_over() is seen by one that calls
/// take_over() later: the mailbox of the packaged CAF does that, and where
/// ThreadSanitizer cannot see it, it is told here. Otherwise nothing.
#ifdef __SANITIZE_THREAD__
void hand_over();
void take_over();
#else
inline void hand_over() {}
inline void take_over() {}
#endif
}  // namespace detail

/// A handle that keeps the actor's object alive, but does not keep the actor
/// from ending. Empty when default-constructed. An actor that nobody has a
/// handle of is destroyed as soon as it is idle. Never a member of the state it
/// points to, unless somebody is sure to end that actor: a cycle, and the
/// system never comes down.
using ActorRef = caf::actor;
/// Unique in its system and never used twice.
using ActorId = caf::actor_id;
using ActorSystem = caf::actor_system;
/// The handlers of an actor, one lambda per message type.
using Behavior = caf::behavior;
/// Any number of values of any registered types; cheap to copy.
using Message = caf::message;
/// What a monitor gets when the actor that it watches has ended.
using DownMessage = caf::down_msg;
/// What an actor gets that is asked to stop.
using ExitMessage = caf::exit_msg;
/// The right to answer the current message later: see answer_later().
using Promise = caf::response_promise;
/// An actor for the current thread, for main() and tests. Blocks; never in a
/// handler.
using ThreadActor = caf::scoped_actor;

// -- Errors and exit reasons -------------------------------------------------

/// The one way an Error crosses a mailbox.
[[nodiscard]] caf::error to_caf(const Error& error);

/// The reverse of to_caf(Error); foreign errors become `internal`.
[[nodiscard]] Error to_error(const caf::error& error);

/// What to quit with. shutdown and killed without text become CAF's own codes.
[[nodiscard]] caf::error to_caf(const ExitReason& reason);

/// Why an actor ended, from a DownMessage or ExitMessage. Errors that are no
/// exit reason of ours or CAF's are `custom`.
[[nodiscard]] ExitReason to_exit_reason(const caf::error& reason);

// -- The system --------------------------------------------------------------

/// A configuration that reads no file and no arguments: `threads` workers
/// (at least 1) that share one queue, which costs no CPU time while idle; an
/// actor yields after 100 messages, so that a busy one starves nobody. It must
/// outlive the system made from it.
struct SystemConfig : caf::actor_system_config {
  explicit SystemConfig(std::size_t threads);
};

[[nodiscard]] inline SystemConfig make_system_config(std::size_t threads) {
  return SystemConfig{threads};
}

/// For tests: actors run in the calling thread, and only when told to; time
/// moves only when told to. See tests/support/actor_test.hpp.
struct TestSystemConfig : caf::actor_system_config {
  TestSystemConfig();
};
using TestScheduler = caf::scheduler::test_coordinator;

/// Waits until no actor of `system` is alive, at most `limit`; returns whether
/// that is so. Whoever calls this has told them to end. Blocks; for main().
[[nodiscard]] bool await_all_actors(ActorSystem& system, Duration limit);

// -- Actors ------------------------------------------------------------------

/// How many handlers have kept their scheduler thread for longer than
/// stall_limit since the process started. From any thread.
[[nodiscard]] std::uint64_t handler_stalls();
inline constexpr Duration stall_limit = 10ms;

/// Base of all our actors. Differs from CAF's in what it does when nobody
/// looks: an exception ends the actor with ExitKind::crashed and its text,
/// unexpected and down messages are dropped, and nothing is ever printed.
/// Used by its own handlers only, never from another thread.
///
/// A handler must not block, for others wait for its thread; one that takes
/// longer than stall_limit is counted, and logged with the types of its message
/// (TROUPE_LOG=info). If TROUPE_STALLS is a duration such as 250ms, one that
/// waits or computes for longer ends the process: for tests. Detached actors
/// are exempt.
class Actor : public caf::event_based_actor {
 public:
  explicit Actor(caf::actor_config& config);

  /// CAF's; measured.
  caf::invoke_message_result consume(caf::mailbox_element& element) override;
};

/// Runs a `State`. The state is destroyed when the actor ends, not with the
/// last handle; `State::on_exit()`, if there is one, is called before that.
template <class State>
class StateActor final : public Actor {
 public:
  template <class... Args>
  explicit StateActor(caf::actor_config& config, Args&&... args)
      : Actor{config} {
    state_.emplace(static_cast<Actor*>(this), std::forward<Args>(args)...);
    detail::hand_over();
  }

  Behavior make_behavior() override {
    detail::take_over();
    return state_->make_behavior();
  }

  void on_exit() override {
    detail::take_over();
    if constexpr (requires(State & state) { state.on_exit(); })
      state_->on_exit();
    state_.reset();
  }

 private:
  std::optional<State> state_;
};

/// Starts an actor. The constructor of `State` runs here, in the caller, and
/// what it throws is thrown here; make_behavior() runs in the new actor.
template <class State, class... Args>
ActorRef spawn(ActorSystem& system, Args&&... args) {
  return system.spawn<StateActor<State>>(std::forward<Args>(args)...);
}

/// The same from within an actor. The new one is neither linked nor monitored.
template <class State, class... Args>
ActorRef spawn(Actor* self, Args&&... args) {
  return self->spawn<StateActor<State>>(std::forward<Args>(args)...);
}

/// An actor with a thread of its own, for blocking work.
template <class State, class... Args>
ActorRef spawn_detached(ActorSystem& system, Args&&... args) {
  return system.spawn<StateActor<State>, caf::detached>(
      std::forward<Args>(args)...);
}

/// The handle of a running actor. Hand it out; do not keep it in the state.
[[nodiscard]] inline ActorRef ref_of(Actor* self) {
  return caf::actor_cast<ActorRef>(self);
}

/// Who sent the message being handled; empty if nobody did.
[[nodiscard]] inline ActorRef sender_of(Actor* self) {
  return caf::actor_cast<ActorRef>(self->current_sender());
}

/// The time that actors live by: real, or virtual in tests.
[[nodiscard]] inline TimePoint now(Actor* self) { return self->clock().now(); }

// -- Messages ----------------------------------------------------------------

/// Sends from any thread, without a sender. To an ended actor: lost.
template <class M>
void send(const ActorRef& to, M&& message) {
  detail::hand_over();
  caf::anon_send(to, std::forward<M>(message));
}

/// Sends from an actor, which answers go to.
template <class M>
void send(Actor* self, const ActorRef& to, M&& message) {
  detail::hand_over();
  self->send(to, std::forward<M>(message));
}

/// Sends to `self`: behind everything that is in its mailbox already.
template <class M>
void send_self(Actor* self, M&& message) {
  detail::hand_over();
  self->send(self, std::forward<M>(message));
}

/// Sends to `self` once `delay` has passed. Cannot be cancelled: put a number
/// into the message and ignore those that are out of date.
template <class M>
void send_after(Actor* self, Duration delay, M&& message) {
  self->delayed_send(self, delay, std::forward<M>(message));
}

/// The right to answer the message being handled, once, with
/// `promise.deliver(Answer{..})`. A request gets it as its response; a message
/// that was only sent, as a message to its sender; an anonymous one, nobody.
[[nodiscard]] inline Promise answer_later(Actor* self) {
  return self->make_response_promise();
}

/// One value of a registered type as a Message.
template <class T>
[[nodiscard]] Message make_message(T&& value) {
  return caf::make_message(std::forward<T>(value));
}

/// The value in a Message that holds exactly one `T`, else null. Lives as long
/// as `message`.
template <class T>
[[nodiscard]] const T* value_in(const Message& message) {
  return message.match_elements<T>() ? &message.get_as<T>(0) : nullptr;
}

// -- Requests ----------------------------------------------------------------

/// An error that a request ended with, as its sender should see it: to_error(),
/// but what CAF says when there is no answer in time is `timed_out`, and when
/// the receiver has ended, of a crash or otherwise, `unavailable`.
[[nodiscard]] Error to_request_error(const caf::error& error);

/// Sends a request. `handler(Result<Answer>)` is called exactly once, in
/// `self`: with the answer, or with an error by the end of `within`, as from
/// to_request_error(); an answer of another type is `internal`. Never called if
/// `self` ends before that. An actor should have less than a thousand open.
template <class Answer, class M, class F>
void request(Actor* self, const ActorRef& to, Duration within, M&& message,
             F handler) {
  detail::hand_over();
  self->request(to, within, std::forward<M>(message))
      .then(
          [handler](const Answer& answer) mutable {
            handler(Result<Answer>{answer});
          },
          [handler](caf::error& error) mutable {
            handler(Result<Answer>{tl::unexpected(to_request_error(error))});
          });
}

/// A message as it arrived, for an actor that passes it on or keeps it for
/// later, whatever is in it. Can be copied; answer it once.
struct Mail {
  caf::strong_actor_ptr sender;  ///< Null if nobody.
  caf::message_id id;
  caf::mailbox_element::forwarding_stack stages;  ///< Whom answers pass by.
  Message content;
};

/// Whether somebody waits for the answer. Who only sent a message, and perhaps
/// gets one in return, is not told when that is lost.
[[nodiscard]] inline bool is_request(const Mail& mail) {
  return mail.id.is_request();
}

/// Passes a message on as if `to` had got it in the first place: it sees the
/// sender, and an answer goes there, not to `self`.
void pass_on(Actor* self, const ActorRef& to, Mail mail);

/// The same for a request, but the answer comes to `self`, which finds
/// `number` in it with answered_request() and then answers the sender. The
/// receiver sees no difference. `number` is not zero and below 2^59.
void pass_on_request(Actor* self, const ActorRef& to, Mail mail,
                     std::uint64_t number);

/// The number of the request that `mail` is the answer to; nullopt if it is no
/// such answer.
[[nodiscard]] std::optional<std::uint64_t> answered_request(const Mail& mail);

/// How an actor ended over a request, if that is what it is answered with: an
/// actor that crashes in a handler answers the request with its exit reason.
[[nodiscard]] std::optional<ExitReason> end_in_answer(const Mail& mail);

/// Answers a request. From any thread, also when the actor that got it has
/// ended. A message that is no request is not answered.
void answer(const Mail& request, Message content);
void answer(const Mail& request, const Error& error);

namespace detail {
/// The message being handled, emptied. CAF has taken an error out of it
/// already.
[[nodiscard]] Mail take_mail(Actor* self);
[[nodiscard]] Mail take_mail(Actor* self, caf::error& content);
}  // namespace detail

/// What `self` does with messages that it has no handler for: handler(Mail).
/// Exit and down messages are none of these.
template <class F>
void handle_rest(Actor* self, F handler) {
  self->set_default_handler(
      [self, handler](caf::scheduled_actor*,
                      caf::message_view&) -> caf::result<caf::message> {
        handler(detail::take_mail(self));
        return caf::delegated<caf::message>{};
      });
  // CAF gives errors no chance to be anything but the end of the receiver.
  self->set_error_handler([self, handler](caf::error& error) {
    handler(detail::take_mail(self, error));
  });
}

// -- Ends --------------------------------------------------------------------

/// Ends `self` after the current handler.
void quit(Actor* self, const ExitReason& reason = {});

/// Asks `actor` to end with `reason`; overtakes ordinary messages in its
/// mailbox. An actor with an exit handler decides itself.
void stop(Actor* self, const ActorRef& actor,
          const ExitReason& reason = {ExitKind::shutdown, {}});

/// Ends `actor` as soon as its current handler returns; no handler of its own
/// is asked. Overtakes ordinary messages.
void kill(Actor* self, const ActorRef& actor);

/// The same from any thread, behind what is in the mailbox.
void stop(const ActorRef& actor);
void kill(const ActorRef& actor);

/// Ends `actor` as kill() does once `delay` has passed, even if `self` has
/// ended by then.
void kill_after(Actor* self, const ActorRef& actor, Duration delay);

/// From now on `self` gets one DownMessage when `actor` ends; at once if it
/// has ended already.
inline void monitor(Actor* self, const ActorRef& actor) {
  self->monitor(actor);
}

/// What `self` does when an actor that it monitors has ended:
/// handler(ActorId, ExitReason).
template <class F>
void handle_down(Actor* self, F handler) {
  self->set_down_handler([handler](const DownMessage& down) {
    handler(down.source.id(), to_exit_reason(down.reason));
  });
}

/// What `self` does when it is asked to stop, instead of ending at once:
/// handler(ExitReason). It then has to end by itself, with quit(). Not asked
/// when it is killed, nor when an actor ends that is linked to it: that changes
/// nothing.
template <class F>
void handle_stop(Actor* self, F handler) {
  // Requests name whom they are for, links who has ended.
  self->set_exit_handler([self, handler](const ExitMessage& exit) {
    if (exit.source == self->address())
      handler(to_exit_reason(exit.reason));
  });
}

/// Which actor a DownMessage is about.
[[nodiscard]] inline ActorId id_of(const DownMessage& message) {
  return message.source.id();
}
[[nodiscard]] inline ActorId id_of(const ActorRef& actor) { return actor.id(); }

}  // namespace troupe::actors
