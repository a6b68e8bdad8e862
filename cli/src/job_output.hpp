#pragma once

/// What a job of a map prints, on its way from the command to our streams.
#include <troupe/actors/caf.hpp>
#include <troupe/actors/command_request.hpp>
#include <troupe/base/error.hpp>
#include <troupe/fanout/results_path.hpp>
#include <troupe/process/output_sink.hpp>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace troupe::cli {

/// Bytes kept in order: the first in memory, what is more in a file that has no
/// name and disappears with it. Written by one thread, then read by another.
class Spool {
 public:
  Spool() = default;
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;
  ~Spool();

  void write(std::string_view bytes);

  [[nodiscard]] const std::string& memory() const { return memory_; }
  /// What follows after memory(), or -1 if nothing does. Owned by the spool.
  [[nodiscard]] int file() const { return file_; }
  [[nodiscard]] bool empty() const { return memory_.empty(); }
  /// Why some of it is lost, as errno: the temporary folder was full, say, or
  /// missing. 0 if nothing is.
  [[nodiscard]] int lost_by() const { return lost_by_; }

 private:
  std::string memory_;
  int file_ = -1;
  int lost_by_ = 0;
};

/// Puts a text before each line of a stream that comes in pieces.
class LinePrefix {
 public:
  explicit LinePrefix(std::string prefix) : prefix_{std::move(prefix)} {}
  /// `bytes` themselves if there is nothing to put before them; else valid
  /// until the next call.
  [[nodiscard]] std::string_view apply(std::string_view bytes);
  [[nodiscard]] bool empty() const { return prefix_.empty(); }

 private:
  std::string prefix_;
  std::string applied_;
  bool at_line_start_ = true;
};

/// How the outputs of jobs reach our own streams.
enum class Grouping : std::uint8_t {
  by_job,   ///< A job's output as a whole, once it has ended.
  by_line,  ///< Whole lines as they come, of all jobs.
  none,     ///< Untouched; the jobs inherit our streams.
};

/// The output of one job, over all its attempts: what the last attempt wrote.
/// Sinks write on the I/O thread; `finish` and `print` are for after the last
/// attempt.
class JobOutput : public actors::OutputSinks,
                  public std::enable_shared_from_this<JobOutput> {
 public:
  struct Options {
    Grouping grouping = Grouping::by_job;
    std::string tag;  ///< With its tab; empty for none.
    /// --results; empty paths for none.
    fanout::ResultsPaths results;
  };

  JobOutput(Options options, actors::ActorRef printer);

  [[nodiscard]] std::shared_ptr<process::OutputSink> for_attempt(
      std::uint32_t attempt) override;

  /// Sends the rest of the last line to the printer, if lines are printed as
  /// they come, and closes the files of --results. Returns what of the output
  /// is lost because a file could not be written.
  [[nodiscard]] std::optional<Error> finish();

  /// Sends what was kept to the printer; `done` is called once it is written.
  void print(std::function<void()> done);

 private:
  class GroupSink;
  class LineSink;
  class ResultFiles;

  void begin_attempt();

  Options options_;
  actors::ActorRef printer_;
  std::uint32_t attempt_ = 0;
  std::shared_ptr<GroupSink> group_;
  std::shared_ptr<LineSink> lines_;
  std::shared_ptr<ResultFiles> results_;
};

}  // namespace troupe::cli
