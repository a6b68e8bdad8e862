#pragma once

#include <troupe/store/job.hpp>
#include <troupe/workflow/concurrency.hpp>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace troupe::node {

/// Which runs of a node may begin, by the concurrency groups of their
/// workflows. Pure; owned by the driver of the runs.
///
/// Runs ask in the order of their numbers, and not before all that were there
/// at the start are known: those that had begun are in their groups still.
class RunAdmission {
 public:
  using Limits = workflow::ConcurrencyLimits;

  struct Decision {
    store::RunId run;
    workflow::ConcurrencyGroups::Decision what;
    /// Who is to be cancelled so that there will be a place.
    std::vector<store::RunId> cancel{};
  };

  /// These were there at the start. Once, before anybody is let in.
  std::vector<Decision> expect(const std::vector<store::RunId>& runs);

  /// One of those is known now, or will never be. What is decided about those
  /// that have asked meanwhile.
  std::vector<Decision> on_known(store::RunId run);

  /// A run that has not begun wants to. What is decided now; about this one
  /// perhaps later.
  std::vector<Decision> ask(store::RunId run, const std::string& group,
                            const Limits& limits);

  /// One that has begun before the start. Repeating does nothing.
  void restore(store::RunId run, const std::string& group);

  /// One that has ended wants to go on, if there is a place now.
  [[nodiscard]] bool enter_again(store::RunId run, const std::string& group,
                                 Limits limits);

  /// It has ended. Who may begin then; nothing happens if it was in no group.
  std::vector<store::RunId> leave(store::RunId run);

  /// "waits for concurrency group "g", which r5 is in"; empty if it does not.
  [[nodiscard]] std::string what_awaits(store::RunId run) const;

 private:
  std::vector<Decision> decide();

  workflow::ConcurrencyGroups groups_;            ///< By the numbers of runs.
  std::map<store::RunId, std::string> group_of_;  ///< Of those in or waiting.
  std::set<store::RunId> waiting_;
  /// That have asked and have no decision yet.
  std::map<store::RunId, std::pair<std::string, Limits>> asked_;
  /// Of the start, those that are not known yet.
  std::optional<std::set<store::RunId>> unknown_;
};

/// "concurrency group "g"".
[[nodiscard]] std::string group_text(const std::string& group);

}  // namespace troupe::node
