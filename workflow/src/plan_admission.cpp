#include "matrix.hpp"
#include "plan_machine.hpp"

#include <troupe/base/assert.hpp>
#include <troupe/base/text.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace troupe::workflow {
namespace {

/// The value of a text that is one expression.
Result<Value> value_of(const Template& text, const Environment& environment) {
  return evaluate(*text.parts.front().expression, environment);
}

bool mentions_matrix(const Condition& condition) {
  const auto& nodes = condition.expression.nodes();
  return std::any_of(nodes.begin(), nodes.end(), [](const auto& node) {
    return node.kind == Expression::Kind::path && node.path.front() == "matrix";
  });
}

}  // namespace

bool Plan::Machine::expand(std::size_t job_index) {
  const Job& job = workflow_->jobs[job_index];
  const auto& old = jobs_[job_index].instances;
  // Some of a computed matrix start again: it stays as it is.
  if (!std::all_of(old.begin(), old.end(), [this](std::size_t i) {
        return instances_[i].state == JobState::pending &&
               !progress_[i].waits_to_retry;
      }))
    return true;
  const std::size_t first = old.front();
  const bool asks_first = !job.condition || !mentions_matrix(*job.condition);
  if (asks_first || !job.condition->expression.asks_for_status()) {
    const auto wanted = wants_to_run(first);
    // judge() says why, of each.
    if (asks_first ? !wanted || !*wanted : is_ending())
      return true;
  }
  auto combinations = compute_matrix(job_index);
  forget_needs(job_index);
  if (!combinations) {
    const auto all = old;
    for (const std::size_t i : all) {
      if (!has_ended(instances_[i].state))
        end_instance(i, JobState::failed,
                     Error{combinations.error()}.within("matrix").what);
    }
    return false;
  }
  if (combinations->empty()) {
    const auto all = old;
    for (const std::size_t i : all)
      end_instance(i, JobState::skipped, "its matrix has no combination");
    return false;
  }
  JobExpanded expanded{.job = job.id, .instances = {}};
  for (std::size_t n = 0; n < combinations->size(); ++n) {
    Value matrix{std::move((*combinations)[n])};
    auto label = label_of(job_index, matrix);
    std::size_t i = 0;
    if (n < old.size()) {
      i = old[n];
    } else {
      const auto added = add_instance(job_index, {});
      TROUPE_ASSERT(added);
      i = *added;
      instances_[i].estimate = instances_[first].estimate;
      instances_[i].path = instances_[first].path;
    }
    progress_[i].matrix = std::move(matrix);
    // A name that cannot be made is no reason not to run.
    instances_[i].label = label ? std::move(*label) : job.id;
    expanded.instances.push_back(instances_[i].id);
  }
  const std::vector<std::size_t> surplus(
      old.begin() + static_cast<std::ptrdiff_t>(
                        std::min(old.size(), combinations->size())),
      old.end());
  actions_.push_back(std::move(expanded));
  for (const std::size_t i : surplus)
    end_instance(i, JobState::skipped, "it is not in the new matrix");
  return true;
}

Result<std::vector<Value::Object>> Plan::Machine::compute_matrix(
    std::size_t job_index) {
  const MatrixText& text = *workflow_->jobs[job_index].computed_matrix;
  learn_needs(job_index);
  const Value& needs = jobs_[job_index].needs;
  Environment environment{{{"inputs", &inputs_},
                           {"run", &run_},
                           {"env", &env_},
                           {"needs", &needs},
                           {"jobs", &needs}}};
  environment.file_hashes = &options_.file_hashes;
  Value whole;
  if (text.whole) {
    auto value = value_of(*text.whole, environment);
    if (!value)
      return tl::unexpected{std::move(value.error())};
    whole = std::move(*value);
  } else {
    Value::Object parts;
    for (const MatrixText::Part& part : text.parts) {
      if (!part.computed) {
        parts.emplace_back(part.key, part.written);
        continue;
      }
      auto value = value_of(*part.computed, environment);
      if (!value)
        return tl::unexpected{std::move(value.error()).within(part.key)};
      parts.emplace_back(part.key, std::move(*value));
    }
    whole = Value{std::move(parts)};
  }
  auto combinations = expand_matrix(whole);
  if (!combinations)
    return combinations;
  const std::size_t others =
      totals_->instances - jobs_[job_index].instances.size();
  if (combinations->size() > most_instances - others)
    return failure(Errc::overloaded,
                   fmt::format("with its {} combinations the run has more than "
                               "{} jobs",
                               combinations->size(), most_instances));
  return combinations;
}

void Plan::Machine::admit(std::size_t i) {
  using Decision = ConcurrencyGroups::Decision;
  const Job& job = job_of(i);
  const bool is_approved = !std::holds_alternative<std::monostate>(
      jobs_[progress_[i].job].approval.data);
  if (job.approval != nullptr && !is_approved) {
    await_approval(i);
    return;
  }
  if (auto lost = lost_service_of(job); !lost.empty()) {
    end_instance(i, JobState::failed, std::move(lost));
    return;
  }
  ask_for_services(job);
  if (!job.concurrency) {
    std::string reason = missing_services_of(job);
    if (reason.empty() && job.approval != nullptr)
      reason = "approved by " +
               jobs_[progress_[i].job].approval.member("by")->text();
    change(i, JobState::ready, std::move(reason));
    return;
  }
  auto group = resolve(job.concurrency->group, environment_before(i));
  if (!group) {
    end_instance(i, JobState::failed,
                 std::move(group.error()).within("concurrency").what);
    return;
  }
  const std::string name =
      fmt::format("concurrency group \"{}\"", ellipsize(printable(*group), 60));
  const auto answer = concurrency_.ask(*group, i + 1, job.concurrency->limits);
  switch (answer.decision) {
    case Decision::enter:
      progress_[i].concurrency = std::move(*group);
      change(i, JobState::ready, missing_services_of(job));
      break;
    case Decision::wait:
      progress_[i].concurrency = std::move(*group);
      progress_[i].waits_for_group = true;
      change(i, JobState::ready, "waits for " + name);
      break;
    case Decision::skip:
      end_instance(i, JobState::skipped, name + " is in use");
      break;
    case Decision::fail:
      end_instance(i, JobState::failed, name + " is in use");
      break;
    case Decision::queue_full:
      end_instance(i, JobState::failed,
                   fmt::format("{} has no room for one more: {} wait", name,
                               job.concurrency->limits.queue));
      break;
  }
  for (const std::uint64_t other : answer.cancel)
    replace(static_cast<std::size_t>(other - 1), i);
}

void Plan::Machine::replace(std::size_t i, std::size_t by) {
  progress_[i].cancelled = true;
  if (instances_[i].state != JobState::running)
    end_instance(i, JobState::cancelled,
                 fmt::format("{} takes its place in its concurrency group",
                             instances_[by].label));
  else
    stop_running(i, /*hard=*/false);
}

void Plan::Machine::leave_concurrency(std::size_t i) {
  const std::string group = std::exchange(progress_[i].concurrency, {});
  progress_[i].waits_for_group = false;
  if (group.empty())
    return;
  for (const std::uint64_t next : concurrency_.leave(group, i + 1)) {
    const auto other = static_cast<std::size_t>(next - 1);
    progress_[other].waits_for_group = false;
    if (instances_[other].state == JobState::ready)
      ready_->add(own_line(progress_[other].job), other);
  }
}

}  // namespace troupe::workflow
