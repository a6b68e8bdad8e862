#pragma once

/// A node as a member of a cluster: performs what the cores of `distributed`
/// decide about its session, those of others, and what all agree on.
#include "job_json.hpp"
#include "log_stream.hpp"
#include "member_store.hpp"
#include "steal_core.hpp"
#include "store_writer.hpp"

#include <troupe/api/json.hpp>
#include <troupe/distributed/eviction_core.hpp>
#include <troupe/distributed/lease_core.hpp>
#include <troupe/distributed/view_core.hpp>
#include <troupe/process/warden_runner.hpp>
#include <troupe/store/cluster_store.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace troupe::node {

using api::Json;

/// What the other nodes have to know of a session, as its detail in the store.
struct SessionDetail {
  std::string name;  ///< As it was enrolled.
  /// Its folder, until the host is started again: where two sessions have the
  /// same one, the commands of the earlier one are within reach of the other.
  std::string place;
  std::string version;              ///< Of troupe.
  std::string listen;               ///< Where its links are.
  std::uint64_t lease_ms = 60'000;  ///< The same for all.
  std::uint32_t slots = 1;
  std::uint32_t weight = distributed::full_weight;
  /// All that tasks can take there, with labels; empty if it does not say.
  std::string resources{};
  /// Whether it looks for what others record of runs that it drives.
  bool sees_runs = false;
  std::string zone{};
};

[[nodiscard]] std::string to_text(const SessionDetail& detail);

/// What is not there is as it is by default: a later version may say more, and
/// an earlier one less.
[[nodiscard]] SessionDetail parse_session_detail(const std::string& text);

/// What only this node has of, so that what takes some of it runs nowhere else.
[[nodiscard]] std::string home_resource(const distributed::NodeId& node);

struct MemberOptions {
  distributed::LeaseTerms terms{};
  distributed::NodeId self{};
  store::NewSession session{};  ///< Its node is `self`.
  SessionDetail detail{};       ///< As in the session.
  /// The session is in the store, and the warden may have commands of it.
  bool adopts = false;
  std::uint64_t seed = 0;
  /// With which it shows others who it is.
  std::string certificate_file{};
  std::optional<WallTime> certificate_until{};

  // On the I/O thread.

  /// Whether commands may be claimed and started; if not, whether those may
  /// that go on with what has begun here, for it is to leave.
  std::function<void(bool may, bool may_go_on)> on_right;
  std::function<void(std::shared_ptr<const distributed::Ring>)> on_ring;
  /// Who has a session, each time that this was read.
  std::function<void(const std::map<distributed::NodeId, SessionDetail>&)>
      on_sessions;
  /// Whether there is a link to that node.
  std::function<bool(const distributed::NodeId&)> is_linked;
  /// Whether it is revoked on the newest roster.
  std::function<bool(const distributed::NodeId&)> is_revoked;
  /// Whether it has said that something waits that it has no room for.
  std::function<std::optional<StealCore::Backlog>(const distributed::NodeId&)>
      backlog_of;
  /// It is to leave when what runs has ended; once.
  std::function<void()> on_drain;
  /// That takes too long: what runs is about to be ended.
  std::function<void()> on_drain_over;
  /// Others may have started its commands again: all of them are to end, and a
  /// session of another warden may begin then.
  std::function<void()> on_evicted;
  /// It has left the cluster, or may not be in it, and why.
  std::function<void(std::optional<Error>)> on_left;
};

/// On the I/O thread. What it refers to outlives it.
class Member : public std::enable_shared_from_this<Member> {
 public:
  /// `connection` is for its calls alone.
  Member(boost::asio::io_context& io, StoreWriter& store,
         std::unique_ptr<store::SqlStore> connection,
         process::WardenRunner& runner, MemberOptions options);

  void begin();

  /// Nothing runs and all is recorded: ends the session, and calls on_left.
  void leave();

  /// Starts nothing more, and leaves when what runs has ended, or at the latest
  /// after `within`, if that is said. Then leave() is to be called.
  void drain(std::optional<Duration> within);
  /// Tells another node to do so, which hears of it with its next renewal; by
  /// its name or id. `done` on the I/O thread.
  ///
  /// Errors, by `done`: not_found (it has no session), those of the store.
  void drain_other(const std::string& node,
                   std::function<void(Result<void>)> done);
  /// Many nodes are gone at once, and somebody has seen to it that they are:
  /// lets any number of sessions be evicted, for so long. The others hold on to
  /// their limit.
  void consent(Duration within);
  /// Whether that is this node.
  [[nodiscard]] bool is_self(const std::string& node) const;
  /// The node that has such a session, or such a name, and is there now.
  [[nodiscard]] std::optional<distributed::NodeId> find_node(
      const LogOwner& owner) const;

