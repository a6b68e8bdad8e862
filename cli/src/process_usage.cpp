#include "process_usage.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <dirent.h>
#include <fmt/format.h>
#include <memory>
#include <string>
#include <unistd.h>
#include <utility>

namespace troupe::cli {
namespace {

struct ProcessEntry {
  int parent = 0;
  double cpu_seconds = 0;
  std::uint64_t memory_bytes = 0;
};

/// From /proc/PID/stat, see proc(5). False if it is gone.
bool read_stat(int pid, ProcessEntry& entry) {
  const std::string path = fmt::format("/proc/{}/stat", pid);
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file{
      std::fopen(path.c_str(), "re"), &std::fclose};
  if (!file)
    return false;
  std::string text(1024, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  // The name, in parentheses, may have anything in it.
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos)
    return false;
  unsigned long user = 0;
  unsigned long system = 0;
  unsigned long waited_user = 0;
  unsigned long waited_system = 0;
  long pages = 0;
  const int read = std::sscanf(
      text.c_str() + name_end + 1,
      " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %lu %lu %*d %*d %*d "
      "%*d %*u %*u %ld",
      &entry.parent, &user, &system, &waited_user, &waited_system, &pages);
  if (read != 6)
    return false;
  static const double ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  static const auto page_bytes =
      static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  entry.cpu_seconds =
      static_cast<double>(user + system + waited_user + waited_system) / ticks;
  entry.memory_bytes =
      static_cast<std::uint64_t>(std::max(pages, 0L)) * page_bytes;
  return true;
}

std::map<int, ProcessEntry> read_processes() {
  std::map<int, ProcessEntry> entries;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder{::opendir("/proc"),
                                                   &::closedir};
  if (!folder)
    return entries;
  while (const dirent* const item = ::readdir(folder.get())) {
    int pid = 0;
    if (std::sscanf(item->d_name, "%d", &pid) != 1)
      continue;
    ProcessEntry entry;
    if (read_stat(pid, entry))
      entries.emplace(pid, entry);
  }
  return entries;
}

/// The leader that `pid` descends from, or zero.
int leader_of(int pid, const std::map<int, ProcessEntry>& entries,
              std::span<const int> leaders) {
  // A bound, because parents may change while we read.
  for (int depth = 0; depth < 64 && pid > 1; ++depth) {
    if (std::find(leaders.begin(), leaders.end(), pid) != leaders.end())
      return pid;
    const auto entry = entries.find(pid);
    if (entry == entries.end())
      return 0;
    pid = entry->second.parent;
  }
  return 0;
}

}  // namespace

std::map<int, ProcessUsage> UsageSampler::sample(std::span<const int> leaders,
                                                 TimePoint now) {
  std::map<int, ProcessUsage> usage;
  std::map<int, double> cpu_seconds;
  std::vector<int> sorted(leaders.begin(), leaders.end());
  const auto entries = read_processes();
  for (const auto& [pid, entry] : entries) {
    const int leader = leader_of(pid, entries, sorted);
    if (leader == 0)
      continue;
    usage[leader].memory_bytes += entry.memory_bytes;
    cpu_seconds[leader] += entry.cpu_seconds;
  }
  std::map<int, Last> next;
  for (const auto& [leader, seconds] : cpu_seconds) {
    if (const auto last = last_.find(leader); last != last_.end()) {
      const double passed =
          std::chrono::duration<double>(now - last->second.when).count();
      if (passed > 0)
        usage[leader].cpu =
            std::max(0.0, (seconds - last->second.cpu_seconds) / passed);
    }
    next[leader] = {seconds, now};
  }
  last_ = std::move(next);
  return usage;
}

}  // namespace troupe::cli
