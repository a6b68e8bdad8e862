#include "record_writer.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <fcntl.h>
#include <filesystem>
#include <string>
#include <sys/stat.h>
#include <sys/uio.h>
#include <system_error>
#include <unistd.h>

namespace troupe::process {
namespace {

iovec piece_of(std::string_view bytes) {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): writev only reads.
  return {.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
}

}  // namespace

void RecordWriter::write(RecordKind stream, std::string_view bytes,
                         WallTime now) {
  const std::string_view kept = bytes.substr(
      0,
      static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), room())));
  if (!kept.empty() && append({.kind = stream, .time = now, .bytes = kept}))
    kept_ += kept.size();
  else if (!kept.empty())
    unrecorded_ += kept.size();
  unrecorded_ += bytes.size() - kept.size();
}

void RecordWriter::finish(WallTime now) {
  // Also after a write that failed: there may be room by now, or for so little.
  failed_ = false;
  if (unrecorded_ > 0)
    (void)append({.kind = RecordKind::gap,
                  .time = now,
                  .bytes = {},
                  .unrecorded_bytes = unrecorded_});
  file_.reset();
}

std::uint64_t RecordWriter::room() const {
  return record_.most_bytes == 0 ? UINT64_MAX : record_.most_bytes - kept_;
}

bool RecordWriter::open() {
  if (file_.is_open())
    return true;
  const auto try_to_open = [this] {
    // Not to be held up by a FIFO that nobody reads.
    file_.reset(::open(record_.path.c_str(),
                       O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK,
                       0600));
    return file_.is_open();
  };
  if (!try_to_open() && errno == ENOENT) {
    std::error_code ignored;  // Then it cannot be opened, either.
    std::filesystem::create_directories(
        std::filesystem::path{record_.path}.parent_path(), ignored);
    (void)try_to_open();
  }
  struct stat found {};
  is_new_ = file_.is_open() && ::fstat(file_.get(), &found) == 0 &&
            found.st_size == 0;
  return file_.is_open();
}

bool RecordWriter::append(const RecordFrame& frame) {
  if (failed_ || !open()) {
    failed_ = true;
    return false;
  }
  std::string header = is_new_ ? record_header() : std::string{};
  header += record_frame_header(frame);
  const std::array<iovec, 2> pieces{piece_of(header), piece_of(frame.bytes)};
  const auto size = header.size() + frame.bytes.size();
  const ssize_t written = ::writev(file_.get(), pieces.data(), pieces.size());
  if (written == static_cast<ssize_t>(size)) {
    is_new_ = false;
    return true;
  }
  failed_ = true;
  // A frame that is there in part would hide those behind it.
  struct stat now {};
  if (written > 0 && ::fstat(file_.get(), &now) == 0)
    (void)!::ftruncate(file_.get(), now.st_size - written);
  return false;
}

}  // namespace troupe::process
