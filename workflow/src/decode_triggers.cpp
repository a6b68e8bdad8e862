#include "decode_triggers.hpp"

#include "decode.hpp"
#include "text_decoder.hpp"

#include <troupe/base/text.hpp>
#include <troupe/workflow/keywords.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace troupe::workflow {
namespace {

using config::Entry;
using config::Fields;
using config::Node;

constexpr std::size_t most_inputs = 100;
constexpr std::size_t most_schedules = 100;

class TriggersDecoder : TextDecoder {
 public:
  using TextDecoder::TextDecoder;

  Triggers run(const Entry& entry) {
    Triggers triggers;
    if (entry.value.kind != Node::Kind::mapping) {
      read_names(entry.value);
      return triggers;
    }
    Fields fields = open(entry.value, "on");
    if (const Entry* const dispatch = fields.take("dispatch"))
      triggers.dispatch_inputs = read_trigger(*dispatch, "dispatch");
    if (const Entry* const call = fields.take("call"))
      triggers.call_inputs =
          read_trigger(*call, "call", &triggers.call_outputs);
    if (const Entry* const schedule = fields.take("schedule"))
      read_schedules(schedule->value, triggers.schedules);
    if (const Entry* const watch = fields.take("watch"))
      triggers.watch = read_watch(*watch);
    if (const Entry* const webhook = fields.take("webhook"))
      triggers.webhook = read_webhook(*webhook);
    fields.finish();
    return triggers;
  }

  std::vector<Input> read_inputs(const Entry& entry) {
    std::vector<Input> inputs;
    if (entry.value.kind == Node::Kind::null)
      return inputs;
    if (entry.value.kind != Node::Kind::mapping) {
      config::report_expected(entry.value, "inputs",
                              "a map such as {date: {type: date}}",
                              diagnostics_);
      return inputs;
    }
    for (const Entry& item : entry.value.entries) {
      if (inputs.size() == most_inputs) {
        diagnostics_.add(item.where,
                         fmt::format("more than {} inputs", most_inputs));
        break;
      }
      inputs.push_back(read_input(item));
    }
    return inputs;
  }

 private:
  /// `on: dispatch` or `on: [dispatch, call]`; what they say is nothing new.
  void read_names(const Node& node) {
    if (node.kind == Node::Kind::sequence) {
      for (const Node& item : node.items)
        read_names(item);
      return;
    }
    const auto name = config::to_text(node, "on", diagnostics_);
    if (!name)
      return;
    // As if it were a key without a value, so that it is refused as one.
    Node key;
    key.kind = Node::Kind::mapping;
    key.where = node.where;
    key.entries.push_back({*name, node.where, {}});
    static_cast<void>(open(key, "on"));
    for (const auto& [automatic, such_as] :
         {std::pair{"schedule", "on: {schedule: 15 2 * * *}"},
          std::pair{"watch", "on: {watch: {paths: [in]}}"},
          std::pair{"webhook",
                    "on: {webhook: {token: \"${{ secrets.HOOK }}\"}}"}}) {
      if (*name == automatic)
        diagnostics_.add(
            node.where,
            fmt::format("\"{}\" says nothing by its name alone", automatic),
            such_as);
    }
  }

  // -- At times ---------------------------------------------------------------

  void read_schedules(const Node& node,
                      std::vector<ScheduleTrigger>& schedules) {
    if (node.kind == Node::Kind::sequence) {
      if (node.items.empty())
        diagnostics_.add(node.where, "a list without a schedule",
                         "schedule: 15 2 * * *");
      for (const Node& item : node.items) {
        if (schedules.size() == most_schedules) {
          diagnostics_.add(item.where, fmt::format("more than {} schedules",
                                                   most_schedules));
          return;
        }
        read_schedule(item, schedules);
      }
      return;
    }
    read_schedule(node, schedules);
  }

