// Random histories of whole supervision trees, in two worlds: one with the
// core, one with a naive model of OTP's rules. After every mail that anybody
// reads, the same must have happened in both.
//
//   OTP_MODEL_SEED=7 OTP_MODEL_HISTORIES=1   repeats one history
#include "otp_model.hpp"

#include "tree_world.hpp"

#include <troupe/base/random.hpp>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <iostream>
#include <map>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace troupe::supervisor {
namespace {

// -- The core in a tree ------------------------------------------------------

/// Performs what a SupervisorCore decides, as the actor shell does.
class CoreSupervisor final : public TreeSupervisor {
 public:
  CoreSupervisor(TreeWorld& world, NodeNumber self, SupervisorSpec spec)
      : world_{world}, self_{self}, core_{std::move(spec), /*seed=*/1} {
    for (const ChildInfo& child : core_.which_children())
      names_[child.ref.key] = child.id;
  }

  void begin() override { perform(core_.on_start(world_.now())); }
  void start_returned(ProcessNumber process, StartOutcome outcome) override {
    perform(start_outcome(refs_.at(process), outcome));
  }
  void process_ended(ProcessNumber process, const ExitReason& reason) override {
    perform(core_.on_child_exited(refs_.at(process), reason, world_.now()));
  }
  void timer_due(std::uint64_t timer) override {
    perform(core_.on_timer(timers_[timer], world_.now()));
  }
  void shut_down() override {
    perform(core_.on_shutdown({ExitKind::shutdown, {}}, world_.now()));
  }

  void request(const ManualRequest& request) override {
    const Ticket ticket = request.ticket;
    const TimePoint now = world_.now();
    switch (request.kind) {
      case ManualRequest::Kind::start:
        return perform(core_.start_child(spec_of(*request.child), ticket, now));
      case ManualRequest::Kind::terminate:
        return perform(core_.terminate_child(request.id, ticket, now));
      case ManualRequest::Kind::restart:
        return perform(core_.restart_child(request.id, ticket, now));
      case ManualRequest::Kind::remove:
        return perform(core_.delete_child(request.id, ticket, now));
      case ManualRequest::Kind::start_dynamic:
        dynamic_.push_back(core_.new_key());
        return perform(core_.start_dynamic(dynamic_.back(), ticket));
      case ManualRequest::Kind::terminate_dynamic:
        return perform(core_.terminate_dynamic(
            request.dynamic <= dynamic_.size() ? dynamic_[request.dynamic - 1]
                                               : ChildKey{1'000'000},
            ticket));
    }
  }

  [[nodiscard]] std::vector<ChildView> children() const override {
    std::vector<ChildView> views;
    for (ChildInfo& child : core_.which_children()) {
      views.push_back({.id = name_of(child.ref.key),
                       .state = child.state,
                       .process = process_of(child.ref),
                       .restarts = child.restarts,
                       .next_start = child.next_start});
    }
    return views;
  }
  [[nodiscard]] ChildCounts counts() const override {
    return core_.count_children();
  }

  /// News of a process that is no more, or of a timer that never was.
  void stray_news(std::size_t pick) {
    ChildRef stale{ChildKey{77}, 77};
    if (!refs_.empty()) {
      auto it = refs_.begin();
      std::advance(it, pick % refs_.size());
      stale = it->second;
      for (const ChildInfo& child : core_.which_children()) {
        if (child.ref == stale)
          stale.incarnation += 1'000'000;
      }
    }
    const TimePoint now = world_.now();
    perform(core_.on_child_started(stale, now));
    perform(core_.on_child_ignored(stale, now));
    perform(core_.on_child_start_failed(stale, "late", now));
    perform(core_.on_child_exited(stale, {ExitKind::crashed, "late"}, now));
    perform(core_.on_timer({stale.key, 1'000'000}, now));
    perform(core_.on_timer({ChildKey{}, 1'000'000}, now));
  }

 private:
  void perform(Actions actions) {
    std::deque<Action> todo{std::make_move_iterator(actions.begin()),
                            std::make_move_iterator(actions.end())};
    while (!todo.empty()) {
      const Action action = std::move(todo.front());
      todo.pop_front();
      for (Action& next :
           std::visit([this](const auto& a) { return perform_one(a); }, action))
        todo.push_back(std::move(next));
    }
  }

