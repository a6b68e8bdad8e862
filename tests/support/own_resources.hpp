#pragma once

#include <troupe/base/time.hpp>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <ostream>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace troupe::testing {

/// What this process has of the system at one moment.
struct OwnResources {
  std::size_t descriptors = 0;
  std::size_t threads = 0;
  std::size_t descendants = 0;  ///< Processes, children's children included.

  friend bool operator==(const OwnResources&, const OwnResources&) = default;
  friend std::ostream& operator<<(std::ostream& out, const OwnResources& r) {
    return out << r.descriptors << " descriptors, " << r.threads << " threads, "
               << r.descendants << " processes below";
  }
};

namespace detail {

inline std::size_t entries_of(const std::string& folder) {
  std::error_code ignored;
  std::size_t count = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator{folder, ignored}) {
    (void)entry;
    ++count;
  }
  return count;
}

inline std::size_t descendants_of(const std::string& process) {
  std::size_t count = 0;
  std::error_code ignored;
  for (const auto& thread : std::filesystem::directory_iterator{
           "/proc/" + process + "/task", ignored}) {
    std::ifstream children{thread.path() / "children"};
    for (std::string child; children >> child;)
      count += 1 + descendants_of(child);
  }
  return count;
}

}  // namespace detail

/// Zombies count as well.
inline OwnResources own_resources() {
  return {.descriptors = detail::entries_of("/proc/self/fd"),
          .threads = detail::entries_of("/proc/self/task"),
          .descendants = detail::descendants_of("self")};
}

/// Waits until `condition` holds, at most `limit`; whether it does. For what
/// the kernel or another thread finishes on its own.
template <class Condition>
[[nodiscard]] bool wait_until(Condition condition, Duration limit = 20s) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end)
      return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

}  // namespace troupe::testing
