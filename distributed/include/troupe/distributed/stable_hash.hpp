#pragma once

#include <cstdint>
#include <string_view>

namespace troupe::distributed {

/// XXH3 with 64 bits (Collet, version 0.8 and later, whose results are fixed
/// for good) of `bytes` under `seed`: the same number on every machine, with
/// every compiler and in every version of Troupe, which is what lets nodes
/// agree without asking each other. Against nobody's malice: who may choose
/// keys may choose where they go.
[[nodiscard]] std::uint64_t stable_hash(std::string_view bytes,
                                        std::uint64_t seed);

}  // namespace troupe::distributed
