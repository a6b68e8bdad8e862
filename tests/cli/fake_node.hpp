#pragma once

/// A node with memory: answers what the test has prepared and remembers what it
/// was asked.
#include "node_client.hpp"
#include "queue_context.hpp"

#include <chrono>
#include <deque>
#include <fmt/format.h>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace troupe::cli {

class FakeNode {
 public:
  /// Answers to "GET /v1/jobs/17", in order; the last one stays.
  std::map<std::string, std::deque<Result<api::Json>>> answers;
  /// What streams and events of a target bring, one element for each time.
  std::map<std::string, std::deque<std::string>> logs;
  std::deque<std::vector<api::Json>> events;
  std::optional<Duration> retry_after;
  bool was_reached = true;

  std::vector<std::string> asked;  ///< "POST /v1/jobs {..}".
  std::vector<Duration> pauses;

  void on(const std::string& call, Result<api::Json> answer) {
    answers[call].push_back(std::move(answer));
  }
  void on_text(const std::string& call, const char* json) {
    on(call, api::Json::parse(json));
  }

  Result<api::Json> answer(const std::string& call, const api::Json& body) {
    const std::lock_guard lock{mutex_};
    asked.push_back(body.is_null() ? call : call + " " + body.dump());
    const auto found = answers.find(call);
    if (found == answers.end())
      return failure(Errc::not_found, "nothing prepared for " + call);
    auto result = found->second.front();
    if (found->second.size() > 1)
      found->second.pop_front();
    return result;
  }

  Result<std::string> log(const std::string& target) {
    const std::lock_guard lock{mutex_};
    asked.push_back("STREAM " + target);
    auto& pieces = logs[target];
    if (pieces.empty())
      return failure(Errc::not_found, "no log at " + target);
    std::string first = pieces.front();
    if (pieces.size() > 1)
      pieces.pop_front();
    return first;
  }

  /// What is asked of it is asked in `node`, which outlives it.
  class Client : public NodeClient {
   public:
    explicit Client(FakeNode& node) : node_{node} {}

    Result<api::Json> call(NodeMethod method, const std::string& target,
                           const api::Json& body) override {
      return node_.answer(fmt::format("{} {}", api::to_string(method), target),
                          body);
    }

    Result<void> stream(const std::string& target,
                        const BytesHandler& on_bytes) override {
      const auto bytes = node_.log(target);
      if (bytes)
        on_bytes(*bytes);
      return bytes ? Result<void>{} : tl::unexpected{bytes.error()};
    }

    Result<void> events(const std::string& target,
                        const EventHandler& on_event) override {
      node_.asked.push_back("EVENTS " + target);
      if (node_.events.empty())
        return failure(Errc::unavailable, "the node is away");
      const std::vector<api::Json> batch = node_.events.front();
      node_.events.pop_front();
      for (const api::Json& job : batch) {
        if (!on_event("job", job))
          break;
      }
      return {};
    }

    [[nodiscard]] std::optional<Duration> retry_after() const override {
      return node_.retry_after;
    }
    [[nodiscard]] bool was_reached() const override {
      return node_.was_reached;
    }

   private:
    FakeNode& node_;
  };

  QueueContext context() {
    QueueContext context;
    context.client = [this](const std::string&) {
      return std::make_unique<Client>(*this);
    };
    context.now = [] { return *parse_now(); };
    context.pause = [this](Duration time) {
      const std::lock_guard lock{mutex_};
      pauses.push_back(time);
    };
    context.new_request_id = [] { return "r1"; };
    context.environment = {{"HOME", "/home/ann"}};
    context.folder = "/srv";
    return context;
  }

 private:
  std::mutex mutex_;  ///< For several clients that ask at the same time.

  static std::optional<WallTime> parse_now() {
    return WallTime{std::chrono::sys_days{std::chrono::year{2026} / 5 / 1} +
                    12h};
  }
};

}  // namespace troupe::cli
