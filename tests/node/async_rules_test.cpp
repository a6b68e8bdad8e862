/// The three properties that every part of the asynchronous code exists for:
/// it always gets on, it leaves nothing behind when it ends, and it may be
/// cancelled at any moment.
#include "running_engine.hpp"
#include "temp_dir.hpp"

#include <troupe/flow_control/budget.hpp>

#include <deque>
#include <filesystem>
#include <fmt/format.h>
#include <future>
#include <gtest/gtest.h>
#include <optional>
#include <random>

namespace troupe::node {
namespace {

using flow_control::Budget;
using flow_control::SharedPermit;

/// Travels around a ring of stages; holds its place in the mailbox it is in.
struct Item {
  int hops_left = 0;
  SharedPermit place;
  SharedPermit admission;
};
/// The stage behind has room again.
struct RoomAhead {};
struct Neighbour {
  actors::ActorRef next;
  actors::ActorRef previous;
};
struct Produce {};

}  // namespace
}  // namespace troupe::node

TROUPE_LOCAL_MESSAGE(troupe::node::Item)
TROUPE_LOCAL_MESSAGE(troupe::node::RoomAhead)
TROUPE_LOCAL_MESSAGE(troupe::node::Neighbour)
TROUPE_LOCAL_MESSAGE(troupe::node::Produce)

namespace troupe::node {
namespace {

using actors::Actor;
using actors::ActorRef;
using actors::Behavior;
using testing::own_resources;
using testing::OwnResources;
using testing::wait_until;

constexpr Duration load_deadline = 60s;

// -- NoDeadlockUnderLoad -----------------------------------------------------

/// Passes items on to the next stage of a ring, whose mailbox has a bound.
class Stage {
 public:
  Stage(Actor* self, Budget next_mailbox,
        std::shared_ptr<std::atomic<int>> done)
      : self_{self},
        next_mailbox_{std::move(next_mailbox)},
        done_{std::move(done)} {}

  Behavior make_behavior() {
    return {
        [this](const Neighbour& m) { neighbour_ = m; },
        [this](const Item& m) {
          if (m.hops_left == 0)
            done_->fetch_add(1);
          else
            waiting_.push_back(m);
          pass_on();
          // Its place comes back when this handler returns.
          send_self(self_, RoomAhead{});
        },
        [this](RoomAhead) {
          if (actors::sender_of(self_) == actors::ref_of(self_))
            send(self_, neighbour_.previous, RoomAhead{});
          pass_on();
        },
    };
  }

  void on_exit() {
    neighbour_ = {};
    waiting_.clear();
  }

 private:
  /// What waits here keeps its place in our own mailbox, so that the bound of
  /// that holds for both.
  void pass_on() {
    while (!waiting_.empty()) {
      auto place = next_mailbox_.try_acquire_shared();
      if (!place)
        return;
      Item item = std::move(waiting_.front());
      waiting_.pop_front();
      item.place = std::move(place);
      --item.hops_left;
      send(self_, neighbour_.next, std::move(item));
      send(self_, neighbour_.previous, RoomAhead{});
    }
  }

  Actor* self_;
  Budget next_mailbox_;
  std::shared_ptr<std::atomic<int>> done_;
  Neighbour neighbour_;
  std::deque<Item> waiting_;
};

/// Puts items into a stage; comes back later when it is refused.
class Producer {
 public:
  Producer(Actor* self, ActorRef stage, Budget mailbox, Budget admissions,
           int items, int hops)
      : self_{self},
        stage_{std::move(stage)},
        mailbox_{std::move(mailbox)},
        admissions_{std::move(admissions)},
        items_{items},
        hops_{hops} {}

  Behavior make_behavior() {
    send_self(self_, Produce{});
    return {[this](Produce) { produce(); }};
  }

 private:
  void produce() {
    while (items_ > 0) {
      auto admission = admissions_.try_acquire_shared();
      auto place = admission ? mailbox_.try_acquire_shared() : nullptr;
      if (!place) {
        send_after(self_, 1ms, Produce{});
        return;
      }
      --items_;
      send(self_, stage_, Item{hops_, std::move(place), std::move(admission)});
    }
    actors::quit(self_);
  }

