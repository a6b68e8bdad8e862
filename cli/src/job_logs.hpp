#pragma once

/// Printing what tasks of the queue have written.
#include "job_words.hpp"
#include "queue_context.hpp"

#include <troupe/process/output_record.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace troupe::cli {

struct JobLogOptions {
  bool follow = false;
  std::optional<std::uint64_t> tail;        ///< Lines from the end.
  std::optional<std::uint64_t> attempt;     ///< The last one if there is none.
  std::optional<process::RecordKind> only;  ///< One of the two streams.
  bool timestamps = false;                  ///< When each line came.
};

/// What is to be printed of a record that comes in pieces. Pure.
class RecordText {
 public:
  RecordText(std::optional<process::RecordKind> only, bool timestamps)
      : only_{only}, timestamps_{timestamps} {}

  /// The text that `bytes` complete.
  ///
  /// Errors: corrupt, unsupported (it is no record).
  [[nodiscard]] Result<std::string> add(std::string_view bytes);

 private:
  void print(const process::RecordFrame& frame, std::string& out);

  std::optional<process::RecordKind> only_;
  bool timestamps_;
  std::string pending_;
  bool has_header_ = false;
  bool is_line_begun_ = false;
};

/// Puts a text before each line of what comes in pieces. Pure.
class LinePrefixer {
 public:
  explicit LinePrefixer(std::string prefix) : prefix_{std::move(prefix)} {}

  /// The lines that `bytes` complete. A line that is longer than 64 KiB is cut
  /// into several.
  [[nodiscard]] std::string add(std::string_view bytes);
  /// What is left, as a line.
  [[nodiscard]] std::string finish();

 private:
  std::string prefix_;
  std::string pending_;
};

/// Prints the log of a task, or of all tasks of a job: of one task byte for
/// byte, of several each line with the task before it. Blocks.
///
/// Errors: those of the node.
[[nodiscard]] Result<void> print_job_log(NodeSession& session,
                                         const TaskName& name,
                                         const JobLogOptions& options);

}  // namespace troupe::cli
