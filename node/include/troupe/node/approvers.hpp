#pragma once

#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace troupe::node {

// All of these look into the databases of users and groups, which may block.

/// Whether the user is one of `names`, or in a group that is.
[[nodiscard]] bool is_one_of(uid_t uid, const std::vector<std::string>& names);

/// The first of `names` that is neither a user nor a group here.
[[nodiscard]] std::optional<std::string> first_unknown(
    const std::vector<std::string>& names);

/// "ada", or the number of a user without a name.
[[nodiscard]] std::string user_name(uid_t uid);

}  // namespace troupe::node
