#pragma once

#include <troupe/base/error.hpp>
#include <troupe/base/random.hpp>
#include <troupe/base/time.hpp>
#include <troupe/link/message.hpp>
#include <troupe/link/stream_windows.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace troupe::link {

/// Who has made the connection.
enum class LinkSide : std::uint8_t { dialling, accepted };

enum class LinkPhase : std::uint8_t {
  idle = 1,        ///< Not started.
  waiting = 2,     ///< For the next try.
  connecting = 3,  ///< TCP.
  securing = 4,    ///< TLS, certificates, the upgrade to a WebSocket.
  greeting = 5,    ///< The peer is a node of the cluster; its hello is to come.
  up = 6,
  draining = 7,  ///< Farewells, and what was sent before them.
  closed = 8,
};

/// "connecting".
[[nodiscard]] std::string_view to_string(LinkPhase phase);

/// Why a connection is over.
enum class LinkEnd : std::uint8_t {
  asked = 1,        ///< We wanted it.
  left = 2,         ///< The peer said farewell.
  unreachable = 3,  ///< There was none, or it broke.
  refused = 4,      ///< A certificate, or who it belongs to.
  silent = 5,       ///< Something took longer than it may.
  rules = 6,        ///< The peer sends what it may not.
  versions = 7,     ///< There is no protocol that both speak.
};

/// "unreachable".
[[nodiscard]] std::string_view to_string(LinkEnd end);

/// The bounds of a link; the defaults are what programs use.
struct LinkLimits {
  /// From the first packet to the peer's hello. It is the time that somebody
  /// who is not one of us can hold a connection.
  Duration greet_within = 5s;
  /// For one frame, which is at most 1 MiB: some 70 KiB/s.
  Duration write_within = 15s;
  Duration drain_within = 5s;
  /// Between tries: twice as long each time, and a part of it by chance, so
  /// that a peer that comes back is not run down by all others at once.
  Duration first_pause = 100ms;
  Duration longest_pause = 30s;
  /// A link that was up for so long was a good one: pauses begin anew.
  Duration steady_after = 10s;
  /// What may wait to be written. Output of commands gets half of it, so that
  /// hints pass while logs are read. At least 3 MiB.
  std::size_t unsent_bytes = 4 << 20;
};

/// Decides about one link to one peer, over all its connections: when to try,
/// what to believe, what may be sent, and when it is over.
///
///                    on_connected      on_secured         hello
///    waiting ---> connecting ---> securing ---> greeting ------> up
///       ^             |              |             |            |  |
///       +-------------+--------------+-------------+------------+  | drain,
///         lost, refused, silent: a dialling side waits and tries   | farewell
///         again, one that was accepted is closed                   v
///                                                   closed <--- draining
///
/// Pure; one thread owns it. The shell performs the actions in their order, and
/// calls no event of a connection any more after Disconnect.
class LinkCore {
 public:
  /// Make a connection, and tell by on_connected(), on_secured() or on_lost().
  struct Connect {};
  /// Write this frame, and tell by on_written(). Never two at once.
  struct Write {
    std::string frame;
  };
  /// Both have said hello.
  struct Up {
    Hello hello;  ///< Of the peer.
    std::uint16_t protocol = 0;
  };
  /// For the owner: all kinds but hello, farewell and log_credit. A log_open or
  /// content_open has been admitted, a log_chunk is within its window, a
  /// log_close ends a stream that was open.
  struct Deliver {
    Message message;
  };
  /// There is room again, after send() or send_log() had none.
  struct HasRoom {};
  /// The reader of this stream has taken bytes off.
  struct LogRoom {
    std::uint64_t stream = 0;
  };
  /// Drop the connection, if there is one.
  struct Disconnect {};
  /// A connection, or the try to make one, is over, with all its streams.
  struct Down {
    LinkEnd end = LinkEnd::asked;
    std::string reason{};
    bool was_up = false;
  };
  /// The last action.
  struct Closed {};
  using Action = std::variant<Connect, Write, Up, Deliver, HasRoom, LogRoom,
                              Disconnect, Down, Closed>;
  using Actions = std::vector<Action>;

  /// `own` is our hello. A dialling side knows whom it wants, an accepted one
  /// learns it by on_secured(). `seed` is for jitter.
  LinkCore(LinkSide side, const LinkLimits& limits, Hello own,
           std::optional<distributed::NodeId> peer, std::uint64_t seed);

  /// First call, once. An accepted side has its connection already.
  Actions on_start(TimePoint now);

  // Of the connection.
  Actions on_connected(TimePoint now);
  /// Its certificate is that of `peer`, and the roster has it.
  Actions on_secured(const distributed::NodeId& peer, TimePoint now);
  Actions on_frame(std::string_view frame, TimePoint now);
  Actions on_written(TimePoint now);
  /// It broke, there was none, or the peer is nobody for us.
  Actions on_lost(LinkEnd end, std::string reason, TimePoint now);

