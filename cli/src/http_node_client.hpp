#pragma once

#include "node_client.hpp"

#include <memory>
#include <string>

namespace troupe::cli {

/// A client of the node that listens at `socket`. Connects for each call, so
/// that it never meets a connection that a node has left behind.
[[nodiscard]] std::unique_ptr<NodeClient> make_http_node_client(
    const std::string& socket);

}  // namespace troupe::cli
