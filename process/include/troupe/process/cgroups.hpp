#pragma once

/// Groups of processes that share a limit: cgroup v2 of the kernel
/// (Documentation/admin-guide/cgroup-v2.rst). A command with tree limits gets a
/// group of its own. It is made beside troupe's own processes, in the cgroup
/// that troupe was started in, which therefore has to be delegated to it: may
/// be written to and holds nobody else's processes, as after
/// `systemd-run --user --scope -p Delegate=yes troupe up`.
#include <troupe/base/error.hpp>
#include <troupe/base/owned_fd.hpp>
#include <troupe/process/command_spec.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <utility>
#include <vector>

namespace troupe::process {

/// The folder of the cgroup that a process is in, from the texts of its
/// /proc/PID/mountinfo and /proc/PID/cgroup; of the group that troupe has put
/// itself into, the one above. Empty without cgroup v2. Pure.
[[nodiscard]] std::string cgroup_folder(std::string_view mountinfo,
                                        std::string_view membership);

/// What has to be written where for `limits`: file names within a cgroup and
/// texts. Pure.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> cgroup_settings(
    const TreeLimits& limits);

/// Kills all members of the group that `pid` is in, if that was made for a
/// command whose warden is gone. Any thread; does not block.
void kill_abandoned_group(pid_t pid);

/// One group, empty at first. Any thread; no call blocks.
class Cgroup {
 public:
  Cgroup(std::string folder, OwnedFd members)
      : folder_{std::move(folder)}, members_{std::move(members)} {}
  Cgroup(const Cgroup&) = delete;
  Cgroup& operator=(const Cgroup&) = delete;
  /// Removes the group if it has no living process. Otherwise it is left, and
  /// the next troupe that makes groups here removes it.
  ~Cgroup();

  /// A process that writes "0" to it becomes a member, with all that it starts
  /// from then on.
  [[nodiscard]] int members_fd() const { return members_.get(); }
  /// Sends SIGKILL to all members at once, also to those that are just forking.
  void kill() const;
  /// Whether the kernel has killed a member because of the memory limit.
  [[nodiscard]] bool ran_out_of_memory() const;

 private:
  std::string folder_;
  OwnedFd members_;
};

/// Makes groups. Any thread; no call blocks for longer than some system calls.
class Cgroups {
 public:
  /// `folder` is the one to make groups in (own_folder()). It may hold the
  /// process `troupe` and its descendants only.
  Cgroups(std::string folder, pid_t troupe)
      : folder_{std::move(folder)}, troupe_{troupe} {}

  /// The folder of the cgroup that this process is in; empty without cgroup v2.
  [[nodiscard]] static std::string own_folder();

  /// Whether make() can be expected to succeed; changes nothing.
  ///
  /// Errors: unavailable, with what is missing.
  [[nodiscard]] Result<void> check(const TreeLimits& limits) const;

  /// A group with these limits. The first call moves troupe's own processes
  /// into a group beside, which the kernel asks for, and removes what dead
  /// troupes have left.
  ///
  /// Errors: unavailable, with what is missing; of a failed system call.
  [[nodiscard]] Result<std::unique_ptr<Cgroup>> make(const TreeLimits& limits);

 private:
  [[nodiscard]] Result<void> enable(const std::string& controllers);
  [[nodiscard]] std::vector<pid_t> members() const;
  [[nodiscard]] bool is_root() const;
  [[nodiscard]] bool is_ours(pid_t pid) const;
  void remove_leftovers() const;

  std::string folder_;
  pid_t troupe_;
  std::atomic<bool> is_tidy_ = false;
  std::atomic<std::uint64_t> last_ = 0;
};

}  // namespace troupe::process
