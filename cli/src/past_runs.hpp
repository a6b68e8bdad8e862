#pragma once

/// The records of earlier runs in the folder of state. Blocks: for main()
/// before anything runs, and after all of it.
#include <troupe/workflow/history.hpp>

#include <cstddef>
#include <string>
#include <vector>

namespace troupe::cli {

/// The last runs of the workflow at `path` (absolute), at most `most`, the
/// newest first; none for an empty path. Looks at no more than the newest 50
/// records and reads no more than 24 MiB of those of this workflow, since a run
/// waits for it. What cannot be read, or is none, is passed over.
[[nodiscard]] std::vector<workflow::PastRun> past_runs(const std::string& path,
                                                       std::size_t most);

/// Deletes the runs of the workflow at `path` (absolute; empty for none) that
/// `retention` does not keep, but for those that are still going on.
void delete_past_runs(const std::string& path,
                      const workflow::Retention& retention);

/// `file` as a record has it: absolute, and empty for standard input.
[[nodiscard]] std::string recorded_path(const std::string& file);

}  // namespace troupe::cli
