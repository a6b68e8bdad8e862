#include "decode.hpp"

#include "decode_services.hpp"
#include "matrix.hpp"
#include "text_decoder.hpp"

#include <troupe/base/text.hpp>
#include <troupe/workflow/keywords.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <memory>
#include <set>

namespace troupe::workflow {
namespace {

using config::Entry;
using config::Fields;
using config::Node;

constexpr std::uint32_t most_attempts = 1000;
constexpr double most_minutes = 60.0 * 24 * 366;
constexpr std::size_t most_steps = 1000;  ///< Of one job.
constexpr std::uint32_t most_job_restarts = 1000;

/// What steps get from the job and the workflow around them.
struct Settings {
  std::vector<std::string> shell = default_shell();
  Template working_directory;
  TimeLimits timeout;
  Duration grace = Step{}.grace;
  actors::RetryPolicy retry;
};

class Decoder : TextDecoder {
 public:
  using TextDecoder::TextDecoder;

  Draft run(const Node& root) {
    Fields fields = open(root, "workflow");
    fields.read("name", draft_.workflow.name);
    if (const Entry* const entry = fields.take("name"))
      refuse_expressions(entry->value, "name");
    draft_.workflow.env = read_env(fields.take("env"));
    Settings settings;
    if (const Entry* const entry = fields.take("defaults")) {
      Fields defaults = open(entry->value, "defaults");
      read_settings(defaults, settings);
      read_timeout(defaults, settings.timeout);
      read_retry(defaults, settings.retry);
      defaults.finish();
    }
    const Entry* const jobs = fields.take("jobs");
    const Entry* const services = fields.take("services");
    if (jobs != nullptr)
      read_jobs(jobs->value, settings);
    else if (services == nullptr && root.kind == Node::Kind::mapping)
      diagnostics_.add(root.where, "a workflow needs \"jobs\" or \"services\"");
    read_groups(fields.take("groups"));
    read_dotenv(fields, services);
    if (services != nullptr)
      draft_.workflow.services = std::make_shared<const ServiceGroup>(
          decode_services(*services, settings.shell, settings.working_directory,
                          diagnostics_));
    fields.finish();
    return std::move(draft_);
  }

 private:
  void read_dotenv(Fields& fields, const Entry* services) {
    fields.read("dotenv", draft_.workflow.dotenv);
    if (services == nullptr && !draft_.workflow.dotenv.empty())
      diagnostics_.add(fields.take("dotenv")->where,
                       "\"dotenv\" is not supported yet for jobs by this "
                       "version");
  }

  std::optional<Condition> read_condition(Fields& fields) {
    const Entry* const entry = fields.take("if");
    if (entry == nullptr)
      return std::nullopt;
    auto text = config::to_text(entry->value, "if", diagnostics_);
    if (!text)
      return std::nullopt;
    std::vector<Problem> problems;
    auto out = parse_condition(*text, entry->value.where, problems);
    report(problems, entry->value.where, *text, diagnostics_);
    return out;
  }

  std::vector<NamedTemplate> read_outputs(const Entry* entry) {
    if (entry != nullptr && entry->value.kind == Node::Kind::mapping) {
      for (const Entry& item : entry->value.entries) {
        check_name("the name of an output", item.key, item.where);
        if (item.value.kind == Node::Kind::mapping) {
          diagnostics_.add(item.value.where,
                           "outputs from the text of a stream are not "
                           "supported yet by this version");
          return {};
        }
      }
    }
    return read_named(entry, "outputs");
  }

  /// Shell, directory and grace, which mean the same everywhere.
  void read_settings(Fields& fields, Settings& settings) {
    if (const Entry* const entry = fields.take("shell"))
      read_shell(entry->value, settings.shell);
    if (const Entry* const entry = fields.take("working-directory"))
      settings.working_directory =
          read_template(entry->value, "working-directory");
    fields.read("grace", settings.grace);
  }

