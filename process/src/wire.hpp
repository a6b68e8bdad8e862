#pragma once

/// The protocol between a runner and its warden: frames on a stream socket of
/// one host, so numbers are in the host's byte order. A frame is
///
///   u32 length of the body | u8 kind | u64 command | u32 attempt | body
///
/// Both ends are built from one source tree; Hello carries `wire_version`, and
/// a runner refuses a warden of another version.
///
/// Pure: bytes in, values out. Nothing is allocated from an announced length
/// before the bytes are there, and lengths have bounds.
#include <troupe/process/command_runner.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace troupe::process::wire {

inline constexpr std::uint32_t wire_version = 2;

/// Larger bodies end the connection: more than the largest StdinText and more
/// than the kernel takes as arguments and environment.
inline constexpr std::uint32_t max_body = 24 << 20;

/// Largest piece of output in one frame.
inline constexpr std::size_t max_output = 64 << 10;

// To the warden.
struct Start {
  CommandSpec spec;
};
struct Stop {
  StopRequest request;
};
struct Signal {
  int signal = 0;
};
/// Stop every process of every attempt of the lane, and its clock.
struct Pause {};
struct Resume {};

// From the warden.
struct Hello {
  std::uint32_t version = wire_version;
};
/// They stand still.
struct Paused {};
struct Started {
  int pid = 0;
};
struct OutputRead {
  Stream stream = Stream::out;
  std::string_view bytes;  ///< Points into the frame.
};
struct Exited {
  ExitReport report;
};
struct NotStarted {
  SpawnFailure failure;
};

using Message = std::variant<Start, Stop, Signal, Pause, Resume, Hello, Paused,
                             Started, OutputRead, Exited, NotStarted>;

struct Frame {
  AttemptId id;
  Message message;
};

/// Appends the frame to `out`.
void encode(std::string& out, AttemptId id, const Message& message);

/// Reads frames out of a stream that arrives in pieces.
class Reader {
 public:
  /// Space for at least `bytes` more; write into it, then `commit` what came.
  [[nodiscard]] char* prepare(std::size_t bytes);
  void commit(std::size_t bytes) { filled_ += bytes; }

  /// The next whole frame, or none if more bytes are needed. What it points to
  /// is valid until the next call of any method.
  ///
  /// Errors: corrupt (unknown kind, a length out of bounds, a body that does
  /// not parse); the connection cannot be used after that.
  [[nodiscard]] Result<std::optional<Frame>> next();

 private:
  std::string buffer_;
  std::size_t begin_ = 0;   ///< Where unread bytes start.
  std::size_t filled_ = 0;  ///< Where they end.
};

}  // namespace troupe::process::wire
