#include "core_world.hpp"

#include <troupe/base/random.hpp>
#include <troupe/service/what_if.hpp>

#include <gtest/gtest.h>
#include <map>
#include <string>
#include <vector>

namespace troupe::service {
namespace {

using supervisor::AutoShutdown;
using supervisor::Backoff;
using supervisor::CoreWorld;
using supervisor::DurationRange;
using supervisor::OnGiveUp;
using supervisor::Restart;
using supervisor::Strategy;

using Names = std::vector<std::string>;

TreeNode service(std::string id, Restart restart = Restart::permanent) {
  TreeNode node;
  node.id = std::move(id);
  node.restart = restart;
  node.what = ServiceNode{std::make_shared<const ServiceSpec>(), {}, {}};
  return node;
}

TreeNode preparation(std::string id, Restart restart = Restart::transient) {
  TreeNode node = service(std::move(id), restart);
  ServiceSpec spec;
  spec.is_preparation = true;
  node.what = ServiceNode{std::make_shared<const ServiceSpec>(spec), {}, {}};
  return node;
}

TreeNode with_probe(TreeNode node, Check check) {
  ServiceSpec spec;
  spec.ready = ReadyProbe{};
  spec.ready->check = std::move(check);
  node.what = ServiceNode{std::make_shared<const ServiceSpec>(spec), {}, {}};
  return node;
}

GroupNode group(std::string name, Strategy strategy,
                std::vector<TreeNode> children) {
  GroupNode node;
  node.name = std::move(name);
  node.strategy = strategy;
  node.children = std::move(children);
  return node;
}

TreeNode nested(std::string id, GroupNode inside) {
  TreeNode node;
  node.id = std::move(id);
  node.what = std::move(inside);
  return node;
}

Names names_of(const std::vector<ForeseenStart>& starts) {
  Names names;
  for (const ForeseenStart& start : starts)
    names.push_back(start.service);
  return names;
}

// -- By hand -----------------------------------------------------------------

TEST(WhatIf, StopsInReverseAndStartsInOrderWhatIsInScope) {
  const GroupNode root =
      group("", Strategy::rest_for_one,
            {service("db"), preparation("migrate"), service("api"),
             nested("loaders", group("loaders", Strategy::one_for_one,
                                     {service("a"), service("b")})),
             with_probe(service("web"), TcpCheck{"localhost", 80})});
  const auto what = what_if_dies(root, "db");
  ASSERT_TRUE(what);
  ASSERT_EQ(what->groups.size(), 1U);
  const GroupForecast& first = what->groups[0];
  EXPECT_EQ(first.fate, GroupFate::gives_up);
  EXPECT_EQ(first.stopped, (Names{"web", "loaders/b", "loaders/a", "api"}));
  using Until = ForeseenStart::Until;
  EXPECT_EQ(first.started,
            (std::vector<ForeseenStart>{{"db", Until::started, ""},
                                        {"migrate", Until::finished, ""},
                                        {"api", Until::started, ""},
                                        {"loaders/a", Until::started, ""},
                                        {"loaders/b", Until::started, ""},
                                        {"web", Until::ready, "tcp"}}));
  EXPECT_EQ(first.stopped_at_end, first.stopped);
  EXPECT_EQ(what->starts, 6U);
  EXPECT_TRUE(what->ends_stack());
}

TEST(WhatIf, MultipliesTheBudgetsOfAllLevels) {
  GroupNode inner = group("a/b", Strategy::one_for_one, {service("c")});
  inner.intensity = 2;
  GroupNode middle =
      group("a", Strategy::one_for_one, {nested("b", std::move(inner))});
  middle.intensity = 3;
  const GroupNode root =
      group("", Strategy::one_for_one, {nested("a", std::move(middle))});
  const auto what = what_if_dies(root, "a/b/c");
  ASSERT_TRUE(what);
  EXPECT_EQ(what->groups.size(), 3U);
  EXPECT_EQ(what->starts, 3U * 4U * 6U);
  EXPECT_EQ(what->span, (DurationRange{}));
}

TEST(WhatIf, CountsNoFurtherThanPeopleDo) {
  GroupNode inner = group("x", Strategy::one_for_one, {service("c")});
  std::string path = "x";
  inner.intensity = 1'000'000;
  for (int i = 0; i < 5; ++i) {
    GroupNode outer = group("x", Strategy::one_for_one, {nested("x", inner)});
    outer.intensity = 1'000'000;
    inner = std::move(outer);
    path += "/x";
  }
  inner.name.clear();
  const auto what = what_if_dies(inner, "x/c");
  ASSERT_TRUE(what) << what.error().what;
  EXPECT_EQ(what->starts, most_counted_starts);
}

TEST(WhatIf, SuggestsTheServiceThatWasMeant) {
  GroupNode copies =
      group("loaders", Strategy::one_for_one,
            {service("loaders-1"), service("loaders-2"), service("loaders-3")});
  copies.replicas = 2;
  const GroupNode root =
      group("", Strategy::one_for_one, {nested("loaders", std::move(copies))});
  EXPECT_TRUE(what_if_dies(root, "loaders/loaders-2"));
  const auto what = what_if_dies(root, "loaders/loaders-3");
  ASSERT_FALSE(what);
  EXPECT_EQ(what.error(),
            (Error{Errc::not_found,
                   "no service \"loaders/loaders-3\"; did you mean "
                   "loaders/loaders-1?"}));
}

TEST(WhatIf, IsNoQuestionForAGroupThatStays) {
  GroupNode held = group("held", Strategy::one_for_one, {service("a")});
  held.on_give_up = OnGiveUp::hold;
  const GroupNode root =
      group("", Strategy::one_for_one, {nested("held", std::move(held))});
  const auto what = what_if_dies(root, "held");
  ASSERT_FALSE(what);
  EXPECT_EQ(what.error(),
            (Error{Errc::invalid_argument,
                   "held does not die, as it does not escalate when it gives "
                   "up; ask for a service in it"}));
}

TEST(WhatIf, LeavesItToChanceWhetherWaitsFitIntoThePeriod) {
  TreeNode child = service("a");
  child.backoff = Backoff{.min = 1s, .max = 1s, .factor = 1, .jitter = 0.5};
  GroupNode root = group("", Strategy::one_for_one, {child});
  root.intensity = 4;
  root.period = 4s;
  auto what = what_if_dies(root, "a");
  ASSERT_TRUE(what);
  EXPECT_EQ(what->groups[0].fate, GroupFate::gives_up);
  EXPECT_FALSE(what->groups[0].is_certain);
  EXPECT_EQ(what->span, (DurationRange{2s, 6s}));

  root.period = 6s;
  what = what_if_dies(root, "a");
  EXPECT_TRUE(what->groups[0].is_certain);

  root.period = 1999ms;
  what = what_if_dies(root, "a");
  EXPECT_EQ(what->groups[0].fate, GroupFate::keeps_on);
  EXPECT_EQ(what->starts, std::nullopt);
}

// -- Against the real cores --------------------------------------------------

/// A random tree. Ids are unique in all of it, as CoreWorld needs.
class RandomTree {
 public:
  RandomTree(std::uint64_t seed, double jitter)
      : random_{seed}, jitter_{jitter} {
    root_ = make_group("", 1);
  }
  [[nodiscard]] const GroupNode& root() const { return root_; }
  [[nodiscard]] const Names& paths() const { return paths_; }
  std::uint64_t below(std::uint64_t n) { return random_.next() % n; }

