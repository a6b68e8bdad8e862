#include "procfs.hpp"

#include <troupe/process/cgroups.hpp>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>

namespace troupe::process {
namespace {

/// The group that troupe moves its own processes into, and the groups of its
/// commands: troupe-self-PID, troupe-PID-NUMBER.
constexpr std::string_view own_prefix = "troupe-self-";
constexpr std::string_view prefix = "troupe-";

/// No chain of parents is longer.
constexpr int most_ancestors = 64;

constexpr std::string_view hint =
    "start troupe in a cgroup that is delegated to it, for example with "
    "systemd-run --user --scope -p Delegate=yes";

/// What the kernel tells of mounts and groups.
std::string read_text(const std::string& path) {
  constexpr std::size_t limit = 4 << 20;
  return read_file(path, limit);
}

/// Zero or an errno. The kernel takes a setting in one write.
int write_file(const std::string& path, std::string_view text) {
  const OwnedFd file{::open(path.c_str(), O_WRONLY | O_CLOEXEC)};
  if (file.get() < 0)
    return errno;
  return ::write(file.get(), text.data(), text.size()) < 0 ? errno : 0;
}

template <class Use>
void for_each_piece(std::string_view text, char separator, Use use) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    if (end > 0)
      use(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> pieces;
  for_each_piece(text, separator,
                 [&](std::string_view piece) { pieces.push_back(piece); });
  return pieces;
}

bool contains_word(std::string_view text, std::string_view word) {
  bool found = false;
  for_each_piece(text, ' ', [&](std::string_view piece) {
    found =
        found || piece == word ||
        (piece.ends_with('\n') && piece.substr(0, piece.size() - 1) == word);
  });
  return found;
}

/// mountinfo writes space, tab, newline and backslash as \ooo.
std::string unescape(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    int value = 0;
    if (text[i] == '\\' && i + 3 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 4, value, 8)
                .ptr == text.data() + i + 4) {
      plain += static_cast<char>(value);
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

struct Mount {
  std::string root;   ///< Of the hierarchy, that is mounted.
  std::string point;  ///< Where.
};

std::optional<Mount> cgroup2_mount(std::string_view mountinfo) {
  std::optional<Mount> mount;
  for_each_piece(mountinfo, '\n', [&](std::string_view line) {
    // ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [FIELD..] - TYPE SOURCE OPTIONS
    const auto words = split(line, ' ');
    const auto dash = std::find(words.begin(), words.end(), "-");
    if (!mount && words.size() > 5 && dash != words.end() &&
        dash + 1 != words.end() && dash[1] == "cgroup2")
      mount = {unescape(words[3]), unescape(words[4])};
  });
  return mount;
}

std::optional<std::string_view> cgroup2_path(std::string_view membership) {
  constexpr std::string_view start = "0::";
  std::optional<std::string_view> path;
  for_each_piece(membership, '\n', [&](std::string_view line) {
    if (line.starts_with(start))
      path = line.substr(start.size());
  });
  return path;
}

/// "cpu pids".
std::string controllers_of(const TreeLimits& limits) {
  std::string names;
  const auto add = [&](bool is_needed, std::string_view name) {
    if (is_needed)
      names.append(names.empty() ? "" : " ").append(name);
  };
  add(limits.memory_bytes.has_value(), "memory");
  add(limits.cpu_percent.has_value(), "cpu");
  add(limits.tasks.has_value(), "pids");
  return names;
}

tl::unexpected<Error> missing(std::string what) {
  return failure(Errc::unavailable, fmt::format("{}; {}", what, hint));
}

/// Those of `wanted` that `present`, the text of a file, does not name.
std::string missing_words(std::string_view wanted, std::string_view present) {
  std::string names;
  for_each_piece(wanted, ' ', [&](std::string_view word) {
    if (!contains_word(present, word))
      names.append(names.empty() ? "" : " ").append(word);
  });
  return names;
}

/// Whether the warden, or troupe itself, that has made the group is gone.
bool has_no_owner(std::string_view name) {
  name.remove_prefix(name.starts_with(own_prefix) ? own_prefix.size()
                                                  : prefix.size());
  pid_t owner = 0;
  std::from_chars(name.data(), name.data() + name.size(), owner);
  return owner > 0 && ::kill(owner, 0) != 0 && errno == ESRCH;
}

}  // namespace

std::string cgroup_folder(std::string_view mountinfo,
                          std::string_view membership) {
  const auto mount = cgroup2_mount(mountinfo);
  const auto path = cgroup2_path(membership);
  if (!mount || !path)
    return {};
  std::string_view below = *path;
  if (const std::size_t last = below.rfind('/');
      last != std::string_view::npos &&
      below.substr(last + 1).starts_with(own_prefix))
    below = below.substr(0, last);
  // Of a hierarchy that is mounted in part, as in a container, the path begins
  // with what is not there.
  if (mount->root != "/") {
    if (!below.starts_with(mount->root))
      return {};
    below.remove_prefix(mount->root.size());
  }
  std::string folder = mount->point;
  folder += below;
  while (folder.size() > 1 && folder.ends_with('/'))
    folder.pop_back();
  return folder;
}

std::vector<std::pair<std::string, std::string>> cgroup_settings(
    const TreeLimits& limits) {
  std::vector<std::pair<std::string, std::string>> settings;
  if (limits.memory_bytes) {
    settings.emplace_back("memory.max",
                          fmt::format("{}", *limits.memory_bytes));
    // What is swapped out is memory as well, and half of a service that the
    // kernel has left alive is worse than none.
    settings.emplace_back("memory.swap.max", "0");
    settings.emplace_back("memory.oom.group", "1");
  }
  if (limits.cpu_percent) {
    constexpr std::uint64_t period_us = 100'000;
    settings.emplace_back(
        "cpu.max", fmt::format("{} {}", *limits.cpu_percent * (period_us / 100),
                               period_us));
  }
  if (limits.tasks)
    settings.emplace_back("pids.max", fmt::format("{}", *limits.tasks));
  return settings;
}

void kill_abandoned_group(pid_t pid) {
  const std::string folder =
      cgroup_folder(read_text("/proc/self/mountinfo"),
                    read_text(fmt::format("/proc/{}/cgroup", pid)));
  const std::string name = folder.substr(folder.rfind('/') + 1);
  if (name.starts_with(prefix) && !name.starts_with(own_prefix) &&
      has_no_owner(name))
    write_file(folder + "/cgroup.kill", "1");
}

Cgroup::~Cgroup() { ::rmdir(folder_.c_str()); }

void Cgroup::kill() const { write_file(folder_ + "/cgroup.kill", "1"); }

bool Cgroup::ran_out_of_memory() const {
  bool killed = false;
  const std::string events = read_text(folder_ + "/memory.events");
  for_each_piece(events, '\n', [&](std::string_view line) {
    killed = killed || (line.starts_with("oom_kill ") && line != "oom_kill 0");
  });
  return killed;
}

std::string Cgroups::own_folder() {
  return cgroup_folder(read_text("/proc/self/mountinfo"),
                       read_text("/proc/self/cgroup"));
}

Result<void> Cgroups::check(const TreeLimits& limits) const {
  if (folder_.empty())
    return missing("this system has no cgroup v2");
  const std::string wanted = controllers_of(limits);
  if (const std::string names =
          missing_words(wanted, read_text(folder_ + "/cgroup.controllers"));
      !names.empty())
    return missing(
        fmt::format("cgroup {} has no controller {}", folder_, names));
  if (::access(folder_.c_str(), W_OK) != 0 ||
      ::access((folder_ + "/cgroup.procs").c_str(), W_OK) != 0)
    return missing(fmt::format("cgroup {} may not be written to", folder_));
  const std::string control = folder_ + "/cgroup.subtree_control";
  if (missing_words(wanted, read_text(control)).empty())
    return {};
  if (::access(control.c_str(), W_OK) != 0)
    return missing(fmt::format("cgroup {} may not be written to", folder_));
  const auto processes = members();
  if (!is_root() && !std::all_of(processes.begin(), processes.end(),
                                 [this](pid_t pid) { return is_ours(pid); }))
    return missing(fmt::format(
        "cgroup {} has processes that are not of this troupe", folder_));
  return {};
}

Result<std::unique_ptr<Cgroup>> Cgroups::make(const TreeLimits& limits) {
  if (auto result = check(limits); !result)
    return tl::unexpected(std::move(result.error()));
  if (!is_tidy_.exchange(true))
    remove_leftovers();
  if (auto result = enable(controllers_of(limits)); !result)
    return tl::unexpected(std::move(result.error()));
  const std::string folder =
      fmt::format("{}/{}{}-{}", folder_, prefix, ::getpid(), ++last_);
  if (::mkdir(folder.c_str(), 0755) != 0)
    return tl::unexpected(
        system_error(fmt::format("cannot make cgroup {}", folder), errno));
  auto group = std::make_unique<Cgroup>(
      folder, OwnedFd{::open((folder + "/cgroup.procs").c_str(),
                             O_WRONLY | O_CLOEXEC)});
  if (group->members_fd() < 0)
    return tl::unexpected(
        system_error(fmt::format("cannot open cgroup {}", folder), errno));
  for (const auto& [name, text] : cgroup_settings(limits)) {
    const int error = write_file(fmt::format("{}/{}", folder, name), text);
    // Kernels without swap accounting, and old ones, lack some.
    const bool is_optional =
        name == "memory.swap.max" || name == "memory.oom.group";
    if (error != 0 && !(error == ENOENT && is_optional))
      return tl::unexpected(system_error(
          fmt::format("cannot write {} to {}/{}", text, folder, name), error));
  }
  return group;
}

/// Hands controllers on to the groups that are made. While the cgroup has
/// members, the kernel refuses that or, with processors and tasks, what comes
/// after it; so they are moved into one of their own first. Threads may do this
/// at the same time: nothing is done that could not be done twice.
Result<void> Cgroups::enable(const std::string& controllers) {
  const std::string file = folder_ + "/cgroup.subtree_control";
  const std::string names = missing_words(controllers, read_text(file));
  if (names.empty())
    return {};
  std::string text;
  for_each_piece(names, ' ', [&](std::string_view name) {
    text.append(text.empty() ? "+" : " +").append(name);
  });
  if (const auto processes = members(); !is_root() && !processes.empty()) {
    const std::string own =
        fmt::format("{}/{}{}", folder_, own_prefix, troupe_);
    if (::mkdir(own.c_str(), 0755) != 0 && errno != EEXIST)
      return tl::unexpected(
          system_error(fmt::format("cannot make cgroup {}", own), errno));
    for (const pid_t pid : processes)
      write_file(own + "/cgroup.procs", fmt::format("{}", pid));
  }
  if (const int error = write_file(file, text); error != 0)
    return tl::unexpected(
        system_error(fmt::format("cannot write {} to {}", text, file), error));
  return {};
}

/// Only the root of all may have both members and groups with controllers.
bool Cgroups::is_root() const {
  return ::access((folder_ + "/cgroup.type").c_str(), F_OK) != 0;
}

std::vector<pid_t> Cgroups::members() const {
  std::vector<pid_t> pids;
  const std::string text = read_text(folder_ + "/cgroup.procs");
  for_each_piece(text, '\n', [&](std::string_view line) {
    pid_t pid = 0;
    std::from_chars(line.data(), line.data() + line.size(), pid);
    pids.push_back(pid);
  });
  return pids;
}

bool Cgroups::is_ours(pid_t pid) const {
  for (int i = 0; i < most_ancestors && pid > 1; ++i) {
    if (pid == troupe_)
      return true;
    const auto stat = stat_of(pid);
    if (!stat)
      return true;  // It has ended meanwhile.
    pid = stat->parent;
  }
  return false;
}

/// Groups whose troupe is gone and that have no living member.
void Cgroups::remove_leftovers() const {
  DIR* const directory = ::opendir(folder_.c_str());
  if (directory == nullptr)
    return;
  while (const dirent* const entry = ::readdir(directory)) {
    const std::string_view name{entry->d_name};
    if (name.starts_with(prefix) && has_no_owner(name))
      ::rmdir(fmt::format("{}/{}", folder_, name).c_str());
  }
  ::closedir(directory);
}

}  // namespace troupe::process
