#pragma once

#include "fake_start.hpp"

#include <troupe/base/overload.hpp>
#include <troupe/supervisor/supervisor_core.hpp>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace troupe::supervisor {

inline StartResult fake_start(StartContext& /*context*/) { return {}; }

inline ChildSpec child(std::string id, Restart restart = Restart::permanent) {
  return {.id = std::move(id), .start = fake_start, .restart = restart};
}

/// Children a, b and c.
inline SupervisorSpec three(Strategy strategy, int intensity = 10) {
  return {.name = "top",
          .strategy = strategy,
          .intensity = intensity,
          .children = {child("a"), child("b"), child("c")}};
}

/// A whole supervision tree of cores without actors: processes are entries in
/// a table, time is a number. Processes start and stop at once and as asked,
/// unless a test says otherwise before. `log` tells what happened, in order.
class CoreWorld {
 public:
  enum class OnStart { run, fail, ignore, hang };
  enum class OnStop { obey, ignore, fail };

  explicit CoreWorld(SupervisorSpec spec) { root_ = add_node(std::move(spec)); }

  // -- What tests set up -----------------------------------------------------

  /// The next starts of `id` go like this, one after the other; then they run.
  std::map<std::string, std::deque<OnStart>> on_start;
  std::map<std::string, OnStop> on_stop;
  /// Processes that crash right after each start.
  std::map<std::string, bool> crash_loop;
  /// Processes that end normally right after each start.
  std::map<std::string, bool> finishes;
  /// What runs inside the child of this id, a supervisor.
  std::map<std::string, SupervisorSpec> nested;

  // -- What tests do ---------------------------------------------------------

  CoreWorld& start() {
    perform(*root_, root_->core->on_start(now_));
    return settle();
  }
  void exit(const std::string& id, ExitReason reason = {}) {
    Process& process = running(id);
    end(process, std::move(reason));
    settle();
  }
  void crash(const std::string& id) { exit(id, {ExitKind::crashed, "boom"}); }
  /// Both end before the supervisor hears of either.
  void crash_together(const std::string& first, const std::string& second) {
    end(running(first), {ExitKind::crashed, "boom"});
    end(running(second), {ExitKind::crashed, "boom"});
    settle();
  }
  /// A start that hung returns.
  void finish_start(const std::string& id) {
    Process& process = running(id);
    perform(*process.owner,
            process.owner->core->on_child_started(process.ref, now_));
    settle();
  }
  void shutdown() {
    perform(*root_, root_->core->on_shutdown({ExitKind::shutdown, {}}, now_));
    settle();
  }
  void advance(Duration duration) {
    const TimePoint end = now_ + duration;
    while (!timers_.empty() && timers_.begin()->first <= end) {
      const auto [due, timer] = *timers_.begin();
      timers_.erase(timers_.begin());
      now_ = std::max(now_, due);
      perform(*timer.first, timer.first->core->on_timer(timer.second, now_));
      settle();
    }
    now_ = end;
  }
  /// Lets timers of zero delay pass, such as the retry of a failed start.
  void retry() { advance(Duration{0}); }

  Ticket start_child(ChildSpec spec) {
    const Ticket ticket = next_ticket();
    perform(*root_, root_->core->start_child(std::move(spec), ticket, now_));
    settle();
    return ticket;
  }
  Ticket start_dynamic() {
    const Ticket ticket = next_ticket();
    last_key = root_->core->new_key();
    perform(*root_, root_->core->start_dynamic(last_key, ticket));
    settle();
    return ticket;
  }
  Ticket terminate_child(const std::string& id) {
    const Ticket ticket = next_ticket();
    perform(*root_, root_->core->terminate_child(id, ticket, now_));
    settle();
    return ticket;
  }
  Ticket terminate_dynamic(ChildKey key) {
    const Ticket ticket = next_ticket();
    perform(*root_, root_->core->terminate_dynamic(key, ticket));
    settle();
    return ticket;
  }
  Ticket restart_child(const std::string& id) {
    const Ticket ticket = next_ticket();
    perform(*root_, root_->core->restart_child(id, ticket, now_));
    settle();
    return ticket;
  }
  Ticket start_all() {
    const Ticket ticket = next_ticket();
    perform(*root_, root_->core->start_all(ticket, now_));
    settle();
    return ticket;
  }
  Ticket delete_child(const std::string& id) {
    const Ticket ticket = next_ticket();
    perform(*root_, root_->core->delete_child(id, ticket, now_));
    settle();
    return ticket;
  }
  SupervisorCore& core() { return *root_->core; }
  /// The core inside a running child.
  SupervisorCore& core_of(const std::string& id) {
    return *running(id).node->core;
  }
  void perform_on(const std::string& id, Actions actions) {
    perform(*running(id).node, std::move(actions));
    settle();
  }
  void perform_on_root(Actions actions) {
    perform(*root_, std::move(actions));
    settle();
  }
  [[nodiscard]] TimePoint now() const { return now_; }
  /// How long it is until the next timer; nullopt if none is set.
  [[nodiscard]] std::optional<Duration> next_timer() const {
    if (timers_.empty())
      return std::nullopt;
    return timers_.begin()->first - now_;
  }