  void read_schedule(const Node& node,
                     std::vector<ScheduleTrigger>& schedules) {
    if (node.kind == Node::Kind::scalar) {
      if (auto trigger = read_cron(node))
        schedules.push_back(std::move(*trigger));
      return;
    }
    Fields fields = open(node, "schedule");
    const Entry* const cron = fields.take("cron");
    Duration catch_up{0};
    fields.read("catch-up", catch_up);
    Overlap overlap = Overlap::skip;
    read_word(fields, "overlap", overlap,
              {Overlap::skip, Overlap::queue, Overlap::allow,
               Overlap::cancel_running});
    const auto zone = read_zone(fields.take("timezone"));
    fields.finish();
    if (cron == nullptr) {
      if (node.kind == Node::Kind::mapping)
        diagnostics_.add(node.where, "a schedule needs \"cron\"",
                         "cron: 15 2 * * *");
      return;
    }
    auto trigger = read_cron(cron->value);
    if (!trigger)
      return;
    trigger->zone = zone;
    trigger->catch_up = catch_up;
    trigger->overlap = overlap;
    schedules.push_back(std::move(*trigger));
  }

  std::optional<ScheduleTrigger> read_cron(const Node& node) {
    const auto text = config::to_text(node, "cron", diagnostics_);
    if (!text)
      return std::nullopt;
    auto cron = schedule::Cron::parse(*text);
    if (!cron) {
      const schedule::CronProblem& problem = cron.error();
      report({{problem.offset, problem.length, problem.message, problem.hint}},
             node.where, *text, diagnostics_);
      return std::nullopt;
    }
    return ScheduleTrigger{node.where, *text, *cron, {}};
  }

  std::optional<schedule::TimeZone> read_zone(const Entry* entry) {
    if (entry == nullptr)
      return std::nullopt;
    const auto name = config::to_text(entry->value, "timezone", diagnostics_);
    if (!name)
      return std::nullopt;
    auto zone = schedule::TimeZone::find(*name);
    if (!zone) {
      diagnostics_.add(entry->value.where, zone.error().what);
      return std::nullopt;
    }
    return *zone;
  }

  // -- When files change, and when somebody asks ------------------------------

  WatchTrigger read_watch(const Entry& entry) {
    WatchTrigger watch;
    watch.where = entry.where;
    Fields fields = open(entry.value, "on-watch");
    for (const auto& [name, texts] : {std::pair{"paths", &watch.paths},
                                      std::pair{"exclude", &watch.exclude}}) {
      fields.read(name, *texts);
      const Entry* const found = fields.take(name);
      if (found == nullptr)
        continue;
      refuse_expressions(found->value, name);
      if (std::any_of(texts->begin(), texts->end(),
                      [](const std::string& text) { return text.empty(); }))
        diagnostics_.add(found->value.where,
                         fmt::format("{}: an empty path", name));
    }
    fields.read("debounce", watch.debounce);
    fields.read("settle", watch.settle);
    if (watch.paths.empty() && entry.value.kind == Node::Kind::mapping)
      diagnostics_.add(entry.where, "\"watch\" needs \"paths\"",
                       "paths: [in/**/*.csv]");
    fields.finish();
    return watch;
  }

  /// A token in the file would be known to all who may read it.
  std::optional<WebhookTrigger> read_webhook(const Entry& entry) {
    Fields fields = open(entry.value, "webhook");
    const Entry* const token = fields.take("token");
    fields.finish();
    if (token == nullptr) {
      if (entry.value.kind == Node::Kind::mapping)
        diagnostics_.add(entry.where, "\"webhook\" needs \"token\"",
                         "token: \"${{ secrets.HOOK }}\"");
      return std::nullopt;
    }
    const auto text = config::to_text(token->value, "token", diagnostics_);
    if (!text)
      return std::nullopt;
    std::vector<Problem> problems;
    const Template parsed =
        parse_template(*text, token->value.where, Usage::text, problems);
    report(problems, token->value.where, *text, diagnostics_);
    if (!problems.empty())
      return std::nullopt;
    const auto& parts = parsed.parts;
    const bool is_one = parts.size() == 1 && parts[0].literal.empty() &&
                        parts[0].expression.has_value();
    const std::vector<Expression::Node> nodes =
        is_one ? parts[0].expression->nodes() : std::vector<Expression::Node>{};
    if (nodes.size() != 1 || nodes[0].kind != Expression::Kind::path ||
        nodes[0].path.size() != 2 || nodes[0].path[0] != "secrets") {
      diagnostics_.add(token->value.where, "token: expected a secret",
                       "token: \"${{ secrets.HOOK }}\", and in \"secrets\" "
                       "HOOK: {from: env}");
      return std::nullopt;
    }
    return WebhookTrigger{token->value.where, std::string{nodes[0].path[1]}};
  }

