#pragma once

#include "subcommand.hpp"

#include <string>
#include <vector>

namespace troupe::cli {

/// `troupe deliver-notice ROUTE`, which runs and nodes start: tells what is in
/// the variables of workflow/notify.hpp to whom they say. Becomes the command
/// or the mailer, or answers with the exit code. Blocks for as long as whoever
/// started it lets it.
int deliver_notice(const Startup& startup, std::vector<std::string> words);

}  // namespace troupe::cli