  // -- What tests look at ----------------------------------------------------

  std::vector<std::string> log;
  std::vector<Report> reports;
  std::map<Ticket, std::vector<Reply>> replies;
  ChildKey last_key;
  std::vector<ChildKey> forgotten;

  std::vector<std::string> take_log() { return std::exchange(log, {}); }

  /// How a request was answered; nullopt if it was not, or not just once.
  std::optional<ReplyCode> code(Ticket ticket) {
    const auto& answers = replies[ticket];
    if (answers.size() != 1)
      return std::nullopt;
    return answers.front().code;
  }
  /// The incarnation of a process; zero if there is none.
  [[nodiscard]] std::uint64_t incarnation(const std::string& id) const {
    for (const auto& [key, process] : processes_) {
      if (process->id == id)
        return process->ref.incarnation;
    }
    return 0;
  }
  [[nodiscard]] bool has(const std::string& id) const {
    return incarnation(id) != 0;
  }
  [[nodiscard]] std::size_t processes() const { return processes_.size(); }
  [[nodiscard]] std::size_t starts(const std::string& id) const {
    const auto it = starts_.find(id);
    return it == starts_.end() ? 0 : it->second;
  }
  /// Why the whole tree ended; nullopt while it has not.
  std::optional<ExitReason> exited;
  bool ready = false;

  [[nodiscard]] std::optional<ChildInfo> info(const std::string& id) const {
    for (const ChildInfo& info : root_->core->which_children()) {
      if (info.id == id)
        return info;
    }
    return std::nullopt;
  }
  [[nodiscard]] std::vector<std::string> child_ids() const {
    std::vector<std::string> ids;
    for (const ChildInfo& info : root_->core->which_children())
      ids.push_back(info.id);
    return ids;
  }

 private:
  struct Process;
  struct Node {
    std::unique_ptr<SupervisorCore> core;
    Process* process = nullptr;  ///< What it is to its parent; null for root.
    bool ended = false;
  };
  struct Process {
    Node* owner = nullptr;
    ChildRef ref;
    std::string id;
    Node* node = nullptr;  ///< Of a nested supervisor.
    bool ending = false;
  };

  Node* add_node(SupervisorSpec spec) {
    nodes_.push_back(std::make_unique<Node>());
    nodes_.back()->core =
        std::make_unique<SupervisorCore>(std::move(spec), /*seed=*/1);
    return nodes_.back().get();
  }

  Ticket next_ticket() { return Ticket{++last_ticket_}; }

  Process& running(const std::string& id) {
    for (auto& [key, process] : processes_) {
      if (process->id == id && !process->ending)
        return *process;
    }
    throw std::runtime_error("no process " + id);
  }

  Process* find(Node& owner, ChildRef ref) {
    const auto it = processes_.find({&owner, ref.incarnation});
    return it == processes_.end() ? nullptr : it->second.get();
  }

  void perform(Node& node, Actions actions) {
    std::deque<Action> todo{actions.begin(), actions.end()};
    while (!todo.empty()) {
      const Action action = std::move(todo.front());
      todo.pop_front();
      const Actions more = std::visit(
          [&](const auto& a) { return perform_one(node, a); }, action);
      todo.insert(todo.end(), more.begin(), more.end());
    }
  }

  Actions perform_one(Node& node, const Start& action) {
    const ChildSpec& spec = node.core->spec_of(action.child.key);
    const std::string id = name_of(node, action.child.key);
    ++starts_[id];
    auto& plan = on_start[id];
    OnStart how = OnStart::run;
    if (!plan.empty()) {
      how = plan.front();
      plan.pop_front();
    }
    if (how == OnStart::fail) {
      log.push_back("fail " + id);
      return node.core->on_child_start_failed(action.child, "no luck", now_);
    }
    if (how == OnStart::ignore) {
      log.push_back("ignore " + id);
      return node.core->on_child_ignored(action.child, now_);
    }
    log.push_back("start " + id);
    auto process = std::make_unique<Process>(
        Process{&node, action.child, id, nullptr, false});
    Process& added = *process;
    processes_[{&node, action.child.incarnation}] = std::move(process);
    if (spec.type == ChildType::supervisor) {
      added.node = add_node(nested.at(id));
      added.node->process = &added;
      perform(*added.node, added.node->core->on_start(now_));
      return {};
    }
    if (how == OnStart::hang)
      return {};
    if (crash_loop[id])
      end(added, {ExitKind::crashed, "boom"});
    else if (finishes[id])
      end(added, {ExitKind::normal, {}});
    return node.core->on_child_started(action.child, now_);
  }