  std::optional<std::vector<Input>> read_trigger(
      const Entry& entry, std::string_view section,
      std::vector<NamedTemplate>* outputs = nullptr) {
    if (entry.value.kind == Node::Kind::null)
      return std::nullopt;
    std::optional<std::vector<Input>> inputs;
    Fields fields = open(entry.value, section);
    if (const Entry* const found = fields.take("inputs"))
      inputs = read_inputs(*found);
    if (outputs != nullptr) {
      *outputs = read_named(fields.take("outputs"), "outputs");
      for (const NamedTemplate& output : *outputs)
        check_name("the name of an output", output.name, output.value.where);
    }
    fields.finish();
    return inputs;
  }

  Input read_input(const Entry& entry) {
    Input input;
    input.name = entry.key;
    input.where = entry.where;
    check_name("the name of an input", input.name, input.where);
    if (entry.value.kind == Node::Kind::null)
      return input;
    Fields fields = open(entry.value, "input");
    read_word(fields, "type", input.type,
              {InputType::string, InputType::number, InputType::boolean,
               InputType::boolean, InputType::choice, InputType::date,
               InputType::path});
    fields.read("required", input.required);
    fields.read("description", input.description);
    read_options(fields, entry, input);
    if (const Entry* const fallback = fields.take("default"))
      read_fallback(fallback->value, input);
    fields.finish();
    return input;
  }

  void read_options(Fields& fields, const Entry& entry, Input& input) {
    fields.read("options", input.options);
    const Entry* const options = fields.take("options");
    if (options != nullptr)
      refuse_expressions(options->value, "options");
    if (input.type == InputType::choice && input.options.empty())
      diagnostics_.add(entry.where, "a choice needs \"options\"",
                       "options: [staging, prod]");
    else if (input.type != InputType::choice && options != nullptr)
      diagnostics_.add(options->where, "\"options\" are for a choice",
                       "type: choice");
  }

  /// A default that the input would refuse is a mistake of the file, whenever
  /// it is used.
  void read_fallback(const Node& node, Input& input) {
    const auto text = config::to_text(node, "default", diagnostics_);
    if (!text)
      return;
    refuse_expressions(node, "default");
    const Surroundings any{std::chrono::year_month_day{std::chrono::sys_days{}},
                           {}};
    const bool is_known =
        input.type != InputType::choice || !input.options.empty();
    if (const auto value = parse_input(input, *text, any); !value && is_known)
      diagnostics_.add(node.where,
                       fmt::format("default: {}", value.error().what));
    input.fallback = *text;
  }
};

}  // namespace

std::vector<Input> decode_inputs(const Entry& entry,
                                 config::Diagnostics& diagnostics) {
  return TriggersDecoder{diagnostics}.read_inputs(entry);
}

Triggers decode_triggers(const Entry& entry, config::Diagnostics& diagnostics) {
  return TriggersDecoder{diagnostics}.run(entry);
}

void check_triggers(const Workflow& workflow,
                    config::Diagnostics& diagnostics) {
  const Triggers& triggers = workflow.triggers;
  if (triggers.webhook) {
    std::vector<std::string_view> names;
    for (const Secret& secret : workflow.secrets)
      names.push_back(secret.name);
    if (std::find(names.begin(), names.end(), triggers.webhook->secret) ==
        names.end())
      diagnostics.add(
          triggers.webhook->where,
          fmt::format("unknown secret {}", in_quotes(triggers.webhook->secret)),
          config::did_you_mean(triggers.webhook->secret, names));
  }
  const auto* const inputs = workflow.declared_inputs();
  if (inputs == nullptr)
    return;
  for (const Input& input : *inputs) {
    if (!input.required || input.fallback)
      continue;
    const auto refuse = [&](std::string_view by) {
      diagnostics.add(
          input.where,
          fmt::format("the input {} is required, and {} does not give it",
                      in_quotes(input.name), by),
          "default: VALUE");
    };
    if (!triggers.schedules.empty() && input.name != scheduled_input)
      refuse("a schedule");
    if (triggers.watch && input.name != files_input)
      refuse("\"watch\"");
    if (triggers.webhook && input.name != body_input)
      refuse("\"webhook\"");
  }
}

}  // namespace troupe::workflow