  /// Whether the owner of a shard has what each task takes; also if nobody
  /// knows.
  [[nodiscard]] bool fits_in(std::uint32_t shard,
                             const flow_control::Resources& takes) const;
  /// Of each of up to `most` nodes that have what each task takes, or of all if
  /// none has it, a shard; see distributed::spread_shards(). None while nobody
  /// knows who is there. May be called on any thread.
  using Spreading = std::function<std::vector<std::uint32_t>(
      const std::string& key, const flow_control::Resources& takes,
      std::size_t most)>;
  /// By the nodes that are there now.
  [[nodiscard]] Spreading spreading() const;
  /// How a job of these shards is placed.
  [[nodiscard]] Placement placement(const std::vector<std::uint32_t>& shards,
                                    const flow_control::Resources& takes) const;
  /// Who looks first into a shard; empty if nobody knows.
  [[nodiscard]] std::string owner_name(std::uint32_t shard) const;
  /// Of a session that is there; else empty.
  [[nodiscard]] std::string name_of(const store::SessionId& session) const;
  /// For how long a session has not been renewed, if two renewals are missing.
  /// None if this node cannot know.
  [[nodiscard]] std::optional<Duration> silence_of(
      const store::SessionId& session) const;

  /// Gives the store a newer roster, if there is one, and asks for one with a
  /// number greater than `known`. `then` is called if the store has answered.
  void ask_for_roster(
      std::uint64_t known, std::optional<store::KnownRoster> news,
      std::function<void(std::optional<store::KnownRoster>)> then);

  /// In which shard jobs with this key wait, and which node looks there first.
  [[nodiscard]] Json owner_of(const std::string& key) const;

  /// How it stands, and who else is there, for people and programs.
  [[nodiscard]] Json status() const;

  /// Somebody knows this view: reads the newest one if that is news.
  void hear_of_view(std::uint64_t number);
  [[nodiscard]] std::uint64_t view_number() const {
    return views_.view().number;
  }
  /// Of the newest view; null before the first one.
  [[nodiscard]] const std::shared_ptr<const distributed::Ring>& ring() const {
    return ring_;
  }
  [[nodiscard]] const distributed::NodeId& self() const {
    return options_.self;
  }
  /// Of group default, of which each node has its own.
  [[nodiscard]] std::uint32_t slots() const { return options_.detail.slots; }
  /// Says once more what was said last, to whoever has not heard it.
  void repeat() const;

 private:
  using LeaseCore = distributed::LeaseCore;
  using EvictionCore = distributed::EvictionCore;

  struct Peer {
    std::string name;
    std::string zone;
    flow_control::Resources capacity;
    bool is_known = false;  ///< What it has.

    [[nodiscard]] bool fits(const flow_control::Resources& takes) const {
      return is_known && !capacity.lacks(takes);
    }
  };
  using Peers = std::map<distributed::NodeId, Peer>;

  /// All that happens does so through here.
  template <class F>
  void run(F event);
  /// As MemberStore::ask(), with an answer that comes through run().
  template <class F, class Then>
  void ask(Duration patience, F work, Then then);
  /// On the connection of the jobs.
  template <class F, class Then>
  void ask_among_jobs(F work, Then then);

  void obey(const LeaseCore::Actions& actions);
  void obey(const EvictionCore::Actions& actions);
  void confirm(std::uint64_t number);
  void register_session(std::uint64_t number);
  void renew(const LeaseCore::Renew& action);
  void fence(LeaseCore::Loss loss);
  void retire();
  void read(const EvictionCore::Read& action);
  void on_sessions(std::uint64_t number,
                   const std::vector<store::SessionInfo>& sessions);
  void evict(const EvictionCore::Evict& action);
  void read_view();
  void learn(const store::AgreedView& agreed);
  void propose();
  void set_right(bool is_held);
  void plan();
  /// Who looks first into a shard; null if nobody knows.
  [[nodiscard]] const Peer* find_owner(std::uint32_t shard) const;
  [[nodiscard]] Placement::Standing standing_of(
      const distributed::NodeId& node, const Peer& peer,
      const flow_control::Resources& takes) const;
  [[nodiscard]] const store::SessionInfo* find_session(
      const std::string& node) const;

  boost::asio::io_context& io_;
  StoreWriter& store_;
  MemberStore own_store_;
  process::WardenRunner& runner_;
  MemberOptions options_;
  LeaseCore lease_;
  EvictionCore janitor_;
  distributed::ViewCore views_;
  boost::asio::steady_timer timer_;
  std::vector<store::SessionInfo> sessions_;  ///< At the last read.
  /// Likewise, with ourselves.
  std::shared_ptr<const Peers> peers_ = std::make_shared<const Peers>();
  std::shared_ptr<const distributed::Ring> ring_;
  bool has_right_ = false;
  bool may_go_on_ = false;
  bool is_reading_view_ = false;
  bool is_over_ = false;
  bool has_told_drain_ = false;
};

}  // namespace troupe::node