  Actor* self_;
  ActorRef stage_;
  Budget mailbox_;
  Budget admissions_;
  int items_;
  int hops_;
};

TEST(NoDeadlockUnderLoad, RingOfBoundedMailboxesFinishes) {
  constexpr std::size_t stages = 4;
  constexpr std::uint64_t mailbox_places = 4;
  constexpr int producers = 64;
  constexpr int items_each = 250;
  constexpr int hops = 9;  // More than twice around.
  actors::SystemConfig config{2};
  actors::ActorSystem system{config};
  {
    // One place less than there are: one mailbox always has room for the next
    // step of somebody.
    const Budget admissions{stages * mailbox_places - 1};
    std::vector<Budget> mailboxes(stages, Budget{1});
    for (Budget& mailbox : mailboxes)
      mailbox = Budget{mailbox_places};
    auto done = std::make_shared<std::atomic<int>>(0);
    std::vector<ActorRef> ring;
    for (std::size_t i = 0; i < stages; ++i)
      ring.push_back(
          actors::spawn<Stage>(system, mailboxes[(i + 1) % stages], done));
    for (std::size_t i = 0; i < stages; ++i)
      actors::send(ring[i], Neighbour{ring[(i + 1) % stages],
                                      ring[(i + stages - 1) % stages]});
    for (std::size_t i = 0; i < producers; ++i)
      actors::spawn<Producer>(system, ring[i % stages], mailboxes[i % stages],
                              admissions, items_each, hops);

    EXPECT_TRUE(wait_until([&] { return *done == producers * items_each; },
                           load_deadline))
        << *done << " of " << producers * items_each;
    EXPECT_TRUE(
        wait_until([&] { return admissions.in_use() == 0; }, load_deadline));
    for (const Budget& mailbox : mailboxes) {
      EXPECT_EQ(mailbox.in_use(), 0U);
      EXPECT_LE(mailbox.high_water(), mailbox_places);
      EXPECT_GT(mailbox.high_water(), 1U) << "there was no load";
    }
    for (const ActorRef& stage : ring)
      actors::stop(stage);
  }
  EXPECT_TRUE(actors::await_all_actors(system, load_deadline));
}

/// Submits its next command when the last one has ended: producer and consumer
/// at once, in a cycle through the whole engine.
class Chain {
 public:
  Chain(Actor* self, Engine& engine, int length,
        std::shared_ptr<std::atomic<int>> done)
      : self_{self}, engine_{engine}, left_{length}, done_{std::move(done)} {}

  Behavior make_behavior() {
    send_self(self_, Produce{});
    return {
        [this](Produce) { submit(); },
        [this](const actors::CommandFinished& m) {
          EXPECT_EQ(m.outcome->kind, actors::OutcomeKind::success)
              << describe(m.outcome->causes);
          done_->fetch_add(1);
          if (--left_ == 0)
            actors::quit(self_);
          else
            submit();
        },
    };
  }

 private:
  void submit() {
    auto request = std::make_shared<actors::CommandRequest>();
    request->spec.argv = {"true"};
    if (!engine_.submit(std::move(request), nullptr, actors::ref_of(self_)))
      send_after(self_, 1ms, Produce{});
  }

  Actor* self_;
  Engine& engine_;
  int left_;
  std::shared_ptr<std::atomic<int>> done_;
};

TEST(NoDeadlockUnderLoad, ChainsOfCommandsThroughAFullEngineFinish) {
  constexpr int chains = 64;
  constexpr int length = 25;
  RunningEngine running{{.max_commands = 8}};
  auto done = std::make_shared<std::atomic<int>>(0);
  for (int i = 0; i < chains; ++i)
    actors::spawn<Chain>(running.engine->system(), *running.engine, length,
                         done);
  EXPECT_TRUE(
      wait_until([&] { return *done == chains * length; }, load_deadline))
      << *done << " of " << chains * length;
}

// -- GracefulShutdown --------------------------------------------------------

/// Every kind of thing that a shutdown may find.
std::vector<actors::CommandRequest> mixed_work(const std::string& folder) {
  std::vector<actors::CommandRequest> requests{
      shell("true"),
      shell("exit 3"),
      shell("sleep 100"),
      shell("trap '' TERM; sleep 100; sleep 100"),
      shell("sleep 100 & sleep 100 & setsid sleep 100 & wait"),
      shell("while :; do echo something that is captured; done"),
      shell(fmt::format("echo x > {}/file; sleep 100", folder)),
  };
  actors::CommandRequest retried = shell("exit 1");
  retried.retry = {.attempts = 100, .delay = 5ms, .jitter = 0};
  requests.push_back(retried);
  retried.retry.delay = 1h;
  requests.push_back(retried);
  actors::CommandRequest limited = shell("sleep 100");
  limited.spec.time_limit = 30ms;
  limited.spec.grace = 10ms;
  requests.push_back(limited);
  return requests;
}

TEST(GracefulShutdown, LeavesNothingBehindAtAnyMoment) {
  constexpr int rounds = 20;
  constexpr std::size_t most_events = 60;
  // Half of shutdown()'s own limit: it must not depend on being cut off.
  constexpr Duration limit = 5s;
  const auto seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::printf("seed %u\n", seed);
  std::mt19937 random{seed};
  const testing::TempDir dir;

  // Some descriptors are opened once and for all at the first use.
  std::thread{[] {}}.join();  // ThreadSanitizer adds one of its own.
  const std::size_t threads = own_resources().threads;
  { const RunningEngine first; }
  // A thread that has been joined is listed for another moment.
  ASSERT_TRUE(wait_until([&] { return own_resources().threads == threads; }));
  const OwnResources before = own_resources();
  EXPECT_EQ(before.descendants, 0U);
  for (int round = 0; round < rounds; ++round) {
    const std::size_t moment = random() % most_events;
    SCOPED_TRACE(fmt::format("round {}, after {} events", round, moment));
    RunningEngine running;
    for (int repeat = 0; repeat < 4; ++repeat) {
      for (const auto& request : mixed_work(dir.path()))
        ASSERT_TRUE(running.submit(request).has_value());
    }
    ASSERT_TRUE(wait_until([&] { return running.tally->events() >= moment; },
                           load_deadline));
    const auto start = std::chrono::steady_clock::now();
    EXPECT_TRUE(running.shutdown());
    EXPECT_LT(std::chrono::steady_clock::now() - start, limit);
    EXPECT_EQ(running.engine->system().registry().running(), 0U);
    running.engine.reset();
    EXPECT_TRUE(wait_until([&] { return own_resources() == before; }, limit))
        << own_resources() << " instead of " << before;
    for (const auto& [id, outcomes] : running.tally->outcomes())
      EXPECT_EQ(outcomes.size(), 1U);
  }
}

// -- CancellationSafety ------------------------------------------------------

/// Counts what happens to a command and does something at one of the events.
struct EventCounter {
  void event() {
    if (count.fetch_add(1) == act_at)
      act();
  }
  std::atomic<std::size_t> count{0};
  std::size_t act_at = 0;
  std::function<void()> act;
};

struct CountingSink : process::OutputSink {
  explicit CountingSink(std::shared_ptr<EventCounter> counter)
      : counter_{std::move(counter)} {}
  process::SinkState write(process::Stream, std::string_view) override {
    counter_->event();
    return process::SinkState::ready;
  }

