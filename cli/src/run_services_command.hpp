#pragma once

#include "subcommand.hpp"

#include <string>
#include <vector>

namespace troupe::cli {

/// `troupe run-services RUN ROUND FOLDER`, which nodes start as a command of
/// the queue: runs the services of a durable run, keeps their logs in FOLDER,
/// prints what they print, and tells the node how they are. Ends, and all
/// services before it, when it gets a signal, when the services give up, and
/// when the node does not want to know of them any more.
int run_services_of_run(const Startup& startup, std::vector<std::string> words);

}  // namespace troupe::cli
