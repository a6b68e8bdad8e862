#include "stack_actor.hpp"

#include "batch.hpp"
#include "printer_actor.hpp"

#include <troupe/base/overload.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/base/suggest.hpp>
#include <troupe/base/text.hpp>
#include <troupe/supervisor/supervisor.hpp>

#include <deque>
#include <fmt/format.h>
#include <map>
#include <optional>
#include <set>
#include <unistd.h>
#include <utility>
#include <variant>
#include <vector>

namespace troupe::cli {
namespace {

/// The answers that are missing by now do not come.
struct LookOver {
  std::uint64_t number = 0;
};

}  // namespace
}  // namespace troupe::cli

TROUPE_LOCAL_MESSAGE(troupe::cli::LookOver)

namespace troupe::cli {
namespace {

using actors::Actor;
using actors::ActorId;
using actors::ActorRef;
using actors::Behavior;
using actors::send;
using service::GroupNode;
using service::ServiceEnd;
using service::TreeNode;
using supervisor::ChildState;
using supervisor::ReplyCode;
using supervisor::Report;
using supervisor::ReportKind;

/// How long a look waits for answers. Actors answer at once, unless one has
/// just ended.
constexpr Duration longest_look = 1s;
constexpr std::size_t most_waiting_looks = 256;

std::string child_path(const std::string& group, const std::string& id) {
  return group.empty() ? id : group + "/" + id;
}

class StackActor {
 public:
  StackActor(Actor* self, StackOrder order, ActorRef printer)
      : self_{self}, order_{std::move(order)}, printer_{std::move(printer)} {
    index(*order_.root);
  }

  Behavior make_behavior() {
    actors::handle_down(self_,
                        [this](ActorId id, const actors::ExitReason& reason) {
                          if (root_ && id == actors::id_of(root_))
                            on_root_ended(reason);
                        });
    const ActorRef self = actors::ref_of(self_);
    order_.deps.listener = self;
    auto root = supervisor::spawn_supervisor(
        self_->system(),
        service::supervisor_spec_of(*order_.root, order_.deps, order_.scales),
        self);
    if (!root) {
      order_.on_end({true, root.error().what});
      actors::quit(self_);
    } else {
      root_ = *root;
      actors::monitor(self_, root_);
    }
    return {
        [this](const Report& m) {
          tell(m);
          on_report(m);
        },
        [this](const service::ServiceNews& m) {
          tell(m);
          on_news(m);
        },
        [this](const service::PresenceNews& m) { tell(m); },
        [this](const supervisor::ChildList& m) { on_group_seen(m); },
        [this](const service::ServiceStatus& m) { on_service_seen(m); },
        [this](LookOver m) { on_look_over(m.number); },
        [this](const supervisor::ChildReply& m) { on_reply(m); },
        [this](const TakeSnapshot& m) {
          look([this, done = m.done] { done(snapshot()); });
        },
        [this](const StackRequest& m) { look([this, m] { on_request(m); }); },
        [this](const FilesChanged& m) { on_files_changed(m); },
        [this](const CrashChild& m) { look([this, m] { crash(m); }); },
        [this](TakeDown) { take_down(); },
        [this](StopStarting) {
          say("ending all services in reverse order; once more to kill them");
          take_down();
        },
        [this](EndJobs) {
          if (is_going_down_)
            look([this] { hurry_up(); });
          take_down();
        },
        [this](const Suspend& m) {
          order_.suspended.begin(actors::now(self_));
          m.ready();
        },
        [this](Resume) { order_.suspended.end(actors::now(self_)); },
    };
  }

