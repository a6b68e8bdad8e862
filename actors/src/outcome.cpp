#include <troupe/actors/outcome.hpp>

namespace troupe::actors {

std::string_view to_string(OutcomeKind kind) {
  switch (kind) {
    case OutcomeKind::success:
      return "success";
    case OutcomeKind::failed:
      return "failed";
    case OutcomeKind::timed_out:
      return "timed_out";
    case OutcomeKind::cancelled:
      return "cancelled";
    case OutcomeKind::crashed:
      return "crashed";
    case OutcomeKind::lost:
      return "lost";
  }
  return "unknown";
}

std::string_view to_string(CauseKind kind) {
  switch (kind) {
    case CauseKind::exit_code:
      return "exit_code";
    case CauseKind::signal:
      return "signal";
    case CauseKind::timeout:
      return "timeout";
    case CauseKind::output:
      return "output";
    case CauseKind::duration:
      return "duration";
    case CauseKind::spawn_error:
      return "spawn_error";
    case CauseKind::cancelled:
      return "cancelled";
    case CauseKind::actor_crash:
      return "actor_crash";
    case CauseKind::warden_lost:
      return "warden_lost";
    case CauseKind::gave_up:
      return "gave_up";
  }
  return "unknown";
}

std::string describe(const std::vector<Cause>& causes) {
  std::string text;
  for (const Cause& cause : causes) {
    if (!text.empty())
      text += ", ";
    text += cause.what;
  }
  return text;
}

}  // namespace troupe::actors
