#include <troupe/base/assert.hpp>
#include <troupe/workflow/keywords.hpp>

#include <array>

namespace troupe::workflow {
namespace {

using config::Keyword;
using config::Section;
using config::Type;
namespace form = config::form;

/// A word of later versions.
constexpr Keyword later(std::string_view name, std::string_view doc) {
  return {name, Type::custom, doc, {}, false};
}

/// A keyword whose default is worth telling.
constexpr Keyword or_else(Keyword keyword, std::string_view fallback) {
  keyword.fallback = fallback;
  return keyword;
}

/// One of some words.
constexpr Keyword one_of(std::string_view name,
                         std::span<const std::string_view> words,
                         std::string_view doc, std::string_view fallback = {}) {
  return {name, Type::text, doc, {}, true, words, fallback};
}

/// What has no single type: `forms` is a sum of config::form.
constexpr Keyword custom(std::string_view name, unsigned forms,
                         std::string_view doc, std::string_view section = {}) {
  Keyword keyword{name, Type::custom, doc, section};
  keyword.forms = forms;
  return keyword;
}

constexpr Keyword or_words(Keyword keyword,
                           std::span<const std::string_view> words) {
  keyword.words = words;
  return keyword;
}

constexpr Keyword or_section(Keyword keyword, std::string_view section) {
  keyword.other_section = section;
  return keyword;
}

constexpr std::array<std::string_view, 3> strategies{
    "one_for_one", "one_for_all", "rest_for_one"};
constexpr std::array<std::string_view, 5> need_ends{
    "succeeded", "finished", "failed", "started", "ready"};
constexpr std::array<std::string_view, 6> restart_kinds{
    "permanent", "transient", "temporary", "always", "on-failure", "no"};
constexpr std::array<std::string_view, 3> give_ups{"escalate", "hold", "stop"};
constexpr std::array<std::string_view, 3> auto_shutdowns{"never", "any", "all"};
constexpr std::array<std::string_view, 3> dependency_ends{"ready", "started",
                                                          "finished"};
constexpr std::array<std::string_view, 4> priorities{"low", "normal", "high",
                                                     "critical"};
constexpr std::array<std::string_view, 4> conflicts{"queue", "cancel-running",
                                                    "skip", "fail"};
constexpr std::array<std::string_view, 4> overlaps{"skip", "queue", "allow",
                                                   "cancel-running"};
constexpr std::array<std::string_view, 3> secret_sources{"env", "file",
                                                         "command"};
constexpr std::array<std::string_view, 7> input_types{
    "string", "number", "bool", "boolean", "choice", "date", "path"};
constexpr std::array<std::string_view, 1> kills{"brutal-kill"};

constexpr std::array<Keyword, 5> on_keywords{{
    custom("dispatch", form::map | form::nothing, "By hand.", "dispatch"),
    custom("call", form::map | form::nothing, "By another workflow.", "call"),
    custom("schedule", form::text | form::map | form::list,
           "By a node, at times: cron expressions.", "schedule"),
    custom("watch", form::map, "By a node, when files have changed.",
           "on-watch"),
    custom("webhook", form::map, "By a node, when it is asked to.", "webhook"),
}};

constexpr std::array<Keyword, 1> dispatch_keywords{{
    custom("inputs", form::named | form::nothing, "What a run is given.",
           "input"),
}};

constexpr std::array<Keyword, 2> call_keywords{{
    custom("inputs", form::named | form::nothing, "What a call gives.",
           "input"),
    {"outputs", Type::text_map, "What a call gets."},
}};

constexpr std::array<std::string_view, 1> streams{"stdout"};
constexpr std::array<std::string_view, 1> output_lines{"last"};

constexpr std::array<Keyword, 3> output_keywords{{
    one_of("from", streams, "Where its value is.", "stdout"),
    {"json", Type::text, "Of JSON, what is there: .rows, .tables[0].name."},
    one_of("line", output_lines, "Only this line of it."),
}};

constexpr std::array<Keyword, 4> schedule_keywords{{
    {"cron", Type::text,
     "Minute, hour, day, month and weekday; six fields begin with the second."},
    {"timezone", Type::text, "Such as Europe/Rome; else that of the node."},
    or_else({"catch-up", Type::duration,
             "Makes up for the last time that was missed, if so long ago."},
            "0s"),
    one_of("overlap", overlaps, "If the run before still goes on.", "skip"),
}};

constexpr std::array<Keyword, 4> on_watch_keywords{{
    {"paths", Type::texts, "Files, folders and patterns."},
    {"exclude", Type::texts, "Patterns of files that do not count."},
    or_else({"debounce", Type::duration, "Quiet time after a change."}, "2s"),
    or_else({"settle", Type::duration,
             "A file counts once it was left alone so long."},
            "0s"),
}};

constexpr std::array<Keyword, 1> webhook_keywords{{
    {"token", Type::text, "The secret that requests are signed with."},
}};

constexpr std::array<Keyword, 5> input_keywords{{
    one_of("type", input_types, "What it takes.", "string"),
    {"default", Type::text, "Its value if none is given."},
    or_else({"required", Type::boolean, "Whether one has to be given."},
            "false"),
    {"options", Type::texts, "The values of a choice."},
    {"description", Type::text, "What it is for."},
}};

constexpr std::array<Keyword, 2> secret_keywords{{
    one_of("from", secret_sources, "Where its value is.", "env"),
    {"key", Type::text,
     "The variable (its name by default), the path or the command."},
}};

constexpr std::array<Keyword, 2> placement_keywords{{
    {"key", Type::text,
     "Jobs with the same key go to the same node, if it has room."},
    or_else({"spread", Type::boolean,
             "Whether variants go to as many nodes and zones as there are."},
            "false"),
}};

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
    custom("defaults", form::map, "Settings of every step.", "defaults"),
    custom("jobs", form::named, "The jobs by name.", "job"),
    {"run-name", Type::text, "What to call a run."},
    custom("on", form::text | form::map | form::list,
           "What starts a run, and with which inputs.", "on"),
    {"dotenv", Type::texts, "Files of variables of all steps and services."},
    custom("secrets", form::named, "Values that are never shown.", "secret"),
    {"include", Type::text_map, "Other files, by the names for \"uses\"."},
    custom("concurrency", form::text | form::map,
           "Limits on runs at the same time.", "concurrency"),
    custom("services", form::map, "Services that run until they are ended.",
           "services"),
    custom("groups", form::named, "Supervisors over jobs by name.", "groups"),
    custom("hooks", form::map, "Commands at the start and end of a run.",
           "hooks"),
    custom("notify", form::list | form::map, "Whom to tell, and of what.",
           "notify"),
    custom("retention", form::map, "Which runs to keep.", "retention"),
    later("permissions", "Who may start it."),
}};