 private:
  /// What the last look has found, by path.
  struct Live {
    ActorRef supervisor;  ///< The one above.
    supervisor::ChildEntry entry;
    std::optional<service::ServiceStatus> status;  ///< Of a service.
    /// Has ended, and the supervisor has not decided yet what follows.
    bool is_gone = false;
    std::optional<supervisor::SupervisorInfo> info;  ///< Of a group.
  };
  /// Why a group gave up last.
  struct Blame {
    std::string chain;  ///< From the first child to the group.
    bool is_held = false;
  };
  /// One thing to ask a supervisor for.
  using Step = std::variant<supervisor::TerminateChild,
                            supervisor::RestartChild, supervisor::StartChild,
                            supervisor::DeleteChild, supervisor::StartAll>;
  struct Work {
    StackRequest::Kind kind;
    std::string name;
    std::deque<std::pair<ActorRef, Step>> steps;
    std::function<void(Result<void>)> done;
    std::string superseded_by;  ///< "stop"; empty if nothing came in between.
  };
  /// A restart because of files.
  struct Refresh {
    std::uint64_t token = 0;           ///< Of its work; zero before it begins.
    std::optional<std::string> again;  ///< What has changed since it began.
  };

  void index(const GroupNode& group) {
    for (const TreeNode& node : group.children) {
      nodes_[child_path(group.name, node.id)] =
          std::shared_ptr<const TreeNode>{order_.root, &node};
      if (const auto* nested = std::get_if<GroupNode>(&node.what))
        index(*nested);
    }
  }

  // -- What happens ----------------------------------------------------------

  void on_report(const Report& m) {
    const std::string child = child_path(m.supervisor, m.child);
    const bool is_group =
        nodes_.contains(child) &&
        std::holds_alternative<GroupNode>(nodes_[child]->what);
    switch (m.kind) {
      case ReportKind::started:
        if (const auto blame = blame_.find(m.supervisor);
            blame != blame_.end() && blame->second.is_held)
          blame_.erase(blame);
        given_up_.erase(m.supervisor);
        if (m.supervisor.empty())
          tell_up();
        break;
      case ReportKind::child_terminated:
        if (m.supervisor.empty() && is_significant(child) && is_lost(m, child))
          blame_end_on(child, m.reason);
        if (is_group)
          say(fmt::format("{} ended and is restarted: {}", child,
                          m.reason.what));
        break;
      case ReportKind::start_failed:
        say(fmt::format("{} could not be started: {}", child, m.reason.what));
        break;
      case ReportKind::shutdown_error:
        say(fmt::format("{} did not end as it was told to: {}", child,
                        actors::describe(m.reason)));
        break;
      case ReportKind::auto_shutdown:
        say(fmt::format("{} ends because {} has ended", label(m.supervisor),
                        child));
        if (m.supervisor.empty() && given_up_.contains(child))
          blame_end_on(child, m.reason);
        is_over_ = is_over_ || m.supervisor.empty();
        break;
      case ReportKind::gave_up:
      case ReportKind::held:
        on_gave_up(m, child);
        // Those who wait for it need not wait for the end of that.
        if (m.kind == ReportKind::held && m.supervisor.empty())
          tell_up();
        break;
      case ReportKind::released:
        blame_.erase(m.supervisor);
        say(fmt::format("{} starts again", label(m.supervisor)));
        break;
    }
  }

  /// After what was said before: whoever hears of it reads that.
  void tell_up() {
    if (!order_.on_up)
      return;
    if (order_.on_news) {
      std::exchange(order_.on_up, nullptr)();
      return;
    }
    auto job = std::make_shared<PrintJob>();
    job->fd = STDERR_FILENO;
    job->done = std::exchange(order_.on_up, nullptr);
    send(self_, printer_, Print{std::move(job)});
  }

  [[nodiscard]] bool is_significant(const std::string& child) const {
    const auto node = nodes_.find(child);
    return node != nodes_.end() && node->second->significant;
  }

  /// Whether it failed and is not started again.
  [[nodiscard]] bool is_lost(const Report& m, const std::string& child) const {
    return !m.reason.clean() &&
           nodes_.at(child)->restart == supervisor::Restart::temporary;
  }

  /// The stack may end as the file says, and yet not well.
  void blame_end_on(const std::string& child,
                    const actors::ExitReason& reason) {
    blame_.try_emplace("", Blame{chain_to(child, reason), false});
  }

