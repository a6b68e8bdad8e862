#pragma once

#include <troupe/base/error.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace troupe::node {

/// What the audit log of a node's folder holds. The newest lines are in
/// audit.log, those before in audit.log.1, audit.log.2 and so on.
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

}  // namespace troupe::node
