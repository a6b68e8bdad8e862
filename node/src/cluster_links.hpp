#pragma once

/// The links of a node to others of its cluster: listens, and looks at the
/// roster.
#include <troupe/base/error.hpp>
#include <troupe/flow_control/token_bucket.hpp>
#include <troupe/link/cluster_folder.hpp>
#include <troupe/link/links.hpp>
#include <troupe/node/node_config.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <memory>
#include <optional>
#include <string>

namespace troupe::node {

/// How often the roster is looked at: whoever is revoked is out in twice that.
inline constexpr Duration roster_pause = 5s;

/// Lets nodes of the cluster in and greets them. On the I/O thread, which it
/// keeps for the time that it takes to read the roster, if that has changed.
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
      link::Identity identity, std::string session, std::string version);

  ClusterLinks(const ClusterLinks&) = delete;
  ClusterLinks& operator=(const ClusterLinks&) = delete;
  /// Ends all links at once.
  ~ClusterLinks() override = default;

  /// Listens no more, and ends all links in order.
  void drain() { links_->drain(); }

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
  ClusterLinks(boost::asio::io_context& io, std::string folder);
  void look_at_roster();
  void keep_looking();

  link::ClusterFolder folder_;
  std::shared_ptr<const link::Roster> roster_ =
      std::make_shared<const link::Roster>();
  std::string seen_;  ///< Of the file: what changes when it does.
  std::unique_ptr<link::Links> links_;
  boost::asio::steady_timer timer_;
  /// Whoever can reach the port can make lines.
  flow_control::TokenBucket refusals_;
};

}  // namespace troupe::node
