#include "procfs.hpp"
#include "program_image.hpp"
#include "warden_folder.hpp"

#include <troupe/base/owned_fd.hpp>
#include <troupe/process/cgroups.hpp>
#include <troupe/process/leftovers.hpp>

#include <algorithm>
#include <csignal>
#include <fmt/format.h>
#include <iterator>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace troupe::process {
namespace {

/// A process that forks is found again; so many looks are enough for one that
/// has not been stopped yet.
constexpr int most_stop_looks = 64;

constexpr Duration first_pass_pause = 1ms;
constexpr Duration longest_pass_pause = 16ms;

/// This process and all that it descends from.
std::set<pid_t> own_line() {
  std::set<pid_t> line;
  pid_t pid = ::getpid();
  while (pid > 0 && line.insert(pid).second) {
    const auto stat = stat_of(pid);
    pid = stat ? stat->parent : 0;
  }
  return line;
}

Belongs belongs(pid_t pid, const std::string& session) {
  return look_into_environment(pid, marker_name)
      .belongs([&session](const std::string& marker) {
        return is_marked_by(marker, session);
      });
}

/// Signals `process` and no other that got its number, if it is marked still.
bool signal_marked(const ProcessStat& process, const std::string& session,
                   int signal) {
  const OwnedFd fd{static_cast<int>(::syscall(SYS_pidfd_open, process.pid, 0))};
  if (!fd.is_open() || belongs(process.pid, session) != Belongs::yes)
    return false;
  const auto now = stat_of(process.pid);
  return now && now->start_ticks == process.start_ticks &&
         ::syscall(SYS_pidfd_send_signal, fd.get(), signal, nullptr, 0) == 0;
}

struct Found {
  std::vector<ProcessStat> marked;
  std::uint32_t unknown = 0;
};

Found find_marked(const std::string& session) {
  const std::set<pid_t> spared = own_line();
  Found found;
  for (const pid_t pid : all_processes()) {
    const Belongs belonging =
        spared.contains(pid) ? Belongs::no : belongs(pid, session);
    if (belonging == Belongs::no)
      continue;
    if (belonging == Belongs::unknown)
      ++found.unknown;
    else if (const auto stat = stat_of(pid); stat && stat->alive())
      found.marked.push_back(*stat);
  }
  return found;
}

}  // namespace

std::uint32_t LeftoverSweep::pass() {
  Found found = find_marked(session_);
  std::set<ProcessIdentity> stopped;
  for (int look = 0; look < most_stop_looks; ++look) {
    const std::size_t before = stopped.size();
    for (const ProcessStat& process : found.marked) {
      if (stopped.insert(process.identity()).second)
        (void)signal_marked(process, session_, SIGSTOP);
    }
    if (stopped.size() == before)
      break;
    found = find_marked(session_);
  }
  for (const ProcessStat& process : found.marked) {
    kill_abandoned_group(process.pid);
    if (signal_marked(process, session_, SIGKILL))
      killed_.insert(process.identity());
  }
  std::set<ProcessIdentity> there;
  for (const ProcessStat& process : found.marked)
    there.insert(process.identity());
  std::copy_if(killed_.begin(), killed_.end(),
               std::inserter(there, there.end()), is_alive);
  return static_cast<std::uint32_t>(there.size()) + found.unknown;
}

Result<LeftoverReport> end_leftovers(const std::string& session,
                                     Duration limit) {
  if (!is_session(session))
    return failure(Errc::invalid_argument,
                   fmt::format("'{}' is not the name of a session", session));
  const TimePoint deadline = std::chrono::steady_clock::now() + limit;
  LeftoverSweep sweep{session};
  Duration pause = first_pass_pause;
  while (true) {
    const std::uint32_t found = sweep.pass();
    if (found == 0 || std::chrono::steady_clock::now() >= deadline)
      return LeftoverReport{.killed = sweep.killed(), .survivors = found};
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, longest_pass_pause);
  }
}

Result<LeftoverReport> end_leftovers_in(const std::string& folder,
                                        Duration limit) {
  const auto opened = WardenFolder::open(folder);
  if (!opened)
    return tl::unexpected(opened.error());
  const auto lock = opened->try_lock();
  if (!lock)
    return tl::unexpected(lock.error());
  const auto last = opened->identity();
  if (!*lock || !last)
    return LeftoverReport{};
  return end_leftovers(last->session, limit);
}

}  // namespace troupe::process
