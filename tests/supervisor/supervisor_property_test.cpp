// Whatever happens in whatever order, these hold.
#include "core_world.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <set>

namespace troupe::supervisor {
namespace {

/// A number below `n`, evenly whatever the size of the test case.
template <class T>
T below(T n) {
  return *rc::gen::resize(rc::kNominalSize, rc::gen::inRange<T>(0, n));
}

/// One whose presence is announced.
ChildSpec watched(ChildSpec spec) {
  spec.on_presence = [](Presence) {};
  return spec;
}

/// Performs a core's actions as the most arbitrary of shells: each Start, stop
/// and timer is answered when and how the generator likes.
class Chaos {
 public:
  explicit Chaos(const SupervisorSpec& spec)
      : core_{spec, 7},
        simple_{spec.strategy == Strategy::simple_one_for_one},
        serves_at_once_{spec.strategy == Strategy::one_for_one &&
                        spec.serves_while_starting &&
                        spec.on_give_up == OnGiveUp::escalate} {}

  void run() {
    take(core_.on_start(now_));
    // Most histories that begin with a failed start would be short.
    while (!live_.empty() && !live_.rbegin()->second.started && below(8) != 0) {
      const auto [key, incarnation] = live_.rbegin()->first;
      live_.rbegin()->second.started = true;
      take(core_.on_child_started({ChildKey{key}, incarnation}, now_));
    }
    const int steps = below(300);
    for (int i = 0; i < steps && !ended_; ++i) {
      step();
      check_that_those_away_may_come_back();
      check_that_requests_wait_for_nobody_else();
    }
    finish();
  }

 private:
  struct Live {
    bool started = false;
    bool told_to_stop = false;
  };

  void step() {
    now_ += *rc::gen::element<Duration>(0ms, 1ms, 1s, 6s);
    switch (below(8)) {
      case 0:
      case 1:
        answer_a_start();
        break;
      case 2:
      case 3:
        end_a_process();
        break;
      case 4:
        fire_a_timer();
        break;
      case 5:
      case 6:
        make_a_request();
        break;
      default:
        if (below(20) == 0)
          shut_down();
        break;
    }
  }

  /// Nobody is away for ever: something is under way or due.
  void check_that_those_away_may_come_back() {
    RC_ASSERT(
        ended_ || !timers_.empty() ||
        std::any_of(live_.begin(), live_.end(),
                    [](const auto& live) {
                      return !live.second.started || live.second.told_to_stop;
                    }) ||
        std::none_of(presence_.begin(), presence_.end(), [](const auto& entry) {
          return entry.second == Presence::away;
        }));
  }

  /// Who starts or stops one child waits for the process of that one.
  void check_that_requests_wait_for_nobody_else() {
    if (!serves_at_once_)
      return;
    for (const auto& [ticket, id] : open_)
      RC_ASSERT(std::any_of(live_.begin(), live_.end(), [&](const auto& live) {
        return core_.spec_of(ChildKey{live.first.first}).id == id;
      }));
  }

  void answer_a_start() {
    for (auto& [ref, live] : live_) {
      if (live.started)
        continue;
      const ChildRef child{ChildKey{ref.first}, ref.second};
      switch (below(16)) {
        case 0:
          live_.erase(ref);
          take(core_.on_child_start_failed(child, "no", now_));
          return;
        case 1:
          live_.erase(ref);
          take(core_.on_child_ignored(child, now_));
          return;
        default:
          live.started = true;
          take(core_.on_child_started(child, now_));
          return;
      }
    }
  }

  void end_a_process() {
    if (live_.empty())
      return;
    auto it = live_.begin();
    std::advance(it, below(live_.size()));
    const ChildRef child{ChildKey{it->first.first}, it->first.second};
    live_.erase(it);
    const ExitReason reason =
        *rc::gen::element(ExitReason{}, ExitReason{ExitKind::shutdown, {}},
                          ExitReason{ExitKind::crashed, "x"});
    take(core_.on_child_exited(child, reason, now_));
  }

  void fire_a_timer() {
    if (timers_.empty())
      return;
    const std::size_t i = below(timers_.size());
    const TimerId timer = timers_[i];
    timers_.erase(timers_.begin() + static_cast<std::ptrdiff_t>(i));
    take(core_.on_timer(timer, now_));
  }

