#include "log_follower.hpp"

#include "rotated_path.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace troupe::service {
namespace {

constexpr std::size_t block_bytes = 64 << 10;
/// A rotation leaves one number free at a time.
constexpr std::uint32_t most_free = 1;
/// Each try that fails has seen a rotation go by.
constexpr int most_tries = 100;

Result<std::size_t> read_at(int fd, std::span<char> buffer,
                            std::uint64_t offset) {
  while (true) {
    const ssize_t size =
        ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(offset));
    if (size >= 0)
      return static_cast<std::size_t>(size);
    if (errno != EINTR)
      return tl::unexpected{system_error("cannot read", errno)};
  }
}

struct stat info_of(int fd) {
  struct stat info {};
  (void)::fstat(fd, &info);
  return info;
}

std::uint64_t size_of(int fd) {
  return static_cast<std::uint64_t>(info_of(fd).st_size);
}

bool was_written_before(const struct stat& a, const struct stat& b) {
  return std::pair{a.st_mtim.tv_sec, a.st_mtim.tv_nsec} <
         std::pair{b.st_mtim.tv_sec, b.st_mtim.tv_nsec};
}

}  // namespace

LogFollower::LogFollower(std::string path) : path_{std::move(path)} {}

// -- Files and their numbers
// ---------------------------------------------------

/// No file, and no error, if there is none of that number.
Result<OwnedFd> LogFollower::open(std::uint32_t number) const {
  const std::string path = rotated_path(path_, number);
  OwnedFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (!fd.is_open() && errno != ENOENT && errno != ENOTDIR)
    return tl::unexpected{
        system_error(fmt::format("cannot open {}", path), errno)};
  if (fd.is_open() && !S_ISREG(info_of(fd.get()).st_mode))
    return failure(Errc::invalid_argument,
                   fmt::format("{} is not a file", path));
  return fd;
}

bool LogFollower::is_at(int fd, std::uint32_t number) const {
  struct stat there {};
  const struct stat ours = info_of(fd);
  return ::stat(rotated_path(path_, number).c_str(), &there) == 0 &&
         there.st_dev == ours.st_dev && there.st_ino == ours.st_ino;
}

/// Whether there is no file from `first` on and before `end`.
bool LogFollower::is_free(std::uint32_t first, std::uint32_t end) const {
  for (std::uint32_t number = first; number < end; ++number) {
    struct stat info {};
    if (::stat(rotated_path(path_, number).c_str(), &info) == 0)
      return false;
  }
  return true;
}

/// Upwards, as files move, so that it never gets past one.
std::optional<std::uint32_t> LogFollower::number_of(int fd) const {
  std::uint32_t free = 0;
  for (std::uint32_t number = 0; number <= most_rotated_files + 1; ++number) {
    if (is_at(fd, number))
      return number;
    free = is_free(number, number + 1) ? free + 1 : 0;
    if (free > most_free + 1)
      break;
  }
  return std::nullopt;
}

/// A file moves only after all that are older. So if `fd` has the same number
/// before and after, and what was free still is, the neighbour was the right
/// one.
Result<OwnedFd> LogFollower::open_older(int fd) const {
  for (int i = 0; i < most_tries; ++i) {
    const auto number = number_of(fd);
    if (!number)
      return OwnedFd{};
    std::uint32_t next = *number;
    Result<OwnedFd> older;
    do {
      older = open(++next);
    } while (older && !older->is_open() && next <= *number + most_free);
    if (is_at(fd, *number) && is_free(*number + 1, next))
      return older;
  }
  return OwnedFd{};
}

/// None if there is no newer one yet.
Result<OwnedFd> LogFollower::open_newer(int fd) const {
  for (int i = 0; i < most_tries; ++i) {
    const auto number = number_of(fd);
    if (!number)
      return open_oldest_since(fd);
    if (*number == 0)
      return OwnedFd{};
    std::uint32_t next = *number;
    Result<OwnedFd> newer;
    do {
      newer = open(--next);
    } while (newer && !newer->is_open() && next > 0);
    if (is_at(fd, *number) && is_free(next + 1, *number))
      return newer;
  }
  return OwnedFd{};
}