 private:
  template <class T>
  T one_of(std::initializer_list<T> values) {
    return values.begin()[below(values.size())];
  }

  GroupNode make_group(const std::string& name, int depth) {
    GroupNode node = group(name,
                           one_of({Strategy::one_for_one, Strategy::one_for_all,
                                   Strategy::rest_for_one}),
                           {});
    node.intensity = static_cast<int>(below(4));
    node.period = one_of<Duration>({50ms, 400ms, 60s, 60s});
    node.on_give_up =
        one_of({OnGiveUp::escalate, OnGiveUp::escalate, OnGiveUp::escalate,
                OnGiveUp::hold, OnGiveUp::stop});
    node.auto_shutdown =
        one_of({AutoShutdown::never, AutoShutdown::any_significant,
                AutoShutdown::all_significant});
    const std::uint64_t count = 1 + below(4);
    const bool is_scaled = depth > 1 && below(4) == 0;
    if (is_scaled)
      node.replicas = static_cast<std::uint32_t>(1 + below(count));
    for (std::uint64_t i = 0; i < count; ++i)
      node.children.push_back(
          make_child(node, depth, is_scaled, !is_scaled || i < *node.replicas));
    return node;
  }

  TreeNode make_child(const GroupNode& above, int depth, bool is_copy,
                      bool is_started) {
    const std::string id = "c" + std::to_string(++last_id_);
    const std::string path = above.name.empty() ? id : above.name + "/" + id;
    if (is_started)
      paths_.push_back(path);
    TreeNode node;
    if (depth < 3 && !is_copy && below(3) == 0) {
      node = nested(id, make_group(path, depth + 1));
    } else if (!is_copy && below(6) == 0) {
      return preparation(id, one_of({Restart::transient, Restart::temporary}));
    } else {
      node = service(id);
    }
    node.restart = one_of({Restart::permanent, Restart::permanent,
                           Restart::transient, Restart::temporary});
    node.significant = node.restart != Restart::permanent &&
                       above.auto_shutdown != AutoShutdown::never &&
                       below(2) == 0;
    if (below(2) == 0)
      node.backoff = Backoff{.min = one_of<Duration>({10ms, 40ms}),
                             .max = one_of<Duration>({40ms, 1s}),
                             .factor = static_cast<double>(1 + below(3)),
                             .jitter = jitter_,
                             .reset_after = one_of<Duration>({0ms, 50ms, 1h})};
    return node;
  }

