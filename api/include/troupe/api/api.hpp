#pragma once

/// Start here. `api` is how one program of Troupe asks another one on the same
/// host, over a unix socket: by lines of JSON (`troupe up`), or by HTTP/1.1
/// (the node). It knows sockets, lines and frames, who may connect and for how
/// long; what is asked and answered is left to others.
///
///   json.hpp         Json: the one type for what is asked and answered
///   server.hpp       ControlServer, Responder: the one that is asked, by lines
///   client.hpp       request(), stream(): the one that asks
///   http.hpp         Operation, HttpRequest, HttpResponder, HttpStream
///   http_server.hpp  HttpServer: the one that is asked, by HTTP
///   http_client.hpp  HttpClient: the one that asks
///
/// docs/adr/0009-http.md says why there are two. HTTP is described in http.hpp;
/// of lines:
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
#include <troupe/api/http.hpp>
#include <troupe/api/http_client.hpp>
#include <troupe/api/http_server.hpp>
#include <troupe/api/json.hpp>
#include <troupe/api/server.hpp>
