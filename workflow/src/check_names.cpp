#include "decode.hpp"
#include "scope.hpp"
#include "text_decoder.hpp"

#include <troupe/base/assert.hpp>
#include <troupe/base/suggest.hpp>
#include <troupe/base/text.hpp>
#include <troupe/workflow/services.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <optional>
#include <set>

namespace troupe::workflow {
namespace {

using config::Diagnostics;

Names leaf(std::string_view name) {
  Names names;
  names.name = name;
  return names;
}

Names open(std::string_view name) {
  Names names = leaf(name);
  names.open = true;
  return names;
}

Names refused(std::string_view name, std::string refusal) {
  Names names = leaf(name);
  names.refusal = std::move(refusal);
  return names;
}

Names known_at_end(std::string_view name) {
  return refused(name, fmt::format("\"run.{}\" is only known in the hooks "
                                   "that come after the jobs",
                                   name));
}

Names group(std::string_view name, std::string kind,
            std::vector<Names> members) {
  Names names = leaf(name);
  names.kind = std::move(kind);
  names.members = std::move(members);
  return names;
}

/// The contexts as they are outside of jobs.
Scope workflow_scope() {
  const auto elsewhere = [](std::string_view name) {
    return refused(name, fmt::format("\"{}\" has no meaning here", name));
  };
  Scope scope;
  scope.names =
      group("", "name",
            {open("inputs"),
             group("run", "property of the run",
                   {leaf("id"), leaf("name"), leaf("actor"), leaf("trigger"),
                    known_at_end("result"), known_at_end("failed-job"),
                    known_at_end("blame")}),
             elsewhere("env"), elsewhere("matrix"), elsewhere("steps"),
             elsewhere("needs"), elsewhere("jobs"), elsewhere("secrets"),
             elsewhere("approval"), elsewhere("port")});
  return scope;
}

Names& context(Scope& scope, std::string_view name) {
  for (Names& member : scope.names.members) {
    if (member.name == name)
      return member;
  }
  TROUPE_ASSERT(false && "no such context");
}

void set_context(Scope& scope, Names names) {
  Names& place = context(scope, names.name);
  place = std::move(names);
}

/// Whether the value of `text` has that of a secret in it, by itself or by a
/// variable.
bool has_secret(const Template& text, const Scope& scope) {
  const auto is_secret = [&](const Expression::Node& node) {
    if (node.kind != Expression::Kind::path || node.path.size() < 2)
      return false;
    for (const Names& context : scope.names.members) {
      for (const Names& member : context.members) {
        if (context.name == node.path[0] && member.name == node.path[1])
          return !member.secret.empty();
      }
    }
    return false;
  };
  return std::any_of(
      text.parts.begin(), text.parts.end(), [&](const Template::Part& part) {
        return part.expression &&
               std::any_of(part.expression->nodes().begin(),
                           part.expression->nodes().end(), is_secret);
      });
}

void add_variables(Scope& scope, const std::vector<NamedTemplate>& env) {
  Names& names = context(scope, "env");
  if (!names.refusal.empty())
    names = group("env", "variable", {});
  std::vector<Names> added;
  for (const NamedTemplate& variable : env) {
    Names name = leaf(variable.name);
    if (has_secret(variable.value, scope)) {
      name.secret = fmt::format("the variable {} has a secret in it",
                                in_quotes(name.name));
      name.secret_hint =
          fmt::format("a command gets it as \"${}\"", variable.name);
    }
    added.push_back(std::move(name));
  }
  for (Names& name : added) {
    const auto known =
        std::find_if(names.members.begin(), names.members.end(),
                     [&](const Names& n) { return n.name == name.name; });
    if (known != names.members.end())
      *known = std::move(name);
    else
      names.members.push_back(std::move(name));
  }
}

Names matrix_names(const Job& job) {
  Names names = group("matrix", "matrix key", {});
  if (job.computed_matrix)  // Its keys may come from anywhere.
    return open("matrix");
  if (job.matrix.empty())  // It was wrong, and reported; keys are not known.
    return open("matrix");
  for (const Value::Object& combination : job.matrix) {
    for (const auto& [key, value] : combination) {
      const auto known = std::find_if(
          names.members.begin(), names.members.end(),
          [&name = key](const Names& member) { return member.name == name; });
      Names& member = known != names.members.end()
                          ? *known
                          : names.members.emplace_back(leaf(key));
      member.open =
          member.open || std::holds_alternative<Value::Object>(value.data);
    }
  }
  if (names.members.empty())
    names.refusal = "this job has no matrix";
  return names;
}

Names approval_names(const Job& job) {
  if (job.approval == nullptr)
    return refused("approval", "this job has no \"approval\"");
  Names names = group("approval", "input of an approval", {leaf("by")});
  for (const Input& input : job.approval->inputs)
    names.members.push_back(leaf(input.name));
  return names;
}

class Checker {
 public:
  Checker(Draft& draft, Diagnostics& diagnostics)
      : draft_{draft}, workflow_{draft.workflow}, diagnostics_{diagnostics} {
    for (std::size_t i = 0; i < workflow_.jobs.size(); ++i) {
      if (!workflow_.jobs[i].hook)
        index_.emplace(workflow_.jobs[i].id, i);
    }
  }

