#include "past_runs.hpp"

#include "file_io.hpp"
#include "run_names.hpp"
#include "run_record.hpp"
#include "state_folder.hpp"
#include "submit_options.hpp"

#include <troupe/base/owned_fd.hpp>
#include <troupe/base/text.hpp>

#include <algorithm>
#include <fcntl.h>
#include <filesystem>
#include <optional>
#include <unistd.h>

namespace troupe::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t most_records = runs_kept;
constexpr std::size_t most_record_bytes = 24 << 20;

/// The text of a record, if it may be of the workflow at `path` and is not
/// longer than `most` bytes.
std::optional<std::string> read_record(const std::string& record,
                                       const std::string& path,
                                       std::size_t most) {
  const OwnedFd file{
      ::open(record.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)};
  if (!file.is_open())
    return std::nullopt;
  std::string head(record_head_bytes, '\0');
  const ssize_t got = ::pread(file.get(), head.data(), head.size(), 0);
  if (got <= 0 ||
      !may_be_of({head.data(), static_cast<std::size_t>(got)}, path))
    return std::nullopt;
  auto text = read_to_end(file.get(), most);
  return text ? std::optional{std::move(*text)} : std::nullopt;
}

std::string runs_folder() { return state_home_path() + "/troupe/runs"; }

/// Their names, the newest first.
std::vector<std::string> newest_runs(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator{folder, error}) {
    if (std::string name = entry.path().filename().string(); is_run_id(name))
      names.push_back(std::move(name));
  }
  std::sort(names.rbegin(), names.rend());
  if (names.size() > most_records)
    names.resize(most_records);
  return names;
}

}  // namespace

std::string recorded_path(const std::string& file) {
  if (file == "-")
    return {};
  std::error_code error;
  return to_utf8(absolute_path(file, fs::current_path(error).string()));
}

std::vector<workflow::PastRun> past_runs(const std::string& path,
                                         std::size_t most) {
  std::vector<workflow::PastRun> runs;
  if (path.empty())
    return runs;
  const std::string folder = runs_folder();
  std::size_t left = most_record_bytes;
  for (const std::string& name : newest_runs(folder)) {
    if (runs.size() == most)
      break;
    const auto text =
        read_record(folder + "/" + name + "/run.json", path, left);
    if (!text)
      continue;
    left -= text->size();
    if (auto run = past_run_from_record(*text, path))
      runs.push_back(std::move(*run));
  }
  return runs;
}

void delete_past_runs(const std::string& path,
                      const workflow::Retention& retention) {
  if (path.empty() || (retention.runs == 0 && retention.age == Duration{0}))
    return;
  const std::string folder = runs_folder();
  const auto now = fs::file_time_type::clock::now();
  std::size_t kept = 0;
  for (const std::string& name : newest_runs(folder)) {
    const std::string record = folder + "/" + name + "/run.json";
    std::error_code error;
    const auto text = read_record(record, path, most_record_bytes);
    if (!text || !past_run_from_record(*text, path))
      continue;
    // A record is written when its run has ended.
    const auto age = now - fs::last_write_time(record, error);
    const bool is_old =
        !error && retention.age != Duration{0} && age > retention.age;
    if (!is_old && (retention.runs == 0 || kept < retention.runs)) {
      ++kept;
      continue;
    }
    fs::remove_all(folder + "/" + name, error);
  }
}

}  // namespace troupe::cli