  void read_timeout(Fields& fields, TimeLimits& limits) {
    const Entry* const entry = fields.take("timeout");
    const Entry* const minutes = fields.take("timeout-minutes");
    if (minutes != nullptr) {
      const auto value = config::to_number(minutes->value, "timeout-minutes", 0,
                                           most_minutes, diagnostics_);
      if (value)
        limits = {std::chrono::duration_cast<Duration>(
                      std::chrono::duration<double, std::ratio<60>>{*value}),
                  Duration{0}};
      if (entry != nullptr)
        diagnostics_.add(minutes->where,
                         "\"timeout\" and \"timeout-minutes\" exclude each "
                         "other");
    }
    if (entry == nullptr)
      return;
    if (entry->value.kind != Node::Kind::mapping) {
      const auto value =
          config::to_duration(entry->value, "timeout", diagnostics_);
      limits = {value.value_or(Duration{0}), Duration{0}};
      return;
    }
    limits = {};
    Fields parts = open(entry->value, "timeout");
    parts.read("attempt", limits.attempt);
    parts.read("total", limits.total);
    parts.finish();
  }

  void read_retry(Fields& fields, actors::RetryPolicy& retry) {
    const Entry* const entry = fields.take("retry");
    const Entry* const retries = fields.take("retries");
    if (retries != nullptr) {
      const auto value = config::to_count(retries->value, "retries", 0,
                                          most_attempts - 1, diagnostics_);
      if (value)
        retry.attempts = static_cast<std::uint32_t>(*value) + 1;
      if (entry != nullptr)
        diagnostics_.add(retries->where,
                         "\"retry\" and \"retries\" exclude each other");
    }
    if (entry == nullptr)
      return;
    if (entry->value.kind != Node::Kind::mapping) {
      config::report_expected(entry->value, "retry",
                              "a map such as {attempts: 3}", diagnostics_);
      return;
    }
    Fields parts = open(entry->value, "retry");
    parts.read("attempts", retry.attempts, 1, most_attempts);
    parts.read("delay", retry.delay);
    parts.read("backoff", retry.backoff, 1, 1000);
    parts.read("max-delay", retry.max_delay);
    parts.read("jitter", retry.jitter, 0, 1);
    parts.finish();
  }

  /// `continue-on-error`; a list of causes is a form of later versions.
  void read_continue(Fields& fields, bool& out) {
    const Entry* const entry = fields.take("continue-on-error");
    if (entry == nullptr)
      return;
    if (entry->value.kind == Node::Kind::sequence)
      diagnostics_.add(entry->value.where,
                       "a list in \"continue-on-error\" is not supported yet "
                       "by this version");
    else
      out = config::to_bool(entry->value, "continue-on-error", diagnostics_)
                .value_or(out);
  }

  void read_criteria(Fields& fields, actors::SuccessCriteria& success) {
    fields.read("success-exit-codes", success.exit_codes, 0, 255);
    fields.read("output-contains", success.output_contains);
    fields.read("output-not-contains", success.output_not_contains);
    fields.read("max-duration", success.max_duration);
    for (const std::string_view keyword :
         {"output-contains", "output-not-contains"}) {
      if (const Entry* const entry = fields.take(keyword))
        refuse_expressions(entry->value, keyword);
    }
  }

  void apply(const Settings& settings, Step& step) {
    step.shell = settings.shell;
    step.working_directory = settings.working_directory;
    step.timeout = settings.timeout;
    step.grace = settings.grace;
    step.retry = settings.retry;
  }

  Step read_step(const Node& node, const Settings& around) {
    Step step;
    Fields fields = open(node, "step");
    Settings settings = around;
    read_settings(fields, settings);
    read_timeout(fields, settings.timeout);
    read_retry(fields, settings.retry);
    apply(settings, step);
    fields.read("id", step.id);
    step.name = read_template(fields, "name");
    step.condition = read_condition(fields);
    step.env = read_env(fields.take("env"));
    read_continue(fields, step.continue_on_error);
    read_criteria(fields, step.success);
    if (const Entry* const run = fields.take("run"))
      step.run = read_run(*run, step.shell);
    else if (node.kind == Node::Kind::mapping)
      diagnostics_.add(node.where, "a step needs \"run\"");
    fields.finish();
    if (const Node* const id = node.find("id"); id != nullptr) {
      if (id->kind == Node::Kind::scalar)
        check_name("the id of a step", step.id, id->where);
    }
    return step;
  }

