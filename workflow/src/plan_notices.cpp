#include <troupe/workflow/plan.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <set>

namespace troupe::workflow {
namespace {

NoticeKind kind_of(RunResult result) {
  switch (result) {
    case RunResult::success:
      return NoticeKind::success;
    case RunResult::failure:
      return NoticeKind::failure;
    case RunResult::cancelled:
      return NoticeKind::cancelled;
  }
  return NoticeKind::failure;
}

class Orders {
 public:
  explicit Orders(const Plan& plan) : plan_{plan} {}

  void add(const Action& action) {
    if (const auto* const ended = std::get_if<RunFinished>(&action))
      add_end(*ended);
    else if (const auto* const decided = std::get_if<GroupDecided>(&action))
      add_decision(*decided);
    else if (const auto* const wanted = std::get_if<ApprovalWanted>(&action))
      add_approval(*wanted);
  }

  void order(const Notice& notice,
             NoticeOrder::If condition = NoticeOrder::If::always) {
    const auto& rules = plan_.workflow().notify;
    for (std::size_t i = 0; i < rules.size(); ++i) {
      if (rules[i].wants(notice.kind))
        orders.push_back({i, notice, condition});
    }
  }

  std::vector<NoticeOrder> orders;

 private:
  void add_end(const RunFinished& ended) {
    const Notice notice{.kind = kind_of(ended.result),
                        .job = {},
                        .detail = {},
                        .failed_job = ended.failed_job,
                        .blame = ended.blame};
    if (ended.result != RunResult::success) {
      order(notice);
      return;
    }
    Notice recovered = notice;
    recovered.kind = NoticeKind::recovered;
    order(recovered, NoticeOrder::If::recovered);
    // Who wants to hear of both hears of one.
    const auto& rules = plan_.workflow().notify;
    for (std::size_t i = 0; i < rules.size(); ++i) {
      if (rules[i].wants(NoticeKind::success))
        orders.push_back({i, notice,
                          rules[i].wants(NoticeKind::recovered)
                              ? NoticeOrder::If::not_recovered
                              : NoticeOrder::If::always});
    }
  }

  void add_decision(const GroupDecided& decided) {
    if (!decided.gave_up)
      return;
    order({.kind = NoticeKind::gave_up,
           .job = decided.job,
           .detail = fmt::format("group {} gives up: job {} has failed",
                                 decided.group, decided.job),
           .failed_job = {},
           .blame = {}});
  }

  /// Once for all variants of the job.
  void add_approval(const ApprovalWanted& wanted) {
    const auto i = static_cast<std::size_t>(wanted.instance.value - 1);
    const std::string& job = plan_.instances()[i].job;
    if (!asked_.insert(job).second)
      return;
    order({.kind = NoticeKind::approval,
           .job = job,
           .detail = wanted.prompt,
           .failed_job = {},
           .blame = {}});
  }

  const Plan& plan_;
  std::set<std::string> asked_;
};

}  // namespace

std::vector<NoticeOrder> notices_of_start(const Plan& plan) {
  Orders orders{plan};
  orders.order({.kind = NoticeKind::start,
                .job = {},
                .detail = {},
                .failed_job = {},
                .blame = {}});
  return std::move(orders.orders);
}

std::vector<NoticeOrder> notices_of(const Actions& actions, const Plan& plan) {
  Orders orders{plan};
  if (plan.workflow().notify.empty())
    return {};
  for (const Action& action : actions)
    orders.add(action);
  return std::move(orders.orders);
}

}  // namespace troupe::workflow