  void run() {
    resolve_needs();
    resolve_groups();
    if (!has_cycle())
      check_expressions();
  }

 private:
  void resolve_needs() {
    std::vector<std::string_view> ids;
    for (const Job& job : workflow_.jobs) {
      if (!job.hook)
        ids.push_back(job.id);
    }
    if (workflow_.services != nullptr)
      services_ = service_paths(*workflow_.services);
    for (std::size_t i = 0; i < workflow_.jobs.size(); ++i) {
      for (const WrittenNeed& need : draft_.needs[i]) {
        if (need.is_service)
          resolve_service(need, workflow_.jobs[i]);
        else
          resolve_need(need, ids, workflow_.jobs[i]);
      }
    }
  }

  void resolve_service(const WrittenNeed& need, Job& job) {
    std::vector<std::string_view> known;
    bool is_known = false;
    for (const ServicePath& service : services_) {
      known.emplace_back(service.path);
      is_known = is_known || service.path == need.job;
      const bool is_meant =
          service.path == need.job || service.path.starts_with(need.job + "/");
      if (!is_meant || service.is_group)
        continue;
      auto& all = job.services;
      if (std::find(all.begin(), all.end(), service.path) == all.end())
        all.push_back(service.path);
    }
    if (is_known)
      return;
    const auto meant = suggest(need.job, known);
    diagnostics_.add(
        need.where,
        fmt::format("unknown service {} in the needs of {}{}",
                    in_quotes(need.job), in_quotes(job.id),
                    known.empty() ? "; the file has no \"services\"" : ""),
        meant ? fmt::format("did you mean \"services.{}\"?", *meant)
              : std::string{});
  }

  void resolve_groups() {
    std::vector<std::string_view> ids;
    for (const JobGroup& group : workflow_.groups)
      ids.push_back(group.id);
    for (std::size_t i = 0; i < workflow_.jobs.size(); ++i) {
      const WrittenGroup& group = draft_.groups[i];
      if (group.name.empty())
        continue;
      const auto found = std::find(ids.begin(), ids.end(), group.name);
      if (found != ids.end())
        workflow_.jobs[i].group = static_cast<std::size_t>(found - ids.begin());
      else
        diagnostics_.add(
            group.where,
            fmt::format("unknown group {}; \"groups\" has none of that name",
                        in_quotes(group.name)),
            config::did_you_mean(group.name, ids));
    }
  }

