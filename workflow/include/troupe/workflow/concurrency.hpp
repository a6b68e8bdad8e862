#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace troupe::workflow {

/// What becomes of who wants a place in a group that has none.
enum class OnConflict : std::uint8_t {
  queue,           ///< It waits for one.
  cancel_running,  ///< It waits, and who is in longest is to be cancelled.
  skip,            ///< It does not run, and that is no failure.
  fail,            ///< It fails.
};

/// The limits of a group, as whoever wants in has them written.
struct ConcurrencyLimits {
  std::uint32_t limit = 1;    ///< In at the same time.
  std::uint32_t queue = 100;  ///< Most that wait; one more fails.
  OnConflict on_conflict = OnConflict::queue;

  friend bool operator==(const ConcurrencyLimits&,
                         const ConcurrencyLimits&) = default;
};

/// Who may be at work at the same time: of runs, or of jobs of a run. Groups
/// have names; who is in or waits has a number. First come, first served. Pure;
/// each call costs the logarithm of what there is. Owned by whoever applies it.
class ConcurrencyGroups {
 public:
  enum class Decision : std::uint8_t { enter, wait, skip, fail, queue_full };

  struct Answer {
    Decision decision = Decision::enter;
    /// Who is to be cancelled so that there will be a place. They are in until
    /// they leave, and are named once only.
    std::vector<std::uint64_t> cancel{};
  };

  /// `who` wants a place in `group`. The limits of the last one who asked count
  /// from then on.
  [[nodiscard]] Answer ask(const std::string& group, std::uint64_t who,
                           const ConcurrencyLimits& limits);

  /// `who` is in no more, or waits no more. Who may enter now, in order.
  [[nodiscard]] std::vector<std::uint64_t> leave(const std::string& group,
                                                 std::uint64_t who);

  /// Puts one in that was in before a restart of whoever owns this.
  void restore(const std::string& group, std::uint64_t who);

  [[nodiscard]] std::size_t running(const std::string& group) const;
  [[nodiscard]] std::size_t waiting(const std::string& group) const;

 private:
  struct Group {
    std::uint32_t limit = 1;
    std::deque<std::uint64_t> running;               ///< The longest first.
    std::set<std::uint64_t> told;                    ///< To be cancelled.
    std::map<std::uint64_t, std::uint64_t> waiting;  ///< By ticket.
    std::map<std::uint64_t, std::uint64_t> tickets;  ///< By who waits.
  };

  std::map<std::string, Group> groups_;  ///< With somebody in or waiting.
  std::uint64_t next_ticket_ = 0;
};

}  // namespace troupe::workflow
