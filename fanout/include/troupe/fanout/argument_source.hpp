#pragma once

#include <troupe/base/error.hpp>
#include <troupe/fanout/arguments.hpp>
#include <troupe/fanout/column_separator.hpp>
#include <troupe/fanout/record_reader.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace troupe::fanout {

/// One source of arguments, opened: either words or bytes.
struct ArgumentSource {
  std::string name{};                   ///< For errors: "urls.txt".
  std::vector<std::string> words{};     ///< Used as they are, newlines and all.
  std::unique_ptr<ByteReader> bytes{};  ///< If set, read instead of `words`.
  bool linked = false;  ///< Goes in step with the source before it (:::+).
};

/// How sources become the arguments of jobs.
struct ArgumentOptions {
  RecordFormat format{};
  std::optional<ColumnSeparator> columns{};  ///< --colsep
  /// --link: all sources go in step, and the shorter ones start over.
  bool link = false;
  std::size_t rows_per_job = 1;  ///< -n; the last job may get fewer.
  /// Of all arguments of one job, each with 9 bytes for its end and pointer.
  /// The default is half of what Linux usually allows for arguments and
  /// environment together.
  std::size_t most_job_bytes = 1 << 20;
  /// Of what has to be kept to be repeated: all sources of a product but the
  /// first, and all of --link until only one is left.
  std::uint64_t most_kept_bytes = 256ULL << 20;
};

class RowStream;

/// The arguments of one job after another, pulled by the dispatcher.
///
/// A row has one value of each source, or with --colsep all its columns.
/// Several sources give their product, the first varying slowest; linked ones
/// count as one that ends with its shortest. A source without any row makes the
/// product empty.
///
/// Constant memory: the first source of a product is read as jobs are asked
/// for, so an endless standard input works. Not thread-safe; blocks while the
/// ByteReaders do.
class ArgumentStream {
 public:
  /// `sources` has at least one; the first is not `linked`. `rows_per_job` is
  /// at least 1.
  ArgumentStream(std::vector<ArgumentSource> sources,
                 const ArgumentOptions& options);
  ~ArgumentStream();
  ArgumentStream(ArgumentStream&&) noexcept;
  ArgumentStream& operator=(ArgumentStream&&) noexcept;

  /// The next job's arguments; none at the end, and then always none. An error
  /// is final: it is returned again.
  ///
  /// Errors: as RecordReader::next; invalid_argument, "job 4: its arguments
  /// have …"; overloaded, if more than most_kept_bytes would have to be kept.
  [[nodiscard]] Result<std::optional<Arguments>> next();

  /// How many jobs there will be, if that is known without reading: when every
  /// source is words.
  [[nodiscard]] std::optional<std::uint64_t> total_jobs() const;

 private:
  [[nodiscard]] Result<std::optional<Arguments>> next_job();

  std::unique_ptr<RowStream> rows_;
  std::size_t rows_per_job_;
  std::size_t most_job_bytes_;
  std::optional<std::uint64_t> total_jobs_;
  std::uint64_t jobs_ = 0;
  bool at_end_ = false;
  std::optional<Error> error_;
};

}  // namespace troupe::fanout
