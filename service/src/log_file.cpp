#include "rotated_path.hpp"

#include <troupe/base/assert.hpp>
#include <troupe/service/log_file.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace troupe::service {
namespace {

constexpr mode_t private_mode = 0600;
/// How far a line may lead beyond the size of a file.
constexpr std::uint64_t slack_bytes = 64U << 10U;

tl::unexpected<Error> cannot(std::string_view what, const std::string& path,
                             int error) {
  return tl::unexpected{
      system_error(fmt::format("cannot {} {}", what, path), error)};
}

bool is_there(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0;
}

std::uint64_t bytes_of(const struct stat& info) {
  return static_cast<std::uint64_t>(info.st_size);
}

}  // namespace

LogFile::LogFile(LogFileOptions options, ErrorHandler on_error)
    : options_{std::move(options)}, on_error_{std::move(on_error)} {
  TROUPE_ASSERT(options_.max_bytes > 0);
  TROUPE_ASSERT(options_.rotated_files <= most_rotated_files);
  if (auto opened = open(); !opened)
    report(opened.error());
}

void LogFile::write(std::string_view bytes) {
  if (bytes.empty())
    return;
  auto written = try_write(bytes);
  if (written) {
    is_failing_ = false;
    return;
  }
  lost_bytes_ += bytes.size();
  unnoted_bytes_ += bytes.size();
  report(written.error());
}

void LogFile::report(const Error& error) {
  if (!std::exchange(is_failing_, true) && on_error_)
    on_error_(error);
}

/// Takes what it has written off the front.
Result<void> LogFile::try_write(std::string_view& bytes) {
  if (auto opened = open(); !opened)
    return opened;
  if (unnoted_bytes_ > 0) {
    if (auto noted = note_loss(); !noted)
      return noted;
  }
  while (!bytes.empty()) {
    const std::size_t size = fitting(bytes);
    std::string_view piece = bytes.substr(0, size);
    auto done = size == 0 ? rotate() : append(piece);
    bytes.remove_prefix(size - piece.size());
    if (!done)
      return done;
  }
  return {};
}

/// Makes sure that we have the file that is at the path now.
Result<void> LogFile::open() {
  struct stat there {};
  struct stat ours {};
  if (file_.is_open() && ::stat(options_.path.c_str(), &there) == 0 &&
      ::fstat(file_.get(), &ours) == 0 && there.st_dev == ours.st_dev &&
      there.st_ino == ours.st_ino) {
    size_bytes_ = bytes_of(ours);
    return {};
  }
  file_.reset(::open(options_.path.c_str(),
                     O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY,
                     private_mode));
  if (!file_.is_open() || ::fstat(file_.get(), &ours) != 0)
    return cannot("open", options_.path, errno);
  if (!S_ISREG(ours.st_mode)) {
    file_.reset();
    return failure(Errc::invalid_argument,
                   fmt::format("{} is not a file", options_.path));
  }
  size_bytes_ = bytes_of(ours);
  char last = '\n';
  if (size_bytes_ > 0 && ::pread(file_.get(), &last, 1, ours.st_size - 1) == 1)
    at_line_start_ = last == '\n';
  return {};
}

/// How much of `bytes` goes into this file; zero if the next one is due.
std::size_t LogFile::fitting(std::string_view bytes) const {
  const auto room_below = [this](std::uint64_t limit) {
    return limit - std::min(limit, size_bytes_);
  };
  const std::uint64_t room = room_below(options_.max_bytes);
  if (bytes.size() <= room)
    return bytes.size();
  if (const auto end = bytes.substr(0, room).rfind('\n');
      end != std::string_view::npos)
    return end + 1;
  if (size_bytes_ > 0 && at_line_start_)
    return 0;
  const std::string_view most =
      bytes.substr(0, room_below(options_.max_bytes + slack_bytes));
  const auto end = most.find('\n');
  return end == std::string_view::npos ? most.size() : end + 1;
}

