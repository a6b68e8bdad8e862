#include "run_admission.hpp"

#include "run_spec.hpp"

#include <troupe/base/text.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace troupe::node {
namespace {

using store::RunId;
using workflow::OnConflict;

constexpr std::size_t longest_group_name = 60;

}  // namespace

std::string group_text(const std::string& group) {
  return fmt::format("concurrency group \"{}\"",
                     ellipsize(printable(group), longest_group_name));
}

void RunAdmission::see(const std::map<RunId, bool>& open) {
  has_seen_ = true;
  std::erase_if(runs_, [&](const auto& entry) {
    return !entry.second.run.is_ours && !open.contains(entry.first);
  });
  unknown_.clear();
  for (const auto& [run, has_begun] : open) {
    const auto found = runs_.find(run);
    if (found == runs_.end())
      unknown_.insert(run);
    else if (!found->second.run.is_ours)
      found->second.run.has_begun |= has_begun;
  }
}

void RunAdmission::know(RunId run, Run what) {
  unknown_.erase(run);
  const auto found = runs_.find(run);
  if (found == runs_.end())
    runs_.emplace(run, Known{std::move(what)});
  else if (!found->second.run.is_ours)
    found->second = {std::move(what)};
  else
    found->second.run = std::move(what);
}

void RunAdmission::forget(RunId run) {
  unknown_.erase(run);
  runs_.erase(run);
}

/// The limits of the newest run count.
std::map<std::string, RunAdmission::Line> RunAdmission::lines() const {
  std::map<std::string, Line> lines;
  for (const auto& [id, known] : runs_) {
    if (known.run.group.empty() || known.is_refused)
      continue;
    Line& line = lines[known.run.group];
    line.limit = std::max<std::uint32_t>(1, known.run.limits.limit);
    (known.run.has_begun ? line.in : line.waiting).push_back(id);
  }
  return lines;
}

std::vector<RunAdmission::Decision> RunAdmission::decide() {
  std::vector<Decision> decisions;
  if (!has_seen_ || !unknown_.empty())
    return decisions;
  for (const auto& [group, line] : lines())
    decide(line, decisions);
  return decisions;
}

void RunAdmission::decide(const Line& line, std::vector<Decision>& decisions) {
  std::size_t in = line.in.size();
  std::size_t waiting = 0;
  std::size_t wanted = 0;  // Places, by those who take them from others.
  for (const RunId id : line.waiting) {
    Known& known = runs_.at(id);
    const bool is_ours = known.run.is_ours;
    const auto refuse = [&](What what) {
      known.is_refused = is_ours;
      if (is_ours)
        decisions.push_back({id, what});
    };
    if (in < line.limit && waiting == 0) {
      ++in;
      if (!is_ours)
        continue;  // Its node lets it in.
      known.run.has_begun = true;
      known.is_waiting = false;
      decisions.push_back({id, What::enter});
    } else if (known.is_waiting) {
      ++waiting;
    } else if (known.run.limits.on_conflict == OnConflict::skip) {
      refuse(What::skip);
    } else if (known.run.limits.on_conflict == OnConflict::fail) {
      refuse(What::fail);
    } else if (waiting >= known.run.limits.queue) {
      refuse(What::queue_full);
    } else {
      ++waiting;
      known.is_waiting = true;
    }
    if (known.is_waiting &&
        known.run.limits.on_conflict == OnConflict::cancel_running)
      wanted = waiting;
  }
  for (std::size_t i = 0; i < std::min(wanted, line.in.size()); ++i) {
    Known& known = runs_.at(line.in[i]);
    if (known.run.is_ours && !std::exchange(known.is_cancelled, true))
      decisions.push_back({line.in[i], What::cancel});
  }
}

bool RunAdmission::enter_again(RunId run, const std::string& group,
                               const Limits& limits, bool is_ours) {
  if (const auto found = runs_.find(run);
      found != runs_.end() && found->second.run.has_begun)
    return true;
  const auto all = lines();
  if (const auto found = all.find(group); found != all.end()) {
    const Line& line = found->second;
    if (!line.waiting.empty() ||
        line.in.size() >= std::max<std::uint32_t>(1, limits.limit))
      return false;
  }
  know(run, {.group = group,
             .limits = limits,
             .is_ours = is_ours,
             .has_begun = true});
  return true;
}

std::string RunAdmission::what_awaits(RunId run) const {
  const auto found = runs_.find(run);
  if (found == runs_.end() || !found->second.is_waiting)
    return {};
  const std::string& group = found->second.run.group;
  const auto all = lines();
  const std::vector<RunId>& in = all.at(group).in;
  std::string others;
  for (const RunId other : in)
    others += fmt::format("{}{}", others.empty() ? "" : ", ", run_name(other));
  if (others.empty())
    return fmt::format("waits for {}", group_text(group));
  return fmt::format("waits for {}, which {} {} in", group_text(group), others,
                     in.size() == 1 ? "is" : "are");
}

bool RunAdmission::has_ours() const {
  return std::any_of(runs_.begin(), runs_.end(), [](const auto& entry) {
    return entry.second.run.is_ours && !entry.second.run.group.empty();
  });
}

std::set<RunId> RunAdmission::runs_in(const std::string& group) const {
  std::set<RunId> runs;
  for (const auto& [id, known] : runs_) {
    if (known.run.group == group)
      runs.insert(id);
  }
  return runs;
}

std::set<RunId> RunAdmission::runs_outside(const std::string& group) const {
  std::set<RunId> runs;
  for (const auto& [id, known] : runs_) {
    if (known.run.group != group)
      runs.insert(id);
  }
  return runs;
}

std::set<RunId> RunAdmission::begun() const {
  std::set<RunId> runs;
  for (const auto& [id, known] : runs_) {
    if (known.run.has_begun)
      runs.insert(id);
  }
  return runs;
}

}  // namespace troupe::node
