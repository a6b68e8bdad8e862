#pragma once

#include <troupe/base/error.hpp>

#include <string>
#include <vector>

namespace troupe::cli {

/// The path that state_home() answers, without making or checking anything.
[[nodiscard]] std::string state_home_path();

/// Whether there is such a place that others cannot write to and that outlives
/// this boot: not if the fallback of state_home() is all.
[[nodiscard]] bool has_state_home();

/// $XDG_STATE_HOME or ~/.local/state. The fallback is in a folder that
/// everybody may write to, so it must be ours already or be made by us; `notes`
/// says then where logs go. Blocks.
///
/// Errors: permission_denied (the fallback is not ours), those of the system.
[[nodiscard]] Result<std::string> state_home(std::vector<std::string>& notes);

/// "$XDG_CONFIG_HOME/troupe", or the same below the home; empty without one.
[[nodiscard]] std::string config_home_path();

/// The path that runtime_folder() answers, likewise.
[[nodiscard]] std::string runtime_folder_path();

/// The folder for sockets: $XDG_RUNTIME_DIR/troupe or /tmp/troupe-UID, made
/// with mode 0700 if it is not there. Short, since a socket's path is limited.
///
/// Errors: permission_denied (it is not ours alone), those of the system.
[[nodiscard]] Result<std::string> runtime_folder();

/// As runtime_folder(), for those who only look: it need not be there.
[[nodiscard]] Result<std::string> checked_runtime_folder();

}  // namespace troupe::cli
