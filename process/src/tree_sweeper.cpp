#include "tree_sweeper.hpp"

#include "program_image.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <memory>
#include <set>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace troupe::process {
namespace {

/// A process in an uninterruptible wait cannot be killed; nobody is kept
/// waiting for it longer than this.
constexpr Duration sweep_limit = 5s;

/// A fork bomb grows while it is being read; each pass stops what it has found
/// so far, and this many passes are enough for one that is not stopped yet.
constexpr int most_stop_passes = 64;

constexpr Duration first_sweep_pause = 1ms;
constexpr Duration longest_sweep_pause = 16ms;

/// Signals the process that `stat` was read from and no other.
void signal_process(const ProcessStat& stat, int signal) {
  const long fd = ::syscall(SYS_pidfd_open, stat.pid, 0);
  if (fd < 0)
    return;
  const auto now = stat_of(stat.pid);
  if (now && now->start_ticks == stat.start_ticks)
    ::syscall(SYS_pidfd_send_signal, fd, signal, nullptr, 0);
  ::close(static_cast<int>(fd));
}

}  // namespace

struct TreeSweeper::Sweep {
  Tree tree;
  std::function<void(SweepReport)> done;
  boost::asio::steady_timer timer;
  TimePoint deadline;
  Duration pause = first_sweep_pause;
  std::set<ProcessIdentity> killed;
};

struct TreeSweeper::Members {
  std::vector<ProcessStat> found;
  bool may_have_more = false;  ///< Some orphan is in an exec.

  [[nodiscard]] bool none() const { return found.empty() && !may_have_more; }
};

TreeSweeper::TreeSweeper(boost::asio::io_context& io,
                         const std::atomic<int>& running)
    : io_{io}, running_{running}, self_{::getpid()} {
  for (const pid_t pid : children_of(self_)) {
    if (const auto stat = stat_of(pid))
      strangers_.insert(stat->identity());
  }
}

Belongs TreeSweeper::belongs(const ProcessStat& orphan,
                             const Tree& tree) const {
  if (strangers_.contains(orphan.identity()))
    return Belongs::no;
  if (tree.leader == 0 || running_.load() <= 1)
    return Belongs::yes;
  if (tree.own_group &&
      (orphan.group == tree.leader || orphan.session == tree.leader))
    return Belongs::yes;
  return look_into_environment(orphan.pid, marker_name)
      .belongs([&tree](const std::string& marker) {
        return marker.find(tree.marker) != std::string::npos;
      });
}

TreeSweeper::Members TreeSweeper::members(const Tree& tree) const {
  Members members;
  std::vector<ProcessStat>& found = members.found;
  const auto add_if_alive = [&](const std::optional<ProcessStat>& stat) {
    if (stat && stat->alive())
      found.push_back(*stat);
  };
  if (tree.leader != 0)
    add_if_alive(stat_of(tree.leader));
  const std::vector<pid_t> roots =
      tree.leader == 0 ? children_of(self_) : children_of_thread(self_, self_);
  for (const pid_t pid : roots) {
    const auto stat = stat_of(pid);
    const Belongs belonging =
        stat && stat->alive() ? belongs(*stat, tree) : Belongs::no;
    if (belonging == Belongs::yes)
      found.push_back(*stat);
    else if (belonging == Belongs::unknown)
      members.may_have_more = true;
  }
  // NOLINTNEXTLINE(modernize-loop-convert): it grows as it is walked through.
  for (std::size_t i = 0; i < found.size(); ++i) {
    for (const pid_t pid : children_of(found[i].pid))
      add_if_alive(stat_of(pid));
  }
  return members;
}

void TreeSweeper::signal_tree(const Tree& tree, int signal) {
  const Members targets = members(tree);
  for (const ProcessStat& process : targets.found) {
    signal_process(process, signal);
    if (signal != SIGCONT && signal != SIGSTOP && signal != SIGTSTP)
      signal_process(process, SIGCONT);
  }
}

bool TreeSweeper::empty(const Tree& tree) const {
  reap_orphans();
  return members(tree).none();
}

void TreeSweeper::kill_tree(Tree tree, std::function<void(SweepReport)> done) {
  auto next = std::make_shared<Sweep>(
      Sweep{.tree = std::move(tree),
            .done = std::move(done),
            .timer = boost::asio::steady_timer{io_},
            .deadline = std::chrono::steady_clock::now() + sweep_limit,
            .killed = {}});
  sweep(next);
}

void TreeSweeper::sweep(const std::shared_ptr<Sweep>& s) {
  Members left = members(s->tree);
  // A stopped process cannot fork: stop all before killing any.
  std::set<ProcessIdentity> stopped;
  for (int pass = 0; pass < most_stop_passes; ++pass) {
    const std::size_t before = stopped.size();
    for (const ProcessStat& process : left.found) {
      if (stopped.insert(process.identity()).second)
        signal_process(process, SIGSTOP);
    }
    if (stopped.size() == before)
      break;
    left = members(s->tree);
  }
  for (const ProcessStat& process : left.found) {
    signal_process(process, SIGKILL);
    if (process.pid != s->tree.leader)
      s->killed.insert(process.identity());
  }
  reap_orphans();

  const bool all_gone =
      left.none() && std::none_of(s->killed.begin(), s->killed.end(), is_alive);
  const bool out_of_time = std::chrono::steady_clock::now() >= s->deadline;
  if (all_gone || out_of_time) {
    s->done({.leftovers = static_cast<std::uint32_t>(s->killed.size()),
             .survivors = static_cast<std::uint32_t>(left.found.size())});
    return;
  }
  s->timer.expires_after(s->pause);
  s->pause = std::min(s->pause * 2, longest_sweep_pause);
  s->timer.async_wait([this, s](const auto&) { sweep(s); });
}

void TreeSweeper::reap_orphans() const {
  for (const pid_t pid : children_of_thread(self_, self_)) {
    siginfo_t info{};
    ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG);
  }
}

}  // namespace troupe::process
