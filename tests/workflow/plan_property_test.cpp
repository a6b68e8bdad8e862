#include <troupe/workflow/plan.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <rapidcheck.h>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace troupe::workflow {
namespace {

using actors::OutcomeKind;

enum class If : std::uint8_t { absent, always, failure };
/// What somebody says when a job needs approval.
enum class Approvers : std::uint8_t { absent, agree, refuse };

/// A job as the generator thinks of it.
struct RandomJob {
  std::vector<Need> needs;  ///< Earlier jobs only: no cycles.
  std::size_t variants = 1;
  std::size_t max_parallel = 100;
  bool fail_fast = false;
  bool forgiven = false;
  If condition = If::absent;
  std::vector<bool> fails;  ///< Of each variant, however often it is tried.
  std::optional<std::size_t> group;
  Priority priority = Priority::normal;
  int estimate = 0;         ///< Seconds, of each variant.
  std::uint64_t takes = 0;  ///< Licences, each variant.
  Approvers approvers = Approvers::absent;
};

constexpr std::uint64_t licences = 3;

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
enum class Fate : std::uint8_t {
  success,
  failure,
  refused,     ///< Somebody has said no, which is a failure.
  overlooked,  ///< The same, and forgiven.
  skipped
};

/// The longest path from each job to the end of the run, in seconds, by asking
/// all that need it again and again.
int path_of(const std::vector<RandomJob>& jobs, std::size_t job,
            std::size_t limit) {
  int longest = 0;
  for (std::size_t next = job + 1; next < jobs.size(); ++next) {
    for (const Need& need : jobs[next].needs) {
      if (need.job == job)
        longest = std::max(longest, path_of(jobs, next, limit));
    }
  }
  const std::size_t at_a_time = std::min(jobs[job].max_parallel, limit);
  int own = 0;
  for (std::size_t left = jobs[job].variants; left > 0;
       left -= std::min(left, at_a_time))
    own += jobs[job].estimate;
  return longest + own;
}

bool has_run(Fate fate) {
  return fate == Fate::success || fate == Fate::failure;
}
bool is_failure(Fate fate) {
  return fate == Fate::failure || fate == Fate::refused;
}

bool is_met(When when, Fate fate) {
  switch (when) {
    case When::succeeded:
      return fate == Fate::success || fate == Fate::overlooked;
    case When::finished:
      return true;
    case When::failed:
      return is_failure(fate);
    case When::started:
      return has_run(fate);
  }
  return false;
}

/// What happens to each job, from the rules alone: no queue, no time. Only for
/// runs without fail-fast and cancellation, where order cannot matter.
std::vector<Fate> reference(const std::vector<RandomJob>& jobs) {
  std::vector<Fate> fates;
  std::vector<bool> failed_before;
  for (const RandomJob& job : jobs) {
    bool good = true;
    bool failed = false;
    for (const Need& need : job.needs) {
      good = good && is_met(need.when, fates[need.job]);
      failed =
          failed || (need.when != When::started && failed_before[need.job]);
    }
    const bool runs = job.condition == If::always ||
                      (job.condition == If::absent && good) ||
                      (job.condition == If::failure && failed);
    const bool fails =
        std::find(job.fails.begin(), job.fails.end(), true) != job.fails.end();
    const bool is_refused = job.approvers == Approvers::refuse;
    Fate fate = Fate::success;
    if (!runs)
      fate = Fate::skipped;
    else if (is_refused)
      fate = job.forgiven ? Fate::overlooked : Fate::refused;
    else if (fails && !job.forgiven)
      fate = Fate::failure;
    fates.push_back(fate);
    failed_before.push_back(failed || is_failure(fate));
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
  NotifyRule everybody;
  everybody.on = {NoticeKind::success, NoticeKind::failure,
                  NoticeKind::cancelled, NoticeKind::gave_up,
                  NoticeKind::approval};
  workflow.notify.push_back(std::move(everybody));
  std::vector<std::size_t> place(jobs.size());
  for (std::size_t i = 0; i < order.size(); ++i)
    place[order[i]] = i;
  for (const std::size_t which : order) {
    const RandomJob& random = jobs[which];
    Job job;
    job.id = fmt::format("j{}", which);
    job.group = random.group;
    job.priority = random.priority;
    job.resources.set("licence", random.takes);
    for (const Need& need : random.needs)
      job.needs.push_back({place[need.job], need.when});
    job.matrix.clear();
    for (std::size_t v = 0; v < random.variants; ++v)
      job.matrix.push_back({{"v", Value{static_cast<double>(v)}}});
    job.max_parallel = static_cast<std::uint32_t>(random.max_parallel);
    job.fail_fast = random.fail_fast;
    job.continue_on_error.any = random.forgiven;
    if (random.approvers != Approvers::absent)
      job.approval = std::make_shared<const Approval>();
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
        job.needs.push_back(
            {need, *rc::gen::weightedElement<When>({{5, When::succeeded},
                                                    {1, When::finished},
                                                    {1, When::failed},
                                                    {1, When::started}})});
    }
    job.priority = *rc::gen::element(Priority::low, Priority::normal,
                                     Priority::high, Priority::critical);
    job.estimate = *rc::gen::inRange(0, 4);
    job.takes = *rc::gen::inRange<std::uint64_t>(0, licences + 1);
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
    job.approvers =
        *rc::gen::weightedElement<Approvers>({{8, Approvers::absent},
                                              {2, Approvers::agree},
                                              {1, Approvers::refuse}});
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
    for (std::size_t i = 0; i < order.size(); ++i)
      place_.emplace(order[i], i);
    for (std::size_t job = 0; job < jobs.size(); ++job)
      paths_.push_back(path_of(jobs, job, limit));
    PlanOptions options{.max_parallel = limit};
    options.capacity.set("licence", licences);
    options.estimate = [&jobs](const std::string& job, const std::string&) {
      const RandomJob& random = jobs[std::stoul(job.substr(1))];
      return Duration{std::chrono::seconds{random.estimate}};
    };
    auto plan = Plan::make(build(jobs, groups_, order), options);
    RC_ASSERT(plan.has_value());
    plan_ = std::make_unique<Plan>(std::move(*plan));
  }

  /// With `disturb`, somebody also cancels or stops the run at random.
  void run(bool disturb) {
    obey(plan_->start({}));
    while (!running_.empty() || !asked_.empty()) {
      if (disturb && *rc::gen::inRange(0, 6) == 0)
        obey(*rc::gen::arbitrary<bool>() ? plan_->cancel({})
                                         : plan_->stop_starting({}));
      if (answer_one())
        continue;
      if (running_.empty())
        continue;
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
    // People are told of each thing once.
    for (const auto& [kind, result] :
         {std::pair{NoticeKind::success, RunResult::success},
          std::pair{NoticeKind::failure, RunResult::failure},
          std::pair{NoticeKind::cancelled, RunResult::cancelled}})
      RC_ASSERT(told_[kind] == (plan_->result() == result ? 1 : 0));
    RC_ASSERT(told_[NoticeKind::approval] == times_asked_);
    RC_ASSERT(told_[NoticeKind::gave_up] == times_given_up_);
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

  /// Says what there is to say to one of the jobs that ask, if it is its turn.
  bool answer_one() {
    if (asked_.empty() || (!running_.empty() && *rc::gen::arbitrary<bool>()))
      return false;
    const std::size_t job = *asked_.begin();
    asked_.erase(asked_.begin());
    const bool waits =
        std::any_of(states_.begin(), states_.end(), [&](const auto& one) {
          return job_of(one.first) == job && one.second == JobState::awaiting;
        });
    auto actions =
        plan_->answer(fmt::format("j{}", job),
                      {.approved = jobs_[job].approvers == Approvers::agree,
                       .who = "ada",
                       .reason = {},
                       .inputs = {}},
                      {});
    // Unless the run was cancelled meanwhile.
    RC_ASSERT(actions.has_value() == waits);
    if (actions)
      obey(*actions);
    return true;
  }

  void obey(const Actions& actions) {
    for (const NoticeOrder& order : notices_of(actions, *plan_))
      ++told_[order.notice.kind];
    std::set<std::size_t> asking;
    for (const Action& action : actions) {
      RC_ASSERT(finished_ == 0);
      if (const auto* const wanted = std::get_if<ApprovalWanted>(&action))
        asking.insert(job_of(wanted->instance));
      if (const auto* const start = std::get_if<StartStep>(&action))
        on_start(start->instance);
      else if (const auto* const stop = std::get_if<CancelStep>(&action))
        running_.at(stop->instance) = true;
      else if (const auto* const change = std::get_if<JobStateChanged>(&action))
        on_change(change->instance, change->state);
      else if (const auto* const decided = std::get_if<GroupDecided>(&action))
        on_decision(*decided);
      else if (std::holds_alternative<RunFinished>(action))
        ++finished_;
    }
    times_asked_ += static_cast<int>(asking.size());
    asked_.merge(asking);
  }

  void on_decision(const GroupDecided& decided) {
    if (decided.gave_up)
      ++times_given_up_;
    else
      ++restarts_[decided.group];
  }

  void on_start(InstanceId id) {
    const std::size_t job = job_of(id);
    executed_.insert(job);
    // The order respects needs: all their instances have ended. If a group
    // starts some of them again, what has begun goes on.
    const bool has_begun =
        std::any_of(begun_.begin(), begun_.end(),
                    [&](InstanceId other) { return job_of(other) == job; });
    for (const Need& need : jobs_[job].needs)
      RC_ASSERT(has_begun || ended_[need.job] == jobs_[need.job].variants ||
                (need.when == When::started && executed_.contains(need.job)));
    check_rank(job);
    begun_.insert(id);
    RC_ASSERT(running_.emplace(id, false).second);
    RC_ASSERT(running_.size() <= limit_);
    std::size_t of_job = 0;
    for (const auto& [other, stopped] : running_)
      of_job += job_of(other) == job ? 1U : 0U;
    RC_ASSERT(of_job <= jobs_[job].max_parallel);
    RC_ASSERT(licences_taken() <= licences);
  }

  [[nodiscard]] std::uint64_t licences_taken() const {
    std::uint64_t taken = 0;
    for (const auto& [one, stopped] : running_)
      taken += jobs_[job_of(one)].takes;
    return taken;
  }

  /// Nothing that could start as well has a better rank. What is in a group
  /// may have to wait for others of it, and is left out.
  void check_rank(std::size_t job) const {
    const auto rank = [this](std::size_t j) {
      return std::tuple{-static_cast<int>(jobs_[j].priority), -paths_[j],
                        place_.at(j)};
    };
    for (const auto& [other, state] : states_) {
      const std::size_t rival = job_of(other);
      if (state != JobState::ready || jobs_[rival].group || rival == job)
        continue;
      std::size_t running = 0;
      for (const auto& [one, stopped] : running_)
        running += job_of(one) == rival ? 1U : 0U;
      RC_ASSERT(running >= jobs_[rival].max_parallel ||
                licences_taken() + jobs_[rival].takes > licences ||
                rank(job) < rank(rival));
    }
  }

  void on_change(InstanceId id, JobState state) {
    const JobState old =
        states_.try_emplace(id, JobState::pending).first->second;
    const std::size_t job = job_of(id);
    if (state == JobState::pending) {
      // With its group, or since it waits for one that starts again.
      RC_ASSERT(jobs_[job].group || old == JobState::ready ||
                old == JobState::awaiting);
      begun_.erase(id);
      if (has_ended(old))
        --ended_[job];
    } else {
      RC_ASSERT(old < state || old == JobState::awaiting);
      RC_ASSERT(!has_ended(old));
      // Nothing goes past those who have to agree.
      RC_ASSERT(state != JobState::ready ||
                jobs_[job].approvers != Approvers::refuse);
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
  std::map<std::size_t, std::size_t> place_;  ///< Of a job in the file.
  std::vector<int> paths_;                    ///< Of each job.
  std::set<std::size_t> asked_;  ///< Jobs whose approval is to be answered.
  std::map<NoticeKind, int> told_;
  int times_asked_ = 0;
  int times_given_up_ = 0;
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
      RC_ASSERT(driver.executed().contains(i) == has_run(fates[i]));
      failed = failed || is_failure(fates[i]);
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

/// A workflow of one job "a", which calls `workflow`.
std::shared_ptr<const Workflow> calling(
    std::shared_ptr<const Workflow> workflow) {
  Workflow caller;
  caller.source = std::make_shared<config::Source>("caller", "");
  caller.includes.push_back(workflow);
  Job job;
  job.id = "a";
  job.call = Call{};
  job.call->workflow = std::move(workflow);
  caller.jobs.push_back(std::move(job));
  return std::make_shared<const Workflow>(std::move(caller));
}

/// The workflow by itself, or called: what happens to its jobs, as words.
class Twin {
 public:
  Twin(std::shared_ptr<const Workflow> workflow, PlanOptions options)
      : plan_{*Plan::make(std::move(workflow), std::move(options))} {}

  std::vector<std::string> start() { return words(plan_.start({})); }
  std::vector<std::string> cancel() { return words(plan_.cancel({})); }
  std::vector<std::string> stop_starting() {
    return words(plan_.stop_starting({}));
  }
  std::vector<std::string> end(const std::string& label, OutcomeKind kind) {
    for (const Plan::Instance& instance : plan_.instances()) {
      if (without_caller(instance.label) == label)
        return words(
            plan_.on_step_finished(instance.id, 0, {kind, 0, {}, {}}, {}));
    }
    return {"no such job"};
  }

 private:
  static std::string without_caller(const std::string& name) {
    return name.starts_with("a/") ? name.substr(2) : name;
  }

  [[nodiscard]] std::string label(InstanceId id) const {
    return without_caller(plan_.instances()[id.value - 1].label);
  }

  std::vector<std::string> words(const Actions& actions) const {
    std::vector<std::string> out;
    for (const Action& action : actions) {
      if (const auto* const a = std::get_if<StartStep>(&action))
        out.push_back(fmt::format("+{} {}", label(a->instance), a->restarts));
      else if (const auto* const b = std::get_if<CancelStep>(&action))
        out.push_back("!" + label(b->instance));
      else if (const auto* const c = std::get_if<StepEnded>(&action))
        out.push_back(
            fmt::format("{}={}", label(c->instance), to_string(c->outcome)));
      else if (const auto* const d = std::get_if<JobStateChanged>(&action);
               d != nullptr && label(d->instance) != "a")
        out.push_back(
            fmt::format("{}:{}", label(d->instance), to_string(d->state)));
      else if (const auto* const e = std::get_if<GroupDecided>(&action))
        out.push_back(fmt::format("{}?{} {}", without_caller(e->group),
                                  without_caller(e->job), e->gave_up));
      else if (const auto* const f = std::get_if<RunFinished>(&action))
        out.push_back(fmt::format("run:{}", to_string(f->result)));
    }
    return out;
  }

  Plan plan_;
};

TEST(PlanProperty, DoesTheSameIfAJobCallsIt) {
  EXPECT_TRUE(rc::check("called or by itself", [] {
    auto jobs = random_jobs(true);
    for (RandomJob& job : jobs)  // It has tests of its own.
      job.approvers = Approvers::absent;
    const auto workflow =
        build(jobs, random_groups(), random_order(jobs.size()));
    PlanOptions options{.max_parallel = *rc::gen::inRange<std::size_t>(1, 5)};
    options.estimate = [&jobs](const std::string& job, const std::string&) {
      const RandomJob& random = jobs[std::stoul(job.substr(job.find('j') + 1))];
      return Duration{std::chrono::seconds{random.estimate}};
    };
    Twin alone{workflow, options};
    Twin called{calling(workflow), options};
    std::map<std::string, bool> running;  // And whether it is to be stopped.
    bool has_ended = false;
    const auto obey = [&](const std::vector<std::string>& words) {
      for (const std::string& word : words) {
        if (word.starts_with("+"))
          running[word.substr(1, word.rfind(' ') - 1)] = false;
        else if (word.starts_with("!"))
          running.at(word.substr(1)) = true;
        has_ended = has_ended || word.starts_with("run:");
      }
    };
    const auto both = [&](std::vector<std::string> a,
                          const std::vector<std::string>& b) {
      RC_ASSERT(a == b);
      obey(a);
    };
    both(alone.start(), called.start());
    while (!running.empty()) {
      // Of the smallest size it would be 0 for ever.
      switch (*rc::gen::resize(rc::kNominalSize, rc::gen::inRange(0, 12))) {
        case 0:
          both(alone.cancel(), called.cancel());
          break;
        case 1:
          both(alone.stop_starting(), called.stop_starting());
          break;
        default: {
          auto it = running.begin();
          std::advance(it, *rc::gen::inRange<std::ptrdiff_t>(
                               0, static_cast<std::ptrdiff_t>(running.size())));
          const auto [label, is_stopped] = *it;
          running.erase(it);
          const OutcomeKind kind = is_stopped ? OutcomeKind::cancelled
                                   : *rc::gen::inRange(0, 4) == 0
                                       ? OutcomeKind::failed
                                       : OutcomeKind::success;
          both(alone.end(label, kind), called.end(label, kind));
          break;
        }
      }
    }
    RC_ASSERT(has_ended);
  }));
}

}  // namespace
}  // namespace troupe::workflow
