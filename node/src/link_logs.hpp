#pragma once

/// Output of commands and files that other nodes have, over the links to them:
/// asks for them, and answers those who ask.
#include "log_sink.hpp"

#include <troupe/link/links.hpp>
#include <troupe/process/output_record.hpp>

#include <boost/asio/io_context.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace troupe::node {

/// What another node reads for us, as it comes: the frames of a record, or the
/// bytes of files. Holds
/// no more than its window: whoever does not read on stops that one stream. On
/// the I/O thread; the stream ends with it.
class RemoteLog {
 public:
  /// Bytes that may be on their way or here and unread.
  static constexpr std::uint32_t window = 1 << 20;

  explicit RemoteLog(boost::asio::io_context& io) : io_{io} {}
  ~RemoteLog() { close(); }
  RemoteLog(const RemoteLog&) = delete;
  RemoteLog& operator=(const RemoteLog&) = delete;

  /// The next frame, or none while no more is there; valid until the next call.
  ///
  /// Errors: corrupt, unsupported (what has come is no record).
  [[nodiscard]] Result<std::optional<process::RecordFrame>> next();
  /// At most so many of the bytes that are there, for what is no record; not to
  /// be mixed with next().
  [[nodiscard]] std::string take(std::size_t most);

  /// Nothing more comes.
  [[nodiscard]] bool is_over() const { return is_over_; }
  /// And what came is not all: the link broke, or the other node could not read
  /// on. Also if somebody asked for the end.
  [[nodiscard]] bool is_cut_off() const { return is_cut_off_; }
  [[nodiscard]] bool has_received() const { return has_received_; }

  /// `handler` is called, once, when there is more, or it is over.
  void on_more(std::function<void()> handler) { on_more_ = std::move(handler); }

  /// Nobody wants more. Repeating does nothing.
  void close();

 private:
  friend class LinkLogs;
  void receive(std::string_view bytes);
  void finish(bool is_cut_off);
  void tell();

  boost::asio::io_context& io_;
  std::string pending_;
  std::size_t taken_ = 0;  ///< Of it, and still there for the last frame.
  bool is_over_ = false;
  bool is_cut_off_ = false;
  bool has_received_ = false;
  std::function<void()> on_more_;
  // To the link; nothing once it is over.
  std::function<void(std::uint32_t)> take_;
  std::function<void()> close_;
};

/// All streams of output and files between this node and others. On the I/O
/// thread.
class LinkLogs {
 public:
  /// Sends what `open` asks for to the sink, now and as it comes.
  using Serve =
      std::function<void(const link::LogOpen& open, std::shared_ptr<LogSink>)>;
  /// The same for files.
  using ServeContent = std::function<void(const link::ContentOpen& open,
                                          std::shared_ptr<LogSink>)>;

  LinkLogs(boost::asio::io_context& io, link::Links& links, Serve serve,
           ServeContent serve_content)
      : io_{io},
        links_{links},
        serve_{std::move(serve)},
        serve_content_{std::move(serve_content)} {}
  ~LinkLogs();
  LinkLogs(const LinkLogs&) = delete;
  LinkLogs& operator=(const LinkLogs&) = delete;

  /// Null if there is no link to that node, or too much goes over it.
  [[nodiscard]] std::shared_ptr<RemoteLog> open(const distributed::NodeId& peer,
                                                const link::LogOpen& what);
  /// Likewise; and if that node does not know how.
  [[nodiscard]] std::shared_ptr<RemoteLog> open_content(
      const distributed::NodeId& peer, const link::ContentOpen& what);

  // Of LinksOwner.
  void on_open(const distributed::NodeId& peer, const link::LogOpen& open);
  void on_open(const distributed::NodeId& peer, const link::ContentOpen& open);
  void on_chunk(const distributed::NodeId& peer, const link::LogChunk& chunk);
  void on_close(const distributed::NodeId& peer, const link::LogClose& close);
  void on_room(const distributed::NodeId& peer);
  void on_log_room(const distributed::NodeId& peer, std::uint64_t stream);
  void on_down(const distributed::NodeId& peer);

 private:
  class Sink;
  using StreamName = std::pair<distributed::NodeId, std::uint64_t>;

  [[nodiscard]] std::shared_ptr<RemoteLog> hear(const distributed::NodeId& peer,
                                                std::uint64_t stream);
  [[nodiscard]] std::shared_ptr<LogSink> sink_for(
      const distributed::NodeId& peer, std::uint64_t stream);

  boost::asio::io_context& io_;
  link::Links& links_;
  Serve serve_;
  ServeContent serve_content_;
  std::map<StreamName, std::weak_ptr<RemoteLog>> asked_;
  std::map<StreamName, std::shared_ptr<Sink>> answered_;
};

}  // namespace troupe::node
