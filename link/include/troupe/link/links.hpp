#pragma once

#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>
#include <troupe/link/certificate.hpp>
#include <troupe/link/link_address.hpp>
#include <troupe/link/link_core.hpp>
#include <troupe/link/message.hpp>
#include <troupe/link/roster.hpp>

#include <boost/asio/io_context.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace troupe::link {

/// Told what becomes of links, on the I/O thread, one after the other. May call
/// back into Links, but not destroy it.
class LinksOwner {
 public:
  virtual ~LinksOwner() = default;
  virtual void on_up(const distributed::NodeId& peer, const Hello& hello) = 0;
  /// What LinkCore::Deliver tells.
  virtual void on_message(const distributed::NodeId& peer, Message message) = 0;
  /// A connection is over, or the try to make one. `peer` is none while nobody
  /// knows who it was; then `from` is the address that it came from.
  virtual void on_down(const std::optional<distributed::NodeId>& peer,
                       const std::string& from, LinkEnd end,
                       const std::string& reason, bool was_up) = 0;
  /// After send() or send_log() had no room.
  virtual void on_room(const distributed::NodeId& peer) = 0;
  /// A reader of output has taken bytes off.
  virtual void on_log_room(const distributed::NodeId& peer,
                           std::uint64_t stream) = 0;
};

struct LinksOptions {
  Identity identity;
  /// Of ours; its node is that of the identity.
  Hello hello;
  /// None: nobody can connect to us.
  std::optional<LinkAddress> listen;
  LinkLimits limits;
  /// A peer that says nothing for half of it is pinged, and lost at its end.
  Duration idle_time = 10s;
  /// Accepted, and not up yet: more wait until the kernel takes them.
  std::size_t most_strangers = 64;
  /// Of both kinds; more are not accepted.
  std::size_t most_links = 4096;
  std::uint64_t seed = 0;  ///< For jitter.
};

/// All links of a node: listens, connects, checks who it is against the roster,
/// and lets each peer be sent to by its id. A peer has one link: of two nodes
/// the one with the smaller id connects, the other one waits for that; a new
/// connection of a peer takes the place of the one before, of which it may know
/// that it is gone.
///
/// Each has a bounded queue; nothing is kept for a peer that is not there. On
/// the I/O thread, and destroyed there, or while no thread runs the io_context,
/// which has to outlive it; that ends all links at once and without a word.
class Links {
 public:
  /// Listens, if that is wanted.
  ///
  /// Errors: corrupt (the identity), already_exists (the port is taken), those
  /// of the system.
  [[nodiscard]] static Result<std::unique_ptr<Links>> open(
      boost::asio::io_context& io, LinksOptions options,
      std::shared_ptr<const Roster> roster, LinksOwner& owner);

  Links(const Links&) = delete;
  Links& operator=(const Links&) = delete;
  ~Links();

  /// The address with the port that it has; none if it does not listen.
  [[nodiscard]] std::optional<LinkAddress> address() const;

  /// From now on those whom it does not have, has revoked, or has with another
  /// key are nobody: their links end before this returns. To be called with
  /// what the store says every 5 s, so that nobody stays for 10.
  void set_roster(std::shared_ptr<const Roster> roster);

  /// Keeps a link to `peer`, over all failures, until forget(). Does nothing if
  /// its id is smaller than ours: it connects to us. Another address takes the
  /// place of the one before at the next try.
  void want(const distributed::NodeId& peer, LinkAddress address);
  /// Ends a link in order, and does not connect again.
  void forget(const distributed::NodeId& peer);

  /// As LinkCore::send(). Errors also: not_found (no link to that peer).
  [[nodiscard]] Result<void> send(const distributed::NodeId& peer,
                                  const Message& message);
  /// As LinkCore::open_log(); the number of the stream.
  [[nodiscard]] Result<std::uint64_t> open_log(const distributed::NodeId& peer,
                                               const LogOpen& what,
                                               std::uint32_t window);
  /// As LinkCore::open_content(), likewise.
  [[nodiscard]] Result<std::uint64_t> open_content(
      const distributed::NodeId& peer, const ContentOpen& what,
      std::uint32_t window);
  void log_taken(const distributed::NodeId& peer, std::uint64_t stream,
                 std::uint32_t bytes);
  [[nodiscard]] std::uint32_t log_room(const distributed::NodeId& peer,
                                       std::uint64_t stream) const;
  [[nodiscard]] Result<void> send_log(const distributed::NodeId& peer,
                                      const LogChunk& chunk);
  void close_log(const distributed::NodeId& peer, std::uint64_t stream,
                 LogSide side, std::string reason);

  /// Reads nothing more of this peer, or goes on: for an owner that cannot take
  /// what comes. Who is paused for longer than the peer's idle time loses the
  /// link. Does not outlive the connection.
  void pause(const distributed::NodeId& peer, bool is_paused);

  /// Listens no more, and ends all links in order, each within
  /// LinkLimits::drain_within. on_down() tells of each; links() is 0 then.
  void drain();

  /// With those that are waiting, connecting and draining.
  [[nodiscard]] std::size_t links() const;
  /// Whether messages can be sent to it.
  [[nodiscard]] bool is_up(const distributed::NodeId& peer) const;
  [[nodiscard]] std::size_t up() const;

 private:
  class Set;
  class Link;
  explicit Links(std::shared_ptr<Set> set);

  std::shared_ptr<Set> set_;
};

}  // namespace troupe::link