/// Takes what it has written off the front.
Result<void> LogFile::append(std::string_view& bytes) {
  if (auto room = make_room(bytes.size()); !room)
    return room;
  while (!bytes.empty()) {
    const ssize_t written = ::write(file_.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return cannot("write", options_.path, written == 0 ? ENOSPC : errno);
    const auto size = static_cast<std::size_t>(written);
    at_line_start_ = bytes[size - 1] == '\n';
    size_bytes_ += size;
    bytes.remove_prefix(size);
  }
  return {};
}

Result<void> LogFile::note_loss() {
  const std::string note = fmt::format(
      "{}[troupe: {} {} lost]\n", at_line_start_ ? "" : "\n", unnoted_bytes_,
      unnoted_bytes_ == 1 ? "byte was" : "bytes were");
  if (size_bytes_ > 0 && size_bytes_ + note.size() > options_.max_bytes) {
    if (auto rotated = rotate(); !rotated)
      return rotated;
  }
  const std::uint64_t size_before = size_bytes_;
  const bool at_line_start_before = at_line_start_;
  std::string_view rest = note;
  auto written = append(rest);
  if (!written) {
    // Half a note helps nobody.
    if (rest.size() < note.size() &&
        ::ftruncate(file_.get(), static_cast<off_t>(size_before)) == 0) {
      size_bytes_ = size_before;
      at_line_start_ = at_line_start_before;
    }
    return written;
  }
  unnoted_bytes_ = 0;
  return {};
}

/// Readers rely on the order: a file moves only after all that are older.
Result<void> LogFile::rotate() {
  knows_rotated_ = false;
  const std::uint32_t most = options_.rotated_files;
  if (most == 0) {
    // Not truncated: a reader can still read its end.
    if (::unlink(options_.path.c_str()) != 0 && errno != ENOENT)
      return cannot("remove", options_.path, errno);
  } else {
    std::uint32_t gap = 1;  // Left by a rotation that failed, or the oldest.
    while (gap < most && is_there(rotated_path(options_.path, gap)))
      ++gap;
    for (std::uint32_t number = gap; number > 0; --number) {
      const std::string from = rotated_path(options_.path, number - 1);
      const std::string to = rotated_path(options_.path, number);
      if (std::rename(from.c_str(), to.c_str()) != 0 && errno != ENOENT)
        return cannot("rename", from, errno);
    }
  }
  file_.reset();
  return open();
}

/// Finds out what is there, and removes what a rotation does not reach: files
/// from a time when more were kept.
Result<void> LogFile::look_at_rotated() {
  rotated_bytes_ = 0;
  oldest_rotated_ = 0;
  for (std::uint32_t number = 1; number <= most_rotated_files; ++number) {
    const std::string path = rotated_path(options_.path, number);
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) {
      if (number > options_.rotated_files)
        break;
      continue;
    }
    if (number > options_.rotated_files) {
      if (::unlink(path.c_str()) != 0 && errno != ENOENT)
        return cannot("remove", path, errno);
      continue;
    }
    rotated_bytes_ += bytes_of(info);
    oldest_rotated_ = number;
  }
  knows_rotated_ = true;
  return {};
}

/// Removes the oldest files until `bytes` more keep the limit for all.
Result<void> LogFile::make_room(std::uint64_t bytes) {
  const std::uint64_t limit =
      (options_.rotated_files + std::uint64_t{1}) * options_.max_bytes +
      slack_bytes;
  if (!knows_rotated_) {
    if (auto known = look_at_rotated(); !known)
      return known;
  }
  while (oldest_rotated_ > 0 && rotated_bytes_ + size_bytes_ + bytes > limit) {
    const std::string path = rotated_path(options_.path, oldest_rotated_);
    if (::unlink(path.c_str()) != 0 && errno != ENOENT)
      return cannot("remove", path, errno);
    if (auto known = look_at_rotated(); !known)
      return known;
  }
  return {};
}

}  // namespace troupe::service
