#pragma once

/// A plan that a test runs by hand.
#include <troupe/workflow/load.hpp>
#include <troupe/workflow/plan.hpp>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace troupe::workflow {

/// Runs a plan by hand and writes down what it does, one word per action:
/// "+pull" starts, "!pull" is to be stopped, "pull=failure" is a step's end,
/// "a:failed" a state of a job, "a(prompt)" the wish for its approval, "g?a"
/// the decision of a group about a ("g!a" to give up), "a*2" the two instances
/// of a computed matrix, "services" the wish for them, "run:success" the end.
class Script {
 public:
  explicit Script(std::string text, PlanOptions options = {}) {
    auto workflow = load_workflow("etl.yaml", std::move(text));
    EXPECT_TRUE(workflow) << workflow.error().what;
    auto plan = Plan::make(*workflow, std::move(options));
    EXPECT_TRUE(plan) << plan.error().what;
    plan_ = std::make_unique<Plan>(std::move(*plan));
  }

  std::string start() { return note(plan_->start(now)); }
  std::string cancel() { return note(plan_->cancel(now)); }
  std::string refuse() { return note(plan_->refuse(now)); }
  std::string stop_starting() { return note(plan_->stop_starting(now)); }

  std::string up(const std::string& service) {
    return note(
        plan_->on_service({service, service::Availability::up, {}}, now));
  }
  std::string down(const std::string& service) {
    return note(
        plan_->on_service({service, service::Availability::down, {}}, now));
  }
  std::string lose(const std::string& service) {
    return note(plan_->on_service(
        {service, service::Availability::lost, service + " gave up"}, now));
  }

  std::string end(std::uint64_t instance, std::size_t step,
                  actors::OutcomeKind kind = actors::OutcomeKind::success,
                  Outputs outputs = {}) {
    return note(plan_->on_step_finished(InstanceId{instance}, step,
                                        {kind, 0, std::move(outputs)}, now));
  }

  /// Fails the step with an exit code.
  std::string exit(std::uint64_t instance, std::size_t step, int code) {
    return note(plan_->on_step_finished(
        InstanceId{instance}, step,
        {actors::OutcomeKind::failed,
         code,
         {},
         {{actors::CauseKind::exit_code, code, "exited"}}},
        now));
  }

  std::string answer(const std::string& job, const ApprovalAnswer& what) {
    const auto actions = plan_->answer(job, what, now);
    return actions ? note(*actions) : "error: " + actions.error().what;
  }

  std::string wait(Duration time) {
    now += time;
    return note(plan_->on_time(now));
  }

  TimePoint now{};
  std::vector<StartStep> started;
  std::vector<std::string> reasons;

  [[nodiscard]] const Plan& plan() const { return *plan_; }

 private:
  std::string title(InstanceId instance, std::size_t step) const {
    const auto& info = plan_->instances()[instance.value - 1];
    return fmt::format("{}/{}", info.label, step);
  }

  std::string note(const Actions& actions) {
    std::string out;
    for (const Action& action : actions) {
      out += out.empty() ? "" : " ";
      if (const auto* const a = std::get_if<StartStep>(&action)) {
        started.push_back(*a);
        out += "+" + title(a->instance, a->step);
      } else if (const auto* const b = std::get_if<CancelStep>(&action)) {
        out += "!" + title(b->instance, b->step);
      } else if (const auto* const c = std::get_if<StepEnded>(&action)) {
        out += fmt::format("{}={}", title(c->instance, c->step),
                           to_string(c->outcome));
        if (!c->reason.empty())
          reasons.push_back(c->reason);
      } else if (const auto* const d = std::get_if<JobStateChanged>(&action)) {
        out += fmt::format("{}:{}",
                           plan_->instances()[d->instance.value - 1].label,
                           to_string(d->state));
        if (!d->reason.empty())
          reasons.push_back(d->reason);
      } else if (const auto* const g = std::get_if<GroupDecided>(&action)) {
        out += fmt::format("{}{}{}", g->group, g->gave_up ? '!' : '?', g->job);
      } else if (const auto* const x = std::get_if<JobExpanded>(&action)) {
        out += fmt::format("{}*{}", x->job, x->instances.size());
      } else if (const auto* const w = std::get_if<ApprovalWanted>(&action)) {
        out += fmt::format("{}({})",
                           plan_->instances()[w->instance.value - 1].label,
                           w->prompt);
      } else if (std::holds_alternative<StartServices>(action)) {
        out += "services";
      } else if (const auto* const e = std::get_if<RunFinished>(&action)) {
        out += fmt::format("run:{}", to_string(e->result));
      }
    }
    return out;
  }

  std::unique_ptr<Plan> plan_;
};

}  // namespace troupe::workflow
