#pragma once

#include <troupe/config/fields.hpp>

#include <span>
#include <string_view>

namespace troupe::workflow {

/// Every map of the language and the words that it takes: the one table behind
/// decoding, suggestions, the reference and the schema. The first is the whole
/// file.
[[nodiscard]] std::span<const config::Section> sections();

/// The section called `name`, which must exist.
[[nodiscard]] const config::Section& section(std::string_view name);

}  // namespace troupe::workflow
