#pragma once

/// Sends what an attempt has written, and what it goes on to write.
#include "link_logs.hpp"
#include "log_sink.hpp"

#include <troupe/process/output_record.hpp>
#include <troupe/queue/store_access.hpp>
#include <troupe/store/job.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace troupe::node {

/// How a log is sent.
enum class LogFormat : std::uint8_t {
  raw = 1,     ///< What was written, and nothing else.
  record = 2,  ///< As it is recorded, with stream and time.
  frames = 3,  ///< Likewise, without what a file begins with.
};

struct LogRequest {
  store::TaskRef task;
  std::uint32_t attempt = 0;  ///< Zero: the last, and those that follow.
  bool follow = false;        ///< Until the task has ended.
  std::optional<std::uint64_t> tail;  ///< Lines.
  LogFormat format = LogFormat::raw;
};

/// Who has what an attempt has written, if it is not here.
struct LogOwner {
  std::string node;            ///< By name, if the attempt has ended.
  store::SessionId session{};  ///< If it runs.
};

/// Where logs are.
struct LogPlaces {
  boost::asio::io_context& io;
  queue::StoreAccess& store;
  std::string output_folder;
  /// Of other nodes: null if that one cannot be asked now. Nothing: only what
  /// is here counts.
  std::function<std::shared_ptr<RemoteLog>(const LogOwner& owner,
                                           const link::LogOpen& what)>
      ask_owner{};
};

/// One client that reads a log; on the I/O thread. Reads no more than the
/// client takes. Keeps itself until it is done or the client is gone.
///
/// The output is in a file of this node, or comes from the node that has it, or
/// else the end of it is in the store, once the attempt has ended.
class LogStream : public std::enable_shared_from_this<LogStream> {
 public:
  /// `first` is the attempt to begin with.
  static void start(LogPlaces places, const LogRequest& request,
                    std::uint32_t first, std::shared_ptr<LogSink> sink);

  LogStream(LogPlaces places, const LogRequest& request, std::uint32_t first,
            std::shared_ptr<LogSink> sink);

 private:
  void send();
  void send_later();
  [[nodiscard]] bool open();
  [[nodiscard]] Result<std::optional<process::RecordFrame>> next_frame();
  void look_elsewhere();
  void take_elsewhere(const LogOwner& owner, std::string tail);
  void take_tail();
  void send_tail();
  void write(const process::RecordFrame& frame);
  void at_end();
  void ask_whether_ended();
  void on_task(const Result<store::TaskInfo>& task);
  void look_again();

  LogPlaces places_;
  LogRequest request_;
  std::uint32_t attempt_;
  std::shared_ptr<LogSink> sink_;
  boost::asio::steady_timer timer_;
  std::optional<process::RecordReader> reader_;
  std::shared_ptr<RemoteLog> remote_;
  std::string stored_tail_;  ///< Of this attempt, for want of better.
  std::optional<TimePoint> looked_elsewhere_;
  bool has_header_ = false;
  bool is_last_ = false;  ///< The attempt has ended: what is there is all.
  std::uint32_t next_attempt_ = 0;  ///< Zero: none.
};

}  // namespace troupe::node
