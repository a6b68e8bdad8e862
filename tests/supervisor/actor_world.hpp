#pragma once

#include "actor_test.hpp"

#include <troupe/supervisor/supervisor.hpp>

#include <algorithm>
#include <deque>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace troupe::supervisor {

/// Tells a worker how to end. `crashed` is an exception.
struct End {
  ExitReason reason;
};
/// Tells a worker whose start hangs to say that it is ready. Workers keep no
/// handle of their supervisor, so that it lives by itself or not at all.
struct BecomeReady {
  ActorRef supervisor;
  ChildRef child;
};
/// Tells a worker to tie itself to its supervisor, as no actor of ours does,
struct LinkYourself {
  ActorRef supervisor;
};
/// .. or to cut the ties that it can reach, and to ignore the polite stop.
struct DetachYourself {
  ActorRef supervisor;
};
/// Tells the witness whose end to look for.
struct Watch {
  std::string id;
  ActorRef actor;
};

/// How one start of a worker goes.
enum class OnStart { run, hang, ignore, error, raise };

/// What the actors of one test share: what is to happen, and what happened.
struct Stage {
  // What tests set up, by the id of the worker.

  /// The next starts go like this, one after the other; then they run.
  std::map<std::string, std::deque<OnStart>> on_start;
  std::set<std::string> deaf;  ///< These ignore the polite stop,
  std::map<std::string, ExitReason> when_stopped;  ///< .. these end otherwise.
  std::set<std::string> crash_loop;  ///< These crash right after each start.

  // What happened.

  std::vector<std::string> log;       ///< "start a", "stop a", "gone a", ..
  std::vector<std::string> living;    ///< Workers, in the order of their start.
  std::map<std::string, int> starts;  ///< Calls of each start function.
  std::map<std::string, ActorRef> newest;
  std::map<std::string, BecomeReady> hanging;
  std::vector<Report> reports;
  std::map<std::string, ExitReason> exits;  ///< The last one that was watched.

  OnStart next_start(const std::string& id) {
    std::deque<OnStart>& plan = on_start[id];
    if (plan.empty())
      return OnStart::run;
    const OnStart next = plan.front();
    plan.pop_front();
    return next;
  }
};

}  // namespace troupe::supervisor

TROUPE_LOCAL_MESSAGE(troupe::supervisor::End)
TROUPE_LOCAL_MESSAGE(troupe::supervisor::BecomeReady)
TROUPE_LOCAL_MESSAGE(troupe::supervisor::LinkYourself)
TROUPE_LOCAL_MESSAGE(troupe::supervisor::DetachYourself)
TROUPE_LOCAL_MESSAGE(troupe::supervisor::Watch)

namespace troupe::supervisor {

inline const ExitReason clean_exit{};
inline const ExitReason shutdown_exit{ExitKind::shutdown, {}};
inline const ExitReason shutdown_with_text{ExitKind::shutdown, "out of work"};
inline const ExitReason custom_exit{ExitKind::custom, "no"};
inline const ExitReason killed_exit{ExitKind::killed, {}};
inline const ExitReason boom{ExitKind::crashed, "boom"};

/// A child that keeps a diary.
class Worker {
 public:
  Worker(Actor* self, std::string id, std::shared_ptr<Stage> stage)
      : self_{self}, id_{std::move(id)}, stage_{std::move(stage)} {
    note("start");
    stage_->living.push_back(id_);
  }

  actors::Behavior make_behavior() {
    actors::handle_stop(self_,
                        [this](const ExitReason& reason) { on_stop(reason); });
    if (stage_->crash_loop.contains(id_))
      actors::send_self(self_, End{boom});
    return {
        [this](const End& m) { end(m.reason); },
        [this](const BecomeReady& m) {
          actors::send(self_, m.supervisor, ChildReady{m.child});
        },
        [this](const LinkYourself& m) { self_->link_to(m.supervisor); },
        [this](const DetachYourself& m) {
          self_->unlink_from(m.supervisor);
          stage_->deaf.insert(id_);
        },
    };
  }

  void on_exit() {
    std::erase(stage_->living, id_);
    note("gone");
  }

 private:
  void on_stop(const ExitReason& reason) {
    note("stop");
    const auto other = stage_->when_stopped.find(id_);
    if (!stage_->deaf.contains(id_))
      end(other == stage_->when_stopped.end() ? reason : other->second);
  }

  void end(const ExitReason& reason) {
    if (reason.kind == ExitKind::crashed)
      throw std::runtime_error(reason.what);
    actors::quit(self_, reason);
  }

  void note(const char* what) { stage_->log.push_back(what + (" " + id_)); }

  Actor* self_;
  std::string id_;
  std::shared_ptr<Stage> stage_;
};

/// A bystander: gets the reports, and monitors children and supervisors as
/// anybody could.
class Witness {
 public:
  Witness(Actor* self, std::shared_ptr<Stage> stage)
      : self_{self}, stage_{std::move(stage)} {}

