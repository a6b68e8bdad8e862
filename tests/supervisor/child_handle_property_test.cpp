// Whatever happens to a child and whenever, each request is answered once, in
// the order of its sender, and no bound is passed.
#include "handle_world.hpp"

#include <troupe/base/random.hpp>

#include <algorithm>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <set>

namespace troupe::supervisor {
namespace {

constexpr std::size_t capacity = 6;
constexpr std::size_t max_open = 9;
constexpr Duration answer_within = 10s;

class ChildHandleProperty : public HandleWorld {
 protected:
  /// One history; all that happens in it follows from `seed`.
  void run(std::uint64_t seed) {
    random_ = Random{seed};
    open({.name = "cache",
          .capacity = capacity,
          .max_open = max_open,
          .answer_within = answer_within});
    supervise(any_spec());
    const int events = 20 + below(150);
    for (int i = 0; i < events; ++i) {
      any_event();
      // Not to the end: the next event comes amid what this one led to.
      for (int steps = below(24); steps > 0 && step(); --steps) {
      }
    }
    const bool ends_first = one_in(4);
    if (ends_first)
      actors::stop(handle);
    settle();
    advance(1min);
    check_answers();
    check_order();
    if (!ends_first)
      check_bounds();
  }

 private:
  int below(int n) {
    return static_cast<int>(random_.next() % static_cast<std::uint64_t>(n));
  }
  bool one_in(int n) { return below(n) == 0; }

  SupervisorSpec any_spec() {
    ChildSpec spec = child(one_in(4)   ? Restart::transient
                           : one_in(8) ? Restart::temporary
                                       : Restart::permanent);
    if (one_in(2))
      spec.backoff = Backoff{.min = 1s, .max = 4s};
    if (one_in(3))
      spec.shutdown = BrutalKill{};
    SupervisorSpec tree{
        .strategy = one_in(2) ? Strategy::one_for_one : Strategy::rest_for_one,
        .intensity = one_in(4) ? 3 : 1000,
        .on_give_up = one_in(2) ? OnGiveUp::hold : OnGiveUp::escalate,
        .hold_for = 5s,
        .children = {sibling(), std::move(spec)}};
    if (!one_in(3))
      return tree;
    tree.on_give_up = OnGiveUp::escalate;
    return {.name = "outer",
            .intensity = 100,
            .children = {supervisor_child("inner", std::move(tree))}};
  }

  void any_event() {
    switch (below(40)) {
      case 0:
        if (stage->newest)
          actors::send(stage->newest, Job{-1, Then::crash});
        break;
      case 1:
        if (stage->newest)
          actors::kill(stage->newest);
        break;
      case 2:
        actors::send(top, TerminateChild{"cache", 0});
        break;
      case 3:
      case 4:
      case 13:
      case 14:
      case 15:
        actors::send(top, RestartChild{"cache", 0});
        break;
      case 5:
        actors::send(top, TerminateChild{"sibling", 0});
        actors::send(top, RestartChild{"sibling", 0});
        break;
      case 6:
        stage->failing_starts = below(3);
        break;
      case 7:
        stage->hanging_starts = below(2);
        break;
      case 8:
      case 18:
      case 19:
      case 20:
      case 26:
        if (stage->ready)
          actors::send(stage->newest, *stage->ready);
        break;
      case 9:
        stage->stubborn = one_in(3);
        break;
      case 10:
      case 16:
      case 17:
      case 24:
      case 25:
        if (stage->newest)
          actors::send(stage->newest, AnswerHeld{});
        break;
      case 11:
      case 21:
      case 22:
      case 23:
        settle();
        advance(Duration{500ms} * below(10));
        break;
      case 12:
        if (one_in(20))
          actors::kill(top);
        break;
      default:
        break;
    }
    for (int jobs = below(4); jobs > 0; --jobs)
      send_a_job();
  }

