#pragma once

/// Asking a ControlServer. Blocks: for main(), never for a handler or for the
/// I/O thread.
#include <troupe/api/json.hpp>
#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>

#include <functional>
#include <string>

namespace troupe::api {

/// Asks the server at `path` and waits for the last answer, at most `limit` in
/// all. Events are passed over.
///
/// Errors: what the server answers; not_found (nobody listens there),
/// permission_denied (the socket of another user), invalid_argument (`what` is
/// longer than 64 KiB, or `path` than a socket can have), timed_out,
/// unavailable (the server went away), corrupt (it speaks something else).
[[nodiscard]] Result<Json> request(const std::string& path, const Json& what,
                                   Duration limit);

/// Gets an event; false ends the stream.
using EventHandler = std::function<bool(const Json& event)>;

/// As `request`, with `on_event` for each event as it comes. `limit` is for
/// connecting and asking, and from then on for the silence between two lines;
/// zero waits for as long as the server lives.
///
/// Errors: as `request`; cancelled (`on_event` has ended it).
[[nodiscard]] Result<Json> stream(const std::string& path, const Json& what,
                                  Duration limit, const EventHandler& on_event);

}  // namespace troupe::api
