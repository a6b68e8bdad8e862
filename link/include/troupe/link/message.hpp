#pragma once

/// What two nodes say to each other. On the wire each message is one binary
/// frame of a WebSocket, the envelope:
///
///   u16 protocol   big-endian; of a hello any, else the one agreed on
///   u16 kind       big-endian
///   body           CBOR (RFC 8949): a map with text keys
///
/// All of it is a hint: whoever loses a message loses time and nothing else.
/// Keys that are not known are skipped, so that a later version can add some.
#include <troupe/base/error.hpp>
#include <troupe/distributed/node_id.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace troupe::link {

/// Of a frame, envelope and all.
inline constexpr std::size_t largest_frame = 1 << 20;
inline constexpr std::size_t envelope_bytes = 4;
/// Of a body: how deep it is nested, and how many values are in it. A value
/// takes some 50 bytes in memory and can take one on the wire.
inline constexpr std::size_t deepest_body = 64;
inline constexpr std::size_t most_values = 1 << 14;
/// Output of a command in one message.
inline constexpr std::size_t largest_chunk = 64 << 10;
inline constexpr std::size_t longest_text = 256;
inline constexpr std::size_t most_shards = 1024;
inline constexpr std::size_t longest_content_name = 1024;

/// The versions that a program understands, both ends included.
struct Protocols {
  std::uint16_t oldest = 1;
  std::uint16_t newest = 1;

  friend bool operator==(const Protocols&, const Protocols&) = default;
};

/// Ours: the newest one and the one before, so that nodes can be upgraded one
/// after the other.
///
///   1  all but what follows
///   2  content_open
inline constexpr Protocols own_protocols{1, 2};

/// The newest that both understand.
///
/// Errors: unsupported, naming both.
[[nodiscard]] Result<std::uint16_t> agree(const Protocols& ours,
                                          const Protocols& theirs);

/// Sent: append only, never renumber.
enum class Kind : std::uint16_t {
  hello = 1,
  farewell = 2,
  hint = 3,
  load = 4,
  steal_ask = 5,
  steal_offer = 6,
  log_open = 7,
  log_credit = 8,
  log_chunk = 9,
  log_close = 10,
  revocation = 11,
  content_open = 12,
};

/// What the other end of a link has shown so far.
enum class PeerRole : std::uint8_t {
  enrolled = 1,  ///< Its certificate: it is a node of this cluster.
  member = 2,    ///< And its hello: it speaks a version that we do.
};

/// One line of the allow list.
struct KindRule {
  Kind kind;
  std::string_view name;
  PeerRole role;        ///< Exactly this one may send it.
  std::uint16_t since;  ///< The first protocol that has it.
};

/// All that can be sent: a kind that is not here is refused.
[[nodiscard]] std::span<const KindRule> kind_rules();

/// Null if there is no such kind in that version.
[[nodiscard]] const KindRule* rule_of(std::uint16_t kind,
                                      std::uint16_t protocol);

/// The first message of each side. The node has to be that of the certificate.
struct Hello {
  Protocols protocols{};
  distributed::NodeId node{};
  std::string session{};  ///< One life of the node; up to longest_text.
  std::string version{};  ///< Of the program, for people.
  std::uint64_t view = 0;

  friend bool operator==(const Hello&, const Hello&) = default;
};

/// The last one: this end sends nothing more.
struct Farewell {
  friend bool operator==(const Farewell&, const Farewell&) = default;
};

/// Something that can start has come into these shards, at most most_shards.
struct Hint {
  std::vector<std::uint32_t> shards{};

  friend bool operator==(const Hint&, const Hint&) = default;
};

/// How busy the sender is, and the newest view that it knows.
struct Load {
  std::uint32_t slots = 0;
  std::uint32_t waiting = 0;
  bool has_backlog = false;
  std::uint64_t view = 0;
  /// Somebody has told it to start nothing; not said by earlier versions.
  bool is_held = false;

