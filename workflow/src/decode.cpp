#include "decode.hpp"

#include "decode_call.hpp"
#include "decode_outputs.hpp"
#include "decode_services.hpp"
#include "decode_triggers.hpp"
#include "matrix.hpp"
#include "text_decoder.hpp"

#include <troupe/base/text.hpp>
#include <troupe/workflow/keywords.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <memory>
#include <set>

namespace troupe::workflow {
namespace {

using config::Entry;
using config::Fields;
using config::Node;

constexpr std::uint32_t most_attempts = 1000;
constexpr double most_minutes = 60.0 * 24 * 366;
constexpr std::size_t most_steps = 1000;          ///< Of one job.
constexpr std::uint32_t most_at_a_time = 10'000;  ///< Of a concurrency group.
constexpr std::size_t most_causes = 100;          ///< Of one list.
constexpr std::uint32_t most_job_restarts = 1000;
constexpr std::size_t most_secrets = 100;
constexpr std::size_t most_notify_rules = 100;
constexpr std::uint32_t most_runs_kept = 1'000'000;
constexpr std::uint32_t most_days_kept = 36'500;
constexpr std::string_view service_prefix = "services.";

/// What steps get from the job and the workflow around them.
struct Settings {
  std::vector<std::string> shell = default_shell();
  Template working_directory;
  TimeLimits timeout;
  Duration grace = Step{}.grace;
  actors::RetryPolicy retry;
  std::vector<Template> labels;
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
    if (const Entry* const entry = fields.take("on"))
      draft_.workflow.triggers = decode_triggers(*entry, diagnostics_);
    draft_.workflow.run_name = read_template(fields, "run-name");
    read_secrets(fields.take("secrets"));
    draft_.includes = decode_includes(fields, diagnostics_);
    Settings settings;
    if (const Entry* const entry = fields.take("defaults")) {
      Fields defaults = open(entry->value, "defaults");
      read_settings(defaults, settings);
      read_timeout(defaults, settings.timeout);
      read_retry(defaults, settings.retry);
      settings.labels = read_texts(defaults.take("runs-on"), "runs-on");
      defaults.finish();
    }
    const Entry* const jobs = fields.take("jobs");
    const Entry* const services = fields.take("services");
    if (jobs != nullptr)
      read_jobs(jobs->value, settings);
    else if (services == nullptr && root.kind == Node::Kind::mapping)
      diagnostics_.add(root.where, "a workflow needs \"jobs\" or \"services\"");
    if (const Entry* const hooks = fields.take("hooks"))
      read_hooks(*hooks, settings);
    if (const Entry* const notify = fields.take("notify"))
      read_notify(notify->value);
    if (jobs == nullptr && !draft_.workflow.notify.empty())
      diagnostics_.add(draft_.workflow.notify.front().where,
                       "\"notify\" belongs to a run of \"jobs\", and this file "
                       "has none");
    read_groups(fields.take("groups"));
    draft_.workflow.concurrency = read_concurrency(fields);
    read_retention(fields, draft_.workflow.retention);
    fields.read("dotenv", draft_.workflow.dotenv);
    if (services != nullptr)
      draft_.workflow.services = std::make_shared<const ServiceGroup>(
          decode_services(*services, settings.shell, settings.working_directory,
                          diagnostics_));
    fields.finish();
    check_triggers(draft_.workflow, diagnostics_);
    return std::move(draft_);
  }