  Actions perform_one(const Start& start) {
    const ChildSpec& spec = core_.spec_of(start.child.key);
    if (names_.find(start.child.key) == names_.end())
      names_[start.child.key] =
          is_simple() ? fmt::format("{}#{}", spec.id, dynamic_.size())
                      : spec.id;
    const TreeWorld::Started started =
        world_.start(self_, name_of(start.child.key), spec, start.restarts);
    refs_[started.process] = start.child;
    if (!processes_.emplace(start.child.incarnation, started.process).second)
      world_.wrong(self_, "used an incarnation twice");
    return start_outcome(start.child, started.outcome);
  }
  Actions perform_one(const StopPolitely& stop) {
    world_.stop(process_of(stop.child));
    return {};
  }
  Actions perform_one(const Kill& kill) {
    world_.kill(process_of(kill.child));
    return {};
  }
  Actions perform_one(const SetTimer& timer) {
    timers_.push_back(timer.timer);
    world_.set_timer(self_, timers_.size() - 1, timer.delay);
    return {};
  }
  Actions perform_one(const Reply& reply) {
    world_.reply(self_, reply.ticket, reply.code,
                 reply.child.key ? process_of(reply.child) : 0);
    return {};
  }
  Actions perform_one(const Report& report) {
    world_.report(self_, report.kind, report.child,
                  report.child.empty() ? ExitKind{} : report.reason.kind,
                  report.restarts);
    return {};
  }
  static Actions perform_one(const Announce& /*announce*/) { return {}; }
  Actions perform_one(const Forget& forget) {
    // A dynamic start that is refused leaves nothing but its arguments.
    if (names_.find(forget.child) != names_.end())
      world_.forget(self_, name_of(forget.child));
    return {};
  }
  Actions perform_one(const Ready& /*ready*/) {
    world_.ready(self_);
    return {};
  }
  Actions perform_one(const Exit& exit) {
    // The text names the child in quotes.
    const std::string& what = exit.reason.what;
    const std::size_t open = what.find('"');
    const std::size_t close = what.find('"', open + 1);
    world_.exit(self_, exit.reason.kind,
                open == std::string::npos
                    ? what
                    : what.substr(open + 1, close - open - 1));
    return {};
  }

  Actions start_outcome(ChildRef child, StartOutcome outcome) {
    switch (outcome) {
      case StartOutcome::starting:
        break;
      case StartOutcome::running:
        return core_.on_child_started(child, world_.now());
      case StartOutcome::ignored:
        return core_.on_child_ignored(child, world_.now());
      case StartOutcome::failed:
        return core_.on_child_start_failed(child, "no luck", world_.now());
    }
    return {};
  }

  [[nodiscard]] bool is_simple() const {
    return core_.spec().strategy == Strategy::simple_one_for_one;
  }
  [[nodiscard]] ProcessNumber process_of(ChildRef child) const {
    const auto it = processes_.find(child.incarnation);
    return it == processes_.end() ? 0 : it->second;
  }
  [[nodiscard]] std::string name_of(ChildKey key) const {
    const auto it = names_.find(key);
    return it == names_.end() ? "?" : it->second;
  }

  TreeWorld& world_;
  NodeNumber self_;
  SupervisorCore core_;
  std::map<ChildKey, std::string> names_;
  std::map<ProcessNumber, ChildRef> refs_;
  std::map<std::uint64_t, ProcessNumber> processes_;  ///< By incarnation.
  std::vector<TimerId> timers_;
  std::vector<ChildKey> dynamic_;
};

// -- Histories ---------------------------------------------------------------

/// What happens to a tree from outside. Numbers pick among what there is.
struct Event {
  enum class Kind : std::uint8_t {
    end_process,
    end_supervisor,
    request,
    pass_time,
    shut_down,
    stray_news,
  };
  static constexpr int all_mail = -1;

  Kind kind = Kind::pass_time;
  std::uint32_t pick = 0;
  std::uint32_t pick_child = 0;
  ExitReason reason{};
  ManualRequest::Kind request = ManualRequest::Kind::start;
  ManualRequest::Kind dynamic_request = ManualRequest::Kind::start_dynamic;
  std::shared_ptr<const PlannedChild> child{};
  Duration time{0};
  bool at_once = false;  ///< Nobody reads mail while the time passes.
  int mails = all_mail;  ///< How many are read afterwards.
};

struct History {
  PlannedSupervisor root;
  std::vector<ProcessPlan> plans;
  std::vector<Event> events;
  std::uint64_t mail_order = 0;
  std::size_t levels = 1;  ///< Of supervisors, at most.
};

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_{seed} {}

  std::uint64_t number() { return random_.next(); }
  template <class T>
  T below(T n) {
    return static_cast<T>(random_.next() % static_cast<std::uint64_t>(n));
  }
  bool percent(int chance) { return below(100) < chance; }
  template <class T>
  T one_of(std::initializer_list<T> choices) {
    return *(choices.begin() + below(choices.size()));
  }

 private:
  Random random_;
};

// Few lengths of time, so that moments coincide and edges are hit.
Duration random_time(Dice& dice) {
  return dice.one_of<Duration>({0ms, 1ms, 100ms, 200ms, 400ms, 800ms, 1s - 1ns,
                                1s, 1s + 1ns, 2s, 4s, 5s - 1ns, 5s, 5s + 1ns,
                                20s});
}

Restart random_restart(Dice& dice) {
  return dice.one_of({Restart::permanent, Restart::permanent,
                      Restart::transient, Restart::transient,
                      Restart::temporary});
}

PlannedSupervisor random_supervisor(Dice& dice, int levels, int& budget);

