#include "cluster_links.hpp"

#include "member_start.hpp"

#include <troupe/base/log.hpp>
#include <troupe/base/overload.hpp>
#include <troupe/base/text.hpp>
#include <troupe/node/machine.hpp>

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <random>
#include <sys/stat.h>
#include <utility>
#include <variant>
#include <vector>

namespace troupe::node {
namespace {

using distributed::NodeId;

constexpr std::uint64_t refusals_per_minute = 60;
constexpr std::uint64_t refusal_burst = 20;
/// Submissions come in crowds: one hint is for all of them.
constexpr Duration hint_pause = 5ms;

/// Revocations: one is enough to have others look at all of the roster.
constexpr std::size_t most_told = 16;
/// Between two looks at the roster, whoever asks for one.
constexpr Duration shortest_roster_pause = 100ms;

/// Differs when the file was replaced or written to; empty without one.
std::string stamp_of(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0)
    return {};
  return fmt::format("{}.{}.{}.{}.{}", info.st_ino, info.st_size, info.st_mode,
                     info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
}

}  // namespace

Result<std::optional<link::Identity>> ClusterLinks::identity(
    const NodeConfig& config) {
  if (config.listen.empty())
    return std::optional<link::Identity>{};
  auto identity = link::ClusterFolder{config.cluster_folder}.identity(
      std::chrono::system_clock::now());
  if (!identity)
    return tl::unexpected(std::move(identity.error()).within("listen"));
  return std::optional{std::move(*identity)};
}

ClusterLinks::ClusterLinks(boost::asio::io_context& io, std::string folder,
                           NodeId self, std::uint32_t slots,
                           ClusterLinksDeps deps)
    : folder_{std::move(folder)},
      self_{self},
      deps_{std::move(deps)},
      steal_{slots},
      timer_{io},
      hint_timer_{io},
      refusals_{
          {.tokens = refusals_per_minute, .per = 1min, .burst = refusal_burst},
          std::chrono::steady_clock::now()} {}

Result<std::unique_ptr<ClusterLinks>> ClusterLinks::start(
    boost::asio::io_context& io, const NodeConfig& config,
    link::Identity identity, std::string session, std::string version,
    ClusterLinksDeps deps) {
  auto address = link::parse_link_address(config.listen);
  if (!address)
    return tl::unexpected(std::move(address.error()).within("listen"));
  std::unique_ptr<ClusterLinks> all{new ClusterLinks{
      io, config.cluster_folder, identity.node,
      config.slots != 0 ? config.slots : processors(), std::move(deps)}};
  all->look_at_file();
  auto links = link::Links::open(io,
                                 {.identity = std::move(identity),
                                  .hello = {.protocols = link::own_protocols,
                                            .session = std::move(session),
                                            .version = std::move(version)},
                                  .listen = std::move(*address),
                                  .seed = std::random_device{}()},
                                 all->roster_, *all);
  if (!links)
    return tl::unexpected(std::move(links.error()).within("listen"));
  all->links_ = std::move(*links);
  all->logs_ = std::make_unique<LinkLogs>(
      io, *all->links_, all->deps_.serve_log, all->deps_.serve_content);
  log(LogLevel::info, fmt::format("links_listen address={}", all->address()));
  all->look_again_after(roster_pause);
  return all;
}

void ClusterLinks::look_again_after(Duration pause) {
  timer_.expires_after(pause);
  timer_.async_wait([this](const auto& cancelled) {
    if (cancelled)
      return;
    look_at_roster();
    look_again_after(roster_pause);
  });
}

std::string ClusterLinks::address() const {
  return to_string(links_->address().value());
}

ClusterLinks::~ClusterLinks() {
  // What it still tells of goes to what is not there any more.
  logs_.reset();
  links_.reset();
}

void ClusterLinks::look_at_roster() {
  looked_at_ = std::chrono::steady_clock::now();
  look_at_file();
  if (!ask_store_)
    return;
  ask_store_(
      roster_->number(), news_,
      [this, told = news_](const std::optional<store::KnownRoster>& known) {
        // There may be others meanwhile, which it does not have.
        if (news_ == told)
          news_.reset();
        tell_revoked();
        if (known)
          take_known(*known);
        // Only now, so that the others hear of it as well.
        if (auto own = check_not_revoked(*roster_, self_); !own)
          deps_.on_revoked(std::move(own.error()));
      });
}

/// Who has heard of it has it from the store at once; who has not, with its
/// next look.
void ClusterLinks::tell_revoked() {
  for (const NodeId& node : std::exchange(revoked_, {})) {
    for (const auto& [peer, listen] : peers_) {
      if (links_->is_up(peer))
        (void)links_->send(peer, link::Revocation{node});
    }
  }
}

void ClusterLinks::on_revocation(const NodeId& node) {
  const link::RosterEntry* const entry = roster_->find(node);
  if (entry == nullptr || entry->is_revoked)
    return;
  const Duration since = std::chrono::steady_clock::now() - looked_at_;
  look_again_after(std::max(shortest_roster_pause - since, Duration{0}));
}

void ClusterLinks::take_known(const store::KnownRoster& known) {
  auto roster = link::parse_roster(known.what);
  if (roster && roster->number() == known.number) {
    take_roster(std::move(*roster));
    return;
  }
  log(LogLevel::error,
      fmt::format(
          "roster_refused number={} reason={}", known.number,
          shell_quote(roster ? "it has another number" : roster.error().what)));
}

/// One that cannot be read changes nothing: nobody is let in by that.
void ClusterLinks::look_at_file() {
  const std::string path = folder_.path() + "/roster.json";
  std::string stamp = stamp_of(path);
  if (stamp == seen_ && !stamp.empty())
    return;
  const bool is_news = stamp != seen_ || links_ == nullptr;
  seen_ = std::move(stamp);
  auto roster = folder_.roster();
  if (!roster || !*roster) {
    if (is_news)
      log(LogLevel::warn,
          fmt::format("roster_missing reason={}",
                      shell_quote(roster ? fmt::format("there is no {}", path)
                                         : roster.error().what)));
    return;
  }
  if ((*roster)->number() > roster_->number()) {
    news_ = {(*roster)->number(), to_json(**roster)};
    for (const link::RosterEntry& entry : (*roster)->entries()) {
      const link::RosterEntry* const before = roster_->find(entry.node);
      if (entry.is_revoked && before != nullptr && !before->is_revoked &&
          revoked_.size() < most_told)
        revoked_.push_back(entry.node);
    }
  }
  take_roster(std::move(**roster));
}

/// The authority counts its rosters; those of versions that did not are all
/// alike, and the last one is taken.
void ClusterLinks::take_roster(link::Roster roster) {
  if (roster.number() < roster_->number() || roster == *roster_)
    return;
  roster_ = std::make_shared<const link::Roster>(std::move(roster));
  log(LogLevel::info,
      fmt::format("roster_read number={} nodes={}", roster_->number(),
                  roster_->entries().size()));
  if (links_)
    links_->set_roster(roster_);
}

void ClusterLinks::set_peers(const std::map<NodeId, std::string>& peers) {
  if (is_draining_)
    return;
  for (const auto& [node, before] : peers_) {
    if (!peers.contains(node))
      links_->forget(node);
  }
  for (const auto& [node, listen] : peers) {
    const auto before = peers_.find(node);
    if (before != peers_.end() && before->second == listen)
      continue;
    // A later version may say it in another way; then it connects to us.
    if (auto address = link::parse_link_address(listen))
      links_->want(node, std::move(*address));
  }
  peers_ = peers;
}

void ClusterLinks::tell_owners(const std::vector<std::uint32_t>& shards,
                               std::shared_ptr<const distributed::Ring> ring) {
  const bool is_first = hints_.empty();
  for (const std::uint32_t shard : shards) {
    const auto owner = ring->owner(shard);
    if (owner && *owner != self_ && links_->is_up(*owner))
      hints_[*owner].insert(shard);
  }
  if (!is_first || hints_.empty())
    return;
  hint_timer_.expires_after(hint_pause);
  hint_timer_.async_wait([this](const auto& cancelled) {
    if (!cancelled)
      send_hints();
  });
}

/// Who does not hear of it looks within a second anyway.
void ClusterLinks::send_hints() {
  for (auto& [node, all] : std::exchange(hints_, {})) {
    std::vector<std::uint32_t> shards{all.begin(), all.end()};
    shards.resize(std::min(shards.size(), link::most_shards));
    (void)links_->send(node, link::Hint{std::move(shards)});
  }
}

void ClusterLinks::on_look(StealCore::Look look) {
  steal_.on_look(std::move(look));
  gossip();
}

std::optional<StealCore::Backlog> ClusterLinks::backlog_of(
    const NodeId& peer) const {
  return steal_.backlog_of(peer, std::chrono::steady_clock::now());
}

void ClusterLinks::on_view(std::uint64_t number) {
  steal_.on_view(number);
  gossip();
}

/// Who has no link does without.
void ClusterLinks::gossip() {
  const TimePoint now = std::chrono::steady_clock::now();
  if (const auto load = steal_.tell(now)) {
    for (const auto& [node, listen] : peers_) {
      if (links_->is_up(node))
        (void)links_->send(node, *load);
    }
  }
  for (const NodeId& node : steal_.ask(now))
    (void)links_->send(node, link::StealAsk{});
}

void ClusterLinks::drain() {
  is_draining_ = true;
  links_->drain();
}

void ClusterLinks::on_up(const NodeId& peer, const link::Hello& hello) {
  log(LogLevel::info, fmt::format("link_up node={} version={}", to_string(peer),
                                  shell_quote(printable(hello.version))));
}

void ClusterLinks::on_message(const NodeId& peer, link::Message message) {
  std::visit(
      Overload{
          [&](link::Hint& m) {
            log(LogLevel::debug, fmt::format("hint_heard node={} shards={}",
                                             to_string(peer), m.shards.size()));
            deps_.on_hint(std::move(m.shards));
          },
          [&](const link::Load& m) {
            steal_.on_load(peer, m, std::chrono::steady_clock::now());
            deps_.on_view(m.view);
            gossip();
          },
          [&](const link::StealAsk&) {
            if (const auto offer = steal_.offer(); !offer.shards.empty())
              (void)links_->send(peer, offer);
          },
          [&](link::StealOffer& m) {
            log(LogLevel::debug, fmt::format("steal_offered node={} shards={}",
                                             to_string(peer), m.shards.size()));
            deps_.on_offer(std::move(m.shards));
          },
          [&](const link::Revocation& m) {
            log(LogLevel::debug,
                fmt::format("revocation_heard node={} revoked={}",
                            to_string(peer), to_string(m.node)));
            on_revocation(m.node);
          },
          [&](const link::LogOpen& m) { logs_->on_open(peer, m); },
          [&](const link::ContentOpen& m) { logs_->on_open(peer, m); },
          [&](const link::LogChunk& m) { logs_->on_chunk(peer, m); },
          [&](const link::LogClose& m) { logs_->on_close(peer, m); },
          [&](const auto&) {
            // Of a later version, or its core has dealt with it.
            log(LogLevel::debug,
                fmt::format("link_message node={} kind={}", to_string(peer),
                            static_cast<unsigned>(kind_of(message))));
          }},
      message);
}

void ClusterLinks::on_down(const std::optional<NodeId>& peer,
                           const std::string& from, link::LinkEnd end,
                           const std::string& reason, bool was_up) {
  if (peer)
    steal_.forget(*peer);
  if (peer && logs_)
    logs_->on_down(*peer);
  if (was_up && peer) {
    log(LogLevel::info,
        fmt::format("link_down node={} end={} reason={}", to_string(*peer),
                    to_string(end), shell_quote(printable(reason))));
    return;
  }
  if (refusals_.try_take(1, std::chrono::steady_clock::now()))
    log(LogLevel::info,
        fmt::format("link_refused from={} end={} reason={}", from,
                    to_string(end), shell_quote(printable(reason))));
}

void ClusterLinks::on_room(const NodeId& peer) { logs_->on_room(peer); }

void ClusterLinks::on_log_room(const NodeId& peer, std::uint64_t stream) {
  logs_->on_log_room(peer, stream);
}

}  // namespace troupe::node
