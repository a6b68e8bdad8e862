#include "steal_core.hpp"

#include <algorithm>
#include <utility>

namespace troupe::node {

using distributed::NodeId;

void StealCore::on_look(Look look) {
  look_ = std::move(look);
  if (!look_.is_hungry)
    asking_pause_ = pause;
  look_.spare.resize(std::min(look_.spare.size(), link::most_shards));
}

void StealCore::on_load(const NodeId& peer, const link::Load& load,
                        TimePoint now) {
  if (load.has_backlog)
    peers_[peer] = {load.waiting, load.is_held, now};
  else
    peers_.erase(peer);
}

std::optional<link::Load> StealCore::tell(TimePoint now) {
  const link::Load load{
      .slots = slots_,
      .waiting = static_cast<std::uint32_t>(look_.spare.size()),
      .has_backlog = !look_.spare.empty(),
      .view = view_,
      .is_held = look_.is_held};
  const bool is_news = !told_ || told_->has_backlog != load.has_backlog ||
                       told_->view != load.view ||
                       told_->is_held != load.is_held;
  const Duration since = told_ ? now - told_at_ : telling_pause;
  if (since < pause ||
      (!is_news && (!load.has_backlog || since < telling_pause)))
    return std::nullopt;
  told_ = load;
  told_at_ = now;
  return load;
}

std::optional<StealCore::Backlog> StealCore::backlog_of(const NodeId& peer,
                                                        TimePoint now) const {
  const auto found = peers_.find(peer);
  if (found == peers_.end() || now - found->second.heard > 3 * telling_pause)
    return std::nullopt;
  return Backlog{found->second.is_held};
}

std::vector<NodeId> StealCore::ask(TimePoint now) {
  if (!look_.is_hungry || (asked_at_ && now - *asked_at_ < asking_pause_))
    return {};
  std::erase_if(peers_, [now](const auto& entry) {
    return now - entry.second.heard > 3 * telling_pause;
  });
  std::vector<std::pair<std::uint32_t, NodeId>> loaded;
  for (const auto& [node, peer] : peers_)
    loaded.emplace_back(peer.waiting, node);
  std::sort(loaded.rbegin(), loaded.rend());
  loaded.resize(std::min(loaded.size(), most_asked));
  std::vector<NodeId> asked;
  asked.reserve(loaded.size());
  for (const auto& [waiting, node] : loaded)
    asked.push_back(node);
  if (!asked.empty()) {
    asking_pause_ = asked_at_
                        ? std::min<Duration>(2 * asking_pause_, longest_pause)
                        : pause;
    asked_at_ = now;
  }
  return asked;
}

link::StealOffer StealCore::offer() const { return {look_.spare}; }

}  // namespace troupe::node
