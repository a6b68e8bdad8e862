#include "decode.hpp"
#include "text_decoder.hpp"

#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/config/document.hpp>
#include <troupe/workflow/load.hpp>

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <map>
#include <utility>
#include <vector>

namespace troupe::workflow {
namespace {

/// A file of most_jobs jobs has some dozen values for each.
constexpr config::YamlLimits limits{.input_bytes = largest_file,
                                    .nodes = 500'000,
                                    .expanded_bytes = 4 * largest_file};

/// Reads a file and those that it includes, each once.
class Loader {
 public:
  explicit Loader(const ReadFile& read) : read_{read} {}

  std::shared_ptr<const Workflow> load(
      std::shared_ptr<const config::Source> source,
      config::Diagnostics& diagnostics) {
    bytes_ += source->text().size();
    chain_.push_back(
        std::filesystem::path{source->name()}.lexically_normal().string());
    auto loaded = read(std::move(source), diagnostics);
    chain_.pop_back();
    return loaded;
  }

 private:
  struct Known {
    std::shared_ptr<const Workflow> workflow;  ///< Null if it is wrong.
    std::size_t height = 1;  ///< Of files below each other, itself counted.
  };

  std::shared_ptr<const Workflow> read(
      std::shared_ptr<const config::Source> source,
      config::Diagnostics& diagnostics) {
    const auto document =
        config::read_yaml(std::move(source), diagnostics, limits);
    if (!document)
      return nullptr;
    Draft draft = decode(*document, diagnostics);
    std::map<std::string, std::shared_ptr<const Workflow>> by_name;
    for (const WrittenInclude& include : draft.includes) {
      if (include.path.empty())
        continue;
      auto file = load_beside(include.path, include.where, "included here",
                              draft.workflow, diagnostics);
      by_name.emplace(include.name, std::move(file));
    }
    for (std::size_t i = 0; i < draft.workflow.jobs.size(); ++i) {
      Job& job = draft.workflow.jobs[i];
      if (!job.call || draft.calls[i].uses.empty())
        continue;
      resolve_call(draft.calls[i], by_name, draft.workflow, *job.call,
                   diagnostics);
      if (job.call->workflow != nullptr)
        check_call(job, diagnostics);
    }
    check_names(draft, diagnostics);
    if (diagnostics.errors() != 0)
      return nullptr;
    check_size(draft.workflow, diagnostics);
    if (diagnostics.errors() != 0)
      return nullptr;
    return std::make_shared<const Workflow>(std::move(draft.workflow));
  }

  /// A few files that call each other could be more jobs than anybody can run,
  /// or print.
  void check_size(const Workflow& workflow, config::Diagnostics& diagnostics) {
    std::size_t all = 0;
    for (const Job& job : workflow.jobs) {
      all += count(job);
      if (all <= most_instances)
        continue;
      diagnostics.add(job.where,
                      fmt::format("with what this job calls the workflow has "
                                  "more than {} jobs",
                                  most_instances));
      return;
    }
  }

  /// With those that it calls; each file is known to be small enough.
  std::size_t count(const Job& job) {
    if (!job.call)
      return job.matrix.size();
    const Workflow& file = *job.call->workflow;
    const std::pair key{&file, job.call->job};
    auto known = counts_.find(key);
    if (known == counts_.end()) {
      std::size_t all = 0;
      const auto needed = needed_by(file, job.call->job);
      for (std::size_t i = 0; i < needed.size(); ++i)
        all += needed[i] ? count(file.jobs[i]) : 0;
      known = counts_.emplace(key, all).first;
    }
    return job.matrix.size() * (1 + known->second);
  }

  static bool is_path(std::string_view uses) {
    return uses.find('/') != std::string_view::npos ||
           uses.ends_with(".yaml") || uses.ends_with(".yml");
  }

  void resolve_call(
      const WrittenCall& written,
      const std::map<std::string, std::shared_ptr<const Workflow>>& by_name,
      Workflow& around, Call& call, config::Diagnostics& diagnostics) {
    if (is_path(written.uses)) {
      call.workflow = load_beside(written.uses, written.where, "called here",
                                  around, diagnostics);
      return;
    }
    const std::size_t dot = written.uses.find('.');
    const std::string name = written.uses.substr(0, dot);
    const auto found = by_name.find(name);
    if (found == by_name.end()) {
      std::vector<std::string_view> names;
      for (const auto& [known, file] : by_name)
        names.emplace_back(known);
      diagnostics.add(
          written.where,
          fmt::format("{} is no file of \"include\"", in_quotes(name)),
          names.empty() ? "name one there, or write ./FILE"
                        : config::did_you_mean(name, names));
      return;
    }
    call.workflow = found->second;
    if (dot == std::string::npos)
      return;
    call.job = written.uses.substr(dot + 1);
    if (call.job.empty())
      diagnostics.add(written.where, "uses: a job is missing after the dot");
  }

