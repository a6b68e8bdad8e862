#include "procfs.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <memory>
#include <string>
#include <unistd.h>

namespace troupe::process {
namespace {

/// The kernel takes at most a quarter of the stack limit as environment; what
/// is above this is not looked at.
constexpr std::size_t largest_environment = 4 << 20;

/// Takes the next space-separated number off the front.
template <class T>
bool take(std::string_view& rest, T& value) {
  while (!rest.empty() && rest.front() == ' ')
    rest.remove_prefix(1);
  const auto [next, error] =
      std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (error != std::errc{})
    return false;
  rest.remove_prefix(static_cast<std::size_t>(next - rest.data()));
  return true;
}

/// Drops `fields` space-separated fields off the front; fewer if there are.
void skip(std::string_view& rest, int fields) {
  for (; fields > 0 && !rest.empty(); --fields) {
    rest.remove_prefix(1);
    rest.remove_prefix(std::min(rest.find(' '), rest.size()));
  }
}

void append_numbers(std::string_view text, std::vector<pid_t>& out) {
  pid_t pid = 0;
  while (take(text, pid))
    out.push_back(pid);
}

}  // namespace

std::string read_file(const std::string& path, std::size_t limit) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return {};
  std::string out;
  std::array<char, 4096> piece;
  while (out.size() < limit) {
    const ssize_t got = ::read(fd, piece.data(), piece.size());
    if (got <= 0)
      break;
    out.append(piece.data(), static_cast<std::size_t>(got));
  }
  ::close(fd);
  return out;
}

std::optional<ProcessStat> parse_stat(std::string_view line) {
  ProcessStat stat;
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string_view::npos)
    return std::nullopt;
  std::string_view rest = line.substr(name_end + 1);
  if (!take(line, stat.pid))
    return std::nullopt;
  if (rest.size() < 3)
    return std::nullopt;
  stat.state = rest[1];
  rest.remove_prefix(2);
  if (!take(rest, stat.parent) || !take(rest, stat.group) ||
      !take(rest, stat.session))
    return std::nullopt;
  skip(rest, 15);  // 7 to 21
  if (!take(rest, stat.start_ticks) || !take(rest, stat.memory_bytes))
    return std::nullopt;
  skip(rest, 27);  // 24 to 50
  if (!take(rest, stat.environment_end))
    return std::nullopt;
  return stat;
}

std::optional<ProcessStat> stat_of(pid_t pid) {
  return parse_stat(read_file(fmt::format("/proc/{}/stat", pid), 4096));
}

bool has_no_new_privileges(pid_t pid) {
  constexpr std::size_t largest_status = 64 << 10;
  const std::string status =
      read_file(fmt::format("/proc/{}/status", pid), largest_status);
  return status.find("\nNoNewPrivs:\t1\n") != std::string::npos;
}

bool is_alive(const ProcessIdentity& process) {
  const auto stat = stat_of(process.first);
  return stat && stat->alive() && stat->identity() == process;
}

std::vector<pid_t> children_of_thread(pid_t pid, pid_t tid) {
  std::vector<pid_t> children;
  append_numbers(
      read_file(fmt::format("/proc/{}/task/{}/children", pid, tid), 4 << 20),
      children);
  return children;
}

ThreadChildren::ThreadChildren(pid_t pid, pid_t tid)
    : list_{::open(fmt::format("/proc/{}/task/{}/children", pid, tid).c_str(),
                   O_RDONLY | O_CLOEXEC)} {}

bool ThreadChildren::any() const {
  char first = 0;
  return ::pread(list_.get(), &first, 1, 0) > 0;
}

std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> children;
  const std::string path = fmt::format("/proc/{}/task", pid);
  const std::unique_ptr<DIR, int (*)(DIR*)> threads{::opendir(path.c_str()),
                                                    &::closedir};
  if (!threads)
    return children;
  while (const dirent* entry = ::readdir(threads.get())) {
    if (entry->d_name[0] == '.')
      continue;
    append_numbers(
        read_file(fmt::format("{}/{}/children", path, entry->d_name), 4 << 20),
        children);
  }
  return children;
}

std::vector<pid_t> all_processes() {
  std::vector<pid_t> pids;
  const std::unique_ptr<DIR, int (*)(DIR*)> processes{::opendir("/proc"),
                                                      &::closedir};
  if (!processes)
    return pids;
  while (const dirent* entry = ::readdir(processes.get()))
    append_numbers(entry->d_name, pids);
  return pids;
}

EnvironmentLook look_into_environment(pid_t pid, std::string_view name) {
  const std::string path = fmt::format("/proc/{}/environ", pid);
  std::string text = read_file(path, largest_environment);
  if (text.empty()) {
    // May be an exec, which may have ended since.
    const auto stat = stat_of(pid);
    if (stat && stat->memory_bytes > 0 && stat->environment_end == 0)
      return {.value = {}, .is_in_exec = ::access(path.c_str(), R_OK) == 0};
    text = read_file(path, largest_environment);
  }
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::string_view entry = rest.substr(0, rest.find('\0'));
    rest.remove_prefix(std::min(rest.size(), entry.size() + 1));
    if (entry.size() > name.size() && entry.substr(0, name.size()) == name &&
        entry[name.size()] == '=')
      return {.value = std::string{entry.substr(name.size() + 1)}};
  }
  return {};
}

}  // namespace troupe::process