 private:
  void read_secrets(const Entry* entry) {
    if (entry == nullptr)
      return;
    if (entry->value.kind != Node::Kind::mapping) {
      config::report_expected(entry->value, "secrets",
                              "a map such as {TOKEN: {from: env}}",
                              diagnostics_);
      return;
    }
    for (const Entry& item : entry->value.entries) {
      if (draft_.workflow.secrets.size() == most_secrets) {
        diagnostics_.add(item.where,
                         fmt::format("more than {} secrets", most_secrets));
        return;
      }
      Secret secret;
      secret.name = item.key;
      secret.where = item.where;
      check_name("the name of a secret", secret.name, secret.where);
      Fields fields = open(item.value, "secret");
      read_word(fields, "from", secret.source,
                {SecretSource::environment, SecretSource::file,
                 SecretSource::command});
      fields.read("key", secret.key);
      if (const Entry* const key = fields.take("key"))
        refuse_expressions(key->value, "key");
      fields.finish();
      if (secret.key.empty() && secret.source == SecretSource::environment)
        secret.key = secret.name;
      if (secret.key.empty())
        diagnostics_.add(item.where, fmt::format("the secret {} needs \"key\"",
                                                 in_quotes(secret.name)));
      draft_.workflow.secrets.push_back(std::move(secret));
    }
  }

  std::vector<Template> read_texts(const Entry* entry,
                                   std::string_view keyword) {
    std::vector<Template> texts;
    if (entry == nullptr)
      return texts;
    if (entry->value.kind != Node::Kind::sequence) {
      texts.push_back(read_template(entry->value, keyword));
      return texts;
    }
    for (const Node& item : entry->value.items)
      texts.push_back(read_template(item, keyword));
    return texts;
  }

  void read_placement(Fields& fields, const Settings& around, Placement& out) {
    const Entry* const labels = fields.take("runs-on");
    out.labels =
        labels == nullptr ? around.labels : read_texts(labels, "runs-on");
    out.is_of_job = labels != nullptr;
    const Entry* const entry = fields.take("placement");
    if (entry == nullptr)
      return;
    Fields parts = open(entry->value, "placement");
    out.key = read_template(parts, "key");
    parts.read("spread", out.spread);
    parts.finish();
    out.where = entry->where;
  }

  std::optional<StepCache> read_cache(Fields& fields) {
    const Entry* const entry = fields.take("cache");
    if (entry == nullptr)
      return std::nullopt;
    StepCache cache;
    Fields parts = open(entry->value, "cache");
    cache.key = read_template(parts, "key");
    cache.sources = read_texts(parts.take("sources"), "sources");
    cache.generates = read_texts(parts.take("generates"), "generates");
    parts.read("max-age", cache.max_age);
    parts.finish();
    if (cache.key.empty() && cache.sources.empty() &&
        entry->value.kind == Node::Kind::mapping)
      diagnostics_.add(entry->where,
                       "\"cache\" needs \"key\" or \"sources\": what has to be "
                       "the same, besides the command");
    return cache;
  }

  /// A step that says what it does, and has the limits of the job's others.
  Step transfer_step(const Settings& settings, Transfer transfer) {
    Step step;
    apply(settings, step);
    step.name.text = fmt::format(
        "{} {}", transfer.is_upload ? "upload" : "download",
        transfer.is_upload ? transfer.name
                           : fmt::format("{}.{}", transfer.job, transfer.name));
    step.name.where = transfer.where;
    step.name.parts = {{.literal = step.name.text, .expression = {}}};
    step.transfer = std::move(transfer);
    return step;
  }

  void read_downloads(const Entry* entry, const Settings& settings, Job& job) {
    if (entry == nullptr)
      return;
    const auto read_one = [&](const Node& node) {
      const auto text = config::to_text(node, "download", diagnostics_);
      if (!text)
        return;
      const std::size_t dot = text->find('.');
      if (dot == std::string::npos || dot == 0 || dot + 1 == text->size()) {
        config::report_expected(node, "download",
                                "JOB.NAME, such as build.report", diagnostics_);
        return;
      }
      job.steps.push_back(
          transfer_step(settings, {.is_upload = false,
                                   .job = text->substr(0, dot),
                                   .name = text->substr(dot + 1),
                                   .where = node.where,
                                   .patterns = {}}));
    };
    if (entry->value.kind != Node::Kind::sequence)
      read_one(entry->value);
    for (const Node& item : entry->value.items)
      read_one(item);
  }

