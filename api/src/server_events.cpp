#include "server_events.hpp"

#include "json_text.hpp"

#include <troupe/base/quantity.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace troupe::api {

std::string event_text(std::string_view name, const Json& data) {
  std::string one_line{name};
  std::replace_if(
      one_line.begin(), one_line.end(),
      [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return fmt::format("event: {}\ndata: {}\n\n", one_line, text_of(data));
}

Result<bool> EventParser::feed(std::string_view bytes,
                               const Handler& on_event) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    line_ += bytes.substr(0, end);
    if (line_.size() + data_.size() > most_bytes)
      return failure(Errc::corrupt, fmt::format("an event is longer than {}",
                                                format_size(most_bytes)));
    if (end == std::string_view::npos)
      return true;
    bytes.remove_prefix(end + 1);
    if (line_.ends_with('\r'))
      line_.pop_back();
    if (!take_line(std::exchange(line_, {}), on_event))
      return false;
  }
  return true;
}

bool EventParser::take_line(std::string_view line, const Handler& on_event) {
  if (line.empty()) {
    const std::string name = std::exchange(name_, {});
    const std::string data = std::exchange(data_, {});
    return !std::exchange(has_data_, false) ||
           on_event(name.empty() ? "message" : name, data);
  }
  const std::size_t colon = line.find(':');
  const std::string_view field = line.substr(0, colon);
  std::string_view value =
      colon == std::string_view::npos ? "" : line.substr(colon + 1);
  if (value.starts_with(' '))
    value.remove_prefix(1);
  if (field == "event") {
    name_ = value;
  } else if (field == "data") {
    if (std::exchange(has_data_, true))
      data_ += '\n';
    data_ += value;
  }
  return true;
}

}  // namespace troupe::api
