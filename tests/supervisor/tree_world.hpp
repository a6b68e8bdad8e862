#pragma once

// A world for whole supervision trees: processes that start, live and stop as
// planned, mail between them, and a clock. It knows nothing of supervision;
// that is what TreeSupervisor is for, of which a test has two kinds.
#include "fake_start.hpp"

#include <troupe/supervisor/supervisor_core.hpp>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace troupe::supervisor {

struct PlannedSupervisor;

/// A child spec, and what runs in the child: a supervisor or just a process.
struct PlannedChild {
  std::string id;
  Restart restart = Restart::permanent;
  std::optional<Shutdown> shutdown{};
  bool significant = false;
  bool backs_off = false;
  bool startless = false;                 ///< Lacks the start function.
  std::vector<PlannedSupervisor> inside;  ///< One or none.
};

struct PlannedSupervisor {
  Strategy strategy = Strategy::one_for_one;
  int intensity = 1;
  Duration period = 5s;
  AutoShutdown auto_shutdown = AutoShutdown::never;
  std::vector<PlannedChild> children{};
};

/// What the world finds in a child spec again.
struct PlannedStart {
  const PlannedSupervisor* inside = nullptr;
  StartResult operator()(StartContext& /*context*/) const { return {}; }
};

[[nodiscard]] ChildSpec spec_of(const PlannedChild& child);
[[nodiscard]] SupervisorSpec spec_of(const PlannedSupervisor& supervisor);

/// Every attempt to start anything has a number, counted from 1 in the whole
/// world: two worlds in which the same happens give the same numbers.
using ProcessNumber = std::uint64_t;
/// Supervisors, counted in order of their start; 0 is the root.
using NodeNumber = std::size_t;

enum class StartOutcome : std::uint8_t { running, starting, ignored, failed };

/// How one process behaves. A supervisor has a mind of its own: of its plan
/// only `ignored` and `failed` count.
struct ProcessPlan {
  StartOutcome start = StartOutcome::running;
  /// If not zero, the start takes that long to come to `start`.
  Duration start_takes{0};
  enum class Stop : std::uint8_t { obey, never, fail, end_normally };
  Stop stop = Stop::obey;
  Duration stop_takes{0};
  /// Ends by itself so long after it was begun, if not negative.
  Duration ends_after{-1};
  ExitKind ends_with = ExitKind::crashed;

  [[nodiscard]] bool is_ordinary() const {
    return start == StartOutcome::running && start_takes == Duration{0} &&
           stop == Stop::obey && stop_takes == Duration{0} &&
           ends_after < Duration{0};
  }
};

/// What a person asks of a supervisor.
struct ManualRequest {
  enum class Kind : std::uint8_t {
    start,
    terminate,
    restart,
    remove,
    start_dynamic,
    terminate_dynamic,
  };
  Kind kind = Kind::start;
  Ticket ticket{};
  std::string id{};
  std::uint64_t dynamic = 0;  ///< The n-th dynamic start asked for, from 1.
  std::shared_ptr<const PlannedChild> child{};
};

/// Something that a supervisor did, as far as others can tell.
struct Deed {
  enum class What : std::uint8_t {
    start,
    stop,
    kill,
    timer,
    report,
    ready,
    exit,
    reply,
    forget,
    wrong,  ///< What never may happen.
  };
  What what = What::wrong;
  NodeNumber node = 0;
  std::string child{};       ///< Or the child that an exit is blamed on.
  std::uint64_t number = 0;  ///< Process, ticket or number of restarts.
  int code = 0;              ///< ReportKind, ReplyCode.
  int kind = 0;              ///< ExitKind.
  Duration delay{0};

  friend bool operator==(const Deed&, const Deed&) = default;
};
[[nodiscard]] std::string to_string(const Deed& deed);

/// A child as its supervisor sees it.
struct ChildView {
  std::string id;
  ChildState state = ChildState::stopped;
  ProcessNumber process = 0;  ///< The newest one; zero before the first.
  std::uint32_t restarts = 0;
  std::optional<TimePoint> next_start{};

  friend bool operator==(const ChildView&, const ChildView&) = default;
};
[[nodiscard]] std::string to_string(const ChildView& view);

/// One supervisor: gets mail, and does what it does to its TreeWorld.
class TreeSupervisor {
 public:
  TreeSupervisor() = default;
  TreeSupervisor(const TreeSupervisor&) = delete;
  TreeSupervisor& operator=(const TreeSupervisor&) = delete;
  virtual ~TreeSupervisor() = default;

  virtual void begin() = 0;
  /// Of a start that was `starting` at first.
  virtual void start_returned(ProcessNumber process, StartOutcome outcome) = 0;
  virtual void process_ended(ProcessNumber process,
                             const ExitReason& reason) = 0;
  virtual void timer_due(std::uint64_t timer) = 0;
  virtual void shut_down() = 0;
  virtual void request(const ManualRequest& request) = 0;
  /// In start order.
  [[nodiscard]] virtual std::vector<ChildView> children() const = 0;
  [[nodiscard]] virtual ChildCounts counts() const = 0;
};

class TreeWorld {
 public:
  using MakeSupervisor = std::function<std::unique_ptr<TreeSupervisor>(
      TreeWorld&, NodeNumber, const PlannedSupervisor&)>;

  /// `root` has to outlive the world. `plans` are used up in the order of
  /// starts; later processes are ordinary. Everybody reads mail in the order in
  /// which it was sent; who reads next is up to `mail_order`. Zero means
  /// whoever has waited longest.
  TreeWorld(const PlannedSupervisor& root, std::vector<ProcessPlan> plans,
            std::uint64_t mail_order, MakeSupervisor make);

