#pragma once

/// Writes what a command says into its file (output_record.hpp). It belongs to
/// one thread; a write blocks for as long as the disk does.
#include <troupe/base/owned_fd.hpp>
#include <troupe/base/time.hpp>
#include <troupe/process/command_spec.hpp>
#include <troupe/process/output_record.hpp>

#include <cstdint>
#include <string_view>

namespace troupe::process {

class RecordWriter {
 public:
  explicit RecordWriter(OutputRecord record) : record_{std::move(record)} {}

  /// Appends one frame of at most `most_record_bytes`; the first one makes the
  /// file and its folder. What there is no room for, or what comes after a
  /// write that failed, is counted only.
  void write(RecordKind stream, std::string_view bytes, WallTime now);

  /// Notes at the end of the file what has not been kept, if that can be
  /// written, and closes it. Nothing may be written afterwards.
  void finish(WallTime now);

  [[nodiscard]] std::uint64_t unrecorded_bytes() const { return unrecorded_; }

 private:
  [[nodiscard]] bool open();
  [[nodiscard]] bool append(const RecordFrame& frame);
  [[nodiscard]] std::uint64_t room() const;

  OutputRecord record_;
  OwnedFd file_;
  bool is_new_ = false;  ///< Its header has yet to be written.
  bool failed_ = false;
  std::uint64_t kept_ = 0;
  std::uint64_t unrecorded_ = 0;
};

}  // namespace troupe::process
