#include "decode.hpp"
#include "scope.hpp"
#include "text_decoder.hpp"

#include <troupe/base/assert.hpp>
#include <troupe/base/text.hpp>
#include <troupe/workflow/services.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <map>
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

Names unsupported(std::string_view name) {
  return refused(name, fmt::format("\"{}\" is not supported yet by this "
                                   "version",
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
                   {leaf("id"), leaf("name"), unsupported("actor"),
                    unsupported("trigger"), unsupported("failed-job"),
                    unsupported("blame")}),
             elsewhere("env"), elsewhere("matrix"), elsewhere("steps"),
             elsewhere("needs"), elsewhere("jobs"), unsupported("secrets"),
             unsupported("port")});
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

void add_variables(Scope& scope, const std::vector<NamedTemplate>& env) {
  Names& names = context(scope, "env");
  if (!names.refusal.empty())
    names = group("env", "variable", {});
  for (const NamedTemplate& variable : env)
    names.members.push_back(leaf(variable.name));
}

Names matrix_names(const Job& job) {
  Names names = group("matrix", "matrix key", {});
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

class Checker {
 public:
  Checker(Draft& draft, Diagnostics& diagnostics)
      : draft_{draft}, workflow_{draft.workflow}, diagnostics_{diagnostics} {
    for (std::size_t i = 0; i < workflow_.jobs.size(); ++i)
      index_.emplace(workflow_.jobs[i].id, i);
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
    for (const Job& job : workflow_.jobs)
      ids.push_back(job.id);
    for (std::size_t i = 0; i < workflow_.jobs.size(); ++i) {
      for (const WrittenNeed& need : draft_.needs[i])
        resolve_need(need, ids, workflow_.jobs[i]);
    }
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
                        quoted(group.name)),
            config::did_you_mean(group.name, ids));
    }
  }

  void resolve_need(const WrittenNeed& need,
                    const std::vector<std::string_view>& ids, Job& job) {
    const auto found = index_.find(need.job);
    if (found == index_.end()) {
      diagnostics_.add(need.where,
                       fmt::format("unknown job {} in the needs of {}",
                                   quoted(need.job), quoted(job.id)),
                       config::did_you_mean(need.job, ids));
      return;
    }
    const bool twice =
        std::any_of(job.needs.begin(), job.needs.end(),
                    [&](const Need& n) { return n.job == found->second; });
    if (twice)
      diagnostics_.add(need.where,
                       fmt::format("{} is needed twice", quoted(need.job)));
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

  void check_expressions() {
    Scope scope = workflow_scope();
    for (const NamedTemplate& variable : workflow_.env)
      check_text(variable.value, scope);
    add_variables(scope, workflow_.env);
    for (const Job& job : workflow_.jobs)
      check_job(job, scope);
    if (workflow_.services != nullptr) {
      set_context(scope, open("port"));
      for (const char* const name : {"inputs", "run"})
        set_context(
            scope, refused(name, fmt::format("services have no \"{}\"", name)));
      check_services(*workflow_.services, scope);
    }
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
    set_context(scope, matrix_names(job));
    for (const char* const name : {"needs", "jobs"})
      set_context(scope, refused(name, fmt::format("\"{}\" is not known yet "
                                                   "when a job gets its name",
                                                   name)));
    check_text(job.name, scope);
    for (const char* const name : {"needs", "jobs"})
      set_context(scope, need_names(job, name));
    scope.has_status = true;
    check_condition(job.condition, scope);
    scope.has_status = false;
    for (const NamedTemplate& variable : job.env)
      check_text(variable.value, scope);
    add_variables(scope, job.env);

    Names steps = group("steps", "step", {});
    steps.explain = [&job](std::string_view name) {
      const bool exists =
          std::any_of(job.steps.begin(), job.steps.end(),
                      [&](const Step& step) { return step.id == name; });
      return exists ? fmt::format("step {} has not run yet at this point",
                                  quoted(name))
                    : std::string{};
    };
    set_context(scope, std::move(steps));
    for (const Step& step : job.steps) {
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

  void check_step(const Step& step, Scope& scope) {
    scope.has_status = true;
    check_condition(step.condition, scope);
    scope.has_status = false;
    for (const NamedTemplate& variable : step.env)
      check_text(variable.value, scope);
    Names& env = context(scope, "env");
    const std::size_t around = env.members.size();
    add_variables(scope, step.env);
    check_text(step.name, scope);
    check_text(step.working_directory, scope);
    check_text(step.run, scope);
    env.members.erase(env.members.begin() + static_cast<std::ptrdiff_t>(around),
                      env.members.end());
  }

  Names need_names(const Job& job, std::string_view name) {
    Names names = group(name, "job", {});
    for (const Need& need : job.needs) {
      const Job& needed = workflow_.jobs[need.job];
      Names outputs = group("outputs", "output", {});
      outputs.of = fmt::format(" of job {}", quoted(needed.id));
      for (const NamedTemplate& output : needed.outputs)
        outputs.members.push_back(leaf(output.name));
      names.members.push_back(group(needed.id, "property of a job",
                                    {leaf("result"), std::move(outputs)}));
    }
    names.explain = [this, &job](std::string_view wanted) {
      return index_.contains(std::string{wanted})
                 ? fmt::format("job {} is not in the needs of {}",
                               quoted(wanted), quoted(job.id))
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
      note_inputs(*part.expression, part.offset, text.where, text.text);
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
    note_inputs(condition->expression, condition->offset, condition->where,
                condition->text);
  }

  /// Which inputs a run must be given is known once and for all from here.
  void note_inputs(const Expression& expression, std::size_t offset,
                   config::Span where, const std::string& text) {
    for (const Expression::Node& node : expression.nodes()) {
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

  Draft& draft_;
  Workflow& workflow_;
  Diagnostics& diagnostics_;
  std::map<std::string, std::size_t> index_;  ///< Jobs by name.
  std::set<std::string> noted_;               ///< Names of inputs.
};

}  // namespace

void check_names(Draft& draft, config::Diagnostics& diagnostics) {
  Checker{draft, diagnostics}.run();
}

}  // namespace troupe::workflow
