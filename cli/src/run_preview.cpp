#include "run_preview.hpp"

#include "run_names.hpp"

#include <troupe/base/quantity.hpp>
#include <troupe/base/shell_words.hpp>
#include <troupe/base/text.hpp>
#include <troupe/workflow/history.hpp>

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

constexpr std::size_t longest_list = 200;

/// What is known before anything has run.
class Known {
 public:
  Known(const Workflow& workflow, const workflow::PlanOptions& options) {
    // The plan could be made, so they are fine.
    inputs_ = Value{*workflow::resolve_inputs(workflow, options.inputs,
                                              options.surroundings)};
    run_ = Value{Value::Object{{"id", Value{options.run_id}},
                               {"name", Value{workflow.name}},
                               {"actor", Value{options.actor}},
                               {"trigger", Value{options.trigger}}}};
    file_hashes_ = &options.file_hashes;
    add(workflow.env);
  }

  /// What the jobs that `call` runs know, if its job knows `around`.
  Known(const workflow::Call& call, const Known& around,
        const workflow::Surroundings& surroundings)
      : file_hashes_{around.file_hashes_}, run_{around.run_} {
    Value::Object inputs;
    const auto find = [&](const std::string& name) -> const Template* {
      for (const workflow::Argument& given : call.inputs) {
        if (given.name == name)
          return &given.value;
      }
      return nullptr;
    };
    const auto note = [&](const std::string& name, Result<Value> value) {
      if (value)
        inputs.emplace_back(name, std::move(*value));
      else
        unknown_inputs_.insert(name);
    };
    const auto unknown = failure(Errc::not_found, "not known yet");
    const auto* const declared = call.workflow->inputs_of_call();
    for (const workflow::Input& input :
         declared != nullptr ? *declared : std::vector<workflow::Input>{}) {
      const Template* const given = find(input.name);
      if (given == nullptr && !input.fallback)
        note(input.name, Value{});
      else if (given == nullptr)
        note(input.name,
             workflow::parse_input(input, *input.fallback, surroundings));
      else if (around.is_known(*given))
        note(input.name,
             workflow::parse_input(input, around.text(*given), surroundings));
      else
        note(input.name, unknown);
    }
    for (const workflow::Argument& given : call.inputs) {
      if (declared == nullptr)
        note(given.name, around.is_known(given.value)
                             ? Result<Value>{Value{around.text(given.value)}}
                             : unknown);
    }
    inputs_ = Value{std::move(inputs)};
    add(call.workflow->env);
  }

  void set_matrix(Value::Object values) { matrix_ = Value{std::move(values)}; }
  void set_matrix_unknown() { knows_matrix_ = false; }

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
    Environment names{{{"inputs", &inputs_},
                       {"run", &run_},
                       {"env", &env_},
                       {"matrix", &matrix_}}};
    names.file_hashes = file_hashes_;
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
          if (context == "matrix")
            return knows_matrix_;
          if (context == "inputs")
            return node.path.size() > 1
                       ? !unknown_inputs_.contains(node.path[1])
                       : unknown_inputs_.empty();
          // How the run ends is not known.
          return context == "run" &&
                 (node.path.size() < 2 || run_.member(node.path[1]) != nullptr);
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

  const workflow::FileHashes* file_hashes_ = nullptr;
  Value inputs_;
  Value run_;
  Value matrix_{Value::Object{}};
  bool knows_matrix_ = true;
  Value env_{Value::Object{}};
  std::set<std::string> unknown_;  ///< Variables.
  std::set<std::string> unknown_inputs_{};
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

std::string_view trimmed_text(std::string_view text) {
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

void describe_step(const Step& step, const std::string& key, Duration estimate,
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
  if (estimate > Duration{0})
    out += fmt::format("    {} ({}{}, about {})", key, printable(how),
                       how_often(step), rough_duration(estimate));
  else
    out += fmt::format("    {} ({}{})", key, printable(how), how_often(step));
  if (!step.name.empty())
    out += ": " + printable(known.text(step.name));
  out += '\n';
  if (step.condition)
    out += fmt::format("      if {}\n",
                       printable(trimmed_text(step.condition->text)));
  std::string_view rest = trimmed_text(line);
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
    else if (need.when == workflow::When::started)
      out += " (once it has started)";
    else if (need.when == workflow::When::failed)
      out += " (if it fails)";
  }
  if (!job.services.empty())
    out += fmt::format("{} with {}", out.empty() ? "" : ",",
                       fmt::join(job.services, ", "));
  return out;
}

/// From what is known of earlier runs.
std::string how_long(const Plan::Instance& instance) {
  if (instance.path <= Duration{0})
    return {};
  return fmt::format(", about {}, {} to the end of the run",
                     rough_duration(instance.estimate),
                     rough_duration(instance.path));
}

/// "critical path, about 5m: pull, load, report".
std::string describe_critical_path(const Plan& plan,
                                   const workflow::PlanOptions& options) {
  const Workflow& workflow = plan.workflow();
  std::set<std::string_view> names;
  for (const Plan::Instance& instance : plan.instances())
    names.insert(instance.job);
  std::vector<bool> wanted;
  for (const Job& job : workflow.jobs)
    wanted.push_back(names.contains(job.id));
  const auto path = workflow::critical_path(workflow, options.estimate,
                                            options.max_parallel, wanted);
  if (path.jobs.empty())
    return {};
  std::string jobs;
  std::string unknown;
  for (const std::size_t i : path.jobs) {
    const Job& job = workflow.jobs[i];
    jobs += (jobs.empty() ? "" : ", ") + printable(job.id);
    for (std::size_t s = 0; s < job.steps.size(); ++s) {
      const std::string key = workflow::step_key(job, s);
      if (options.estimate(job.id, key).typical == Duration{0})
        unknown += fmt::format("{}{} of {}", unknown.empty() ? "" : ", ", key,
                               printable(job.id));
    }
  }
  std::string out = fmt::format("\ncritical path, about {}: {}\n",
                                rough_duration(path.length), jobs);
  if (!unknown.empty())
    out += fmt::format("  without what is not known yet: {}\n",
                       ellipsize(unknown, longest_list));
  return out;
}

std::string indented(const std::string& text, std::string_view indent) {
  std::string out;
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = std::min(text.find('\n', start), text.size() - 1);
    out += indent;
    out += text.substr(start, end + 1 - start);
    start = end + 1;
  }
  return out;
}

