#include "http_message.hpp"

#include <troupe/base/quantity.hpp>

#include <boost/beast/core/buffers_range.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/string_body.hpp>

#include <fmt/format.h>

namespace troupe::api {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;

constexpr std::string_view json_type = "application/json";
constexpr unsigned http_1_1 = 11;

std::string_view view(beast::string_view text) {
  return {text.data(), text.size()};
}

/// "application/json; charset=utf-8" without what follows the type.
bool is_json(std::string_view content_type) {
  std::string_view type = content_type.substr(0, content_type.find(';'));
  while (type.ends_with(' ') || type.ends_with('\t'))
    type.remove_suffix(1);
  return beast::iequals({type.data(), type.size()},
                        {json_type.data(), json_type.size()});
}

/// Seconds, rounded up: a client that comes too early would be refused again.
std::string seconds_of(Duration duration) {
  return std::to_string(
      std::chrono::ceil<std::chrono::seconds>(duration).count());
}

/// The bytes of the head of `message`.
template <bool is_request, class Body>
std::string serialized(http::message<is_request, Body>& message) {
  http::serializer<is_request, Body> serializer{message};
  std::string text;
  error_code error;
  while (!error && !serializer.is_done()) {
    serializer.next(error, [&](error_code&, const auto& buffers) {
      for (const auto buffer : beast::buffers_range_ref(buffers))
        text.append(static_cast<const char*>(buffer.data()), buffer.size());
      serializer.consume(beast::buffer_bytes(buffers));
    });
  }
  return text;
}

http::verb verb_of(HttpMethod method) {
  switch (method) {
    case HttpMethod::get:
      return http::verb::get;
    case HttpMethod::post:
      return http::verb::post;
    case HttpMethod::put:
      return http::verb::put;
    case HttpMethod::patch:
      return http::verb::patch;
    case HttpMethod::remove:
      return http::verb::delete_;
  }
  return http::verb::unknown;
}

/// Keeps the type of a body, passes its bytes on however they come, and has no
/// use for the rest. Unlike the bodies of Beast it reserves nothing for a
/// length that was announced.
template <bool is_request>
class MessageParser : public http::basic_parser<is_request> {
 public:
  [[nodiscard]] const std::string& content_type() const {
    return content_type_;
  }

 protected:
  void on_request_impl(http::verb /*verb*/, beast::string_view /*method*/,
                       beast::string_view /*target*/, int /*version*/,
                       error_code& /*error*/) override {}
  void on_response_impl(int /*status*/, beast::string_view /*reason*/,
                        int /*version*/, error_code& /*error*/) override {}
  void on_field_impl(http::field name, beast::string_view /*text*/,
                     beast::string_view value, error_code& /*error*/) override {
    if (name == http::field::content_type)
      content_type_ = view(value);
  }

 private:
  /// How many of `bytes` are taken.
  virtual std::size_t take_body(std::string_view bytes, error_code& error) = 0;

  void on_header_impl(error_code& /*error*/) final {}
  void on_body_init_impl(const boost::optional<std::uint64_t>& /*length*/,
                         error_code& /*error*/) final {}
  std::size_t on_body_impl(beast::string_view bytes, error_code& error) final {
    return take_body(view(bytes), error);
  }
  void on_chunk_header_impl(std::uint64_t /*size*/,
                            beast::string_view /*extensions*/,
                            error_code& /*error*/) final {}
  std::size_t on_chunk_body_impl(std::uint64_t /*left*/,
                                 beast::string_view bytes,
                                 error_code& error) final {
    return take_body(view(bytes), error);
  }
  void on_finish_impl(error_code& /*error*/) final {}

  std::string content_type_;
};

}  // namespace

// -- RequestReader -----------------------------------------------------------

class RequestReader::Parser final : public MessageParser<true> {
 public:
  [[nodiscard]] const std::string& method() const { return method_; }
  [[nodiscard]] const std::string& target() const { return target_; }
  [[nodiscard]] bool is_http_1_1() const { return version_ >= http_1_1; }
  [[nodiscard]] const std::string& body() const { return body_; }

  /// Once: whether the client waits for a word before it sends the body.
  bool take_expectation() { return std::exchange(expects_continue_, false); }
  void set_most_body_bytes(std::size_t bytes) { most_body_bytes_ = bytes; }

