#pragma once

/// Files of caches and artifacts, for other nodes and for commands of ours that
/// fetch them from there.
#include "link_logs.hpp"
#include "log_sink.hpp"

#include <troupe/api/http.hpp>
#include <troupe/link/message.hpp>

#include <boost/asio/io_context.hpp>

#include <memory>
#include <string>

namespace troupe::node {

/// Sends what `what` names of the content in `folder`, and ends the stream:
/// bytes as they are kept, of entries of artifacts one in each line, and
/// nothing of what is not there. On the I/O thread, which it keeps for a piece
/// of 64 KiB at a time; it goes no further than the sink has room.
void serve_content(boost::asio::io_context& io, const std::string& folder,
                   const link::ContentOpen& what,
                   std::shared_ptr<LogSink> sink);

/// Passes on what another node sends. Nothing is answered before the first
/// byte, or the end; if the link breaks until then, that is an error. On the
/// I/O thread; keeps itself until it is over.
void relay_content(std::shared_ptr<RemoteLog> remote,
                   api::HttpResponder responder);

}  // namespace troupe::node