  void make_a_request() {
    const Ticket ticket{++last_ticket_};
    const std::string id = *rc::gen::element<std::string>("a", "b", "c", "d");
    open_[ticket] = id;
    if (simple_ && *rc::gen::arbitrary<bool>()) {
      take(core_.start_dynamic(core_.new_key(), ticket));
      return;
    }
    switch (below(6)) {
      case 0:
        take(core_.start_child(
            watched(child(
                id, *rc::gen::element(Restart::permanent, Restart::transient,
                                      Restart::temporary))),
            ticket, now_));
        break;
      case 1:
        take(core_.terminate_child(id, ticket, now_));
        break;
      case 2:
        take(core_.restart_child(id, ticket, now_));
        break;
      case 3:
        take(core_.delete_child(id, ticket, now_));
        break;
      case 4:
        take(core_.start_all(ticket, now_));
        break;
      default:
        take(core_.terminate_dynamic(ChildKey{1 + below<std::uint64_t>(8)},
                                     ticket));
        break;
    }
  }

  void shut_down() {
    shutting_down_ = true;
    take(core_.on_shutdown({ExitKind::shutdown, {}}, now_));
  }

  /// Everybody obeys from now on: it must come to an end.
  void finish() {
    if (!ended_)
      shut_down();
    for (int i = 0; i < 1000 && !ended_; ++i) {
      RC_ASSERT(!live_.empty());
      bool told = false;
      for (const auto& [ref, live] : live_) {
        if (!live.told_to_stop)
          continue;
        told = true;
        const ChildRef child{ChildKey{ref.first}, ref.second};
        live_.erase(ref);
        take(core_.on_child_exited(child, {ExitKind::shutdown, {}}, now_));
        break;
      }
      RC_ASSERT(told);
    }
    RC_ASSERT(ended_);
    RC_ASSERT(live_.empty());
    RC_ASSERT(open_.empty());
    RC_ASSERT(core_.count_children().active == 0U);
    for (const auto& [spec, presence] : presence_)
      RC_ASSERT(presence == Presence::gone);
  }

  void take(const Actions& actions) {
    for (const Action& action : actions) {
      RC_ASSERT(!ended_);
      std::visit([&](const auto& a) { perform(a); }, action);
    }
  }

  void perform(const Start& start) {
    RC_ASSERT(!shutting_down_);
    for (const auto& [ref, live] : live_)
      RC_ASSERT(ref.first != start.child.key.value);
    RC_ASSERT(used_.insert(start.child.incarnation).second);
    if (!simple_)
      specs_[start.child.key] = &core_.spec_of(start.child.key);
    live_[{start.child.key.value, start.child.incarnation}] = {};
    // Not always away: who is stopped by the same event stays gone.
    if (!simple_)
      RC_ASSERT(presence_of(start.child) != Presence::up);
  }
  void perform(const StopPolitely& stop) { told(stop.child); }
  void perform(const Kill& kill) { told(kill.child); }
  void told(ChildRef child) {
    const auto it = live_.find({child.key.value, child.incarnation});
    RC_ASSERT(it != live_.end());
    it->second.told_to_stop = true;
    if (!simple_)
      RC_ASSERT(presence_of(child) != Presence::up);
  }
  [[nodiscard]] Presence presence_of(ChildRef child) {
    return presence_.try_emplace(&core_.spec_of(child.key), Presence::away)
        .first->second;
  }
  void perform(const SetTimer& timer) { timers_.push_back(timer.timer); }
  void perform(const Reply& reply) {
    RC_ASSERT(open_.erase(reply.ticket) == 1U);
  }
  void perform(const Report& report) {
    if (report.kind == ReportKind::gave_up ||
        report.kind == ReportKind::auto_shutdown)
      shutting_down_ = true;
  }
  void perform(const Announce& announce) {
    const ChildSpec* spec = announce.spec.get();
    kept_.push_back(announce.spec);
    RC_ASSERT(presence_.try_emplace(spec, Presence::away).first->second !=
              announce.presence);
    presence_[spec] = announce.presence;
    if (announce.presence != Presence::up)
      return;
    RC_ASSERT(std::any_of(live_.begin(), live_.end(), [&](const auto& live) {
      return live.second.started &&
             &core_.spec_of(ChildKey{live.first.first}) == spec;
    }));
  }
  void perform(const Forget& forget) {
    if (const auto gone = specs_.extract(forget.child); !gone.empty()) {
      RC_ASSERT(presence_[gone.mapped()] == Presence::gone);
      presence_.erase(gone.mapped());
    }
    RC_ASSERT(forgotten_.insert(forget.child).second);
    for (const auto& [ref, live] : live_)
      RC_ASSERT(ref.first != forget.child.value);
  }
  void perform(const Ready& /*ready*/) {}
  void perform(const Exit& /*exit*/) {
    RC_ASSERT(live_.empty());
    ended_ = true;
  }

