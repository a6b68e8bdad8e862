#pragma once

/// How a runner comes to a kept warden: by taking over the one that lives in
/// the folder, or by starting one. Blocks, a few seconds at most.
#include "warden_process.hpp"
#include "wire.hpp"

#include <troupe/base/error.hpp>
#include <troupe/base/owned_fd.hpp>
#include <troupe/process/warden_runner.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace troupe::process {

/// A connection to one lane, and what of its frames was not read yet.
struct LaneLink {
  OwnedFd socket;
  wire::Reader reader;
};

/// An attempt that a warden knew before we came.
struct KnownAttempt {
  AttemptId id;
  std::size_t lane = 0;
  std::optional<AttemptStarted> started;
  std::optional<AttemptEnd> end;
};

struct KeptLink {
  WardenProcess warden;
  std::string session;
  std::uint64_t takeover = 0;
  bool is_adopted = false;  ///< It lived already.
  std::vector<LaneLink> lanes;
  std::vector<KnownAttempt> attempts;
};

/// Takes over, or starts one under `session`. A warden that does not answer is
/// killed with its commands before another one is started.
///
/// Errors: unsupported (a warden of another version lives), unavailable (who
/// holds the lock cannot be found out), of starting a warden.
[[nodiscard]] Result<KeptLink> reach_warden(const WardenOptions& options,
                                            unsigned lanes,
                                            const std::string& session);

/// Asks the warden to end all commands and itself, if no other runner has taken
/// it over since. Does not wait for that.
void tell_to_end(const std::string& folder, std::uint64_t takeover);

}  // namespace troupe::process
