#include <troupe/process/output_record.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <vector>
#include <zstd.h>

namespace troupe::process {
namespace {

constexpr std::size_t piece_size = 64 << 10;
constexpr std::array<char, 4> zstd_magic{'\x28', '\xb5', '\x2f', '\xfd'};
constexpr const char* compressed_suffix = ".zst";

/// Zstandard's own default; more takes far longer and gains little on logs.
constexpr int compression_level = 3;

struct FreeDecompressor {
  void operator()(ZSTD_DStream* stream) const { ::ZSTD_freeDStream(stream); }
};
struct FreeCompressor {
  void operator()(ZSTD_CStream* stream) const { ::ZSTD_freeCStream(stream); }
};

Result<std::size_t> read_at(int fd, char* to, std::size_t size,
                            std::uint64_t at) {
  ssize_t got = 0;
  do {
    got = ::pread(fd, to, size, static_cast<off_t>(at));
  } while (got < 0 && errno == EINTR);
  if (got < 0)
    return tl::unexpected(system_error("recorded output", errno));
  return static_cast<std::size_t>(got);
}

OwnedFd open_to_read(const std::string& path) {
  return OwnedFd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
}

/// Keeps the end of what is added: the last lines, within a bound.
class LastLines {
 public:
  explicit LastLines(std::size_t lines) : lines_{lines} {}

  void add(const RecordFrame& frame) {
    pieces_.push_back({frame.kind, frame.time, std::string{frame.bytes},
                       frame.unrecorded_bytes});
    size_ += size_of(pieces_.back());
    ends_ += count_ends(frame.bytes);
    is_open_ = frame.bytes.empty() ? is_open_ : frame.bytes.back() != '\n';
    while (pieces_.size() > 1 &&
           (size_ > RecordReader::most_tail_bytes || is_front_unneeded()))
      drop_front();
  }

  [[nodiscard]] std::deque<RecordPiece> take() {
    const std::size_t present = ends_ + (is_open_ ? 1 : 0);
    for (std::size_t line = lines_; line < present; ++line)
      drop_line();
    return std::move(pieces_);
  }

 private:
  /// With what it takes to keep the piece, for those of a few bytes.
  static std::size_t size_of(const RecordPiece& piece) {
    return piece.bytes.size() + sizeof piece;
  }

  static std::size_t count_ends(std::string_view bytes) {
    return static_cast<std::size_t>(
        std::count(bytes.begin(), bytes.end(), '\n'));
  }

  /// The others have enough lines, one more for the part of a line with which
  /// they may begin.
  [[nodiscard]] bool is_front_unneeded() const {
    return ends_ - count_ends(pieces_.front().bytes) > lines_;
  }

  void drop_front() {
    size_ -= size_of(pieces_.front());
    ends_ -= count_ends(pieces_.front().bytes);
    pieces_.pop_front();
  }

  /// A line may go through several pieces.
  void drop_line() {
    while (!pieces_.empty() && pieces_.front().kind != RecordKind::gap) {
      std::string& bytes = pieces_.front().bytes;
      const std::size_t end = bytes.find('\n');
      if (end != std::string::npos && end + 1 < bytes.size()) {
        bytes.erase(0, end + 1);
        return;
      }
      pieces_.pop_front();
      if (end != std::string::npos)
        return;
    }
  }

  std::size_t lines_;
  std::deque<RecordPiece> pieces_;
  std::size_t size_ = 0;
  std::size_t ends_ = 0;
  bool is_open_ = false;  ///< The last line has no end yet.
};

}  // namespace

/// The uncompressed bytes of the file from `offset` on, as far as they have
/// been asked for.
struct RecordReader::Source {
  Source(OwnedFd opened, std::uint64_t from)
      : file{std::move(opened)}, offset{from < record_header_size ? 0 : from} {}

  /// Adds what comes next to `buffer`; zero at the end of the file.
  [[nodiscard]] Result<std::size_t> fill();
  [[nodiscard]] Result<std::size_t> fill_plain();
  [[nodiscard]] Result<std::size_t> fill_compressed();
  [[nodiscard]] Result<bool> find_form();
  [[nodiscard]] Result<bool> pass_header();
  [[nodiscard]] Result<std::optional<RecordFrame>> next();

