#include "actor_host.hpp"
#include "command_tree.hpp"
#include "pool_actor.hpp"

#include <troupe/actors/command_actor.hpp>
#include <troupe/actors/store_actor.hpp>
#include <troupe/flow_control/budget.hpp>
#include <troupe/node/engine.hpp>
#include <troupe/process/warden_runner.hpp>
#include <troupe/supervisor/supervisor.hpp>

#include <atomic>
#include <random>
#include <utility>

namespace troupe::node {

using actors::ActorRef;

/// In the order of construction; destroyed in reverse. Whatever may hold a
/// handle of an actor goes before the system.
struct Engine::Parts {
  explicit Parts(const EngineOptions& options) : budget{options.max_commands} {}

  ActorHost host;
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
      parts->host.io(), {.signal_mask = options.signal_mask,
                         .inherit_descriptors = options.inherit_descriptors,
                         .in_our_group = options.foreground});
  if (!runner)
    return tl::unexpected(std::move(runner.error()));
  parts->runner = std::move(*runner);
  parts->deps.emplace(actors::CommandActorDeps{.runner = *parts->runner,
                                               .seed = std::random_device{}(),
                                               .crashes = options.crashes});
  parts->state = std::make_shared<actors::StoreState>();
  parts->front = spawn_front(parts->host.system(), parts->state);
  auto tree = supervisor::spawn_supervisor(
      parts->host.system(),
      command_tree(parts->state, *parts->deps, parts->front));
  if (!tree)
    return tl::unexpected(std::move(tree.error()));
  parts->tree = std::move(*tree);
  actors::send(parts->front, WatchTree{parts->tree});
  return std::unique_ptr<Engine>{new Engine{std::move(parts)}};
}

boost::asio::io_context& Engine::io() { return parts_->host.io(); }

actors::ActorSystem& Engine::system() { return parts_->host.system(); }

void Engine::run() { parts_->host.io().run(); }

void Engine::stop() { parts_->host.io().stop(); }

Result<CommandId> Engine::submit(
    std::shared_ptr<const actors::CommandRequest> request,
    std::shared_ptr<actors::OutputSinks> sinks, ActorRef owner,
    std::optional<CommandId> predecessor) {
  auto permit = parts_->budget.try_acquire_shared();
  if (!permit)
    return failure(Errc::overloaded, "too many commands at once");
  const CommandId id = new_id();
  actors::send(parts_->front,
               SubmitCommand{std::make_shared<const actors::CommandOrder>(
                   actors::CommandOrder{.id = id,
                                        .request = std::move(request),
                                        .sinks = std::move(sinks),
                                        .owner = std::move(owner),
                                        .permit = std::move(permit),
                                        .predecessor = predecessor})});
  return id;
}

const ActorRef& Engine::commands() const { return parts_->front; }

process::CommandRunner& Engine::runner() { return *parts_->runner; }

CommandId Engine::new_id() { return CommandId{++parts_->last_id}; }

void Engine::pause(std::function<void()> done) {
  parts_->runner->pause_all(std::move(done));
}

void Engine::resume() { parts_->runner->resume_all(); }

const ActorRef& Engine::tree() const { return parts_->tree; }

Result<void> Engine::shutdown(Duration limit) {
  if (std::exchange(parts_->is_shut_down, true))
    return {};
  actors::send(parts_->front, EngineEnding{});
  actors::stop(parts_->tree);
  parts_->tree = nullptr;
  const bool ended =
      parts_->host.loop().await_all_actors(parts_->host.system(), limit);
  parts_->runner->close(limit);
  if (!ended)
    return failure(Errc::timed_out,
                   "some actors did not end in time; this is a defect");
  return {};
}

}  // namespace troupe::node