  Then any_end() {
    switch (below(60)) {
      case 0:
        return Then::crash;
      case 1:
        return Then::quit;
      case 2:
        return Then::drop;
      default:
        return one_in(10) ? Then::hold : Then::answer;
    }
  }

  void send_a_job() {
    const int number = ++last_;
    const auto client = static_cast<std::size_t>(below(3));
    const Then then = any_end();
    client_of_[number] = client;
    if (one_in(3)) {
      ++told_;
      tell_job(number, then, client);
    } else {
      asked_.insert(number);
      ask_job(number, then, client);
    }
  }

  void check_answers() {
    std::map<int, int> answers;
    std::map<int, int> incarnation_of;
    for (const Seen& seen : stage->seen) {
      if (seen.number < 0)
        continue;
      // No message is given to two incarnations, or twice to one.
      EXPECT_TRUE(incarnation_of.emplace(seen.number, seen.incarnation).second);
    }
    for (const Answered& answer : stage->answers) {
      ++answers[answer.number];
      // Whoever waits for one that has ended waits no longer.
      const auto taken = incarnation_of.find(answer.number);
      if (taken != incarnation_of.end() &&
          stage->ended.contains(taken->second)) {
        EXPECT_LE(answer.when, stage->ended[taken->second]);
      }
      if (answer.result) {
        EXPECT_EQ(answer.result->number, answer.number);
        EXPECT_EQ(answer.result->incarnation, incarnation_of[answer.number]);
      } else {
        EXPECT_TRUE(asked_.contains(answer.number));
        const Errc code = answer.result.error().code;
        EXPECT_TRUE(code == Errc::unavailable || code == Errc::overloaded ||
                    code == Errc::timed_out)
            << answer.result.error().what;
      }
    }
    for (const int number : asked_)
      EXPECT_EQ(answers[number], 1) << "request " << number;
  }

  void check_order() {
    std::map<std::size_t, int> last_of;
    int last_incarnation = 0;
    for (const Seen& seen : stage->seen) {
      if (seen.number < 0)
        continue;
      const std::size_t client = client_of_.at(seen.number);
      EXPECT_EQ(seen.sender, actors::id_of(clients[client]));
      EXPECT_GT(seen.number, last_of[client]);
      last_of[client] = seen.number;
      // One that is stopping has still to do with what it has taken, but
      // nothing new goes there.
      EXPECT_GE(seen.incarnation, last_incarnation);
      last_incarnation = seen.incarnation;
    }
  }

  void check_bounds() {
    const HandleInfo now = info();
    EXPECT_EQ(now.waiting, 0U);
    EXPECT_EQ(now.open, 0U);
    EXPECT_LE(now.stats.most_waiting, capacity);
    EXPECT_LE(now.stats.most_open, max_open);
    EXPECT_EQ(now.stats.messages, asked_.size() + told_);
    EXPECT_EQ(now.stats.requests, asked_.size());
    EXPECT_EQ(now.stats.answered + now.stats.refused, asked_.size());
  }

  Random random_{0};
  int last_ = 0;
  std::size_t told_ = 0;
  std::set<int> asked_;
  std::map<int, std::size_t> client_of_;
};

/// As many test cases, for each has an actor system of its own.
class AnyHistory : public ChildHandleProperty,
                   public ::testing::WithParamInterface<int> {};

TEST_P(AnyHistory, AnswersEachRequestOnceInOrderAndWithinBounds) {
  const char* const given = std::getenv("TROUPE_SEED");
  const std::uint64_t seed =
      given != nullptr ? std::stoull(given)
                       : (std::uint64_t{std::random_device{}()} << 32U) +
                             static_cast<std::uint64_t>(GetParam());
  SCOPED_TRACE("TROUPE_SEED=" + std::to_string(seed));
  run(seed);
}

INSTANTIATE_TEST_SUITE_P(ChildHandle, AnyHistory, ::testing::Range(0, 200));

}  // namespace
}  // namespace troupe::supervisor