  void resolve_need(const WrittenNeed& need,
                    const std::vector<std::string_view>& ids, Job& job) {
    const auto found = index_.find(need.job);
    if (found == index_.end()) {
      diagnostics_.add(need.where,
                       fmt::format("unknown job {} in the needs of {}",
                                   in_quotes(need.job), in_quotes(job.id)),
                       config::did_you_mean(need.job, ids));
      return;
    }
    const bool twice =
        std::any_of(job.needs.begin(), job.needs.end(),
                    [&](const Need& n) { return n.job == found->second; });
    if (twice)
      diagnostics_.add(need.where,
                       fmt::format("{} is needed twice", in_quotes(need.job)));
    else
      job.needs.push_back({found->second, need.when});
  }

  /// Reports the first circle of needs, at the need that closes it.
  bool has_cycle() {
    enum class Mark : std::uint8_t { fresh, open, done };
    struct Visit {
      std::size_t job;
      std::size_t next_need = 0;
    };
    std::vector<Mark> marks(workflow_.jobs.size(), Mark::fresh);
    for (std::size_t root = 0; root < marks.size(); ++root) {
      if (marks[root] != Mark::fresh)
        continue;
      std::vector<Visit> path{{root}};
      marks[root] = Mark::open;
      while (!path.empty()) {
        Visit& visit = path.back();
        const auto& needs = workflow_.jobs[visit.job].needs;
        if (visit.next_need == needs.size()) {
          marks[visit.job] = Mark::done;
          path.pop_back();
          continue;
        }
        const std::size_t next = needs[visit.next_need++].job;
        if (marks[next] == Mark::open) {
          std::vector<std::size_t> jobs;
          jobs.reserve(path.size());
          for (const Visit& v : path)
            jobs.push_back(v.job);
          report_cycle(jobs, next);
          return true;
        }
        if (marks[next] == Mark::fresh) {
          marks[next] = Mark::open;
          path.push_back({next});
        }
      }
    }
    return false;
  }

  void report_cycle(const std::vector<std::size_t>& path, std::size_t start) {
    constexpr std::ptrdiff_t most_named = 10;
    const std::string& first = workflow_.jobs[start].id;
    auto at = std::find(path.begin(), path.end(), start);
    std::string names = first;
    if (path.end() - at > most_named) {
      names += " -> ...";
      at = path.end() - most_named;
    } else {
      ++at;
    }
    for (; at != path.end(); ++at)
      names += " -> " + workflow_.jobs[*at].id;
    for (const WrittenNeed& need : draft_.needs[path.back()]) {
      if (need.job == first)
        diagnostics_.add(need.where,
                         fmt::format("jobs need each other in a circle: {} -> "
                                     "{}",
                                     names, first));
    }
  }

  /// Those of a run by hand and of a call; nothing is known of them if the file
  /// declares none.
  Names input_names() {
    if (workflow_.declared_inputs() == nullptr)
      return open("inputs");
    Names names = group("inputs", "input", {});
    for (const auto* const inputs : {&workflow_.triggers.dispatch_inputs,
                                     &workflow_.triggers.call_inputs}) {
      for (const Input& input : inputs->value_or(std::vector<Input>{}))
        names.members.push_back(leaf(input.name));
    }
    return names;
  }

  Names secret_names() {
    Names names = group("secrets", "secret", {});
    for (const Secret& secret : workflow_.secrets) {
      Names name = leaf(secret.name);
      name.secret = "secrets can only be used in \"env\"";
      name.secret_hint = fmt::format(
          "env: {{{0}: \"${{{{ secrets.{0} }}}}\"}}, and \"${0}\" in the "
          "command",
          secret.name);
      names.members.push_back(std::move(name));
    }
    if (names.members.empty())
      names.of = "; the file declares none in \"secrets\"";
    return names;
  }

  /// Variables of commands are the one place for secrets.
  void check_variables(const std::vector<NamedTemplate>& env,
                       const Scope& around) {
    if (env.empty())
      return;
    Scope scope = around;
    scope.takes_secrets = true;
    for (const NamedTemplate& variable : env)
      check_text(variable.value, scope);
  }

