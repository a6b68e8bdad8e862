#include "node_client.hpp"

#include "subcommand.hpp"

#include <troupe/api/http_client.hpp>

#include <algorithm>
#include <chrono>

namespace troupe::cli {
namespace {

constexpr Duration first_retry_pause = 100ms;
constexpr Duration longest_retry_pause = 5s;

}  // namespace

std::string node_target(
    std::initializer_list<std::string_view> path,
    const std::vector<std::pair<std::string, std::string>>& query) {
  return "/v1" + api::http_target(path, query);
}

Duration pause_after(int tries) {
  Duration pause = first_retry_pause;
  for (int i = 0; i < tries && pause < longest_retry_pause; ++i)
    pause *= 2;
  return std::min(pause, longest_retry_pause);
}

bool may_come_back(const Error& error, const NodeClient& client) {
  return client.was_reached() && error.code == Errc::unavailable;
}

NodeCalls::NodeCalls(NodeClient& client, Pause pause)
    : client_{client}, pause_{std::move(pause)} {}

Result<api::Json> NodeCalls::get(const std::string& target) {
  return call(NodeMethod::get, target);
}

Result<api::Json> NodeCalls::call(NodeMethod method, const std::string& target,
                                  const api::Json& body) {
  Duration waited{0};
  for (int tries = 0;; ++tries) {
    const TimePoint asked = std::chrono::steady_clock::now();
    auto answer = client_.call(method, target, body);
    // A node whose store is gone has waited for it before it says so.
    waited += std::chrono::steady_clock::now() - asked;
    if (answer || !may_come_back(answer.error(), client_) ||
        waited >= patience_)
      return answer;
    const Duration pause = client_.retry_after().value_or(pause_after(tries));
    waited += pause;
    pause_(pause);
  }
}

Result<api::Json> NodeCalls::call_when_free(NodeMethod method,
                                            const std::string& target,
                                            const api::Json& body) {
  for (int tries = 0;; ++tries) {
    auto answer = call(method, target, body);
    if (answer || answer.error().code != Errc::overloaded)
      return answer;
    pause_(client_.retry_after().value_or(pause_after(tries)));
  }
}

int exit_code_of(const Error& error) {
  switch (error.code) {
    case Errc::invalid_argument:
    case Errc::permission_denied:
    case Errc::not_found:
    case Errc::overloaded:
    case Errc::already_exists:
    case Errc::cancelled:
    case Errc::unsupported:
      return exit_failed;
    case Errc::timed_out:
    case Errc::unavailable:
    case Errc::corrupt:
    case Errc::internal:
      break;
  }
  return exit_troupe_failed;
}

int node_failed(const Error& error) {
  complain(error.what);
  return exit_code_of(error);
}

}  // namespace troupe::cli
