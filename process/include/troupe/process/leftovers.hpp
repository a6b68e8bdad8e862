#pragma once

/// What commands have left behind when both their warden and whoever talked to
/// it were killed: leaders die with the warden, the rest goes on and is found
/// by its marker.
#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>

#include <cstdint>
#include <set>
#include <string>
#include <sys/types.h>
#include <utility>

namespace troupe::process {

struct LeftoverReport {
  std::uint32_t killed = 0;     ///< Processes that got SIGKILL.
  std::uint32_t survivors = 0;  ///< Still there when the limit passed.

  friend bool operator==(const LeftoverReport&,
                         const LeftoverReport&) = default;
};

/// Looks through all processes for those of a session, pass by pass. One
/// thread; a pass takes some 20 us per process of the host.
class LeftoverSweep {
 public:
  explicit LeftoverSweep(std::string session) : session_{std::move(session)} {}

  /// Stops and then kills what it finds, and the cgroup it is in if a dead
  /// warden made that. Returns how many there were, with those that were just
  /// becoming another program and may be of the session; what was killed may
  /// be found once more while it ends.
  [[nodiscard]] std::uint32_t pass();

  [[nodiscard]] std::uint32_t killed() const {
    return static_cast<std::uint32_t>(killed_.size());
  }

 private:
  std::string session_;
  std::set<std::pair<pid_t, unsigned long long>> killed_;
};

/// Kills every process on this host whose environment says that it belongs to a
/// command of `session` (WardenRunner::session()): those of our user, as root
/// those of any. Never this process or one that it descends from. No warden of
/// the session should live, or its commands go as well. Repeats until nothing
/// is found, at most `limit`. Blocks, usually for two or three looks at /proc.
///
/// Errors: invalid_argument (not the name of a session).
[[nodiscard]] Result<LeftoverReport> end_leftovers(const std::string& session,
                                                   Duration limit);

/// The same of the last warden in `folder` (KeepOptions::folder), if that does
/// not live any more; nothing if it does, or there was none. The caller owns
/// the folder: nobody starts a warden in it meanwhile. Blocks likewise.
///
/// Errors: those of opening the folder and its lock.
[[nodiscard]] Result<LeftoverReport> end_leftovers_in(const std::string& folder,
                                                      Duration limit);

}  // namespace troupe::process
