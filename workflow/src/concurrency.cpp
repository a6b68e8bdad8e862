#include <troupe/workflow/concurrency.hpp>

#include <algorithm>

namespace troupe::workflow {

ConcurrencyGroups::Answer ConcurrencyGroups::ask(
    const std::string& name, std::uint64_t who,
    const ConcurrencyLimits& limits) {
  Group& group = groups_[name];
  group.limit = std::max<std::uint32_t>(1, limits.limit);
  if (group.running.size() < group.limit && group.waiting.empty()) {
    group.running.push_back(who);
    return {Decision::enter};
  }
  if (limits.on_conflict == OnConflict::skip)
    return {Decision::skip};
  if (limits.on_conflict == OnConflict::fail)
    return {Decision::fail};
  if (group.waiting.size() >= limits.queue)
    return {Decision::queue_full};
  group.waiting.emplace(next_ticket_, who);
  group.tickets.emplace(who, next_ticket_);
  ++next_ticket_;
  Answer answer{Decision::wait};
  if (limits.on_conflict != OnConflict::cancel_running)
    return answer;
  // As many places as are wanted, less those that will be free anyway.
  for (const std::uint64_t one : group.running) {
    if (group.told.size() >= group.waiting.size())
      break;
    if (group.told.insert(one).second)
      answer.cancel.push_back(one);
  }
  return answer;
}

std::vector<std::uint64_t> ConcurrencyGroups::leave(const std::string& name,
                                                    std::uint64_t who) {
  const auto found = groups_.find(name);
  if (found == groups_.end())
    return {};
  Group& group = found->second;
  if (const auto ticket = group.tickets.find(who);
      ticket != group.tickets.end()) {
    group.waiting.erase(ticket->second);
    group.tickets.erase(ticket);
  } else {
    std::erase(group.running, who);
    group.told.erase(who);
  }
  std::vector<std::uint64_t> enter;
  while (group.running.size() < group.limit && !group.waiting.empty()) {
    const std::uint64_t next = group.waiting.begin()->second;
    group.waiting.erase(group.waiting.begin());
    group.tickets.erase(next);
    group.running.push_back(next);
    enter.push_back(next);
  }
  if (group.running.empty())
    groups_.erase(found);
  return enter;
}

void ConcurrencyGroups::restore(const std::string& name, std::uint64_t who) {
  groups_[name].running.push_back(who);
}

std::size_t ConcurrencyGroups::running(const std::string& name) const {
  const auto found = groups_.find(name);
  return found == groups_.end() ? 0 : found->second.running.size();
}

std::size_t ConcurrencyGroups::waiting(const std::string& name) const {
  const auto found = groups_.find(name);
  return found == groups_.end() ? 0 : found->second.waiting.size();
}

}  // namespace troupe::workflow