constexpr std::array<Keyword, 8> defaults_keywords{{
    or_else({"shell", Type::text, "The shell of steps."}, "sh -e"),
    {"working-directory", Type::text, "Where steps run."},
    custom("timeout", form::duration | form::map,
           "Of each attempt, or several limits.", "timeout"),
    {"timeout-minutes", Type::number, "The same in minutes."},
    or_else({"grace", Type::duration, "From the polite signal to the kill."},
            "2s"),
    custom("retry", form::map, "When to try again.", "retry"),
    {"retries", Type::count, "Tries after the first."},
    {"runs-on", Type::texts,
     "Labels that its node has; a node by itself has all."},
}};

constexpr std::array<Keyword, 33> job_keywords{{
    {"name", Type::text, "What to call the job."},
    {"run", Type::text, "The one command of the job."},
    custom("steps", form::list, "Commands in sequence.", "step"),
    custom("needs", form::text | form::map | form::list,
           "Jobs and services that come first: names or maps.", "need"),
    {"if", Type::text, "An expression: whether to run it."},
    {"env", Type::text_map, "Variables of its steps."},
    {"shell", Type::text, "The shell of its steps."},
    {"working-directory", Type::text, "Where its steps run."},
    custom("timeout", form::duration | form::map,
           "Of each attempt, or several limits.", "timeout"),
    {"timeout-minutes", Type::number, "The same in minutes."},
    {"grace", Type::duration, "From the polite signal to the kill."},
    custom("retry", form::map, "When to try again.", "retry"),
    {"retries", Type::count, "Tries after the first."},
    or_else(custom("continue-on-error", form::boolean | form::text | form::list,
                   "Whether the run goes on after its failure, or causes."),
            "false"),
    custom("strategy", form::map, "Variants of the job.", "strategy"),
    custom("outputs", form::named | form::named_text,
           "Values for the jobs that need it.", "output"),
    or_else({"success-exit-codes", Type::counts, "Exit codes of success."},
            "0"),
    {"output-contains", Type::texts, "Texts that the output must have."},
    {"output-not-contains", Type::texts, "Texts that it must not have."},
    {"max-duration", Type::duration, "Slower is failure."},
    {"uses", Type::text,
     "Another file, whose jobs run instead of steps: a name of \"include\", "
     "NAME.JOB or ./PATH."},
    {"with", Type::text_map, "Inputs of that file."},
    custom("secrets", form::text | form::named,
           "Secrets of that file by its names; or inherit."),
    {"runs-on", Type::texts,
     "Labels that its node has; a node by itself has all."},
    custom("placement", form::map, "Which node of a cluster: a preference.",
           "placement"),
    {"resources", Type::text_map,
     "What it takes of the machine: cpu, memory, and names of your own."},
    {"group", Type::text, "The supervisor over it, from \"groups\"."},
    custom("artifacts", form::map, "Files for other jobs and for people.",
           "artifacts"),
    custom("approval", form::map | form::nothing, "Who must agree.",
           "approval"),
    custom("cache", form::map, "When not to run again.", "cache"),
    custom("concurrency", form::text | form::map,
           "Limits on jobs at the same time.", "concurrency"),
    one_of("priority", priorities, "What goes first.", "normal"),
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
    custom("timeout", form::duration | form::map,
           "Of each attempt, or several limits.", "timeout"),
    {"timeout-minutes", Type::number, "The same in minutes."},
    {"grace", Type::duration, "From the polite signal to the kill."},
    custom("retry", form::map, "When to try again.", "retry"),
    {"retries", Type::count, "Tries after the first."},
    or_else(custom("continue-on-error", form::boolean | form::text | form::list,
                   "Whether the job goes on after its failure, or causes."),
            "false"),
    or_else({"success-exit-codes", Type::counts, "Exit codes of success."},
            "0"),
    {"output-contains", Type::texts, "Texts that the output must have."},
    {"output-not-contains", Type::texts, "Texts that it must not have."},
    {"max-duration", Type::duration, "Slower is failure."},
    later("uses", "A step of another file."),
    later("with", "Inputs of that step."),
    custom("cache", form::map, "When not to run again.", "cache"),
    custom("outputs", form::named, "Values from what the command prints.",
           "output"),
}};