  actors::Behavior make_behavior() {
    actors::handle_down(self_, [this](actors::ActorId id,
                                      const ExitReason& reason) {
      const std::string name = ids_.extract(id).mapped();
      stage_->exits[name] = reason;
      if (name == "top")
        stage_->log.push_back("exit " + std::string{to_string(reason.kind)});
    });
    return {
        [this](const Watch& m) {
          ids_[actors::id_of(m.actor)] = m.id;
          actors::monitor(self_, m.actor);
        },
        [this](const Report& report) {
          stage_->reports.push_back(report);
          if (report.kind == ReportKind::gave_up)
            stage_->log.push_back("gave_up " + report.child);
        },
    };
  }

 private:
  Actor* self_;
  std::shared_ptr<Stage> stage_;
  std::map<actors::ActorId, std::string> ids_;
};

/// A tree of real actors. `log` tells what the workers did, in order, what
/// supervisors gave up, and how the topmost one ended; "fail" and "ignore" are
/// starts without an actor. At the end of a test the tree is told to stop, and
/// must then leave nobody behind.
class ActorWorld : public actors::ActorTest {
 protected:
  void SetUp() override { witness_ = spawn<Witness>(stage); }

  void TearDown() override {
    for (const ActorRef& supervisor : supervisors_)
      actors::stop(supervisor);
    settle();
    advance(1h);
    EXPECT_EQ(stage->living, std::vector<std::string>{});
    forget_handles();
    stage->hanging.clear();
    witness_ = {};
    ActorTest::TearDown();
  }

  // -- What tests set up -----------------------------------------------------

  std::shared_ptr<Stage> stage = std::make_shared<Stage>();
  ActorRef top;  ///< The supervisor that was started last.

  /// Only what every child must have; the rest are defaults.
  ChildSpec worker(std::string id) {
    return {.id = id, .start = [this, id](StartContext& context) {
              return start_worker(context, id);
            }};
  }
  ChildSpec worker(std::string id, Restart restart) {
    ChildSpec spec = worker(std::move(id));
    spec.restart = restart;
    return spec;
  }
  ChildSpec significant(std::string id, Restart restart) {
    ChildSpec spec = worker(std::move(id), restart);
    spec.significant = true;
    return spec;
  }
  ChildSpec subtree(std::string id, SupervisorSpec spec,
                    Restart restart = Restart::permanent) {
    ChildSpec child = supervisor_child(id, std::move(spec));
    child.restart = restart;
    child.start = [this, id, start = child.start](StartContext& context) {
      ++stage->starts[id];
      stage->log.push_back("start " + id);
      StartResult result = start(context);
      if (const auto* starting = std::get_if<Starting>(&result.value()))
        enter(id, starting->actor);
      return result;
    };
    return child;
  }
  static ChildSpec with_shutdown(ChildSpec spec, Shutdown shutdown) {
    spec.shutdown = shutdown;
    return spec;
  }
  /// Restarts come a second late.
  static ChildSpec with_backoff(ChildSpec spec) {
    spec.backoff = Backoff{.min = 1s, .jitter = 0};
    return spec;
  }

  SupervisorSpec three(Strategy strategy, int intensity = 10) {
    return {.name = "top",
            .strategy = strategy,
            .intensity = intensity,
            .children = {worker("a"), worker("b"), worker("c")}};
  }
  static SupervisorSpec one(ChildSpec spec, int intensity = 1,
                            Duration period = 5s) {
    return {.name = "top",
            .intensity = intensity,
            .period = period,
            .children = {std::move(spec)}};
  }
  /// Dynamic workers; the argument of each is the id that it goes by.
  SupervisorSpec jobs(Restart restart, Shutdown shutdown = Duration{5s}) {
    return {
        .name = "top",
        .strategy = Strategy::simple_one_for_one,
        .intensity = 10,
        .children = {{.id = "job",
                      .start = start_with<std::string>(
                          [this](StartContext& context, const std::string& id) {
                            return start_worker(context, id);
                          }),
                      .restart = restart,
                      .shutdown = shutdown}}};
  }

  // -- What tests do ---------------------------------------------------------

  ActorRef supervise(SupervisorSpec spec) {
    auto supervisor = spawn_supervisor(system, std::move(spec), witness_);
    EXPECT_TRUE(supervisor.has_value());
    top = supervisors_.emplace_back(*supervisor);
    stage->exits.erase("top");
    actors::send(witness_, Watch{"top", top});
    settle();
    return top;
  }
  /// What spawn_supervisor() says against it.
  std::string refusal(SupervisorSpec spec) {
    auto supervisor = spawn_supervisor(system, std::move(spec), witness_);
    if (!supervisor)
      return supervisor.error().what;
    supervisors_.push_back(*supervisor);
    return "accepted";
  }

