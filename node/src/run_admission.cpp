#include "run_admission.hpp"

#include "run_spec.hpp"

#include <troupe/base/text.hpp>

#include <fmt/format.h>

namespace troupe::node {
namespace {

using GroupDecision = workflow::ConcurrencyGroups::Decision;
using store::RunId;

constexpr std::size_t longest_group_name = 60;

std::vector<RunId> to_runs(const std::vector<std::uint64_t>& numbers) {
  std::vector<RunId> runs;
  for (const std::uint64_t number : numbers)
    runs.push_back(RunId{number});
  return runs;
}

}  // namespace

std::string group_text(const std::string& group) {
  return fmt::format("concurrency group \"{}\"",
                     ellipsize(printable(group), longest_group_name));
}

std::vector<RunAdmission::Decision> RunAdmission::expect(
    const std::vector<RunId>& runs) {
  unknown_.emplace(runs.begin(), runs.end());
  return decide();
}

std::vector<RunAdmission::Decision> RunAdmission::on_known(RunId run) {
  if (!unknown_ || unknown_->erase(run) == 0)
    return {};
  return decide();
}

std::vector<RunAdmission::Decision> RunAdmission::ask(RunId run,
                                                      const std::string& group,
                                                      const Limits& limits) {
  asked_.insert_or_assign(run, std::pair{group, limits});
  return decide();
}

std::vector<RunAdmission::Decision> RunAdmission::decide() {
  if (!unknown_ || !unknown_->empty())
    return {};
  std::vector<Decision> decisions;
  for (const auto& [run, wish] : std::exchange(asked_, {})) {
    const auto& [group, limits] = wish;
    const auto answer = groups_.ask(group, run.value, limits);
    decisions.push_back({run, answer.decision, to_runs(answer.cancel)});
    if (answer.decision == GroupDecision::wait)
      waiting_.insert(run);
    if (answer.decision == GroupDecision::wait ||
        answer.decision == GroupDecision::enter)
      group_of_[run] = group;
  }
  return decisions;
}

void RunAdmission::restore(RunId run, const std::string& group) {
  if (group_of_.emplace(run, group).second)
    groups_.restore(group, run.value);
}

bool RunAdmission::enter_again(RunId run, const std::string& group,
                               Limits limits) {
  if (group_of_.contains(run))
    return true;
  limits.on_conflict = workflow::OnConflict::fail;
  if (groups_.ask(group, run.value, limits).decision != GroupDecision::enter)
    return false;
  group_of_[run] = group;
  return true;
}

std::vector<RunId> RunAdmission::leave(RunId run) {
  asked_.erase(run);
  waiting_.erase(run);
  const auto place = group_of_.extract(run);
  if (!place)
    return {};
  auto next = to_runs(groups_.leave(place.mapped(), run.value));
  for (const RunId one : next)
    waiting_.erase(one);
  return next;
}

std::string RunAdmission::what_awaits(RunId run) const {
  if (!waiting_.contains(run))
    return {};
  const std::string& group = group_of_.at(run);
  std::string others;
  std::size_t count = 0;
  for (const auto& [other, its_group] : group_of_) {
    if (its_group == group && !waiting_.contains(other))
      others += fmt::format("{}{}", ++count == 1 ? "" : ", ", run_name(other));
  }
  return fmt::format("waits for {}, which {} {} in", group_text(group), others,
                     count == 1 ? "is" : "are");
}

}  // namespace troupe::node
