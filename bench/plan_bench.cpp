// What the plan of a workflow with 10,000 jobs costs: reading its file, making
// the plan, and deciding what runs next each time a job has ended.
#include <troupe/base/assert.hpp>
#include <troupe/workflow/load.hpp>
#include <troupe/workflow/plan.hpp>

#include <benchmark/benchmark.h>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <fmt/format.h>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

namespace {

using namespace troupe;  // NOLINT(google-build-using-namespace)

enum class Shape : std::uint8_t {
  layers,  ///< Of 100 jobs, each needs three of the layer before.
  wide,    ///< One job, all the others, and one that needs them all.
  chain,   ///< Each needs the one before.
};

std::string needs_of(Shape shape, std::size_t job, std::size_t count) {
  constexpr std::size_t layer = 100;
  switch (shape) {
    case Shape::layers: {
      if (job < layer)
        return {};
      const std::size_t first = (job / layer - 1) * layer;
      return fmt::format("j{}, j{}, j{}", first + job % layer,
                         first + (job * 7 + 1) % layer,
                         first + (job * 13 + 2) % layer);
    }
    case Shape::wide: {
      if (job == 0)
        return {};
      if (job + 1 < count)
        return "j0";
      std::string all = "j1";
      for (std::size_t i = 2; i < job; ++i)
        all += fmt::format(", j{}", i);
      return all;
    }
    case Shape::chain:
      return job == 0 ? std::string{} : fmt::format("j{}", job - 1);
  }
  return {};
}

std::string file(Shape shape, std::size_t count) {
  std::string text = "jobs:\n";
  for (std::size_t i = 0; i < count; ++i)
    text += fmt::format("  j{}: {{ run: \"true\", needs: [{}] }}\n", i,
                        needs_of(shape, i, count));
  return text;
}

std::shared_ptr<const workflow::Workflow> load(const std::string& text) {
  auto loaded = workflow::load_workflow("bench.yaml", text);
  if (!loaded)
    fmt::print(stderr, "{}\n", loaded.error().what);
  TROUPE_ASSERT(loaded);
  return std::move(*loaded);
}

/// Peak memory of this process so far.
double peak_mib() {
  std::ifstream status{"/proc/self/status"};
  std::string word;
  while (status >> word) {
    if (word != "VmHWM:")
      continue;
    double kib = 0;
    status >> kib;
    return kib / 1024;
  }
  return 0;
}

void load_file(benchmark::State& state, Shape shape) {
  const std::string text =
      file(shape, static_cast<std::size_t>(state.range(0)));
  for (auto step : state)
    benchmark::DoNotOptimize(load(text));
  state.counters["file_KiB"] = static_cast<double>(text.size()) / 1024;
  state.counters["peak_MiB"] = peak_mib();
}

/// All jobs, from the start to the end of the run, with 64 at a time.
void run_plan(benchmark::State& state, Shape shape) {
  const auto count = static_cast<std::size_t>(state.range(0));
  const auto loaded = load(file(shape, count));
  for (auto step : state) {
    auto plan = workflow::Plan::make(loaded, {.max_parallel = 64});
    TROUPE_ASSERT(plan);
    std::deque<workflow::InstanceId> running;
    std::size_t ended = 0;
    const auto obey = [&](const workflow::Actions& actions) {
      for (const auto& action : actions) {
        if (const auto* const start = std::get_if<workflow::StartStep>(&action))
          running.push_back(start->instance);
      }
    };
    obey(plan->start({}));
    while (!running.empty()) {
      const auto instance = running.front();
      running.pop_front();
      ++ended;
      benchmark::DoNotOptimize(plan->next_deadline());
      obey(plan->on_step_finished(instance, 0, {}, {}));
    }
    TROUPE_ASSERT(ended == count);
    TROUPE_ASSERT(plan->result() == workflow::RunResult::success);
  }
  state.counters["per_job"] = benchmark::Counter(
      static_cast<double>(state.iterations()) * static_cast<double>(count),
      benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.counters["peak_MiB"] = peak_mib();
}

// NOLINTBEGIN: the macros of the library.
BENCHMARK_CAPTURE(load_file, layers, Shape::layers)
    ->Arg(10'000)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(load_file, wide, Shape::wide)
    ->Arg(10'000)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(run_plan, layers, Shape::layers)
    ->Arg(1'000)
    ->Arg(10'000)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(run_plan, wide, Shape::wide)
    ->Arg(1'000)
    ->Arg(10'000)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(run_plan, chain, Shape::chain)
    ->Arg(1'000)
    ->Arg(10'000)
    ->Unit(benchmark::kMillisecond);
// NOLINTEND

}  // namespace

BENCHMARK_MAIN();