PlannedChild random_child(Dice& dice, std::string id,
                          AutoShutdown auto_shutdown, int levels, int& budget) {
  --budget;
  PlannedChild child{.id = std::move(id), .restart = random_restart(dice)};
  switch (dice.below(6)) {
    case 0:
      child.shutdown = BrutalKill{};
      break;
    case 1:
      child.shutdown = Infinity{};
      break;
    case 2:
    case 3:
      child.shutdown = dice.one_of<Duration>({0ms, 200ms, 1s, 5s});
      break;
    default:
      break;
  }
  child.significant = auto_shutdown != AutoShutdown::never &&
                      child.restart != Restart::permanent && dice.percent(70);
  child.backs_off = dice.percent(10);
  if (levels > 0 && budget > 0 && dice.percent(35))
    child.inside.push_back(random_supervisor(dice, levels, budget));
  return child;
}

PlannedSupervisor random_supervisor(Dice& dice, int levels, int& budget) {
  PlannedSupervisor supervisor;
  supervisor.strategy = dice.one_of(
      {Strategy::one_for_one, Strategy::one_for_all, Strategy::rest_for_one,
       Strategy::one_for_one, Strategy::one_for_all, Strategy::rest_for_one,
       Strategy::simple_one_for_one});
  supervisor.intensity = dice.one_of({0, 1, 1, 2, 2, 3, 5, 10});
  supervisor.period = dice.one_of<Duration>({1s, 5s});
  supervisor.auto_shutdown = dice.one_of(
      {AutoShutdown::never, AutoShutdown::never, AutoShutdown::never,
       AutoShutdown::any_significant, AutoShutdown::all_significant,
       AutoShutdown::all_significant});
  int children = 1 + dice.below(dice.one_of({3, 6, 12, 50}));
  if (supervisor.strategy == Strategy::simple_one_for_one)
    children = 1;
  else if (dice.percent(5))
    children = 0;
  for (int i = 0; i < children; ++i) {
    if (i > 0 && budget <= 0)
      break;
    supervisor.children.push_back(random_child(dice, fmt::format("c{}", i),
                                               supervisor.auto_shutdown,
                                               levels - 1, budget));
  }
  return supervisor;
}

ExitReason random_reason(Dice& dice) {
  return dice.one_of<ExitReason>({{ExitKind::normal, {}},
                                  {ExitKind::shutdown, {}},
                                  {ExitKind::shutdown, "out of work"},
                                  {ExitKind::killed, {}},
                                  {ExitKind::crashed, "boom"},
                                  {ExitKind::crashed, "bang"},
                                  {ExitKind::custom, "no"}});
}

ProcessPlan random_plan(Dice& dice) {
  ProcessPlan plan;
  switch (dice.below(8)) {
    case 0:
    case 1:
      plan.start = StartOutcome::failed;
      break;
    case 2:
      plan.start = StartOutcome::ignored;
      break;
    default:
      break;
  }
  if (dice.percent(30))
    plan.start_takes = dice.one_of<Duration>({1ms, 200ms, 1s, 5s, 8s});
  plan.stop = dice.one_of({ProcessPlan::Stop::obey, ProcessPlan::Stop::obey,
                           ProcessPlan::Stop::never, ProcessPlan::Stop::fail,
                           ProcessPlan::Stop::end_normally});
  if (dice.percent(70))
    plan.stop_takes = dice.one_of<Duration>({1ms, 200ms, 1s, 5s, 8s});
  if (dice.percent(30)) {
    plan.ends_after = dice.one_of<Duration>({0ms, 0ms, 1ms, 200ms, 1s, 5s});
    plan.ends_with = random_reason(dice).kind;
  }
  return plan;
}

Event random_event(Dice& dice) {
  Event event;
  event.pick = static_cast<std::uint32_t>(dice.number());
  event.pick_child = static_cast<std::uint32_t>(dice.number());
  event.reason = random_reason(dice);
  if (dice.percent(20))
    event.mails = dice.below(3);
  const int kind = dice.below(100);
  if (kind < 40) {
    event.kind = Event::Kind::end_process;
  } else if (kind < 44) {
    event.kind = Event::Kind::end_supervisor;
  } else if (kind < 72) {
    event.kind = Event::Kind::request;
    event.request = dice.one_of(
        {ManualRequest::Kind::start, ManualRequest::Kind::terminate,
         ManualRequest::Kind::restart, ManualRequest::Kind::remove});
    event.dynamic_request = dice.one_of(
        {ManualRequest::Kind::start_dynamic, ManualRequest::Kind::start_dynamic,
         ManualRequest::Kind::terminate_dynamic});
    if (event.request == ManualRequest::Kind::start) {
      int budget = 3;
      auto child = random_child(dice, fmt::format("c{}", dice.below(9)),
                                AutoShutdown::never, 1, budget);
      if (dice.percent(10))
        child.startless = true;
      if (dice.percent(5))
        child.id.clear();
      child.significant = dice.percent(20);
      event.child = std::make_shared<PlannedChild>(std::move(child));
    }
  } else if (kind < 96) {
    event.kind = Event::Kind::pass_time;
    event.time = random_time(dice);
    event.at_once = dice.percent(20);
  } else if (kind < 98) {
    event.kind = Event::Kind::stray_news;
  } else if (dice.percent(30)) {
    event.kind = Event::Kind::shut_down;
  }
  return event;
}

