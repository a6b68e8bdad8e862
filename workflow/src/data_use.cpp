#include "data_use.hpp"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace troupe::workflow {
namespace {

class Search {
 public:
  using Path = std::vector<std::string>;

  /// For names such as `needs.build.result`; downloads are of what is needed.
  Search(std::function<bool(const Path&)> is_meant, std::string needed)
      : is_meant_{std::move(is_meant)}, needed_{std::move(needed)} {}

  [[nodiscard]] bool in(const Expression& expression) const {
    const auto& nodes = expression.nodes();
    return std::any_of(nodes.begin(), nodes.end(), [this](const auto& node) {
      return node.kind == Expression::Kind::path && is_meant_(node.path);
    });
  }
  [[nodiscard]] bool in(const Template& text) const {
    return std::any_of(text.parts.begin(), text.parts.end(),
                       [this](const Template::Part& part) {
                         return part.expression && in(*part.expression);
                       });
  }
  [[nodiscard]] bool in(const std::vector<NamedTemplate>& texts) const {
    return std::any_of(
        texts.begin(), texts.end(),
        [this](const NamedTemplate& text) { return in(text.value); });
  }
  [[nodiscard]] bool in(const std::optional<Condition>& condition) const {
    return condition && in(condition->expression);
  }
  [[nodiscard]] bool in(const std::vector<Template>& texts) const {
    return std::any_of(texts.begin(), texts.end(),
                       [this](const Template& text) { return in(text); });
  }
  [[nodiscard]] bool in(const std::vector<Argument>& arguments) const {
    return std::any_of(
        arguments.begin(), arguments.end(),
        [this](const Argument& argument) { return in(argument.value); });
  }
  [[nodiscard]] bool in(const Transfer& transfer) const {
    return (!transfer.is_upload && transfer.job == needed_) ||
           in(transfer.patterns);
  }
  [[nodiscard]] bool in(const StepCache& cache) const {
    return in(cache.key) || in(cache.sources) || in(cache.generates);
  }
  [[nodiscard]] bool in(const Step& step) const {
    return in(step.name) || in(step.run) || in(step.env) ||
           in(step.working_directory) || in(step.condition) ||
           (step.cache && in(*step.cache)) ||
           (step.transfer && in(*step.transfer));
  }
  [[nodiscard]] bool in(const MatrixText& matrix) const {
    return (matrix.whole && in(*matrix.whole)) ||
           std::any_of(matrix.parts.begin(), matrix.parts.end(),
                       [this](const MatrixText::Part& part) {
                         return part.computed && in(*part.computed);
                       });
  }
  [[nodiscard]] bool in(const Job& job) const {
    return in(job.name) || in(job.env) || in(job.outputs) ||
           in(job.condition) || in(job.placement.key) ||
           (job.concurrency && in(job.concurrency->group)) ||
           (job.call && (in(job.call->inputs) || in(job.call->secrets))) ||
           (job.approval != nullptr && in(job.approval->prompt)) ||
           (job.computed_matrix && in(*job.computed_matrix)) ||
           in(job.placement.labels) ||
           std::any_of(job.steps.begin(), job.steps.end(),
                       [this](const Step& step) { return in(step); });
  }

 private:
  std::function<bool(const Path&)> is_meant_;
  std::string needed_;
};

}  // namespace

bool uses_what_is_handed_on(const Job& job, const Job& needed) {
  // always() and its kin are about how the jobs before have ended.
  if (job.condition && job.condition->expression.asks_for_status())
    return true;
  const auto is_of_needed = [&needed](const Search::Path& path) {
    if (path.front() != "needs" && path.front() != "jobs")
      return false;
    // Without a name it may be any of them.
    return path.size() == 1 || path[1] == needed.id;
  };
  return Search{is_of_needed, needed.id}.in(job);
}

bool uses_ports(const Job& job) {
  const Search search{
      [](const Search::Path& path) { return path.front() == "port"; }, ""};
  return search.in(job);
}

}  // namespace troupe::workflow
