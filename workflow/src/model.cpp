#include "command_argv.hpp"

#include <troupe/base/shell_words.hpp>
#include <troupe/workflow/model.hpp>

#include <algorithm>
#include <cstddef>
#include <fmt/format.h>
#include <utility>

namespace troupe::workflow {

std::vector<std::string> default_shell() { return {"sh", "-e"}; }

std::string step_key(const Job& job, std::size_t step) {
  const Step& wanted = job.steps.at(step);
  if (wanted.transfer)
    return wanted.transfer->is_upload
               ? fmt::format("upload-{}", wanted.transfer->name)
               : fmt::format("download-{}.{}", wanted.transfer->job,
                             wanted.transfer->name);
  if (!wanted.id.empty())
    return wanted.id;
  // Transfers are not among those that the file has.
  const auto before = std::count_if(
      job.steps.begin(), job.steps.begin() + static_cast<std::ptrdiff_t>(step),
      [](const Step& one) { return !one.transfer; });
  return fmt::format("step-{}", before + 1);
}

std::vector<std::string> argv_of(const std::vector<std::string>& shell,
                                 std::string line) {
  if (shell == default_shell()) {
    if (auto words = simple_command_words(line))
      return std::move(*words);
  }
  std::vector<std::string> argv = shell;
  argv.emplace_back("-c");
  argv.push_back(std::move(line));
  return argv;
}

const std::vector<Input>* Workflow::declared_inputs() const {
  const auto& declared = triggers.dispatch_inputs ? triggers.dispatch_inputs
                                                  : triggers.call_inputs;
  return declared ? &*declared : nullptr;
}

std::optional<std::size_t> Workflow::find(Hook hook) const {
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (jobs[i].hook == hook)
      return i;
  }
  return std::nullopt;
}

const std::vector<Input>* Workflow::inputs_of_call() const {
  return triggers.call_inputs ? &*triggers.call_inputs : declared_inputs();
}

std::vector<std::string> output_names(const Job& job) {
  std::vector<std::string> names;
  const auto add = [&](const std::vector<NamedTemplate>& outputs) {
    for (const NamedTemplate& output : outputs) {
      if (std::find(names.begin(), names.end(), output.name) == names.end())
        names.push_back(output.name);
    }
  };
  add(job.outputs);
  if (!job.call)
    return names;
  add(job.call->workflow->triggers.call_outputs);
  for (const Job& called : job.call->workflow->jobs) {
    if (called.id != job.call->job)
      continue;
    for (std::string& name : output_names(called)) {
      if (std::find(names.begin(), names.end(), name) == names.end())
        names.push_back(std::move(name));
    }
  }
  return names;
}

std::vector<bool> needed_by(const Workflow& workflow, std::string_view job) {
  const auto& jobs = workflow.jobs;
  std::vector<bool> needed(jobs.size(), job.empty());
  std::vector<std::size_t> open;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (!job.empty() && jobs[i].id == job)
      open.push_back(i);
  }
  while (!open.empty()) {
    const std::size_t i = open.back();
    open.pop_back();
    if (needed[i])
      continue;
    needed[i] = true;
    for (const Need& need : jobs[i].needs)
      open.push_back(need.job);
  }
  return needed;
}

std::vector<const Workflow*> files_of(const Workflow& workflow) {
  std::vector<const Workflow*> files{&workflow};
  for (std::size_t i = 0; i < files.size(); ++i) {
    for (const auto& next : files[i]->includes) {
      if (std::find(files.begin(), files.end(), next.get()) == files.end())
        files.push_back(next.get());
    }
  }
  return files;
}

bool needs_source(const Workflow& main, const Workflow& file,
                  const Secret& secret) {
  if (!secret.is_used)
    return false;
  if (&main == &file)
    return true;
  const auto has = [&](const auto& named) {
    return std::any_of(named.begin(), named.end(), [&](const auto& one) {
      return one.name == secret.name;
    });
  };
  for (const Workflow* const caller : files_of(main)) {
    for (const Job& job : caller->jobs) {
      if (!job.call || job.call->workflow.get() != &file)
        continue;
      const bool is_given =
          has(job.call->secrets) ||
          (job.call->inherits_secrets && has(caller->secrets));
      if (!is_given)
        return true;
    }
  }
  return false;
}

}  // namespace troupe::workflow