  Random random_;
  double jitter_;
  std::uint64_t last_id_ = 0;
  Names paths_;
  GroupNode root_;
};

/// The tree of `root` with the real cores, in which one child ends again and
/// again.
class RealTree {
 public:
  RealTree(const GroupNode& root, const std::string& child)
      : world_{spec_of(root)}, path_{child} {
    world_.nested = std::move(nested_);
    for (const auto& [id, path] : paths_) {
      if (path == child)
        id_ = id;
    }
    for (const std::string& id : preparations_)
      world_.finishes[id] = true;
  }

  /// Ends the child so many times at most, each time that it runs.
  void run(bool is_group, std::uint64_t most_ends) {
    world_.start();
    std::size_t before = world_.log.size();
    const TimePoint begin = world_.now();
    while (ends_ < most_ends && !world_.exited && !is_held()) {
      if (world_.has(id_)) {
        ++ends_;
        span = world_.now() - begin;
        if (is_group)
          world_.perform_on(
              id_, world_.core_of(id_).on_shutdown(
                       {supervisor::ExitKind::shutdown, {}}, world_.now()));
        else
          world_.crash(id_);
      } else if (const auto wait = world_.next_timer()) {
        world_.advance(*wait);
      } else {
        break;
      }
    }
    note_events(before);
  }

  /// The first start of the child fails.
  void fail_to_start() {
    world_.on_start[id_] = {CoreWorld::OnStart::hang};
    world_.start();
    const std::size_t before = world_.log.size();
    world_.crash(id_);
    note_events(before);
  }

  /// Starts and stops of services, "start loaders/a".
  Names events;
  Duration span{0};  ///< From the first end of the child to the last one.
  [[nodiscard]] std::uint64_t starts() const { return world_.starts(id_); }
  [[nodiscard]] bool has_ended() const { return world_.exited.has_value(); }
  [[nodiscard]] bool is_held() const {
    return std::any_of(world_.reports.begin(), world_.reports.end(),
                       [](const auto& report) {
                         return report.kind == supervisor::ReportKind::held;
                       });
  }

 private:
  supervisor::SupervisorSpec spec_of(const GroupNode& node) {
    supervisor::SupervisorSpec spec{.name = node.name,
                                    .strategy = node.strategy,
                                    .intensity = node.intensity,
                                    .period = node.period,
                                    .auto_shutdown = node.auto_shutdown,
                                    .on_give_up = node.on_give_up,
                                    .hold_for = node.hold_for,
                                    .serves_while_starting = true};
    for (const TreeNode& child : node.children) {
      if (node.replicas && spec.children.size() == *node.replicas)
        break;
      paths_[child.id] =
          node.name.empty() ? child.id : node.name + "/" + child.id;
      supervisor::ChildSpec added = supervisor::child(child.id, child.restart);
      added.significant = child.significant;
      added.backoff = child.backoff;
      if (const auto* inside = std::get_if<GroupNode>(&child.what)) {
        added.type = supervisor::ChildType::supervisor;
        nested_[child.id] = spec_of(*inside);
      } else if (std::get<ServiceNode>(child.what).spec->is_preparation) {
        preparations_.push_back(child.id);
      }
      spec.children.push_back(std::move(added));
    }
    return spec;
  }

  void note_events(std::size_t from) {
    for (std::size_t i = from; i < world_.log.size(); ++i) {
      const std::string& line = world_.log[i];
      const std::size_t space = line.find(' ');
      const std::string verb = line.substr(0, space);
      const std::string id = line.substr(space + 1);
      if ((verb == "start" || verb == "stop") && !world_.nested.contains(id))
        events.push_back(verb + " " + paths_.at(id));
    }
  }

