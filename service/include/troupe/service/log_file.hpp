#pragma once

#include <troupe/base/error.hpp>
#include <troupe/base/owned_fd.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace troupe::service {

struct LogFileOptions {
  std::string path;                      ///< FILE; its folder must be there.
  std::uint64_t max_bytes = 10U << 20U;  ///< Of one file; above zero.
  /// How many older files are kept as FILE.1 (the newest), FILE.2, ..; with
  /// none, what is full is thrown away. At most 1,000.
  std::uint32_t rotated_files = 5;
};

/// The log of one service: appends bytes as they are to FILE, and begins a new
/// one when that is full. A file ends with a line if the line that crosses
/// max_bytes ends within 64 KiB; and all files together never have more than
/// (rotated_files + 1) * max_bytes + 64 KiB, for which older ones may go early.
/// Files with higher numbers, of a time when more were kept, are removed.
///
/// What cannot be written is dropped and counted: the service goes on. Each
/// write tries again, and the first that succeeds is preceded by a line such
/// as "[troupe: 512 bytes were lost]". A FILE that somebody has removed or
/// renamed is made anew.
///
/// Used by one thread, the I/O thread: it writes to files, which is not waited
/// for (no fsync). A process that has a limit for the size of files must
/// ignore SIGXFSZ.
class LogFile {
 public:
  using ErrorHandler = std::function<void(const Error&)>;

  /// Makes or opens FILE, with mode 0600. `on_error` is called when writing
  /// begins to fail, here or in `write`, once until it works again.
  LogFile(LogFileOptions options, ErrorHandler on_error);

  /// Appends `bytes`; an empty text does nothing.
  void write(std::string_view bytes);

  /// How many bytes were dropped in all.
  [[nodiscard]] std::uint64_t lost_bytes() const { return lost_bytes_; }

 private:
  Result<void> try_write(std::string_view& bytes);
  Result<void> open();
  Result<void> note_loss();
  [[nodiscard]] std::size_t fitting(std::string_view bytes) const;
  Result<void> append(std::string_view& bytes);
  Result<void> rotate();
  Result<void> look_at_rotated();
  Result<void> make_room(std::uint64_t bytes);
  void report(const Error& error);

  LogFileOptions options_;
  ErrorHandler on_error_;
  OwnedFd file_;
  std::uint64_t size_bytes_ = 0;
  bool at_line_start_ = true;         ///< Of what was written last.
  bool knows_rotated_ = false;        ///< The next two are right.
  std::uint64_t rotated_bytes_ = 0;   ///< In all rotated files.
  std::uint32_t oldest_rotated_ = 0;  ///< Zero for none.
  bool is_failing_ = false;
  std::uint64_t lost_bytes_ = 0;
  std::uint64_t unnoted_bytes_ = 0;  ///< Lost since the last note.
};

}  // namespace troupe::service