/// `levels` of supervisors at most, and some 50 children in all; those that are
/// asked for on the way come on top.
History random_history(std::uint64_t seed, int levels) {
  Dice dice{seed};
  History history{.levels = static_cast<std::size_t>(levels)};
  int budget = dice.one_of({3, 6, 12, 25, 50});
  history.root = random_supervisor(dice, levels, budget);
  if (history.root.children.size() == 1 && dice.percent(75))
    history.root.strategy = Strategy::simple_one_for_one;
  const int trouble = dice.one_of({0, 10, 40, 80});
  history.plans.resize(60);
  for (ProcessPlan& plan : history.plans) {
    if (dice.percent(trouble))
      plan = random_plan(dice);
  }
  const int events = 1 + dice.below(dice.one_of({8, 20, 40}));
  for (int i = 0; i < events; ++i)
    history.events.push_back(random_event(dice));
  if (dice.percent(50))
    history.mail_order = dice.number();
  return history;
}

// -- Printing ----------------------------------------------------------------

void print(std::ostream& out, const PlannedSupervisor& supervisor,
           const std::string& indent) {
  static constexpr std::array strategies{"?", "one_for_one", "one_for_all",
                                         "rest_for_one", "simple_one_for_one"};
  static constexpr std::array restarts{"?", "permanent", "transient",
                                       "temporary"};
  static constexpr std::array auto_shutdowns{"?", "never", "any_significant",
                                             "all_significant"};
  out << indent << strategies[static_cast<std::size_t>(supervisor.strategy)]
      << ", intensity " << supervisor.intensity << " in "
      << supervisor.period / 1ms << " ms, auto-shutdown "
      << auto_shutdowns[static_cast<std::size_t>(supervisor.auto_shutdown)]
      << '\n';
  for (const PlannedChild& child : supervisor.children) {
    out << indent << "- " << child.id << ": "
        << restarts[static_cast<std::size_t>(child.restart)];
    if (child.shutdown) {
      out << ", shutdown ";
      if (const auto* limit = std::get_if<Duration>(&*child.shutdown))
        out << *limit / 1ms << " ms";
      else
        out << (std::holds_alternative<Infinity>(*child.shutdown) ? "infinity"
                                                                  : "kill");
    }
    out << (child.significant ? ", significant" : "")
        << (child.backs_off ? ", back-off" : "")
        << (child.startless ? ", without start function" : "") << '\n';
    for (const PlannedSupervisor& inside : child.inside)
      print(out, inside, indent + "  ");
  }
}

void print(std::ostream& out, const ProcessPlan& plan) {
  static constexpr std::array starts{"running", "starting", "ignored",
                                     "failed"};
  static constexpr std::array stops{"obeys", "never stops", "fails",
                                    "ends normally"};
  out << "starts as " << starts[static_cast<std::size_t>(plan.start)] << " in "
      << plan.start_takes / 1ms << " ms; when told to stop "
      << stops[static_cast<std::size_t>(plan.stop)] << " in "
      << plan.stop_takes / 1ms << " ms";
  if (plan.ends_after >= Duration{0})
    out << "; ends " << to_string(plan.ends_with) << " after "
        << plan.ends_after / 1ms << " ms";
  out << '\n';
}

void print(std::ostream& out, const History& history) {
  print(out, history.root, "  ");
  for (std::size_t i = 0; i < history.plans.size(); ++i) {
    if (history.plans[i].is_ordinary())
      continue;
    out << "  process " << i + 1 << ' ';
    print(out, history.plans[i]);
  }
  if (history.mail_order != 0)
    out << "  mail order " << history.mail_order << '\n';
}

/// How often what happened; a generator that has gone lame shows here.
struct Tally {
  std::uint64_t histories = 0;
  std::uint64_t events = 0;
  std::uint64_t mails = 0;
  std::uint64_t starts = 0;
  std::uint64_t restarts = 0;
  std::uint64_t kills = 0;
  std::map<ReportKind, std::uint64_t> reports;
  std::map<ReplyCode, std::uint64_t> replies;
  std::map<std::size_t, std::uint64_t> give_ups;  ///< By level, from 1.
  std::size_t most_children = 0;  ///< Living, of all supervisors.
};

void print(std::ostream& out, const Tally& tally) {
  out << fmt::format(
      "{} histories: {} events, {} mails, {} starts, {} restarts, {} kills, "
      "up to {} children\n",
      tally.histories, tally.events, tally.mails, tally.starts, tally.restarts,
      tally.kills, tally.most_children);
  out << "reports:";
  for (const auto& [kind, count] : tally.reports)
    out << ' ' << to_string(kind) << ' ' << count;
  out << "\nreplies:";
  for (const auto& [code, count] : tally.replies)
    out << ' ' << to_string(code) << ' ' << count;
  out << "\ngive-ups by level:";
  for (const auto& [level, count] : tally.give_ups)
    out << ' ' << level << ": " << count;
  out << '\n';
}

// -- Both worlds -------------------------------------------------------------

class Comparison {
 public:
  using Spoil = std::function<void(SupervisorSpec&)>;