 private:
  std::shared_ptr<EventCounter> counter_;
};

struct CountingSinks : actors::OutputSinks {
  explicit CountingSinks(std::shared_ptr<EventCounter> counter)
      : counter_{std::move(counter)} {}
  std::shared_ptr<process::OutputSink> for_attempt(std::uint32_t) override {
    counter_->event();
    return std::make_shared<CountingSink>(counter_);
  }

 private:
  std::shared_ptr<EventCounter> counter_;
};

class CancellationSafety : public ::testing::Test {
 protected:
  CancellationSafety() {
    ::setenv("TROUPE_TEST_FOLDER", dir.path().c_str(), 1);
    // Whatever is opened at the first use is open.
    (void)run(std::nullopt);
    before = own_resources();
  }
  ~CancellationSafety() override { ::unsetenv("TROUPE_TEST_FOLDER"); }

  /// Runs a command with three attempts, each of which has a temporary file and
  /// writes three times; cancels at the given event. How many events there
  /// were.
  std::size_t run(std::optional<std::size_t> cancel_at) {
    auto counter = std::make_shared<EventCounter>();
    counter->act_at = cancel_at.value_or(1'000'000);
    counter->act = [&] {
      actors::send(running.engine->commands(),
                   actors::CancelCommand{id, process::StopRequest{}});
    };
    running.tally->on_event = [counter] { counter->event(); };
    actors::CommandRequest request = shell(
        "f=$(mktemp \"$TROUPE_TEST_FOLDER/XXXXXX\"); trap 'rm $f' EXIT;"
        "trap 'exit 1' TERM; echo a; sleep 0.01 & wait; echo b >&2;"
        "sleep 0.01 & wait; echo c; exit 1");
    request.retry = {.attempts = 3, .delay = 5ms, .backoff = 1, .jitter = 0};
    id = {++last_id};
    counter->event();
    // There is one permit: this waits until it is back.
    EXPECT_TRUE(wait_until(
        [&] {
          return running
              .submit(request, std::make_shared<CountingSinks>(counter))
              .has_value();
        },
        load_deadline));
    counter->event();
    EXPECT_TRUE(wait_until(
        [&] { return running.tally->commands_finished() == last_id; },
        load_deadline));
    counter->act_at = 1'000'000;
    return counter->count;
  }

  testing::TempDir dir;
  RunningEngine running{{.max_commands = 1}};
  CommandId id;
  std::uint64_t last_id = 0;
  OwnResources before;
};

TEST_F(CancellationSafety, CancelledAtAnyEventNothingIsLeft) {
  const std::size_t events = run(std::nullopt);
  // Two around the submission; for each attempt its sink, its start, its
  // three writes and its end; and the end of all.
  EXPECT_GE(events, 2U + 3 * 6 + 1);
  for (std::size_t event = 1; event < events; ++event) {
    SCOPED_TRACE(fmt::format("cancelled at event {} of {}", event, events));
    (void)run(event);
    const auto outcomes = running.tally->outcomes().at(id);
    ASSERT_EQ(outcomes.size(), 1U);
    // From the end of the last attempt on there is nothing left to cancel.
    if (event < events - 3) {
      EXPECT_EQ(outcomes[0]->kind, actors::OutcomeKind::cancelled);
    }
    EXPECT_TRUE(wait_until([&] { return own_resources() == before; }))
        << own_resources() << " instead of " << before;
    EXPECT_TRUE(std::filesystem::is_empty(dir.path()))
        << "a temporary file is left";
  }
  // The permit is back, or this would not get in.
  EXPECT_GE(run(std::nullopt), events);
}

}  // namespace
}  // namespace troupe::node
