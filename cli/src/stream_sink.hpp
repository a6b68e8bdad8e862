#pragma once

#include <troupe/process/output_sink.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <functional>
#include <optional>
#include <string>

namespace troupe::cli {

/// Passes captured output to a standard stream of ours as it comes, on the I/O
/// thread and without waiting for whoever reads it: only so much is written as
/// poll(2) says there is room for. What waits is bounded; beyond that the
/// command is held back.
class StreamSink : public process::OutputSink {
 public:
  /// `fd` stays the caller's. `on_broken` is called once, if the stream can no
  /// longer be written to; what comes after that is dropped.
  StreamSink(boost::asio::io_context& io, int fd,
             std::function<void()> on_broken);

  void on_attach(std::function<void()> resume) override;
  [[nodiscard]] process::SinkState write(process::Stream stream,
                                         std::string_view bytes) override;

  /// Calls `done` once nothing waits to be written, perhaps at once.
  void when_written(std::function<void()> done);

 private:
  void write_what_fits();
  void wait_for_room();
  void drop_all();
  void end_waiting();

  int fd_;
  std::optional<boost::asio::posix::stream_descriptor> descriptor_;
  boost::asio::io_context& io_;
  std::function<void()> on_broken_;
  std::function<void()> resume_;
  std::function<void()> done_;
  std::string waiting_;
  bool is_broken_ = false;
  bool is_held_back_ = false;
};

}  // namespace troupe::cli
