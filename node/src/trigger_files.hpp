#pragma once

/// The files of triggers: workflows of a folder, and what is kept of them.
/// Blocks: for a thread of its own.
#include "trigger_core.hpp"

#include <troupe/base/error.hpp>

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace troupe::node {

/// Files of one folder that are looked at.
inline constexpr std::size_t most_workflow_files = 1000;

/// The paths of all *.yaml and *.yml right in `folder`, in order. None if there
/// is no such folder.
///
/// Errors: overloaded (more than most_workflow_files); those of the system.
[[nodiscard]] Result<std::vector<std::string>> list_workflow_files(
    const std::string& folder);

/// The text of a file.
///
/// Errors: overloaded (longer than `most_bytes`); those of the system.
[[nodiscard]] Result<std::string> read_text(const std::string& path,
                                            std::size_t most_bytes);

/// Errors: permission_denied (somebody else can change it, and would be us);
/// overloaded (longer than workflow::largest_file); those of the
/// system.
[[nodiscard]] Result<std::string> read_workflow_file(const std::string& path);

/// By the path of the file, and by which of its triggers it is.
using TriggerStates =
    std::map<std::pair<std::string, std::string>, TriggerState>;

/// Errors: corrupt; those of the system. None without a file.
[[nodiscard]] Result<TriggerStates> read_trigger_states(
    const std::string& path);

/// As a whole, or not at all; on the disk when it returns.
///
/// Errors: those of the system.
[[nodiscard]] Result<void> write_trigger_states(const std::string& path,
                                                const TriggerStates& states);

}  // namespace troupe::node
