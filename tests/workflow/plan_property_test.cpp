#include <troupe/workflow/plan.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <rapidcheck.h>
#include <set>
#include <string>
#include <vector>

namespace troupe::workflow {
namespace {

using actors::OutcomeKind;

enum class If : std::uint8_t { absent, always, failure };

/// A job as the generator thinks of it.
struct RandomJob {
  std::vector<std::size_t> needs;  ///< Earlier jobs only: no cycles.
  std::size_t variants = 1;
  std::size_t max_parallel = 100;
  bool fail_fast = false;
  bool forgiven = false;
  If condition = If::absent;
  std::vector<bool> fails;  ///< Of each variant, however often it is tried.
  std::optional<std::size_t> group;
};

/// Groups change how often a job runs, and not what becomes of it, since one
/// that fails does so each time.
std::vector<JobGroup> random_groups() {
  std::vector<JobGroup> groups(2);
  for (std::size_t i = 0; i < groups.size(); ++i) {
    groups[i].id = fmt::format("g{}", i);
    groups[i].strategy = *rc::gen::element(supervisor::Strategy::one_for_one,
                                           supervisor::Strategy::one_for_all,
                                           supervisor::Strategy::rest_for_one);
    groups[i].intensity = *rc::gen::inRange(0, 4);
  }
  return groups;
}

/// Whether a job ran, and how it looks to those that need it.
enum class Fate : std::uint8_t { success, failure, skipped };

/// What happens to each job, from the rules alone: no queue, no time. Only for
/// runs without fail-fast and cancellation, where order cannot matter.
std::vector<Fate> reference(const std::vector<RandomJob>& jobs) {
  std::vector<Fate> fates;
  std::vector<bool> failed_before;
  for (const RandomJob& job : jobs) {
    bool good = true;
    bool failed = false;
    for (const std::size_t need : job.needs) {
      good = good && fates[need] == Fate::success;
      failed = failed || failed_before[need];
    }
    const bool runs = job.condition == If::always ||
                      (job.condition == If::absent && good) ||
                      (job.condition == If::failure && failed);
    const bool fails =
        std::find(job.fails.begin(), job.fails.end(), true) != job.fails.end();
    const Fate fate = !runs                    ? Fate::skipped
                      : fails && !job.forgiven ? Fate::failure
                                               : Fate::success;
    fates.push_back(fate);
    failed_before.push_back(failed || fate == Fate::failure);
  }
  return fates;
}

Condition condition(const char* text) {
  std::vector<Problem> problems;
  return *parse_condition(text, {}, problems);
}

/// The model that the loader would make, with jobs in a random order.
std::shared_ptr<const Workflow> build(const std::vector<RandomJob>& jobs,
                                      std::vector<JobGroup> groups,
                                      const std::vector<std::size_t>& order) {
  Workflow workflow;
  workflow.groups = std::move(groups);
  workflow.source = std::make_shared<config::Source>("f", "");
  std::vector<std::size_t> place(jobs.size());
  for (std::size_t i = 0; i < order.size(); ++i)
    place[order[i]] = i;
  for (const std::size_t which : order) {
    const RandomJob& random = jobs[which];
    Job job;
    job.id = fmt::format("j{}", which);
    job.group = random.group;
    for (const std::size_t need : random.needs)
      job.needs.push_back({place[need], When::succeeded});
    job.matrix.clear();
    for (std::size_t v = 0; v < random.variants; ++v)
      job.matrix.push_back({{"v", Value{static_cast<double>(v)}}});
    job.max_parallel = static_cast<std::uint32_t>(random.max_parallel);
    job.fail_fast = random.fail_fast;
    job.continue_on_error = random.forgiven;
    if (random.condition == If::always)
      job.condition = condition("always()");
    if (random.condition == If::failure)
      job.condition = condition("failure()");
    Step step;
    step.shell = default_shell();
    std::vector<Problem> problems;
    step.run = parse_template("x", {}, Usage::shell, problems);
    job.steps.push_back(std::move(step));
    workflow.jobs.push_back(std::move(job));
  }
  return std::make_shared<const Workflow>(std::move(workflow));
}

std::vector<RandomJob> random_jobs(bool may_fail_fast) {
  const auto count = *rc::gen::inRange<std::size_t>(1, 12);
  std::vector<RandomJob> jobs(count);
  for (std::size_t i = 0; i < count; ++i) {
    RandomJob& job = jobs[i];
    for (std::size_t need = 0; need < i; ++need) {
      if (*rc::gen::inRange(0, 4) == 0)
        job.needs.push_back(need);
    }
    job.variants = *rc::gen::inRange<std::size_t>(1, 4);
    job.max_parallel = *rc::gen::inRange<std::size_t>(1, 4);
    job.fail_fast = may_fail_fast && *rc::gen::arbitrary<bool>();
    job.forgiven = *rc::gen::inRange(0, 4) == 0;
    job.condition = *rc::gen::weightedElement<If>(
        {{6, If::absent}, {1, If::always}, {1, If::failure}});
    for (std::size_t v = 0; v < job.variants; ++v)
      job.fails.push_back(*rc::gen::inRange(0, 5) == 0);
    if (const auto group = *rc::gen::inRange<std::size_t>(0, 3); group < 2)
      job.group = group;
  }
  return jobs;
}

std::vector<std::size_t> random_order(std::size_t count) {
  std::vector<std::size_t> order(count);
  for (std::size_t i = 0; i < count; ++i)
    order[i] = i;
  for (std::size_t i = count; i > 1; --i)
    std::swap(order[i - 1], order[*rc::gen::inRange<std::size_t>(0, i)]);
  return order;
}

/// Obeys a plan, ends steps in random order and checks the promises that hold
/// in every run.
class Driver {
 public:
  Driver(const std::vector<RandomJob>& jobs, std::size_t limit)
      : jobs_{jobs}, groups_{random_groups()}, limit_{limit} {
    const auto order = random_order(jobs.size());
    auto plan = Plan::make(build(jobs, groups_, order), {"1", {}, limit});
    RC_ASSERT(plan.has_value());
    plan_ = std::make_unique<Plan>(std::move(*plan));
  }

