#include <troupe/actors/outcome.hpp>
#include <troupe/base/exit_status.hpp>
#include <troupe/base/overload.hpp>
#include <troupe/base/signal_name.hpp>

#include <fmt/format.h>

namespace troupe::actors {
namespace {

using process::ExitReport;
using process::RunnerLost;
using process::SpawnFailure;

int spawn_status(const SpawnFailure& failure) {
  if (failure.stage != process::SpawnStage::exec)
    return status_troupe_failed;
  switch (failure.error.code) {
    case Errc::not_found:
      return status_not_found;
    case Errc::permission_denied:
    case Errc::invalid_argument:
      return status_not_executable;
    case Errc::overloaded:
    case Errc::timed_out:
    case Errc::unavailable:
    case Errc::corrupt:
    case Errc::already_exists:
    case Errc::cancelled:
    case Errc::unsupported:
    case Errc::internal:
      return status_troupe_failed;
  }
  return status_troupe_failed;
}

Cause cause_of_exit(const ExitReport& report) {
  if (report.signal == SIGKILL && report.out_of_memory)
    return {CauseKind::out_of_memory, report.signal,
            "killed: it needed more memory than its limit"};
  if (report.signal != 0)
    return {CauseKind::signal, report.signal,
            fmt::format("killed by {}{}", signal_name(report.signal),
                        report.core_dumped ? " (core dumped)" : "")};
  return {CauseKind::exit_code, report.exit_code,
          fmt::format("exited with {}", report.exit_code)};
}

}  // namespace

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
    case CauseKind::not_ready:
      return "not_ready";
    case CauseKind::not_alive:
      return "not_alive";
    case CauseKind::watchdog:
      return "watchdog";
    case CauseKind::out_of_memory:
      return "out_of_memory";
    case CauseKind::silence:
      return "silence";
  }
  return "unknown";
}

Cause cause_of(const process::AttemptEnd& end) {
  return std::visit(
      Overload{[](const ExitReport& report) { return cause_of_exit(report); },
               [](const SpawnFailure& failure) {
                 return Cause{CauseKind::spawn_error, spawn_status(failure),
                              failure.error.what};
               },
               [](RunnerLost) {
                 return Cause{CauseKind::warden_lost, 0,
                              "the warden that ran it died"};
               }},
      end);
}

std::vector<std::string> notes_on(const ExitReport& report) {
  std::vector<std::string> notes;
  // Of a command that was killed nobody asks which of its processes were left.
  if (report.leftovers > 0 && !report.killed)
    notes.push_back(fmt::format(
        "killed {} process{} that it left behind{}", report.leftovers,
        report.leftovers == 1 ? "" : "es",
        report.output_held ? " and that held its output open" : ""));
  else if (report.output_held && !report.killed)
    notes.emplace_back("something outside of its tree held its output open");
  if (report.survivors > 0)
    notes.push_back(fmt::format("{} process{} could not be killed",
                                report.survivors,
                                report.survivors == 1 ? "" : "es"));
  return notes;
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
