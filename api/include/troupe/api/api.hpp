#pragma once

/// Start here. `api` is how one program of Troupe asks another one on the same
/// host: lines of JSON over a unix socket. It knows sockets and lines, who may
/// connect and for how long; what is asked and answered is left to others.
///
///   json.hpp    Json: the one type for what is asked and answered
///   server.hpp  ControlServer, Responder: the one that is asked
///   client.hpp  request(), stream(): the one that asks
///
/// A connection carries one request, an object in one line of at most 64 KiB,
/// and its answer: any number of lines `{"event":..}`, and as the last line
///
///   {"ok":true,"result":..}
///   {"ok":false,"error":{"code":"not_found","what":"no service web"}}
///
/// where `code` is the name of an Errc. No line is longer than 1 MiB or nested
/// deeper than 128. What follows the line of a request is ignored, and keys of
/// an answer that a client does not know have to be, too. A client may close
/// its side for writing when it has asked (`socat`, `nc -N`).
#include <troupe/api/client.hpp>
#include <troupe/api/json.hpp>
#include <troupe/api/server.hpp>
