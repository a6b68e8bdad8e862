#pragma once

/// Writes to standard output and standard error, which a slow terminal or a
/// stopped reader may block for ever: an actor with a thread of its own, so
/// that nobody else waits. What waits to be written is bounded by back-pressure
/// to the commands (PrinterSink) and by the callers' own windows.
#include <troupe/actors/caf.hpp>
#include <troupe/process/output_sink.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace troupe::cli {

/// A piece of text, or a file, to be written.
struct PrintJob {
  int fd = 1;  ///< Standard output, error, or a file; stays open.
  std::string bytes;
  /// Written after `bytes`, from its start; closed by the owner of the job.
  /// Negative for none.
  int file = -1;
  /// Tells of something that was printed before: left out if that did not
  /// arrive, because standard output can no longer be written to.
  bool about_output = false;
  /// `bytes` are lines that stay below all else that is printed, without a
  /// line break at the end, and replace those before; empty for none any more.
  /// For terminals.
  bool is_footer = false;
  /// Called on the printer's thread with errno's value if this is the first job
  /// for its descriptor that could not be written.
  std::function<void(int errno_value)> on_failed;
  /// Called on the printer's thread when all of it has been written, or could
  /// not be.
  std::function<void()> done;
};

/// Prints in the order of arrival. No answer.
struct Print {
  std::shared_ptr<const PrintJob> job;
};

/// Called with a descriptor that can no longer be written to and the value of
/// errno that says why; on the printer's thread, once for each descriptor.
using OnBroken = std::function<void(int fd, int errno_value)>;

[[nodiscard]] actors::ActorRef spawn_printer(actors::ActorSystem& system,
                                             OnBroken on_broken);

/// Passes captured output straight to the printer, as it comes.
class PrinterSink : public process::OutputSink {
 public:
  /// `out` and `err` are the descriptors that the two streams go to.
  PrinterSink(actors::ActorRef printer, int out, int err)
      : printer_{std::move(printer)}, out_{out}, err_{err} {}

  void on_attach(std::function<void()> resume) override {
    resume_ = std::move(resume);
  }
  [[nodiscard]] process::SinkState write(process::Stream stream,
                                         std::string_view bytes) override {
    return print(stream, std::string{bytes});
  }
  /// The same without a copy.
  [[nodiscard]] process::SinkState print(process::Stream stream,
                                         std::string text);

 private:
  actors::ActorRef printer_;
  int out_;
  int err_;
  std::function<void()> resume_;
  /// Given to the printer and not written yet; shared with its thread.
  std::shared_ptr<std::atomic<std::size_t>> waiting_ =
      std::make_shared<std::atomic<std::size_t>>(0);
};

}  // namespace troupe::cli

TROUPE_LOCAL_MESSAGE(troupe::cli::Print)
