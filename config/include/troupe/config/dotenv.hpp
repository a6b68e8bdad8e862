#pragma once

#include <troupe/config/diagnostics.hpp>
#include <troupe/config/source.hpp>

#include <string>
#include <utility>
#include <vector>

namespace troupe::config {

/// Reads a file of variables, one `NAME=value` per line, as shells and other
/// tools take them: `export ` before a name, blank lines and comments (#) are
/// skipped; 'single' quotes keep all as it is; "double" quotes know \n, \t,
/// \r, \\, \" and \$; without quotes the value ends at " #" and has no space
/// around it. Nothing is expanded. A later line for the same name wins.
///
/// What is wrong goes to `diagnostics`; the other lines come back.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> parse_dotenv(
    const Source& source, Diagnostics& diagnostics);

}  // namespace troupe::config
