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
#include <troupe/base/boot_time.hpp>
#include <troupe/process/command_runner.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace troupe::process::wire {

inline constexpr std::uint32_t wire_version = 11;

/// Larger bodies end the connection: more than the largest StdinText and more
/// than the kernel takes as arguments and environment.
inline constexpr std::uint32_t max_body = 24 << 20;

/// Largest piece of output in one frame.
inline constexpr std::size_t max_output = 64 << 10;

// To the warden.
struct Start {
  CommandSpec spec;
  /// Not before this attempt of the same lane has ended, if it has not yet.
  std::optional<AttemptId> after{};
};
/// Do not start the attempt, if it still waits for another one.
struct Withdraw {};
struct Stop {
  StopRequest request;
};
struct Signal {
  int signal = 0;
};
/// Stop every process of the attempt, and its clock.
struct Pause {};
struct Resume {};
/// The same for all attempts of the lane.
struct PauseAll {};
struct ResumeAll {};
/// When the right of all commands of the lane ends; max for never. Replaces
/// what was told before, also by another runner.
struct Guard {
  BootTime kill_at = BootTime::max();
  BootTime gone_by = BootTime::max();
};
/// Stop all attempts of the lane, so that they are gone by then.
struct StopAll {
  BootTime gone_by;
};
/// The end of an attempt has been taken note of. Only a kept warden remembers.
struct Forget {};
/// Somebody is there again for what an attempt that was listed writes.
struct Claim {};
/// The answer to Offered: whether the runner reads the stream from now on.
struct Taken {
  Stream stream = Stream::out;
  bool is_taken = false;
};

// From the warden.

/// The first frame on each connection. The version stays its first field for
/// ever: of a Hello in another version nothing else is read.
struct Hello {
  std::uint32_t version = wire_version;
  std::string session;         ///< What its markers begin with.
  std::uint32_t lanes = 1;     ///< How many it has.
  std::uint64_t takeover = 0;  ///< Of a kept warden: see Greeting.
};
/// A kept warden knows the attempt; what has become of it so far follows.
struct Known {};
/// These were all that the lane knows.
struct Listed {};
/// All of the lane stand still.
struct AllPaused {};
struct Started {
  int pid = 0;
  bool is_paused = false;
};
struct OutputRead {
  Stream stream = Stream::out;
  std::string_view bytes;  ///< Points into the frame.
};
/// Much has come from this stream: the rest can be read from this descriptor of
/// the warden, which leaves it alone until it gets an answer, or until the
/// attempt is over: so the inode tells whether it is still the same pipe.
struct Offered {
  Stream stream = Stream::out;
  int descriptor = -1;
  std::uint64_t inode = 0;
};
struct Exited {
  ExitReport report;
};
struct NotStarted {
  SpawnFailure failure;
};

using Message = std::variant<Start, Stop, Signal, Pause, Resume, PauseAll,
                             ResumeAll, Hello, AllPaused, Started, OutputRead,
                             Exited, NotStarted, Forget, Claim, Known, Listed,
                             Offered, Taken, Withdraw, Guard, StopAll>;

struct Frame {
  AttemptId id;
  Message message;
};

/// The first bytes on a connection to a kept warden, of a fixed size. All lanes
/// of one runner carry the number that the Hello of its first lane told, so
/// that those of two runners do not mix.
struct Greeting {
  std::uint32_t version = wire_version;
  std::uint32_t lane = 0;      ///< Or `end_lane`.
  std::uint64_t takeover = 0;  ///< Zero on lane 0, which begins a takeover.
};

/// Not a lane: asks the warden to end all commands and itself.
inline constexpr std::uint32_t end_lane = 0xffffffff;

inline constexpr std::size_t greeting_size = 4 + 4 + 4 + 8;

[[nodiscard]] std::string encode(const Greeting& greeting);

/// None if it is not a runner that speaks, or not all of its greeting.
[[nodiscard]] std::optional<Greeting> parse_greeting(std::string_view bytes);

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