  friend bool operator==(const Load&, const Load&) = default;
};

/// The sender has nothing to do: what can be spared?
struct StealAsk {
  friend bool operator==(const StealAsk&, const StealAsk&) = default;
};

/// In these shards the asker finds something; none if nothing can be spared.
struct StealOffer {
  std::vector<std::uint32_t> shards{};

  friend bool operator==(const StealOffer&, const StealOffer&) = default;
};

/// Asks for the output of an attempt, as frames of its record; of the last
/// lines only, if it says how many. Streams of a sender are
/// numbered from 1 upwards; the sender takes `window` bytes before it has given
/// any credit.
struct LogOpen {
  std::uint64_t stream = 0;
  std::uint64_t job = 0;
  std::uint64_t task = 0;
  std::uint32_t attempt = 0;
  std::optional<std::uint64_t> tail{};
  bool follows = false;  ///< Goes on until the attempt has ended.
  std::uint32_t window = 0;

  friend bool operator==(const LogOpen&, const LogOpen&) = default;
};

enum class ContentKind : std::uint8_t {
  artifact = 1,  ///< All entries of one name: "r7/build.report".
  result = 2,    ///< What a command has made, by its fingerprint.
  blob = 3,      ///< Bytes, by their hash.
};

/// Asks for files of the receiver's, as they are kept: a stream like one of
/// output, of the same numbers, with the same credit, chunks and end. What is
/// not there is a stream without bytes.
struct ContentOpen {
  std::uint64_t stream = 0;
  ContentKind what = ContentKind::blob;
  std::string name{};  ///< Up to longest_content_name.
  std::uint32_t window = 0;

  friend bool operator==(const ContentOpen&, const ContentOpen&) = default;
};

/// So many bytes more may be sent on a stream that the sender has opened.
struct LogCredit {
  std::uint64_t stream = 0;
  std::uint32_t bytes = 0;

  friend bool operator==(const LogCredit&, const LogCredit&) = default;
};

/// At most largest_chunk of what a stream of the receiver asked for.
struct LogChunk {
  std::uint64_t stream = 0;
  std::uint64_t offset = 0;
  std::string bytes{};

  friend bool operator==(const LogChunk&, const LogChunk&) = default;
};

enum class LogSide : std::uint8_t {
  asked = 1,     ///< The sender has opened the stream, and wants no more.
  answered = 2,  ///< The receiver has; no more is coming.
};

struct LogClose {
  std::uint64_t stream = 0;
  LogSide side = LogSide::asked;
  /// Why, for people; empty if all of it was sent.
  std::string reason{};

  friend bool operator==(const LogClose&, const LogClose&) = default;
};

/// Somebody has revoked this node: look it up now instead of at the next turn.
struct Revocation {
  distributed::NodeId node{};

  friend bool operator==(const Revocation&, const Revocation&) = default;
};

using Message =
    std::variant<Hello, Farewell, Hint, Load, StealAsk, StealOffer, LogOpen,
                 LogCredit, LogChunk, LogClose, Revocation, ContentOpen>;

[[nodiscard]] Kind kind_of(const Message& message);

/// Whether a message keeps its bounds.
///
/// Errors: invalid_argument.
[[nodiscard]] Result<void> check(const Message& message);

/// One frame. `message` has passed check().
[[nodiscard]] std::string encode(const Message& message,
                                 std::uint16_t protocol);

/// The opposite, for what somebody of this role has sent under an agreement on
/// `protocol`, which a hello does not look at. Takes memory in proportion to
/// the bytes that are there, whatever they announce. The result has passed
/// check().
///
/// Errors: overloaded (a bound), corrupt (no such envelope or body),
/// unsupported (a kind that is not on the list, another protocol),
/// permission_denied (not for this role).
[[nodiscard]] Result<Message> decode(std::string_view frame,
                                     std::uint16_t protocol, PeerRole role);

}  // namespace troupe::link
