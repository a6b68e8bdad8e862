#include "run_folder.hpp"

#include "file_io.hpp"
#include "run_names.hpp"
#include "state_folder.hpp"

#include <troupe/base/text.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <random>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace troupe::cli {
namespace {

namespace fs = std::filesystem;

constexpr mode_t run_folder_mode = 0700;
constexpr int most_id_tries = 100;
/// Of a name: 20240501-120000.
constexpr std::size_t run_time_columns = 15;
constexpr std::size_t largest_record = 64 << 20;

tl::unexpected<Error> cannot(std::string_view what, const std::string& path,
                             int error) {
  return tl::unexpected{
      system_error(fmt::format("cannot {} {}", what, path), error)};
}

Result<OwnedFd> lock_folder(const std::string& path, int how) {
  OwnedFd fd{
      ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
  if (!fd.is_open() || ::flock(fd.get(), how | LOCK_NB) != 0)
    return cannot("lock", path, errno);
  return fd;
}

/// Leaves runs alone that are still going on.
void delete_old_runs(const std::string& runs) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator{runs, error})
    names.push_back(entry.path().filename().string());
  for (const std::string& name : runs_to_delete(std::move(names), runs_kept)) {
    const std::string path = runs + "/" + name;
    if (const auto lock = lock_folder(path, LOCK_EX))
      fs::remove_all(path, error);
  }
}

}  // namespace

RunFolder::RunFolder(std::string id, std::string path, OwnedFd lock)
    : id_{std::move(id)}, path_{std::move(path)}, lock_{std::move(lock)} {}

Result<std::unique_ptr<const RunFolder>> RunFolder::make(
    std::vector<std::string>& notes) {
  const auto home = state_home(notes);
  if (!home)
    return tl::unexpected{home.error()};
  const std::string runs = *home + "/troupe/runs";
  std::error_code error;
  fs::create_directories(runs, error);
  if (error)
    return cannot("make", runs, error.value());
  std::random_device random;
  for (int tries = 0; tries < most_id_tries; ++tries) {
    const std::string id =
        make_run_id(std::chrono::system_clock::now(), random());
    const std::string path = runs + "/" + id;
    if (::mkdir(path.c_str(), run_folder_mode) != 0) {
      if (errno == EEXIST)
        continue;
      return cannot("make", path, errno);
    }
    auto lock = lock_folder(path, LOCK_SH);
    if (!lock)
      return tl::unexpected{lock.error()};
    delete_old_runs(runs);
    return std::unique_ptr<const RunFolder>{
        new RunFolder{id, path, std::move(*lock)}};
  }
  return failure(Errc::already_exists,
                 fmt::format("no free name for a run in {}", runs));
}