  /// At wake_at() or later.
  Actions on_time(TimePoint now);
  /// None only while idle, up with nothing to write, and closed.
  [[nodiscard]] std::optional<TimePoint> wake_at() const;

  /// The owner wants an end in order. Repeating it does nothing.
  Actions drain(TimePoint now);
  /// The owner wants an end at once. Repeating it does nothing.
  Actions close(TimePoint now);

  /// Sends a hint, load, steal_ask, steal_offer or revocation.
  ///
  /// Errors: unavailable (not up; nothing is kept for later), overloaded
  /// (HasRoom tells when to try again), invalid_argument (check() of it, or
  /// another kind).
  [[nodiscard]] Result<Actions> send(const Message& message, TimePoint now);

  struct OpenedLog {
    std::uint64_t stream = 0;
    Actions actions{};
  };
  /// Asks the peer for output; stream and window of `what` are filled in.
  ///
  /// Errors: as send(), and overloaded (too many streams are open).
  [[nodiscard]] Result<OpenedLog> open_log(LogOpen what, std::uint32_t window,
                                           TimePoint now);
  /// The same for files, which come as output does. Errors also: unsupported
  /// (the peer speaks a protocol that does not have it).
  [[nodiscard]] Result<OpenedLog> open_content(ContentOpen what,
                                               std::uint32_t window,
                                               TimePoint now);
  /// The owner has taken bytes of a stream that it has opened off our hands.
  Actions log_taken(std::uint64_t stream, std::uint32_t bytes, TimePoint now);

  /// Bytes that may be sent now on a stream that the peer has opened, at most
  /// largest_chunk. LogRoom or HasRoom tells when that may have changed.
  [[nodiscard]] std::uint32_t log_room(std::uint64_t stream) const;
  /// Sends output; at most log_room() bytes.
  ///
  /// Errors: as send(), and not_found (the stream is closed).
  [[nodiscard]] Result<Actions> send_log(const LogChunk& chunk, TimePoint now);
  /// Ends a stream, whoever has opened it. One that is not open: nothing.
  Actions close_log(std::uint64_t stream, LogSide side, std::string reason,
                    TimePoint now);

  [[nodiscard]] LinkPhase phase() const { return phase_; }
  [[nodiscard]] LinkSide side() const { return side_; }
  /// Empty until an accepted side has been secured.
  [[nodiscard]] const std::optional<distributed::NodeId>& peer() const {
    return peer_;
  }
  [[nodiscard]] std::size_t unsent_bytes() const { return unsent_bytes_; }

 private:
  void attempt(TimePoint now);
  void greet(TimePoint now);
  void hear_hello(const Hello& hello, TimePoint now);
  void hear(Message message, TimePoint now);
  template <class Open>
  void hear_open(const Open& open, TimePoint now);
  void hear_log_credit(const LogCredit& credit, TimePoint now);
  void hear_log_chunk(LogChunk chunk, TimePoint now);
  void hear_log_close(LogClose close, TimePoint now);
  void hear_farewell(TimePoint now);
  void begin_drain(TimePoint now);
  void finish_drain(TimePoint now);
  void end(LinkEnd why, std::string reason, TimePoint now);
  void go_on(bool tries_again, TimePoint now);
  /// Without a bound of its own: what we owe the peer. A peer that makes it
  /// grow without reading is cut off.
  void post(const Message& message, TimePoint now);
  void push(const Message& message);
  template <class Open>
  Result<OpenedLog> open_stream(Open what, std::uint32_t window, TimePoint now);
  void write_next(TimePoint now);
  [[nodiscard]] Result<void> admit(const Message& message, std::size_t most);
  [[nodiscard]] Duration next_pause();
  [[nodiscard]] bool has_connection() const;
  Actions take_actions() { return std::exchange(actions_, {}); }

  const LinkSide side_;
  const LinkLimits limits_;
  const Hello own_;
  std::optional<distributed::NodeId> peer_;
  Random random_;
  LinkPhase phase_ = LinkPhase::idle;
  std::uint16_t protocol_ = 0;
  /// Of waiting, connecting to greeting, and draining.
  TimePoint deadline_;
  std::uint32_t failures_ = 0;
  TimePoint up_since_;
  bool was_up_ = false;
  bool wants_end_ = false;  ///< The owner does.
  bool peer_left_ = false;
  std::deque<std::string> outbox_;
  std::size_t unsent_bytes_ = 0;  ///< With what is being written.
  std::size_t writing_bytes_ = 0;
  std::optional<TimePoint> written_by_;
  bool wants_room_ = false;
  SendWindows sending_;
  ReceiveWindows receiving_;  ///< Numbers begin at random.
  Actions actions_;
};

}  // namespace troupe::link
