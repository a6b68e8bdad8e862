#pragma once

#include <troupe/store/job.hpp>
#include <troupe/workflow/concurrency.hpp>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace troupe::node {

/// Which runs may begin, by the concurrency groups of their workflows. Pure;
/// owned by the driver of the runs.
///
/// The runs of all nodes that share a store stand in one line for each group,
/// in the order of their numbers: those that have begun are in, the others
/// wait. From that follows, each time anew and at each node alike, what becomes
/// of the runs that this node drives. What it knows of the others may be old,
/// so whoever records that a run begins looks once more (RunPlace).
class RunAdmission {
 public:
  using Limits = workflow::ConcurrencyLimits;

  /// What there is to know of a run that has not ended.
  struct Run {
    std::string group{};  ///< Empty if it is in none, or nobody can say.
    Limits limits{};
    bool is_ours = true;
    bool has_begun = false;
  };

  enum class What : std::uint8_t {
    enter,
    skip,        ///< There is no place, and that is no failure.
    fail,        ///< Or one.
    queue_full,  ///< There is none, and too many wait.
    cancel,      ///< It is in, and another one is to have its place.
  };
  struct Decision {
    store::RunId run;
    What what = What::enter;

    friend bool operator==(const Decision&, const Decision&) = default;
  };

  /// All runs that have not ended, and whether they have begun. Those of others
  /// that are not among them have ended.
  void see(const std::map<store::RunId, bool>& open);

  /// Of which nobody has told what there is to know: before that nothing is
  /// decided.
  [[nodiscard]] const std::set<store::RunId>& unknown() const {
    return unknown_;
  }
  void know(store::RunId run, Run what);

  /// It has ended, or is not ours any more.
  void forget(store::RunId run);

  /// What becomes of our runs now; each is said once.
  [[nodiscard]] std::vector<Decision> decide();

  /// Whether one that has ended may go on at once; then it is in.
  [[nodiscard]] bool enter_again(store::RunId run, const std::string& group,
                                 const Limits& limits, bool is_ours = true);

  /// "waits for concurrency group "g", which r5 is in"; empty if it does not.
  [[nodiscard]] std::string what_awaits(store::RunId run) const;

  /// Whether what others do concerns one of our runs.
  [[nodiscard]] bool has_ours() const;

  /// Runs that have not ended, for whoever looks once more: in this group, and
  /// in none or another one.
  [[nodiscard]] std::set<store::RunId> runs_in(const std::string& group) const;
  [[nodiscard]] std::set<store::RunId> runs_outside(
      const std::string& group) const;
  [[nodiscard]] std::set<store::RunId> begun() const;

 private:
  struct Known {
    Run run;
    bool is_waiting = false;    ///< It was decided that it waits.
    bool is_cancelled = false;  ///< That was decided.
    bool is_refused = false;    ///< Likewise.
  };
  struct Line {
    std::uint32_t limit = 1;
    std::vector<store::RunId> in;
    std::vector<store::RunId> waiting;
  };

  [[nodiscard]] std::map<std::string, Line> lines() const;
  void decide(const Line& line, std::vector<Decision>& decisions);

  std::map<store::RunId, Known> runs_;
  std::set<store::RunId> unknown_;
  bool has_seen_ = false;
};

/// "concurrency group "g"".
[[nodiscard]] std::string group_text(const std::string& group);

}  // namespace troupe::node
