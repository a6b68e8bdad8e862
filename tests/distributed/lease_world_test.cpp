#include "boot_zero.hpp"
#include "node_ids.hpp"

#include <troupe/base/overload.hpp>
#include <troupe/base/random.hpp>
#include <troupe/distributed/eviction_core.hpp>
#include <troupe/distributed/lease_core.hpp>

#include <fmt/format.h>
#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <optional>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>
#include <vector>

namespace troupe::distributed {
namespace {

/// A few nodes, each with its session and its janitor, over a store with one
/// row for each session. Clocks differ in their start, and by up to 1 % in
/// their pace; messages are late, up to 40 s, or lost; nodes stand still, and
/// the store is gone for up to two minutes.
///
/// What is true is reckoned from outside: when a session is evicted, what it
/// ran is gone, since its warden was told by when.
class LeaseWorld {
 public:
  explicit LeaseWorld(std::uint64_t seed) : random_{seed} {
    const auto ring = std::make_shared<const Ring>(
        ring_nodes(nodes), RingParameters{.virtual_nodes = 8, .shards = 8});
    for (std::uint32_t n = 0; n < nodes; ++n) {
      nodes_.push_back(std::make_unique<Node>(Node{
          .lease = LeaseCore{LeaseTerms{}, random_.next()},
          .janitor =
              EvictionCore{{.self = node_id(n + 1), .seed = random_.next()}},
          .pace = static_cast<std::int64_t>(990 + random_.next() % 21),
          .start = Duration{1s} *
                   static_cast<std::int64_t>(random_.next() % 10'000)}));
      nodes_.back()->janitor.on_ring(ring);
    }
    for (std::uint32_t n = 0; n < nodes; ++n)
      at(now_ + up_to(5s), [this, n] { start(n); });
  }

  void run_until(Duration time) {
    while (!events_.empty() && events_.begin()->first.first <= time) {
      const auto event = events_.begin();
      now_ = event->first.first;
      const auto call = std::move(event->second);
      events_.erase(event);
      call();
    }
    now_ = time;
  }

  /// For 20 minutes everything goes wrong, then nothing does any more.
  void run() {
    for (int i = 0; i < 40; ++i)
      at(up_to(20min), [this] { break_something(); });
    run_until(20min);
    is_faulty_ = false;
    store_gone_until_ = now_;
    for (const auto& node : nodes_)
      node->stands_until = std::min(node->stands_until, now_);
    run_until(40min);
  }

  [[nodiscard]] bool all_have_their_right() const {
    for (const auto& node : nodes_)
      if (node->lease.phase() != LeasePhase::held)
        return false;
    return true;
  }

  [[nodiscard]] std::uint64_t evictions() const { return evictions_; }

 private:
  static constexpr std::uint32_t nodes = 4;

  struct Node {
    LeaseCore lease;
    EvictionCore janitor;
    std::int64_t pace;  ///< In thousandths.
    Duration start;
    std::string session{};
    std::uint64_t sessions = 0;
    Duration stands_until{0};
    BootTime gone_by{};  ///< What the warden was told last.
    std::uint64_t lease_wake = 0;
    std::uint64_t janitor_wake = 0;
  };

  struct Row {
    std::uint32_t node = 0;
    std::uint64_t counter = 0;
    bool is_live = true;
  };

  void at(Duration time, std::function<void()> call) {
    events_.emplace(std::pair{std::max(time, now_), ++last_event_},
                    std::move(call));
  }

  Duration up_to(Duration most) {
    return Duration{static_cast<Duration::rep>(
        random_.next() % static_cast<std::uint64_t>(most.count()))};
  }

  [[nodiscard]] BootTime clock(std::uint32_t n) const {
    return b0 + nodes_[n]->start + now_ * nodes_[n]->pace / 1000;
  }

  /// When that clock shows `time`.
  [[nodiscard]] Duration when(std::uint32_t n, BootTime time) const {
    return (time - b0 - nodes_[n]->start) * 1000 / nodes_[n]->pace +
           Duration{1us};
  }

  /// Does `call` when the node does not stand still.
  void on_node(std::uint32_t n, std::function<void()> call) {
    const Duration until = nodes_[n]->stands_until;
    if (now_ < until)
      at(until, [this, n, call = std::move(call)] { on_node(n, call); });
    else
      call();
  }

  /// A call of the store and its answer, each of which may be late or lost.
  void ask(std::uint32_t n, std::function<std::function<void()>()> call) {
    if (is_faulty_ && random_.next() % 64 == 0)
      return;
    at(now_ + delay(), [this, n, call = std::move(call)] {
      if (now_ < store_gone_until_)
        return;
      auto answer = call();
      if (is_faulty_ && random_.next() % 64 == 0)
        return;
      at(now_ + delay(),
         [this, n, answer = std::move(answer)] { on_node(n, answer); });
    });
  }

  Duration delay() {
    return is_faulty_ && random_.next() % 64 == 0 ? up_to(40s) : up_to(20ms);
  }

  void break_something() {
    const auto n = static_cast<std::uint32_t>(random_.next() % nodes);
    if (random_.next() % 8 == 0)
      store_gone_until_ = now_ + up_to(2min);
    else
      nodes_[n]->stands_until = now_ + up_to(3min);
  }

  void start(std::uint32_t n) {
    obey(n, nodes_[n]->lease.on_start(false, clock(n)));
  }

  void obey(std::uint32_t n, const LeaseCore::Actions& actions) {
    Node& node = *nodes_[n];
    for (const auto& action : actions)
      std::visit(
          Overload{
              [&](const LeaseCore::Confirm& a) {
                // Once all is gone.
                at(when(n, node.gone_by), [this, n, a] {
                  on_node(n, [this, n, a] {
                    obey(n, nodes_[n]->lease.on_confirmed(a.number, clock(n)));
                  });
                });
              },
              [&](const LeaseCore::Register& a) { register_node(n, a); },
              [&](const LeaseCore::Renew& a) { renew(n, a); },
              [&](const LeaseCore::Guard& a) { node.gone_by = a.gone_by; },
              [&](const LeaseCore::MayStart&) { node.janitor.on_right(true); },
              [&](const LeaseCore::StopStarting&) {
                node.janitor.on_right(false);
              },
              [](const LeaseCore::KillBy&) {},
              [](const LeaseCore::SelfFence&) {},
              [](const LeaseCore::Retire&) {}, [](const LeaseCore::Quit&) {}},
          action);
    plan(n);
  }

  void register_node(std::uint32_t n, const LeaseCore::Register& a) {
    Node& node = *nodes_[n];
    if (a.is_new)
      node.session = fmt::format("n{}-{}", n, ++node.sessions);
    ask(n, [this, n, a, session = node.session] {
      // Its earlier sessions retire.
      for (auto& [id, row] : rows_)
        if (row.node == n && id != session)
          row.is_live = false;
      const Row& row = rows_.try_emplace(session, Row{.node = n}).first->second;
      const auto answer = row.is_live ? LeaseCore::Registered::yes
                                      : LeaseCore::Registered::evicted;
      return [this, n, a, answer] {
        obey(n, nodes_[n]->lease.on_registered(a.number, answer, clock(n)));
      };
    });
  }

  void renew(std::uint32_t n, const LeaseCore::Renew& a) {
    ask(n, [this, n, a, session = nodes_[n]->session] {
      auto answer = LeaseCore::Renewed::evicted;
      Row& row = rows_.at(session);
      if (row.is_live) {
        ++row.counter;
        answer = LeaseCore::Renewed::live;
      }
      return [this, n, a, answer] {
        obey(n, nodes_[n]->lease.on_renewed(a.number, answer, clock(n)));
      };
    });
  }

  void obey(std::uint32_t n, const EvictionCore::Actions& actions) {
    for (const auto& action : actions) {
      if (const auto* read = std::get_if<EvictionCore::Read>(&action))
        read_rows(n, read->number);
      else if (const auto* evict = std::get_if<EvictionCore::Evict>(&action))
        evict_row(n, *evict);
    }
    plan(n);
  }

  void read_rows(std::uint32_t n, std::uint64_t number) {
    ask(n, [this, n, number] {
      std::vector<SessionRow> rows;
      for (const auto& [id, row] : rows_)
        if (row.is_live)
          rows.push_back({id, node_id(row.node + 1), row.counter});
      return [this, n, number, rows] {
        obey(n, nodes_[n]->janitor.on_read(number, rows, clock(n)));
      };
    });
  }

  void evict_row(std::uint32_t n, const EvictionCore::Evict& evict) {
    ask(n, [this, n, evict] {
      Row& row = rows_.at(evict.session);
      if (row.is_live && row.counter == evict.counter) {
        const Node& victim = *nodes_[row.node];
        // What all this is for.
        if (victim.session == evict.session)
          RC_ASSERT(clock(row.node) >= victim.gone_by + 3s);
        row.is_live = false;
        ++evictions_;
      }
      return [this, n, evict] {
        nodes_[n]->janitor.on_evicted(evict.session);
        plan(n);
      };
    });
  }

  /// Wakes the cores of a node when they want it.
  void plan(std::uint32_t n) {
    Node& node = *nodes_[n];
    if (const auto wake = node.lease.wake_at())
      at(when(n, *wake), [this, n, turn = ++node.lease_wake] {
        if (turn == nodes_[n]->lease_wake)
          on_node(n,
                  [this, n] { obey(n, nodes_[n]->lease.on_time(clock(n))); });
      });
    at(when(n, node.janitor.wake_at()), [this, n, turn = ++node.janitor_wake] {
      if (turn == nodes_[n]->janitor_wake)
        on_node(n,
                [this, n] { obey(n, nodes_[n]->janitor.on_time(clock(n))); });
    });
  }

  Random random_;
  Duration now_{0};
  bool is_faulty_ = true;
  Duration store_gone_until_{0};
  std::map<std::pair<Duration, std::uint64_t>, std::function<void()>> events_;
  std::uint64_t last_event_ = 0;
  std::map<std::string, Row> rows_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::uint64_t evictions_ = 0;
};

RC_GTEST_PROP(LeaseWorld, EvictsNobodyWhoseCommandsMayStillRun, ()) {
  LeaseWorld world{*rc::gen::arbitrary<std::uint64_t>()};
  world.run();
  RC_ASSERT(world.all_have_their_right());
}

TEST(LeaseWorld, IsBadEnoughThatNodesAreEvicted) {
  std::uint64_t evictions = 0;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    LeaseWorld world{seed};
    world.run();
    evictions += world.evictions();
  }
  EXPECT_GT(evictions, 10U);
}

}  // namespace
}  // namespace troupe::distributed
