#pragma once

/// Reads along while output passes to where it belongs: what an attempt's
/// record and its success criteria need to know of it.
#include <troupe/actors/command_core.hpp>
#include <troupe/actors/command_request.hpp>
#include <troupe/process/command_runner.hpp>
#include <troupe/process/output_digest.hpp>
#include <troupe/process/output_sink.hpp>

#include <memory>

namespace troupe::actors {

/// Written by the I/O thread until the attempt has ended, read by who
/// looks after the command after that.
class DigestSink : public process::OutputSink {
 public:
  /// `inner` may be null.
  DigestSink(const CommandRequest& request,
             std::shared_ptr<process::OutputSink> inner);

  void on_attach(std::function<void()> resume) override;
  [[nodiscard]] process::SinkState write(process::Stream stream,
                                         std::string_view bytes) override;

  /// Fills in the tails and the texts that were found.
  void report(AttemptSeen& seen) const;

 private:
  struct Digest {
    process::Tail tail;
    process::TextFinder texts;
  };
  Digest out_;
  Digest err_;
  std::size_t text_count_;
  std::shared_ptr<process::OutputSink> inner_;
};

/// Has `runner` start an attempt at `request`, which stays alive for as long as
/// that needs it. What is captured goes to `inner`, which may be null, and is
/// read along. Not before `predecessor` has ended, if there is one: see
/// CommandRunner::start_after().
void start_attempt(process::CommandRunner& runner, process::AttemptId id,
                   const std::shared_ptr<const CommandRequest>& request,
                   std::shared_ptr<process::OutputSink> inner,
                   process::AttemptHandler handler,
                   std::optional<process::AttemptId> predecessor = {});

/// What there is to be judged of an attempt that was started so and has ended
/// at `ended`.
[[nodiscard]] AttemptSeen seen_of(const process::AttemptEnded& event,
                                  WallTime ended);

}  // namespace troupe::actors
