#include "sim_world.hpp"

#include "sim_client.hpp"
#include "sim_host.hpp"
#include "sim_node.hpp"
#include "sim_run_client.hpp"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <utility>

namespace troupe::sim {
namespace {

constexpr Duration faults_for = 10min;
/// An eviction by the last of six nodes, of a session that begins to stand
/// still with the last delayed message, and one more: all that, one after the
/// other, and then the longest commands.
constexpr Duration settles_within = 30min;
constexpr std::uint32_t shard_count = 16;
constexpr Duration usual_delay_at_most = 20ms;

/// What nodes would log is of no use: the trace has it, in order.
void be_quiet() {
  static const bool is_quiet =
      ::setenv("TROUPE_LOG", "off", /*overwrite=*/0) == 0;
  (void)is_quiet;
}

distributed::View first_view(std::uint64_t seed) {
  return {.ring = {.seed = seed, .virtual_nodes = 8, .shards = shard_count}};
}

}  // namespace

SimWorld::SimWorld(const SimConfig& config)
    : config_{config},
      random_{config.seed},
      plan_{random_, config.allowed},
      trace_{config.is_verbose},
      checkers_{trace_},
      store_{std::make_unique<SimStore>(config.defect, checkers_, trace_,
                                        first_view(random_.next()))} {
  be_quiet();
  set_time();
  const auto nodes = static_cast<std::uint32_t>(2 + random_.next() % 5);
  links_.resize(nodes + 1);
  ambushes_.resize(nodes);
  beset_until_.resize(nodes);
  for (std::uint32_t i = 0; i < nodes; ++i) {
    hosts_.push_back(std::make_unique<SimHost>(*this, i));
    hosts_.back()->boot_after(up_to(5s));
  }
  // Their slots are for all nodes.
  (void)store_->model().set_group(
      {.name = "licence",
       .slots = static_cast<std::uint32_t>(2 + random_.next() % 3)});
  (void)store_->model().set_group({.name = "probe",
                                   .slots = 2,
                                   .starts_per_minute = 60,
                                   .break_after = 2,
                                   .break_pause = 5s});
  client_ = std::make_unique<SimClient>(*this, nodes, shard_count, faults_for);
  run_client_ = std::make_unique<SimRunClient>(*this, faults_for);
  const Duration gone_at = up_to(faults_for);
  if (nodes > 2 && one_in(2) && plan_.has(Fault::removal))
    at(gone_at, [this] { hosts_.back()->be_gone(); });
  for (std::uint32_t i = 0; i < plan_.incidents; ++i)
    at(up_to(faults_for), [this] { break_something(); });
}

SimWorld::~SimWorld() = default;

SimResult SimWorld::run() {
  run_until(faults_for);
  stop_faults();
  std::optional<std::string> missing = "the first look";
  while (!checkers_.violation() && missing &&
         now() < faults_for + settles_within) {
    run_until(now() + 5s);
    missing = unfinished();
  }
  if (missing)
    checkers_.not_done(*missing);
  checkers_.audit(store_->model());
  checkers_.audit_runs(store_->model());
  return {.trace_hash = trace_.hash(),
          .virtual_time = now(),
          .settled_after = now() - faults_for,
          .tasks = client_->tasks(),
          .counts = checkers_.counts(),
          .faults = plan_.kinds,
          .nodes = static_cast<std::uint32_t>(hosts_.size()),
          .violation = checkers_.violation(),
          .last_events = checkers_.violation() ? trace_.last() : ""};
}

void SimWorld::run_until(Duration end) {
  set_time();
  while (!checkers_.violation() && events_.step(end)) {
    set_time();
    if (store_->commits() - audited_ >= 100) {
      audited_ = store_->commits();
      checkers_.audit(store_->model());
    }
  }
}

void SimWorld::set_time() {
  checkers_.set_time(now());
  store_->set_time(now(), clock_offset_);
}

Duration SimWorld::up_to(Duration most) {
  return Duration{static_cast<Duration::rep>(
      random_.next() % static_cast<std::uint64_t>(most.count()))};
}

// -- The network --------------------------------------------------------------

void SimWorld::ask_store(std::uint32_t link, Transaction transaction,
                         const Lateness& late) {
  const bool is_aimed_at = late.request + late.answer > Duration{0};
  const auto request = [this, link, transaction = std::move(transaction), late,
                        is_aimed_at] {
    if (now() < store_gone_until_ || now() < links_[link].requests_lost_until)
      return;
    set_time();  // Events of one moment may come between.
    store_->begin_call();
    Call answer = transaction();
    if (!store_->may_answer())
      return;
    const bool is_lost = happens(Fault::drop) && !is_aimed_at;
    if (is_lost || now() < links_[link].answers_lost_until)
      return;
    after(is_aimed_at ? late.answer + usual_delay() : delay(),
          std::move(answer));
  };
  const bool comes_twice = happens(Fault::duplicate);
  if (is_aimed_at)
    after(late.request + usual_delay(), request);
  else if (!happens(Fault::drop))
    after(delay(), request);
  if (comes_twice)
    after(delay(), request);
}

void SimWorld::send(Call call) {
  if (!happens(Fault::drop))
    after(delay(), std::move(call));
}

bool SimWorld::happens(Fault fault) {
  const bool is_due =
      one_in(fault == Fault::delay ? plan_.delay_odds : plan_.message_odds);
  return is_due && is_faulty_ && plan_.has(fault);
}

Duration SimWorld::usual_delay() { return up_to(usual_delay_at_most); }

Duration SimWorld::delay() {
  const Duration usual = usual_delay();
  const Duration late = up_to(longest_delay);
  return happens(Fault::delay) ? late : usual;
}

Duration SimWorld::report_delay() {
  const Duration late = up_to(longest_delay);
  return happens(Fault::delay) ? late : Duration{0};
}

// -- Faults -------------------------------------------------------------------

void SimWorld::break_something() {
  // All chance is drawn before it is known whether that fault is allowed, so
  // that a run without it is as alike as can be.
  constexpr auto partition = static_cast<std::uint64_t>(Fault::partition);
  constexpr auto removal = static_cast<std::uint64_t>(Fault::removal);
  const auto fault =
      static_cast<Fault>(partition + random_.next() % (removal - partition));
  const auto node = static_cast<std::uint32_t>(random_.next() % links_.size());
  // What lasts about as long as it takes to evict somebody is worth most.
  const Duration any_length = up_to(plan_.longest);
  const Duration about_a_lease = 45s + up_to(60s);
  const Duration length = one_in(2) ? any_length : about_a_lease;
  const std::uint64_t chance = random_.next();
  Ambush ambush{.moment = static_cast<Moment>(random_.next() % moments),
                .fault = fault,
                .length = about_a_lease + 15s,
                .chance = chance,
                .late = longest_delay / 2 + up_to(longest_delay / 2),
                .is_answer_late = !one_in(4)};
  if (one_in(2))
    ambush = worst(ambush);
  const bool lies_in_wait = one_in(2);
  const bool is_left_alone = !one_in(4);
  if (node < hosts_.size() && now() < beset_until_[node] && is_left_alone)
    return;  // Two troubles at once hide each other.
  if (!plan_.has(lies_in_wait ? ambush.fault : fault))
    return;
  if (lies_in_wait)
    lie_in_wait(ambush, node % static_cast<std::uint32_t>(hosts_.size()));
  else
    apply(fault, node, length, chance);
}

void SimWorld::lie_in_wait(const Ambush& ambush, std::uint32_t node) {
  trace_.note(now(), to_string(ambush.moment), node);
  ambushes_[node].push_back(ambush);
  // So that the moment comes.
  if (ambush.moment == Moment::is_evicted)
    apply(ambush.fault, node, 2 * ambush.length, ambush.chance);
  if (ambush.moment == Moment::registers && ambush.fault == Fault::crash)
    apply(ambush.fault, node, ambush.length, ambush.chance);
}

Lateness SimWorld::reach(Moment moment, std::uint32_t node) {
  std::vector<Ambush>& all = ambushes_[node];
  const auto found = std::find_if(
      all.begin(), all.end(),
      [moment](const Ambush& ambush) { return ambush.moment == moment; });
  if (found == all.end() || !is_faulty_)
    return {};
  if (moment == Moment::renews && !hosts_[node]->warden().has_much_to_kill())
    return {};
  const Ambush ambush = *found;
  all.erase(found);
  beset_until_[node] = now() + ambush.length;
  checkers_.ambushed();
  trace_.note(now(), "ambush", node,
              static_cast<std::uint64_t>(ambush.late.count()));
  if (moment == Moment::is_evicted) {
    links_[node] = {};
    hosts_[node]->stop_faults();
  } else {
    // When a request has arrived, if it is not late.
    after(usual_delay_at_most, [this, ambush, node] {
      if (is_faulty_)
        apply(ambush.fault, node, ambush.length, ambush.chance);
    });
  }
  if (moment == Moment::starts)
    return {.request = plan_.has(Fault::pause) ? ambush.length : Duration{0}};
  if (!plan_.has(Fault::delay))
    return {};
  if (moment == Moment::renews && ambush.is_answer_late)
    return {.answer = ambush.late};
  return {.request = ambush.late};
}

void SimWorld::apply(Fault fault, std::uint32_t node, Duration length,
                     std::uint64_t chance) {
  const bool is_client = node == hosts_.size();
  if (is_client && fault != Fault::partition)
    node = 0;
  trace_.note(now(), to_string(fault), node,
              static_cast<std::uint64_t>(length.count()));
  switch (fault) {
    case Fault::drop:
    case Fault::duplicate:
    case Fault::delay:
      break;  // Of messages, see happens().
    case Fault::removal:
      break;  // Of one host at most, see the constructor.
    case Fault::partition:
      if (chance % 3 != 1)
        links_[node].requests_lost_until = now() + length;
      if (chance % 3 != 2)
        links_[node].answers_lost_until = now() + length;
      break;
    case Fault::pause:
      hosts_[node]->pause(now() + length);
      break;
    case Fault::freeze:
      hosts_[node]->freeze(now() + length);
      break;
    case Fault::crash:
      // Mostly its supervisor starts it again at once.
      hosts_[node]->crash(chance % 3 == 0 ? length : length / 30);
      break;
    case Fault::outage:
      be_gone(std::min(length, longest_outage));
      break;
    case Fault::clock_jump: {
      const auto seconds = static_cast<std::int64_t>(chance % 7200) - 3600;
      clock_offset_ += seconds * Duration{1s};
      furthest_clock_ = std::max(furthest_clock_, clock_offset_);
      break;
    }
    case Fault::power_cut:
      // Of a disk that stands still before.
      store_->stop_syncing();
      after(std::min(length / 10, longest_sync), [this, length] {
        if (store_->lose_power())
          be_gone(length / 10);
      });
      break;
    case Fault::drain:
      hosts_[node]->drain();
      // Half of them die of it, and their successor has to go on with it.
      if (chance % 2 == 0 && plan_.has(Fault::crash))
        after(length / 10, [this, node, length] {
          if (is_faulty_)
            hosts_[node]->crash(length / 30);
        });
      break;
  }
}

void SimWorld::be_gone(Duration length) {
  checkers_.outage(now(), now() + length);
  store_gone_until_ = std::max(store_gone_until_, now() + length);
}

void SimWorld::stop_faults() {
  is_faulty_ = false;
  trace_.note(now(), "faults stop", Trace::no_node);
  for (Link& link : links_)
    link = {};
  store_->sync();
  store_gone_until_ = now();
  checkers_.outages_over();
  // What is due by the clock of the store would be due in an hour else.
  clock_offset_ = furthest_clock_;
  for (const auto& host : hosts_)
    host->stop_faults();
}

// -- The end ------------------------------------------------------------------

std::optional<std::string> SimWorld::unfinished() {
  if (!client_->is_done() || !run_client_->is_done())
    return "a submission is not acknowledged";
  for (const auto& host : hosts_)
    if (!host->is_gone() &&
        (host->agent() == nullptr || !host->agent()->has_right()))
      return fmt::format("n{} has no right", host->index());
  const auto open = store_->model().jobs({.set = store::JobSet::unended}, 1);
  if (!open->empty())
    return fmt::format("job {} has not ended", open->front().id.value);
  const auto runs = store_->model().runs({.set = store::RunSet::unended}, 1);
  if (!runs->empty())
    return fmt::format("run {} has not ended", runs->front().id.value);
  return std::nullopt;
}

SimConfig shrink(const SimConfig& config) {
  const auto violation_of = [](const SimConfig& tried) {
    const SimResult result = SimWorld{tried}.run();
    return result.violation ? result.violation->invariant : "";
  };
  SimConfig smallest = config;
  smallest.is_verbose = false;
  const std::string invariant = violation_of(smallest);
  for (std::uint32_t i = 0; i < fault_kinds; ++i) {
    SimConfig tried = smallest;
    tried.allowed &= ~bit(static_cast<Fault>(i));
    if (violation_of(tried) == invariant)
      smallest = tried;
  }
  return smallest;
}

std::string report(const SimConfig& config, const SimResult& result) {
  return fmt::format(
      "seed {} with {} nodes{}{}, faults: {}\n{}violated: {}: {}\n"
      "again: sim_runs --seed {}{}{}\n",
      config.seed, result.nodes,
      config.defect == Defect::none ? "" : " and the defect ",
      config.defect == Defect::none ? "" : to_string(config.defect),
      to_string(result.faults), result.last_events, result.violation->invariant,
      result.violation->what, config.seed,
      config.defect == Defect::none
          ? ""
          : fmt::format(" --defect {}", to_string(config.defect)),
      config.allowed == all_faults
          ? ""
          : fmt::format(" --faults {}", config.allowed));
}

}  // namespace troupe::sim
