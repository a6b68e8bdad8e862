#pragma once

/// When tests of leases begin: any moment is as good as any other.
#include <troupe/distributed/lease_terms.hpp>

namespace troupe::distributed {

inline constexpr BootTime b0{};

}  // namespace troupe::distributed
