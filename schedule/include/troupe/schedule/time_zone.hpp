#pragma once

#include <troupe/base/error.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace troupe::schedule {

/// A time during which a zone is as far from UTC as it is, and how that was
/// just before.
struct ZonePeriod {
  std::chrono::sys_seconds begin;
  std::chrono::sys_seconds end;
  std::chrono::seconds offset{0};  ///< Local time is UTC and this.
  std::chrono::sys_seconds begin_before;
  std::chrono::seconds offset_before{0};
};

/// A zone of the system's time zone database: a reference to what is read once
/// and never changes while the program runs. From any thread.
class TimeZone {
 public:
  /// The zone called `name`, such as Europe/Rome or UTC.
  ///
  /// Errors: not_found, with the name that was meant, if one is near;
  /// unavailable (there is no database: package tzdata).
  [[nodiscard]] static Result<TimeZone> find(std::string_view name);

  /// The zone of this machine, unless `variable`, which is that of TZ or null,
  /// names another one. Without any it is UTC.
  ///
  /// Errors: those of find(), for `variable`.
  [[nodiscard]] static Result<TimeZone> local(const char* variable);

  [[nodiscard]] static TimeZone utc();

  [[nodiscard]] const std::string& name() const;

  [[nodiscard]] ZonePeriod period_at(std::chrono::sys_seconds time) const;

  /// Whether they have the same name.
  friend bool operator==(const TimeZone& one, const TimeZone& other);

 private:
  struct Zone;
  explicit TimeZone(std::shared_ptr<const Zone> zone)
      : zone_{std::move(zone)} {}

  std::shared_ptr<const Zone> zone_;
};

}  // namespace troupe::schedule