constexpr std::array<Keyword, 4> cache_keywords{{
    {"key", Type::text, "What else matters besides the command."},
    {"sources", Type::texts, "Files that it reads."},
    {"generates", Type::texts, "Files that it makes, which are put back."},
    {"max-age", Type::duration, "Run again what is older."},
}};

constexpr std::array<Keyword, 3> artifacts_keywords{{
    custom("upload", form::any,
           "Files to keep, by name: a pattern or several."),
    {"download", Type::texts, "What needed jobs have kept: JOB.NAME."},
    or_else({"retention", Type::duration, "How long to keep them."}, "30d"),
}};

constexpr std::array<Keyword, 4> approval_keywords{{
    {"prompt", Type::text, "What people are asked."},
    {"approvers", Type::texts, "Users and groups who may; anybody if absent."},
    custom("inputs", form::named | form::nothing, "What they give with it.",
           "input"),
    {"timeout", Type::duration, "It fails if nobody agrees within this."},
}};

constexpr std::array<Keyword, 4> notify_keywords{{
    {"on", Type::texts,
     "start, success, failure, cancelled, recovered, gave-up, approval."},
    {"command", Type::text, "A command that gets it as JSON."},
    {"webhook", Type::text, "A URL that it is posted to as JSON."},
    {"mail", Type::text, "An address that it is mailed to."},
}};

constexpr std::array<Keyword, 5> hooks_keywords{{
    custom("on-start", form::text | form::map,
           "Before all jobs; none starts if it fails.", "step"),
    custom("on-success", form::text | form::map, "After a run that succeeded.",
           "step"),
    custom("on-failure", form::text | form::map, "After a run that failed.",
           "step"),
    custom("on-cancel", form::text | form::map, "After one that was cancelled.",
           "step"),
    custom("on-exit", form::text | form::map, "Last of all, in any case.",
           "step"),
}};

constexpr std::array<Keyword, 3> strategy_keywords{{
    custom("matrix", form::any, "Lists by name, include and exclude."),
    {"max-parallel", Type::count, "Most variants at the same time."},
    or_else(
        {"fail-fast", Type::boolean, "Whether one failure ends the others."},
        "true"),
}};

constexpr std::array<Keyword, 4> timeout_keywords{{
    {"attempt", Type::duration, "Of each attempt."},
    {"total", Type::duration, "Of all attempts together."},
    {"queue", Type::duration, "Of a job's waiting for a place."},
    {"silence", Type::duration, "Of each attempt, without output."},
}};

