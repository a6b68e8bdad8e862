#pragma once

#include <troupe/api/http.hpp>

#include <functional>
#include <optional>
#include <string_view>
#include <utility>

namespace troupe::node {

/// Who a log is sent to. On the I/O thread.
class LogSink {
 public:
  virtual ~LogSink() = default;

  virtual void write(std::string_view bytes) = 0;
  /// Whether there is room for some frames more.
  [[nodiscard]] virtual bool wants_more() const = 0;
  /// `handler` is called once there is room again; never once it is over.
  virtual void on_drained(std::function<void()> handler) = 0;
  /// `handler` is called when nobody wants more.
  virtual void on_closed(std::function<void()> handler) = 0;
  /// All has been written. Repeating does nothing.
  virtual void end() = 0;
  /// What was written is not all, and may be asked for once more.
  virtual void break_off() = 0;
  [[nodiscard]] virtual bool is_over() const = 0;
};

/// A client on the socket.
class HttpLogSink final : public LogSink {
 public:
  explicit HttpLogSink(api::HttpStream stream) : stream_{std::move(stream)} {}

  void write(std::string_view bytes) override {
    if (stream_)
      stream_->write(bytes);
  }
  [[nodiscard]] bool wants_more() const override {
    return stream_ && stream_->wants_more();
  }
  void on_drained(std::function<void()> handler) override {
    if (stream_)
      stream_->on_drained(std::move(handler));
  }
  void on_closed(std::function<void()> handler) override {
    if (stream_)
      stream_->on_closed(std::move(handler));
  }
  void end() override {
    if (stream_)
      stream_->end();
  }
  void break_off() override { stream_.reset(); }
  [[nodiscard]] bool is_over() const override {
    return !stream_ || stream_->is_over();
  }

 private:
  std::optional<api::HttpStream> stream_;  ///< None once it is broken off.
};

}  // namespace troupe::node
