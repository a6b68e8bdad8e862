#pragma once

#include "subcommand.hpp"

#include <string>
#include <vector>

namespace troupe::cli {

/// `troupe with-secrets COMMAND [ARGUMENT...]`, which nodes start: runs the
/// command with the values of secrets in place of their placeholders in its
/// variables, and masks them in what it prints and hands on. Which ones is in a
/// variable, see node/step_secrets.hpp. Ends as the command does; with 125 if a
/// secret cannot be read.
int with_secrets(const Startup& startup, std::vector<std::string> words);

}  // namespace troupe::cli
