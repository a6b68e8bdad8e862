#pragma once

#include <troupe/base/time.hpp>
#include <troupe/config/source.hpp>
#include <troupe/schedule/cron.hpp>
#include <troupe/schedule/time_zone.hpp>
#include <troupe/workflow/inputs.hpp>
#include <troupe/workflow/template.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::workflow {

/// What becomes of a time at which the run of the time before still goes on.
enum class Overlap : std::uint8_t {
  skip,            ///< Nothing; it is passed over.
  queue,           ///< A run, once those before have ended.
  allow,           ///< A run beside it.
  cancel_running,  ///< The run before is cancelled; then one for the last time.
};

/// Runs at times.
struct ScheduleTrigger {
  config::Span where;  ///< Its cron expression.
  std::string text;    ///< That, as written.
  schedule::Cron cron;
  /// Nothing for the zone of the machine.
  std::optional<schedule::TimeZone> zone;
  /// If times were missed, the last of them is made up for if it is at most so
  /// long ago; zero for never.
  Duration catch_up{0};
  Overlap overlap = Overlap::skip;
};

/// A run when files have changed.
struct WatchTrigger {
  config::Span where;
  std::vector<std::string> paths;
  std::vector<std::string> exclude;
  Duration debounce = 2s;  ///< Quiet time after a change.
  Duration settle{0};      ///< A file counts once it was left alone so long.
};

/// A run for each request that is signed with a secret.
struct WebhookTrigger {
  config::Span where;
  std::string secret;  ///< Its name in Workflow::secrets.
};

/// What starts a run.
struct Triggers {
  /// Of a run by hand; nothing if the file declares none.
  std::optional<std::vector<Input>> dispatch_inputs;
  /// Of a call by another workflow.
  std::optional<std::vector<Input>> call_inputs;
  /// What the job that calls has as its outputs.
  std::vector<NamedTemplate> call_outputs;
  std::vector<ScheduleTrigger> schedules;
  std::optional<WatchTrigger> watch;
  std::optional<WebhookTrigger> webhook;

  /// Whether a node starts runs of it by itself.
  [[nodiscard]] bool has_automatic() const {
    return !schedules.empty() || watch.has_value() || webhook.has_value();
  }
};

// Inputs by which a run learns what has started it, if its file has them.
inline constexpr std::string_view scheduled_input = "scheduled";
inline constexpr std::string_view files_input = "files";
inline constexpr std::string_view body_input = "body";

}  // namespace troupe::workflow
