#include <troupe/base/text.hpp>
#include <troupe/queue/labels.hpp>

#include <fmt/format.h>
#include <utility>

namespace troupe::queue {
namespace {

using flow_control::Resources;

constexpr std::string_view prefix = "on-";
constexpr std::uint64_t wanted = 1;
constexpr std::uint64_t enough = 1'000'000'000 * Resources::unit;
/// Of a node, by what begins there and by what goes on.
constexpr std::uint64_t to_begin = Resources::unit;
constexpr std::uint64_t to_go_on = 1;

Resources with_labels(Resources resources,
                      const std::vector<std::string>& labels,
                      std::uint64_t amount) {
  for (const std::string& label : labels)
    resources.set(fmt::format("{}{}", prefix, label), amount);
  return resources;
}

}  // namespace

Result<void> check_label(std::string_view label) {
  if (!label.empty() && Resources::parse(fmt::format("{}{}=1", prefix, label)))
    return {};
  return failure(Errc::invalid_argument,
                 fmt::format("expected a label of up to 29 letters, digits, _ "
                             "and -, such as gpu or zone-2, got {}",
                             in_quotes(label)));
}

std::string label_of_zone(std::string_view zone) {
  return fmt::format("zone-{}", zone);
}

Resources have_labels(Resources resources,
                      const std::vector<std::string>& labels) {
  return with_labels(std::move(resources), labels, enough);
}

Resources want_labels(Resources resources,
                      const std::vector<std::string>& labels) {
  return with_labels(std::move(resources), labels, wanted);
}

std::optional<std::string> label_in(const std::string& resource) {
  if (!resource.starts_with(prefix))
    return std::nullopt;
  return resource.substr(prefix.size());
}

LabelsAndRest split_labels(const Resources& resources) {
  LabelsAndRest split;
  for (const auto& [name, amount] : resources.amounts()) {
    if (auto label = label_in(name))
      split.labels.push_back(std::move(*label));
    else
      split.rest.set(name, amount);
  }
  return split;
}

std::string at_home(const std::string& resources, const std::string& home,
                    bool goes_on) {
  return fmt::format(
      "{}{}{}={}", resources, resources.empty() ? "" : ",", home,
      flow_control::format_amount(home, goes_on ? to_go_on : to_begin));
}

bool goes_on_at(const std::string& resources, const std::string& home) {
  // Most take nothing of the kind.
  if (home.empty() || resources.find(home) == std::string::npos)
    return false;
  const auto all = Resources::parse(resources);
  return all && all->amount(home) == to_go_on;
}

}  // namespace troupe::queue
