#pragma once

#include <troupe/actors/command_request.hpp>
#include <troupe/base/error.hpp>
#include <troupe/base/owned_fd.hpp>
#include <troupe/workflow/outputs.hpp>
#include <troupe/workflow/secret_mask.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::cli {

/// The folder of one run, $XDG_STATE_HOME/troupe/runs/RUN_ID: logs, outputs on
/// their way, and at the end run.json. For its owner alone (mode 0700).
/// Immutable; a lock on it, held as long as it lives, keeps other runs from
/// deleting it.
class RunFolder {
 public:
  /// Makes it, and deletes the runs that are too old to keep. `notes` gets what
  /// the user should know. Blocks: for main().
  ///
  /// Errors: those of the system, naming the folder.
  [[nodiscard]] static Result<std::unique_ptr<const RunFolder>> make(
      std::vector<std::string>& notes);

  /// Whether the last run before this one of the workflow of that name and
  /// file has failed; those that were cancelled do not count. Blocks.
  [[nodiscard]] bool failed_before(const std::string& workflow,
                                   const std::string& file) const;

  [[nodiscard]] const std::string& id() const { return id_; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  RunFolder(std::string id, std::string path, OwnedFd lock);

  std::string id_;
  std::string path_;
  OwnedFd lock_;
};

/// Captured output of one attempt on its way into a file, and the empty file
/// that the attempt adds outputs to. Both are made when the attempt is about to
/// start, so that an attempt without output has an empty log.
class AttemptLog : public process::OutputSink {
 public:
  /// What of the output is secret is masked. Of standard output, a little more
  /// than `keep` bytes are kept as they are.
  AttemptLog(std::string folder, std::string path, std::string outputs,
             std::shared_ptr<const workflow::SecretMask> mask,
             std::size_t keep);
  ~AttemptLog() override { finish(); }
  AttemptLog(const AttemptLog&) = delete;
  AttemptLog& operator=(const AttemptLog&) = delete;

  void on_attach(std::function<void()> resume) override;
  [[nodiscard]] process::SinkState write(process::Stream stream,
                                         std::string_view bytes) override;

  /// Writes what was held back, since it could have been the start of a secret.
  /// To be called once nothing more comes; a repeat does nothing.
  void finish();

  /// Open for reading by offset, or negative.
  [[nodiscard]] int file() const { return file_.get(); }
  [[nodiscard]] bool empty() const { return bytes_ == 0; }
  [[nodiscard]] bool ends_in_newline() const { return last_ == '\n'; }
  /// Why some of the output is not in the file; empty if all of it is.
  [[nodiscard]] const std::string& problem() const { return problem_; }
  /// The first bytes of standard output, secrets and all.
  [[nodiscard]] const std::string& printed() const { return printed_; }

 private:
  void append(std::string_view bytes);

  std::string folder_;
  std::string path_;
  std::string outputs_;
  workflow::SecretFilter filter_;
  std::size_t keep_;
  std::string printed_;
  OwnedFd file_;
  std::uint64_t bytes_ = 0;
  char last_ = '\n';
  std::string problem_;
};

/// The output of one step, a log per attempt. Its sinks write on the I/O
/// thread; the rest is for after the step's end.
class StepLog : public actors::OutputSinks {
 public:
  /// Log files are FOLDER/KEY.N.log; `outputs` is the file with that name.
  StepLog(std::string folder, std::string key, std::string outputs,
          std::shared_ptr<const workflow::SecretMask> mask,
          std::vector<workflow::PrintedOutput> printed);

  [[nodiscard]] std::shared_ptr<process::OutputSink> for_attempt(
      std::uint32_t attempt) override;

  /// Finishes the last attempt's log. On the I/O thread.
  void finish();

  /// Adds what the step hands on of what its last attempt has printed to
  /// `outputs`. What of it is secret is masked. On the I/O thread.
  ///
  /// Errors: those of workflow::add_printed().
  [[nodiscard]] Result<void> take_printed(workflow::Outputs& outputs) const;

  [[nodiscard]] std::string path(std::uint32_t attempt) const;
  [[nodiscard]] const std::string& outputs() const { return outputs_; }

  /// The last attempt's log; null if there was none. It keeps its file open.
  [[nodiscard]] std::shared_ptr<const AttemptLog> last() const { return last_; }

 private:
  std::string folder_;
  std::string key_;
  std::string outputs_;
  std::shared_ptr<const workflow::SecretMask> mask_;
  std::vector<workflow::PrintedOutput> printed_;
  std::uint32_t attempt_ = 0;  ///< That of last_.
  std::shared_ptr<AttemptLog> last_;
};

/// Reads what a step wrote to its file of outputs, and removes the file. What
/// of it is secret is masked. Blocks: for the I/O thread.
///
/// Errors: those of parse_outputs(); invalid_argument, if it is no file.
[[nodiscard]] Result<workflow::Outputs> take_outputs(
    const std::string& path, const workflow::SecretMask& mask);

}  // namespace troupe::cli