  std::vector<Step> read_uploads(const Entry* entry, const Settings& settings,
                                 const Job& job, Duration retention) {
    std::vector<Step> steps;
    if (entry == nullptr)
      return steps;
    if (entry->value.kind != Node::Kind::mapping)
      config::report_expected(entry->value, "upload",
                              "a map such as {report: out/**}", diagnostics_);
    for (const Entry& item : entry->value.entries) {
      check_name("the name of an artifact", item.key, item.where);
      steps.push_back(
          transfer_step(settings, {.is_upload = true,
                                   .job = job.id,
                                   .name = item.key,
                                   .where = item.where,
                                   .patterns = read_texts(&item, item.key),
                                   .retention = retention}));
    }
    return steps;
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
        set_attempt(limits,
                    std::chrono::duration_cast<Duration>(
                        std::chrono::duration<double, std::ratio<60>>{*value}));
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
      set_attempt(limits, value.value_or(Duration{0}));
      return;
    }
    limits = {};
    Fields parts = open(entry->value, "timeout");
    parts.read("attempt", limits.attempt);
    parts.read("total", limits.total);
    parts.read("queue", limits.queue);
    parts.read("silence", limits.silence);
    parts.finish();
  }

  /// A bare limit says nothing about queue and silence.
  static void set_attempt(TimeLimits& limits, Duration attempt) {
    limits.attempt = attempt;
    limits.total = Duration{0};
  }

  std::vector<actors::CauseRule> read_causes(const Entry* entry,
                                             std::string_view name) {
    std::vector<actors::CauseRule> rules;
    if (entry == nullptr)
      return rules;
    const auto read_one = [&](const Node& node) {
      const auto text = config::to_text(node, name, diagnostics_);
      if (!text)
        return;
      const auto rule = actors::parse_cause_rule(*text);
      if (rule)
        rules.push_back(*rule);
      else
        diagnostics_.add(node.where,
                         fmt::format("{}: {}", name, rule.error().what));
    };
    if (entry->value.kind != Node::Kind::sequence)
      read_one(entry->value);
    for (const Node& item : entry->value.items) {
      if (rules.size() == most_causes) {
        diagnostics_.add(item.where, fmt::format("{}: more than {} causes",
                                                 name, most_causes));
        break;
      }
      read_one(item);
    }
    return rules;
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
    parts.read("max-elapsed", retry.max_elapsed);
    if (const Entry* const causes = parts.take("if"))
      retry.only_if = read_causes(causes, "if");
    if (const Entry* const causes = parts.take("unless"))
      retry.unless = read_causes(causes, "unless");
    parts.finish();
  }

  /// true, false, or causes.
  void read_continue(Fields& fields, Forgiveness& out) {
    const Entry* const entry = fields.take("continue-on-error");
    if (entry == nullptr)
      return;
    if (entry->value.text == "true" || entry->value.text == "false")
      out.any = entry->value.text == "true";
    else
      out.causes = read_causes(entry, "continue-on-error");
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
    if (const Node* const timeout = node.find("timeout"); timeout != nullptr) {
      if (const Node* const queue = timeout->find("queue"); queue != nullptr)
        diagnostics_.add(queue->where,
                         "\"queue\" belongs on a job: its steps do not wait "
                         "for places");
    }
    read_retry(fields, settings.retry);
    apply(settings, step);
    fields.read("id", step.id);
    step.name = read_template(fields, "name");
    step.condition = read_condition(fields);
    step.env = read_env(fields.take("env"));
    read_continue(fields, step.continue_on_error);
    read_criteria(fields, step.success);
    step.cache = read_cache(fields);
    if (const Entry* const run = fields.take("run"))
      step.run = read_run(*run, step.shell);
    else if (node.kind == Node::Kind::mapping)
      diagnostics_.add(node.where, "a step needs \"run\"");
    if (const Entry* const entry = fields.take("outputs"))
      step.outputs = decode_step_outputs(*entry, step, diagnostics_);
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
        diagnostics_.add(
            item.find("id")->where,
            fmt::format("two steps with the id {}", in_quotes(id)));
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
      read_matrix(matrix->value, job);
    parts.finish();
  }