  void check_expressions() {
    Scope scope = workflow_scope();
    set_context(scope, input_names());
    if (workflow_.concurrency)
      check_text(workflow_.concurrency->group, scope);
    set_context(scope, secret_names());
    check_text(workflow_.run_name, scope);
    check_variables(workflow_.env, scope);
    add_variables(scope, workflow_.env);
    for (const Job& job : workflow_.jobs)
      check_job(job, scope);
    check_call_outputs(scope);
    if (workflow_.services != nullptr) {
      for (const NamedTemplate& variable : workflow_.env) {
        if (has_secret(variable.value, scope))
          diagnostics_.add(variable.value.where,
                           "a secret in a variable of the whole file would "
                           "reach its services, which is not supported yet by "
                           "this version",
                           "give it to the jobs that need it");
      }
      set_context(scope, open("port"));
      set_context(scope,
                  refused("secrets",
                          "secrets of services are not supported yet by this "
                          "version; those of jobs are"));
      for (const char* const name : {"inputs", "run"})
        set_context(
            scope, refused(name, fmt::format("services have no \"{}\"", name)));
      scope.has_files = false;
      check_services(*workflow_.services, scope);
    }
  }

  /// Those that services use, of a job that may speak to them.
  Names port_context() {
    if (workflow_.services == nullptr)
      return refused("port", "\"port\" is of services, and the file has none");
    Names names = group("port", "port", {});
    names.of = "; no service uses it";
    for (const std::string& name : port_names(workflow_))
      names.members.push_back(leaf(name));
    return names;
  }

  void check_services(const ServiceGroup& group, const Scope& scope) {
    if (group.replica)
      check_service(*group.replica, scope);
    for (const ServiceNode& node : group.children) {
      if (node.group)
        check_services(*node.group, scope);
      else
        check_service(*node.service, scope);
    }
  }

  void check_service(const ServiceText& service, Scope scope) {
    for (const NamedTemplate& variable : service.env) {
      check_text(variable.value, scope);
      add_variables(scope, {variable});
    }
    check_text(service.run, scope);
    check_text(service.working_directory, scope);
    for (const auto* probe : {&service.ready, &service.live}) {
      if (*probe)
        check_text((*probe)->text, scope);
    }
  }

  void check_job(const Job& job, Scope scope) {
    if (job.hook && *job.hook != Hook::on_start) {
      for (Names& property : context(scope, "run").members)
        property.refusal.clear();
    }
    set_context(scope, matrix_names(job));
    for (const char* const name : {"needs", "jobs"})
      set_context(scope, refused(name, fmt::format("\"{}\" is not known yet "
                                                   "when a job gets its name",
                                                   name)));
    check_text(job.name, scope);
    for (const Template& label : job.placement.labels)
      check_text(label, scope);
    check_text(job.placement.key, scope);
    for (const char* const name : {"needs", "jobs"})
      set_context(scope, need_names(job, name));
    check_matrix(job, scope);
    scope.has_status = true;
    check_condition(job.condition, scope);
    scope.has_status = false;
    if (job.concurrency)
      check_text(job.concurrency->group, scope);
    if (job.approval != nullptr)
      check_text(job.approval->prompt, scope);
    set_context(scope, approval_names(job));
    set_context(scope, port_context());
    if (job.call)
      check_arguments(*job.call, scope);
    check_variables(job.env, scope);
    add_variables(scope, job.env);

    Names steps = group("steps", "step", {});
    steps.explain = [&job](std::string_view name) {
      const bool exists =
          std::any_of(job.steps.begin(), job.steps.end(),
                      [&](const Step& step) { return step.id == name; });
      return exists ? fmt::format("step {} has not run yet at this point",
                                  in_quotes(name))
                    : std::string{};
    };
    set_context(scope, std::move(steps));
    for (const Step& step : job.steps) {
      if (step.transfer && !step.transfer->is_upload)
        check_download(*step.transfer, job);
      check_step(step, scope);
      if (!step.id.empty())
        context(scope, "steps")
            .members.push_back(
                group(step.id, "property of a step",
                      {open("outputs"), leaf("outcome"), leaf("conclusion")}));
    }
    for (const NamedTemplate& output : job.outputs)
      check_text(output.value, scope);
  }

