#pragma once

/// Reads along while output passes to where it belongs: what an attempt's
/// record and its success criteria need to know of it.
#include <troupe/actors/command_core.hpp>
#include <troupe/actors/command_request.hpp>
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

}  // namespace troupe::actors
