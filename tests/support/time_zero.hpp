#pragma once

/// When tests of cores begin: any moment is as good as any other.
#include <troupe/base/time.hpp>

namespace troupe {

inline constexpr TimePoint t0{};

}  // namespace troupe
