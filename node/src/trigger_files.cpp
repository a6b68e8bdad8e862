#include "trigger_files.hpp"

#include <troupe/base/owned_fd.hpp>
#include <troupe/workflow/load.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace troupe::node {
namespace {

namespace fs = std::filesystem;
using SortedJson = nlohmann::json;

constexpr std::size_t largest_states = 64 << 20;

std::int64_t to_milliseconds(WallTime time) {
  return std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch())
      .count();
}

WallTime from_milliseconds(std::int64_t count) {
  return WallTime{std::chrono::milliseconds{count}};
}

SortedJson state_to_json(const TriggerState& state) {
  SortedJson pending = SortedJson::array();
  for (const Fire& fire : state.pending)
    pending.push_back(
        {{"at_ms", to_milliseconds(fire.at)}, {"files", fire.files}});
  return {{"handled_ns", state.handled.time_since_epoch().count()},
          {"pending", std::move(pending)},
          {"last_run", state.last_run.value},
          {"last_fire_ms", to_milliseconds(state.last_fire)}};
}

TriggerState state_from_json(const SortedJson& json) {
  TriggerState state;
  state.handled =
      WallTime{WallTime::duration{json.at("handled_ns").get<std::int64_t>()}};
  for (const SortedJson& fire : json.at("pending"))
    state.pending.push_back(
        {from_milliseconds(fire.at("at_ms").get<std::int64_t>()),
         fire.at("files").get<std::vector<std::string>>()});
  state.last_run = store::RunId{json.at("last_run").get<std::uint64_t>()};
  state.last_fire =
      from_milliseconds(json.at("last_fire_ms").get<std::int64_t>());
  return state;
}

Result<void> write_all(const std::string& path, const std::string& text) {
  const OwnedFd file{
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
  std::size_t done = 0;
  while (file.is_open() && done < text.size()) {
    const ssize_t wrote =
        ::write(file.get(), text.data() + done, text.size() - done);
    if (wrote < 0 && errno == EINTR)
      continue;
    if (wrote < 0)
      break;
    done += static_cast<std::size_t>(wrote);
  }
  if (!file.is_open() || done < text.size() || ::fsync(file.get()) != 0)
    return tl::unexpected(
        system_error(fmt::format("cannot write {}", path), errno));
  return {};
}

Result<void> sync_folder(const std::string& folder) {
  const OwnedFd names{
      ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!names.is_open() || ::fsync(names.get()) != 0)
    return tl::unexpected(
        system_error(fmt::format("cannot sync {}", folder), errno));
  return {};
}

}  // namespace

Result<std::vector<std::string>> list_workflow_files(
    const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code error;
  fs::directory_iterator it{folder, error};
  if (error == std::errc::no_such_file_or_directory)
    return paths;
  for (; !error && it != fs::directory_iterator{}; it.increment(error)) {
    const fs::path& path = it->path();
    const std::string name = path.filename().string();
    if (name.starts_with('.') ||
        (path.extension() != ".yaml" && path.extension() != ".yml"))
      continue;
    if (paths.size() == most_workflow_files)
      return failure(Errc::overloaded,
                     fmt::format("{} has more than {} workflows", folder,
                                 most_workflow_files));
    paths.push_back(path.string());
  }
  if (error)
    return tl::unexpected(
        system_error(fmt::format("cannot list {}", folder), error.value()));
  std::sort(paths.begin(), paths.end());
  return paths;
}

Result<std::string> read_text(const std::string& path, std::size_t most_bytes) {
  const OwnedFd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (!file.is_open())
    return tl::unexpected(system_error(path, errno));
  std::string text;
  std::array<char, 16 << 10> buffer{};
  while (true) {
    const ssize_t got = ::read(file.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return tl::unexpected(system_error(path, errno));
    if (got == 0)
      return text;
    text.append(buffer.data(), static_cast<std::size_t>(got));
    if (text.size() > most_bytes)
      return failure(Errc::overloaded,
                     fmt::format("{}: longer than {} bytes", path, most_bytes));
  }
}

Result<std::string> read_workflow_file(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 &&
      ((info.st_uid != ::geteuid() && info.st_uid != 0) ||
       (info.st_mode & S_IWOTH) != 0))
    return failure(Errc::permission_denied,
                   fmt::format("{}: others than the user of the node can "
                               "change it; chown or chmod it",
                               path));
  return read_text(path, workflow::largest_file);
}

Result<TriggerStates> read_trigger_states(const std::string& path) {
  const auto text = read_text(path, largest_states);
  if (!text && text.error().code == Errc::not_found)
    return TriggerStates{};
  if (!text)
    return tl::unexpected(text.error());
  try {
    TriggerStates states;
    const SortedJson all = SortedJson::parse(*text);
    for (const SortedJson& one : all.at("triggers"))
      states.emplace(std::pair{one.at("file").get<std::string>(),
                               one.at("trigger").get<std::string>()},
                     state_from_json(one));
    return states;
  } catch (const SortedJson::exception& error) {
    return failure(Errc::corrupt,
                   fmt::format("{} cannot be read: {}", path, error.what()));
  }
}

Result<void> write_trigger_states(const std::string& path,
                                  const TriggerStates& states) {
  SortedJson all = SortedJson::array();
  for (const auto& [key, state] : states) {
    SortedJson one = state_to_json(state);
    one["file"] = key.first;
    one["trigger"] = key.second;
    all.push_back(std::move(one));
  }
  const std::string text = SortedJson{{"triggers", std::move(all)}}.dump(
      -1, ' ', false, SortedJson::error_handler_t::replace);
  const std::string draft = path + ".new";
  if (auto wrote = write_all(draft, text); !wrote)
    return wrote;
  if (std::rename(draft.c_str(), path.c_str()) != 0)
    return tl::unexpected(
        system_error(fmt::format("cannot write {}", path), errno));
  return sync_folder(fs::path{path}.parent_path().string());
}

}  // namespace troupe::node
