#pragma once

/// What `troupe insights` prints. Pure.
#include <troupe/workflow/insights.hpp>

#include <nlohmann/json.hpp>

#include <cstddef>
#include <optional>
#include <string>

namespace troupe::cli {

/// Where the runs come from that were looked into.
struct InsightSources {
  std::string file;                    ///< As the user named it.
  std::size_t records = 0;             ///< Runs of troupe run.
  std::optional<std::size_t> of_node;  ///< None if no node was there to ask.
};

[[nodiscard]] std::string describe_insights(const InsightSources& sources,
                                            const workflow::Insights& insights);

[[nodiscard]] nlohmann::ordered_json insights_to_json(
    const InsightSources& sources, const workflow::Insights& insights);

}  // namespace troupe::cli
