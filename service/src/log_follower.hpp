#pragma once

#include <troupe/base/error.hpp>
#include <troupe/base/owned_fd.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace troupe::service {

/// Reads FILE and the files that it was rotated to as the one stream of bytes
/// that they are, while a LogFile writes and rotates. Files are known by their
/// inodes: the one that is being read is found again under whatever number it
/// has by now, and the one below is the next. Never waits for more.
class LogFollower {
 public:
  explicit LogFollower(std::string path);

  /// Goes to the last `lines` lines of what is there, or to the begin. Called
  /// once.
  ///
  /// Errors: not_found (there is no file; reading begins with the first one),
  /// others of the system.
  [[nodiscard]] Result<void> start(std::optional<std::uint64_t> lines);

  /// Reads what `start` has found; zero bytes at its end.
  [[nodiscard]] Result<std::size_t> read_old(std::span<char> buffer);

  /// Reads that and what has been written since then; zero bytes if that is
  /// all for now.
  [[nodiscard]] Result<std::size_t> read(std::span<char> buffer);

 private:
  [[nodiscard]] Result<void> find_lines(std::uint64_t lines);
  [[nodiscard]] Result<OwnedFd> open(std::uint32_t number) const;
  [[nodiscard]] bool is_at(int fd, std::uint32_t number) const;
  [[nodiscard]] bool is_free(std::uint32_t first, std::uint32_t end) const;
  [[nodiscard]] std::optional<std::uint32_t> number_of(int fd) const;
  [[nodiscard]] Result<OwnedFd> open_older(int fd) const;
  [[nodiscard]] Result<OwnedFd> open_newer(int fd) const;
  [[nodiscard]] Result<OwnedFd> open_oldest_since(int fd) const;
  [[nodiscard]] Result<bool> move_on();

  std::string path_;
  OwnedFd file_;
  std::uint64_t offset_ = 0;
  std::vector<OwnedFd> newer_;  ///< To be read after `file_`, from the back.
};

}  // namespace troupe::service
