#include "client_socket.hpp"
#include "lines.hpp"

#include <troupe/api/client.hpp>
#include <troupe/base/quantity.hpp>

#include <fmt/format.h>
#include <string_view>

namespace troupe::api {
namespace {

/// Our end of one connection, cut into lines.
class LineSocket {
 public:
  LineSocket(const std::string& path, Duration limit)
      : socket_{path}, limit_{limit} {
    restart_deadline();
  }

  Result<void> connect() { return socket_.connect(); }

  Result<void> send(std::string_view bytes) {
    // A server that takes less has answered without having read all.
    if (auto sent = socket_.send(bytes); !sent)
      return tl::unexpected{std::move(sent.error())};
    return {};
  }

  /// The next line, without its end; good until the next call.
  Result<std::string_view> receive() {
    bytes_.erase(0, taken_);
    taken_ = 0;
    std::size_t searched = 0;
    while (true) {
      const std::size_t end = bytes_.find('\n', searched);
      if (end != std::string::npos) {
        taken_ = end + 1;
        return std::string_view{bytes_}.substr(0, end);
      }
      searched = bytes_.size();
      if (searched > most_answer_bytes)
        return failure(
            Errc::corrupt,
            fmt::format("{} answered with a line of more than {}",
                        socket_.path(), format_size(most_answer_bytes)));
      const auto more = socket_.receive(bytes_);
      if (!more)
        return tl::unexpected{more.error()};
      if (*more == 0)
        return failure(
            Errc::unavailable,
            fmt::format("{} closed before it had answered", socket_.path()));
    }
  }

  void restart_deadline() { socket_.restart_deadline(limit_); }

 private:
  ClientSocket socket_;
  const Duration limit_;
  std::string bytes_;
  std::size_t taken_ = 0;  ///< Of the front of `bytes_`.
};

Result<void> ask(LineSocket& line, const Json& what) {
  const std::string text = request_line(what);
  if (text.size() > most_request_bytes + 1)
    return failure(Errc::invalid_argument,
                   fmt::format("the request is longer than {}",
                               format_size(most_request_bytes)));
  if (auto connected = line.connect(); !connected)
    return connected;
  return line.send(text);
}

Result<Json> converse(LineSocket& line, const Json& what,
                      const EventHandler& on_event) {
  if (auto asked = ask(line, what); !asked)
    return tl::unexpected{std::move(asked.error())};
  while (true) {
    const auto text = line.receive();
    if (!text)
      return tl::unexpected{text.error()};
    auto answer = parse_answer(*text);
    if (!answer)
      return tl::unexpected{std::move(answer.error())};
    if (auto* const last = std::get_if<LastAnswer>(&*answer))
      return std::move(last->result);
    if (!on_event(std::get<Event>(*answer).what))
      return failure(Errc::cancelled, "the stream was ended");
  }
}

}  // namespace

Result<Json> request(const std::string& path, const Json& what,
                     Duration limit) {
  LineSocket line{path, limit};
  return converse(line, what, [](const Json&) { return true; });
}

Result<Json> stream(const std::string& path, const Json& what, Duration limit,
                    const EventHandler& on_event) {
  LineSocket line{path, limit};
  return converse(line, what, [&](const Json& event) {
    const bool goes_on = on_event(event);
    line.restart_deadline();
    return goes_on;
  });
}

}  // namespace troupe::api