  /// With `disturb`, somebody also cancels or stops the run at random.
  void run(bool disturb) {
    obey(plan_->start({}));
    while (!running_.empty()) {
      if (disturb && *rc::gen::inRange(0, 6) == 0)
        obey(*rc::gen::arbitrary<bool>() ? plan_->cancel({})
                                         : plan_->stop_starting({}));
      const auto at = *rc::gen::inRange<std::size_t>(0, running_.size());
      auto it = running_.begin();
      std::advance(it, static_cast<std::ptrdiff_t>(at));
      const InstanceId id = it->first;
      const bool stopped = it->second;
      running_.erase(it);
      const std::size_t job = job_of(id);
      const std::size_t variant = variant_of(id);
      const OutcomeKind kind = stopped ? OutcomeKind::cancelled
                               : jobs_[job].fails[variant]
                                   ? OutcomeKind::failed
                                   : OutcomeKind::success;
      obey(plan_->on_step_finished(id, 0, {kind, 0, {}}, {}));
    }
    // Every run ends, once, and nothing is left behind.
    RC_ASSERT(finished_ == 1);
    RC_ASSERT(plan_->result().has_value());
    for (const Plan::Instance& instance : plan_->instances())
      RC_ASSERT(has_ended(instance.state));
    for (const JobGroup& group : groups_)
      RC_ASSERT(restarts_[group.id] <= group.intensity);
  }

  [[nodiscard]] const Plan& plan() const { return *plan_; }
  [[nodiscard]] const std::set<std::size_t>& executed() const {
    return executed_;
  }

 private:
  std::size_t job_of(InstanceId id) const {
    return std::stoul(plan_->instances()[id.value - 1].job.substr(1));
  }