  void read_steps(const Entry& entry, const Settings& settings, Job& job) {
    if (entry.value.kind != Node::Kind::sequence || entry.value.items.empty()) {
      config::report_expected(entry.value, "steps",
                              "a list with at least one step", diagnostics_);
      return;
    }
    std::set<std::string> ids;
    for (const Node& item : entry.value.items) {
      if (job.steps.size() == most_steps) {
        diagnostics_.add(
            item.where, fmt::format("a job of more than {} steps", most_steps));
        return;
      }
      job.steps.push_back(read_step(item, settings));
      const std::string& id = job.steps.back().id;
      if (!id.empty() && !ids.insert(id).second)
        diagnostics_.add(item.find("id")->where,
                         fmt::format("two steps with the id {}", quoted(id)));
    }
  }

  void read_strategy(Fields& fields, Job& job) {
    const Entry* const entry = fields.take("strategy");
    if (entry == nullptr)
      return;
    if (entry->value.kind == Node::Kind::scalar) {
      diagnostics_.add(entry->value.where,
                       "\"strategy\" of a job is a map; a restart strategy "
                       "belongs to its \"group\"");
      return;
    }
    Fields parts = open(entry->value, "strategy");
    parts.read("max-parallel", job.max_parallel, 1,
               static_cast<std::uint32_t>(most_combinations));
    parts.read("fail-fast", job.fail_fast);
    if (const Entry* const matrix = parts.take("matrix"))
      job.matrix = expand_matrix(matrix->value, diagnostics_);
    parts.finish();
  }

  void read_need(const Node& node, std::vector<WrittenNeed>& needs) {
    WrittenNeed need;
    need.where = node.where;
    if (node.kind == Node::Kind::mapping) {
      Fields parts = open(node, "need");
      if (const Entry* const job = parts.take("job")) {
        need.where = job->value.where;
        need.job =
            config::to_text(job->value, "job", diagnostics_).value_or("");
      } else {
        diagnostics_.add(node.where, "a need needs \"job\"");
      }
      if (const Entry* const when = parts.take("when"))
        read_when(when->value, need.when);
      parts.finish();
    } else {
      need.job = config::to_text(node, "needs", diagnostics_).value_or("");
    }
    if (need.job.starts_with("services."))
      diagnostics_.add(need.where,
                       "services in \"needs\" are not supported yet by this "
                       "version");
    else if (!need.job.empty())
      needs.push_back(std::move(need));
  }

  void read_when(const Node& node, When& when) {
    if (node.text == "succeeded")
      when = When::succeeded;
    else if (node.text == "finished")
      when = When::finished;
    else if (node.text == "failed")
      when = When::failed;
    else
      config::report_expected(node, "when", "succeeded, finished or failed",
                              diagnostics_);
  }

  std::vector<WrittenNeed> read_needs(const Entry* entry) {
    std::vector<WrittenNeed> needs;
    if (entry == nullptr)
      return needs;
    if (entry->value.kind == Node::Kind::sequence) {
      for (const Node& item : entry->value.items)
        read_need(item, needs);
    } else {
      read_need(entry->value, needs);
    }
    return needs;
  }

  void read_job(const Entry& entry, const Settings& around) {
    Job job;
    job.id = entry.key;
    job.where = entry.where;
    check_name("the name of a job", job.id, job.where);
    Fields fields = open(entry.value, "job");
    Settings settings = around;
    read_settings(fields, settings);
    TimeLimits limits = settings.timeout;
    read_timeout(fields, limits);
    actors::RetryPolicy retry = settings.retry;
    read_retry(fields, retry);
    actors::SuccessCriteria success;
    read_criteria(fields, success);
    job.name = read_template(fields, "name");
    job.condition = read_condition(fields);
    job.env = read_env(fields.take("env"));
    job.outputs = read_outputs(fields.take("outputs"));
    read_continue(fields, job.continue_on_error);
    read_strategy(fields, job);
    draft_.needs.push_back(read_needs(fields.take("needs")));
    draft_.groups.push_back(read_group_name(fields));

    const Entry* const run = fields.take("run");
    const Entry* const steps = fields.take("steps");
    if (run != nullptr && steps != nullptr) {
      diagnostics_.add(entry.where,
                       fmt::format("the job {} has both \"run\" and \"steps\"",
                                   quoted(job.id)));
    } else if (run != nullptr) {
      settings.timeout = limits;
      settings.retry = retry;
      Step step;
      apply(settings, step);
      step.id = "run";
      step.success = std::move(success);
      step.run = read_run(*run, step.shell);
      job.steps.push_back(std::move(step));
    } else if (steps != nullptr) {
      refuse_on_steps(entry.value);
      if (entry.value.find("timeout") != nullptr ||
          entry.value.find("timeout-minutes") != nullptr ||
          entry.value.find("timeout_minutes") != nullptr)
        job.time_limit = shorter(limits);
      read_steps(*steps, settings, job);
    } else if (entry.value.kind == Node::Kind::mapping) {
      diagnostics_.add(
          entry.where,
          fmt::format("the job {} needs \"run\" or \"steps\"", quoted(job.id)));
    }
    fields.finish();
    draft_.workflow.jobs.push_back(std::move(job));
  }