  void check_arguments(const Call& call, Scope scope) {
    for (const Argument& input : call.inputs)
      check_text(input.value, scope);
    scope.takes_secrets = true;
    for (const Argument& secret : call.secrets)
      check_text(secret.value, scope);
    if (!call.inherits_secrets || call.workflow == nullptr)
      return;
    for (const Secret& secret : call.workflow->secrets) {
      if (secret.is_used)
        note_secret(secret.name);
    }
  }

  /// They are looked up when all jobs have ended.
  void check_call_outputs(Scope scope) {
    Names jobs = group("jobs", "job", {});
    for (const Job& job : workflow_.jobs)
      jobs.members.push_back(names_of_ended(job));
    set_context(scope, std::move(jobs));
    for (const NamedTemplate& output : workflow_.triggers.call_outputs)
      check_text(output.value, scope);
  }

  void check_matrix(const Job& job, Scope scope) {
    if (!job.computed_matrix)
      return;
    set_context(scope,
                refused("matrix", "\"matrix\" is what is computed here"));
    const MatrixText& text = *job.computed_matrix;
    if (text.whole)
      check_text(*text.whole, scope);
    for (const MatrixText::Part& part : text.parts) {
      if (part.computed)
        check_text(*part.computed, scope);
    }
  }

  void check_download(const Transfer& transfer, const Job& job) {
    const auto found = index_.find(transfer.job);
    if (found == index_.end()) {
      diagnostics_.add(transfer.where,
                       fmt::format("unknown job {}", in_quotes(transfer.job)));
      return;
    }
    const Job& maker = workflow_.jobs[found->second];
    const bool is_needed = std::any_of(
        job.needs.begin(), job.needs.end(),
        [&](const Need& need) { return need.job == found->second; });
    if (!is_needed)
      diagnostics_.add(transfer.where,
                       fmt::format("job {} is not in the needs of {}",
                                   in_quotes(maker.id), in_quotes(job.id)));
    std::vector<std::string_view> names;
    for (const Step& step : maker.steps) {
      if (step.transfer && step.transfer->is_upload)
        names.push_back(step.transfer->name);
    }
    if (std::find(names.begin(), names.end(), transfer.name) == names.end())
      diagnostics_.add(
          transfer.where,
          fmt::format("job {} uploads no artifact {}", in_quotes(maker.id),
                      in_quotes(transfer.name)),
          config::did_you_mean(transfer.name, names));
  }

  void check_step(const Step& step, Scope& scope) {
    scope.has_status = true;
    check_condition(step.condition, scope);
    scope.has_status = false;
    check_variables(step.env, scope);
    std::optional<Names> around;
    if (!step.env.empty())
      around = context(scope, "env");
    add_variables(scope, step.env);
    check_text(step.name, scope);
    check_text(step.working_directory, scope);
    check_text(step.run, scope);
    if (step.cache) {
      check_text(step.cache->key, scope);
      for (const auto* const texts :
           {&step.cache->sources, &step.cache->generates}) {
        for (const Template& text : *texts)
          check_text(text, scope);
      }
    }
    if (step.transfer) {
      for (const Template& text : step.transfer->patterns)
        check_text(text, scope);
    }
    if (around)
      set_context(scope, std::move(*around));
  }

