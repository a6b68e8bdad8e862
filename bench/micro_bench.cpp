// What the inner loops cost: permits of mailboxes, a supervisor that restarts a
// child, frames between troupe and its warden, the ring of a cluster. For the
// steps of a workflow see plan_bench.cpp, for batches of the store
// store_bench.cpp.
#include "wire.hpp"

#include <troupe/base/assert.hpp>
#include <troupe/distributed/ring.hpp>
#include <troupe/flow_control/budget.hpp>
#include <troupe/supervisor/supervisor.hpp>

#include <benchmark/benchmark.h>
#include <chrono>
#include <cstdint>
#include <fmt/format.h>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace {

using namespace troupe;  // NOLINT(google-build-using-namespace)

void take_and_return_a_permit(benchmark::State& state) {
  const flow_control::Budget budget{1000};
  for (auto _ : state)
    benchmark::DoNotOptimize(budget.try_acquire());
}
BENCHMARK(take_and_return_a_permit)->Threads(1)->Threads(2);

void take_and_return_a_shared_permit(benchmark::State& state) {
  const flow_control::Budget budget{1000};
  for (auto _ : state)
    benchmark::DoNotOptimize(budget.try_acquire_shared());
}
BENCHMARK(take_and_return_a_shared_permit);

/// A supervisor of so many children, one of which crashes and starts again.
void restart_a_child(benchmark::State& state) {
  using supervisor::SupervisorCore;
  supervisor::SupervisorSpec spec{.name = "bench", .intensity = 1000};
  spec.period = 1us;
  for (std::int64_t n = 0; n < state.range(0); ++n)
    spec.children.push_back(
        {.id = fmt::format("c{}", n),
         .start = [](supervisor::StartContext&) -> supervisor::StartResult {
           return actors::ActorRef{};
         }});
  SupervisorCore core{std::move(spec), 1};
  TimePoint now{};
  supervisor::ChildRef last;
  const auto start_all = [&](supervisor::Actions actions) {
    while (!actions.empty()) {
      supervisor::Actions more;
      for (const auto& action : actions) {
        const auto* const start = std::get_if<supervisor::Start>(&action);
        if (start == nullptr)
          continue;
        last = start->child;
        auto next = core.on_child_started(start->child, now);
        more.insert(more.end(), std::make_move_iterator(next.begin()),
                    std::make_move_iterator(next.end()));
      }
      actions = std::move(more);
    }
  };
  start_all(core.on_start(now));
  for (auto _ : state) {
    now += 1ms;
    const supervisor::ChildRef before = last;
    start_all(
        core.on_child_exited(last, {actors::ExitKind::crashed, "bench"}, now));
    TROUPE_ASSERT(last != before);
  }
}
BENCHMARK(restart_a_child)->Arg(10)->Arg(1000);

/// What the warden says of a command that prints a line.
void encode_and_read_three_frames(benchmark::State& state) {
  using namespace process;  // NOLINT(google-build-using-namespace)
  const AttemptId id{CommandId{7}, 1};
  std::string bytes;
  wire::Reader reader;
  for (auto _ : state) {
    bytes.clear();
    wire::encode(bytes, id, wire::Started{4711});
    wire::encode(bytes, id, wire::OutputRead{Stream::out, "one line\n"});
    wire::encode(bytes, id, wire::Exited{});
    std::copy(bytes.begin(), bytes.end(), reader.prepare(bytes.size()));
    reader.commit(bytes.size());
    while (true) {
      const auto frame = reader.next();
      TROUPE_ASSERT(frame);
      if (!*frame)
        break;
      benchmark::DoNotOptimize((*frame)->id);
    }
  }
  state.SetItemsProcessed(state.iterations() * 3);
}
BENCHMARK(encode_and_read_three_frames);

void encode_the_start_of_a_command(benchmark::State& state) {
  process::CommandSpec spec;
  spec.argv = {"sh", "-c", "exit 3"};
  spec.env = {{"HOME", "/home/ada"}, {"LANG", "C.UTF-8"}};
  const process::AttemptId id{CommandId{7}, 1};
  std::string bytes;
  for (auto _ : state) {
    bytes.clear();
    process::wire::encode(bytes, id, process::wire::Start{spec});
    benchmark::DoNotOptimize(bytes.data());
  }
}
BENCHMARK(encode_the_start_of_a_command);

/// So many nodes, and their parameters for so many shards.
std::vector<distributed::RingNode> ring_nodes(std::int64_t count) {
  std::vector<distributed::RingNode> nodes(static_cast<std::size_t>(count));
  for (std::size_t n = 0; n < nodes.size(); ++n) {
    nodes[n].node.bytes[14] = static_cast<std::uint8_t>(n / 256);
    nodes[n].node.bytes[15] = static_cast<std::uint8_t>(n % 256);
  }
  return nodes;
}

distributed::RingParameters ring_parameters(std::int64_t nodes,
                                            std::int64_t shards) {
  return {.virtual_nodes = distributed::virtual_nodes_for(
              static_cast<std::size_t>(nodes), 128),
          .shards = static_cast<std::uint32_t>(shards)};
}

void build_a_ring(benchmark::State& state) {
  const auto nodes = ring_nodes(state.range(0));
  const auto parameters = ring_parameters(state.range(0), state.range(1));
  for (auto _ : state) {
    const distributed::Ring ring{nodes, parameters};
    benchmark::DoNotOptimize(ring.owner(0));
  }
}
BENCHMARK(build_a_ring)
    ->Args({10, 4096})
    ->Args({1000, 16'384})
    ->Unit(benchmark::kMillisecond);

void find_the_owner_of_a_key(benchmark::State& state) {
  const auto parameters = ring_parameters(1000, 16'384);
  const distributed::Ring ring{ring_nodes(1000), parameters};
  std::string key = "job 1000000";
  for (auto _ : state) {
    ++key[key.size() - 1];
    benchmark::DoNotOptimize(
        ring.owner(distributed::shard_of(key, parameters)));
  }
}
BENCHMARK(find_the_owner_of_a_key);

void name_sixteen_nodes_clockwise(benchmark::State& state) {
  const distributed::Ring ring{ring_nodes(1000), ring_parameters(1000, 16'384)};
  for (auto _ : state)
    benchmark::DoNotOptimize(ring.clockwise("watch", 16));
}
BENCHMARK(name_sixteen_nodes_clockwise);

}  // namespace

BENCHMARK_MAIN();
