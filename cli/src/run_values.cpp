#include "run_values.hpp"

#include "file_io.hpp"

#include <troupe/config/dotenv.hpp>
#include <troupe/content/file_set.hpp>

#include <chrono>
#include <ctime>
#include <filesystem>
#include <map>
#include <memory>
#include <system_error>
#include <unistd.h>

namespace troupe::cli {
namespace {

using Variables = std::vector<std::pair<std::string, std::string>>;

/// `name` as seen from the folder of the workflow.
std::string beside(const std::string& workflow_path, const std::string& name) {
  const std::size_t slash = workflow_path.rfind('/');
  if (name.starts_with('/') || slash == std::string::npos)
    return name;
  return workflow_path.substr(0, slash + 1) + name;
}

/// What the files of `dotenv` of `workflow`, read from `path`, say.
Result<Variables> read_dotenv(const workflow::Workflow& workflow,
                              const std::string& path) {
  std::map<std::string, std::string> variables;
  for (const std::string& name : workflow.dotenv) {
    const std::string file = beside(path, name);
    auto text = read_whole_file(file);
    if (!text)
      return tl::unexpected{std::move(text.error())};
    const auto source =
        std::make_shared<const config::Source>(file, std::move(*text));
    config::Diagnostics diagnostics{source};
    for (auto& [key, value] : config::parse_dotenv(*source, diagnostics))
      variables.insert_or_assign(key, std::move(value));
    if (!diagnostics.empty())
      return tl::unexpected{diagnostics.error()};
  }
  return Variables{variables.begin(), variables.end()};
}

}  // namespace

workflow::Surroundings look_around() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  std::error_code gone;
  return {.today = std::chrono::year{local.tm_year + 1900} /
                   (local.tm_mon + 1) / local.tm_mday,
          .folder = std::filesystem::current_path(gone).string()};
}

Result<void> read_files(const workflow::Workflow& workflow,
                        const std::string& path,
                        workflow::PlanOptions& options) {
  for (const workflow::Workflow* const file : workflow::files_of(workflow)) {
    const bool is_main = file == &workflow;
    const std::string& name = file->source->name();
    auto variables = read_dotenv(*file, is_main ? path : name);
    if (!variables)
      return tl::unexpected{std::move(variables.error()).within("dotenv")};
    (is_main ? options.dotenv : options.included[name].dotenv) =
        std::move(*variables);
    for (const auto& patterns : file->hashed_files) {
      if (options.file_hashes.contains(patterns))
        continue;
      auto hash = content::hash_files(patterns, options.surroundings.folder);
      if (!hash)
        return tl::unexpected{std::move(hash.error()).within("hashFiles()")};
      options.file_hashes.emplace(patterns, std::move(*hash));
    }
  }
  return {};
}

}  // namespace troupe::cli