 private:
  void on_request_impl(http::verb /*verb*/, beast::string_view method,
                       beast::string_view target, int version,
                       error_code& /*error*/) override {
    method_ = view(method);
    target_ = view(target);
    version_ = static_cast<unsigned>(version);
  }
  void on_field_impl(http::field name, beast::string_view text,
                     beast::string_view value, error_code& error) override {
    MessageParser::on_field_impl(name, text, value, error);
    if (name == http::field::expect)
      expects_continue_ = beast::iequals(value, "100-continue");
  }
  std::size_t take_body(std::string_view bytes, error_code& error) override {
    if (bytes.size() > most_body_bytes_ - body_.size()) {
      error = http::error::body_limit;
      return 0;
    }
    body_ += bytes;
    return bytes.size();
  }

  std::string method_;
  std::string target_;
  std::string body_;
  std::size_t most_body_bytes_ = 0;
  unsigned version_ = http_1_1;
  bool expects_continue_ = false;
};

RequestReader::RequestReader(const Router& router, const Caller& caller,
                             std::size_t header_bytes, Admit admit)
    : router_{&router},
      caller_{caller},
      header_bytes_{header_bytes},
      admit_{std::move(admit)},
      parser_{std::make_unique<Parser>()} {
  parser_->header_limit(static_cast<std::uint32_t>(header_bytes));
  parser_->body_limit(boost::none);  // Its operation is not known yet.
}

RequestReader::RequestReader(RequestReader&& other) noexcept = default;
RequestReader& RequestReader::operator=(RequestReader&& other) noexcept =
    default;
RequestReader::~RequestReader() = default;

ReadStep RequestReader::feed(std::string& inbox) {
  while (true) {
    if (parser_->is_header_done()) {
      if (parser_->is_done())
        return accept();
      if (parser_->take_expectation() && inbox.empty())
        return SayContinue{};
    }
    if (inbox.empty())
      return ReadOn{};
    const bool had_head = parser_->is_header_done();
    error_code error;
    inbox.erase(0, parser_->put({inbox.data(), inbox.size()}, error));
    if (error && error != http::error::need_more)
      return refused(error);
    if (!had_head && parser_->is_header_done()) {
      if (auto refusal = judge_head())
        return std::move(*refusal);
      parser_->eager(true);
      continue;
    }
    // A line between two chunks has no other bound.
    if (error && inbox.size() > header_bytes_)
      return refused(http::error::header_limit);
    if (error)
      return ReadOn{};
  }
}

bool RequestReader::keeps_alive() const {
  return parser_->is_header_done() && parser_->is_done() &&
         parser_->keep_alive() && parser_->is_http_1_1() && !is_head();
}

bool RequestReader::takes_chunks() const { return parser_->is_http_1_1(); }

std::string RequestReader::asked() const {
  return parser_->is_header_done()
             ? fmt::format("{} {}", parser_->method(), parser_->target())
             : std::string{};
}

bool RequestReader::is_head() const { return parser_->method() == "HEAD"; }

Refusal RequestReader::refused(const error_code& error) const {
  if (error == http::error::header_limit)
    return Refusal{.status = 431,
                   .error = {Errc::invalid_argument,
                             fmt::format("the head of the request is longer "
                                         "than {}",
                                         format_size(header_bytes_))}};
  if (error == http::error::body_limit)
    return Refusal{
        .status = 413,
        .error = {Errc::invalid_argument,
                  fmt::format("the body is longer than {}",
                              format_size(match_.operation->most_body_bytes))}};
  return Refusal{
      .status = 400,
      .error = {Errc::invalid_argument,
                fmt::format("not a request of HTTP/1.1: {}", error.message())}};
}

std::optional<Refusal> RequestReader::judge_head() {
  auto match =
      router_->match(parser_->method(), parser_->target(), caller_.role);
  if (!match)
    return std::move(match.error());
  match_ = std::move(*match);
  parser_->set_most_body_bytes(match_.operation->most_body_bytes);
  return parser_->is_done() ? std::nullopt : judge_body_head();
}

/// Of a body that is still to come.
std::optional<Refusal> RequestReader::judge_body_head() const {
  const std::size_t most = match_.operation->most_body_bytes;
  if (most == 0)
    return Refusal{.status = 413,
                   .error = {Errc::invalid_argument,
                             fmt::format("{} {} takes no body",
                                         to_string(match_.operation->method),
                                         match_.operation->path)}};
  if (const auto length = parser_->content_length(); length && *length > most)
    return refused(http::error::body_limit);
  if (!is_json(parser_->content_type()))
    return Refusal{
        .status = 415,
        .error = {Errc::invalid_argument,
                  fmt::format("expected a body of {}, got \"{}\"", json_type,
                              excerpt(parser_->content_type()))}};
  return std::nullopt;
}

