#include "run_preview.hpp"

#include "run_names.hpp"

#include <troupe/base/quantity.hpp>
#include <troupe/base/shell_words.hpp>
#include <troupe/base/text.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <set>
#include <string_view>
#include <vector>

namespace troupe::cli {
namespace {

using workflow::Environment;
using workflow::Expression;
using workflow::Job;
using workflow::NamedTemplate;
using workflow::Plan;
using workflow::Step;
using workflow::Template;
using workflow::Value;
using workflow::Workflow;

/// What is known before anything has run.
class Known {
 public:
  Known(const Workflow& workflow, const workflow::PlanOptions& options) {
    Value::Object inputs;
    for (const auto& [name, value] : options.inputs)
      inputs.emplace_back(name, Value{value});
    inputs_ = Value{std::move(inputs)};
    run_ = Value{Value::Object{{"id", Value{options.run_id}},
                               {"name", Value{workflow.name}}}};
    add(workflow.env);
  }

  void set_matrix(Value::Object values) { matrix_ = Value{std::move(values)}; }

  /// Variables that hide those of the same name from further out.
  void add(const std::vector<NamedTemplate>& env) {
    std::vector<std::pair<std::string, std::optional<std::string>>> values;
    for (const NamedTemplate& variable : env) {
      std::optional<std::string> value;
      if (is_known(variable.value))
        value = text(variable.value);
      values.emplace_back(variable.name, std::move(value));
    }
    for (auto& [name, value] : values) {
      auto& object = std::get<Value::Object>(env_.data);
      object.erase(std::remove_if(
                       object.begin(), object.end(),
                       [&n = name](const auto& old) { return old.first == n; }),
                   object.end());
      unknown_.erase(name);
      if (value)
        object.emplace_back(name, Value{std::move(*value)});
      else
        unknown_.insert(name);
    }
  }

  [[nodiscard]] bool is_known(const Template& text) const {
    return std::all_of(text.parts.begin(), text.parts.end(),
                       [this](const Template::Part& part) {
                         return !part.expression || is_known(*part.expression);
                       });
  }

  /// With what is not known as it was written.
  [[nodiscard]] std::string text(const Template& text) const {
    const Environment names{{{"inputs", &inputs_},
                             {"run", &run_},
                             {"env", &env_},
                             {"matrix", &matrix_}}};
    std::string out;
    for (const Template::Part& part : text.parts) {
      if (part.expression && !is_known(*part.expression)) {
        out += part.literal + written(text, part);
        continue;
      }
      const auto resolved =
          workflow::resolve(Template{text.text, text.where, {part}}, names);
      out += resolved ? *resolved : fmt::format("<{}>", resolved.error().what);
    }
    return out;
  }

 private:
  [[nodiscard]] bool is_known(const Expression& expression) const {
    if (expression.asks_for_status())
      return false;
    return std::all_of(
        expression.nodes().begin(), expression.nodes().end(),
        [this](const Expression::Node& node) {
          if (node.kind != Expression::Kind::path)
            return true;
          const std::string& context = node.path.front();
          if (context == "env")
            return node.path.size() > 1 && !unknown_.contains(node.path[1]);
          return context == "inputs" || context == "run" || context == "matrix";
        });
  }

  static std::string written(const Template& text, const Template::Part& part) {
    const std::size_t end = text.text.find("}}", part.offset);
    std::string_view inside =
        std::string_view{text.text}.substr(part.offset, end - part.offset);
    inside.remove_prefix(
        std::min(inside.find_first_not_of(" \t\r\n"), inside.size()));
    inside = inside.substr(0, inside.find_last_not_of(" \t\r\n") + 1);
    return fmt::format("${{{{ {} }}}}", inside);
  }

