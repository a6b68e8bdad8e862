#include "tree_world.hpp"

#include <troupe/base/random.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <tuple>

namespace troupe::supervisor {
namespace {

using DeedKind = Deed::What;

/// Back-off without chance: 100 ms, 200 ms, .. up to a second.
constexpr Backoff planned_backoff{
    .min = 100ms, .max = 1s, .factor = 2, .jitter = 0, .reset_after = 2s};

std::string_view name_of(DeedKind what) {
  switch (what) {
    case DeedKind::start:
      return "starts";
    case DeedKind::stop:
      return "asks to stop";
    case DeedKind::kill:
      return "kills";
    case DeedKind::timer:
      return "sets a timer";
    case DeedKind::report:
      return "reports";
    case DeedKind::ready:
      return "is ready";
    case DeedKind::exit:
      return "exits";
    case DeedKind::reply:
      return "replies";
    case DeedKind::forget:
      return "forgets";
    case DeedKind::wrong:
      return "does wrong:";
  }
  return "?";
}

double milliseconds(Duration duration) {
  return std::chrono::duration<double, std::milli>{duration}.count();
}

}  // namespace

ChildSpec spec_of(const PlannedChild& child) {
  ChildSpec spec{.id = child.id,
                 .restart = child.restart,
                 .shutdown = child.shutdown,
                 .significant = child.significant};
  const PlannedSupervisor* inside =
      child.inside.empty() ? nullptr : child.inside.data();
  if (inside != nullptr)
    spec.type = ChildType::supervisor;
  if (!child.startless)
    spec.start = PlannedStart{inside};
  if (child.backs_off)
    spec.backoff = planned_backoff;
  return spec;
}

SupervisorSpec spec_of(const PlannedSupervisor& supervisor) {
  SupervisorSpec spec{.strategy = supervisor.strategy,
                      .intensity = supervisor.intensity,
                      .period = supervisor.period,
                      .auto_shutdown = supervisor.auto_shutdown};
  spec.children.reserve(supervisor.children.size());
  for (const PlannedChild& child : supervisor.children)
    spec.children.push_back(spec_of(child));
  return spec;
}

std::string to_string(const Deed& deed) {
  std::string text =
      fmt::format("supervisor {} {}", deed.node, name_of(deed.what));
  switch (deed.what) {
    case DeedKind::report:
      text += fmt::format(
          " {}", to_string(ReportKind{static_cast<std::uint8_t>(deed.code)}));
      break;
    case DeedKind::reply:
      text += fmt::format(
          " {} to request {}",
          to_string(ReplyCode{static_cast<std::uint8_t>(deed.code)}),
          deed.number);
      break;
    case DeedKind::timer:
      text += fmt::format(" of {} ms", milliseconds(deed.delay));
      break;
    case DeedKind::start:
    case DeedKind::stop:
    case DeedKind::kill:
      text += fmt::format(" process {}", deed.number);
      break;
    case DeedKind::ready:
    case DeedKind::exit:
    case DeedKind::forget:
    case DeedKind::wrong:
      break;
  }
  if (!deed.child.empty())
    text += fmt::format(" \"{}\"", deed.child);
  if (deed.kind != 0)
    text += fmt::format(
        " {}", to_string(ExitKind{static_cast<std::uint8_t>(deed.kind)}));
  if (deed.what == DeedKind::start || deed.what == DeedKind::report)
    text += fmt::format(", restarts {}", deed.what == DeedKind::start
                                             ? deed.code
                                             : static_cast<int>(deed.number));
  return text;
}

std::string to_string(const ChildView& view) {
  std::string text =
      fmt::format("\"{}\" {}, process {}, restarts {}", view.id,
                  to_string(view.state), view.process, view.restarts);
  if (view.next_start)
    text += fmt::format(", next start at {} ms",
                        milliseconds(view.next_start->time_since_epoch()));
  return text;
}

TreeWorld::TreeWorld(const PlannedSupervisor& root,
                     std::vector<ProcessPlan> plans, std::uint64_t mail_order,
                     MakeSupervisor make)
    : make_{std::move(make)},
      plans_{std::move(plans)},
      mail_order_{mail_order} {
  add_node(root, 0);
}

// -- For supervisors ---------------------------------------------------------

TreeWorld::Started TreeWorld::start(NodeNumber node, const std::string& child,
                                    const ChildSpec& spec,
                                    std::uint32_t restarts) {
  const ProcessNumber number = processes_.size() + 1;
  ProcessPlan plan;
  if (number <= plans_.size())
    plan = plans_[number - 1];
  processes_.push_back({.owner = node, .child = child, .plan = plan});
  deeds_.push_back({.what = DeedKind::start,
                    .node = node,
                    .child = child,
                    .number = number,
                    .code = static_cast<int>(restarts)});

  const auto* start = spec.start.target<PlannedStart>();
  if (start == nullptr) {
    wrong(node, "started a child with a start function that is not its own");
    return {StartOutcome::failed, number};
  }
  const bool has_no_process =
      plan.start == StartOutcome::ignored || plan.start == StartOutcome::failed;
  if (start->inside != nullptr) {
    if (has_no_process)
      return {plan.start, number};
    process(number).alive = true;
    process(number).node = add_node(*start->inside, number);
    return {StartOutcome::starting, number};
  }
  if (has_no_process && plan.start_takes == Duration{0})
    return {plan.start, number};
  process(number).alive = true;
  if (plan.ends_after > Duration{0}) {
    at({.due = now_ + plan.ends_after,
        .kind = Event::Kind::ends,
        .node = node,
        .number = number,
        .reason = plan.ends_with});
  } else if (plan.ends_after == Duration{0}) {
    end(number, {plan.ends_with, {}});
  }
  if (plan.start_takes == Duration{0})
    return {StartOutcome::running, number};
  at({.due = now_ + plan.start_takes,
      .kind = Event::Kind::start_returns,
      .node = node,
      .number = number,
      .outcome = plan.start});
  return {StartOutcome::starting, number};
}

void TreeWorld::stop(ProcessNumber number) {
  Process& stopped = process(number);
  deeds_.push_back({.what = DeedKind::stop,
                    .node = stopped.owner,
                    .child = stopped.child,
                    .number = number});
  if (!stopped.alive)
    return;
  stopped.told_to_stop = true;
  if (stopped.node) {
    mails_.push_back({.kind = Mail::Kind::shutdown, .to = *stopped.node});
    return;
  }
  ExitKind reason = ExitKind::shutdown;
  switch (stopped.plan.stop) {
    case ProcessPlan::Stop::never:
      return;
    case ProcessPlan::Stop::obey:
      break;
    case ProcessPlan::Stop::fail:
      reason = ExitKind::custom;
      break;
    case ProcessPlan::Stop::end_normally:
      reason = ExitKind::normal;
      break;
  }
  if (stopped.plan.stop_takes == Duration{0})
    end(number, {reason, {}});
  else
    at({.due = now_ + stopped.plan.stop_takes,
        .kind = Event::Kind::ends,
        .node = stopped.owner,
        .number = number,
        .reason = reason});
}

void TreeWorld::kill(ProcessNumber number) {
  deeds_.push_back({.what = DeedKind::kill,
                    .node = process(number).owner,
                    .child = process(number).child,
                    .number = number});
  end(number, {ExitKind::killed, {}});
}

void TreeWorld::set_timer(NodeNumber node, std::uint64_t timer,
                          Duration delay) {
  deeds_.push_back({.what = DeedKind::timer, .node = node, .delay = delay});
  if (delay == Duration{0})
    mails_.push_back({.kind = Mail::Kind::timer, .to = node, .timer = timer});
  else
    at({.due = now_ + delay,
        .kind = Event::Kind::timer,
        .node = node,
        .number = timer});
}

void TreeWorld::report(NodeNumber node, ReportKind kind,
                       const std::string& child, ExitKind reason,
                       std::uint32_t restarts) {
  deeds_.push_back({.what = DeedKind::report,
                    .node = node,
                    .child = child,
                    .number = restarts,
                    .code = static_cast<int>(kind),
                    .kind = static_cast<int>(reason)});
}

void TreeWorld::reply(NodeNumber node, Ticket ticket, ReplyCode code,
                      ProcessNumber process) {
  papers_.push_back({.what = DeedKind::reply,
                     .node = node,
                     .number = ticket.value,
                     .code = static_cast<int>(code)});
  if (process != 0)
    papers_.back().child = fmt::format("process {}", process);
  if (nodes_[node].unanswered.erase(ticket) == 0)
    wrong(node, "answered a request again, or one of somebody else");
}

void TreeWorld::forget(NodeNumber node, const std::string& child) {
  papers_.push_back({.what = DeedKind::forget, .node = node, .child = child});
}

void TreeWorld::ready(NodeNumber node) {
  deeds_.push_back({.what = DeedKind::ready, .node = node});
  if (const ProcessNumber number = nodes_[node].process; number != 0)
    mails_.push_back({.kind = Mail::Kind::start_returned,
                      .to = process(number).owner,
                      .process = number});
}

void TreeWorld::exit(NodeNumber node, ExitKind kind,
                     const std::string& blamed) {
  deeds_.push_back({.what = DeedKind::exit,
                    .node = node,
                    .child = blamed,
                    .kind = static_cast<int>(kind)});
  for (const Process& process : processes_) {
    if (process.alive && process.owner == node)
      wrong(node, "ended before its child " + process.child);
  }
  if (!nodes_[node].unanswered.empty())
    wrong(node, "ended without an answer to a request");
  if (nodes_[node].process == 0)
    nodes_[node].alive = false;
  else
    end(nodes_[node].process, {kind, blamed});
}

void TreeWorld::wrong(NodeNumber node, const std::string& what) {
  deeds_.push_back({.what = DeedKind::wrong, .node = node, .child = what});
}

// -- For the test ------------------------------------------------------------

void TreeWorld::end(ProcessNumber number, const ExitReason& reason) {
  if (!process(number).alive)
    return;
  bury(number);
  mails_.push_back({.kind = Mail::Kind::process_ended,
                    .to = process(number).owner,
                    .process = number,
                    .reason = reason});
}

/// Nobody is left to be told about the children of a supervisor.
void TreeWorld::bury(ProcessNumber number) {
  process(number).alive = false;
  if (!process(number).node)
    return;
  const NodeNumber node = *process(number).node;
  nodes_[node].alive = false;
  for (ProcessNumber child = 1; child <= processes_.size(); ++child) {
    if (process(child).alive && process(child).owner == node)
      bury(child);
  }
}

void TreeWorld::send_request(NodeNumber node, ManualRequest request) {
  mails_.push_back(
      {.kind = Mail::Kind::request, .to = node, .request = std::move(request)});
}

void TreeWorld::send_shutdown() {
  mails_.push_back({.kind = Mail::Kind::shutdown, .to = 0});
}

bool TreeWorld::read_mail() {
  if (mails_.empty())
    return false;
  auto next = mails_.begin();
  if (mail_order_ != 0) {
    // The oldest mail of each, and one of those.
    std::vector<std::deque<Mail>::iterator> firsts;
    std::vector<NodeNumber> seen;
    for (auto it = mails_.begin(); it != mails_.end(); ++it) {
      if (std::find(seen.begin(), seen.end(), it->to) != seen.end())
        continue;
      seen.push_back(it->to);
      firsts.push_back(it);
    }
    Random random{mail_order_ + mails_read_};
    next = firsts[random.next() % firsts.size()];
  }
  ++mails_read_;
  const Mail mail = std::move(*next);
  mails_.erase(next);
  last_reader_ = mail.to;
  if (nodes_[mail.to].alive)
    deliver(mail);
  return true;
}

void TreeWorld::deliver(const Mail& mail) {
  TreeSupervisor& reader = *nodes_[mail.to].supervisor;
  switch (mail.kind) {
    case Mail::Kind::begin:
      reader.begin();
      break;
    case Mail::Kind::start_returned:
      reader.start_returned(mail.process, mail.outcome);
      break;
    case Mail::Kind::process_ended:
      reader.process_ended(mail.process, mail.reason);
      break;
    case Mail::Kind::timer:
      reader.timer_due(mail.timer);
      break;
    case Mail::Kind::shutdown:
      reader.shut_down();
      break;
    case Mail::Kind::request:
      nodes_[mail.to].unanswered.insert(mail.request.ticket);
      reader.request(mail.request);
      break;
  }
}

std::optional<TimePoint> TreeWorld::next_due() const {
  if (events_.empty())
    return std::nullopt;
  return events_.begin()->due;
}

void TreeWorld::happen() {
  const Event event = *events_.begin();
  events_.erase(events_.begin());
  now_ = std::max(now_, event.due);
  switch (event.kind) {
    case Event::Kind::timer:
      mails_.push_back(
          {.kind = Mail::Kind::timer, .to = event.node, .timer = event.number});
      break;
    case Event::Kind::ends:
      end(event.number, {event.reason, {}});
      break;
    case Event::Kind::start_returns:
      if (!process(event.number).alive)
        break;
      if (event.outcome != StartOutcome::running)
        bury(event.number);
      mails_.push_back({.kind = Mail::Kind::start_returned,
                        .to = event.node,
                        .process = event.number,
                        .outcome = event.outcome});
      break;
  }
}

std::vector<Deed> TreeWorld::take_deeds() {
  std::sort(papers_.begin(), papers_.end(), [](const Deed& a, const Deed& b) {
    return std::tie(a.what, a.number, a.child, a.code) <
           std::tie(b.what, b.number, b.child, b.code);
  });
  deeds_.insert(deeds_.end(), papers_.begin(), papers_.end());
  papers_.clear();
  return std::exchange(deeds_, {});
}

std::vector<ProcessNumber> TreeWorld::alive(bool supervisors) const {
  std::vector<ProcessNumber> found;
  for (ProcessNumber number = 1; number <= processes_.size(); ++number) {
    const Process& candidate = process(number);
    if (candidate.alive && candidate.node.has_value() == supervisors)
      found.push_back(number);
  }
  return found;
}

std::vector<NodeNumber> TreeWorld::living_nodes() const {
  std::vector<NodeNumber> found;
  for (NodeNumber node = 0; node < nodes_.size(); ++node) {
    if (nodes_[node].alive)
      found.push_back(node);
  }
  return found;
}

std::size_t TreeWorld::level(NodeNumber node) const {
  const ProcessNumber number = nodes_[node].process;
  return number == 0 ? 1 : 1 + level(process(number).owner);
}

std::string TreeWorld::path(NodeNumber node) const {
  const ProcessNumber number = nodes_[node].process;
  return number == 0 ? "root" : path_of(number);
}

std::string TreeWorld::path_of(ProcessNumber number) const {
  return path(process(number).owner) + "/" + process(number).child;
}

std::optional<ProcessNumber> TreeWorld::stubborn() const {
  for (ProcessNumber number = 1; number <= processes_.size(); ++number) {
    const Process& candidate = process(number);
    if (candidate.alive && candidate.told_to_stop && !candidate.node)
      return number;
  }
  return std::nullopt;
}

NodeNumber TreeWorld::add_node(const PlannedSupervisor& plan,
                               ProcessNumber process) {
  const NodeNumber number = nodes_.size();
  nodes_.push_back({.supervisor = make_(*this, number, plan),
                    .plan = &plan,
                    .process = process});
  mails_.push_back({.kind = Mail::Kind::begin, .to = number});
  return number;
}

void TreeWorld::at(Event event) {
  event.sequence = ++sequence_;
  events_.insert(event);
}

}  // namespace troupe::supervisor
