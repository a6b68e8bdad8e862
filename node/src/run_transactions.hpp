#pragma once

/// What a driver of runs does to the store. Each function is a part of one
/// transaction, or all of it: for the thread of the store, and to be done again
/// if it is not known whether it was done. All errors are those of the store.
#include "run_core.hpp"
#include "run_history.hpp"
#include "run_spec.hpp"

#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>
#include <troupe/store/store.hpp>
#include <troupe/workflow/model.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace troupe::node {

/// Whether asking once more may help.
[[nodiscard]] bool may_pass(const Error& error);

// -- What there is -----------------------------------------------------------

/// Runs that have not ended.
[[nodiscard]] Result<std::vector<store::RunId>> find_open_runs(
    store::Store& store);

/// Where a run is driven, as far as these events tell.
struct RunHome {
  std::uint64_t events = 0;
  std::string home{};  ///< RunSpec::home; empty if they do not tell it.
};
/// Of runs that have not ended. Of those in `known` only later events are read.
[[nodiscard]] Result<std::map<store::RunId, RunHome>> find_homes(
    store::Store& store, const std::map<store::RunId, std::uint64_t>& known);

struct RunNewsSeen {
  std::map<store::RunId, std::uint64_t> open{};  ///< With the number of events.
  store::RunId newest{};                         ///< Of all.
};
[[nodiscard]] Result<RunNewsSeen> find_news(store::Store& store);

struct RunsToLeave {
  std::map<store::RunId, std::uint64_t> open{};  ///< With the number of events.
  std::size_t waiting = 0;                       ///< Tasks that go on here.
};
[[nodiscard]] Result<RunsToLeave> find_what_stays(store::Store& store,
                                                  const std::string& home);

/// How many of these are at hand in this session, or have ended here.
[[nodiscard]] Result<std::size_t> count_begun(
    store::Store& store,
    const std::vector<std::pair<store::RunId, StepKey>>& steps,
    const store::SessionId& session, const std::string& home);

/// Runs that have not ended, and whether they have begun; of `begun` that is
/// known.
[[nodiscard]] Result<std::map<store::RunId, bool>> find_places(
    store::Store& store, const std::set<store::RunId>& begun);

/// The run with all that has happened to it.
[[nodiscard]] Result<KeptRun> load_kept(store::Store& store, store::RunId run);

/// The last runs of the workflow at `file` that have ended, as far as the
/// bounds on what is looked at let.
[[nodiscard]] Result<std::vector<KeptRun>> find_earlier(
    store::Store& store, const std::string& file);

/// The runs of the workflow at `file` that have ended and are not to be kept.
[[nodiscard]] Result<std::vector<store::RunId>> find_expired(
    store::Store& store, const std::string& file,
    const workflow::Retention& retention, WallTime now);

[[nodiscard]] Result<bool> has_group(store::Store& store,
                                     const std::string& name);

// -- What happens ------------------------------------------------------------

/// What the store must agree to before a run of one of several nodes begins.
struct RunPlace {
  std::string group;
  std::uint32_t limit = 1;
  std::set<store::RunId> rivals;     ///< Known to be of the same group.
  std::set<store::RunId> strangers;  ///< Known not to be.
  std::set<store::RunId> begun;      ///< Known to have begun.
};

/// An event of a run, what is to be done with it, or both.
struct RunWrite {
  store::RunId run;
  std::optional<store::RunEvent> event;
  store::RunState state = store::RunState::running;
  store::RunCounts counts;
  std::vector<std::pair<StepKey, store::NewJob>> submit;
  std::vector<StepKey> cancel;
  std::vector<RunStepEnded> refused;  ///< No node could run them.
  /// Those that the event is to be told by.
  std::vector<RunCore::NoticeJob> notices;
  std::string moved_from;  ///< RunSpec::home before, if the event is a move.
  std::string moved_to;
  /// What runs its services, as the node that drives it now runs them.
  std::optional<store::NewJob> moved_services{};
  /// Jobs, by their request ids, that do not move along.
  std::set<std::string> staying{};
  /// Of these steps, what they hand on of what they print.
  std::map<StepKey, std::vector<workflow::PrintedOutput>> printed;
  std::optional<RunPlace> place;  ///< If it is to take one.
};

/// What has come of it.
struct RunWriteOutcome {
  std::vector<std::pair<StepKey, store::JobId>> submitted;
  std::vector<StepKey> known;  ///< Of these, whose jobs were there before.
  std::vector<store::JobId> cancelled;
  std::vector<store::AttemptRef> to_stop;
  /// Steps that had ended, or cannot be submitted.
  std::vector<RunStepEnded> ended;
  bool has_notices = false;
  /// Another node has recorded another event in its place: nothing was done.
  bool is_overtaken = false;
  /// Runs of other nodes have the places of its group: likewise.
  bool has_no_place = false;
};

/// Does it, or what of it has not been done.
[[nodiscard]] Result<RunWriteOutcome> perform(store::Store& store,
                                              const RunWrite& write,
                                              const std::string& output_folder,
                                              WallTime now);

/// Ends a run that this version does not understand; what of it runs is to be
/// stopped.
///
/// Errors: invalid_argument (it has ended).
[[nodiscard]] Result<std::vector<store::AttemptRef>> cancel_unread(
    store::Store& store, store::RunId run, WallTime now);

}  // namespace troupe::node
