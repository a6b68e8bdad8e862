#include "client_socket.hpp"
#include "http_message.hpp"
#include "json_text.hpp"
#include "server_events.hpp"

#include <troupe/api/http_client.hpp>
#include <troupe/base/quantity.hpp>

#include <fmt/format.h>

namespace troupe::api {
namespace {

/// Of an answer, what is not its body comes in small pieces.
constexpr std::size_t most_frame_bytes = 64 << 10;

bool is_success(int status) { return status >= 200 && status < 300; }

Error no_events(const AnswerReader& answer) {
  return {Errc::corrupt,
          fmt::format("expected {}, got \"{}\"", event_stream_type,
                      excerpt(answer.content_type()))};
}

}  // namespace

/// The connection, and what was learned from the last answer.
class HttpClient::Wire {
 public:
  explicit Wire(const std::string& path) : socket_{path} {}

  [[nodiscard]] ClientSocket& socket() { return socket_; }
  [[nodiscard]] std::optional<Duration> retry_after() const {
    return retry_after_;
  }

  Result<void> connect(Duration limit) {
    socket_.restart_deadline(limit);
    return socket_.connect();
  }

  /// Sends and reads to the end. `on_body` gets the bytes of a success; null
  /// collects them for body().
  Result<void> converse(HttpMethod method, std::string_view target,
                        const std::optional<std::string>& content,
                        Duration limit, const BytesHandler* on_body) {
    retry_after_.reset();
    auto answered = ask_twice(method, request_text(method, target, content),
                              limit, on_body);
    if (!answered || !answer_->keeps_alive())
      socket_.close();
    if (!answered)
      return answered;
    if (answer_->was_stopped() || is_success(answer_->status()))
      return {};
    HttpFailure failed = parse_error_body(answer_->status(), body_);
    retry_after_ = failed.retry_after;
    return tl::unexpected{std::move(failed.error)};
  }

  [[nodiscard]] const std::string& body() const { return body_; }
  [[nodiscard]] const AnswerReader& answer() const { return *answer_; }

 private:
  /// What became of one try, besides errors.
  enum class Try : std::uint8_t {
    answered,
    unsent,      ///< Nothing has left this process.
    unanswered,  ///< The server went away without a byte.
  };

  /// A server closes connections that were idle for long, and may do so at the
  /// moment at which we ask.
  Result<void> ask_twice(HttpMethod method, const std::string& text,
                         Duration limit, const BytesHandler* on_body) {
    const bool was_kept = socket_.is_quiet();
    socket_.restart_deadline(limit);
    auto tried = ask(text, limit, on_body);
    const bool is_safe =
        tried && (*tried == Try::unsent ||
                  (*tried == Try::unanswered && method == HttpMethod::get));
    if (was_kept && is_safe) {
      socket_.close();
      tried = ask(text, limit, on_body);
    }
    // We were connected a moment ago: it was there, and may come back.
    if (!tried && (was_kept || !was_answered_) &&
        tried.error().code == Errc::not_found)
      tried.error().code = Errc::unavailable;
    if (!tried)
      return tl::unexpected{std::move(tried.error())};
    if (*tried != Try::answered)
      return closed_early();
    was_answered_ = true;
    return {};
  }

  Result<Try> ask(const std::string& text, Duration limit,
                  const BytesHandler* on_body) {
    begin_answer(on_body);
    if (!socket_.is_quiet()) {
      if (auto connected = socket_.connect(); !connected)
        return tl::unexpected{std::move(connected.error())};
    }
    const auto sent = socket_.send(text);
    if (!sent)
      return tl::unexpected{sent.error()};
    if (auto read = read_answer(limit, on_body != nullptr); !read)
      return tl::unexpected{std::move(read.error())};
    if (has_answer_)
      return Try::answered;
    return *sent == 0 ? Try::unsent : Try::unanswered;
  }

  void begin_answer(const BytesHandler* on_body) {
    body_.clear();
    inbox_.clear();
    has_answer_ = false;
    answer_.emplace([this, on_body](std::string_view bytes) {
      if (on_body != nullptr && is_success(answer_->status()))
        return (*on_body)(bytes);
      body_ += bytes;
      return body_.size() <= most_http_answer_bytes;
    });
  }

