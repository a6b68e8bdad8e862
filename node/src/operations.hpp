#pragma once

/// What a node can be asked: the one table of all that is reachable from
/// outside, as docs/openapi.yaml describes it.
#include "housekeeper.hpp"
#include "job_watch.hpp"
#include "member.hpp"
#include "store_writer.hpp"

#include <troupe/actors/caf.hpp>
#include <troupe/api/http.hpp>
#include <troupe/base/time.hpp>
#include <troupe/node/node_config.hpp>

#include <boost/asio/io_context.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace troupe::node {

struct NodeCounters {
  std::atomic<std::uint64_t> accepted{0};  ///< Jobs.
  std::atomic<std::uint64_t> refused{0};   ///< Submissions.
};

/// What the operations work with; outlives them.
struct NodeContext {
  boost::asio::io_context& io;
  StoreWriter& store;
  actors::ActorRef dispatcher;  ///< A handle, the same over restarts.
  actors::ActorRef run_driver;  ///< Likewise.
  actors::ActorRef triggers;    ///< Likewise; null without workflow-folder.
  std::shared_ptr<JobWatch> watch;
  Housekeeper& housekeeper;
  std::shared_ptr<const NodeConfig> config;  ///< I/O thread only.
  std::string output_folder;
  std::string session;
  std::string version;
  WallTime started;
  std::function<void(OnStop)> stop;
  /// I/O thread only; `done` on a thread of the store's.
  std::function<void(bool is_held, queue::StoreAccess::Done done)> hold;
  NodeCounters counters{};
  /// Of runs that were submitted without one.
  std::map<std::string, std::string> environment{};
  /// Where jobs are put if other nodes share the store.
  std::optional<distributed::RingParameters> ring{};
  std::shared_ptr<Member> member{};  ///< Likewise; I/O thread only.
  /// Something may start in these shards; does nothing for a node by itself.
  /// From any thread.
  std::function<void(std::vector<std::uint32_t> shards)> tell_owners{};
  /// See LogPlaces; I/O thread only.
  std::function<std::shared_ptr<RemoteLog>(const LogOwner& owner,
                                           const link::LogOpen& what)>
      ask_owner{};
  /// Files of the node with that name: null if it cannot be asked now. I/O
  /// thread only; empty for a node by itself.
  std::function<std::shared_ptr<RemoteLog>(const std::string& node,
                                           const link::ContentOpen& what)>
      ask_content{};
  std::string content_folder{};
};

[[nodiscard]] std::vector<api::Operation> operations(NodeContext& context);

}  // namespace troupe::node
