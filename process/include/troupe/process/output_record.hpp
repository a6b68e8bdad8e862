#pragma once

/// Output of one attempt as the warden writes it to a file (Output::record),
/// and how it is read again, also while it is being written and after it has
/// been compressed.
///
/// The file is a header and frames, all numbers little-endian:
///
///   "TRPREC" | u8 0 | u8 version (1)
///   u32 length of the payload | u8 kind | u64 microseconds since 1970 |
///   payload
///
/// Kind 1 is standard output, 2 standard error: the payload is what one read
/// gave, any bytes, 1 to 65,536 of them. Frames stand in the order of reading.
/// Kind 3 is a gap: the payload is a u64, that many bytes were read here or
/// later and not kept, because of the bound or since the file could not be
/// written. A frame that is cut off at the end of the file (a power cut) is not
/// there for readers.
#include <troupe/base/error.hpp>
#include <troupe/base/owned_fd.hpp>
#include <troupe/base/time.hpp>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace troupe::process {

/// Stored: append only.
enum class RecordKind : std::uint8_t { out = 1, err = 2, gap = 3 };

struct RecordFrame {
  RecordKind kind = RecordKind::out;
  WallTime time{};         ///< When it was read, to the microsecond.
  std::string_view bytes;  ///< Empty for a gap.
  std::uint64_t unrecorded_bytes = 0;  ///< Of a gap; zero otherwise.

  friend bool operator==(const RecordFrame&, const RecordFrame&) = default;
};

/// Largest payload of a frame.
inline constexpr std::size_t most_record_bytes = 64 << 10;

inline constexpr std::size_t record_header_size = 8;
inline constexpr std::size_t record_frame_header_size = 4 + 1 + 8;

/// What a file begins with. Pure.
[[nodiscard]] std::string record_header();

/// All of a frame but its payload, and for a gap that as well. Pure.
[[nodiscard]] std::string record_frame_header(const RecordFrame& frame);

/// A frame and how many bytes of the file it takes.
struct ParsedRecordFrame {
  RecordFrame frame;  ///< Points into what was parsed.
  std::size_t size = 0;
};

/// Whether `bytes` begin with a header; none if more bytes are needed. Pure.
///
/// Errors: corrupt (it is not a record), unsupported (of a later version).
[[nodiscard]] Result<std::optional<std::size_t>> parse_record_header(
    std::string_view bytes);

/// The first frame in `bytes`; none if more bytes are needed. Pure.
///
/// Errors: corrupt (unknown kind, a length out of bounds).
[[nodiscard]] Result<std::optional<ParsedRecordFrame>> parse_record_frame(
    std::string_view bytes);

/// A frame that owns its bytes.
struct RecordPiece {
  RecordKind kind = RecordKind::out;
  WallTime time{};
  std::string bytes;
  std::uint64_t unrecorded_bytes = 0;
};

/// Reads a record forward, frame by frame, in bounded memory. A file that still
/// grows is followed by asking again after the end; it may be compressed or
/// removed meanwhile. One thread at a time; every call may block on the disk.
class RecordReader {
 public:
  /// Opens `path` or, if that is not there, `path`.zst. Reading begins at
  /// `offset`, which is zero or what offset() has told, of either form.
  ///
  /// Errors: not_found (neither is there: nothing was written yet);
  /// permission_denied and the like, of the system.
  [[nodiscard]] static Result<RecordReader> open(const std::string& path,
                                                 std::uint64_t offset = 0);

  /// Likewise of an open file, from its beginning, whatever form it has.
  explicit RecordReader(OwnedFd file, std::uint64_t offset = 0);
  RecordReader(RecordReader&&) noexcept;
  RecordReader& operator=(RecordReader&&) noexcept;
  ~RecordReader();

  /// The next frame, or none at the end of what is there; a later call may find
  /// more. The frame is valid until the next call.
  ///
  /// Errors: corrupt (not a record, or damaged), unsupported (of a later
  /// version), of a read that failed. All later calls answer the same.
  [[nodiscard]] Result<std::optional<RecordFrame>> next();

  /// Reads to the end and keeps what the last `lines` lines are in, of both
  /// streams together: the first piece begins with the first of these lines. No
  /// more than `most_tail_bytes` are kept, whatever the lines are. Afterwards
  /// next() follows.
  ///
  /// Errors: as next().
  [[nodiscard]] Result<std::deque<RecordPiece>> tail(std::size_t lines);

  static constexpr std::size_t most_tail_bytes = 1 << 20;

  /// Where the next frame begins, in the uncompressed file.
  [[nodiscard]] std::uint64_t offset() const;

 private:
  struct Source;
  std::unique_ptr<Source> source_;
};

/// Replaces the finished record `path` by a smaller one, `path`.zst, which
/// RecordReader reads as well, once that is on the disk. Blocks for as long as
/// that takes, some 3 ms per megabyte and a sync. A record that was compressed
/// already is left alone.
///
/// Errors: not_found (there is no record), overloaded (the disk is full), of
/// the system; `path` stays then.
[[nodiscard]] Result<void> compress_record(const std::string& path);

}  // namespace troupe::process
