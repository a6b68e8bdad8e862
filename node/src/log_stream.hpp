#pragma once

/// Sends what an attempt has written, and what it goes on to write.
#include <troupe/api/http.hpp>
#include <troupe/process/output_record.hpp>
#include <troupe/queue/store_access.hpp>
#include <troupe/store/job.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace troupe::node {

struct LogRequest {
  store::TaskRef task;
  std::uint32_t attempt = 0;  ///< Zero: the last, and those that follow.
  bool follow = false;        ///< Until the task has ended.
  std::optional<std::uint64_t> tail;  ///< Lines.
  bool as_record = false;             ///< With stream and time.
};

/// One client that reads a log; on the I/O thread. Reads no more than the
/// client takes. Keeps itself until it is done or the client is gone.
class LogStream : public std::enable_shared_from_this<LogStream> {
 public:
  /// `first` is the attempt to begin with.
  static void start(boost::asio::io_context& io, queue::StoreAccess& store,
                    const std::string& output_folder, const LogRequest& request,
                    std::uint32_t first, const api::HttpStream& stream);

  LogStream(boost::asio::io_context& io, queue::StoreAccess& store,
            std::string output_folder, const LogRequest& request,
            std::uint32_t first, api::HttpStream stream);

 private:
  void send();
  [[nodiscard]] bool open();
  void ask_for_tail();
  void take_tail(const std::string& record);
  void send_tail();
  void write(const process::RecordFrame& frame);
  void at_end();
  void ask_whether_ended();
  void on_task(const Result<store::TaskInfo>& task);
  void look_again();

  boost::asio::io_context& io_;
  queue::StoreAccess& store_;
  std::string output_folder_;
  LogRequest request_;
  std::uint32_t attempt_;
  api::HttpStream stream_;
  boost::asio::steady_timer timer_;
  std::optional<process::RecordReader> reader_;
  bool has_asked_for_tail_ = false;  ///< Since it was last looked.
  bool has_header_ = false;
  bool is_last_ = false;  ///< The attempt has ended: what is there is all.
  std::uint32_t next_attempt_ = 0;  ///< Zero: none.
};

}  // namespace troupe::node
