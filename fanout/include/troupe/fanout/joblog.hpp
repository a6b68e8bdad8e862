#pragma once

#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>
#include <troupe/fanout/interval_set.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace troupe::fanout {

/// The first line of a job log, with its newline.
inline constexpr std::string_view job_log_header =
    "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\t"
    "Command\n";

/// One line of `--joblog`: a job that has ended for good. The columns are GNU
/// parallel's, so either program can resume from the other's log.
struct JobLogRow {
  std::uint64_t seq = 0;
  std::string host = ":";  ///< ":" is this host.
  WallTime started{};
  Duration runtime{0};
  std::uint64_t sent_bytes = 0;      ///< Files transferred to the job.
  std::uint64_t received_bytes = 0;  ///< Its standard output.
  int exit_value = 0;                ///< -1 for a job that timed out.
  int signal = 0;
  std::string command{};  ///< RenderedCommand::as_text.
};

/// The line for `row`, with its newline. Times have milliseconds; a newline in
/// the command becomes a NUL, as in GNU parallel, so that a job is a line.
[[nodiscard]] std::string format_job_log_row(const JobLogRow& row);

/// Which jobs of a log are not run again.
enum class Resume : std::uint8_t {
  finished,   ///< --resume: all that ended.
  succeeded,  ///< --resume-failed: those that once ended with 0.
};

/// Reads a job log, ours or GNU parallel's, to find out what is left to do.
/// Memory is bounded: lines are not kept, job numbers are intervals.
///
/// A log says nothing about the input or the template it was made for, so
/// resuming is right only with the same input in the same order and the same
/// command; GNU parallel has the same condition.
///
/// A last line without a newline was torn by a crash: its job counts as not
/// finished, and who appends must first cut the file at complete_bytes().
class JobLogReader {
 public:
  explicit JobLogReader(Resume resume) : resume_{resume} {}

  /// Takes the next bytes of the file, in pieces of any size. Not to be called
  /// after an error.
  ///
  /// Errors: corrupt, "line 3 is not a row of a job log"; overloaded, for a
  /// log with about a million gaps.
  [[nodiscard]] Result<void> feed(std::string_view bytes);

  /// The jobs that need not run.
  [[nodiscard]] const IntervalSet& finished() const { return finished_; }

  /// Bytes up to the end of the last complete line. Zero also means that the
  /// header has to be written.
  [[nodiscard]] std::uint64_t complete_bytes() const { return complete_bytes_; }

 private:
  [[nodiscard]] Result<void> end_line();
  [[nodiscard]] tl::unexpected<Error> refuse(std::string_view expected) const;

  Resume resume_;
  IntervalSet finished_;
  std::string columns_;  ///< Of the line being read, up to its eighth tab.
  int tabs_ = 0;
  std::uint64_t lines_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t complete_bytes_ = 0;
};

}  // namespace troupe::fanout
