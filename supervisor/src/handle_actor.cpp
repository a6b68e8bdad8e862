#include <troupe/base/overload.hpp>
#include <troupe/supervisor/child_handle.hpp>

#include <unordered_map>
#include <utility>
#include <variant>

namespace troupe::supervisor {
namespace {

/// From a start function: this is the newest incarnation of the child.
struct Incarnation {
  ActorRef actor;
};

/// From its supervisor.
struct PresenceChanged {
  Presence presence = Presence::away;
};

/// A WakeUp of the core is due.
struct WakeUpDue {};

}  // namespace
}  // namespace troupe::supervisor

TROUPE_LOCAL_MESSAGE(troupe::supervisor::Incarnation)
TROUPE_LOCAL_MESSAGE(troupe::supervisor::PresenceChanged)
TROUPE_LOCAL_MESSAGE(troupe::supervisor::WakeUpDue)

namespace troupe::supervisor {
namespace {

using actors::ActorId;
using actors::Behavior;
using actors::ExitReason;
using actors::Mail;

/// Performs what a HandleCore decides.
class HandleActor {
 public:
  HandleActor(Actor* self, HandleOptions options)
      : self_{self}, core_{std::move(options), now()} {}

  Behavior make_behavior() {
    actors::handle_down(self_, [this](ActorId id, const ExitReason& reason) {
      if (child_ && id == actors::id_of(child_))
        child_ = {};
      perform(core_.on_ended(id, reason, now()));
    });
    actors::handle_rest(self_, [this](Mail mail) { take(std::move(mail)); });
    return {
        [this](const Incarnation& m) {
          child_ = m.actor;
          perform(core_.on_incarnation(actors::id_of(m.actor), now()));
          actors::monitor(self_, m.actor);
        },
        [this](PresenceChanged m) {
          perform(core_.on_presence(m.presence, now()));
        },
        [this](WakeUpDue) { perform(core_.on_time(now())); },
        [this](InspectHandle) {
          actors::answer_later(self_).deliver(core_.info());
        },
    };
  }

  void on_exit() { perform(core_.on_end()); }

 private:
  [[nodiscard]] TimePoint now() const { return actors::now(self_); }

  void take(Mail mail) {
    if (const auto number = actors::answered_request(mail)) {
      on_answer(*number, std::move(mail));
      return;
    }
    const bool is_request = actors::is_request(mail);
    mails_.emplace(++last_number_, std::move(mail));
    perform(core_.on_message(last_number_, is_request, now()));
  }

  void on_answer(MailNumber number, Mail answer) {
    if (const auto reason = actors::end_in_answer(answer)) {
      perform(core_.on_crash_answer(number, *reason, now()));
    } else if (core_.on_answer(number, now())) {
      actors::answer(mails_.extract(number).mapped(),
                     std::move(answer.content));
    }
  }

  void perform(const HandleActions& actions) {
    for (const HandleAction& action : actions)
      std::visit([this](const auto& a) { perform_one(a); }, action);
  }

  void perform_one(const PassOn& pass_on) {
    const auto found = mails_.find(pass_on.mail);
    Mail& mail = found->second;
    if (actors::is_request(mail)) {
      // What is kept is whom to answer.
      Mail passed_on = mail;
      mail.content = {};
      actors::pass_on_request(self_, child_, std::move(passed_on),
                              pass_on.mail);
    } else {
      actors::pass_on(self_, child_, std::move(mail));
      mails_.erase(found);
    }
  }

  void perform_one(const Refuse& refuse) {
    actors::answer(mails_.extract(refuse.mail).mapped(), refuse.error);
  }

  void perform_one(const WakeUp& wake_up) {
    actors::send_after(self_, wake_up.delay, WakeUpDue{});
  }

  Actor* self_;
  HandleCore core_;
  ActorRef child_;  ///< The newest incarnation; empty if it has ended.
  /// What waits, and requests that are not answered.
  std::unordered_map<MailNumber, Mail> mails_;
  MailNumber last_number_ = 0;
};

/// What a start function has made; null if nothing.
const ActorRef* actor_in(const StartResult& result) {
  return std::visit(
      Overload{[](const ActorRef& actor) { return &actor; },
               [](const Starting& starting) { return &starting.actor; },
               [](const auto&) -> const ActorRef* { return nullptr; }},
      result.value());
}

}  // namespace

Result<ActorRef> spawn_handle(actors::ActorSystem& system,
                              HandleOptions options) {
  if (auto result = check(options); !result)
    return tl::unexpected(std::move(result.error()));
  return actors::spawn<HandleActor>(system, std::move(options));
}

ChildSpec with_handle(ChildSpec spec, ActorRef handle) {
  // An empty start function must stay empty: check() looks for it.
  if (spec.start)
    spec.start = [start = std::move(spec.start),
                  handle](StartContext& context) -> StartResult {
      StartResult result = start(context);
      if (const ActorRef* actor = actor_in(result);
          actor != nullptr && *actor != nullptr)
        actors::send(handle, Incarnation{*actor});
      return result;
    };
  spec.on_presence = [before = std::move(spec.on_presence),
                      handle = std::move(handle)](Presence presence) {
    if (before)
      before(presence);
    actors::send(handle, PresenceChanged{presence});
  };
  return spec;
}

}  // namespace troupe::supervisor