  Value inputs_;
  Value run_;
  Value matrix_{Value::Object{}};
  Value env_{Value::Object{}};
  std::set<std::string> unknown_;  ///< Variables.
};

/// For each job, how many jobs are before it on the longest way.
std::vector<std::size_t> waves_of(const Workflow& workflow) {
  std::vector<std::size_t> waves(workflow.jobs.size(), 0);
  // There are no cycles, so this ends after as many rounds as there are waves.
  for (bool changed = true; std::exchange(changed, false);) {
    for (std::size_t i = 0; i < waves.size(); ++i) {
      for (const workflow::Need& need : workflow.jobs[i].needs) {
        if (waves[i] <= waves[need.job]) {
          waves[i] = waves[need.job] + 1;
          changed = true;
        }
      }
    }
  }
  return waves;
}

std::string_view trimmed(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  return text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
}

std::string how_often(const Step& step) {
  std::string out;
  if (step.retry.attempts > 1)
    out += fmt::format(", up to {} attempts", step.retry.attempts);
  if (step.timeout.attempt > Duration{0})
    out += fmt::format(", at most {}", format_duration(step.timeout.attempt));
  if (step.timeout.total > Duration{0})
    out +=
        fmt::format(", at most {} in all", format_duration(step.timeout.total));
  return out;
}

void describe_step(const Step& step, const std::string& key,
                   const Known& around, std::string& out) {
  Known known = around;
  known.add(step.env);
  const std::string line = known.text(step.run);
  const bool may_be_plain = step.shell == workflow::default_shell();
  const bool is_known = known.is_known(step.run);
  const bool plain = may_be_plain && is_known && simple_command_words(line);
  std::string how =
      plain ? "without a shell"
            : fmt::format(
                  "by {}{}", shell_join(step.shell),
                  may_be_plain && !is_known ? " if it needs a shell" : "");
  if (!step.working_directory.empty())
    how += " in " + known.text(step.working_directory);
  out += fmt::format("    {} ({}{})", key, printable(how), how_often(step));
  if (!step.name.empty())
    out += ": " + printable(known.text(step.name));
  out += '\n';
  if (step.condition)
    out +=
        fmt::format("      if {}\n", printable(trimmed(step.condition->text)));
  std::string_view rest = trimmed(line);
  while (!rest.empty()) {
    const std::size_t newline = rest.find('\n');
    out += fmt::format("      {} {}\n", plain ? "$" : "|",
                       printable(rest.substr(0, newline)));
    rest.remove_prefix(newline == std::string_view::npos ? rest.size()
                                                         : newline + 1);
  }
}

std::string describe_needs(const Workflow& workflow, const Job& job) {
  std::string out;
  for (const workflow::Need& need : job.needs) {
    out += out.empty() ? " after " : ", ";
    out += workflow.jobs[need.job].id;
    if (need.when == workflow::When::finished)
      out += " (however it ends)";
    else if (need.when == workflow::When::failed)
      out += " (if it fails)";
  }
  return out;
}

}  // namespace

std::string describe_plan(const Plan& plan,
                          const workflow::PlanOptions& options) {
  const Workflow& workflow = plan.workflow();
  const auto waves = waves_of(workflow);
  std::map<std::string_view, std::size_t> index;
  for (std::size_t i = 0; i < workflow.jobs.size(); ++i)
    index.emplace(workflow.jobs[i].id, i);
  // The instances of a job follow each other in the order of its matrix.
  std::map<std::size_t, std::string> texts;  // By wave.
  std::size_t combination = 0;
  for (std::size_t i = 0; i < plan.instances().size(); ++i) {
    const Plan::Instance& instance = plan.instances()[i];
    const bool same = i > 0 && plan.instances()[i - 1].job == instance.job;
    combination = same ? combination + 1 : 0;
    const std::size_t at = index.at(instance.job);
    const Job& job = workflow.jobs[at];
    std::string& out = texts[waves[at]];
    out += fmt::format("  job {}{}\n", printable(instance.label),
                       describe_needs(workflow, job));
    if (job.condition)
      out +=
          fmt::format("    if {}\n", printable(trimmed(job.condition->text)));
    Known known{workflow, options};
    known.set_matrix(job.matrix[combination]);
    known.add(job.env);
    const auto keys = step_keys(job);
    for (std::size_t s = 0; s < job.steps.size(); ++s)
      describe_step(job.steps[s], keys[s], known, out);
  }
  std::string out = fmt::format(
      "{}: {} job{}, at most {} at a time; nothing was started\n",
      printable(workflow.name), plan.instances().size(),
      plan.instances().size() == 1 ? "" : "s", options.max_parallel);
  std::size_t number = 0;
  for (const auto& [wave, text] : texts)
    out += fmt::format("\nwave {}\n{}", ++number, text);
  return out;
}

}  // namespace troupe::cli
