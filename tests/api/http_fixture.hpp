#pragma once

#include "io_thread_test.hpp"
#include "own_resources.hpp"
#include "raw_client.hpp"
#include "temp_dir.hpp"

#include <troupe/api/http_client.hpp>
#include <troupe/api/http_server.hpp>

#include <atomic>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace troupe::api {

/// A server whose I/O thread runs, with three operations: /echo gives back
/// what it gets, /keep puts the responder aside, /admin is for admins.
class HttpTest : public IoThreadTest {
 protected:
  ~HttpTest() override {
    on_io_thread([this] {
      kept.clear();
      server.reset();
    });
    end_io();
  }

  void listen(HttpLimits limits = {}) { listen_with({.limits = limits}); }
  void listen_with(HttpOptions options) {
    options.path = path;
    on_io_thread([&] {
      auto listening = HttpServer::listen(io, options, operations());
      ASSERT_TRUE(listening) << listening.error().what;
      server = std::move(*listening);
    });
  }

  std::vector<Operation> operations() {
    const auto echo = [](const HttpRequest& request,
                         const HttpResponder& responder) {
      Json answer{{"path", request.path}, {"body", request.body}};
      for (const auto& [key, value] : request.query)
        answer["query"][key] = value;
      responder.succeed(answer);
    };
    const auto keep = [this](const HttpRequest& request,
                             const HttpResponder& responder) {
      caller = request.caller;
      kept.push_back(responder);
      ++asked;
    };
    const auto drop = [](const HttpRequest&, const HttpResponder&) {};
    const auto at = [](const HttpRequest& request,
                       const HttpResponder& responder) {
      responder.succeed(201, request.body.at("name"));
    };
    return {{.path = "/echo/{word}", .query = {"q"}, .handler = echo},
            {.method = HttpMethod::post,
             .path = "/echo/{word}",
             .most_body_bytes = 1 << 20,
             .handler = echo},
            {.path = "/keep", .handler = keep},
            {.method = HttpMethod::post, .path = "/keep", .handler = keep},
            {.path = "/drop", .handler = drop},
            {.method = HttpMethod::put,
             .path = "/at",
             .most_body_bytes = 100,
             .handler = at},
            {.path = "/operate", .role = Role::operate, .handler = echo},
            {.path = "/admin", .role = Role::admin, .handler = echo}};
  }

  HttpResponder wait_for_request(int number = 1) {
    EXPECT_TRUE(testing::wait_until([&] { return asked >= number; }));
    std::optional<HttpResponder> responder;
    on_io_thread([&] {
      responder = kept.back();
      kept.pop_back();
    });
    return *responder;
  }

  /// What comes for a request whose connection ends with it.
  [[nodiscard]] std::string answer_to(const std::string& request) const {
    const RawClient client{path};
    client.send(request);
    return client.read_to_end();
  }
  static std::string get(const std::string& target) {
    return "GET " + target + " HTTP/1.1\r\nConnection: close\r\n\r\n";
  }
  static std::string body_of(const std::string& answer) {
    const std::size_t end = answer.find("\r\n\r\n");
    return end == std::string::npos ? "no head: " + answer
                                    : answer.substr(end + 4);
  }
  /// Of a kept connection, the next answer of known length.
  static std::string read_answer(const RawClient& client) {
    std::string head;
    std::size_t body_bytes = 0;
    for (std::string line = client.read_line(); !line.empty() && line != "\r\n";
         line = client.read_line()) {
      if (line.starts_with("Content-Length: "))
        body_bytes = std::stoul(line.substr(16));
      head += line;
    }
    std::string body;
    while (body.size() < body_bytes) {
      const std::string more = client.read(body_bytes - body.size());
      if (more.empty())
        break;
      body += more;
    }
    return head + "\r\n" + body;
  }

  testing::TempDir dir;
  const std::string path = dir.path("run/http.sock");
  std::unique_ptr<HttpServer> server;
  std::vector<HttpResponder> kept;  ///< Of the I/O thread.
  Caller caller;                    ///< Of the last one that was kept.
  std::atomic<int> asked{0};
};

}  // namespace troupe::api