  /// `is_stream` limits the silence, not the whole.
  Result<void> read_answer(Duration limit, bool is_stream) {
    while (!answer_->is_done() && !answer_->was_stopped()) {
      const auto size = socket_.receive(inbox_);
      if (!size)
        return tl::unexpected{size.error()};
      if (*size == 0)
        return end_of_answer();
      has_answer_ = true;
      if (auto taken = answer_->feed(inbox_); !taken)
        return corrupt(taken.error().what);
      if (inbox_.size() > most_frame_bytes)
        return corrupt("not an answer of HTTP/1.1: a head without end");
      if (is_stream)
        socket_.restart_deadline(limit);
    }
    if (body_.size() > most_http_answer_bytes)
      return corrupt(fmt::format("the answer is longer than {}",
                                 format_size(most_http_answer_bytes)));
    return {};
  }

  Result<void> end_of_answer() {
    if (has_answer_ && !answer_->end())
      return closed_early();
    return {};
  }

  [[nodiscard]] tl::unexpected<Error> closed_early() const {
    return failure(
        Errc::unavailable,
        fmt::format("{} closed before it had answered", socket_.path()));
  }

  [[nodiscard]] tl::unexpected<Error> corrupt(std::string_view why) const {
    return failure(Errc::corrupt, fmt::format("{}: {}", socket_.path(), why));
  }

  ClientSocket socket_;
  std::optional<AnswerReader> answer_;
  std::string inbox_;
  std::string body_;
  bool has_answer_ = false;  ///< At least a byte of it.
  bool was_answered_ = false;
  std::optional<Duration> retry_after_;
};

std::string http_target(
    std::initializer_list<std::string_view> path,
    std::span<const std::pair<std::string, std::string>> query) {
  std::string target;
  for (const std::string_view part : path)
    target += "/" + percent_encode(part);
  char sign = '?';
  for (const auto& [key, value] : query) {
    target += sign + percent_encode(key) + "=" + percent_encode(value);
    sign = '&';
  }
  return target;
}

HttpClient::HttpClient(std::unique_ptr<Wire> wire) : wire_{std::move(wire)} {}
HttpClient::HttpClient(HttpClient&& other) noexcept = default;
HttpClient& HttpClient::operator=(HttpClient&& other) noexcept = default;
HttpClient::~HttpClient() = default;

Result<HttpClient> HttpClient::connect(const std::string& path,
                                       Duration limit) {
  auto wire = std::make_unique<Wire>(path);
  if (auto connected = wire->connect(limit); !connected)
    return tl::unexpected{std::move(connected.error())};
  return HttpClient{std::move(wire)};
}

Result<Json> HttpClient::request(HttpMethod method, std::string_view target,
                                 const Json* body, Duration limit) {
  const auto content =
      body == nullptr ? std::nullopt : std::optional{text_of(*body)};
  auto answered = wire_->converse(method, target, content, limit, nullptr);
  if (!answered)
    return tl::unexpected{std::move(answered.error())};
  if (wire_->body().empty())
    return Json{};
  auto result = parse_answer_body(wire_->body());
  if (!result)
    return tl::unexpected{
        std::move(result.error()).within(wire_->socket().path())};
  return result;
}

Result<void> HttpClient::stream(HttpMethod method, std::string_view target,
                                Duration limit, const BytesHandler& on_bytes) {
  return wire_->converse(method, target, std::nullopt, limit, &on_bytes);
}

Result<void> HttpClient::events(std::string_view target, Duration limit,
                                const EventsHandler& on_event) {
  EventParser parser;
  Result<void> parsed;
  const auto take = [&](const std::string& name, const std::string& data) {
    auto value = parse_answer_body(data);
    if (!value)
      parsed = tl::unexpected{std::move(value.error())};
    return parsed && on_event(name, *value);
  };
  const BytesHandler feed = [&](std::string_view bytes) {
    if (wire_->answer().content_type() != event_stream_type) {
      parsed = tl::unexpected{no_events(wire_->answer())};
      return false;
    }
    auto wants_more = parser.feed(bytes, take);
    if (!wants_more)
      parsed = tl::unexpected{std::move(wants_more.error())};
    return wants_more && *wants_more;
  };
  auto answered =
      wire_->converse(HttpMethod::get, target, std::nullopt, limit, &feed);
  if (!parsed)
    return tl::unexpected{
        std::move(parsed.error()).within(wire_->socket().path())};
  return answered;
}

bool HttpClient::is_connected() const { return wire_->socket().is_quiet(); }

std::optional<Duration> HttpClient::retry_after() const {
  return wire_->retry_after();
}

}  // namespace troupe::api
