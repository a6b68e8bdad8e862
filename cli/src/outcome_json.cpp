#include "outcome_json.hpp"

#include <troupe/base/text.hpp>
#include <troupe/base/time.hpp>
#include <troupe/base/wall_time.hpp>

#include <nlohmann/json.hpp>

namespace troupe::cli {
namespace {

using Json = nlohmann::ordered_json;

Json causes_json(const std::vector<actors::Cause>& causes) {
  Json list = Json::array();
  for (const actors::Cause& cause : causes)
    list.push_back({{"kind", actors::to_string(cause.kind)},
                    {"number", cause.number},
                    {"what", to_utf8(cause.what)}});
  return list;
}

/// The exit code, or null for a command that was ended by a signal or never
/// ran.
Json exit_code_json(const std::optional<process::ExitReport>& report) {
  return report && report->signal == 0 ? Json(report->exit_code) : Json();
}

Json signal_json(const std::optional<process::ExitReport>& report) {
  return report && report->signal != 0 ? Json(report->signal) : Json();
}

}  // namespace

Json to_json(const actors::Attempt& attempt) {
  Json json{{"number", attempt.number},
            {"outcome", actors::to_string(attempt.kind)},
            {"exit_code", exit_code_json(attempt.report)},
            {"signal", signal_json(attempt.report)},
            {"start", format_wall_time(attempt.started)},
            {"end", format_wall_time(attempt.ended)}};
  if (attempt.report) {
    const process::ExitReport& report = *attempt.report;
    json["wall_s"] = in_seconds(report.wall);
    json["user_s"] = in_seconds(report.user);
    json["system_s"] = in_seconds(report.system);
    json["max_rss_bytes"] = report.max_rss_bytes;
    json["stdout_bytes"] = report.stdout_bytes;
    json["stderr_bytes"] = report.stderr_bytes;
    json["killed"] = report.killed;
    json["leftovers_killed"] = report.leftovers;
  }
  json["causes"] = causes_json(attempt.causes);
  json["notes"] = attempt.notes;
  json["stdout_tail"] = to_utf8(attempt.stdout_tail);
  json["stderr_tail"] = to_utf8(attempt.stderr_tail);
  return json;
}

Json to_json(const actors::Outcome& outcome) {
  std::optional<process::ExitReport> last;
  Json attempts = Json::array();
  for (const actors::Attempt& attempt : outcome.attempts) {
    attempts.push_back(to_json(attempt));
    last = attempt.report;
  }
  return {{"outcome", actors::to_string(outcome.kind)},
          {"exit_status", outcome.exit_status},
          {"exit_code", exit_code_json(last)},
          {"signal", signal_json(last)},
          {"cause", outcome.causes.empty()
                        ? Json()
                        : Json(to_utf8(actors::describe(outcome.causes)))},
          {"causes", causes_json(outcome.causes)},
          {"attempts", attempts},
          {"incidents", causes_json(outcome.incidents)}};
}

}  // namespace troupe::cli