  [[nodiscard]] std::string_view unread() const {
    return std::string_view{buffer}.substr(begin);
  }
  void consume(std::size_t size) {
    begin += size;
    offset += size;
  }

  OwnedFd file;
  std::uint64_t offset;  ///< Of the next frame.
  std::string buffer;    ///< From `begin` on, what is at `offset`.
  std::size_t begin = 0;
  bool is_form_known = false;
  std::unique_ptr<ZSTD_DStream, FreeDecompressor> stream;  ///< If compressed.
  std::string compressed;        ///< What `stream` has not taken yet.
  std::uint64_t read_bytes = 0;  ///< Of the compressed file.
  std::uint64_t skip = 0;        ///< Of what comes out of it.
  std::optional<Error> error;
};

Result<bool> RecordReader::Source::find_form() {
  if (is_form_known)
    return true;
  std::array<char, zstd_magic.size()> start{};
  const auto got = read_at(file.get(), start.data(), start.size(), 0);
  if (!got)
    return tl::unexpected(got.error());
  if (*got < start.size())
    return false;
  is_form_known = true;
  if (start == zstd_magic) {
    stream.reset(::ZSTD_createDStream());
    skip = offset;
  }
  return true;
}

Result<std::size_t> RecordReader::Source::fill() {
  const auto is_known = find_form();
  if (!is_known)
    return tl::unexpected(is_known.error());
  if (!*is_known)
    return 0;
  buffer.erase(0, std::exchange(begin, 0));
  return stream ? fill_compressed() : fill_plain();
}

Result<std::size_t> RecordReader::Source::fill_plain() {
  const std::size_t before = buffer.size();
  buffer.resize(before + piece_size);
  auto got =
      read_at(file.get(), buffer.data() + before, piece_size, offset + before);
  // A frame that is there in part may be taken back by its writer: it is read
  // anew the next time.
  buffer.resize(got && *got > 0 ? before + *got : 0);
  return got;
}

Result<std::size_t> RecordReader::Source::fill_compressed() {
  std::array<char, piece_size> out;
  while (true) {
    if (compressed.empty()) {
      compressed.resize(piece_size);
      auto got = read_at(file.get(), compressed.data(), piece_size, read_bytes);
      compressed.resize(got.value_or(0));
      if (!got || *got == 0)
        return got;
      read_bytes += *got;
    }
    ZSTD_inBuffer from{compressed.data(), compressed.size(), 0};
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    const std::size_t code = ::ZSTD_decompressStream(stream.get(), &to, &from);
    if (::ZSTD_isError(code) != 0)
      return failure(Errc::corrupt, fmt::format("recorded output: {}",
                                                ::ZSTD_getErrorName(code)));
    compressed.erase(0, from.pos);
    const std::size_t skipped =
        static_cast<std::size_t>(std::min<std::uint64_t>(skip, to.pos));
    skip -= skipped;
    buffer.append(out.data() + skipped, to.pos - skipped);
    if (to.pos > skipped)
      return to.pos - skipped;
  }
}

/// Whether it has been passed.
Result<bool> RecordReader::Source::pass_header() {
  while (offset < record_header_size) {
    const auto size = parse_record_header(unread());
    if (!size)
      return tl::unexpected(size.error());
    if (*size) {
      consume(**size);
      break;
    }
    const auto got = fill();
    if (!got)
      return tl::unexpected(got.error());
    if (*got == 0)
      return false;
  }
  return true;
}

Result<std::optional<RecordFrame>> RecordReader::Source::next() {
  const auto passed = pass_header();
  if (!passed)
    return tl::unexpected(passed.error());
  while (*passed) {
    const auto parsed = parse_record_frame(unread());
    if (!parsed)
      return tl::unexpected(parsed.error());
    if (*parsed) {
      consume((*parsed)->size);
      return (*parsed)->frame;
    }
    const auto got = fill();
    if (!got)
      return tl::unexpected(got.error());
    if (*got == 0)
      break;
  }
  return std::nullopt;
}

RecordReader::RecordReader(OwnedFd file, std::uint64_t offset)
    : source_{std::make_unique<Source>(std::move(file), offset)} {}
RecordReader::RecordReader(RecordReader&&) noexcept = default;
RecordReader& RecordReader::operator=(RecordReader&&) noexcept = default;
RecordReader::~RecordReader() = default;

Result<RecordReader> RecordReader::open(const std::string& path,
                                        std::uint64_t offset) {
  OwnedFd file = open_to_read(path);
  // In this order: the compressed file is there before the other one goes.
  if (!file.is_open() && errno == ENOENT)
    file = open_to_read(path + compressed_suffix);
  if (!file.is_open())
    return tl::unexpected(
        system_error(fmt::format("cannot read {}", path), errno));
  return RecordReader{std::move(file), offset};
}

Result<std::optional<RecordFrame>> RecordReader::next() {
  if (source_->error)
    return tl::unexpected(*source_->error);
  auto frame = source_->next();
  if (!frame)
    source_->error = frame.error();
  return frame;
}

Result<std::deque<RecordPiece>> RecordReader::tail(std::size_t lines) {
  LastLines last{lines};
  while (true) {
    const auto frame = next();
    if (!frame)
      return tl::unexpected(frame.error());
    if (!*frame)
      return last.take();
    last.add(**frame);
  }
}

std::uint64_t RecordReader::offset() const { return source_->offset; }

namespace {

Result<void> write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return tl::unexpected(system_error("write", errno));
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

/// Compresses one piece, the last one with all that the compressor still has.
Result<void> compress_piece(ZSTD_CStream* stream, std::string_view piece,
                            int to) {
  std::array<char, piece_size> out;
  const auto mode = piece.empty() ? ZSTD_e_end : ZSTD_e_continue;
  ZSTD_inBuffer from{piece.data(), piece.size(), 0};
  std::size_t left = 0;
  do {
    ZSTD_outBuffer done{out.data(), out.size(), 0};
    left = ::ZSTD_compressStream2(stream, &done, &from, mode);
    if (::ZSTD_isError(left) != 0)
      return failure(Errc::internal, ::ZSTD_getErrorName(left));
    if (auto written = write_all(to, {out.data(), done.pos}); !written)
      return written;
  } while (mode == ZSTD_e_end ? left > 0 : from.pos < from.size);
  return {};
}

Result<void> compress(int from, int to) {
  const std::unique_ptr<ZSTD_CStream, FreeCompressor> stream{
      ::ZSTD_createCStream()};
  ::ZSTD_CCtx_setParameter(stream.get(), ZSTD_c_compressionLevel,
                           compression_level);
  ::ZSTD_CCtx_setParameter(stream.get(), ZSTD_c_checksumFlag, 1);
  std::array<char, piece_size> piece;
  for (std::uint64_t at = 0;;) {
    const auto got = read_at(from, piece.data(), piece.size(), at);
    if (!got)
      return tl::unexpected(got.error());
    auto done = compress_piece(stream.get(), {piece.data(), *got}, to);
    if (!done || *got == 0)
      return done;
    at += *got;
  }
}

}  // namespace

Result<void> compress_record(const std::string& path) {
  const std::string compressed = path + compressed_suffix;
  const std::string unfinished = compressed + ".part";
  const OwnedFd from = open_to_read(path);
  if (!from.is_open()) {
    const int error = errno;
    if (error == ENOENT && ::access(compressed.c_str(), F_OK) == 0)
      return {};
    return tl::unexpected(
        system_error(fmt::format("cannot read {}", path), error));
  }
  OwnedFd to{::open(unfinished.c_str(),
                    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
  if (!to.is_open())
    return tl::unexpected(
        system_error(fmt::format("cannot write {}", unfinished), errno));
  auto done = compress(from.get(), to.get());
  // The old file may have been on the disk for long: a power cut must not find
  // it gone, and the new one empty.
  if (done && ::fdatasync(to.get()) != 0)
    done = tl::unexpected(
        system_error(fmt::format("cannot sync {}", unfinished), errno));
  if (done && ::rename(unfinished.c_str(), compressed.c_str()) != 0)
    done = tl::unexpected(
        system_error(fmt::format("cannot make {}", compressed), errno));
  if (!done) {
    ::unlink(unfinished.c_str());
    return tl::unexpected(
        std::move(done.error()).within(fmt::format("compress {}", path)));
  }
  ::unlink(path.c_str());
  return {};
}

}  // namespace troupe::process