  /// The causes up to the end of `child`: its own if it is a group that gave
  /// up.
  std::string chain_to(const std::string& child,
                       const actors::ExitReason& reason) const {
    const auto below = blame_.find(child);
    return below != blame_.end()
               ? below->second.chain
               : fmt::format("{} {}", child, how(child, reason));
  }

  /// A service that has ended well gives no reason, and yet may be missed.
  std::string how(const std::string& child,
                  const actors::ExitReason& reason) const {
    if (!reason.what.empty())
      return reason.what;
    const auto end = ends_.find(child);
    return end != ends_.end() ? describe(end->second) : "ended";
  }

  /// The chain of causes, from the first child to this supervisor.
  void on_gave_up(const Report& m, const std::string& child) {
    const GroupNode& group = group_of(m.supervisor);
    std::string chain = chain_to(child, m.reason);
    if (group.intensity > 0)
      chain += fmt::format(" ({} times in {})", group.intensity + 1,
                           format_duration(group.period));
    chain += fmt::format(" -> {} {}", label(m.supervisor),
                         m.kind == ReportKind::held ? "is held" : "gave up");
    blame_[m.supervisor] = {chain, m.kind == ReportKind::held};
    if (m.kind == ReportKind::gave_up)
      given_up_.insert(m.supervisor);
    tell(StackBlame{m.supervisor, chain});
    say(chain);
  }

  const GroupNode& group_of(const std::string& path) {
    return path.empty() ? *order_.root
                        : std::get<GroupNode>(nodes_.at(path)->what);
  }

  static std::string label(const std::string& group) {
    return group.empty() ? "the stack" : group;
  }

  void on_news(const service::ServiceNews& m) {
    std::visit(Overload{
                   [](const service::ServiceLaunched&) {},
                   [&](const service::ServiceReady& ready) {
                     to_mend_.erase(m.service);
                     const bool probed = has_ready_probe(m.service);
                     if (probed)
                       say(fmt::format(
                           "{} is ready after {}", m.service,
                           format_duration(
                               std::chrono::floor<std::chrono::milliseconds>(
                                   ready.after))));
                   },
                   [](const service::ServiceTrouble&) {},
                   [&](const ServiceEnd& end) {
                     ends_[m.service] = end;
                     on_actor_gone(m.service);
                     const bool had_to_be_killed =
                         end.report && end.report->killed;
                     if (!is_going_down_ || !end.clean || had_to_be_killed)
                       say(fmt::format("{} {}", m.service, describe(end)));
                   },
               },
               m.what);
  }

  /// The sender will not answer any more.
  void on_actor_gone(const std::string& service) {
    const ActorId id = actors::id_of(actors::sender_of(self_));
    gone_[service] = id;
    asked_.erase(id);
    end_look_if_complete();
  }

  bool has_ready_probe(const std::string& service) {
    const auto node = nodes_.find(service);
    return node != nodes_.end() &&
           std::get<service::ServiceNode>(node->second->what)
               .spec->ready.has_value();
  }

  void take_down() {
    if (!std::exchange(is_going_down_, true) && root_)
      actors::stop(self_, root_);
  }

  void hurry_up() {
    say("killing all services");
    for (const auto& [path, live] : live_) {
      if (live.entry.actor && !live.info)
        send(self_, live.entry.actor, service::HurryUp{});
    }
  }

  void crash(const CrashChild& m) {
    const auto live = live_.find(m.service);
    if (live == live_.end() || !live->second.entry.actor || live->second.info ||
        live->second.is_gone) {
      m.done(failure(Errc::unavailable,
                     fmt::format("{} does not run", m.service)));
      return;
    }
    send(self_, live->second.entry.actor, service::CrashService{});
    m.done({});
  }

  void on_root_ended(const actors::ExitReason& reason) {
    root_ = nullptr;
    fail_all_waiting();
    StackEnd end;
    const auto blame = blame_.find("");
    if (!is_going_down_ && (!is_over_ || blame != blame_.end())) {
      end.failed = true;
      end.why = blame != blame_.end() ? blame->second.chain : reason.what;
    }
    order_.on_end(std::move(end));
    actors::quit(self_);
  }