  static Names names_of_ended(const Job& needed) {
    Names outputs = group("outputs", "output", {});
    outputs.of = fmt::format(" of job {}", in_quotes(needed.id));
    if (needed.call && needed.call->workflow == nullptr) {
      outputs.open = true;  // It was wrong, and reported.
    } else {
      for (const std::string& output : output_names(needed))
        outputs.members.push_back(leaf(output));
    }
    std::vector<Names> properties{leaf("result"), std::move(outputs)};
    if (needed.approval != nullptr)
      properties.push_back(approval_names(needed));
    return group(needed.id, "property of a job", std::move(properties));
  }

  Names need_names(const Job& job, std::string_view name) {
    Names names = group(name, "job", {});
    std::vector<std::size_t> known;
    for (const Need& need : job.needs)
      known.push_back(need.job);
    // Those hooks come after all jobs.
    for (std::size_t i = 0; i < workflow_.jobs.size(); ++i) {
      if (job.hook && *job.hook != Hook::on_start && !workflow_.jobs[i].hook)
        known.push_back(i);
    }
    for (const std::size_t i : known)
      names.members.push_back(names_of_ended(workflow_.jobs[i]));
    names.explain = [this, &job](std::string_view wanted) {
      return index_.contains(std::string{wanted})
                 ? fmt::format("job {} is not in the needs of {}",
                               in_quotes(wanted), in_quotes(job.id))
                 : std::string{};
    };
    return names;
  }

  void check_text(const Template& text, const Scope& scope) {
    std::vector<Problem> problems;
    for (const Template::Part& part : text.parts) {
      if (!part.expression)
        continue;
      check(*part.expression, part.offset, scope, problems);
      note_uses(*part.expression, part.offset, text.where, text.text);
    }
    report(problems, text.where, text.text, diagnostics_);
  }

  void check_condition(const std::optional<Condition>& condition,
                       const Scope& scope) {
    if (!condition)
      return;
    std::vector<Problem> problems;
    check(condition->expression, condition->offset, scope, problems);
    report(problems, condition->where, condition->text, diagnostics_);
    note_uses(condition->expression, condition->offset, condition->where,
              condition->text);
  }

  /// What a run must be given is known once and for all from here.
  void note_uses(const Expression& expression, std::size_t offset,
                 config::Span where, const std::string& text) {
    for (const Expression::Node& node : expression.nodes()) {
      if (node.kind == Expression::Kind::call &&
          node.function == Function::hash_files)
        note_files(texts_of(expression, node));
      if (node.kind == Expression::Kind::path && node.path.size() > 1 &&
          node.path[0] == "secrets")
        note_secret(node.path[1]);
      if (node.kind == Expression::Kind::path && node.path[0] == "run" &&
          (node.path.size() == 1 || node.path[1] == "actor"))
        workflow_.uses_actor = true;
      if (node.kind != Expression::Kind::path || node.path.size() < 2 ||
          node.path[0] != "inputs")
        continue;
      if (noted_.insert(node.path[1]).second)
        workflow_.inputs.push_back(
            {node.path[1],
             locate(diagnostics_.source(), where, text,
                    offset + node.path_offsets[1], node.path[1].size())});
    }
  }

  void note_files(std::vector<std::string> patterns) {
    auto& all = workflow_.hashed_files;
    if (std::find(all.begin(), all.end(), patterns) == all.end())
      all.push_back(std::move(patterns));
  }

  void note_secret(std::string_view name) {
    for (Secret& secret : workflow_.secrets)
      secret.is_used = secret.is_used || secret.name == name;
  }

  Draft& draft_;
  Workflow& workflow_;
  Diagnostics& diagnostics_;
  std::map<std::string, std::size_t> index_;  ///< Jobs by name.
  std::set<std::string> noted_;               ///< Names of inputs.
  std::vector<ServicePath> services_;
};

}  // namespace

void check_names(Draft& draft, config::Diagnostics& diagnostics) {
  Checker{draft, diagnostics}.run();
}

}  // namespace troupe::workflow
