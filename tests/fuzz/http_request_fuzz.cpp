// The way of a request from bytes to its operation, without a socket: parser,
// routing, query, body. The first byte says into what pieces the rest is cut.
#include "http_message.hpp"

#include <troupe/base/assert.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace troupe::api {
namespace {

constexpr std::size_t header_bytes = 2'048;
constexpr std::size_t most_body_bytes = 4'096;

Operation operation(HttpMethod method, const std::string& path, Role role,
                    std::size_t body_bytes) {
  return {.method = method,
          .path = path,
          .role = role,
          .query = {"limit", "after"},
          .most_body_bytes = body_bytes,
          .handler = [](const HttpRequest&, const HttpResponder&) {}};
}

const Router& table() {
  static const Router router =
      Router::make(
          {operation(HttpMethod::get, "/v1/jobs", Role::read, 0),
           operation(HttpMethod::post, "/v1/jobs", Role::operate,
                     most_body_bytes),
           operation(HttpMethod::get, "/v1/jobs/{job}", Role::read, 0),
           operation(HttpMethod::post, "/v1/jobs/{job}/cancel", Role::operate,
                     most_body_bytes),
           operation(HttpMethod::remove, "/v1/jobs/{job}", Role::admin, 0)})
          .value();
  return router;
}

/// What holds for every request that is let through.
void check(const Accepted& accepted) {
  TROUPE_ASSERT(accepted.operation != nullptr);
  TROUPE_ASSERT(accepted.operation->role <= Role::operate);
  TROUPE_ASSERT(accepted.operation->most_body_bytes > 0 ||
                accepted.request.body.is_null());
  for (const auto& [key, value] : accepted.request.query)
    TROUPE_ASSERT(key == "limit" || key == "after");
  (void)accepted.request.count("limit", 1, {1, 100});
  (void)accepted.request.flag("after");
  (void)accepted.request.body.dump(-1, ' ', false,
                                   Json::error_handler_t::replace);
}

void check(const Refusal& refusal) {
  TROUPE_ASSERT(refusal.status >= 400 && refusal.status < 500);
  TROUPE_ASSERT(!refusal.error.what.empty() &&
                refusal.error.what.size() < 2'000);
  (void)parse_error_body(refusal.status,
                         error_body(refusal.error, refusal.retry_after));
}

/// Requests of one connection, one after the other.
void read_connection(std::string_view bytes, std::size_t piece_bytes) {
  const Caller caller{.uid = 1, .pid = 1, .role = Role::operate};
  RequestReader reader{table(), caller, header_bytes};
  std::string inbox;
  while (!bytes.empty() || !inbox.empty()) {
    const std::string_view piece = bytes.substr(0, piece_bytes);
    bytes.remove_prefix(piece.size());
    inbox += piece;
    const ReadStep step = reader.feed(inbox);
    TROUPE_ASSERT(inbox.size() <= header_bytes + piece_bytes ||
                  !std::holds_alternative<ReadOn>(step));
    const auto* const accepted = std::get_if<Accepted>(&step);
    const auto* const refusal = std::get_if<Refusal>(&step);
    if (accepted != nullptr)
      check(*accepted);
    if (refusal != nullptr)
      check(*refusal);
    const bool is_over = accepted != nullptr || refusal != nullptr;
    if (is_over && !reader.keeps_alive())
      return;
    if (is_over)
      reader = RequestReader{table(), caller, header_bytes};
    else if (bytes.empty())
      return;
  }
}

}  // namespace
}  // namespace troupe::api

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  if (size == 0)
    return 0;
  const std::string bytes{data + 1, data + size};
  const std::size_t piece_bytes = data[0] == 0 ? bytes.size() : data[0];
  troupe::api::read_connection(bytes, std::max<std::size_t>(piece_bytes, 1));
  return 0;
}