bool RunFolder::failed_before(const std::string& workflow,
                              const std::string& file) const {
  std::vector<std::string> names;
  std::error_code error;
  const fs::path runs = fs::path{path_}.parent_path();
  for (const auto& entry : fs::directory_iterator{runs, error})
    names.push_back(entry.path().filename().string());
  // Names begin with the second; the record has the rest.
  std::sort(names.rbegin(), names.rend());
  std::string_view second;
  std::string last_start;
  bool has_failed = false;
  for (const std::string& name : names) {
    if (!second.empty() && !name.starts_with(second))
      break;
    const OwnedFd record{::open((runs / name / "run.json").c_str(),
                                O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
    if (!record.is_open())
      continue;
    const auto text = read_to_end(record.get(), largest_record);
    if (!text)
      continue;
    const auto json = nlohmann::json::parse(*text, nullptr, false);
    if (!json.is_object() || json.value("workflow", "") != workflow ||
        json.value("file", "") != file)
      continue;
    const auto result = json.find("result");
    const std::string start = json.value("start", "");
    if (result == json.end() || start < last_start ||
        (*result != "failure" && *result != "success"))
      continue;
    second = std::string_view{name}.substr(0, run_time_columns);
    last_start = start;
    has_failed = *result == "failure";
  }
  return has_failed;
}

StepLog::StepLog(std::string folder, std::string key, std::string outputs,
                 std::shared_ptr<const workflow::SecretMask> mask,
                 std::vector<workflow::PrintedOutput> printed)
    : folder_{std::move(folder)},
      key_{std::move(key)},
      outputs_{std::move(outputs)},
      mask_{std::move(mask)},
      printed_{std::move(printed)} {}

Result<void> StepLog::take_printed(workflow::Outputs& outputs) const {
  if (printed_.empty())
    return {};
  workflow::Outputs taken;
  if (auto added = workflow::add_printed(
          printed_, last_ == nullptr ? std::string_view{} : last_->printed(),
          taken);
      !added)
    return added;
  for (auto& [name, value] : taken) {
    std::erase_if(outputs, [&](const auto& old) { return old.first == name; });
    outputs.emplace_back(name, mask_->apply(value));
  }
  return {};
}

void StepLog::finish() {
  if (last_ != nullptr)
    last_->finish();
}

std::string StepLog::path(std::uint32_t attempt) const {
  return fmt::format("{}/{}.{}.log", folder_, key_, attempt);
}

std::shared_ptr<process::OutputSink> StepLog::for_attempt(
    std::uint32_t attempt) {
  if (attempt != std::exchange(attempt_, attempt))
    last_ = std::make_shared<AttemptLog>(
        folder_, path(attempt), outputs_, mask_,
        printed_.empty() ? 0 : workflow::most_printed);
  return last_;
}

AttemptLog::AttemptLog(std::string folder, std::string path,
                       std::string outputs,
                       std::shared_ptr<const workflow::SecretMask> mask,
                       std::size_t keep)
    : folder_{std::move(folder)},
      path_{std::move(path)},
      outputs_{std::move(outputs)},
      filter_{std::move(mask)},
      keep_{keep} {}

void AttemptLog::on_attach(std::function<void()>) {
  if (::mkdir(folder_.c_str(), run_folder_mode) != 0 && errno != EEXIST)
    problem_ = system_error(fmt::format("cannot make {}", folder_), errno).what;
  constexpr int flags = O_CREAT | O_TRUNC | O_CLOEXEC;
  file_ = OwnedFd{::open(path_.c_str(), O_RDWR | flags, 0600)};
  if (!file_.is_open() && problem_.empty())
    problem_ = system_error(fmt::format("cannot make {}", path_), errno).what;
  // What an earlier attempt said does not count.
  const OwnedFd outputs{::open(outputs_.c_str(), O_WRONLY | flags, 0600)};
}

process::SinkState AttemptLog::write(process::Stream stream,
                                     std::string_view bytes) {
  // The first byte that is too many tells that there are too many.
  if (keep_ != 0 && stream == process::Stream::out)
    printed_.append(bytes.substr(0, keep_ + 1 - printed_.size()));
  if (filter_.passes_all())
    append(bytes);
  else
    append(filter_.write(bytes));
  return process::SinkState::ready;
}

void AttemptLog::finish() { append(filter_.finish()); }

void AttemptLog::append(std::string_view bytes) {
  if (bytes.empty())
    return;
  bytes_ += bytes.size();
  last_ = bytes.back();
  if (problem_.empty() && !write_fully(file_.get(), bytes))
    problem_ = system_error(fmt::format("cannot write {}", path_), errno).what;
}

Result<workflow::Outputs> take_outputs(const std::string& path,
                                       const workflow::SecretMask& mask) {
  const OwnedFd file{
      ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC)};
  const int error = errno;
  struct stat info {};
  if (!file.is_open())
    return error == ENOENT ? Result<workflow::Outputs>{workflow::Outputs{}}
                           : Result<workflow::Outputs>{tl::unexpected{
                                 system_error("cannot read them", error)}};
  ::unlink(path.c_str());
  if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode))
    return failure(Errc::invalid_argument, "not a file any more");
  const auto text = read_to_end(file.get(), workflow::largest_output_file);
  if (!text)
    return tl::unexpected{text.error()};
  auto outputs = workflow::parse_outputs(*text);
  if (mask.empty())
    return outputs;
  if (!outputs) {
    // The error cites a line up to some length, maybe half of a secret.
    auto hidden = workflow::parse_outputs(mask.apply(*text));
    if (hidden)
      return failure(Errc::invalid_argument, "expected lines name=value");
    return hidden;
  }
  for (auto& [name, value] : *outputs) {
    name = mask.apply(name);
    value = mask.apply(value);
  }
  return outputs;
}

}  // namespace troupe::cli
