#include "defects.hpp"

#include <array>

namespace troupe::sim {
namespace {

struct Named {
  Defect defect;
  std::string_view name;
};

constexpr std::array defect_names{
    Named{Defect::none, "none"},
    Named{Defect::ack_before_commit, "ack_before_commit"},
    Named{Defect::no_submit_idempotency, "no_submit_idempotency"},
    Named{Defect::chunk_added_twice, "chunk_added_twice"},
    Named{Defect::claim_without_fence, "claim_without_fence"},
    Named{Defect::complete_without_token, "complete_without_token"},
    Named{Defect::at_most_once_queued_again, "at_most_once_queued_again"},
    Named{Defect::late_result_replaces_lost, "late_result_replaces_lost"},
    Named{Defect::release_without_claim_number, "release_without_claim_number"},
    Named{Defect::steals_what_is_claimed, "steals_what_is_claimed"},
    Named{Defect::answers_before_synced, "answers_before_synced"},
    Named{Defect::claims_listed_before_synced, "claims_listed_before_synced"},
    Named{Defect::eviction_leaves_rows, "eviction_leaves_rows"},
    Named{Defect::register_out_of_order, "register_out_of_order"},
    Named{Defect::expiry_by_store_clock, "expiry_by_store_clock"},
    Named{Defect::eviction_without_compare, "eviction_without_compare"},
    Named{Defect::renewal_does_not_count, "renewal_does_not_count"},
    Named{Defect::renewal_counted_from_answer, "renewal_counted_from_answer"},
    Named{Defect::evicts_after_half_the_time, "evicts_after_half_the_time"},
    Named{Defect::failed_read_does_not_reset, "failed_read_does_not_reset"},
    Named{Defect::no_self_fencing, "no_self_fencing"},
    Named{Defect::warden_forgets_at_agent_crash,
          "warden_forgets_at_agent_crash"},
    Named{Defect::warden_starts_after_deadline, "warden_starts_after_deadline"},
    Named{Defect::registers_before_confirmed, "registers_before_confirmed"},
    Named{Defect::starts_before_recorded, "starts_before_recorded"},
    Named{Defect::found_claims_forgotten, "found_claims_forgotten"},
    Named{Defect::adopts_what_was_given_back, "adopts_what_was_given_back"},
    Named{Defect::lost_claims_listed_once, "lost_claims_listed_once"},
    Named{Defect::lists_claims_beside_releases, "lists_claims_beside_releases"},
    Named{Defect::results_not_repeated, "results_not_repeated"},
    Named{Defect::forgets_to_give_back, "forgets_to_give_back"},
    Named{Defect::ends_before_it_knows, "ends_before_it_knows"},
    Named{Defect::warden_not_told_to_forget, "warden_not_told_to_forget"},
    Named{Defect::claims_beyond_slots, "claims_beyond_slots"},
    Named{Defect::ignores_resources, "ignores_resources"},
    Named{Defect::events_without_compare, "events_without_compare"},
    Named{Defect::step_has_two_jobs, "step_has_two_jobs"},
    Named{Defect::places_not_seen, "places_not_seen"},
    Named{Defect::news_not_seen, "news_not_seen"},
    Named{Defect::homeless_not_seen, "homeless_not_seen"},
    Named{Defect::moved_run_leaves_jobs, "moved_run_leaves_jobs"},
    Named{Defect::end_told_as_success, "end_told_as_success"},
    Named{Defect::view_without_compare, "view_without_compare"},
    Named{Defect::ring_by_own_seed, "ring_by_own_seed"},
};

}  // namespace

std::string_view to_string(Defect defect) {
  for (const Named& named : defect_names)
    if (named.defect == defect)
      return named.name;
  return "unknown";
}

std::optional<Defect> parse_defect(std::string_view name) {
  for (const Named& named : defect_names)
    if (named.name == name)
      return named.defect;
  return std::nullopt;
}

std::vector<Defect> all_defects() {
  std::vector<Defect> all;
  for (const Named& named : defect_names)
    if (named.defect != Defect::none)
      all.push_back(named.defect);
  return all;
}

}  // namespace troupe::sim
