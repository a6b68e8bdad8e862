#include <troupe/base/assert.hpp>
#include <troupe/link/stream_windows.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace troupe::link {
namespace {

Result<void> check_room(std::size_t streams, std::uint32_t window_bytes,
                        std::uint32_t window) {
  if (streams < most_streams && window <= most_window_bytes - window_bytes)
    return {};
  return failure(Errc::overloaded,
                 fmt::format("{} streams with windows of {} bytes are open on "
                             "this link; close one first",
                             streams, window_bytes));
}

}  // namespace

Result<void> SendWindows::open(std::uint64_t number, std::uint32_t window) {
  if (number <= last_)
    return failure(Errc::corrupt,
                   fmt::format("stream {} is opened after {}", number, last_));
  if (window == 0 || window > largest_window)
    return failure(
        Errc::corrupt,
        fmt::format("stream {} has a window of {} bytes", number, window));
  last_ = number;
  if (auto has_room = check_room(streams_.size(), window_bytes_, window);
      !has_room)
    return has_room;
  streams_.emplace(number, Stream{window, 0});
  window_bytes_ += window;
  return {};
}

Result<void> SendWindows::credit(std::uint64_t number, std::uint32_t bytes) {
  if (number > last_)
    return failure(
        Errc::corrupt,
        fmt::format("credit for stream {}, which was never opened", number));
  const auto found = streams_.find(number);
  if (found == streams_.end())
    return {};
  if (bytes > found->second.under_way)
    return failure(Errc::corrupt,
                   fmt::format("credit for {} bytes of stream {}, where {} "
                               "were sent",
                               bytes, number, found->second.under_way));
  found->second.under_way -= bytes;
  return {};
}

std::uint32_t SendWindows::room(std::uint64_t number) const {
  const auto found = streams_.find(number);
  return found == streams_.end()
             ? 0
             : found->second.window - found->second.under_way;
}

void SendWindows::sent(std::uint64_t number, std::uint32_t bytes) {
  TROUPE_ASSERT(bytes <= room(number));
  if (const auto found = streams_.find(number); found != streams_.end())
    found->second.under_way += bytes;
}

bool SendWindows::close(std::uint64_t number) {
  const auto found = streams_.find(number);
  if (found == streams_.end())
    return false;
  window_bytes_ -= found->second.window;
  streams_.erase(found);
  return true;
}

Result<ReceiveWindows::Opened> ReceiveWindows::open(std::uint32_t window) {
  TROUPE_ASSERT(window != 0 && window <= largest_window);
  if (auto has_room = check_room(streams_.size(), window_bytes_, window);
      !has_room)
    return tl::unexpected(std::move(has_room.error()));
  streams_.emplace(++last_, Stream{window, 0, 0});
  window_bytes_ += window;
  return Opened{last_, window};
}

Result<bool> ReceiveWindows::knows(std::uint64_t number) const {
  if (number > last_)
    return failure(Errc::corrupt,
                   fmt::format("stream {} was never opened", number));
  return streams_.contains(number);
}

Result<bool> ReceiveWindows::received(std::uint64_t number,
                                      std::uint32_t bytes) {
  auto is_known = knows(number);
  if (!is_known || !*is_known)
    return is_known;
  Stream& stream = streams_.at(number);
  // What is owed has had no credit, so it is still in the window.
  if (bytes > stream.window - stream.held - stream.owed)
    return failure(Errc::corrupt,
                   fmt::format("stream {} sends more than its window of {} "
                               "bytes",
                               number, stream.window));
  stream.held += bytes;
  return true;
}

std::optional<std::uint32_t> ReceiveWindows::taken(std::uint64_t number,
                                                   std::uint32_t bytes) {
  const auto found = streams_.find(number);
  if (found == streams_.end())
    return std::nullopt;
  Stream& stream = found->second;
  bytes = std::min(bytes, stream.held);
  stream.held -= bytes;
  stream.owed += bytes;
  if (stream.owed < (stream.window + 1) / 2)
    return std::nullopt;
  return std::exchange(stream.owed, 0);
}

bool ReceiveWindows::close(std::uint64_t number) {
  const auto found = streams_.find(number);
  if (found == streams_.end())
    return false;
  window_bytes_ -= found->second.window;
  streams_.erase(found);
  return true;
}

}  // namespace troupe::link