  std::map<std::string, std::string> paths_;
  std::map<std::string, supervisor::SupervisorSpec> nested_;
  Names preparations_;
  CoreWorld world_;
  std::string path_;
  std::string id_;
  std::uint64_t ends_ = 0;
};

constexpr std::uint64_t many_ends = 300;

void add(Names& events, const std::string& verb, const Names& services) {
  for (const std::string& service : services)
    events.push_back(verb + " " + service);
}

/// The starts and stops that `what` foresees, up to the end.
Names foreseen(const WhatIf& what) {
  Names events;
  add(events, "stop", what.contents);
  for (const GroupForecast& forecast : what.groups) {
    const Names one_life = events;
    const bool uses_budget = forecast.fate != GroupFate::goes_on &&
                             forecast.fate != GroupFate::ends &&
                             forecast.fate != GroupFate::fails_to_start;
    std::uint64_t restarts =
        uses_budget ? static_cast<std::uint64_t>(forecast.intensity) : 0;
    if (forecast.fate == GroupFate::keeps_on)
      restarts = many_ends;
    Names stopped = forecast.stopped;
    for (std::uint64_t i = 0; i < restarts; ++i) {
      add(events, "stop", stopped);
      add(events, "start", names_of(forecast.started));
      events.insert(events.end(), one_life.begin(), one_life.end());
      if (i == 0)
        std::erase_if(stopped, [&](const std::string& service) {
          return std::find(forecast.lost.begin(), forecast.lost.end(),
                           service) != forecast.lost.end();
        });
    }
    add(events, "stop", forecast.stopped_at_end);
  }
  return events;
}

bool is_preparation(const WhatIf& what) {
  return what.groups.front().fate == GroupFate::fails_to_start;
}

/// Looks at a random child of the tree of `seed`; counts what became of it.
void compare(std::uint64_t seed, double jitter,
             std::map<GroupFate, int>& fates) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  RandomTree tree{seed, jitter};
  const std::string child = tree.paths()[tree.below(tree.paths().size())];
  SCOPED_TRACE("child " + child);
  const auto what = what_if_dies(tree.root(), child);
  if (!what) {
    EXPECT_EQ(what.error().code, Errc::invalid_argument);
    return;
  }
  const GroupFate fate = what->groups.back().fate;
  const bool is_certain =
      std::all_of(what->groups.begin(), what->groups.end(),
                  [](const GroupForecast& group) { return group.is_certain; });
  if (!is_certain)
    return;
  ++fates[fate];
  SCOPED_TRACE(to_string(fate));
  RealTree real{tree.root(), child};
  if (is_preparation(*what))
    real.fail_to_start();
  else
    real.run(what->is_group, many_ends);

  Names expected = foreseen(*what);
  if (fate == GroupFate::keeps_on) {
    ASSERT_GE(expected.size(), real.events.size());
    expected.resize(real.events.size());
    EXPECT_GE(real.starts(), many_ends);
  } else {
    EXPECT_EQ(real.starts(), what->starts);
    EXPECT_GE(real.span, what->span.shortest - 1us);
    EXPECT_LE(real.span, what->span.longest + 1us);
  }
  if (jitter == 0 && fate != GroupFate::keeps_on) {
    EXPECT_EQ((DurationRange{real.span, real.span}), what->span);
  }
  EXPECT_EQ(real.events, expected);
  EXPECT_EQ(real.has_ended(), what->ends_stack());
  EXPECT_EQ(real.is_held(),
            fate == GroupFate::holds || fate == GroupFate::stops);
}

TEST(WhatIf, IsWhatTheCoresDo) {
  std::map<GroupFate, int> fates;
  for (std::uint64_t seed = 1; seed <= 4000 && !HasFailure(); ++seed)
    compare(seed, 0, fates);
  for (const GroupFate fate :
       {GroupFate::goes_on, GroupFate::keeps_on, GroupFate::holds,
        GroupFate::stops, GroupFate::gives_up, GroupFate::ends,
        GroupFate::fails_to_start})
    EXPECT_GE(fates[fate], 40) << to_string(fate);
}

TEST(WhatIf, HoldsForAnyJitter) {
  std::map<GroupFate, int> fates;
  for (std::uint64_t seed = 1; seed <= 2000 && !HasFailure(); ++seed)
    compare(seed, 0.3, fates);
  EXPECT_GE(fates[GroupFate::gives_up], 40);
  EXPECT_GE(fates[GroupFate::keeps_on], 40);
}

}  // namespace
}  // namespace troupe::service