constexpr std::array<Keyword, 8> retry_keywords{{
    or_else({"attempts", Type::count, "Tries with the first."}, "1"),
    or_else({"delay", Type::duration, "Before the second."}, "1s"),
    or_else({"backoff", Type::number, "Growth of the delay."}, "2"),
    or_else({"max-delay", Type::duration, "Longest delay."}, "1m"),
    or_else({"jitter", Type::number, "Share of the delay that is random."},
            "0.1"),
    {"max-elapsed", Type::duration, "No new attempt so long after the first."},
    {"if", Type::texts, "Causes to try again for: exit:75, timeout."},
    {"unless", Type::texts, "Causes not to try again for."},
}};

constexpr std::array<Keyword, 5> concurrency_keywords{{
    {"group", Type::text, "Its name: who shares it shares the limit."},
    or_else({"limit", Type::count, "So many at the same time."}, "1"),
    or_else({"queue", Type::count, "Most that wait."}, "100"),
    one_of("on-conflict", conflicts, "What happens beyond the limit.", "queue"),
    or_else({"cancel-in-progress", Type::boolean,
             "The same as on-conflict: cancel-running."},
            "false"),
}};

constexpr std::array<Keyword, 2> retention_keywords{{
    {"runs", Type::count, "So many that have ended, the newest ones."},
    {"days", Type::count, "Of these, those that ended in so many days."},
}};

constexpr std::array<Keyword, 3> job_group_keywords{{
    one_of("strategy", strategies, "What starts again.", "one_for_one"),
    or_else({"intensity", Type::count, "Restarts allowed within the period."},
            "1"),
    or_else({"period", Type::duration, "In which they are counted."}, "24h"),
}};

constexpr std::array<Keyword, 2> need_keywords{{
    {"job", Type::text, "Its name; services.NAME is a service."},
    one_of("when", need_ends, "The end that is wanted; ready is for services.",
           "succeeded"),
}};

constexpr std::array<Keyword, 14> services_keywords{{
    one_of("strategy", strategies, "What starts again.", "one_for_one"),
    or_else({"intensity", Type::count, "Restarts allowed within the period."},
            "5"),
    or_else({"period", Type::duration, "In which they are counted."}, "60s"),
    custom("backoff", form::map, "Waits before restarts.", "backoff"),
    one_of("on-give-up", give_ups, "What follows too many restarts.",
           "escalate"),
    or_else({"hold-for", Type::duration, "How long to hold."}, "1m"),
    one_of("auto-shutdown", auto_shutdowns,
           "Whose end, of the significant ones, ends all.", "never"),
    or_section(custom("children", form::named, "Services and groups by name.",
                      "service"),
               "group"),
    custom("template", form::map, "The one service of all copies.", "template"),
    or_else(custom("replicas", form::count | form::map,
                   "How many copies, or bounds.", "replicas"),
            "1"),
    {"env", Type::text_map, "Variables of its services."},
    {"dotenv", Type::texts, "Files of variables of its services."},
    {"shell", Type::text, "The shell of its services."},
    {"working-directory", Type::text, "Where its services run."},
}};

constexpr auto group_keywords = joined(
    services_keywords,
    std::array<Keyword, 4>{{
        one_of("restart", restart_kinds, "When it starts again.", "permanent"),
        or_else({"significant", Type::boolean, "Takes part in auto-shutdown."},
                "false"),
        or_words(custom("depends-on", form::text | form::list | form::named,
                        "What comes first: names, or a map of names to "
                        "how far."),
                 dependency_ends),
        later("mailbox", "How many messages wait."),
    }});

constexpr std::array<Keyword, 15> template_keywords{{
    {"run", Type::text, "The command."},
    one_of("restart", restart_kinds, "When it starts again.", "permanent"),
    custom("backoff", form::map, "Waits before restarts.", "backoff"),
    custom("ready", form::map, "When it can be used.", "ready"),
    custom("live", form::map, "Whether it still works.", "live"),
    {"watchdog", Type::duration, "Longest time between two WATCHDOG=1."},
    or_else(or_words(custom("shutdown", form::duration | form::map,
                            "How it is ended.", "shutdown"),
                     kills),
            "5s"),
    or_else({"success-exit-codes", Type::counts, "Exit codes of success."},
            "0"),
    custom("limits", form::map, "What it may take.", "limits"),
    custom("watch", form::map, "Files whose change restarts it.", "watch"),
    custom("log", form::map, "How much of its output is kept.", "log"),
    {"env", Type::text_map, "Its variables."},
    {"dotenv", Type::texts, "Files of its variables."},
    {"shell", Type::text, "The shell of its command."},
    {"working-directory", Type::text, "Where it runs."},
}};

