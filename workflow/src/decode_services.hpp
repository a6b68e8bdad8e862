#pragma once

#include <troupe/config/diagnostics.hpp>
#include <troupe/config/document.hpp>
#include <troupe/workflow/services.hpp>

#include <string>
#include <vector>

namespace troupe::workflow {

/// Turns `services:` into a tree whose children stand in the order of their
/// start. What is wrong is reported, and the tree is then good for finding more
/// errors only. `shell` and `dotenv` are those of the file.
[[nodiscard]] ServiceGroup decode_services(
    const config::Entry& entry, const std::vector<std::string>& shell,
    const Template& working_directory, config::Diagnostics& diagnostics);

}  // namespace troupe::workflow
