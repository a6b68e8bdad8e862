#pragma once

#include "decode.hpp"

#include <troupe/config/diagnostics.hpp>
#include <troupe/config/document.hpp>
#include <troupe/config/fields.hpp>
#include <troupe/workflow/model.hpp>

#include <optional>
#include <vector>

namespace troupe::workflow {

/// The files of `include`, whose keys `fields` has; what is wrong is reported.
[[nodiscard]] std::vector<WrittenInclude> decode_includes(
    config::Fields& fields, config::Diagnostics& diagnostics);

/// Reads `uses`, `with` and `secrets` of the job `entry`, whose keys `fields`
/// has. `call` gets what it gives, and no file yet; nothing if the job calls
/// none.
[[nodiscard]] WrittenCall decode_call(config::Fields& fields,
                                      const config::Entry& entry,
                                      std::optional<Call>& call,
                                      config::Diagnostics& diagnostics);

}  // namespace troupe::workflow
