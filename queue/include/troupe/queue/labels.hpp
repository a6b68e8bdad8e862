#pragma once

/// Labels of nodes, and jobs that only run where there are some. For all who
/// decide, a label is a resource of which a node that has it has enough for
/// everybody: so tasks wait, are placed and explained as with any other one.
/// Pure.
#include <troupe/base/error.hpp>
#include <troupe/flow_control/resources.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::queue {

/// Letters, digits, '_' and '-', up to 29 of them.
///
/// Errors: invalid_argument.
[[nodiscard]] Result<void> check_label(std::string_view label);

/// The label that each node of this zone has: "zone-rome".
[[nodiscard]] std::string label_of_zone(std::string_view zone);

/// What the label is among the resources of a node that has these labels, each
/// of which has passed check_label().
[[nodiscard]] flow_control::Resources have_labels(
    flow_control::Resources resources, const std::vector<std::string>& labels);

/// Of a task that only runs where they are.
[[nodiscard]] flow_control::Resources want_labels(
    flow_control::Resources resources, const std::vector<std::string>& labels);

/// The label that this resource stands for; none if it is one like others.
[[nodiscard]] std::optional<std::string> label_in(const std::string& resource);

struct LabelsAndRest {
  std::vector<std::string> labels;
  flow_control::Resources rest;
};

[[nodiscard]] LabelsAndRest split_labels(
    const flow_control::Resources& resources);

/// What a task takes that only the node with the resource `home` may run, which
/// no other node has, beside `resources`. One that goes on with a job that has
/// begun there takes less of it than one that begins: by that a node that
/// leaves its cluster tells them apart.
[[nodiscard]] std::string at_home(const std::string& resources,
                                  const std::string& home, bool goes_on);

/// Whether a task that takes these goes on with something there.
[[nodiscard]] bool goes_on_at(const std::string& resources,
                              const std::string& home);

}  // namespace troupe::queue
