#pragma once

/// Starts the program troupe-warden and holds its pidfd.
#include <troupe/base/error.hpp>
#include <troupe/process/warden_runner.hpp>

#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace troupe::process {

/// Last on the command line of a warden that sets
/// WardenOptions::no_new_privileges for itself.
inline constexpr std::string_view no_new_privileges_word = "no-new-privileges";

/// A running warden. The sockets are ours to close; closing any of them ends
/// it. There are none of a warden that is kept.
struct WardenProcess {
  pid_t pid = -1;
  int pidfd = -1;
  std::vector<int> sockets;
};

/// Errors: not_found, permission_denied, overloaded, as for any program.
[[nodiscard]] Result<WardenProcess> spawn_warden(const WardenOptions& options,
                                                 unsigned lanes,
                                                 const std::string& nonce);

/// A warden that is kept (`options.keep`): in a session of its own and
/// with nothing as standard streams. It listens on
/// `listener` and holds `lock`; both stay the caller's.
///
/// Errors: as spawn_warden.
[[nodiscard]] Result<WardenProcess> spawn_kept_warden(
    const WardenOptions& options, unsigned lanes, const std::string& session,
    int listener, int lock);

/// Waits for its end up to `limit`, then kills it; closes `pidfd`. It need not
/// be a child of ours.
void await_warden(WardenProcess& warden, Duration limit);

}  // namespace troupe::process