  void fail_all_waiting() {
    for (auto& [token, work] : std::exchange(work_, {}))
      work.done(failure(Errc::cancelled, "the stack has ended"));
    for (auto& [request, token] : std::exchange(waiting_, {}))
      request.done(failure(Errc::cancelled, "the stack has ended"));
    auto callbacks = std::exchange(looks_, {});
    live_.clear();
    for (const auto& callback : callbacks)
      callback();
  }

  // -- Looking at the tree ---------------------------------------------------

  /// Calls `done` once it is known how everything is.
  void look(std::function<void()> done) {
    if (!root_ || looks_.size() >= most_waiting_looks) {
      done();
      return;
    }
    looks_.push_back(std::move(done));
    if (is_looking_)
      return;
    is_looking_ = true;
    seen_.clear();
    ask_group(root_, "");
    send_after(self_, longest_look, LookOver{++look_number_});
  }

  void ask_group(const ActorRef& group, const std::string& path) {
    asked_[actors::id_of(group)] = path;
    send(self_, group, supervisor::WhichChildren{});
  }

  void on_group_seen(const supervisor::ChildList& m) {
    const ActorRef group = actors::sender_of(self_);
    const auto asked = asked_.extract(actors::id_of(group));
    if (!asked)
      return;
    const std::string& path = asked.mapped();
    seen_[path].info = m.supervisor;
    for (const supervisor::ChildEntry& child : m.children) {
      const std::string name = child_path(path, child.info.id);
      Live& live = seen_[name];
      live.supervisor = group;
      live.entry = child;
      const auto gone = gone_.find(name);
      live.is_gone =
          child.info.state == ChildState::running &&
          (!child.actor ||
           (gone != gone_.end() && gone->second == actors::id_of(child.actor)));
      if (!child.actor)
        continue;
      if (child.info.type == supervisor::ChildType::supervisor) {
        ask_group(child.actor, name);
      } else if (!live.is_gone) {
        asked_[actors::id_of(child.actor)] = name;
        send(self_, child.actor, service::DescribeService{});
      }
    }
    end_look_if_complete();
  }

  void on_service_seen(const service::ServiceStatus& m) {
    const auto asked = asked_.extract(actors::id_of(actors::sender_of(self_)));
    if (!asked)
      return;
    seen_[asked.mapped()].status = m;
    end_look_if_complete();
  }

  void end_look_if_complete() {
    if (is_looking_ && asked_.empty())
      end_look();
  }

  void on_look_over(std::uint64_t number) {
    if (is_looking_ && number == look_number_)
      end_look();
  }

  void end_look() {
    is_looking_ = false;
    asked_.clear();
    live_ = std::move(seen_);
    seen_.clear();
    for (const auto& callback : std::exchange(looks_, {}))
      callback();
  }

  // -- What is shown ---------------------------------------------------------

  StackSnapshot snapshot() {
    StackSnapshot out;
    out.entries.push_back(group_entry("", *order_.root));
    add_entries(*order_.root, out);
    return out;
  }

  void add_entries(const GroupNode& group, StackSnapshot& out) {
    for (const TreeNode& node : group.children) {
      const std::string path = child_path(group.name, node.id);
      const bool is_extra_copy = group.replicas && !live_.contains(path);
      if (is_extra_copy)
        continue;
      if (const auto* nested = std::get_if<GroupNode>(&node.what)) {
        out.entries.push_back(group_entry(path, *nested));
        add_entries(*nested, out);
      } else {
        out.entries.push_back(service_entry(path));
      }
    }
  }

  [[nodiscard]] StackEntry entry_of(const std::string& path) {
    StackEntry entry{.name = path, .state = "stopped"};
    const auto live = live_.find(path);
    if (live == live_.end())
      return entry;
    const supervisor::ChildInfo& info = live->second.entry.info;
    entry.state = supervisor::to_string(
        live->second.is_gone ? ChildState::stopped : info.state);
    entry.restarts = info.restarts;
    if (info.next_start)
      entry.next_start = *info.next_start - actors::now(self_);
    return entry;
  }

