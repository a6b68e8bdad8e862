#pragma once

/// What commands start with if nobody says: those of jobs and runs that came
/// without an environment, and of runs that a trigger has started. The node's
/// own variables, with whatever its service manager knows, are not for them.
#include <map>
#include <string>
#include <string_view>
#include <sys/types.h>

namespace troupe::node {

/// What the database of users says of one; empty where it does not know.
struct Account {
  std::string name;
  std::string home;
  std::string shell;
};

/// May block.
[[nodiscard]] Account account_of(uid_t user);

/// PATH, HOME, USER, LOGNAME and SHELL, always; LANG, LANGUAGE, LC_.., TZ,
/// TMPDIR and XDG_RUNTIME_DIR if `own` (null-terminated, of the node) has them;
/// and where the node is found. Where `own` has a value, it is that.
[[nodiscard]] std::map<std::string, std::string> basic_environment(
    const char* const* own, const Account& account, const std::string& socket);

}  // namespace troupe::node
