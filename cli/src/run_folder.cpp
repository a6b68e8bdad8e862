#include "run_folder.hpp"

#include "file_io.hpp"
#include "run_names.hpp"
#include "state_folder.hpp"

#include <troupe/base/text.hpp>

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

constexpr mode_t private_mode = 0700;
constexpr int most_id_tries = 100;

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
    if (::mkdir(path.c_str(), private_mode) != 0) {
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

StepLog::StepLog(std::string folder, std::string key, std::string outputs)
    : folder_{std::move(folder)},
      key_{std::move(key)},
      outputs_{std::move(outputs)} {}

std::string StepLog::path(std::uint32_t attempt) const {
  return fmt::format("{}/{}.{}.log", folder_, key_, attempt);
}

std::shared_ptr<process::OutputSink> StepLog::for_attempt(
    std::uint32_t attempt) {
  if (attempt != std::exchange(attempt_, attempt))
    last_ = std::make_shared<AttemptLog>(folder_, path(attempt), outputs_);
  return last_;
}

AttemptLog::AttemptLog(std::string folder, std::string path,
                       std::string outputs)
    : folder_{std::move(folder)},
      path_{std::move(path)},
      outputs_{std::move(outputs)} {}

void AttemptLog::on_attach(std::function<void()>) {
  if (::mkdir(folder_.c_str(), private_mode) != 0 && errno != EEXIST)
    problem_ = system_error(fmt::format("cannot make {}", folder_), errno).what;
  constexpr int flags = O_CREAT | O_TRUNC | O_CLOEXEC;
  file_ = OwnedFd{::open(path_.c_str(), O_RDWR | flags, 0600)};
  if (!file_.is_open() && problem_.empty())
    problem_ = system_error(fmt::format("cannot make {}", path_), errno).what;
  // What an earlier attempt said does not count.
  const OwnedFd outputs{::open(outputs_.c_str(), O_WRONLY | flags, 0600)};
}

process::SinkState AttemptLog::write(process::Stream, std::string_view bytes) {
  bytes_ += bytes.size();
  last_ = bytes.back();
  if (problem_.empty() && !write_fully(file_.get(), bytes))
    problem_ = system_error(fmt::format("cannot write {}", path_), errno).what;
  return process::SinkState::ready;
}

Result<workflow::Outputs> take_outputs(const std::string& path) {
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
  return workflow::parse_outputs(*text);
}

}  // namespace troupe::cli