  StackEntry group_entry(const std::string& path, const GroupNode& group) {
    StackEntry entry = entry_of(path);
    entry.is_group = true;
    entry.intensity = group.intensity;
    entry.period = group.period;
    entry.strategy = to_string(group.strategy);
    if (const auto blame = blame_.find(path); blame != blame_.end())
      entry.blame = blame->second.chain;
    const auto live = live_.find(path);
    if (live == live_.end() || !live->second.info)
      return entry;
    const supervisor::SupervisorInfo& info = *live->second.info;
    entry.restarts_used = info.restarts_used;
    if (path.empty())
      entry.state = "running";
    if (info.is_held) {
      entry.state = "held";
      if (info.held_until)
        entry.next_start = *info.held_until - actors::now(self_);
    }
    return entry;
  }

  StackEntry service_entry(const std::string& path) {
    StackEntry entry = entry_of(path);
    const auto end = ends_.find(path);
    if (end != ends_.end()) {
      entry.last_exit = describe(end->second);
      entry.last_cause = to_string(end->second.cause.kind);
      entry.last_number = end->second.cause.number;
    }
    const auto live = live_.find(path);
    const bool has_status = live != live_.end() && live->second.status;
    if (!has_status) {
      const bool by_itself =
          end != ends_.end() &&
          !(end->second.report && end->second.report->stopped);
      if (entry.state != "stopped")
        return entry;
      if (live != live_.end() && live->second.entry.info.ref.incarnation == 0)
        entry.state = "waiting";
      else if (live == live_.end() && by_itself && !end->second.clean)
        entry.state = "failed";  // And is not started again.
      else if (by_itself && end->second.clean && end->second.report &&
               end->second.cause.kind == actors::CauseKind::exit_code)
        entry.state = "finished";
      return entry;
    }
    const service::ServiceStatus& status = *live->second.status;
    entry.pid = status.pid;
    entry.age = status.age;
    entry.trouble = status.trouble;
    entry.status = status.status_text;
    if (status.phase == service::ServicePhase::unready)
      entry.state = "unready";
    return entry;
  }

  // -- What people ask for ---------------------------------------------------

  void on_request(const StackRequest& request) {
    if (request.kind == StackRequest::Kind::stop)
      forget_files_of(request.name);
    begin(request, ++last_token_);
  }

  void begin(const StackRequest& request, std::uint64_t token) {
    if (!root_ || is_going_down_) {
      request.done(failure(Errc::unavailable, "the stack is ending"));
      return;
    }
    const auto node = nodes_.find(request.name);
    if (node == nodes_.end()) {
      request.done(tl::unexpected{unknown(request.name)});
      return;
    }
    const bool is_refresh = is_refresh_of(token);
    bool has_to_wait = false;
    for (auto& [other_token, other] : work_) {
      if (!is_within(other.name, request.name) &&
          !is_within(request.name, other.name))
        continue;
      has_to_wait = true;
      if (is_refresh || other.kind == request.kind ||
          !is_within(other.name, request.name))
        continue;
      // The later one is what is wanted now.
      other.steps.clear();
      other.superseded_by = verb_of(request.kind);
    }
    // To stop something is always right; the rest depends on how it is.
    const bool stops_first =
        !is_refresh && (request.kind == StackRequest::Kind::stop ||
                        request.kind == StackRequest::Kind::restart);
    if (has_to_wait && !stops_first) {
      waiting_.emplace_back(request, token);
      return;
    }
    Work work{request.kind, request.name, {}, request.done, {}};
    if (auto planned = plan(request, *node->second, work.steps); !planned) {
      request.done(std::move(planned));
      return;
    }
    work_.emplace(token, std::move(work));
    take_step(token);
  }

  static bool is_within(const std::string& path, const std::string& group) {
    return path == group || path.starts_with(group + "/");
  }

