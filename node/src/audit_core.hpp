#pragma once

/// The lines of an audit log: one JSON object each, with the hash of the line
/// before in it, so that none can be changed, left out or put in between
/// without changing all that follow. Pure: the hash is SHA-256.
#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>
#include <troupe/queue/job_spec.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>

namespace troupe::node {

using queue::Json;

/// Who has done what, and what came of it.
struct AuditEntry {
  WallTime at;
  /// "user" for whoever asks over the socket, "signal", "trigger", "webhook" or
  /// "node".
  std::string by;
  std::optional<uid_t> uid = std::nullopt;
  std::optional<pid_t> pid = std::nullopt;
  std::string user = {};      ///< The name of uid, as it was then.
  std::string what;           ///< "POST /v1/jobs/7/cancel".
  std::string about = {};     ///< What was made: "job 7".
  std::string result = "ok";  ///< Or the name of an Errc.
};

/// What is longer in an entry is cut off, so that a line stays short.
inline constexpr std::size_t most_audit_text = 512;

/// Longer than any line, its end included.
inline constexpr std::size_t most_audit_line = 16 << 10;

/// Where a chain is: the number of its last line and the hash of that.
struct AuditHead {
  std::uint64_t number = 0;  ///< Zero before the first line.
  std::string hash = std::string(64, '0');

  friend bool operator==(const AuditHead&, const AuditHead&) = default;
};

/// The next line after `head`, with its end, and moves `head` on. `missed` is
/// how many entries before it could not be written.
[[nodiscard]] std::string next_audit_line(AuditHead& head,
                                          const AuditEntry& entry,
                                          std::uint64_t missed = 0);

/// Checks that `line`, without its end, follows `head`, and moves `head` on.
/// Without a head it is the first that is known, and says where the chain
/// begins.
///
/// Errors: corrupt (it is no such line, or does not follow).
[[nodiscard]] Result<void> check_audit_line(std::optional<AuditHead>& head,
                                            std::string_view line);

/// "job 17" or "run 3" of the answer to a submission, "" of any other.
[[nodiscard]] std::string made_by(const std::string& answer);

/// The name of the Errc in the body of an answer that was an error.
[[nodiscard]] std::string error_in(const std::string& answer);

}  // namespace troupe::node
