#include "content_folder.hpp"

#include "state_folder.hpp"

#include <troupe/base/owned_fd.hpp>
#include <troupe/content/artifact_store.hpp>

#include <chrono>
#include <cstdlib>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace troupe::cli {
namespace {

constexpr std::time_t seconds_between = 24 * 60 * 60;

}  // namespace

void add_content_option(CLI::App& app, std::string& folder) {
  app.add_option("--store", folder,
                 "The folder for results and artifacts ($TROUPE_CONTENT)")
      ->type_name("FOLDER");
}

std::string default_content_folder() {
  const char* const variable = std::getenv("TROUPE_CONTENT");
  return variable != nullptr && *variable != '\0'
             ? std::string{variable}
             : state_home_path() + "/troupe/content";
}

Result<content::BlobStore> open_content(std::string folder) {
  if (folder.empty()) {
    folder = default_content_folder();
    // Others could write to the place that is the last resort.
    std::vector<std::string> notes;
    if (auto home = state_home(notes); !home)
      return tl::unexpected{std::move(home.error())};
  }
  return content::BlobStore::open(std::move(folder));
}

void remove_old_content_sometimes(const content::BlobStore& blobs) {
  const std::string mark = blobs.folder() + "/removed";
  struct stat info {};
  const bool is_there = ::stat(mark.c_str(), &info) == 0;
  if (is_there && std::time(nullptr) - info.st_mtim.tv_sec < seconds_between)
    return;
  const OwnedFd fd{::open(mark.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)};
  if (!fd.is_open() || ::futimens(fd.get(), nullptr) != 0)
    return;
  (void)content::remove_old_content(blobs, {},
                                    std::chrono::system_clock::now());
}

}  // namespace troupe::cli
