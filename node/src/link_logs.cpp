#include "link_logs.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <vector>

namespace troupe::node {
namespace {

using distributed::NodeId;

/// Of one reader, before the link takes it: two frames of the largest size.
constexpr std::size_t most_unsent = 128 << 10;

}  // namespace

// -- What was asked for -------------------------------------------------------

Result<std::optional<process::RecordFrame>> RemoteLog::next() {
  if (taken_ != 0) {
    pending_.erase(0, taken_);
    if (take_)
      take_(static_cast<std::uint32_t>(taken_));
    taken_ = 0;
  }
  auto parsed = process::parse_record_frame(pending_);
  if (!parsed)
    return tl::unexpected(std::move(parsed.error()));
  if (!*parsed)
    return std::optional<process::RecordFrame>{};
  taken_ = (*parsed)->size;
  return std::optional{(*parsed)->frame};
}

std::string RemoteLog::take(std::size_t most) {
  std::string bytes = pending_.substr(0, most);
  pending_.erase(0, bytes.size());
  if (!bytes.empty() && take_)
    take_(static_cast<std::uint32_t>(bytes.size()));
  return bytes;
}

void RemoteLog::receive(std::string_view bytes) {
  has_received_ = true;
  pending_ += bytes;
  tell();
}

void RemoteLog::finish(bool is_cut_off) {
  is_over_ = true;
  is_cut_off_ = is_cut_off;
  take_ = nullptr;
  close_ = nullptr;
  tell();
}

void RemoteLog::tell() {
  if (auto handler = std::exchange(on_more_, nullptr))
    boost::asio::post(io_, std::move(handler));
}

void RemoteLog::close() {
  if (is_over_)
    return;
  is_over_ = true;
  is_cut_off_ = true;
  take_ = nullptr;
  if (const auto close = std::exchange(close_, nullptr))
    close();
  tell();
}

// -- What is answered ---------------------------------------------------------

/// Somebody at another node.
class LinkLogs::Sink final : public LogSink,
                             public std::enable_shared_from_this<Sink> {
 public:
  Sink(LinkLogs& all, StreamName name)
      : io_{all.io_}, all_{&all}, name_{std::move(name)} {}

  void write(std::string_view bytes) override {
    if (is_over())
      return;
    unsent_ += bytes;
    pump_later();
  }
  [[nodiscard]] bool wants_more() const override {
    return !is_over() && unsent_.size() < most_unsent;
  }
  void on_drained(std::function<void()> handler) override {
    on_drained_ = std::move(handler);
    pump_later();
  }
  void on_closed(std::function<void()> handler) override {
    on_closed_ = std::move(handler);
  }
  void end() override {
    is_ending_ = true;
    pump_later();
  }
  void break_off() override { leave("it cannot be read on"); }
  [[nodiscard]] bool is_over() const override {
    return all_ == nullptr || is_ending_;
  }

  /// The link may have room.
  void pump() {
    while (all_ != nullptr && !unsent_.empty()) {
      const std::size_t room = std::min<std::size_t>(
          {all_->links_.log_room(name_.first, name_.second), unsent_.size(),
           link::largest_chunk});
      if (room == 0)
        return;
      const auto sent = all_->links_.send_log(
          name_.first, {.stream = name_.second,
                        .offset = sent_bytes_,
                        .bytes = unsent_.substr(0, room)});
      if (!sent && sent.error().code == Errc::overloaded)
        return;  // Links::on_room tells.
      if (!sent) {
        leave("it cannot be sent");
        return;
      }
      unsent_.erase(0, room);
      sent_bytes_ += room;
    }
    if (is_ending_)
      leave("");
    else if (auto handler = std::exchange(on_drained_, nullptr))
      handler();
  }

  /// Nobody is there any more.
  void forget() {
    if (std::exchange(all_, nullptr) == nullptr)
      return;
    on_drained_ = nullptr;
    if (const auto handler = std::exchange(on_closed_, nullptr))
      boost::asio::post(io_, handler);
  }

 private:
  void pump_later() {
    if (all_ == nullptr || std::exchange(is_pump_posted_, true))
      return;
    boost::asio::post(io_, [self = shared_from_this()] {
      self->is_pump_posted_ = false;
      self->pump();
    });
  }

  void leave(std::string reason) {
    LinkLogs* const all = all_;
    if (all == nullptr)
      return;
    all->links_.close_log(name_.first, name_.second, link::LogSide::answered,
                          std::move(reason));
    // The last but for who calls us.
    const auto self = shared_from_this();
    all->answered_.erase(name_);
    forget();
  }

  boost::asio::io_context& io_;
  LinkLogs* all_;  ///< Null once it is over.
  StreamName name_;
  std::string unsent_;
  std::uint64_t sent_bytes_ = 0;
  bool is_ending_ = false;
  bool is_pump_posted_ = false;
  std::function<void()> on_drained_;
  std::function<void()> on_closed_;
};

// -- Both ---------------------------------------------------------------------

LinkLogs::~LinkLogs() {
  for (const auto& [name, sink] : std::exchange(answered_, {}))
    sink->forget();
  for (const auto& [name, weak] : std::exchange(asked_, {})) {
    if (const auto log = weak.lock())
      log->finish(/*is_cut_off=*/true);
  }
}

std::shared_ptr<RemoteLog> LinkLogs::open(const NodeId& peer,
                                          const link::LogOpen& what) {
  const auto stream = links_.open_log(peer, what, RemoteLog::window);
  return stream ? hear(peer, *stream) : nullptr;
}

std::shared_ptr<RemoteLog> LinkLogs::open_content(
    const NodeId& peer, const link::ContentOpen& what) {
  const auto stream = links_.open_content(peer, what, RemoteLog::window);
  return stream ? hear(peer, *stream) : nullptr;
}

std::shared_ptr<RemoteLog> LinkLogs::hear(const NodeId& peer,
                                          std::uint64_t stream) {
  auto log = std::make_shared<RemoteLog>(io_);
  log->take_ = [this, peer, stream](std::uint32_t bytes) {
    links_.log_taken(peer, stream, bytes);
  };
  log->close_ = [this, peer, stream] {
    links_.close_log(peer, stream, link::LogSide::asked, "");
    asked_.erase({peer, stream});
  };
  asked_[{peer, stream}] = log;
  return log;
}

void LinkLogs::on_open(const NodeId& peer, const link::LogOpen& open) {
  serve_(open, sink_for(peer, open.stream));
}

void LinkLogs::on_open(const NodeId& peer, const link::ContentOpen& open) {
  serve_content_(open, sink_for(peer, open.stream));
}

std::shared_ptr<LogSink> LinkLogs::sink_for(const NodeId& peer,
                                            std::uint64_t stream) {
  auto sink = std::make_shared<Sink>(*this, StreamName{peer, stream});
  answered_[{peer, stream}] = sink;
  return sink;
}

void LinkLogs::on_chunk(const NodeId& peer, const link::LogChunk& chunk) {
  const auto found = asked_.find({peer, chunk.stream});
  if (found == asked_.end())
    return;
  if (const auto log = found->second.lock())
    log->receive(chunk.bytes);
}

void LinkLogs::on_close(const NodeId& peer, const link::LogClose& close) {
  const StreamName name{peer, close.stream};
  if (close.side == link::LogSide::asked) {
    if (const auto found = answered_.find(name); found != answered_.end()) {
      const auto sink = found->second;
      answered_.erase(found);
      sink->forget();
    }
    return;
  }
  const auto found = asked_.find(name);
  if (found == asked_.end())
    return;
  const auto log = found->second.lock();
  asked_.erase(found);
  if (log)
    log->finish(/*is_cut_off=*/!close.reason.empty());
}

void LinkLogs::on_room(const NodeId& peer) {
  std::vector<std::shared_ptr<Sink>> all;
  for (auto at = answered_.lower_bound({peer, 0});
       at != answered_.end() && at->first.first == peer; ++at)
    all.push_back(at->second);
  for (const auto& sink : all)
    sink->pump();
}

void LinkLogs::on_log_room(const NodeId& peer, std::uint64_t stream) {
  const auto found = answered_.find({peer, stream});
  if (found == answered_.end())
    return;
  const auto sink = found->second;
  sink->pump();
}

void LinkLogs::on_down(const NodeId& peer) {
  const auto of_peer = [&peer](const auto& entry) {
    return entry.first.first == peer;
  };
  for (const auto& [name, sink] : answered_) {
    if (name.first == peer)
      sink->forget();
  }
  std::erase_if(answered_, of_peer);
  std::vector<std::shared_ptr<RemoteLog>> cut;
  for (const auto& [name, weak] : asked_) {
    if (name.first == peer)
      cut.push_back(weak.lock());
  }
  std::erase_if(asked_, of_peer);
  for (const auto& log : cut) {
    if (log)
      log->finish(/*is_cut_off=*/true);
  }
}

}  // namespace troupe::node
