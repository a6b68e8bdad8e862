#pragma once

#include <troupe/base/error.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace troupe::node {

/// What the audit log of a folder holds, of a node or of an authority. The
/// newest lines are in audit.log, those before in audit.log.1, audit.log.2 and
/// so on.
struct AuditReport {
  std::uint64_t first = 0;  ///< The number of the oldest line that is kept.
  std::uint64_t last = 0;   ///< Zero if there is none.
  std::string head;         ///< The hash of the last line, 64 digits.
};

/// Checks that every line follows the one before. With a `head` from an earlier
/// report, that the line of that hash is still among them: only so it would be
/// seen if the last lines had been taken away, or all of them made anew.
///
/// Errors: not_found (no audit log), corrupt (with file and line; or the head
/// is not there), those of the system. Blocks while it reads.
[[nodiscard]] Result<AuditReport> verify_audit(
    const std::string& folder, const std::optional<std::string>& head);

/// Adds a line to the audit log of `folder`: that the user of this process has
/// done `what` there, to or with `about`, and with which `result` ("ok", or the
/// name of an Errc). Whoever calls it has the lock of the folder. Blocks.
///
/// Errors: those of the system, and corrupt (it is no audit log).
[[nodiscard]] Result<void> record_change(const std::string& folder,
                                         std::string what, std::string about,
                                         std::string_view result);

}  // namespace troupe::node
