#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace troupe::sim {

/// What can be made wrong on purpose, to see whether that would be found. Each
/// is built into the simulation, between a core and what performs its actions
/// or into the model of the store, and none into the cores.
enum class Defect : std::uint8_t {
  none,

  // Submitting.
  ack_before_commit,      ///< Whoever submits is told before the job is sealed.
  no_submit_idempotency,  ///< A repeated request is another job.
  chunk_added_twice,      ///< A repeated chunk adds its tasks again.

  // The store and its tokens.
  claim_without_fence,           ///< A session that has ended may claim.
  complete_without_token,        ///< A result counts whoever tells it.
  at_most_once_queued_again,     ///< By an eviction, although it had started.
  late_result_replaces_lost,     ///< What was recorded as lost is opened again.
  release_without_claim_number,  ///< One that is late ends a later claim.
  steals_what_is_claimed,        ///< What a peer has not begun is taken.
  answers_before_synced,         ///< Whoever asked is told too early.
  claims_listed_before_synced,   ///< They may be lost, and their tasks run.
  eviction_leaves_rows,          ///< What the session had is not queued again.
  register_out_of_order,  ///< A late registration ends the newer session.

  // Leases and evictions.
  expiry_by_store_clock,        ///< Sessions end by the time of the store.
  eviction_without_compare,     ///< Whatever the counter is by then.
  renewal_does_not_count,       ///< The counter of a session stands still.
  renewal_counted_from_answer,  ///< For the renewal that was sent last.
  evicts_after_half_the_time,   ///< One janitor has other terms.
  failed_read_does_not_reset,   ///< It is taken for what was read before.

  // Commands.
  no_self_fencing,                ///< The warden is not told when to kill.
  warden_forgets_at_agent_crash,  ///< When to kill.
  warden_starts_after_deadline,   ///< Whatever an agent that stood still sends.
  registers_before_confirmed,     ///< Commands of the session before may live.
  starts_before_recorded,  ///< At most once, and the store does not know it.

  // What gets lost.
  found_claims_forgotten,        ///< Claims whose answer was lost stay so.
  adopts_what_was_given_back,    ///< A list of claims is believed, old or not.
  lost_claims_listed_once,       ///< One that happens later is never found.
  lists_claims_beside_releases,  ///< What is on its way is not waited for.
  results_not_repeated,          ///< They are told to the store once.
  forgets_to_give_back,          ///< Tasks leave the node, and not the store.
  ends_before_it_knows,          ///< What its session has and its warden runs.
  warden_not_told_to_forget,  ///< It takes the next attempt for the last one.

  // What there is of something.
  claims_beyond_slots,  ///< Of a group, as if they were for each node.
  ignores_resources,    ///< A node takes what it lacks something for.

  // Runs of workflows.
  events_without_compare,  ///< A driver is told that its event has a place.
  step_has_two_jobs,       ///< Each time that it is submitted.
  places_not_seen,         ///< Of a concurrency group, those that are taken.
  news_not_seen,           ///< What others record of a run of ours.
  homeless_not_seen,       ///< Nobody takes over what a node has left.
  moved_run_leaves_jobs,   ///< They wait for a node that is gone.
  end_told_as_success,     ///< Of a step, however it was.

  // Views.
  view_without_compare,  ///< Two views have the same number.
  ring_by_own_seed,      ///< A node reckons with other parameters.
};

[[nodiscard]] std::string_view to_string(Defect defect);
[[nodiscard]] std::optional<Defect> parse_defect(std::string_view name);

/// All but none.
[[nodiscard]] std::vector<Defect> all_defects();

}  // namespace troupe::sim