/// `fd` has been removed: goes on with the oldest file that was written after
/// it, or with any if there is no `fd`. Older ones have been read.
Result<OwnedFd> LogFollower::open_oldest_since(int fd) const {
  struct stat last {};
  if (fd >= 0)
    last = info_of(fd);
  const auto is_newer = [&](std::uint32_t number) {
    struct stat info {};
    return ::stat(rotated_path(path_, number).c_str(), &info) == 0 &&
           (number == 0 || !was_written_before(info, last));
  };
  for (int i = 0; i < most_tries; ++i) {
    std::optional<std::uint32_t> oldest;
    std::uint32_t number = 0;
    for (std::uint32_t others = 0; others <= most_free + 1; ++number) {
      others = is_newer(number) ? 0 : others + 1;
      if (others == 0)
        oldest = number;
    }
    if (!oldest)
      return OwnedFd{};
    auto file = open(*oldest);
    if (!file)
      return file;
    if (file->is_open() && is_at(file->get(), *oldest) &&
        !is_newer(*oldest + 1) && !is_newer(*oldest + 2))
      return file;
  }
  return OwnedFd{};
}

// -- Reading
// -------------------------------------------------------------------

Result<void> LogFollower::start(std::optional<std::uint64_t> lines) {
  auto newest = open(0);
  if (newest && !newest->is_open())
    newest = open(1);  // In the middle of a rotation, or FILE was removed.
  if (!newest)
    return tl::unexpected{std::move(newest.error())};
  if (!newest->is_open())
    return failure(Errc::not_found, fmt::format("there is no log {}", path_));
  file_ = std::move(*newest);
  if (lines)
    return find_lines(*lines);
  while (true) {
    auto older = open_older(file_.get());
    if (!older)
      return tl::unexpected{std::move(older.error())};
    if (!older->is_open())
      return {};
    newer_.push_back(std::exchange(file_, std::move(*older)));
  }
}

/// Backwards from the end, block by block, however long a line is.
Result<void> LogFollower::find_lines(std::uint64_t lines) {
  offset_ = size_of(file_.get());
  if (lines == 0)
    return {};
  bool is_last_byte = true;
  while (true) {
    while (offset_ > 0) {
      std::array<char, block_bytes> block;
      const std::uint64_t begin =
          offset_ - std::min<std::uint64_t>(offset_, block.size());
      const auto size =
          read_at(file_.get(), std::span{block}.first(offset_ - begin), begin);
      if (!size)
        return tl::unexpected{size.error()};
      std::string_view text{block.data(), *size};
      // The end of the last line is not that of the one before.
      if (!text.empty() && std::exchange(is_last_byte, false) &&
          text.back() == '\n')
        text.remove_suffix(1);
      for (auto end = text.rfind('\n'); end != std::string_view::npos;
           end = text.rfind('\n')) {
        if (--lines == 0) {
          offset_ = begin + end + 1;
          return {};
        }
        text = text.substr(0, end);
      }
      offset_ = begin;
    }
    auto older = open_older(file_.get());
    if (!older)
      return tl::unexpected{std::move(older.error())};
    if (!older->is_open())
      return {};
    newer_.push_back(std::exchange(file_, std::move(*older)));
    offset_ = size_of(file_.get());
  }
}

Result<std::size_t> LogFollower::read_old(std::span<char> buffer) {
  while (file_.is_open()) {
    auto size = read_at(file_.get(), buffer, offset_);
    if (!size || *size > 0) {
      offset_ += size.value_or(0);
      return size;
    }
    if (newer_.empty())
      break;
    file_ = std::move(newer_.back());
    newer_.pop_back();
    offset_ = 0;
  }
  return std::size_t{0};
}

Result<std::size_t> LogFollower::read(std::span<char> buffer) {
  while (true) {
    auto size = read_old(buffer);
    if (!size || *size > 0)
      return size;
    const auto moved = move_on();
    if (!moved)
      return tl::unexpected{moved.error()};
    if (!*moved)
      return std::size_t{0};
  }
}

/// At the end of a file; whether there may be more to read now.
Result<bool> LogFollower::move_on() {
  if (file_.is_open()) {
    const bool is_current = is_at(file_.get(), 0);
    const std::uint64_t size = size_of(file_.get());
    if (size < offset_)  // Somebody has emptied it.
      offset_ = 0;
    if (size > offset_)
      return true;
    // In this order: what was written before it was renamed has been read.
    if (is_current)
      return false;
  }
  auto next = file_.is_open() ? open_newer(file_.get()) : open_oldest_since(-1);
  if (!next)
    return tl::unexpected{std::move(next.error())};
  if (!next->is_open())
    return false;
  file_ = std::move(*next);
  offset_ = 0;
  return true;
}

}  // namespace troupe::service