  void end(const std::string& id, const ExitReason& reason = {}) {
    if (reason.kind == ExitKind::killed)
      actors::kill(actor(id));
    else
      actors::send(actor(id), End{reason});
    settle();
  }
  void crash(const std::string& id) { end(id, boom); }
  /// A start that hung returns.
  void finish_start(const std::string& id) {
    tell(actor(id), BecomeReady{stage->hanging.at(id)});
  }
  /// From now on nothing but themselves keeps the supervisors alive.
  void forget_handles() {
    top = {};
    supervisors_.clear();
    stage->newest.clear();
  }
  /// Asks the topmost supervisor to end.
  void shut_down() {
    actors::stop(top);
    settle();
  }
  /// Lets single messages be handled until a start function has been called
  /// `count` times.
  void run_until_started(const std::string& id, int count) {
    while (starts(id) < count && step()) {
    }
    EXPECT_EQ(starts(id), count);
  }

  /// Sends a request to the topmost supervisor or to another one; how it was
  /// answered, nullopt if it has not been.
  template <class M>
  std::optional<ReplyCode> code(M message) {
    return code(top, std::move(message));
  }
  template <class M>
  std::optional<ReplyCode> code(const ActorRef& supervisor, M message) {
    const auto reply = ask<ChildReply>(supervisor, std::move(message));
    return reply ? std::optional{reply->code} : std::nullopt;
  }
  static StartDynamicChild job(std::string id) {
    return {actors::make_message(std::move(id)), 0};
  }

  // -- What tests look at ----------------------------------------------------

  std::vector<std::string> take_log() { return std::exchange(stage->log, {}); }
  std::vector<Report> take_reports() {
    return std::exchange(stage->reports, {});
  }
  [[nodiscard]] bool reported(ReportKind kind) const {
    return std::ranges::count(stage->reports, kind, &Report::kind) > 0;
  }
  [[nodiscard]] const std::vector<std::string>& living() const {
    return stage->living;
  }
  [[nodiscard]] bool lives(const std::string& id) const {
    return std::ranges::count(living(), id) > 0;
  }
  /// The newest incarnation; another handle is another actor.
  [[nodiscard]] ActorRef actor(const std::string& id) const {
    return stage->newest.at(id);
  }
  [[nodiscard]] int starts(const std::string& id) const {
    const auto it = stage->starts.find(id);
    return it == stage->starts.end() ? 0 : it->second;
  }
  /// How the last incarnation that ended did, or the topmost supervisor.
  [[nodiscard]] std::optional<ExitReason> exit_of(const std::string& id) const {
    const auto it = stage->exits.find(id);
    return it == stage->exits.end() ? std::nullopt : std::optional{it->second};
  }

  std::vector<std::string> child_ids() {
    std::vector<std::string> ids;
    for (const ChildEntry& entry : entries())
      ids.push_back(entry.info.id);
    return ids;
  }
  /// What the topmost supervisor says about a child of its own.
  std::optional<ChildEntry> entry(const std::string& id) {
    for (const ChildEntry& entry : entries()) {
      if (entry.info.id == id)
        return entry;
    }
    return std::nullopt;
  }
  std::optional<ChildState> state(const std::string& id) {
    const auto found = entry(id);
    return found ? std::optional{found->info.state} : std::nullopt;
  }

 private:
  std::vector<ChildEntry> entries() {
    auto list = ask<ChildList>(top, WhichChildren{});
    return list ? std::move(list->children) : std::vector<ChildEntry>{};
  }

  ActorRef enter(const std::string& id, ActorRef actor) {
    actors::send(witness_, Watch{id, actor});
    return stage->newest[id] = std::move(actor);
  }

  ActorRef spawn_worker(StartContext& context, const std::string& id) {
    return enter(id, actors::spawn<Worker>(context.supervisor(), id, stage));
  }

  StartResult start_worker(StartContext& context, const std::string& id) {
    ++stage->starts[id];
    switch (stage->next_start(id)) {
      case OnStart::run:
        return spawn_worker(context, id);
      case OnStart::hang:
        stage->hanging[id] = {actors::ref_of(context.supervisor()),
                              context.child()};
        return Starting{spawn_worker(context, id)};
      case OnStart::ignore:
        stage->log.push_back("ignore " + id);
        return Ignore{};
      case OnStart::error:
        stage->log.push_back("fail " + id);
        return Error{Errc::overloaded, "no luck"};
      case OnStart::raise:
        stage->log.push_back("fail " + id);
        throw std::runtime_error("no luck");
    }
    return Ignore{};
  }

  ActorRef witness_;
  std::vector<ActorRef> supervisors_;
};

/// Under this name the tests state the contract.
using OtpActors = ActorWorld;

}  // namespace troupe::supervisor