  Actions perform_one(Node& node, const StopPolitely& action) {
    Process* process = find(node, action.child);
    if (process == nullptr)
      return {};
    log.push_back("stop " + process->id);
    if (process->node != nullptr) {
      perform(*process->node,
              process->node->core->on_shutdown({ExitKind::shutdown, {}}, now_));
      return {};
    }
    switch (on_stop[process->id]) {
      case OnStop::obey:
        end(*process, {ExitKind::shutdown, {}});
        break;
      case OnStop::ignore:
        break;
      case OnStop::fail:
        end(*process, {ExitKind::crashed, "while stopping"});
        break;
    }
    return {};
  }

  Actions perform_one(Node& node, const Kill& action) {
    if (Process* process = find(node, action.child)) {
      log.push_back("kill " + process->id);
      end(*process, {ExitKind::killed, {}});
    }
    return {};
  }

  Actions perform_one(Node& node, const SetTimer& action) {
    timers_.emplace(now_ + action.delay, std::pair{&node, action.timer});
    return {};
  }

  Actions perform_one(Node& /*node*/, const Reply& reply) {
    replies[reply.ticket].push_back(reply);
    return {};
  }

  Actions perform_one(Node& /*node*/, const Report& report) {
    reports.push_back(report);
    if (report.kind == ReportKind::gave_up)
      log.push_back("gave_up " + report.child);
    if (report.kind == ReportKind::held)
      log.push_back("held " + report.child);
    if (report.kind == ReportKind::released)
      log.push_back("released");
    return {};
  }

  Actions perform_one(Node& /*node*/, const Announce& announce) {
    announce.spec->on_presence(announce.presence);
    return {};
  }

  Actions perform_one(Node& /*node*/, const Forget& forget) {
    forgotten.push_back(forget.child);
    return {};
  }

  Actions perform_one(Node& node, const Ready& /*ready*/) {
    if (node.process == nullptr) {
      ready = true;
    } else {
      tasks_.push_back([this, process = node.process] {
        Node& owner = *process->owner;
        perform(owner, owner.core->on_child_started(process->ref, now_));
      });
    }
    return {};
  }

  Actions perform_one(Node& node, const Exit& exit) {
    node.ended = true;
    if (node.process == nullptr) {
      log.push_back("exit " + std::string{to_string(exit.reason.kind)});
      exited = exit.reason;
    } else {
      end(*node.process, exit.reason);
    }
    return {};
  }

  /// The process ends now; its supervisor hears of it later.
  void end(Process& process, ExitReason reason) {
    if (process.ending)
      return;
    process.ending = true;
    tasks_.push_back([this, &process, reason = std::move(reason)] {
      Node& owner = *process.owner;
      const ChildRef ref = process.ref;
      log.push_back("gone " + process.id);
      processes_.erase({&owner, ref.incarnation});
      if (!owner.ended)
        perform(owner, owner.core->on_child_exited(ref, reason, now_));
    });
  }

  CoreWorld& settle() {
    while (!tasks_.empty()) {
      auto task = std::move(tasks_.front());
      tasks_.pop_front();
      task();
    }
    return *this;
  }

  /// Dynamic children are told apart by their key: "job1", "job2".
  static std::string name_of(const Node& node, ChildKey key) {
    const std::string& id = node.core->spec_of(key).id;
    if (node.core->spec().strategy == Strategy::simple_one_for_one)
      return id + std::to_string(key.value);
    return id;
  }

  TimePoint now_{1h};
  std::vector<std::unique_ptr<Node>> nodes_;
  Node* root_ = nullptr;
  std::map<std::pair<Node*, std::uint64_t>, std::unique_ptr<Process>>
      processes_;
  std::multimap<TimePoint, std::pair<Node*, TimerId>> timers_;
  std::deque<std::function<void()>> tasks_;
  std::map<std::string, std::size_t> starts_;
  std::uint64_t last_ticket_ = 0;
};

}  // namespace troupe::supervisor