  static std::string verb_of(StackRequest::Kind kind) {
    switch (kind) {
      case StackRequest::Kind::restart:
        return "restart";
      case StackRequest::Kind::stop:
        return "stop";
      case StackRequest::Kind::start:
        return "start";
      case StackRequest::Kind::scale:
        return "scale";
    }
    return "command";
  }

  [[nodiscard]] bool is_refresh_of(std::uint64_t token) const {
    return std::any_of(
        refreshes_.begin(), refreshes_.end(),
        [token](const auto& entry) { return entry.second.token == token; });
  }

  /// Those that have waited for it look again.
  void end_work(std::uint64_t token, Result<void> result) {
    auto work = work_.extract(token).mapped();
    if (!work.superseded_by.empty())
      result =
          failure(Errc::cancelled, fmt::format("{}: a later {} came in between",
                                               work.name, work.superseded_by));
    work.done(std::move(result));
    auto waiting = std::exchange(waiting_, {});
    if (waiting.empty())
      return;
    look([this, waiting = std::move(waiting)] {
      for (const auto& [request, waiting_token] : waiting) {
        if (is_refresh_of(waiting_token) && !is_to_refresh(request.name))
          refreshes_.erase(request.name);
        else
          begin(request, waiting_token);
      }
    });
  }

  [[nodiscard]] Error unknown(const std::string& name) const {
    std::vector<std::string_view> known;
    for (const auto& [path, node] : nodes_)
      known.emplace_back(path);
    const auto meant = suggest(name, known);
    return {
        Errc::not_found,
        fmt::format("no service \"{}\"{}", printable(name),
                    meant ? fmt::format("; did you mean {}?", *meant) : "")};
  }

  Result<void> plan(const StackRequest& request, const TreeNode& node,
                    std::deque<std::pair<ActorRef, Step>>& steps) {
    const std::size_t slash = request.name.rfind('/');
    const std::string above =
        slash == std::string::npos ? "" : request.name.substr(0, slash);
    const auto live = live_.find(request.name);
    ActorRef supervisor =
        live != live_.end() ? live->second.supervisor : actor_of_group(above);
    if (!supervisor)
      return failure(Errc::unavailable,
                     fmt::format("{} is not running", label(above)));
    const ChildState state = live == live_.end()
                                 ? ChildState::stopped
                                 : live->second.entry.info.state;
    switch (request.kind) {
      case StackRequest::Kind::restart:
        if (live != live_.end())
          steps.emplace_back(supervisor, supervisor::TerminateChild{node.id});
        add_start(supervisor, node, live != live_.end(), steps);
        return {};
      case StackRequest::Kind::stop:
        if (live != live_.end())
          steps.emplace_back(supervisor, supervisor::TerminateChild{node.id});
        return {};
      case StackRequest::Kind::start:
        if (state != ChildState::stopped && live->second.info)
          steps.emplace_back(live->second.entry.actor, supervisor::StartAll{});
        else if (state == ChildState::restarting)
          // Now, and not when its wait is over.
          steps.emplace_back(supervisor, supervisor::TerminateChild{node.id});
        if (state == ChildState::stopped || state == ChildState::restarting)
          add_start(supervisor, node, live != live_.end(), steps);
        return {};
      case StackRequest::Kind::scale:
        return plan_scale(request, node, steps);
    }
    return {};
  }

  void add_start(const ActorRef& supervisor, const TreeNode& node,
                 bool is_known, std::deque<std::pair<ActorRef, Step>>& steps) {
    // A temporary child is forgotten as soon as it is stopped.
    if (is_known && node.restart != supervisor::Restart::temporary)
      steps.emplace_back(supervisor, supervisor::RestartChild{node.id});
    else
      steps.emplace_back(supervisor, supervisor::StartChild{spec_of(node)});
  }