constexpr auto service_keywords = joined(
    template_keywords,
    std::array<Keyword, 2>{{
        or_else({"significant", Type::boolean, "Takes part in auto-shutdown."},
                "false"),
        or_words(custom("depends-on", form::text | form::list | form::named,
                        "What comes first: names, or a map of names to "
                        "how far."),
                 dependency_ends),
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
    or_else({"delay", Type::duration, "Before the first check."}, "0s"),
    or_else({"period", Type::duration, "Between two checks."}, "500ms"),
    or_else({"timeout", Type::duration, "From its start."}, "60s"),
}};

constexpr std::array<Keyword, 7> live_keywords{{
    {"exec", Type::text, "A command that exits with 0."},
    {"http", Type::text, "A URL that answers with 2xx or 3xx."},
    {"tcp", Type::text, "HOST:PORT that accepts connections."},
    or_else({"delay", Type::duration, "From readiness to the first check."},
            "0s"),
    or_else({"period", Type::duration, "Between two checks."}, "10s"),
    or_else({"timeout", Type::duration, "Of one check."}, "5s"),
    or_else({"failures", Type::count, "So many in a row end it."}, "3"),
}};

constexpr std::array<Keyword, 2> shutdown_keywords{{
    or_else({"signal", Type::text, "The polite signal."}, "SIGTERM"),
    or_else({"timeout", Type::duration, "From the signal to the kill."}, "5s"),
}};

constexpr std::array<Keyword, 6> limits_keywords{{
    {"memory", Type::size, "Memory of the service as a whole."},
    custom("cpu", form::text, "Share of the processors; 100% is one."),
    {"tasks", Type::count, "Processes and threads of the service."},
    {"files", Type::count, "Open files of each process."},
    {"processes", Type::count, "Processes of the user."},
    {"file-size", Type::size, "Size of a file that it writes."},
}};

constexpr std::array<Keyword, 3> watch_keywords{{
    {"paths", Type::texts, "Files, folders and patterns."},
    or_else({"debounce", Type::duration, "Quiet time before the restart."},
            "300ms"),
    {"exclude", Type::texts, "Patterns of files that do not count."},
}};

constexpr std::array<Keyword, 2> log_keywords{{
    or_else({"size", Type::size, "Of one file."}, "10MiB"),
    or_else({"count", Type::count, "Older files that are kept."}, "4"),
}};

constexpr std::array<Keyword, 5> backoff_keywords{{
    or_else({"min", Type::duration, "Before the first restart."}, "100ms"),
    or_else({"max", Type::duration, "Longest wait."}, "30s"),
    or_else({"factor", Type::number, "Growth from one wait to the next."}, "2"),
    or_else({"jitter", Type::number, "Share of the wait that is random."},
            "0.1"),
    or_else({"reset-after", Type::duration, "Up for so long, it starts over."},
            "60s"),
}};

constexpr std::array<Section, 38> all_sections{{
    {"workflow", "a workflow", workflow_keywords},
    {"on", "\"on\"", on_keywords},
    {"dispatch", "\"dispatch\"", dispatch_keywords},
    {"call", "\"call\"", call_keywords},
    {"output", "an output", output_keywords},
    {"input", "an input", input_keywords},
    {"schedule", "a schedule", schedule_keywords},
    {"on-watch", "\"watch\" of \"on\"", on_watch_keywords},
    {"webhook", "\"webhook\"", webhook_keywords},
    {"secret", "a secret", secret_keywords},
    {"defaults", "\"defaults\"", defaults_keywords},
    {"job", "a job", job_keywords},
    {"step", "a step", step_keywords},
    {"cache", "\"cache\"", cache_keywords},
    {"artifacts", "\"artifacts\"", artifacts_keywords},
    {"hooks", "\"hooks\"", hooks_keywords},
    {"approval", "\"approval\"", approval_keywords},
    {"notify", "one of \"notify\"", notify_keywords},
    {"strategy", "\"strategy\"", strategy_keywords},
    {"placement", "\"placement\"", placement_keywords},
    {"timeout", "\"timeout\"", timeout_keywords},
    {"retry", "\"retry\"", retry_keywords},
    {"need", "a need", need_keywords},
    {"groups", "a group of jobs", job_group_keywords},
    {"concurrency", "\"concurrency\"", concurrency_keywords},
    {"retention", "\"retention\"", retention_keywords},
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