  void read_matrix(const Node& node, Job& job) {
    if (!has_expression(node)) {
      job.matrix = expand_matrix(node, diagnostics_);
      return;
    }
    MatrixText text;
    text.where = node.where;
    if (node.kind == Node::Kind::scalar)
      text.whole = read_expression(node, "matrix");
    for (const Entry& entry : node.entries) {
      MatrixText::Part part;
      part.key = entry.key;
      if (entry.value.kind == Node::Kind::scalar)
        part.computed = read_expression(entry.value, entry.key);
      else
        part.written = matrix_value(entry.value, diagnostics_);
      text.parts.push_back(std::move(part));
    }
    if (node.kind == Node::Kind::sequence)
      config::report_expected(node, "matrix", "a map of lists", diagnostics_);
    job.computed_matrix = std::make_shared<const MatrixText>(std::move(text));
  }

  /// A text that is one expression and nothing around it.
  std::optional<Template> read_expression(const Node& node,
                                          std::string_view name) {
    Template text = read_template(node, name);
    if (text.parts.size() == 1 && text.parts[0].expression &&
        text.parts[0].literal.empty())
      return text;
    config::report_expected(node, name, "one ${{ expression }} or a list",
                            diagnostics_);
    return std::nullopt;
  }

  std::optional<Concurrency> read_concurrency(Fields& fields) {
    const Entry* const entry = fields.take("concurrency");
    if (entry == nullptr)
      return std::nullopt;
    Concurrency out;
    if (entry->value.kind == Node::Kind::scalar) {
      out.group = read_template(entry->value, "concurrency");
      return out;
    }
    Fields parts = open(entry->value, "concurrency");
    if (const Entry* const group = parts.take("group"))
      out.group = read_template(group->value, "group");
    else if (entry->value.kind == Node::Kind::mapping)
      diagnostics_.add(entry->value.where, "\"concurrency\" needs \"group\"");
    parts.read("limit", out.limits.limit, 1, most_at_a_time);
    parts.read("queue", out.limits.queue, 0, most_at_a_time);
    read_word(parts, "on-conflict", out.limits.on_conflict,
              {OnConflict::queue, OnConflict::cancel_running, OnConflict::skip,
               OnConflict::fail});
    // As GitHub Actions has it.
    bool cancel = false;
    parts.read("cancel-in-progress", cancel);
    if (cancel)
      out.limits.on_conflict = OnConflict::cancel_running;
    parts.finish();
    return out;
  }

  void read_retention(Fields& fields, Retention& out) {
    const Entry* const entry = fields.take("retention");
    if (entry == nullptr)
      return;
    Fields parts = open(entry->value, "retention");
    parts.read("runs", out.runs, 1, most_runs_kept);
    std::uint32_t days = 0;
    parts.read("days", days, 1, most_days_kept);
    out.age = 24h * days;
    parts.finish();
  }

  void read_resources(Fields& fields, Job& job) {
    const Entry* const entry = fields.take("resources");
    if (entry == nullptr)
      return;
    if (entry->value.kind != Node::Kind::mapping) {
      config::report_expected(entry->value, "resources",
                              "names with amounts, such as {cpu: 2, memory: "
                              "4GiB}",
                              diagnostics_);
      return;
    }
    if (job.call) {
      diagnostics_.add(entry->where,
                       "\"resources\" belong on the jobs of the file that is "
                       "called");
      return;
    }
    for (const Entry& item : entry->value.entries) {
      const auto text = config::to_text(item.value, item.key, diagnostics_);
      if (!text)
        continue;
      const std::string name = item.key == "memory" ? "mem" : item.key;
      const auto amount =
          flow_control::Resources::parse(fmt::format("{}={}", name, *text));
      if (!amount)
        diagnostics_.add(item.value.where, amount.error().what);
      else if (job.resources.amount(name) != 0)
        diagnostics_.add(item.where,
                         fmt::format("{} is there twice", in_quotes(item.key)));
      else
        job.resources.give_back(*amount);
    }
  }

