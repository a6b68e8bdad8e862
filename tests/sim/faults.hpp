#pragma once

#include <troupe/base/random.hpp>
#include <troupe/base/time.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::sim {

/// What goes wrong; each is a bit of FaultSet.
enum class Fault : std::uint8_t {
  drop,        ///< A message gets lost.
  duplicate,   ///< A request is done twice.
  delay,       ///< A message takes up to 40 s.
  partition,   ///< A node and the store do not hear each other, or one does.
  pause,       ///< An agent stands still, and its warden does not.
  freeze,      ///< A host stands still with all that runs on it.
  crash,       ///< An agent dies; commands and warden go on.
  outage,      ///< Nobody reaches the store.
  clock_jump,  ///< Of the store, up to an hour.
  power_cut,   ///< The store loses what it has not answered yet.
  drain,       ///< No fault, but as inconvenient: a node leaves and comes back.
  removal,     ///< A host never comes back.
};

inline constexpr std::uint32_t fault_kinds = 12;

using FaultSet = std::uint32_t;
inline constexpr FaultSet all_faults = (1U << fault_kinds) - 1;

[[nodiscard]] constexpr FaultSet bit(Fault fault) {
  return 1U << static_cast<std::uint32_t>(fault);
}

[[nodiscard]] std::string_view to_string(Fault fault);
/// "drop delay".
[[nodiscard]] std::string to_string(FaultSet faults);

/// What a node is at when something that lay in wait for it goes wrong. By
/// chance alone that would be too rare: the moment is short, and something else
/// has to go wrong as well.
enum class Moment : std::uint8_t {
  registers,   ///< It asks the store for a session.
  renews,      ///< And for its right, with a long command that may be killed.
  starts,      ///< It has looked at the clock, and not told its warden yet.
  kills,       ///< Its warden has killed a command, and not told it yet.
  is_evicted,  ///< Another node asks the store for that.
  records,     ///< What has happened to a run, and has done nothing else yet.
};

inline constexpr std::uint32_t moments = 6;

/// "when it registers".
[[nodiscard]] std::string_view to_string(Moment moment);

/// What goes wrong then, beside a message that is late: half of the time what
/// does most harm, as far as is known, and else any fault.
struct Ambush {
  Moment moment = Moment::registers;
  Fault fault = Fault::pause;
  Duration length{0};        ///< Longer than a lease, most of the time.
  std::uint64_t chance = 0;  ///< As SimWorld::apply() takes it.
  Duration late{0};
  bool is_answer_late = false;  ///< And not the request.
};

/// The same with the fault that does most harm.
[[nodiscard]] Ambush worst(Ambush ambush);

/// Which faults there are in one run, and how many: a part of all kinds, since
/// what one kind brings to light another one hides (swarm testing; Groce et al.
/// 2012). A kind that is not `allowed` does not happen, and all others happen
/// as they would with it.
struct FaultPlan {
  FaultPlan(Random& random, FaultSet allowed);

  [[nodiscard]] bool has(Fault fault) const {
    return (kinds & bit(fault)) != 0;
  }

  FaultSet kinds = 0;
  std::uint64_t message_odds = 0;  ///< One message in so many gets lost.
  std::uint64_t delay_odds = 0;    ///< One in so many is late.
  std::uint32_t incidents = 0;     ///< All others, in the whole run.
  Duration longest{0};             ///< Of an incident but for outages.
};

inline constexpr Duration longest_delay = 40s;
inline constexpr Duration longest_outage = 40s;
/// Longer than a node waits for an answer, and lists what it has claimed.
inline constexpr Duration longest_sync = 12s;

}  // namespace troupe::sim
