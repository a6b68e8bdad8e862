#pragma once

/// Bytes to requests and answers, and back, without a socket: the one file that
/// includes Beast is http_message.cpp. No clock, no I/O.
#include "http_route.hpp"
#include "http_text.hpp"

#include <boost/system/error_code.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace troupe::api {

/// What the server does next with what it has read.
struct ReadOn {};
struct SayContinue {};  ///< Send `continue_text`, then feed again.
struct Accepted {
  const Operation* operation = nullptr;
  HttpRequest request;
};
using ReadStep = std::variant<ReadOn, SayContinue, Accepted, Refusal>;

inline constexpr std::string_view continue_text =
    "HTTP/1.1 100 Continue\r\n\r\n";

/// Reads one request. Memory follows what has come, never what was announced:
/// at most `header_bytes`, the body that the operation allows, and one read.
class RequestReader {
 public:
  /// Asked before the body of a request is parsed; a duration refuses it.
  using Admit = std::function<std::optional<Duration>(const Caller&)>;

  /// `router` outlives it.
  RequestReader(const Router& router, const Caller& caller,
                std::size_t header_bytes, Admit admit = nullptr);
  RequestReader(RequestReader&& other) noexcept;
  RequestReader& operator=(RequestReader&& other) noexcept;
  ~RequestReader();

  /// Takes from the front of `inbox` what belongs to the request. Not to be
  /// called again after Accepted or Refusal.
  [[nodiscard]] ReadStep feed(std::string& inbox);

  /// Whether another request may follow on this connection. After Accepted or
  /// Refusal; false if there is no telling where the next one would begin.
  [[nodiscard]] bool keeps_alive() const;

  /// HTTP/1.1 and later.
  [[nodiscard]] bool takes_chunks() const;

  /// "POST /v1/jobs", as far as it has come; empty before the first line has.
  [[nodiscard]] std::string asked() const;

  /// Whether it was HEAD, whose answer has no body.
  [[nodiscard]] bool is_head() const;

 private:
  class Parser;
  [[nodiscard]] Refusal refused(const boost::system::error_code& error) const;
  [[nodiscard]] std::optional<Refusal> judge_head();
  [[nodiscard]] std::optional<Refusal> judge_body_head() const;
  [[nodiscard]] ReadStep accept();

  const Router* router_;
  Caller caller_;
  std::size_t header_bytes_;
  Admit admit_;
  std::unique_ptr<Parser> parser_;
  Router::Match match_;
};

/// How an answer begins.
struct AnswerHead {
  int status = 200;
  std::string_view content_type = "application/json";
  /// None for a stream, which ends with its last chunk or with the connection.
  std::optional<std::size_t> body_bytes;
  bool has_chunks = false;
  bool keeps_alive = false;
  std::string_view allow = {};
  std::optional<Duration> retry_after = std::nullopt;
};
[[nodiscard]] std::string head_text(const AnswerHead& head);

/// A piece of a stream; `bytes` must not be empty, which would be its end.
[[nodiscard]] std::string chunk_text(std::string_view bytes);
inline constexpr std::string_view last_chunk = "0\r\n\r\n";

[[nodiscard]] std::string request_text(HttpMethod method,
                                       std::string_view target,
                                       const std::optional<std::string>& body);

/// Reads one answer.
class AnswerReader {
 public:
  /// Gets the bytes of a body as they come, once status() is known; false
  /// stops the reading.
  using BodyHandler = std::function<bool(std::string_view bytes)>;

  explicit AnswerReader(BodyHandler on_body);
  AnswerReader(const AnswerReader&) = delete;
  AnswerReader& operator=(const AnswerReader&) = delete;
  ~AnswerReader();

  /// Takes from the front of `inbox` what belongs to the answer.
  ///
  /// Errors: corrupt (no HTTP).
  [[nodiscard]] Result<void> feed(std::string& inbox);

  /// The server has closed.
  ///
  /// Errors: unavailable (in the middle of the answer).
  [[nodiscard]] Result<void> end();

  [[nodiscard]] bool is_done() const;
  [[nodiscard]] bool was_stopped() const;  ///< By the handler.
  [[nodiscard]] bool keeps_alive() const;
  [[nodiscard]] int status() const;
  [[nodiscard]] const std::string& content_type() const;

 private:
  class Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace troupe::api