  std::shared_ptr<const Approval> read_approval(const Entry* entry) {
    if (entry == nullptr)
      return nullptr;
    auto approval = std::make_shared<Approval>();
    approval->where = entry->where;
    if (entry->value.kind == Node::Kind::null)
      return approval;
    Fields fields = open(entry->value, "approval");
    approval->prompt = read_template(fields, "prompt");
    fields.read("approvers", approval->approvers);
    if (const Entry* const approvers = fields.take("approvers"))
      refuse_expressions(approvers->value, "approvers");
    if (const Entry* const inputs = fields.take("inputs"))
      approval->inputs = decode_inputs(*inputs, diagnostics_);
    if (fields.take("timeout") != nullptr)
      read_positive(fields, "timeout", approval->timeout);
    fields.finish();
    for (const Input& input : approval->inputs) {
      if (input.name == "by")
        diagnostics_.add(input.where,
                         "\"approval.by\" is who has approved: choose another "
                         "name for the input");
    }
    return approval;
  }

  void read_need(const Node& node, std::vector<WrittenNeed>& needs) {
    WrittenNeed need;
    need.where = node.where;
    std::optional<When> when = When::succeeded;
    if (node.kind == Node::Kind::mapping) {
      Fields parts = open(node, "need");
      if (const Entry* const job = parts.take("job")) {
        need.where = job->value.where;
        need.job =
            config::to_text(job->value, "job", diagnostics_).value_or("");
      } else {
        diagnostics_.add(node.where, "a need needs \"job\"");
      }
      constexpr std::optional<When> ready;
      read_word<std::optional<When>>(parts, "when", when,
                                     {When::succeeded, When::finished,
                                      When::failed, When::started, ready});
      check_when(need, parts.take("when"), when);
      parts.finish();
    } else {
      need.job = config::to_text(node, "needs", diagnostics_).value_or("");
    }
    need.when = when.value_or(When::succeeded);
    if (need.job.starts_with(service_prefix)) {
      need.is_service = true;
      need.job.erase(0, service_prefix.size());
    }
    if (!need.job.empty() || need.is_service)
      needs.push_back(std::move(need));
  }

