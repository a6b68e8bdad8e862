#include <troupe/base/text.hpp>
#include <troupe/service/notification.hpp>

#include <charconv>

namespace troupe::service {
namespace {

/// The start of `text` that fits into `limit` bytes and ends with a character.
std::string_view cut(std::string_view text, std::size_t limit) {
  if (text.size() <= limit)
    return text;
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xc0) == 0x80)
    --limit;
  return text.substr(0, limit);
}

/// A number of the kernel's, which has none above 4095.
std::optional<int> parse_errno(std::string_view text) {
  int number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || rest != end || number < 1 || number > 4095)
    return std::nullopt;
  return number;
}

void read_assignment(Notification& n, std::string_view name,
                     std::string_view value) {
  if (name == "READY") {
    n.ready = n.ready || value == "1";
  } else if (name == "RELOADING") {
    n.reloading = n.reloading || value == "1";
  } else if (name == "STOPPING") {
    n.stopping = n.stopping || value == "1";
  } else if (name == "WATCHDOG") {
    n.watchdog = n.watchdog || value == "1";
    n.watchdog_trigger = n.watchdog_trigger || value == "trigger";
  } else if (name == "STATUS") {
    n.status = cut(printable(value), max_status_bytes);
  } else if (name == "ERRNO") {
    if (const auto number = parse_errno(value))
      n.error_number = number;
  }
}

}  // namespace

Notification parse_notification(std::string_view datagram) {
  Notification notification;
  while (!datagram.empty()) {
    const std::size_t end = datagram.find('\n');
    const std::string_view line = datagram.substr(0, end);
    datagram.remove_prefix(end == std::string_view::npos ? datagram.size()
                                                         : end + 1);
    const std::size_t equals = line.find('=');
    if (equals != std::string_view::npos)
      read_assignment(notification, line.substr(0, equals),
                      line.substr(equals + 1));
  }
  return notification;
}

}  // namespace troupe::service
