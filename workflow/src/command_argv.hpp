#pragma once

#include <string>
#include <vector>

namespace troupe::workflow {

/// What executes `line` by `shell`: without it where one would change nothing;
/// only the default shell can be left out, since whoever asks for one may count
/// on its start-up files or its functions.
[[nodiscard]] std::vector<std::string> argv_of(
    const std::vector<std::string>& shell, std::string line);

}  // namespace troupe::workflow
