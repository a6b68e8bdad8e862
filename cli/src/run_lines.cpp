#include "run_lines.hpp"

#include <troupe/base/overload.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>

#include <algorithm>
#include <fmt/format.h>

namespace troupe::cli {
namespace {

using workflow::JobState;
using workflow::StepOutcome;

std::string step_text(const StepRef& step) {
  return fmt::format("{}: step \"{}\"", title_of(step.job),
                     printable(step.name));
}

std::string with_reason(std::string text, const std::string& reason) {
  if (!reason.empty())
    text += ": " + printable(reason);
  return text;
}

std::string job_text(const JobChanged& e) {
  if (e.state == JobState::pending || e.state == JobState::ready)
    return {};
  if (e.state == JobState::awaiting)
    return fmt::format("{} {}", title_of(e.job), printable(e.reason));
  const std::string_view word = e.state == JobState::running ? "started"
                                : e.state == JobState::timed_out
                                    ? "timed out"
                                    : workflow::to_string(e.state);
  return with_reason(fmt::format("{}: {}", title_of(e.job), word), e.reason);
}

std::string attempt_text(const AttemptEnded& e) {
  // The end of the last one is the end of the step.
  if (!e.next_in)
    return {};
  return fmt::format("{}: attempt {} of {} {}, next in {}", step_text(e.step),
                     e.attempt->number, e.attempts,
                     printable(actors::describe(e.attempt->causes)),
                     brief_duration(*e.next_in));
}

std::string step_text(const StepFinished& e) {
  switch (e.outcome) {
    case StepOutcome::success:
      return fmt::format("{} succeeded in {}", step_text(e.step),
                         brief_duration(e.took));
    case StepOutcome::failure:
      return with_reason(fmt::format("{} failed after {}{}", step_text(e.step),
                                     brief_duration(e.took),
                                     e.forgiven ? " (continue-on-error)" : ""),
                         e.reason);
    case StepOutcome::cancelled:
      return with_reason(fmt::format("{} was stopped after {}",
                                     step_text(e.step), brief_duration(e.took)),
                         e.reason);
    case StepOutcome::skipped:
      return with_reason(step_text(e.step) + " skipped", e.reason);
  }
  return {};
}

}  // namespace

std::string title_of(const JobRef& job) {
  return workflow::is_hook(job.job)
             ? "hook " + job.job.substr(job.job.find('.') + 1)
             : "job " + printable(job.label);
}

std::string_view to_string(ServiceChanged::State state) {
  switch (state) {
    case ServiceChanged::State::starting:
      return "starting";
    case ServiceChanged::State::ready:
      return "ready";
    case ServiceChanged::State::ended:
      return "ended";
    case ServiceChanged::State::lost:
      return "lost";
  }
  return "unknown";
}

std::string text_of(const GroupDecided& e) {
  if (e.gave_up)
    return fmt::format(
        "group {} gives up: job {} failed after {} restart{} in {}",
        printable(e.group), printable(e.job), e.restarts_used,
        e.restarts_used == 1 ? "" : "s", format_duration(e.period));
  return fmt::format(
      "group {} starts again: job {} failed, restart {} of {} in {}",
      printable(e.group), printable(e.job), e.restarts_used, e.intensity,
      format_duration(e.period));
}

std::string line_of(const RunEvent& event, std::string_view clock) {
  const std::string text = std::visit(
      Overload{
          [](const RunStarted& e) {
            const auto jobs = std::count_if(
                e.jobs.begin(), e.jobs.end(),
                [](const JobRef& job) { return !workflow::is_hook(job.job); });
            return fmt::format(
                "run {} of {}{}: {} job{}", e.run_id, printable(e.workflow),
                e.title.empty() ? ""
                                : fmt::format(", \"{}\"", printable(e.title)),
                jobs, jobs == 1 ? "" : "s");
          },
          [](const JobExpanded& e) {
            if (e.is_called || workflow::is_hook(e.job))
              return std::string{};
            return fmt::format("job {}: its matrix has {} combination{}",
                               printable(e.job), e.jobs.size(),
                               e.jobs.size() == 1 ? "" : "s");
          },
          [](const JobChanged& e) { return job_text(e); },
          [](const StepStarted& e) { return step_text(e.step) + " started"; },
          [](const AttemptStarted&) { return std::string{}; },
          [](const AttemptEnded& e) { return attempt_text(e); },
          [](const StepFinished& e) { return step_text(e); },
          [](const GroupDecided& e) { return text_of(e); },
          // The stack says it, as notices.
          [](const ServiceChanged&) { return std::string{}; },
          [](const Notice& e) { return e.what; },
          [](const RunEnded&) { return std::string{}; }},
      event.what);
  return text.empty() ? text : fmt::format("{} {}\n", clock, text);
}

std::string brief_duration(Duration value) {
  using std::chrono::milliseconds;
  const auto ms = std::chrono::duration_cast<milliseconds>(value);
  const auto to = [&](milliseconds unit) {
    return format_duration((ms + unit / 2) / unit * unit);
  };
  if (ms < 1s)
    return fmt::format("{}ms", ms.count());
  return ms < 1min ? to(100ms) : to(1s);
}

}  // namespace troupe::cli