  std::size_t variant_of(InstanceId id) const {
    std::size_t variant = 0;
    for (std::size_t i = 0; i + 1 < id.value; ++i) {
      if (plan_->instances()[i].job == plan_->instances()[id.value - 1].job)
        ++variant;
    }
    return variant;
  }

  void obey(const Actions& actions) {
    for (const Action& action : actions) {
      RC_ASSERT(finished_ == 0);
      if (const auto* const start = std::get_if<StartStep>(&action))
        on_start(start->instance);
      else if (const auto* const stop = std::get_if<CancelStep>(&action))
        running_.at(stop->instance) = true;
      else if (const auto* const change = std::get_if<JobStateChanged>(&action))
        on_change(change->instance, change->state);
      else if (const auto* const decided = std::get_if<GroupDecided>(&action))
        restarts_[decided->group] += decided->gave_up ? 0 : 1;
      else if (std::holds_alternative<RunFinished>(action))
        ++finished_;
    }
  }

  void on_start(InstanceId id) {
    const std::size_t job = job_of(id);
    executed_.insert(job);
    // The order respects needs: all their instances have ended. If a group
    // starts some of them again, what has begun goes on.
    const bool has_begun =
        std::any_of(begun_.begin(), begun_.end(),
                    [&](InstanceId other) { return job_of(other) == job; });
    for (const std::size_t need : jobs_[job].needs)
      RC_ASSERT(has_begun || ended_[need] == jobs_[need].variants);
    begun_.insert(id);
    RC_ASSERT(running_.emplace(id, false).second);
    RC_ASSERT(running_.size() <= limit_);
    std::size_t of_job = 0;
    for (const auto& [other, stopped] : running_)
      of_job += job_of(other) == job ? 1U : 0U;
    RC_ASSERT(of_job <= jobs_[job].max_parallel);
  }

  void on_change(InstanceId id, JobState state) {
    const JobState old =
        states_.try_emplace(id, JobState::pending).first->second;
    const std::size_t job = job_of(id);
    if (state == JobState::pending) {
      // With its group, or since it waits for one that starts again.
      RC_ASSERT(jobs_[job].group || old == JobState::ready);
      begun_.erase(id);
      if (has_ended(old))
        --ended_[job];
    } else {
      RC_ASSERT(old < state);
      RC_ASSERT(!has_ended(old));
    }
    states_[id] = state;
    if (has_ended(state))
      ++ended_[job];
  }

  const std::vector<RandomJob>& jobs_;
  std::vector<JobGroup> groups_;
  std::size_t limit_;
  std::unique_ptr<Plan> plan_;
  std::map<InstanceId, bool> running_;  ///< And whether it is to be stopped.
  std::map<InstanceId, JobState> states_;
  std::map<std::size_t, std::size_t> ended_;  ///< Instances of each job.
  std::set<std::size_t> executed_;            ///< Jobs.
  std::map<std::string, int> restarts_;       ///< Of each group.
  std::set<InstanceId> begun_;
  int finished_ = 0;
};

TEST(PlanProperty, RunsExactlyTheJobsThatTheRulesSay) {
  EXPECT_TRUE(rc::check("as the reference", [] {
    const auto jobs = random_jobs(false);
    Driver driver{jobs, *rc::gen::inRange<std::size_t>(1, 5)};
    driver.run(false);
    const auto fates = reference(jobs);
    bool failed = false;
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      RC_ASSERT(driver.executed().contains(i) == (fates[i] != Fate::skipped));
      failed = failed || fates[i] == Fate::failure;
    }
    RC_ASSERT(driver.plan().result() ==
              (failed ? RunResult::failure : RunResult::success));
  }));
}

TEST(PlanProperty, KeepsItsPromisesWhateverHappens) {
  EXPECT_TRUE(rc::check("limits, order and an end", [] {
    const auto jobs = random_jobs(true);
    Driver driver{jobs, *rc::gen::inRange<std::size_t>(1, 5)};
    driver.run(true);
  }));
}

}  // namespace
}  // namespace troupe::workflow
