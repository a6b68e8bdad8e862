#include "sim_client.hpp"

#include "sim_host.hpp"
#include "sim_node.hpp"
#include "sim_world.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace troupe::sim {

namespace {

/// For each node: with two slots they take 11 minutes, and the rest of all
/// tasks takes less. All has to be done in 30.
constexpr std::uint64_t most_long_tasks = 15;

}  // namespace

SimClient::SimClient(SimWorld& world, std::uint32_t link, std::uint32_t shards,
                     Duration submits_until)
    : world_{world}, link_{link}, shards_{shards} {
  const std::uint64_t jobs = 10 + world.random().next() % 30;
  const std::uint64_t long_odds = 2 + world.random().next() % 5;
  std::uint64_t long_tasks = 0;
  for (std::uint64_t i = 0; i < jobs; ++i) {
    const std::string request = fmt::format("r{}", i);
    Submission& submission = submissions_[request];
    Random& random = world.random();
    submission.spec = {.delivery = random.next() % 3 == 0
                                       ? store::Delivery::at_most_once
                                       : store::Delivery::at_least_once,
                       .is_kept = random.next() % 8 == 0,
                       .is_long = random.next() % long_odds == 0};
    submission.tasks = 1 + random.next() % 8;
    choose_place(submission);
    if (submission.spec.is_long)
      long_tasks += submission.tasks;
    if (long_tasks > most_long_tasks * world.hosts().size())
      submission.spec.is_long = false;
    submission.chunks = 1 + random.next() % 2;
    tasks_ += submission.tasks;
    world_.checkers().submits(request, submission.tasks);
    world_.at(world_.up_to(submits_until),
              [this, request] { take_step(request, 0); });
  }
}

/// Most of it any node can run, out of one or several shards. Jobs of a group
/// whose slots are for all nodes, and those of one node, wait in shard 0; that
/// is never the last one, which may be gone for good.
void SimClient::choose_place(Submission& submission) {
  Random& random = world_.random();
  CommandSpec& spec = submission.spec;
  submission.has_key = random.next() % 4 == 0;
  switch (random.next() % 10) {
    case 0:
      spec.group = "licence";
      spec.is_long = false;
      break;
    case 1:
      spec.group = "probe";
      spec.is_long = false;
      break;
    case 2:
      spec.resources =
          fmt::format("node-{}=1", random.next() % (world_.hosts().size() - 1));
      spec.is_long = false;
      break;
    case 3:
      spec.resources = "tape=1";
      [[fallthrough]];
    default:
      spec.shards.clear();
      for (std::uint64_t left = 1 + random.next() % 3; left > 0; --left)
        spec.shards.push_back(
            static_cast<std::uint32_t>(random.next() % shards_));
      std::sort(spec.shards.begin(), spec.shards.end());
      spec.shards.erase(std::unique(spec.shards.begin(), spec.shards.end()),
                        spec.shards.end());
      break;
  }
}

std::uint64_t SimClient::tasks_of_chunk(const Submission& all,
                                        std::uint64_t chunk) {
  const std::uint64_t first = all.chunks == 1 ? all.tasks : all.tasks / 2;
  return chunk == 0 ? first : all.tasks - first;
}

void SimClient::take_step(const std::string& request, std::uint64_t step) {
  const Submission& submission = submissions_.at(request);
  if (submission.step != step || submission.is_acknowledged)
    return;
  world_.ask_store(link_, [this, request, step, job = submission.job] {
    SimStore& store = world_.store();
    const Submission& asked = submissions_.at(request);
    store::JobId answer = job;
    if (step == 0)
      answer = store.open(request, asked.spec);
    else if (step <= asked.chunks)
      store.append(job, step - 1, tasks_of_chunk(asked, step - 1));
    else
      store.seal(job);
    return [this, request, step, answer] { step_taken(request, step, answer); };
  });
  if (world_.defect() == Defect::ack_before_commit &&
      step == submission.chunks + 1) {
    acknowledge(request);
    return;
  }
  world_.after(3s + world_.up_to(4s),
               [this, request, step] { take_step(request, step); });
}

void SimClient::step_taken(const std::string& request, std::uint64_t step,
                           store::JobId job) {
  Submission& submission = submissions_.at(request);
  if (submission.step != step || submission.is_acknowledged)
    return;
  submission.job = job;
  ++submission.step;
  if (submission.step <= submission.chunks + 1)
    take_step(request, submission.step);
  else
    acknowledge(request);
}

void SimClient::acknowledge(const std::string& request) {
  Submission& submission = submissions_.at(request);
  submission.is_acknowledged = true;
  ++acknowledged_;
  world_.note("acknowledged", Trace::no_node, submission.job.value);
  world_.checkers().acknowledged(request, world_.store().model());
  const auto& hosts = world_.hosts();
  SimHost& host = *hosts[world_.random().next() % hosts.size()];
  world_.send(
      [&host, shards = submission.spec.shards, has_key = submission.has_key] {
        host.deliver([shards, has_key](SimNode& agent) {
          agent.on_submitted(shards, has_key);
        });
      });
}

}  // namespace troupe::sim
