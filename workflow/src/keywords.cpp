#include <troupe/base/assert.hpp>
#include <troupe/workflow/keywords.hpp>

#include <array>

namespace troupe::workflow {
namespace {

using config::Keyword;
using config::Section;
using config::Type;

/// A word of later versions.
constexpr Keyword later(std::string_view name, std::string_view doc) {
  return {name, Type::custom, doc, {}, false};
}

constexpr std::array<Keyword, 16> workflow_keywords{{
    {"name", Type::text, "What to call the workflow."},
    {"env", Type::text_map, "Variables of every step."},
    {"defaults", Type::custom, "Settings of every step.", "defaults"},
    {"jobs", Type::custom, "The jobs by name.", "job"},
    later("run-name", "What to call a run."),
    later("on", "What starts a run."),
    later("dotenv", "Files of variables."),
    later("secrets", "Values that are masked."),
    later("include", "Jobs of other files."),
    later("concurrency", "Limits on runs at the same time."),
    later("services", "Processes that jobs need."),
    later("groups", "Supervisors over jobs."),
    later("hooks", "Commands at the start and end of a run."),
    later("notify", "Whom to tell."),
    later("retention", "How long to keep runs."),
    later("permissions", "Who may start it."),
}};

constexpr std::array<Keyword, 8> defaults_keywords{{
    {"shell", Type::text, "The shell of steps: sh -e."},
    {"working-directory", Type::text, "Where steps run."},
    {"timeout", Type::custom, "A duration, or limits.", "timeout"},
    {"timeout-minutes", Type::number, "The same in minutes."},
    {"grace", Type::duration, "From the polite signal to the kill: 2s."},
    {"retry", Type::custom, "When to try again.", "retry"},
    {"retries", Type::count, "Tries after the first."},
    later("runs-on", "Labels of nodes."),
}};

constexpr std::array<Keyword, 33> job_keywords{{
    {"name", Type::text, "What to call the job."},
    {"run", Type::text, "The one command of the job."},
    {"steps", Type::custom, "Commands in sequence.", "step"},
    {"needs", Type::custom, "Jobs that come first: names or maps.", "need"},
    {"if", Type::text, "An expression: whether to run it."},
    {"env", Type::text_map, "Variables of its steps."},
    {"shell", Type::text, "The shell of its steps."},
    {"working-directory", Type::text, "Where its steps run."},
    {"timeout", Type::custom, "A duration, or limits.", "timeout"},
    {"timeout-minutes", Type::number, "The same in minutes."},
    {"grace", Type::duration, "From the polite signal to the kill."},
    {"retry", Type::custom, "When to try again.", "retry"},
    {"retries", Type::count, "Tries after the first."},
    {"continue-on-error", Type::boolean, "Whether the run goes on."},
    {"strategy", Type::custom, "Variants of the job.", "strategy"},
    {"outputs", Type::text_map, "Values for the jobs that need it."},
    {"success-exit-codes", Type::counts, "Exit codes of success: 0."},
    {"output-contains", Type::texts, "Texts that the output must have."},
    {"output-not-contains", Type::texts, "Texts that it must not have."},
    {"max-duration", Type::duration, "Slower is failure."},
    later("uses", "A job of another file."),
    later("with", "Inputs of that job."),
    later("secrets", "Secrets of that job."),
    later("runs-on", "Labels of nodes."),
    later("placement", "Which node."),
    later("resources", "What it takes of a node."),
    later("group", "The supervisor over it."),
    later("artifacts", "Files to keep."),
    later("approval", "Who must agree."),
    later("cache", "When not to run again."),
    later("concurrency", "Limits on jobs at the same time."),
    later("priority", "What goes first."),
    later("services", "Processes that it needs."),
}};

constexpr std::array<Keyword, 21> step_keywords{{
    {"id", Type::text, "Its name in steps.ID."},
    {"name", Type::text, "What to call the step."},
    {"run", Type::text, "The command."},
    {"if", Type::text, "An expression: whether to run it."},
    {"env", Type::text_map, "Variables of the step."},
    {"shell", Type::text, "The shell of the command."},
    {"working-directory", Type::text, "Where it runs."},
    {"timeout", Type::custom, "A duration, or limits.", "timeout"},
    {"timeout-minutes", Type::number, "The same in minutes."},
    {"grace", Type::duration, "From the polite signal to the kill."},
    {"retry", Type::custom, "When to try again.", "retry"},
    {"retries", Type::count, "Tries after the first."},
    {"continue-on-error", Type::boolean, "Whether the job goes on."},
    {"success-exit-codes", Type::counts, "Exit codes of success: 0."},
    {"output-contains", Type::texts, "Texts that the output must have."},
    {"output-not-contains", Type::texts, "Texts that it must not have."},
    {"max-duration", Type::duration, "Slower is failure."},
    later("uses", "A step of another file."),
    later("with", "Inputs of that step."),
    later("cache", "When not to run again."),
    later("outputs", "Values from the output of the command."),
}};

constexpr std::array<Keyword, 3> strategy_keywords{{
    {"matrix", Type::custom, "Lists by name, include and exclude."},
    {"max-parallel", Type::count, "Most variants at the same time."},
    {"fail-fast", Type::boolean, "Whether one failure ends the others: true."},
}};

constexpr std::array<Keyword, 4> timeout_keywords{{
    {"attempt", Type::duration, "Of each attempt."},
    {"total", Type::duration, "Of all attempts together."},
    later("queue", "Of waiting for a place."),
    later("silence", "Without output."),
}};

constexpr std::array<Keyword, 8> retry_keywords{{
    {"attempts", Type::count, "Tries with the first."},
    {"delay", Type::duration, "Before the second: 1s."},
    {"backoff", Type::number, "Growth of the delay: 2."},
    {"max-delay", Type::duration, "Longest delay: 1m."},
    {"jitter", Type::number, "Share of the delay that is random: 0.1."},
    later("max-elapsed", "No new attempt after it."),
    later("if", "Causes to try again for."),
    later("unless", "Causes not to."),
}};

constexpr std::array<Keyword, 2> need_keywords{{
    {"job", Type::text, "Its name."},
    {"when", Type::text, "succeeded, finished or failed."},
}};

constexpr std::array<Section, 8> all_sections{{
    {"workflow", "a workflow", workflow_keywords},
    {"defaults", "\"defaults\"", defaults_keywords},
    {"job", "a job", job_keywords},
    {"step", "a step", step_keywords},
    {"strategy", "\"strategy\"", strategy_keywords},
    {"timeout", "\"timeout\"", timeout_keywords},
    {"retry", "\"retry\"", retry_keywords},
    {"need", "a need", need_keywords},
}};

}  // namespace

std::span<const Section> sections() { return all_sections; }

const Section& section(std::string_view name) {
  for (const Section& candidate : all_sections) {
    if (candidate.name == name)
      return candidate;
  }
  TROUPE_ASSERT(false && "no such section");
}

}  // namespace troupe::workflow
