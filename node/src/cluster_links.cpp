#include "cluster_links.hpp"

#include <troupe/base/log.hpp>
#include <troupe/base/text.hpp>

#include <chrono>
#include <fmt/format.h>
#include <random>
#include <sys/stat.h>
#include <utility>

namespace troupe::node {
namespace {

using distributed::NodeId;

constexpr std::uint64_t refusals_per_minute = 60;
constexpr std::uint64_t refusal_burst = 20;

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

ClusterLinks::ClusterLinks(boost::asio::io_context& io, std::string folder)
    : folder_{std::move(folder)},
      timer_{io},
      refusals_{
          {.tokens = refusals_per_minute, .per = 1min, .burst = refusal_burst},
          std::chrono::steady_clock::now()} {}

Result<std::unique_ptr<ClusterLinks>> ClusterLinks::start(
    boost::asio::io_context& io, const NodeConfig& config,
    link::Identity identity, std::string session, std::string version) {
  auto address = link::parse_link_address(config.listen);
  if (!address)
    return tl::unexpected(std::move(address.error()).within("listen"));
  std::unique_ptr<ClusterLinks> all{
      new ClusterLinks{io, config.cluster_folder}};
  all->look_at_roster();
  auto links = link::Links::open(
      io,
      {.identity = std::move(identity),
       .hello = {.session = std::move(session), .version = std::move(version)},
       .listen = std::move(*address),
       .seed = std::random_device{}()},
      all->roster_, *all);
  if (!links)
    return tl::unexpected(std::move(links.error()).within("listen"));
  all->links_ = std::move(*links);
  log(LogLevel::info, fmt::format("links_listen address={}",
                                  to_string(all->links_->address().value())));
  all->keep_looking();
  return all;
}

void ClusterLinks::keep_looking() {
  timer_.expires_after(roster_pause);
  timer_.async_wait([this](const auto& cancelled) {
    if (cancelled)
      return;
    look_at_roster();
    keep_looking();
  });
}

/// One that cannot be read changes nothing: nobody is let in by that.
void ClusterLinks::look_at_roster() {
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
  roster_ = std::make_shared<const link::Roster>(std::move(**roster));
  log(LogLevel::info,
      fmt::format("roster_read nodes={}", roster_->entries().size()));
  if (links_)
    links_->set_roster(roster_);
}

void ClusterLinks::on_up(const NodeId& peer, const link::Hello& hello) {
  log(LogLevel::info, fmt::format("link_up node={} version={}", to_string(peer),
                                  shell_quote(printable(hello.version))));
}

void ClusterLinks::on_message(const NodeId& peer, link::Message message) {
  // Hints may get lost, and nobody here has a use for them yet.
  log(LogLevel::debug,
      fmt::format("link_message node={} kind={}", to_string(peer),
                  static_cast<unsigned>(kind_of(message))));
}

void ClusterLinks::on_down(const std::optional<NodeId>& peer,
                           const std::string& from, link::LinkEnd end,
                           const std::string& reason, bool was_up) {
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

void ClusterLinks::on_room(const NodeId&) {}

void ClusterLinks::on_log_room(const NodeId&, std::uint64_t) {}

}  // namespace troupe::node
