#pragma once

/// Runs as docs/openapi.yaml has them. Pure.
#include "run_core.hpp"

namespace troupe::node {

/// As in a list.
[[nodiscard]] Json to_json(const store::RunInfo& run);

/// Which of its instances an answer has.
struct InstancePage {
  std::uint64_t from = 0;
  std::uint64_t limit = most_instances_at_once;

  static constexpr std::uint64_t most_instances_at_once = 1000;
};

/// All of it, with its jobs and their steps. `run` is as it was loaded.
[[nodiscard]] Json to_json(const store::RunInfo& run, const RunCore& core,
                           const InstancePage& page);

[[nodiscard]] std::optional<store::RunSet> run_set(std::string_view name);

}  // namespace troupe::node
