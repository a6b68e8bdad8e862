#include <troupe/distributed/view_core.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace troupe::distributed {
namespace {

bool precedes(const Member& a, const Member& b) { return a.node < b.node; }

const Member* find_member(const View& view, const NodeId& node) {
  const auto found = std::lower_bound(view.members.begin(), view.members.end(),
                                      Member{.node = node}, precedes);
  return found == view.members.end() || found->node != node ? nullptr : &*found;
}

}  // namespace

ViewCore::ViewCore(Config config)
    : config_{config}, ring_{std::make_shared<const Ring>(ring_of(view_))} {}

void ViewCore::on_view(const View& view, TimePoint now) {
  if (knows_view_ && view.number <= view_.number)
    return;
  knows_view_ = true;
  view_ = view;
  ring_ = std::make_shared<const Ring>(ring_of(view_));
  std::map<NodeId, TimePoint> joining_from;
  for (const Member& member : view_.members) {
    if (member.state != MemberState::joining)
      continue;
    const auto known = joining_from_.find(member.node);
    joining_from.emplace(member.node,
                         known == joining_from_.end() ? now : known->second);
  }
  joining_from_ = std::move(joining_from);
  next_proposal_ = view_.number == 0 ? now : now + config_.pause;
  differs_from_.reset();
  own_turn_ = own_turn();
  plan(now);
}

void ViewCore::on_nodes(std::vector<Member> nodes, TimePoint now) {
  knows_nodes_ = true;
  nodes_ = std::move(nodes);
  std::erase_if(nodes_, [](const Member& node) { return !check(node); });
  std::sort(nodes_.begin(), nodes_.end(), precedes);
  if (nodes_.size() > most_nodes)
    nodes_.resize(most_nodes);
  plan(now);
}

void ViewCore::forget_nodes() {
  knows_nodes_ = false;
  differs_from_.reset();
  wake_at_.reset();
}

std::optional<View> ViewCore::on_time(TimePoint now) {
  plan(now);
  if (!differs_from_ || now < *wake_at_)
    return std::nullopt;
  next_proposal_ = now + config_.pause;
  wake_at_ = next_proposal_;
  return wanted(now);
}

View ViewCore::wanted(TimePoint now) const {
  View next{.number = view_.number + 1, .ring = view_.ring};
  std::size_t on_ring = 0;
  for (const Member& node : nodes_) {
    Member member = node;
    member.state = wanted_state(node, find_member(view_, node.node), now);
    on_ring += member.state == MemberState::draining ? 0U : 1U;
    next.members.push_back(std::move(member));
  }
  next.ring.virtual_nodes =
      virtual_nodes_for(on_ring, view_.ring.virtual_nodes);
  return next;
}

MemberState ViewCore::wanted_state(const Member& node, const Member* old,
                                   TimePoint now) const {
  if (node.state == MemberState::draining)
    return MemberState::draining;
  // Where there was nobody, somebody has to take it all at once.
  if (old == nullptr)
    return view_.members.empty() ? MemberState::active : MemberState::joining;
  switch (old->state) {
    case MemberState::joining:
      return now >= joining_from_.at(node.node) + config_.joining_time
                 ? MemberState::active
                 : MemberState::joining;
    case MemberState::active:
      return MemberState::active;
    case MemberState::draining:  // It is back, with a session of its own.
      return MemberState::joining;
  }
  return MemberState::joining;
}

Duration ViewCore::own_turn() const {
  const auto order =
      ring_->clockwise(fmt::format("view {}", view_.number + 1), most_turns);
  const auto own = std::find(order.begin(), order.end(), config_.self);
  return config_.turn * (own - order.begin());
}

void ViewCore::plan(TimePoint now) {
  wake_at_.reset();
  if (!knows_view_ || !knows_nodes_)
    return;
  const View next = wanted(now);
  // A zone goes with the next change: nodes of a version that knows none would
  // take it out again.
  const bool has_same_members = std::equal(
      next.members.begin(), next.members.end(), view_.members.begin(),
      view_.members.end(), [](const Member& a, const Member& b) {
        return a.node == b.node && a.weight == b.weight && a.state == b.state;
      });
  if (!has_same_members || next.ring != view_.ring) {
    differs_from_ = differs_from_.value_or(now);
    wake_at_ = std::max(next_proposal_, *differs_from_ + own_turn_);
    return;
  }
  differs_from_.reset();
  for (const auto& [node, from] : joining_from_) {
    const TimePoint active_at = from + config_.joining_time;
    wake_at_ = wake_at_ ? std::min(*wake_at_, active_at) : active_at;
  }
}

}  // namespace troupe::distributed
