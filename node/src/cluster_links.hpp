#pragma once

/// The links of a node to others of its cluster: listens, looks at the roster,
/// keeps a link to each of those who have a session, and carries over them what
/// saves time: hints where there is work, who has too much of it, news of
/// views, and output of commands.
#include "link_logs.hpp"
#include "steal_core.hpp"

#include <troupe/base/error.hpp>
#include <troupe/distributed/ring.hpp>
#include <troupe/flow_control/token_bucket.hpp>
#include <troupe/link/cluster_folder.hpp>
#include <troupe/link/links.hpp>
#include <troupe/link/roster.hpp>
#include <troupe/node/node_config.hpp>
#include <troupe/store/cluster_store.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace troupe::node {

/// How often the roster is looked at, in the folder and in the store: whoever
/// is revoked is out in less than three times that, and sooner where there is a
/// link to the node that saw it first.
inline constexpr Duration roster_pause = 2s;

/// What is done with what comes over links. On the I/O thread.
struct ClusterLinksDeps {
  /// Others say that there may be something to start in these shards.
  std::function<void(std::vector<std::uint32_t> shards)> on_hint;
  /// And that they have no room for it.
  std::function<void(std::vector<std::uint32_t> shards)> on_offer;
  /// Somebody knows this view.
  std::function<void(std::uint64_t number)> on_view;
  /// This node was revoked; the store knows of it. More than once.
  std::function<void(Error why)> on_revoked;
  LinkLogs::Serve serve_log;
  LinkLogs::ServeContent serve_content;
};

/// Lets nodes of the cluster in, and keeps in touch with them. On the I/O
/// thread, which it keeps for the time that it takes to read the roster, if
/// that has changed.
class ClusterLinks final : public link::LinksOwner {
 public:
  /// Who this node is, if `config` wants it to listen; none if it does not.
  /// Nothing has been opened before this is known.
  ///
  /// Errors: those of ClusterFolder::identity(), with the setting.
  [[nodiscard]] static Result<std::optional<link::Identity>> identity(
      const NodeConfig& config);

  /// Errors: those of Links::open(), with the setting.
  [[nodiscard]] static Result<std::unique_ptr<ClusterLinks>> start(
      boost::asio::io_context& io, const NodeConfig& config,
      link::Identity identity, std::string session, std::string version,
      ClusterLinksDeps deps);

  ClusterLinks(const ClusterLinks&) = delete;
  ClusterLinks& operator=(const ClusterLinks&) = delete;
  /// Ends all links at once.
  ~ClusterLinks() override;

  /// Where others can connect to.
  [[nodiscard]] std::string address() const;

  /// Who has a session, and where it listens; without ourselves.
  void set_peers(const std::map<distributed::NodeId, std::string>& peers);

  /// Asks the store what it knows of the roster: gives it `news`, if there are
  /// any, and tells of one with a number greater than `known`; nothing if it
  /// does not answer.
  using AskStore = std::function<void(
      std::uint64_t known, std::optional<store::KnownRoster> news,
      std::function<void(std::optional<store::KnownRoster>)> then)>;
  void set_store(AskStore ask) { ask_store_ = std::move(ask); }

  /// Something that can start has come into these shards: tells their owners,
  /// soon, if they are others.
  void tell_owners(const std::vector<std::uint32_t>& shards,
                   std::shared_ptr<const distributed::Ring> ring);

  /// The dispatcher has looked for work.
  void on_look(StealCore::Look look);
  /// As StealCore::backlog_of().
  [[nodiscard]] std::optional<StealCore::Backlog> backlog_of(
      const distributed::NodeId& peer) const;
  /// The newest view that this node knows.
  void on_view(std::uint64_t number);

  /// As LinkLogs::open().
  [[nodiscard]] std::shared_ptr<RemoteLog> open_log(
      const distributed::NodeId& peer, const link::LogOpen& what) {
    return logs_->open(peer, what);
  }
  /// As LinkLogs::open_content().
  [[nodiscard]] std::shared_ptr<RemoteLog> open_content(
      const distributed::NodeId& peer, const link::ContentOpen& what) {
    return logs_->open_content(peer, what);
  }

  [[nodiscard]] bool is_up(const distributed::NodeId& peer) const {
    return links_->is_up(peer);
  }

  /// On the newest roster that this node knows.
  [[nodiscard]] bool is_revoked(const distributed::NodeId& peer) const {
    return roster_->is_revoked(peer);
  }

  /// Listens no more, and ends all links in order.
  void drain();

  // LinksOwner
  void on_up(const distributed::NodeId& peer,
             const link::Hello& hello) override;
  void on_message(const distributed::NodeId& peer,
                  link::Message message) override;
  void on_down(const std::optional<distributed::NodeId>& peer,
               const std::string& from, link::LinkEnd end,
               const std::string& reason, bool was_up) override;
  void on_room(const distributed::NodeId& peer) override;
  void on_log_room(const distributed::NodeId& peer,
                   std::uint64_t stream) override;

 private:
  ClusterLinks(boost::asio::io_context& io, std::string folder,
               distributed::NodeId self, std::uint32_t slots,
               ClusterLinksDeps deps);
  void look_at_roster();
  void look_at_file();
  void take_known(const store::KnownRoster& known);
  void take_roster(link::Roster roster);
  void look_again_after(Duration pause);
  void on_revocation(const distributed::NodeId& node);
  void tell_revoked();
  void send_hints();
  void gossip();

  link::ClusterFolder folder_;
  const distributed::NodeId self_;
  ClusterLinksDeps deps_;
  std::shared_ptr<const link::Roster> roster_ =
      std::make_shared<const link::Roster>();
  /// Of the folder, and the store may not have it yet.
  std::optional<store::KnownRoster> news_;
  /// Others are told of these when the store has the news.
  std::vector<distributed::NodeId> revoked_;
  TimePoint looked_at_{};
  std::string seen_;  ///< Of the file: what changes when it does.
  AskStore ask_store_;
  std::map<distributed::NodeId, std::string> peers_;
  /// By whom to tell.
  std::map<distributed::NodeId, std::set<std::uint32_t>> hints_;
  StealCore steal_;
  bool is_draining_ = false;
  std::unique_ptr<link::Links> links_;
  std::unique_ptr<LinkLogs> logs_;  ///< Uses the links.
  boost::asio::steady_timer timer_;
  boost::asio::steady_timer hint_timer_;
  /// Whoever can reach the port can make lines.
  flow_control::TokenBucket refusals_;
};

}  // namespace troupe::node