  WrittenGroup read_group_name(Fields& fields) {
    WrittenGroup group;
    fields.read("group", group.name);
    if (const Entry* const entry = fields.take("group"))
      group.where = entry->value.where;
    return group;
  }

  void read_groups(const Entry* entry) {
    if (entry == nullptr)
      return;
    if (entry->value.kind != Node::Kind::mapping) {
      config::report_expected(entry->value, "groups",
                              "a map such as {publish: {intensity: 2}}",
                              diagnostics_);
      return;
    }
    for (const Entry& item : entry->value.entries) {
      JobGroup group;
      group.id = item.key;
      group.where = item.where;
      check_name("the name of a group", group.id, group.where);
      Fields fields = open(item.value, "groups");
      read_restart_rules(fields, "a group", most_job_restarts, group.strategy,
                         group.intensity, group.period);
      fields.finish();
      draft_.workflow.groups.push_back(std::move(group));
    }
  }

  /// A job with steps is tried once, so both limits are of the same thing.
  static Duration shorter(const TimeLimits& limits) {
    if (limits.attempt == Duration{0} || limits.total == Duration{0})
      return std::max(limits.attempt, limits.total);
    return std::min(limits.attempt, limits.total);
  }

  /// What on a job means its one command has no meaning next to steps.
  void refuse_on_steps(const Node& job) {
    for (const Entry& entry : job.entries) {
      const config::Keyword* const keyword = section("job").find(entry.key);
      if (keyword == nullptr)
        continue;
      if (keyword->name == "retry" || keyword->name == "retries")
        diagnostics_.add(entry.where,
                         fmt::format("{} of a job with steps is not supported "
                                     "yet by this version; put it on a step",
                                     quoted(entry.key)));
      else if (keyword->name == "success-exit-codes" ||
               keyword->name == "output-contains" ||
               keyword->name == "output-not-contains" ||
               keyword->name == "max-duration")
        diagnostics_.add(entry.where,
                         fmt::format("{} belongs on a step, since this job "
                                     "has several",
                                     quoted(entry.key)));
    }
  }

  void read_jobs(const Node& node, const Settings& settings) {
    if (node.kind != Node::Kind::mapping || node.entries.empty()) {
      config::report_expected(node, "jobs", "a map with at least one job",
                              diagnostics_);
      return;
    }
    std::size_t instances = 0;
    for (const Entry& entry : node.entries) {
      if (draft_.workflow.jobs.size() == most_jobs) {
        diagnostics_.add(entry.where,
                         fmt::format("more than {} jobs", most_jobs));
        return;
      }
      read_job(entry, settings);
      instances += draft_.workflow.jobs.back().matrix.size();
      if (instances > most_instances) {
        diagnostics_.add(entry.where,
                         fmt::format("with this job's matrix the workflow has "
                                     "more than {} jobs",
                                     most_instances));
        return;
      }
    }
  }

  Draft draft_;
};

}  // namespace

void report(const std::vector<Problem>& problems, config::Span where,
            const std::string& text, config::Diagnostics& diagnostics) {
  constexpr std::size_t most_of_one_text = 100;
  for (std::size_t i = 0; i < std::min(problems.size(), most_of_one_text);
       ++i) {
    const Problem& p = problems[i];
    diagnostics.add(
        locate(diagnostics.source(), where, text, p.offset, p.length),
        p.message, p.hint);
  }
}

Draft decode(const config::Document& document,
             config::Diagnostics& diagnostics) {
  Draft draft = Decoder{diagnostics}.run(document.root);
  draft.workflow.source = document.source;
  if (draft.workflow.name.empty())
    draft.workflow.name = document.source->name();
  return draft;
}

}  // namespace troupe::workflow