  /// `when` is nothing for "ready".
  void check_when(const WrittenNeed& need, const Entry* written,
                  std::optional<When> when) {
    const bool is_service = need.job.starts_with(service_prefix);
    if (written == nullptr || is_service == !when)
      return;
    diagnostics_.add(
        written->value.where,
        is_service
            ? fmt::format("{} is a service, which is waited for until it is "
                          "ready and not for its end",
                          in_quotes(need.job))
            : fmt::format("{} is a job, which is never \"ready\"; a service "
                          "is named services.NAME",
                          in_quotes(need.job)));
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
    job.queue_limit = limits.queue;
    actors::RetryPolicy retry = settings.retry;
    read_retry(fields, retry);
    actors::SuccessCriteria success;
    read_criteria(fields, success);
    job.name = read_template(fields, "name");
    job.condition = read_condition(fields);
    job.env = read_env(fields.take("env"));
    DecodedOutputs outputs =
        decode_outputs(fields.take("outputs"), diagnostics_);
    job.outputs = std::move(outputs.texts);
    WrittenCall call = decode_call(fields, entry, job.call, diagnostics_);
    read_continue(fields, job.continue_on_error);
    read_strategy(fields, job);
    read_placement(fields, settings, job.placement);
    draft_.needs.push_back(read_needs(fields.take("needs")));
    draft_.groups.push_back(read_group_name(fields));
    read_word(
        fields, "priority", job.priority,
        {Priority::low, Priority::normal, Priority::high, Priority::critical});
    read_resources(fields, job);
    job.concurrency = read_concurrency(fields);
    job.approval = read_approval(fields.take("approval"));

    std::vector<Step> uploads;
    if (const Entry* const artifacts = fields.take("artifacts")) {
      Settings around_files = settings;
      around_files.retry = {};
      Fields parts = open(artifacts->value, "artifacts");
      Duration retention = Transfer{}.retention;
      parts.read("retention", retention);
      read_downloads(parts.take("download"), around_files, job);
      uploads =
          read_uploads(parts.take("upload"), around_files, job, retention);
      parts.finish();
    }
    std::optional<StepCache> cache = read_cache(fields);
    const Entry* const run = fields.take("run");
    const Entry* const steps = fields.take("steps");
    if (run != nullptr && steps != nullptr) {
      diagnostics_.add(entry.where,
                       fmt::format("the job {} has both \"run\" and \"steps\"",
                                   in_quotes(job.id)));
    } else if (job.call) {
      const Node* const timeout = entry.value.find("timeout");
      if (timeout != nullptr && timeout->find("silence") != nullptr)
        diagnostics_.add(timeout->find("silence")->where,
                         "\"silence\" belongs on the jobs of the file that is "
                         "called");
      read_limits_of_all(entry.value, retry, limits, job);
    } else if (run != nullptr) {
      settings.timeout = limits;
      settings.retry = retry;
      Step step;
      apply(settings, step);
      step.id = "run";
      step.success = std::move(success);
      step.run = read_run(*run, step.shell);
      step.cache = std::move(cache);
      hand_on(std::move(outputs.printed), step, job);
      job.steps.push_back(std::move(step));
    } else if (steps != nullptr) {
      refuse_on_steps(entry.value);
      if (!outputs.printed.empty())
        diagnostics_.add(fields.take("outputs")->where,
                         "outputs from stdout belong on a step, since this job "
                         "has several");
      settings.timeout.silence = limits.silence;
      read_limits_of_all(entry.value, retry, limits, job);
      read_steps(*steps, settings, job);
    } else if (entry.value.kind == Node::Kind::mapping) {
      diagnostics_.add(
          entry.where,
          fmt::format("the job {} needs \"run\", \"steps\" or \"uses\"",
                      in_quotes(job.id)));
    }
    std::move(uploads.begin(), uploads.end(), std::back_inserter(job.steps));
    fields.finish();
    draft_.calls.push_back(std::move(call));
    draft_.workflow.jobs.push_back(std::move(job));
  }

  /// Each becomes a job, which the plan runs in its turn.
  void read_hooks(const Entry& entry, const Settings& settings) {
    Fields fields = open(entry.value, "hooks");
    for (const Hook hook : all_hooks) {
      const Entry* const written = fields.take(to_string(hook));
      if (written == nullptr)
        continue;
      Job job;
      job.id = job_name(hook);
      job.where = written->where;
      job.hook = hook;
      if (written->value.kind == Node::Kind::mapping) {
        job.steps.push_back(read_step(written->value, settings));
      } else {
        Step step;
        apply(settings, step);
        step.run = read_run(*written, step.shell, to_string(hook));
        job.steps.push_back(std::move(step));
      }
      if (job.steps.front().id.empty())
        job.steps.front().id = "run";
      draft_.needs.emplace_back();
      draft_.groups.emplace_back();
      draft_.workflow.jobs.push_back(std::move(job));
    }
    fields.finish();
    if (!draft_.workflow.jobs.empty() &&
        draft_.workflow.jobs.front().hook.has_value())
      diagnostics_.add(entry.where,
                       "\"hooks\" belong to a run of \"jobs\", and this file "
                       "has none");
  }

