#pragma once

#include "store_test.hpp"

#include <troupe/store/cluster_store.hpp>

namespace troupe::store {

/// Each kind of store is to pass; who instantiates it says which.
class ClusterStoreTest : public StoreTest {
 protected:
  ClusterStore& cluster() { return dynamic_cast<ClusterStore&>(*store); }

  Registered begin(const std::string& session, const std::string& node,
                   std::uint64_t incarnation) {
    return *cluster().register_session(
        {.session = {session}, .node = node, .incarnation = incarnation}, now);
  }
  Renewed renew(const std::string& session, bool is_draining = false) {
    return cluster().renew({session}, is_draining, now)->session;
  }
  std::vector<std::string> sessions() {
    std::vector<std::string> names;
    const auto all = cluster().sessions();
    for (const SessionInfo& info : *all)
      names.push_back(info.session.session.value);
    return names;
  }
  std::vector<AttemptRef> claim_as(const std::string& session,
                                   std::uint32_t shard = 0) {
    std::vector<AttemptRef> attempts;
    const auto claims =
        store->claim({session}, {.group = "default", .shard = shard}, 100);
    for (const Claim& claim : *claims)
      attempts.push_back(claim.attempt);
    return attempts;
  }
  Recorded complete_as(const std::string& session, const AttemptRef& attempt) {
    const Completion completion{.attempt = attempt};
    return store->complete({session}, {&completion, 1}, now)->front();
  }
};

}  // namespace troupe::store