  /// `spoil`, if given, changes what the core gets to see.
  explicit Comparison(const History& history, const Spoil& spoil = {})
      : history_{history},
        core_{history.root, history.plans, history.mail_order,
              [spoil](TreeWorld& world, NodeNumber node,
                      const PlannedSupervisor& plan) {
                SupervisorSpec spec = spec_of(plan);
                if (spoil)
                  spoil(spec);
                return std::make_unique<CoreSupervisor>(world, node,
                                                        std::move(spec));
              }},
        model_{history.root, history.plans, history.mail_order,
               [](TreeWorld& world, NodeNumber node,
                  const PlannedSupervisor& plan) {
                 return std::make_unique<OtpModel>(world, node, spec_of(plan));
               }} {}

  /// The first difference; nothing if there is none.
  std::optional<std::string> run(Tally& tally, std::ostream* trace = nullptr) {
    tally_ = &tally;
    trace_ = trace;
    ++tally.histories;
    read_mail(Event::all_mail);
    for (const Event& event : history_.events) {
      measure();
      if (difference_ || model_.over())
        break;
      ++tally.events;
      apply(event);
      read_mail(event.mails);
    }
    finish();
    return difference_;
  }

 private:
  void apply(const Event& event) {
    switch (event.kind) {
      case Event::Kind::end_process:
      case Event::Kind::end_supervisor:
        end_one(event);
        break;
      case Event::Kind::request:
        request(event);
        break;
      case Event::Kind::pass_time:
        say([&] { return fmt::format("{} ns pass", event.time.count()); });
        pass_time(event.time, event.at_once);
        break;
      case Event::Kind::shut_down:
        shut_down();
        break;
      case Event::Kind::stray_news:
        stray_news(event);
        break;
    }
  }

  void end_one(const Event& event) {
    const auto alive = model_.alive(event.kind == Event::Kind::end_supervisor);
    if (alive.empty())
      return;
    const ProcessNumber process = alive[event.pick % alive.size()];
    say([&] {
      return fmt::format("process {}, {}, ends: {}", process,
                         model_.path_of(process), describe(event.reason));
    });
    core_.end(process, event.reason);
    model_.end(process, event.reason);
  }

  void request(const Event& event) {
    const auto nodes = model_.living_nodes();
    const NodeNumber node = nodes[event.pick % nodes.size()];
    ManualRequest request{.ticket = Ticket{++last_ticket_},
                          .dynamic = 1 + event.pick_child % 3,
                          .child = event.child};
    const auto children = model_.supervisor(node).children();
    request.id = children.empty() || event.pick_child % 9 == 0
                     ? "nobody"
                     : children[event.pick_child % children.size()].id;
    // Mostly something that this kind of supervisor can do.
    const bool simple =
        model_.plan(node).strategy == Strategy::simple_one_for_one;
    const bool apt = event.pick_child % 16 != 0;
    request.kind = simple == apt ? event.dynamic_request : event.request;
    if (request.kind == ManualRequest::Kind::start &&
        (event.child == nullptr || (!event.child->inside.empty() &&
                                    model_.level(node) >= history_.levels)))
      return;
    say([&] {
      static constexpr std::array names{"start",         "terminate",
                                        "restart",       "delete",
                                        "start dynamic", "terminate dynamic"};
      const auto kind = static_cast<std::size_t>(request.kind);
      std::string whom = request.id;
      if (request.kind == ManualRequest::Kind::start)
        whom = request.child->id;
      else if (simple == apt)
        whom = std::to_string(request.dynamic);
      return fmt::format("request {} to supervisor {}, {}: {} {}", last_ticket_,
                         node, model_.path(node), names[kind], whom);
    });
    core_.send_request(node, request);
    model_.send_request(node, request);
  }

  void shut_down() {
    say([] { return "the root shall shut down"; });
    core_.send_shutdown();
    model_.send_shutdown();
  }

  void stray_news(const Event& event) {
    const auto nodes = model_.living_nodes();
    const NodeNumber node = nodes[event.pick % nodes.size()];
    say([&] { return fmt::format("stray news for supervisor {}", node); });
    dynamic_cast<CoreSupervisor&>(core_.supervisor(node))
        .stray_news(event.pick_child);
    compare_deeds();
  }

  void pass_time(Duration time, bool at_once) {
    const TimePoint end = model_.now() + time;
    while (!difference_) {
      const auto due = model_.next_due();
      if (core_.next_due() != due)
        return differ("something else is due next");
      if (!due || *due > end)
        break;
      core_.happen();
      model_.happen();
      if (!at_once)
        read_mail(Event::all_mail);
    }
    core_.go_to(end);
    model_.go_to(end);
  }

  /// Whoever waits waits no longer: all must come to an end.
  void finish() {
    if (difference_)
      return;
    shut_down();
    read_mail(Event::all_mail);
    while (!difference_ && !model_.over()) {
      if (const auto due = model_.next_due()) {
        pass_time(*due - model_.now(), false);
      } else if (const auto stubborn = model_.stubborn()) {
        core_.end(*stubborn, {ExitKind::shutdown, {}});
        model_.end(*stubborn, {ExitKind::shutdown, {}});
        read_mail(Event::all_mail);
      } else {
        differ("nobody is left who could end");
      }
    }
    if (!difference_ && !core_.over())
      differ("the core has not ended");
  }

