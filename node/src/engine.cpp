#include "pool_actor.hpp"

#include <troupe/actors/command_actor.hpp>
#include <troupe/actors/store_actor.hpp>
#include <troupe/flow_control/budget.hpp>
#include <troupe/node/engine.hpp>
#include <troupe/process/warden_runner.hpp>
#include <troupe/supervisor/supervisor.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include <atomic>
#include <random>
#include <utility>

namespace troupe::node {
namespace {

using actors::ActorRef;
using supervisor::ChildSpec;
using supervisor::Restart;
using supervisor::StartContext;
using supervisor::StartResult;
using supervisor::Strategy;
using supervisor::SupervisorSpec;

/// Who is who in the tree. Used by start functions only, which all run in the
/// supervisor of the tree.
struct Siblings {
  ActorRef store;
  ActorRef commands;
};

/// A command may kill its actors three times before it is given up
/// (actors::most_crashes), so many may be at it at once before the others are
/// in danger.
constexpr int command_restarts = 3000;

SupervisorSpec commands_spec(const std::shared_ptr<Siblings>& siblings,
                             const actors::CommandActorDeps& deps) {
  return {.name = "commands",
          .strategy = Strategy::simple_one_for_one,
          .intensity = command_restarts,
          .period = 10s,
          .children = {
              {.id = "command",
               .start = supervisor::start_with<LookAfter>(
                   [siblings, &deps](StartContext& context,
                                     const LookAfter& child) -> StartResult {
                     return actors::spawn_command(
                         context.supervisor(), child.id, siblings->store, deps);
                   }),
               .restart = Restart::transient,
               .shutdown = Duration{1s}}}};
}

/// The supervisor of commands, remembered for the pool that starts after it.
ChildSpec commands_child(const std::shared_ptr<Siblings>& siblings,
                         const actors::CommandActorDeps& deps) {
  ChildSpec spec =
      supervisor::supervisor_child("commands", commands_spec(siblings, deps));
  spec.start = [siblings, start = std::move(spec.start)](
                   StartContext& context) -> StartResult {
    StartResult result = start(context);
    if (const auto* ready = std::get_if<ActorRef>(&result.value()))
      siblings->commands = *ready;
    if (const auto* starting =
            std::get_if<supervisor::Starting>(&result.value()))
      siblings->commands = starting->actor;
    return result;
  };
  return spec;
}

SupervisorSpec engine_spec(const std::shared_ptr<actors::StoreState>& state,
                           const actors::CommandActorDeps& deps,
                           const ActorRef& front) {
  auto siblings = std::make_shared<Siblings>();
  return {
      .name = "engine",
      .strategy = Strategy::rest_for_one,
      .intensity = 5,
      .period = 60s,
      .children = {
          {.id = "store",
           .start = [siblings, state](StartContext& context) -> StartResult {
             siblings->store = actors::spawn_store(context.supervisor(), state);
             return siblings->store;
           }},
          commands_child(siblings, deps),
          {.id = "pool",
           .start = [siblings, front](StartContext& context) -> StartResult {
             return spawn_pool(context.supervisor(), siblings->store,
                               siblings->commands, front);
           }}}};
}

}  // namespace

/// In the order of construction; destroyed in reverse. Whatever may hold a
/// handle of an actor goes before the system.
struct Engine::Parts {
  explicit Parts(const EngineOptions& options)
      : config{options.threads}, system{config}, budget{options.max_commands} {}

  actors::SystemConfig config;
  actors::ActorSystem system;
  boost::asio::io_context io{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type>
      keep_running{io.get_executor()};
  flow_control::Budget budget;
  std::atomic<std::uint64_t> last_id{0};
  std::unique_ptr<process::WardenRunner> runner;
  std::optional<actors::CommandActorDeps> deps;
  std::shared_ptr<actors::StoreState> state;
  ActorRef front;
  ActorRef tree;
  bool is_shut_down = false;
};

Engine::Engine(std::unique_ptr<Parts> parts) : parts_{std::move(parts)} {}

Engine::~Engine() { (void)shutdown(); }

Result<std::unique_ptr<Engine>> Engine::start(EngineOptions options) {
  auto parts = std::make_unique<Parts>(options);
  auto runner = process::WardenRunner::create(
      parts->io, {.signal_mask = options.signal_mask,
                  .inherit_descriptors = options.inherit_descriptors});
  if (!runner)
    return tl::unexpected(std::move(runner.error()));
  parts->runner = std::move(*runner);
  parts->deps.emplace(actors::CommandActorDeps{.runner = *parts->runner,
                                               .seed = std::random_device{}(),
                                               .crashes = options.crashes});
  parts->state = std::make_shared<actors::StoreState>();
  parts->front = spawn_front(parts->system, parts->state);
  auto tree = supervisor::spawn_supervisor(
      parts->system, engine_spec(parts->state, *parts->deps, parts->front));
  if (!tree)
    return tl::unexpected(std::move(tree.error()));
  parts->tree = std::move(*tree);
  actors::send(parts->front, WatchTree{parts->tree});
  return std::unique_ptr<Engine>{new Engine{std::move(parts)}};
}

boost::asio::io_context& Engine::io() { return parts_->io; }

actors::ActorSystem& Engine::system() { return parts_->system; }

void Engine::run() { parts_->io.run(); }

void Engine::stop() { parts_->io.stop(); }

Result<CommandId> Engine::submit(
    std::shared_ptr<const actors::CommandRequest> request,
    std::shared_ptr<actors::OutputSinks> sinks, ActorRef owner) {
  auto permit = parts_->budget.try_acquire_shared();
  if (!permit)
    return failure(Errc::overloaded, "too many commands at once");
  const CommandId id{++parts_->last_id};
  actors::send(parts_->front,
               SubmitCommand{std::make_shared<const actors::CommandOrder>(
                   actors::CommandOrder{.id = id,
                                        .request = std::move(request),
                                        .sinks = std::move(sinks),
                                        .owner = std::move(owner),
                                        .permit = std::move(permit)})});
  return id;
}

const ActorRef& Engine::commands() const { return parts_->front; }

Result<void> Engine::shutdown(Duration limit) {
  if (std::exchange(parts_->is_shut_down, true))
    return {};
  actors::send(parts_->front, EngineEnding{});
  actors::stop(parts_->tree);
  parts_->tree = nullptr;
  const bool ended = actors::await_all_actors(parts_->system, limit);
  parts_->runner->close(limit);
  if (!ended)
    return failure(Errc::timed_out,
                   "some actors did not end in time; this is a defect");
  return {};
}

}  // namespace troupe::node
