#pragma once

namespace troupe::supervisor {

/// The core passes start functions on without calling them; here they are only
/// something that is there.
class StartContext {};
class StartResult {};

}  // namespace troupe::supervisor