  void read_mail(int limit) {
    for (int i = 0; i != limit && !difference_; ++i) {
      const bool more = core_.read_mail();
      if (model_.read_mail() != more)
        return differ("somebody has got mail in one world only");
      if (!more)
        return;
      ++tally_->mails;
      if (++mails_ > max_mails)
        return differ("this never ends");
      if (core_.last_reader() != model_.last_reader())
        return differ("somebody else has read mail");
      compare_deeds();
      compare_children();
    }
  }

  void compare_deeds() {
    const std::vector<Deed> core = core_.take_deeds();
    const std::vector<Deed> model = model_.take_deeds();
    for (const Deed& deed : core) {
      count(deed);
      say([&] { return "  " + to_string(deed); });
    }
    const auto [a, b] =
        std::mismatch(core.begin(), core.end(), model.begin(), model.end());
    if (a != core.end() || b != model.end())
      differ(fmt::format("the core: {}\nthe model: {}",
                         a == core.end() ? "nothing more" : to_string(*a),
                         b == model.end() ? "nothing more" : to_string(*b)));
    for (const Deed& deed : model) {
      if (deed.what == Deed::What::wrong)
        differ(to_string(deed));
    }
  }

  void compare_children() {
    const NodeNumber node = model_.last_reader();
    if (core_.lives(node) != model_.lives(node))
      return differ("a supervisor has ended in one world only");
    if (!model_.lives(node))
      return;
    const TreeSupervisor& core = core_.supervisor(node);
    const TreeSupervisor& model = model_.supervisor(node);
    const std::vector<ChildView> a = core.children();
    const std::vector<ChildView> b = model.children();
    const auto [x, y] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
    if (x != a.end() || y != b.end())
      return differ(fmt::format("the core has {}\nthe model has {}",
                                x == a.end() ? "no more" : to_string(*x),
                                y == b.end() ? "no more" : to_string(*y)));
    if (core.counts() != model.counts())
      differ("the counts of children");
  }

  void count(const Deed& deed) {
    switch (deed.what) {
      case Deed::What::start:
        ++tally_->starts;
        tally_->restarts += deed.code > 0 ? 1 : 0;
        break;
      case Deed::What::kill:
        ++tally_->kills;
        break;
      case Deed::What::report:
        ++tally_->reports[ReportKind{static_cast<std::uint8_t>(deed.code)}];
        if (deed.code == static_cast<int>(ReportKind::gave_up))
          ++tally_->give_ups[core_.level(deed.node)];
        break;
      case Deed::What::reply:
        ++tally_->replies[ReplyCode{static_cast<std::uint8_t>(deed.code)}];
        break;
      case Deed::What::stop:
      case Deed::What::timer:
      case Deed::What::ready:
      case Deed::What::exit:
      case Deed::What::forget:
      case Deed::What::wrong:
        break;
    }
  }

  void measure() {
    tally_->most_children =
        std::max(tally_->most_children,
                 model_.alive(true).size() + model_.alive(false).size());
  }

  void differ(std::string what) {
    if (difference_)
      return;
    difference_ = std::move(what);
    say([&] { return "DIFFERENCE\n" + *difference_; });
  }
  template <class Text>
  void say(Text text) {
    if (trace_ != nullptr)
      *trace_ << text() << '\n';
  }

  static constexpr std::uint64_t max_mails = 100'000;

  const History& history_;
  TreeWorld core_;
  TreeWorld model_;
  Tally* tally_ = nullptr;
  std::ostream* trace_ = nullptr;
  std::uint64_t last_ticket_ = 0;
  std::uint64_t mails_ = 0;
  std::optional<std::string> difference_;
};

// -- Shrinking ---------------------------------------------------------------

/// Makes a history that fails smaller as long as it goes on failing.
class Shrinker {
 public:
  using Fails = std::function<bool(const History&)>;

  Shrinker(History history, Fails fails)
      : best_{std::move(history)}, fails_{std::move(fails)} {}

  History run() {
    do {
      progress_ = false;
      drop_events();
      drop_plans();
      simplify_events();
      simplify_tree();
      attempt([](History& h) { h.mail_order = 0; });
    } while (progress_ && attempts_ < max_attempts);
    return best_;
  }

 private:
  static constexpr int max_attempts = 20'000;

  template <class Change>
  bool attempt(Change change) {
    History candidate = best_;
    change(candidate);
    ++attempts_;
    if (!fails_(candidate))
      return false;
    best_ = std::move(candidate);
    return true;
  }

  void drop_events() {
    for (std::size_t length = best_.events.size(); length > 0; length /= 2) {
      for (std::size_t at = 0; at + length <= best_.events.size();) {
        const bool gone = attempt([&](History& h) {
          const auto first = h.events.begin() + static_cast<std::ptrdiff_t>(at);
          h.events.erase(first, first + static_cast<std::ptrdiff_t>(length));
        });
        progress_ = progress_ || gone;
        if (!gone)
          at += length;
      }
    }
  }