  /// The file that `path` names at `where` in the file at hand, which is added
  /// to those of `around`.
  std::shared_ptr<const Workflow> load_beside(
      const std::string& path, config::Span where, const std::string& how,
      Workflow& around, config::Diagnostics& diagnostics) {
    const auto name = included_path(chain_.back(), path);
    if (!name) {
      diagnostics.add(where, fmt::format("expected the path of a file, got {}",
                                         in_quotes(path)));
      return nullptr;
    }
    auto file = load_file(*name, where, how, diagnostics);
    auto& files = around.includes;
    if (file != nullptr &&
        std::find(files.begin(), files.end(), file) == files.end())
      files.push_back(file);
    return file;
  }

  std::shared_ptr<const Workflow> load_file(const std::string& name,
                                            config::Span where,
                                            const std::string& how,
                                            config::Diagnostics& diagnostics) {
    const auto refuse = [&](std::string what) {
      diagnostics.add(where, std::move(what));
      return nullptr;
    };
    if (const auto first = std::find(chain_.begin(), chain_.end(), name);
        first != chain_.end())
      return refuse(
          fmt::format("files include each other in a circle: {} -> {}",
                      fmt::join(first, chain_.end(), " -> "), name));
    if (const auto known = known_.find(name); known != known_.end()) {
      if (known->second.workflow == nullptr)
        return refuse(
            fmt::format("{} is wrong, as told above", in_quotes(name)));
      if (chain_.size() + known->second.height > deepest_files)
        return refuse(too_deep(name));
      note_height(known->second.height);
      return known->second.workflow;
    }
    if (chain_.size() == deepest_files)
      return refuse(too_deep(name));
    if (!read_)
      return refuse("other files cannot be read here");
    if (known_.size() + 1 == most_files)
      return refuse(fmt::format("more than {} files", most_files));
    auto text = read_(name);
    if (!text)
      return refuse(fmt::format("cannot read {}: {}", in_quotes(name),
                                printable(text.error().what)));
    if (bytes_ + text->size() > largest_files)
      return refuse(fmt::format("with {} the files have more than {}",
                                in_quotes(name), format_size(largest_files)));
    auto source =
        std::make_shared<const config::Source>(name, std::move(*text));
    config::Diagnostics own{source};
    const std::size_t around = std::exchange(height_, 1);
    auto loaded = load(std::move(source), own);
    const std::size_t height = std::exchange(height_, around);
    note_height(height);
    if (loaded == nullptr)
      diagnostics.add_behind(where, how, own);
    known_[name] = {loaded, height};
    return loaded;
  }

  std::string too_deep(const std::string& name) const {
    return fmt::format("files include each other more than {} deep: {} -> {}",
                       deepest_files, fmt::join(chain_, " -> "), name);
  }

  /// A file of that height is below the one at hand.
  void note_height(std::size_t height) {
    height_ = std::max(height_, height + 1);
  }

  const ReadFile& read_;
  std::vector<std::string> chain_;  ///< From the first file to that at hand.
  std::map<std::string, Known> known_;
  std::size_t height_ = 1;  ///< Of the file at hand, as far as it is read.
  std::size_t bytes_ = 0;
  /// Jobs of a file, or those that one of it needs, with all that they call.
  std::map<std::pair<const Workflow*, std::string>, std::size_t> counts_;
};

}  // namespace

std::optional<std::string> included_path(const std::string& from,
                                         const std::string& path) {
  if (path.empty() || printable(path) != path)
    return std::nullopt;
  const std::filesystem::path whole =
      (std::filesystem::path{from}.parent_path() / path).lexically_normal();
  return whole.filename().empty() ? std::nullopt
                                  : std::optional{whole.string()};
}

std::shared_ptr<const Workflow> load_workflow(
    std::shared_ptr<const config::Source> source,
    config::Diagnostics& diagnostics, const ReadFile& read) {
  return Loader{read}.load(std::move(source), diagnostics);
}

Result<std::shared_ptr<const Workflow>> load_workflow(std::string name,
                                                      std::string text,
                                                      const ReadFile& read) {
  auto source =
      std::make_shared<const config::Source>(std::move(name), std::move(text));
  config::Diagnostics diagnostics{source};
  auto workflow = load_workflow(std::move(source), diagnostics, read);
  if (workflow == nullptr)
    return tl::unexpected{diagnostics.error()};
  return workflow;
}

}  // namespace troupe::workflow
