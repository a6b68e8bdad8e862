#pragma once

/// What /proc says about processes. Reads are short and never block on a disk.
#include <troupe/base/owned_fd.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <utility>
#include <vector>

namespace troupe::process {

/// The text of a file whose size is not known before, as of all that the kernel
/// makes up: up to `limit` bytes and the rest of a piece. Empty if it cannot be
/// read.
[[nodiscard]] std::string read_file(const std::string& path, std::size_t limit);

/// Names a process as long as the machine runs: pid and start time.
using ProcessIdentity = std::pair<pid_t, unsigned long long>;

/// A few fields of /proc/PID/stat.
struct ProcessStat {
  pid_t pid = 0;
  char state = '?';  ///< 'Z' zombie, 'X' dead, else it still exists as such.
  pid_t parent = 0;
  pid_t group = 0;
  pid_t session = 0;
  unsigned long long start_ticks = 0;  ///< Since boot: tells reused pids apart.
  unsigned long long memory_bytes = 0;  ///< Virtual; none in the kernel's own.
  unsigned long long environment_end =
      0;  ///< Zero in an exec and of strangers.

  [[nodiscard]] bool alive() const { return state != 'Z' && state != 'X'; }
  [[nodiscard]] ProcessIdentity identity() const { return {pid, start_ticks}; }
};

/// Parses the one line of /proc/PID/stat; a name with spaces and brackets in it
/// does no harm.
[[nodiscard]] std::optional<ProcessStat> parse_stat(std::string_view line);

/// None if there is no such process (any more).
[[nodiscard]] std::optional<ProcessStat> stat_of(pid_t pid);

/// Whether it, and what it executes, gets no rights by that
/// (PR_SET_NO_NEW_PRIVS). False if that cannot be read.
[[nodiscard]] bool has_no_new_privileges(pid_t pid);

/// Whether it has not ended yet. One that was killed is there for a while after
/// its memory, and with it its environment, is gone: it has files open still.
[[nodiscard]] bool is_alive(const ProcessIdentity& process);

/// The children of one thread, as /proc/PID/task/TID/children lists them.
[[nodiscard]] std::vector<pid_t> children_of_thread(pid_t pid, pid_t tid);

/// For one who asks often whether a thread has any children at all: its list is
/// opened once. From any thread.
class ThreadChildren {
 public:
  /// Without such a thread, or descriptors, there are none for ever.
  ThreadChildren(pid_t pid, pid_t tid);

  [[nodiscard]] bool any() const;

 private:
  OwnedFd list_;
};

/// The children of all threads of a process.
[[nodiscard]] std::vector<pid_t> children_of(pid_t pid);

/// All processes of this host that can be seen.
[[nodiscard]] std::vector<pid_t> all_processes();

/// Whether a process is somebody's.
enum class Belongs : std::uint8_t {
  no,
  yes,
  unknown,  ///< It is in an exec, and has to be looked at again.
};

/// What the environment that a process was started with says of a variable.
struct EnvironmentLook {
  /// None if it is not there or may not be read.
  std::optional<std::string> value;
  /// The process is just becoming another program. For this short while it has
  /// neither the old environment nor the new one: look again before it counts
  /// as one that does not have the variable.
  bool is_in_exec = false;

  /// To whom it does if `is_theirs` holds for the value.
  template <class Predicate>
  [[nodiscard]] Belongs belongs(Predicate is_theirs) const {
    if (is_in_exec)
      return Belongs::unknown;
    return value && is_theirs(*value) ? Belongs::yes : Belongs::no;
  }
};

[[nodiscard]] EnvironmentLook look_into_environment(pid_t pid,
                                                    std::string_view name);

}  // namespace troupe::process
