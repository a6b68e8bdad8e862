#include "faults.hpp"

#include <array>

namespace troupe::sim {

std::string_view to_string(Fault fault) {
  static constexpr std::array<std::string_view, fault_kinds> names{
      "drop",  "duplicate", "delay",      "partition", "pause", "freeze",
      "crash", "outage",    "clock_jump", "power_cut", "drain", "removal"};
  return names.at(static_cast<std::size_t>(fault));
}

std::string to_string(FaultSet faults) {
  std::string all;
  for (std::uint32_t i = 0; i < fault_kinds; ++i) {
    const auto fault = static_cast<Fault>(i);
    if ((faults & bit(fault)) == 0)
      continue;
    all += all.empty() ? "" : " ";
    all += to_string(fault);
  }
  return all.empty() ? "none" : all;
}

std::string_view to_string(Moment moment) {
  static constexpr std::array<std::string_view, moments> names{
      "when it registers", "when it renews",     "when it starts",
      "when it kills",     "when it is evicted", "when it records"};
  return names.at(static_cast<std::size_t>(moment));
}

Ambush worst(Ambush ambush) {
  switch (ambush.moment) {
    case Moment::records:
      // It does not come to the rest.
    case Moment::registers:
      // The next agent registers before that arrives.
      ambush.fault = Fault::crash;
      ambush.chance = 1;
      break;
    case Moment::renews:
      // That answer is the last one, on both ways.
      ambush.fault = Fault::partition;
      ambush.chance = 0;
      break;
    case Moment::starts:
      // Its right may have ended when it goes on.
    case Moment::kills:
      // It hears of that when the store has heard of it.
    case Moment::is_evicted:
      // It goes on when its eviction is under way.
      ambush.fault = Fault::pause;
      break;
  }
  return ambush;
}

FaultPlan::FaultPlan(Random& random, FaultSet allowed) {
  static constexpr std::array<std::uint64_t, 3> odds{4, 20, 100};
  static constexpr std::array<Duration, 3> lengths{30s, 90s, 180s};
  kinds = static_cast<FaultSet>(random.next() >> 32) & all_faults & allowed;
  message_odds = odds.at(random.next() % odds.size());
  delay_odds = odds.at(random.next() % odds.size());
  incidents = static_cast<std::uint32_t>(5 + random.next() % 60);
  longest = lengths.at(random.next() % lengths.size());
}

}  // namespace troupe::sim