/// A job for one combination of its matrix.
struct Described {
  const Workflow& file;
  const Job& job;
  std::string name;  ///< Behind those that have called it: report/load.
  std::string label;
  const Known& known;
  const workflow::PlanOptions& options;

  [[nodiscard]] Duration estimate_of(const std::string& step) const {
    return options.estimate ? options.estimate(name, step).typical
                            : Duration{0};
  }
};

std::string describe_called(const Described& caller);

std::string preview_job(const Described& d, const std::string& remarks) {
  const Job& job = d.job;
  std::string out = fmt::format("  job {}{}{}\n", printable(d.label),
                                describe_needs(d.file, job), remarks);
  if (job.computed_matrix)
    out += "    its matrix is computed when the jobs before it have ended\n";
  if (job.condition)
    out += fmt::format("    if {}\n",
                       printable(trimmed_text(job.condition->text)));
  if (job.approval != nullptr)
    out += fmt::format(
        "    once {} has approved it\n",
        job.approval->approvers.empty()
            ? "somebody"
            : printable(fmt::format(
                  "{}", fmt::join(job.approval->approvers, " or "))));
  if (job.call)
    out += describe_called(d);
  const auto keys = step_keys(job);
  for (std::size_t s = 0; s < job.steps.size(); ++s)
    describe_step(job.steps[s], keys[s], d.estimate_of(keys[s]), d.known, out);
  return out;
}

/// What a job knows, if the file around it knows `around`.
Known known_of(const Job& job, const Known& around, std::size_t combination) {
  Known known = around;
  known.set_matrix(job.matrix[combination]);
  if (job.computed_matrix)
    known.set_matrix_unknown();
  known.add(job.env);
  return known;
}

std::string describe_called(const Described& caller) {
  const workflow::Call& call = *caller.job.call;
  std::string out = fmt::format(
      "    calls {}{}\n", printable(call.workflow->source->name()),
      call.job.empty() ? "" : fmt::format(", job {}", printable(call.job)));
  for (const workflow::Argument& given : call.inputs)
    out += fmt::format("      with {}: {}\n", printable(given.name),
                       printable(caller.known.text(given.value)));
  const Known around{call, caller.known, caller.options.surroundings};
  const auto wanted = workflow::needed_by(*call.workflow, call.job);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const Job& job = call.workflow->jobs[i];
    for (std::size_t n = 0; wanted[i] && n < job.matrix.size(); ++n) {
      const Known known = known_of(job, around, n);
      std::string label = known.text(job.name);
      std::string values;
      for (const auto& [key, value] : job.matrix[n])
        values += (values.empty() ? "" : ", ") + value.text();
      if (label.empty())
        label =
            values.empty() ? job.id : fmt::format("{} ({})", job.id, values);
      out += indented(preview_job({*call.workflow, job,
                                   fmt::format("{}/{}", caller.name, job.id),
                                   fmt::format("{}/{}", caller.label, label),
                                   known, caller.options},
                                  ""),
                      "  ");
    }
  }
  return out;
}

std::string describe_hooks(const Workflow& workflow,
                           const workflow::PlanOptions& options) {
  std::string out;
  for (const Job& job : workflow.jobs) {
    if (!job.hook)
      continue;
    out += out.empty() ? "\nhooks\n" : "";
    describe_step(job.steps.front(), std::string{to_string(*job.hook)},
                  Duration{0}, Known{workflow, options}, out);
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
  const Known around{workflow, options};
  for (std::size_t i = 0; i < plan.instances().size(); ++i) {
    const Plan::Instance& instance = plan.instances()[i];
    if (workflow::is_hook(instance.job))
      continue;
    const bool same = i > 0 && plan.instances()[i - 1].job == instance.job;
    combination = same ? combination + 1 : 0;
    const std::size_t at = index.at(instance.job);
    const Job& job = workflow.jobs[at];
    const Known known = known_of(job, around, combination);
    texts[waves[at]] +=
        preview_job({workflow, job, job.id, instance.label, known, options},
                    how_long(instance));
  }
  const auto jobs = std::count_if(
      plan.instances().begin(), plan.instances().end(),
      [](const Plan::Instance& i) { return !workflow::is_hook(i.job); });
  std::string out =
      fmt::format("{}: {} job{}, at most {} at a time; nothing was started\n",
                  printable(workflow.name), jobs, jobs == 1 ? "" : "s",
                  options.max_parallel);
  std::size_t number = 0;
  for (const auto& [wave, text] : texts)
    out += fmt::format("\nwave {}\n{}", ++number, text);
  return out + describe_critical_path(plan, options) +
         describe_hooks(workflow, options);
}

}  // namespace troupe::cli