  Result<void> plan_scale(const StackRequest& request, const TreeNode& node,
                          std::deque<std::pair<ActorRef, Step>>& steps) {
    const auto* group = std::get_if<GroupNode>(&node.what);
    if (group == nullptr || !group->replicas)
      return failure(Errc::invalid_argument,
                     fmt::format("{} has no \"template\" and cannot be scaled",
                                 request.name));
    if (request.replicas > group->children.size())
      return failure(Errc::invalid_argument,
                     fmt::format("{} can have at most {} copies", request.name,
                                 group->children.size()));
    order_.scales.set(request.name, request.replicas);
    const ActorRef supervisor = actor_of_group(request.name);
    if (!supervisor)
      return {};  // It starts with that many.
    for (std::size_t i = group->children.size(); i-- > 0;) {
      const TreeNode& copy = group->children[i];
      const auto live = live_.find(child_path(request.name, copy.id));
      if (i >= request.replicas && live != live_.end()) {
        steps.emplace_back(supervisor, supervisor::TerminateChild{copy.id});
        if (copy.restart != supervisor::Restart::temporary)
          steps.emplace_back(supervisor, supervisor::DeleteChild{copy.id});
      }
    }
    for (std::size_t i = 0; i < request.replicas; ++i) {
      const TreeNode& copy = group->children[i];
      const auto live = live_.find(child_path(request.name, copy.id));
      if (live == live_.end() ||
          live->second.entry.info.state == ChildState::stopped)
        add_start(supervisor, copy, live != live_.end(), steps);
    }
    return {};
  }

  [[nodiscard]] ActorRef actor_of_group(const std::string& path) const {
    if (path.empty())
      return root_;
    const auto live = live_.find(path);
    return live == live_.end() ? ActorRef{} : live->second.entry.actor;
  }

  supervisor::ChildSpec spec_of(const TreeNode& node) {
    return service::child_spec_of(
        std::shared_ptr<const TreeNode>{order_.root, &node}, order_.deps,
        order_.scales);
  }

  void take_step(std::uint64_t token) {
    const auto it = work_.find(token);
    if (it->second.steps.empty()) {
      end_work(token, {});
      return;
    }
    auto [supervisor, step] = std::move(it->second.steps.front());
    it->second.steps.pop_front();
    std::visit(
        [&, to = supervisor](auto& message) {
          message.token = token;
          send(self_, to, std::move(message));
        },
        step);
  }

  void on_reply(const supervisor::ChildReply& m) {
    const auto it = work_.find(m.token);
    if (it == work_.end())
      return;
    switch (m.code) {
      case ReplyCode::ok:
      case ReplyCode::ignored:
      case ReplyCode::already_started:
      case ReplyCode::already_present:
      case ReplyCode::running:
      case ReplyCode::restarting:
      case ReplyCode::stopping:
      case ReplyCode::not_found:
        // What was wanted, or what somebody else has done meanwhile.
        take_step(m.token);
        return;
      case ReplyCode::start_failed:
      case ReplyCode::invalid_spec:
      case ReplyCode::unsupported:
      case ReplyCode::overloaded:
      case ReplyCode::shutting_down:
        break;
    }
    const std::string why = !m.what.empty() ? m.what
                            : m.code == ReplyCode::shutting_down
                                ? "was stopped while it started"
                                : std::string{to_string(m.code)};
    end_work(m.token,
             failure(m.code == ReplyCode::overloaded ? Errc::overloaded
                                                     : Errc::unavailable,
                     fmt::format("{}: {}", it->second.name, why)));
  }

  // -- What files ask for ----------------------------------------------------

  void on_files_changed(const FilesChanged& m) {
    std::vector<std::string> services;
    for (const std::string& service : m.services) {
      const auto [it, is_new] = refreshes_.try_emplace(service);
      if (is_new)
        services.push_back(service);
      else if (it->second.token != 0)
        it->second.again = m.path;
    }
    if (services.empty())
      return;
    look([this, services = std::move(services), path = m.path] {
      for (const std::string& service : services)
        refresh(service, path);
    });
  }