  // -- For supervisors -------------------------------------------------------

  [[nodiscard]] TimePoint now() const { return now_; }

  struct Started {
    StartOutcome outcome;
    ProcessNumber process;
  };
  Started start(NodeNumber node, const std::string& child,
                const ChildSpec& spec, std::uint32_t restarts);
  void stop(ProcessNumber process);
  void kill(ProcessNumber process);
  void set_timer(NodeNumber node, std::uint64_t timer, Duration delay);
  void report(NodeNumber node, ReportKind kind, const std::string& child,
              ExitKind reason, std::uint32_t restarts);
  void reply(NodeNumber node, Ticket ticket, ReplyCode code,
             ProcessNumber process);
  void forget(NodeNumber node, const std::string& child);
  void ready(NodeNumber node);
  /// `blamed` is the child that the reason names; empty if it names none.
  void exit(NodeNumber node, ExitKind kind, const std::string& blamed);
  void wrong(NodeNumber node, const std::string& what);

  // -- For the test ----------------------------------------------------------

  /// A process ends by itself; a supervisor takes its children with it.
  void end(ProcessNumber process, const ExitReason& reason);
  void send_request(NodeNumber node, ManualRequest request);
  void send_shutdown();
  /// The next mail is read. False if there is none.
  bool read_mail();
  /// When something happens by itself next.
  [[nodiscard]] std::optional<TimePoint> next_due() const;
  /// Goes to that moment and lets one thing happen.
  void happen();
  void go_to(TimePoint time) { now_ = time; }

  /// What has been done since the last call: in order, but for replies and
  /// what is forgotten, which come last and sorted.
  std::vector<Deed> take_deeds();

  /// To whom the last mail went, living or not.
  [[nodiscard]] NodeNumber last_reader() const { return last_reader_; }
  [[nodiscard]] bool lives(NodeNumber node) const { return nodes_[node].alive; }
  [[nodiscard]] bool over() const { return !nodes_.front().alive; }
  /// Living processes, with or without a supervisor inside.
  [[nodiscard]] std::vector<ProcessNumber> alive(bool supervisors) const;
  [[nodiscard]] std::vector<NodeNumber> living_nodes() const;
  [[nodiscard]] TreeSupervisor& supervisor(NodeNumber node) {
    return *nodes_[node].supervisor;
  }
  [[nodiscard]] const PlannedSupervisor& plan(NodeNumber node) const {
    return *nodes_[node].plan;
  }
  /// 1 for the root.
  [[nodiscard]] std::size_t level(NodeNumber node) const;
  [[nodiscard]] std::string path(NodeNumber node) const;
  [[nodiscard]] std::string path_of(ProcessNumber process) const;
  /// A process that was told to stop and means to live on.
  [[nodiscard]] std::optional<ProcessNumber> stubborn() const;

 private:
  struct Process {
    NodeNumber owner = 0;
    std::string child;
    ProcessPlan plan;
    bool alive = false;
    bool told_to_stop = false;
    std::optional<NodeNumber> node;
  };
  struct Node {
    std::unique_ptr<TreeSupervisor> supervisor;
    const PlannedSupervisor* plan = nullptr;
    ProcessNumber process = 0;  ///< Zero for the root.
    bool alive = true;
    std::set<Ticket> unanswered;
  };
  struct Mail {
    enum class Kind : std::uint8_t {
      begin,
      start_returned,
      process_ended,
      timer,
      shutdown,
      request,
    };
    Kind kind = Kind::begin;
    NodeNumber to = 0;
    ProcessNumber process = 0;
    StartOutcome outcome = StartOutcome::running;
    ExitReason reason{};
    std::uint64_t timer = 0;
    ManualRequest request{};
  };
  /// What happens by itself at some time. Processes come before timers that
  /// are due at the same moment.
  struct Event {
    TimePoint due;
    enum class Kind : std::uint8_t { start_returns, ends, timer };
    Kind kind = Kind::ends;
    NodeNumber node = 0;
    std::uint64_t number = 0;  ///< Process or timer.
    std::uint64_t sequence = 0;
    ExitKind reason = ExitKind::normal;
    StartOutcome outcome = StartOutcome::running;

    friend bool operator<(const Event& a, const Event& b) {
      return std::tie(a.due, a.kind, a.node, a.sequence) <
             std::tie(b.due, b.kind, b.node, b.sequence);
    }
  };

  NodeNumber add_node(const PlannedSupervisor& plan, ProcessNumber process);
  void at(Event event);
  void bury(ProcessNumber process);
  void deliver(const Mail& mail);
  Process& process(ProcessNumber number) { return processes_[number - 1]; }
  [[nodiscard]] const Process& process(ProcessNumber number) const {
    return processes_[number - 1];
  }

  MakeSupervisor make_;
  std::vector<ProcessPlan> plans_;
  std::uint64_t mail_order_;
  std::uint64_t mails_read_ = 0;
  std::uint64_t sequence_ = 0;
  TimePoint now_{1h};
  std::deque<Node> nodes_;
  std::deque<Process> processes_;
  std::deque<Mail> mails_;
  std::set<Event> events_;
  NodeNumber last_reader_ = 0;
  std::vector<Deed> deeds_;
  std::vector<Deed> papers_;  ///< Replies, and what is forgotten.
};

}  // namespace troupe::supervisor