  void drop_plans() {
    for (std::size_t length = best_.plans.size(); length > 0; length /= 2) {
      for (std::size_t at = 0; at + length <= best_.plans.size(); at += length)
        drop_plans(at, length);
    }
  }
  void drop_plans(std::size_t at, std::size_t length) {
    const auto first = [at](History& h) {
      return h.plans.begin() + static_cast<std::ptrdiff_t>(at);
    };
    const auto ordinary = [](const ProcessPlan& p) { return p.is_ordinary(); };
    const auto count = static_cast<std::ptrdiff_t>(length);
    if (std::all_of(first(best_), first(best_) + count, ordinary))
      return;
    if (attempt(
            [&](History& h) { std::fill_n(first(h), count, ProcessPlan{}); }))
      progress_ = true;
    else if (length == 1)
      simplify_plan(at);
  }
  void simplify_plan(std::size_t at) {
    const auto simplify = [&](auto change) {
      const ProcessPlan before = best_.plans[at];
      if (change(best_.plans[at]); fails_(best_))
        return;
      best_.plans[at] = before;
    };
    simplify([](ProcessPlan& p) { p.start_takes = Duration{0}; });
    simplify([](ProcessPlan& p) { p.start = StartOutcome::running; });
    simplify([](ProcessPlan& p) { p.stop_takes = Duration{0}; });
    simplify([](ProcessPlan& p) { p.stop = ProcessPlan::Stop::obey; });
    simplify([](ProcessPlan& p) { p.ends_after = Duration{-1}; });
  }

  void simplify_events() {
    for (std::size_t i = 0; i < best_.events.size(); ++i) {
      if (best_.events[i].mails != Event::all_mail)
        attempt([&](History& h) { h.events[i].mails = Event::all_mail; });
      if (best_.events[i].at_once)
        attempt([&](History& h) { h.events[i].at_once = false; });
      for (std::uint32_t pick = 0; pick < 4; ++pick) {
        if (best_.events[i].pick < 4 ||
            attempt([&](History& h) { h.events[i].pick = pick; }))
          break;
      }
      for (std::uint32_t pick = 0; pick < 4; ++pick) {
        if (best_.events[i].pick_child < 4 ||
            attempt([&](History& h) { h.events[i].pick_child = pick; }))
          break;
      }
    }
  }

  void simplify_tree() {
    for (std::size_t i = 0; i < supervisors(best_).size(); ++i) {
      for (std::size_t c = 0; c < supervisors(best_)[i]->children.size();) {
        if (supervisors(best_)[i]->strategy != Strategy::simple_one_for_one &&
            attempt([&](History& h) {
              auto& children = supervisors(h)[i]->children;
              children.erase(children.begin() + static_cast<std::ptrdiff_t>(c));
            })) {
          progress_ = true;
          continue;
        }
        simplify_child(i, c);
        ++c;
      }
      simplify_supervisor(i);
    }
  }
  void simplify_supervisor(std::size_t i) {
    const auto simplify = [&](auto is_simple, auto change) {
      if (!is_simple(*supervisors(best_)[i]))
        attempt([&](History& h) { change(*supervisors(h)[i]); });
    };
    simplify([](const PlannedSupervisor& s) { return s.period == 5s; },
             [](PlannedSupervisor& s) { s.period = 5s; });
    simplify(
        [](const PlannedSupervisor& s) {
          return s.strategy == Strategy::one_for_one;
        },
        [](PlannedSupervisor& s) { s.strategy = Strategy::one_for_one; });
    simplify(
        [](const PlannedSupervisor& s) {
          return s.auto_shutdown == AutoShutdown::never ||
                 std::any_of(
                     s.children.begin(), s.children.end(),
                     [](const PlannedChild& c) { return c.significant; });
        },
        [](PlannedSupervisor& s) { s.auto_shutdown = AutoShutdown::never; });
  }
  void simplify_child(std::size_t i, std::size_t c) {
    const auto simplify = [&](auto is_simple, auto change) {
      if (!is_simple(supervisors(best_)[i]->children[c]))
        attempt([&](History& h) { change(supervisors(h)[i]->children[c]); });
    };
    simplify([](const PlannedChild& p) { return p.inside.empty(); },
             [](PlannedChild& p) { p.inside.clear(); });
    simplify([](const PlannedChild& p) { return !p.significant; },
             [](PlannedChild& p) { p.significant = false; });
    simplify([](const PlannedChild& p) { return !p.backs_off; },
             [](PlannedChild& p) { p.backs_off = false; });
    simplify([](const PlannedChild& p) { return !p.shutdown; },
             [](PlannedChild& p) { p.shutdown.reset(); });
    simplify(
        [](const PlannedChild& p) {
          return p.restart == Restart::permanent || p.significant;
        },
        [](PlannedChild& p) { p.restart = Restart::permanent; });
  }

  static std::vector<PlannedSupervisor*> supervisors(History& history) {
    std::vector<PlannedSupervisor*> found{&history.root};
    for (std::size_t i = 0; i < found.size(); ++i) {
      for (PlannedChild& child : found[i]->children) {
        for (PlannedSupervisor& inside : child.inside)
          found.push_back(&inside);
      }
    }
    return found;
  }

  History best_;
  Fails fails_;
  bool progress_ = false;
  int attempts_ = 0;
};

// -- Tests -------------------------------------------------------------------

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