  void read_notify(const Node& node) {
    if (node.kind == Node::Kind::mapping) {
      read_notify_rule(node);
      return;
    }
    if (node.kind != Node::Kind::sequence)
      config::report_expected(node, "notify",
                              "a list such as [{on: failure, mail: ADDRESS}]",
                              diagnostics_);
    for (const Node& item : node.items) {
      if (draft_.workflow.notify.size() == most_notify_rules) {
        diagnostics_.add(item.where, fmt::format("more than {} in \"notify\"",
                                                 most_notify_rules));
        return;
      }
      read_notify_rule(item);
    }
  }

  void read_notify_rule(const Node& node) {
    NotifyRule rule;
    rule.where = node.where;
    Fields fields = open(node, "notify");
    std::vector<std::string> words;
    fields.read("on", words);
    const Entry* const on = fields.take("on");
    for (const std::string& word : words) {
      if (const auto kind = notice_kind(word, on->value.where))
        rule.on.push_back(*kind);
    }
    std::size_t routes = 0;
    for (const NoticeRoute route :
         {NoticeRoute::command, NoticeRoute::webhook, NoticeRoute::mail}) {
      fields.read(to_string(route), rule.to);
      if (const Entry* const to = fields.take(to_string(route))) {
        refuse_expressions(to->value, to_string(route));
        rule.route = route;
        check_route(rule, to->value.where);
        ++routes;
      }
    }
    fields.finish();
    if (node.kind == Node::Kind::mapping && on == nullptr)
      diagnostics_.add(node.where, "one of \"notify\" needs \"on\"",
                       "on: [failure, recovered]");
    if (node.kind == Node::Kind::mapping && routes != 1)
      diagnostics_.add(node.where,
                       "one of \"notify\" needs either \"command\", "
                       "\"webhook\" or \"mail\"");
    draft_.workflow.notify.push_back(std::move(rule));
  }

  std::optional<NoticeKind> notice_kind(const std::string& word,
                                        config::Span where) {
    std::vector<std::string_view> known;
    for (const NoticeKind kind : all_notice_kinds) {
      if (to_string(kind) == word)
        return kind;
      known.push_back(to_string(kind));
    }
    diagnostics_.add(where,
                     fmt::format("on: expected {}, got {}",
                                 fmt::join(known, ", "), in_quotes(word)),
                     config::did_you_mean(word, known));
    return std::nullopt;
  }

  void check_route(const NotifyRule& rule, config::Span where) {
    if (rule.route == NoticeRoute::webhook && !parse_webhook(rule.to))
      diagnostics_.add(where,
                       "webhook: expected a URL such as "
                       "https://chat.example.org/hook, without a password");
    const bool is_address =
        rule.to.find('@') != std::string::npos &&
        std::all_of(rule.to.begin(), rule.to.end(),
                    [](char c) { return c > ' ' && c < 0x7f && c != ','; });
    if (rule.route == NoticeRoute::mail && !is_address)
      diagnostics_.add(where,
                       "mail: expected one address such as ops@example.org");
    if (rule.route == NoticeRoute::command && rule.to.empty())
      diagnostics_.add(where, "command: expected a command");
  }

  /// Of a job that is more than one command: those are of it as a whole, if it
  /// has them itself.
  static void read_limits_of_all(const Node& node,
                                 const actors::RetryPolicy& retry,
                                 const TimeLimits& limits, Job& job) {
    const auto has = [&](std::string_view key) {
      return node.find(key) != nullptr;
    };
    if (has("retry") || has("retries"))
      job.retry = retry;
    if (has("timeout") || has("timeout-minutes") || has("timeout_minutes"))
      job.time_limit = shorter(limits);
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

  /// Its steps are tried in it, so both limits are of the same thing.
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
      if (keyword->name == "success-exit-codes" || keyword->name == "cache" ||
          keyword->name == "output-contains" ||
          keyword->name == "output-not-contains" ||
          keyword->name == "max-duration")
        diagnostics_.add(entry.where,
                         fmt::format("{} belongs on a step, since this job "
                                     "has several",
                                     in_quotes(entry.key)));
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
