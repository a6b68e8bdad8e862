#pragma once

#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>
#include <troupe/service/service_tree.hpp>
#include <troupe/supervisor/backoff_span.hpp>
#include <troupe/supervisor/child_spec.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::service {

/// One start of a service, and what the next start waits for.
struct ForeseenStart {
  enum class Until : std::uint8_t {
    started,
    ready,     ///< As its probe finds.
    finished,  ///< It is a preparation.
  };

  std::string service;  ///< Its path.
  Until until = Until::started;
  std::string probe;  ///< "http", "exec", ..; empty without a probe.

  friend bool operator==(const ForeseenStart&, const ForeseenStart&) = default;
};

/// What becomes of a group when one child of it ends whenever it has been
/// started.
enum class GroupFate : std::uint8_t {
  goes_on = 1,     ///< It does not start the child again, and lives on.
  keeps_on,        ///< It starts the child again and again for ever.
  holds,           ///< Uses up its budget, and waits for hold-for.
  stops,           ///< Uses up its budget, and waits for somebody.
  gives_up,        ///< Uses up its budget and ends, which is a clean end.
  ends,            ///< At once, cleanly: the child is significant.
  fails_to_start,  ///< The child is a preparation, at the first start.
};

/// "gives_up".
[[nodiscard]] std::string_view to_string(GroupFate fate);

/// What one supervisor does. Services are named by their paths, in order.
struct GroupForecast {
  std::string group;  ///< Its path; empty for the root.
  std::string child;  ///< Path of the child that ends.
  supervisor::Restart restart = supervisor::Restart::permanent;  ///< Of it.
  supervisor::Strategy strategy = supervisor::Strategy::one_for_one;
  int intensity = 0;
  Duration period{0};
  Duration hold_for{0};
  GroupFate fate = GroupFate::goes_on;
  /// False if chance decides whether the budget is used up: some waits are
  /// short enough for that, others are not.
  bool is_certain = true;

  // At the first end of the child, if it is started again:

  /// Before the first restart and before the last one that is allowed; zero
  /// without back-off.
  supervisor::DurationRange first_wait;
  supervisor::DurationRange last_wait;
  std::vector<std::string> stopped;
  std::vector<ForeseenStart> started;
  /// Among `stopped`: not started again, since they are temporary.
  std::vector<std::string> lost;

  /// What is stopped last, when the group ends or waits.
  std::vector<std::string> stopped_at_end;
  /// From the first end of the child within one life of the group to the end of
  /// that life: waits only, stops and starts come on top.
  supervisor::DurationRange span;
};

/// What a child that ends whenever it has been started leads to.
struct WhatIf {
  std::string child;  ///< Its path.
  bool is_group = false;
  /// Of a group: what ends with it, in this order.
  std::vector<std::string> contents;
  /// From the group around the child outward, as far as something comes of it;
  /// the last fate is that of the whole.
  std::vector<GroupForecast> groups;
  /// How often the child is started until then, counting its first start, if
  /// each period is long enough. Nullopt for no end of it;
  /// `most_counted_starts` stands for all that is more.
  std::optional<std::uint64_t> starts;
  /// From its first end until then: waits only.
  supervisor::DurationRange span;

  /// Whether the whole stack ends.
  [[nodiscard]] bool ends_stack() const;
};

inline constexpr std::uint64_t most_counted_starts = 1'000'000'000'000'000'000;

/// Foresees what happens if the service `child`, named by its path as in
/// "loaders/loaders-1", crashes each time after it has started, while all else
/// is well: all that is to run runs, and preparations have finished. A
/// preparation fails instead when it is started for the first time. A group
/// ends each time as if it had given up. Pure.
///
/// Errors: not_found, with "did you mean"; invalid_argument for a group that
/// does not end when it gives up.
[[nodiscard]] Result<WhatIf> what_if_dies(const GroupNode& root,
                                          const std::string& child);

}  // namespace troupe::service
