#pragma once

#include "temp_dir.hpp"

#include <troupe/store/sql_store.hpp>

#include <cstdint>
#include <functional>
#include <memory>

namespace troupe::store {

/// Opens the store of one history: an empty one first, and then again what is
/// there.
using OpenStore = std::function<std::unique_ptr<SqlStore>(
    const testing::TempDir& folder, bool is_first)>;

enum class Histories : std::uint8_t {
  of_all,       ///< Everything that Store and ClusterStore can do.
  of_clusters,  ///< Claims and what becomes of them, and sessions that end.
};

/// One random history: whatever is done in whatever order, the store answers as
/// ModelStore does. All that can be seen is compared after every so many steps,
/// and at the end.
void do_as_the_model_does(const OpenStore& open, int steps_per_look,
                          Histories histories = Histories::of_all);

}  // namespace troupe::store
