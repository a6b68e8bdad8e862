#pragma once

/// How much output of commands may be on its way over one link. Whoever reads
/// opens a stream with a window, and gives credit as it takes bytes off;
/// whoever sends has never more on its way than the window. So a reader that
/// stops reading stops one stream, and neither the link nor the memory of a
/// node.
#include <troupe/base/error.hpp>

#include <cstdint>
#include <map>
#include <optional>

namespace troupe::link {

inline constexpr std::uint32_t largest_window = 1 << 20;
/// Of all streams of one link in one direction.
inline constexpr std::uint32_t most_window_bytes = 16 << 20;
inline constexpr std::size_t most_streams = 256;

/// Of the streams that the peer has opened and we send on. Pure; one thread
/// owns it. Streams that have been closed are not known any more, and what
/// comes for them changes nothing: it may have crossed the close.
class SendWindows {
 public:
  /// The peer opens a stream; `number` is larger than that of any before.
  ///
  /// Errors: corrupt (the number, or a window of 0 or above largest_window: the
  /// peer breaks the rules), overloaded (too many streams or bytes: this one is
  /// refused and nothing else).
  [[nodiscard]] Result<void> open(std::uint64_t number, std::uint32_t window);

  /// The peer has taken bytes off.
  ///
  /// Errors: corrupt (more than were sent, or a stream that it never opened).
  [[nodiscard]] Result<void> credit(std::uint64_t number, std::uint32_t bytes);

  /// Bytes that may be sent now; 0 also for a stream that there is not.
  [[nodiscard]] std::uint32_t room(std::uint64_t number) const;

  /// `bytes` are at most room().
  void sent(std::uint64_t number, std::uint32_t bytes);

  /// Whether it was open. Whoever ends it does not matter.
  bool close(std::uint64_t number);

  [[nodiscard]] bool is_open(std::uint64_t number) const {
    return streams_.contains(number);
  }
  [[nodiscard]] std::size_t streams() const { return streams_.size(); }
  [[nodiscard]] std::uint32_t window_bytes() const { return window_bytes_; }

 private:
  struct Stream {
    std::uint32_t window = 0;
    std::uint32_t under_way = 0;
  };
  std::map<std::uint64_t, Stream> streams_;
  std::uint64_t last_ = 0;
  std::uint32_t window_bytes_ = 0;
};

/// Of the streams that we have opened and the peer sends on. As SendWindows.
class ReceiveWindows {
 public:
  /// Numbers go on from `last`: one of an earlier connection that somebody
  /// still has is not to be that of another stream.
  explicit ReceiveWindows(std::uint64_t last = 0) : last_{last} {}

  struct Opened {
    std::uint64_t number = 0;
    std::uint32_t window = 0;
  };
  /// `window` is from 1 to largest_window.
  ///
  /// Errors: overloaded (too many streams or bytes; close one first).
  [[nodiscard]] Result<Opened> open(std::uint32_t window);

  /// Whether anybody wants the bytes that have come.
  ///
  /// Errors: corrupt (more than the window, or a stream that we never opened).
  [[nodiscard]] Result<bool> received(std::uint64_t number,
                                      std::uint32_t bytes);

  /// Our reader has taken `bytes` off, of those that it has received; more than
  /// those do not count. The credit to be sent, once it is half of the window:
  /// a message for each chunk would be too many.
  [[nodiscard]] std::optional<std::uint32_t> taken(std::uint64_t number,
                                                   std::uint32_t bytes);

  bool close(std::uint64_t number);
  /// The connection is gone.
  void close_all() {
    streams_.clear();
    window_bytes_ = 0;
  }

  /// Whether it is open; of a stream that we never opened: corrupt.
  [[nodiscard]] Result<bool> knows(std::uint64_t number) const;

  [[nodiscard]] bool is_open(std::uint64_t number) const {
    return streams_.contains(number);
  }
  [[nodiscard]] std::size_t streams() const { return streams_.size(); }
  [[nodiscard]] std::uint32_t window_bytes() const { return window_bytes_; }

 private:
  struct Stream {
    std::uint32_t window = 0;
    std::uint32_t held = 0;  ///< Received and not taken.
    std::uint32_t owed = 0;  ///< Taken, and no credit given for it yet.
  };
  std::map<std::uint64_t, Stream> streams_;
  std::uint64_t last_;
  std::uint32_t window_bytes_ = 0;
};

}  // namespace troupe::link
