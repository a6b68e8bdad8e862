#include "log_follower.hpp"

#include <troupe/base/owned_fd.hpp>
#include <troupe/service/log_reader.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <filesystem>
#include <poll.h>
#include <sys/inotify.h>
#include <utility>
#include <vector>

namespace troupe::service {
namespace {

constexpr std::size_t piece_bytes = 64 << 10;
constexpr std::size_t most_held_bytes = 64 << 10;
/// Of one log before it is the turn of the next one.
constexpr int pieces_per_turn = 16;
/// How often `stop` is asked, and logs are looked at without being told.
constexpr Duration look_period = 200ms;
/// A log that never pauses does not keep us from stopping.
constexpr Duration longest_rest = 1s;

/// Puts the lines of several logs one after the other, each with a prefix.
class MergedLines {
 public:
  MergedLines(std::span<const LogSource> logs, const LogOutput& output)
      : logs_{logs}, output_{output}, held_(logs.size()) {}

  /// False if the output wants no more.
  [[nodiscard]] bool add(std::size_t log, std::string_view bytes) {
    std::string& held = held_[log];
    const std::size_t end = bytes.rfind('\n') + 1;  // npos + 1 is 0.
    held += bytes.substr(0, end);
    const bool goes_on = end == 0 || flush(log);
    held += bytes.substr(end);
    return goes_on && (held.size() <= most_held_bytes || flush(log));
  }

  /// Passes on what is held.
  [[nodiscard]] bool finish() {
    bool goes_on = true;
    for (std::size_t log = 0; log < held_.size(); ++log)
      goes_on = goes_on && flush(log);
    return goes_on;
  }

  [[nodiscard]] bool flush(std::size_t log) {
    std::string text = std::exchange(held_[log], {});
    std::string_view rest = text;
    if (rest.empty())
      return true;
    std::string out;
    if (unfinished_ && *unfinished_ != log) {
      out = "\n";
      unfinished_.reset();
    }
    while (!rest.empty()) {
      if (!unfinished_)
        out += logs_[log].prefix;
      const std::size_t end = rest.find('\n');
      const std::string_view line = rest.substr(0, end + (end + 1 != 0));
      out += line;
      rest.remove_prefix(line.size());
      unfinished_.reset();
      if (line.back() != '\n')
        unfinished_ = log;
    }
    return output_(out);
  }

 private:
  std::span<const LogSource> logs_;
  const LogOutput& output_;
  std::vector<std::string> held_;          ///< Lines without an end so far.
  std::optional<std::size_t> unfinished_;  ///< Whose line is passed on so far.
};

/// Waits for a change in the folders of the logs. Where the kernel cannot tell
/// (no inotify left, or a folder that is not there), for the limit.
class FolderWatch {
 public:
  explicit FolderWatch(std::span<const LogSource> logs)
      : fd_{::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)} {
    for (const LogSource& log : logs) {
      std::string folder =
          std::filesystem::path{log.path}.parent_path().string();
      if (folder.empty())
        folder = ".";
      if (std::find(folders_.begin(), folders_.end(), folder) == folders_.end())
        folders_.push_back(std::move(folder));
    }
    watch();
  }

  void wait(Duration limit) {
    pollfd changed{.fd = fd_.get(), .events = POLLIN, .revents = 0};
    const auto milliseconds =
        std::chrono::ceil<std::chrono::milliseconds>(limit).count();
    (void)::poll(&changed, 1, static_cast<int>(milliseconds));
    alignas(inotify_event) std::array<char, 4096> events;
    while (fd_.is_open() &&
           ::read(fd_.get(), events.data(), events.size()) > 0) {
    }
    watch();
  }

 private:
  /// Once more does nothing, unless the folder is another one by now.
  void watch() const {
    for (const std::string& folder : folders_)
      (void)::inotify_add_watch(fd_.get(), folder.c_str(),
                                IN_MODIFY | IN_CREATE | IN_MOVED_TO);
  }

  OwnedFd fd_;
  std::vector<std::string> folders_;
};

class Reading {
 public:
  Reading(std::span<const LogSource> logs, const ReadLogsOptions& options,
          const LogOutput& output)
      : options_{options},
        output_{output},
        lines_{logs, output},
        is_plain_{logs.size() == 1 && logs[0].prefix.empty()} {
    for (const LogSource& log : logs)
      followers_.emplace_back(log.path);
  }

  Result<void> start() {
    for (LogFollower& follower : followers_) {
      auto started = follower.start(options_.last_lines);
      const bool may_come = options_.follow && !started &&
                            started.error().code == Errc::not_found;
      if (!started && !may_come)
        return started;
    }
    return {};
  }

  Result<void> read_old() {
    for (std::size_t log = 0; log < followers_.size(); ++log) {
      while (true) {
        const auto size = followers_[log].read_old(buffer_);
        if (!size)
          return tl::unexpected{size.error()};
        if (*size == 0)
          break;
        if (!pass(log, *size))
          return {};
      }
      if (!options_.follow && !is_plain_ && !lines_.flush(log)) {
        is_over_ = true;
        return {};
      }
    }
    return {};
  }

  Result<void> follow(FolderWatch& watch) {
    std::optional<TimePoint> stopped_at;
    while (!is_over_) {
      const TimePoint now = std::chrono::steady_clock::now();
      const bool is_late = options_.deadline && now >= *options_.deadline;
      if (!stopped_at && (is_late || (options_.stop && options_.stop())))
        stopped_at = now;
      const auto has_read = read_new();
      if (!has_read)
        return tl::unexpected{has_read.error()};
      if (stopped_at && (!*has_read || now - *stopped_at > longest_rest))
        break;
      if (!*has_read)
        watch.wait(options_.deadline
                       ? std::clamp<Duration>(*options_.deadline - now,
                                              Duration{0}, look_period)
                       : look_period);
    }
    if (!is_over_)
      (void)lines_.finish();
    return {};
  }

  [[nodiscard]] bool is_over() const { return is_over_; }

 private:
  /// A turn for each log; whether there was anything.
  Result<bool> read_new() {
    bool has_read = false;
    for (std::size_t log = 0; log < followers_.size() && !is_over_; ++log) {
      for (int i = 0; i < pieces_per_turn && !is_over_; ++i) {
        const auto size = followers_[log].read(buffer_);
        if (!size)
          return tl::unexpected{size.error()};
        if (*size == 0)
          break;
        has_read = true;
        pass(log, *size);
      }
    }
    return has_read;
  }

  /// Whether the output wants more.
  bool pass(std::size_t log, std::size_t size) {
    const std::string_view bytes{buffer_.data(), size};
    is_over_ = !(is_plain_ ? output_(bytes) : lines_.add(log, bytes));
    return !is_over_;
  }

  const ReadLogsOptions& options_;
  const LogOutput& output_;
  MergedLines lines_;
  std::vector<LogFollower> followers_;
  std::vector<char> buffer_ = std::vector<char>(piece_bytes);
  const bool is_plain_;
  bool is_over_ = false;
};

}  // namespace

Result<void> read_logs(std::span<const LogSource> logs,
                       const ReadLogsOptions& options,
                       const LogOutput& output) {
  Reading reading{logs, options, output};
  FolderWatch watch{options.follow ? logs : std::span<const LogSource>{}};
  if (auto started = reading.start(); !started)
    return started;
  if (auto read = reading.read_old(); !read)
    return read;
  if (!options.follow || reading.is_over())
    return {};
  return reading.follow(watch);
}

}  // namespace troupe::service
