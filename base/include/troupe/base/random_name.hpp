#pragma once

#include <cstddef>
#include <string>

namespace troupe {

/// A name that nobody has guessed and nothing has had: `words` times 32 random
/// bits of the system, in hexadecimal. Three are enough for the names of one
/// machine, four for those of many.
[[nodiscard]] std::string random_name(std::size_t words);

}  // namespace troupe
