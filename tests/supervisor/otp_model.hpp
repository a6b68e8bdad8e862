#pragma once

// A second opinion on what a supervisor does: the statements that otp_test.cpp
// tests, put down as plainly as possible. Where they are silent (a shutdown
// overtakes, dynamic children do not wait, back-off) docs/design/supervision.md
// counts. Of the product it uses the specs and the names of states and
// answers, but no rule.
#include "tree_world.hpp"

#include <cstdint>
#include <deque>
#include <list>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace troupe::supervisor {

/// Like OTP's, it reads one message at a time and then does all that follows
/// from it, step by step, while the rest of its mail lies in the mailbox. A
/// step that has to wait keeps everything waiting; only a shutdown does not
/// wait for its turn.
class OtpModel final : public TreeSupervisor {
 public:
  OtpModel(TreeWorld& world, NodeNumber self, SupervisorSpec spec);

  void begin() override;
  void start_returned(ProcessNumber process, StartOutcome outcome) override;
  void process_ended(ProcessNumber process, const ExitReason& reason) override;
  void timer_due(std::uint64_t timer) override;
  void shut_down() override;
  void request(const ManualRequest& request) override;
  [[nodiscard]] std::vector<ChildView> children() const override;
  [[nodiscard]] ChildCounts counts() const override;

 private:
  struct Child {
    std::uint64_t number = 0;  ///< In order of appearance.
    ChildSpec spec;
    ChildState state = ChildState::stopped;
    ProcessNumber process = 0;
    std::uint32_t starts = 0;
    Ticket asker{};       ///< Waits for its start or stop.
    bool is_new = false;  ///< Goes again if its first start fails.
    std::uint64_t kill_timer = 0;
    std::uint64_t retry_timer = 0;
    ExitKind ended_with = ExitKind::normal;

    // With back-off only.
    TimePoint up_since{};
    TimePoint next_start{};
    Duration last_delay{0};  ///< Zero if the next one is the first.
  };
  using Mail = std::variant<std::pair<ProcessNumber, ExitKind>,  ///< Has ended.
                            std::uint64_t,  ///< A retry is due.
                            ManualRequest>;
  struct Step {
    enum class What : std::uint8_t { start, stop, await, be_ready, exit };
    What what = What::exit;
    std::uint64_t child = 0;
    Ticket asker{};  ///< Of a stop.
  };

  void run();
  void take(const Step& step);
  void read(const Mail& mail);

  void start(Child& child);
  void settle_start(Child& child, StartOutcome outcome);
  void start_failed(Child& child);
  void stop(Child& child, Ticket asker);
  void settle_stop(Child& child, ExitKind reason);
  void settle(Child& child);

  void decide(Child& child, ExitKind reason);
  void auto_shutdown(Child& child);
  bool one_more_restart();
  void restart(Child& child);
  void back_off(Child& child);
  void retry_later(Child& child, Duration delay);
  void retry(Child& child);
  void give_up(Child& child);
  void end(const std::string& blamed);

  void serve(const ManualRequest& request);
  void serve_start(const ManualRequest& request);
  void serve_dynamic(const ManualRequest& request);
  [[nodiscard]] bool is_sound(const ChildSpec& spec) const;

  Child& add(ChildSpec spec, std::uint64_t number);
  void remove(Child& child);
  Child* numbered(std::uint64_t number);
  Child* called(const std::string& id);
  Child* running(ProcessNumber process);
  [[nodiscard]] std::string name_of(const Child& child) const;
  [[nodiscard]] bool is_simple() const;
  void answer(Child& child, ReplyCode code, ProcessNumber process = 0);
  void report(ReportKind kind, const Child& child, ExitKind reason);

  TreeWorld& world_;
  NodeNumber self_;
  SupervisorSpec spec_;
  std::list<Child> children_;  ///< In start order.
  std::deque<Mail> mailbox_;
  std::deque<Step> steps_;
  std::uint64_t awaited_ = 0;  ///< The child that keeps everything waiting.
  bool is_up_ = false;
  bool is_ending_ = false;
  bool has_ended_ = false;
  std::string blamed_;
  std::vector<TimePoint> restarts_;
  std::uint64_t last_timer_ = 0;
  std::uint64_t common_kill_timer_ = 0;
  std::uint64_t dynamic_starts_ = 0;
  std::uint64_t last_number_ = 0;
};

}  // namespace troupe::supervisor