std::optional<std::string> difference(const History& history,
                                      const Comparison::Spoil& spoil = {}) {
  Tally ignored;
  return Comparison{history, spoil}.run(ignored);
}

History smallest(History history, const Comparison::Spoil& spoil = {}) {
  return Shrinker{
      std::move(history),
      [&](const History& h) { return difference(h, spoil).has_value(); }}
      .run();
}

std::string explain(const History& history) {
  std::ostringstream out;
  print(out, history);
  Tally ignored;
  Comparison{history}.run(ignored, &out);
  return out.str();
}

/// Fails with a small history in which the worlds differ, if there is any.
Tally compare_histories(std::uint64_t count, int levels) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  count /= 10;
#endif
  count = setting("OTP_MODEL_HISTORIES", count);
  const std::uint64_t seed = setting("OTP_MODEL_SEED", std::random_device{}());
  Tally tally;
  for (std::uint64_t i = 0; i < count; ++i) {
    const History history = random_history(seed + i, levels);
    if (!Comparison{history}.run(tally))
      continue;
    ADD_FAILURE() << "the core and the model differ; this is repeated by"
                  << " OTP_MODEL_SEED=" << seed + i
                  << " OTP_MODEL_HISTORIES=1; the same in short:\n"
                  << explain(smallest(history));
    break;
  }
  std::cout << "seed " << seed << '\n';
  print(std::cout, tally);
  return tally;
}

TEST(OtpModel, AgreesWithTheCoreOnSingleSupervisors) {
  compare_histories(50'000, /*levels=*/1);
}

TEST(OtpModel, AgreesWithTheCoreOnTrees) {
  const Tally tally = compare_histories(100'000, /*levels=*/4);
  if (HasFailure() || tally.histories < 100'000)
    return;
  // All that can happen did.
  EXPECT_EQ(tally.reports.size(), 6U);
  EXPECT_EQ(tally.replies.count(ReplyCode::overloaded), 0U);
  EXPECT_EQ(tally.replies.size(), 12U);
  EXPECT_EQ(tally.give_ups.size(), 4U);
  EXPECT_GT(tally.restarts, tally.histories);
  EXPECT_GT(tally.kills, tally.histories / 10);
  EXPECT_GE(tally.most_children, 40U);
}

/// A core that is told something else than the model, as if it were wrong.
struct Lie {
  const char* name;
  void (*tell)(SupervisorSpec&);
};

void PrintTo(const Lie& lie, std::ostream* out) { *out << lie.name; }

class OtpModelLieTest : public ::testing::TestWithParam<Lie> {};

TEST_P(OtpModelLieTest, IsNoticedInASmallHistory) {
  const Comparison::Spoil lie = GetParam().tell;
  History history;
  std::uint64_t seed = 0;
  do {
    ASSERT_LT(++seed, 20'000U);
    history = random_history(seed, 4);
  } while (!difference(history, lie));
  const History small = smallest(history, lie);
  EXPECT_TRUE(difference(small, lie));
  EXPECT_FALSE(difference(small));
  EXPECT_LE(small.events.size(), 6U);
  EXPECT_LE(small.root.children.size(), 4U);
}

void change_first(SupervisorSpec& spec, void (*change)(ChildSpec&)) {
  if (!spec.children.empty())
    change(spec.children.front());
}

INSTANTIATE_TEST_SUITE_P(
    Lies, OtpModelLieTest,
    ::testing::Values(
        Lie{"OneMoreRestart", [](SupervisorSpec& s) { ++s.intensity; }},
        Lie{"APeriodThatEndsTooEarly",
            [](SupervisorSpec& s) { s.period -= 1ns; }},
        Lie{"APeriodThatEndsTooLate",
            [](SupervisorSpec& s) { s.period += 1ns; }},
        Lie{"TooManyRestarted",
            [](SupervisorSpec& s) {
              if (s.strategy == Strategy::rest_for_one)
                s.strategy = Strategy::one_for_all;
            }},
        Lie{"AutoShutdownTooEarly",
            [](SupervisorSpec& s) {
              if (s.auto_shutdown == AutoShutdown::all_significant)
                s.auto_shutdown = AutoShutdown::any_significant;
            }},
        Lie{"ATransientChildTakenForPermanent",
            [](SupervisorSpec& s) {
              change_first(s, [](ChildSpec& c) {
                if (c.restart == Restart::transient && !c.significant)
                  c.restart = Restart::permanent;
              });
            }},
        Lie{"ATemporaryChildTakenForTransient",
            [](SupervisorSpec& s) {
              change_first(s, [](ChildSpec& c) {
                if (c.restart == Restart::temporary)
                  c.restart = Restart::transient;
              });
            }},
        Lie{"AnotherDefaultOfShutdown",
            [](SupervisorSpec& s) {
              change_first(s, [](ChildSpec& c) {
                if (!c.shutdown)
                  c.shutdown = Duration{5s + 1ns};
              });
            }},
        Lie{"AnotherOrder",
            [](SupervisorSpec& s) {
              std::reverse(s.children.begin(), s.children.end());
            }}),
    [](const auto& row) { return std::string{row.param.name}; });

}  // namespace
}  // namespace troupe::supervisor