  SupervisorCore core_;
  bool simple_;
  bool serves_at_once_;
  TimePoint now_{1h};
  bool shutting_down_ = false;
  bool ended_ = false;
  std::map<std::pair<std::uint64_t, std::uint64_t>, Live> live_;
  std::vector<TimerId> timers_;
  std::map<Ticket, std::string> open_;  ///< About the child of this id.
  std::set<ChildKey> forgotten_;
  std::map<ChildKey, const ChildSpec*> specs_;
  /// Of each child, as it was announced; assumed until then. Not by id, which
  /// another may take within the event that ends the one before.
  std::map<const ChildSpec*, Presence> presence_;
  /// So that no address is used twice.
  std::vector<std::shared_ptr<const ChildSpec>> kept_;
  std::set<std::uint64_t> used_;
  std::uint64_t last_ticket_ = 0;
};

TEST(SupervisorProperty, AnyHistoryEndsWithNothingLeftAndEveryRequestAnswered) {
  EXPECT_TRUE(rc::check([] {
    SupervisorSpec spec;
    spec.strategy =
        *rc::gen::element(Strategy::one_for_one, Strategy::one_for_all,
                          Strategy::rest_for_one, Strategy::simple_one_for_one);
    spec.intensity = below(30);
    spec.serves_while_starting = *rc::gen::arbitrary<bool>();
    spec.auto_shutdown =
        *rc::gen::element(AutoShutdown::never, AutoShutdown::any_significant,
                          AutoShutdown::all_significant);
    const auto add = [&](const char* id) {
      ChildSpec added =
          child(id, *rc::gen::element(Restart::permanent, Restart::transient,
                                      Restart::temporary));
      added.significant = added.restart != Restart::permanent &&
                          spec.auto_shutdown != AutoShutdown::never &&
                          *rc::gen::arbitrary<bool>();
      if (*rc::gen::arbitrary<bool>())
        added.backoff = Backoff{};
      added.shutdown = *rc::gen::element(
          Shutdown{Duration{1s}}, Shutdown{BrutalKill{}}, Shutdown{Infinity{}});
      if (spec.strategy != Strategy::simple_one_for_one)
        added = watched(std::move(added));
      spec.children.push_back(std::move(added));
    };
    add("a");
    if (spec.strategy != Strategy::simple_one_for_one) {
      add("b");
      add("c");
    }
    if (spec.strategy != Strategy::simple_one_for_one)
      spec.on_give_up =
          *rc::gen::element(OnGiveUp::escalate, OnGiveUp::hold, OnGiveUp::stop);
    for (int history = 0; history < 10; ++history)
      Chaos{spec}.run();
  }));
}

TEST(SupervisorProperty, WindowAgreesWithCountingAllRestarts) {
  EXPECT_TRUE(rc::check([](const std::vector<std::uint8_t>& gaps) {
    const auto intensity = *rc::gen::inRange<std::size_t>(0, 5);
    RestartWindow window{intensity, Duration{20}};
    std::vector<TimePoint> allowed;
    TimePoint now{1h};
    for (const std::uint8_t gap : gaps) {
      now += Duration{gap % 16};
      const auto recent = static_cast<std::size_t>(
          std::count_if(allowed.begin(), allowed.end(),
                        [&](TimePoint t) { return now - t <= Duration{20}; }));
      const bool expected = recent < intensity;
      RC_ASSERT(window.allow(now) == expected);
      if (expected)
        allowed.push_back(now);
    }
  }));
}

}  // namespace
}  // namespace troupe::supervisor
