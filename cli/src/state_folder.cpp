#include "state_folder.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

namespace troupe::cli {
namespace {

constexpr mode_t state_folder_mode = 0700;

/// Makes sure that `path` is ours alone, if it is there.
Result<void> check_private_folder(const std::string& path,
                                  std::string_view variables) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0)
    return errno == ENOENT
               ? Result<void>{}
               : tl::unexpected{system_error(
                     fmt::format("cannot look at {}", path), errno)};
  if (!S_ISDIR(info.st_mode) || info.st_uid != ::getuid() ||
      (info.st_mode & 0077) != 0)
    return failure(Errc::permission_denied,
                   fmt::format("{} is not a folder of ours alone; set {}", path,
                               variables));
  return {};
}

/// Makes `path` unless it is there, and makes sure that it is ours alone.
Result<void> make_private_folder(const std::string& path,
                                 std::string_view variables) {
  if (::mkdir(path.c_str(), state_folder_mode) != 0 && errno != EEXIST)
    return tl::unexpected{
        system_error(fmt::format("cannot make {}", path), errno)};
  return check_private_folder(path, variables);
}

std::string folder_in_tmp() {
  return fmt::format("/tmp/troupe-{}", ::getuid());
}

/// Of this user, by /etc/passwd; empty if it is not there. A program that is
/// linked statically cannot ask what else the C library would.
std::string home_in_system() {
  std::FILE* const file = std::fopen("/etc/passwd", "re");
  if (file == nullptr)
    return "";
  const passwd* user = nullptr;
  do {
    // Called before there are other threads.
    user = ::fgetpwent(file);  // NOLINT(concurrency-mt-unsafe)
  } while (user != nullptr && user->pw_uid != ::getuid());
  std::fclose(file);
  const bool is_there = user != nullptr && user->pw_dir != nullptr &&
                        user->pw_dir[0] == '/' &&
                        ::access(user->pw_dir, W_OK | X_OK) == 0;
  return is_there ? user->pw_dir : "";
}

}  // namespace

std::string config_home_path() {
  const char* const config_home = std::getenv("XDG_CONFIG_HOME");
  const char* const home = std::getenv("HOME");
  if (config_home != nullptr && config_home[0] == '/')
    return std::string{config_home} + "/troupe";
  if (home != nullptr && home[0] == '/')
    return std::string{home} + "/.config/troupe";
  return {};
}

std::string state_home_path() {
  const char* const state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && state[0] == '/')
    return state;
  const char* const variable = std::getenv("HOME");
  const std::string home = variable != nullptr && variable[0] == '/'
                               ? std::string{variable}
                               : home_in_system();
  return home.empty() ? folder_in_tmp() : home + "/.local/state";
}

bool has_state_home() { return state_home_path() != folder_in_tmp(); }

Result<std::string> state_home(std::vector<std::string>& notes) {
  std::string path = state_home_path();
  if (path != folder_in_tmp())
    return path;
  if (auto made = make_private_folder(path, "HOME or XDG_STATE_HOME"); !made)
    return tl::unexpected{std::move(made.error())};
  notes.push_back(fmt::format("there is no home: logs go to {}", path));
  return path;
}

std::string runtime_folder_path() {
  const char* const runtime = std::getenv("XDG_RUNTIME_DIR");
  // It may be named and not be there: under cron or su, in a container.
  const bool has_runtime =
      runtime != nullptr && runtime[0] == '/' && ::access(runtime, F_OK) == 0;
  return has_runtime ? std::string{runtime} + "/troupe" : folder_in_tmp();
}

Result<std::string> checked_runtime_folder() {
  std::string path = runtime_folder_path();
  if (auto checked = check_private_folder(path, "XDG_RUNTIME_DIR"); !checked)
    return tl::unexpected{std::move(checked.error())};
  return path;
}

Result<std::string> runtime_folder() {
  std::string path = runtime_folder_path();
  if (auto made = make_private_folder(path, "XDG_RUNTIME_DIR"); !made)
    return tl::unexpected{std::move(made.error())};
  return path;
}

}  // namespace troupe::cli
