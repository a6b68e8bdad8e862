#include "sim_run_client.hpp"

#include "sim_host.hpp"
#include "sim_node.hpp"
#include "sim_world.hpp"

#include <fmt/format.h>
#include <memory>
#include <utility>

namespace troupe::sim {
namespace {

/// Between two tries of what is not answered, and looks at what has ended.
constexpr Duration pause = 7s;

/// A few jobs of a few steps, of which each needs none or one before it. Some
/// of them may run on any node that has a label, which all have.
std::string random_workflow(Random& random, const std::string& group,
                            bool has_approval) {
  std::string text;
  if (!group.empty())
    text += fmt::format("concurrency: {{ group: {}, limit: 1 }}\n", group);
  text += "jobs:\n";
  const std::uint64_t jobs = 1 + random.next() % 3;
  for (std::uint64_t i = 0; i < jobs; ++i) {
    text += fmt::format("  j{}:\n", i);
    if (i > 0 && random.next() % 3 != 0)
      text += fmt::format("    needs: [j{}]\n", random.next() % i);
    if (i == 0 && has_approval)
      text += "    approval: {}\n";
    if (random.next() % 2 == 0)
      text += "    runs-on: any\n";
    text += "    steps:\n";
    for (std::uint64_t left = 1 + random.next() % 3; left > 0; --left)
      text += "      - run: x\n";
  }
  return text;
}

}  // namespace

SimRunClient::SimRunClient(SimWorld& world, Duration submits_until)
    : world_{world} {
  Random& random = world.random();
  // Half of all clusters have none: so more of those can be looked at. In some
  // all want the same place at the same time.
  const bool is_crowd = random.next() % 4 == 0;
  const std::uint64_t some = 1 + random.next() % 4;
  const std::uint64_t runs = is_crowd ? 2 + some : some * (random.next() % 2);
  const Duration crowd_at = world.up_to(submits_until);
  for (std::uint64_t i = 0; i < runs; ++i) {
    const std::string request = fmt::format("run {}", i);
    const bool is_one_of_group = is_crowd || random.next() % 2 == 0;
    const std::string group = is_one_of_group ? "one" : "";
    Submission& submission = submissions_[request];
    submission.has_approval = random.next() % 4 == 0;
    submission.is_cancelled = random.next() % 6 == 0;
    submission.is_retried = random.next() % 2 == 0;
    submission.text = random_workflow(random, group, submission.has_approval);
    world_.checkers().submits_run(request, group);
    world_.at(
        is_crowd ? crowd_at + world.up_to(20s) : world.up_to(submits_until),
        [this, request] { submit(request); });
  }
}

void SimRunClient::submit(const std::string& request) {
  const Submission& submission = submissions_.at(request);
  if (submission.run)
    return;
  auto run = std::make_shared<node::RunSubmission>();
  run->run.request_id = request;
  run->spec.file = "/w.yaml";
  run->spec.text = submission.text;
  run->spec.folder = "/";
  ask_some_node([this, request, run](SimNode& agent) {
    agent.submit_run({run, [this, request](const Result<node::Json>& answer) {
                        if (!answer)
                          return;
                        const store::RunId id{answer->at("run")};
                        world_.send(
                            [this, request, id] { acknowledge(request, id); });
                      }});
  });
  world_.after(pause, [this, request] { submit(request); });
}

void SimRunClient::acknowledge(const std::string& request, store::RunId run) {
  Submission& submission = submissions_.at(request);
  world_.checkers().run_acknowledged(request, run, world_.store().model());
  if (submission.run)
    return;
  submission.run = run;
  ++acknowledged_;
  world_.note("run is acknowledged", Trace::no_node, run.value);
  if (submission.is_cancelled)
    submission.cancelled_at = world_.now() + world_.up_to(60s);
  tend(request);
}

/// For good: what is not on the disk of the store nobody is told.
bool SimRunClient::has_ended(const Submission& submission) const {
  if (!world_.store().is_synced())
    return false;
  const auto info = world_.store().model().run(submission.run);
  return info && info->ended.has_value();
}

/// Whoever has heard that something was recorded leaves the rest to the nodes.
/// A retry that was asked for long ago may still arrive: so it never ends.
void SimRunClient::tend(const std::string& request) {
  Submission& submission = submissions_.at(request);
  world_.after(pause, [this, request] { tend(request); });
  if (has_ended(submission)) {
    const auto info = world_.store().model().run(submission.run);
    submission.is_approved = false;
    if (submission.is_retried && info->state != store::RunState::succeeded)
      change(request, node::RunRetried{},
             [](Submission& told) { told.is_retried = false; });
  } else if (submission.is_cancelled &&
             world_.now() >= submission.cancelled_at) {
    change(request, node::RunCancelled{},
           [](Submission& told) { told.is_cancelled = false; });
  } else if (submission.has_approval && !submission.is_approved) {
    change(request, node::RunAnswered{"j0", {.who = "ann"}},
           [](Submission& told) { told.is_approved = true; });
  }
}

void SimRunClient::change(const std::string& request, const node::RunNews& news,
                          std::function<void(Submission&)> done) {
  ask_some_node([this, request, news, done = std::move(done)](SimNode& agent) {
    agent.change_run(
        {.run = submissions_.at(request).run,
         .news = news,
         .done = [this, request, done](const Result<void>& answer) {
           if (answer)
             world_.send(
                 [this, request, done] { done(submissions_.at(request)); });
         }});
  });
}

void SimRunClient::ask_some_node(std::function<void(SimNode&)> call) {
  const auto& hosts = world_.hosts();
  SimHost& host = *hosts[world_.random().next() % hosts.size()];
  world_.send([&host, call = std::move(call)] { host.deliver(call); });
}

}  // namespace troupe::sim
