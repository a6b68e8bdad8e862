#include "state_folder.hpp"

#include <cerrno>
#include <cstdlib>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace troupe::cli {
namespace {

constexpr mode_t private_mode = 0700;

/// Makes `path` unless it is there, and makes sure that it is ours alone.
Result<void> make_private_folder(const std::string& path,
                                 std::string_view variables) {
  if (::mkdir(path.c_str(), private_mode) != 0 && errno != EEXIST)
    return tl::unexpected{
        system_error(fmt::format("cannot make {}", path), errno)};
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0)
    return tl::unexpected{
        system_error(fmt::format("cannot look at {}", path), errno)};
  if (!S_ISDIR(info.st_mode) || info.st_uid != ::getuid() ||
      (info.st_mode & 0077) != 0)
    return failure(Errc::permission_denied,
                   fmt::format("{} is not a folder of ours alone; set {}", path,
                               variables));
  return {};
}

std::string folder_in_tmp() {
  return fmt::format("/tmp/troupe-{}", ::getuid());
}

}  // namespace

Result<std::string> state_home(std::vector<std::string>& notes) {
  const char* const state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && state[0] == '/')
    return std::string{state};
  const char* const home = std::getenv("HOME");
  if (home != nullptr && home[0] == '/')
    return std::string{home} + "/.local/state";
  const std::string path = folder_in_tmp();
  if (auto made = make_private_folder(path, "HOME or XDG_STATE_HOME"); !made)
    return tl::unexpected{std::move(made.error())};
  notes.push_back(fmt::format("HOME is not set: logs go to {}", path));
  return path;
}

Result<std::string> runtime_folder() {
  const char* const runtime = std::getenv("XDG_RUNTIME_DIR");
  const std::string path = runtime != nullptr && runtime[0] == '/'
                               ? std::string{runtime} + "/troupe"
                               : folder_in_tmp();
  if (auto made = make_private_folder(path, "XDG_RUNTIME_DIR"); !made)
    return tl::unexpected{std::move(made.error())};
  return path;
}

}  // namespace troupe::cli
