#pragma once

/// What `troupe test` decides: when to kill what, whether all has come to rest,
/// and whether the supervisors did what was expected of them.
#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>
#include <troupe/service/availability.hpp>
#include <troupe/service/service_core.hpp>
#include <troupe/service/service_tree.hpp>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::cli {

/// A service that is killed, so long after all are ready.
struct DrillKill {
  std::string service;
  Duration at{0};

  friend bool operator==(const DrillKill&, const DrillKill&) = default;
};

/// "db@3s", or "db" for at once.
///
/// Errors: invalid_argument, with "did you mean".
[[nodiscard]] Result<DrillKill> parse_kill(std::string_view text,
                                           const service::GroupNode& root);

/// What the supervisors should do.
struct Expectation {
  enum class Kind : std::uint8_t {
    restarted,
    not_restarted,
    one_for_one,
    rest_for_one,
    one_for_all,
    gives_up,
    ready_within,
    stays_up,
    as_predicted,
  };

  Kind kind = Kind::stays_up;
  std::string text;     ///< As written.
  std::string subject;  ///< A path; empty for the whole stack.
  Duration limit{0};    ///< Of ready_within.
};

/// "rest_for_one from db", "not restarted api", "ready within 5s", ..
///
/// Errors: invalid_argument, with "did you mean".
[[nodiscard]] Result<Expectation> parse_expectation(
    std::string_view text, const service::GroupNode& root);

struct DrillPlan {
  std::vector<DrillKill> kills;
  std::vector<Expectation> expectations;
  Duration longest = 10s;  ///< From the last kill to the end of all waiting.
};

/// Whether `plan` makes sense. Without expectations it gets some: a drill with
/// one kill is to go as predicted, any other not to end the stack.
///
/// Errors: invalid_argument.
[[nodiscard]] Result<void> complete(DrillPlan& plan);

/// How an expectation turned out.
struct DrillVerdict {
  std::string text;  ///< Of the expectation.
  bool passed = false;
  std::string why;  ///< What happened instead; empty if it passed.
};

/// One drill, as a machine: what happens goes in, and what is to be done is
/// asked for after each event. No clock, no process. Times are of any clock
/// that does not jump.
class Drill {
 public:
  /// `plan` is complete(). The services start `now`.
  Drill(std::shared_ptr<const service::GroupNode> root, DrillPlan plan,
        TimePoint now);

  // What happens. Of one event in the order of StackNews.

  void on_launched(const std::string& service, TimePoint now);
  void on_ready(const std::string& service, TimePoint now);
  void on_ended(const std::string& service, const service::ServiceEnd& end,
                TimePoint now);
  void on_presence(const std::string& path, supervisor::Presence presence,
                   TimePoint now);
  void on_report(const supervisor::Report& report, TimePoint now);
  /// A group gave up or is held.
  void on_blame(const std::string& group, const std::string& chain,
                TimePoint now);
  /// Something for people.
  void on_said(const std::string& text, TimePoint now);
  /// All are ready.
  void on_up(TimePoint now);
  /// Nothing runs any more. `why` is empty if that was asked for.
  void on_stack_ended(bool failed, const std::string& why, TimePoint now);
  /// A kill could not be done.
  void on_kill_failed(const std::string& service, const std::string& why,
                      TimePoint now);

  // What is to be done.

  /// The services to kill now.
  [[nodiscard]] std::vector<std::string> take_kills(TimePoint now);
  /// Whether there is nothing more to wait for.
  [[nodiscard]] bool is_over(TimePoint now) const;
  /// When to ask the two above again, if nothing happens before.
  [[nodiscard]] std::optional<TimePoint> next_deadline() const;

  // What came of it.

  [[nodiscard]] std::vector<DrillVerdict> verdicts(TimePoint now) const;
  /// The course of events, and then a line per expectation.
  [[nodiscard]] std::string report(TimePoint now) const;
  /// The same for programs.
  [[nodiscard]] nlohmann::ordered_json to_json(TimePoint now) const;

 private:
  enum class Standing : std::uint8_t { open, met, violated };
  struct Finding {
    Standing standing = Standing::open;
    std::string why;  ///< Of a violation, or of what is missing.
  };
  struct Event {
    enum class Kind : std::uint8_t { launched, ready, ended, stopped };
    Kind kind = Kind::launched;
    std::string service;
  };
  struct Line {
    TimePoint at;
    std::string text;
  };
  /// What the first crash of the one that is killed should lead to.
  struct Prediction {
    std::vector<std::string> stopped;
    std::vector<std::string> started;
    bool ends_stack = false;
  };

  void note(TimePoint now, std::string text);
  void add(Event::Kind kind, const std::string& service, TimePoint now);
  void apply(const service::AvailabilityCore::Changes& changes, TimePoint now);
  [[nodiscard]] bool is_settled() const;
  [[nodiscard]] bool all_killed() const {
    return killed_ == plan_.kills.size();
  }
  [[nodiscard]] bool has(Event::Kind kind, const std::string& service) const;
  [[nodiscard]] Finding look_at(const Expectation& e, TimePoint now) const;
  [[nodiscard]] Finding restarted(
      const std::vector<std::string>& services) const;
  [[nodiscard]] Finding untouched(
      const std::vector<std::string>& services) const;
  [[nodiscard]] Finding strategy(const Expectation& e) const;
  [[nodiscard]] Finding gives_up(const Expectation& e) const;
  [[nodiscard]] Finding ready_within(const Expectation& e, TimePoint now) const;
  [[nodiscard]] Finding as_predicted() const;
  [[nodiscard]] Prediction predict() const;
  /// Services that run as `path` does: itself, or all that is in it.
  [[nodiscard]] std::vector<std::string> services_of(
      const std::string& path) const;

  std::shared_ptr<const service::GroupNode> root_;
  DrillPlan plan_;
  service::AvailabilityCore availability_;
  TimePoint started_;
  std::optional<TimePoint> up_;
  std::size_t killed_ = 0;  ///< Kills that are done, in the order of time.
  TimePoint killed_at_;     ///< The last of them, or when all were ready.
  std::set<std::string> awaited_;  ///< Killed, and not down yet.
  std::set<std::string> down_;
  std::set<std::string> lost_;
  std::set<std::string> gave_up_;  ///< Groups, held ones included.
  std::vector<Event> events_;      ///< Since the first kill.
  std::vector<Line> lines_;
  TimePoint last_event_;
  std::optional<TimePoint> settled_;  ///< Since when.
  std::optional<TimePoint> ended_;
  bool failed_ = false;
  std::string not_killed_;  ///< Why the drill did not take place.
  std::string why_ended_;
};

}  // namespace troupe::cli