ReadStep RequestReader::accept() {
  // To parse a body takes longer than all before.
  if (admit_)
    if (const auto later = admit_(caller_))
      return refusal_of({Errc::overloaded, "too many requests"}, later);
  Accepted accepted{.operation = match_.operation,
                    .request = {.path = std::move(match_.path),
                                .query = std::move(match_.query),
                                .caller = caller_}};
  if (parser_->body().empty())
    return accepted;
  auto body = parse_body(parser_->body());
  if (!body)
    return Refusal{.status = 400, .error = std::move(body.error())};
  accepted.request.body = std::move(*body);
  return accepted;
}

// -- Answers -----------------------------------------------------------------

std::string head_text(const AnswerHead& head) {
  constexpr int client_closed_request = 499;
  http::response<http::empty_body> answer;
  answer.version(http_1_1);
  answer.result(static_cast<unsigned>(head.status));
  if (head.status == client_closed_request)
    answer.reason("Cancelled");
  if (head.body_bytes != 0U)
    answer.set(http::field::content_type,
               {head.content_type.data(), head.content_type.size()});
  if (head.body_bytes && (*head.body_bytes > 0 || head.status != 204))
    answer.content_length(*head.body_bytes);
  if (head.has_chunks)
    answer.chunked(true);
  if (!head.allow.empty())
    answer.set(http::field::allow, {head.allow.data(), head.allow.size()});
  if (head.retry_after)
    answer.set(http::field::retry_after, seconds_of(*head.retry_after));
  answer.set(http::field::cache_control, "no-store");
  answer.keep_alive(head.keeps_alive);
  http::response_serializer<http::empty_body> serializer{answer};
  serializer.split(true);
  std::string text;
  error_code error;
  serializer.next(error, [&](error_code&, const auto& buffers) {
    for (const auto buffer : beast::buffers_range_ref(buffers))
      text.append(static_cast<const char*>(buffer.data()), buffer.size());
  });
  return text;
}

std::string chunk_text(std::string_view bytes) {
  return fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
}

std::string request_text(HttpMethod method, std::string_view target,
                         const std::optional<std::string>& body) {
  http::request<http::string_body> request{
      verb_of(method), {target.data(), target.size()}, http_1_1};
  request.set(http::field::host, "troupe");
  if (body) {
    request.set(http::field::content_type,
                {json_type.data(), json_type.size()});
    request.body() = *body;
  }
  request.prepare_payload();
  return serialized(request);
}

// -- AnswerReader ------------------------------------------------------------

class AnswerReader::Parser final : public MessageParser<false> {
 public:
  explicit Parser(BodyHandler on_body) : on_body_{std::move(on_body)} {}

  [[nodiscard]] int status() const { return status_; }
  [[nodiscard]] bool was_stopped() const { return was_stopped_; }

 private:
  void on_response_impl(int status, beast::string_view /*reason*/,
                        int /*version*/, error_code& /*error*/) override {
    status_ = status;
  }
  std::size_t take_body(std::string_view bytes, error_code& error) override {
    if (!bytes.empty() && !on_body_(bytes)) {
      was_stopped_ = true;
      error = http::error::end_of_stream;
    }
    return bytes.size();
  }

  BodyHandler on_body_;
  int status_ = 0;
  bool was_stopped_ = false;
};

AnswerReader::AnswerReader(BodyHandler on_body)
    : parser_{std::make_unique<Parser>(std::move(on_body))} {
  parser_->eager(true);
  parser_->body_limit(boost::none);  // The handler counts.
}

AnswerReader::~AnswerReader() = default;

Result<void> AnswerReader::feed(std::string& inbox) {
  error_code error;
  inbox.erase(0, parser_->put({inbox.data(), inbox.size()}, error));
  if (!error || error == http::error::need_more || was_stopped())
    return {};
  return failure(Errc::corrupt,
                 fmt::format("not an answer of HTTP/1.1: {}", error.message()));
}

Result<void> AnswerReader::end() {
  error_code error;
  if (parser_->got_some())
    parser_->put_eof(error);
  if (error || !parser_->is_done())
    return failure(Errc::unavailable, "closed before it had answered");
  return {};
}

bool AnswerReader::is_done() const { return parser_->is_done(); }
bool AnswerReader::was_stopped() const { return parser_->was_stopped(); }
bool AnswerReader::keeps_alive() const {
  return parser_->is_done() && parser_->keep_alive();
}
int AnswerReader::status() const { return parser_->status(); }
const std::string& AnswerReader::content_type() const {
  return parser_->content_type();
}

}  // namespace troupe::api