  void refresh(const std::string& service, const std::string& path) {
    if (!root_ || is_going_down_ || !is_to_refresh(service)) {
      refreshes_.erase(service);
      return;
    }
    say(fmt::format("{} restarts because {} changed", service,
                    path.empty() ? "files have" : path + " has"));
    const std::uint64_t token = ++last_token_;
    refreshes_[service].token = token;
    begin({.kind = StackRequest::Kind::restart,
           .name = service,
           .done =
               [this, service](const Result<void>& result) {
                 on_refreshed(service, result);
               }},
          token);
  }

  [[nodiscard]] bool is_to_refresh(const std::string& service) const {
    const auto live = live_.find(service);
    if (live == live_.end())
      return to_mend_.contains(service);
    switch (live->second.entry.info.state) {
      case ChildState::starting:
      case ChildState::running:
      case ChildState::restarting:
        return true;
      case ChildState::stopped:
        // Stopped by hand, finished, held, or not started yet.
        return to_mend_.contains(service);
      case ChildState::stopping:
        return false;  // With its group, and then it starts with what is new.
    }
    return false;
  }

  void on_refreshed(const std::string& service, const Result<void>& result) {
    const auto refresh = refreshes_.extract(service);
    if (!root_ || is_going_down_)
      return;
    if (result) {
      to_mend_.erase(service);
    } else if (result.error().code != Errc::cancelled) {
      // The supervisor leaves it stopped, but whoever is writing a program
      // makes it worse and then better.
      to_mend_.insert(service);
      say(fmt::format("{} could not be restarted, and waits for another change",
                      result.error().what));
    }
    if (refresh && refresh.mapped().again)
      on_files_changed({{service}, *refresh.mapped().again});
  }

  /// Somebody has stopped `name`, and all that is in it.
  void forget_files_of(const std::string& name) {
    std::erase_if(to_mend_, [&](const std::string& service) {
      return is_within(service, name);
    });
    for (auto& [service, refresh] : refreshes_) {
      if (!is_within(service, name))
        continue;
      refresh.again.reset();
      if (const auto work = work_.find(refresh.token); work != work_.end())
        work->second.steps.clear();
    }
  }

  template <class News>
  void tell(News&& news) {
    if (order_.on_news)
      order_.on_news(std::forward<News>(news));
  }

  void say(const std::string& what) {
    if (order_.on_news) {
      tell(StackSaid{what});
      return;
    }
    auto job = std::make_shared<PrintJob>();
    job->fd = STDERR_FILENO;
    job->bytes = fmt::format("troupe: {}\n", printable(what));
    send(self_, printer_, Print{std::move(job)});
  }

  Actor* self_;
  StackOrder order_;
  ActorRef printer_;
  ActorRef root_;
  std::map<std::string, std::shared_ptr<const TreeNode>> nodes_;  ///< By path.
  bool is_going_down_ = false;
  bool is_over_ = false;                    ///< By auto-shutdown.
  std::map<std::string, ServiceEnd> ends_;  ///< The last, by service.
  std::map<std::string, ActorId> gone_;     ///< The last, by service.
  std::map<std::string, Blame> blame_;      ///< By group.
  std::set<std::string> given_up_;          ///< Groups that have not come back.

  bool is_looking_ = false;
  std::uint64_t look_number_ = 0;
  std::vector<std::function<void()>> looks_;  ///< Who waits for it.
  std::map<ActorId, std::string> asked_;      ///< Who has not answered yet.
  std::map<std::string, Live> seen_;          ///< By the look that goes on.
  std::map<std::string, Live> live_;          ///< By the last one.

  std::uint64_t last_token_ = 0;
  std::map<std::uint64_t, Work> work_;  ///< By token.
  /// Until work on the same services is done, with their tokens.
  std::vector<std::pair<StackRequest, std::uint64_t>> waiting_;
  std::map<std::string, Refresh> refreshes_;  ///< By service.
  /// Services whose restart because of files has failed.
  std::set<std::string> to_mend_;
};

}  // namespace

ActorRef spawn_stack(actors::ActorSystem& system, StackOrder order,
                     ActorRef printer) {
  return actors::spawn<StackActor>(system, std::move(order),
                                   std::move(printer));
}

}  // namespace troupe::cli
