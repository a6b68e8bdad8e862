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

template <std::size_t N, std::size_t M>
constexpr std::array<Keyword, N + M> joined(const std::array<Keyword, N>& a,
                                            const std::array<Keyword, M>& b) {
  std::array<Keyword, N + M> all{};
  for (std::size_t i = 0; i < N; ++i)
    all[i] = a[i];
  for (std::size_t i = 0; i < M; ++i)
    all[N + i] = b[i];
  return all;
}

constexpr std::array<Keyword, 16> workflow_keywords{{
    {"name", Type::text, "What to call the workflow."},
    {"env", Type::text_map, "Variables of every step."},
    {"defaults", Type::custom, "Settings of every step.", "defaults"},
    {"jobs", Type::custom, "The jobs by name.", "job"},
    later("run-name", "What to call a run."),
    later("on", "What starts a run."),
    {"dotenv", Type::texts, "Files of variables of all services."},
    later("secrets", "Values that are masked."),
    later("include", "Jobs of other files."),
    later("concurrency", "Limits on runs at the same time."),
    {"services", Type::custom, "Services that run until they are ended.",
     "services"},
    {"groups", Type::custom, "Supervisors over jobs by name.", "groups"},
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
    {"group", Type::text, "The supervisor over it, from \"groups\"."},
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

constexpr std::array<Keyword, 3> job_group_keywords{{
    {"strategy", Type::text, "one_for_one, one_for_all or rest_for_one."},
    {"intensity", Type::count, "Restarts allowed within the period: 1."},
    {"period", Type::duration, "24h."},
}};

constexpr std::array<Keyword, 2> need_keywords{{
    {"job", Type::text, "Its name."},
    {"when", Type::text, "succeeded, finished or failed."},
}};

constexpr std::array<Keyword, 14> services_keywords{{
    {"strategy", Type::text, "one_for_one, one_for_all or rest_for_one."},
    {"intensity", Type::count, "Restarts allowed within the period: 5."},
    {"period", Type::duration, "60s."},
    {"backoff", Type::custom, "Waits before restarts.", "backoff"},
    {"on-give-up", Type::text, "escalate, hold or stop."},
    {"hold-for", Type::duration, "How long to hold: 1m."},
    {"auto-shutdown", Type::text, "never, any or all."},
    {"children", Type::custom, "Services and groups by name.", "service"},
    {"template", Type::custom, "The one service of all copies.", "template"},
    {"replicas", Type::custom, "How many copies, or {min, max}.", "replicas"},
    {"env", Type::text_map, "Variables of its services."},
    {"dotenv", Type::texts, "Files of variables of its services."},
    {"shell", Type::text, "The shell of its services."},
    {"working-directory", Type::text, "Where its services run."},
}};

constexpr auto group_keywords =
    joined(services_keywords,
           std::array<Keyword, 4>{{
               {"restart", Type::text, "permanent, transient or temporary."},
               {"significant", Type::boolean, "Takes part in auto-shutdown."},
               {"depends-on", Type::custom, "What starts before it."},
               later("mailbox", "How many messages wait."),
           }});

constexpr std::array<Keyword, 15> template_keywords{{
    {"run", Type::text, "The command."},
    {"restart", Type::text, "permanent, transient or temporary."},
    {"backoff", Type::custom, "Waits before restarts.", "backoff"},
    {"ready", Type::custom, "When it can be used.", "ready"},
    {"live", Type::custom, "Whether it still works.", "live"},
    {"watchdog", Type::duration, "Longest time between two WATCHDOG=1."},
    {"shutdown", Type::custom, "A duration, brutal-kill, or a map: 5s.",
     "shutdown"},
    {"success-exit-codes", Type::counts, "Exit codes of success: 0."},
    {"limits", Type::custom, "What it may take.", "limits"},
    {"watch", Type::custom, "Files whose change restarts it.", "watch"},
    {"log", Type::custom, "How much of its output is kept.", "log"},
    {"env", Type::text_map, "Its variables."},
    {"dotenv", Type::texts, "Files of its variables."},
    {"shell", Type::text, "The shell of its command."},
    {"working-directory", Type::text, "Where it runs."},
}};

constexpr auto service_keywords =
    joined(template_keywords,
           std::array<Keyword, 2>{{
               {"significant", Type::boolean, "Takes part in auto-shutdown."},
               {"depends-on", Type::custom,
                "Names, or a map of names to ready, started or finished."},
           }});

constexpr std::array<Keyword, 2> replicas_keywords{{
    {"min", Type::count, "How many are started."},
    {"max", Type::count, "Most that can be asked for."},
}};

constexpr std::array<Keyword, 8> ready_keywords{{
    {"exec", Type::text, "A command that exits with 0."},
    {"http", Type::text, "A URL that answers with 2xx or 3xx."},
    {"tcp", Type::text, "HOST:PORT that accepts connections."},
    {"log", Type::text, "A text that it prints."},
    {"notify", Type::boolean, "It sends READY=1 as sd_notify(3) says."},
    {"delay", Type::duration, "Before the first check: none."},
    {"period", Type::duration, "Between two checks: 500ms."},
    {"timeout", Type::duration, "From its start: 60s."},
}};

constexpr std::array<Keyword, 7> live_keywords{{
    {"exec", Type::text, "A command that exits with 0."},
    {"http", Type::text, "A URL that answers with 2xx or 3xx."},
    {"tcp", Type::text, "HOST:PORT that accepts connections."},
    {"delay", Type::duration, "From readiness to the first check: none."},
    {"period", Type::duration, "Between two checks: 10s."},
    {"timeout", Type::duration, "Of one check: 5s."},
    {"failures", Type::count, "So many in a row end it: 3."},
}};

constexpr std::array<Keyword, 2> shutdown_keywords{{
    {"signal", Type::text, "The polite signal: SIGTERM."},
    {"timeout", Type::duration, "From the signal to the kill: 5s."},
}};

constexpr std::array<Keyword, 6> limits_keywords{{
    {"memory", Type::size, "Memory of the service as a whole."},
    {"cpu", Type::custom, "Share of the processors; 100% is one."},
    {"tasks", Type::count, "Processes and threads of the service."},
    {"files", Type::count, "Open files of each process."},
    {"processes", Type::count, "Processes of the user."},
    {"file-size", Type::size, "Size of a file that it writes."},
}};

constexpr std::array<Keyword, 3> watch_keywords{{
    {"paths", Type::texts, "Files, folders and patterns."},
    {"debounce", Type::duration, "Quiet time before the restart: 300ms."},
    {"exclude", Type::texts, "Patterns of files that do not count."},
}};

constexpr std::array<Keyword, 2> log_keywords{{
    {"size", Type::size, "Of one file: 10MiB."},
    {"count", Type::count, "Older files that are kept: 4."},
}};

constexpr std::array<Keyword, 5> backoff_keywords{{
    {"min", Type::duration, "Before the first restart: 100ms."},
    {"max", Type::duration, "Longest wait: 30s."},
    {"factor", Type::number, "Growth from one wait to the next: 2."},
    {"jitter", Type::number, "Share of the wait that is random: 0.1."},
    {"reset-after", Type::duration, "Up for so long, it starts over: 60s."},
}};

constexpr std::array<Section, 21> all_sections{{
    {"workflow", "a workflow", workflow_keywords},
    {"defaults", "\"defaults\"", defaults_keywords},
    {"job", "a job", job_keywords},
    {"step", "a step", step_keywords},
    {"strategy", "\"strategy\"", strategy_keywords},
    {"timeout", "\"timeout\"", timeout_keywords},
    {"retry", "\"retry\"", retry_keywords},
    {"need", "a need", need_keywords},
    {"groups", "a group of jobs", job_group_keywords},
    {"services", "\"services\"", services_keywords},
    {"group", "a group of services", group_keywords},
    {"service", "a service", service_keywords},
    {"template", "\"template\"", template_keywords},
    {"replicas", "\"replicas\"", replicas_keywords},
    {"ready", "\"ready\"", ready_keywords},
    {"live", "\"live\"", live_keywords},
    {"shutdown", "\"shutdown\"", shutdown_keywords},
    {"limits", "\"limits\"", limits_keywords},
    {"watch", "\"watch\"", watch_keywords},
    {"log", "\"log\"", log_keywords},
    {"backoff", "\"backoff\"", backoff_keywords},
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
