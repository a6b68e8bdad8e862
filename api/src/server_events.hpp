#pragma once

/// The format `text/event-stream`, as far as we use it. Pure.
#include <troupe/api/json.hpp>
#include <troupe/base/error.hpp>

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace troupe::api {

inline constexpr std::string_view event_stream_type = "text/event-stream";

/// A comment: what is sent when there is nothing to say.
inline constexpr std::string_view heartbeat_text = ":\n\n";

/// One event. Line ends in `name` become spaces; `data` is one line.
[[nodiscard]] std::string event_text(std::string_view name, const Json& data);

/// Events out of bytes that may be cut anywhere. Lines end with LF or CRLF;
/// fields other than `event` and `data` are passed over, and so are events
/// without data.
class EventParser {
 public:
  /// Gets the name ("message" if there was none) and the data; false ends it.
  using Handler =
      std::function<bool(const std::string& name, const std::string& data)>;

  /// No event may be longer.
  static constexpr std::size_t most_bytes = 1 << 20;

  /// Takes bytes and calls `on_event` for each event that they complete.
  /// Whether it wants more.
  ///
  /// Errors: corrupt (longer than most_bytes).
  [[nodiscard]] Result<bool> feed(std::string_view bytes,
                                  const Handler& on_event);

 private:
  bool take_line(std::string_view line, const Handler& on_event);

  std::string line_;
  std::string name_;
  std::string data_;
  bool has_data_ = false;
};

}  // namespace troupe::api
