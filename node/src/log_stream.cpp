#include "log_stream.hpp"

#include <troupe/base/owned_fd.hpp>
#include <troupe/queue/attempt_end.hpp>
#include <troupe/queue/dispatcher_actor.hpp>

#include <boost/asio/post.hpp>

#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace troupe::node {
namespace {

/// Between two looks at a file that grows.
constexpr Duration growth_look_interval = 50ms;
/// Frames between two turns of others on the I/O thread.
constexpr int most_frames_per_turn = 64;

}  // namespace

void LogStream::start(boost::asio::io_context& io, queue::StoreAccess& store,
                      const std::string& output_folder,
                      const LogRequest& request, std::uint32_t first,
                      const api::HttpStream& stream) {
  const auto log = std::make_shared<LogStream>(io, store, output_folder,
                                               request, first, stream);
  boost::asio::post(io, [log] { log->send(); });
}

LogStream::LogStream(boost::asio::io_context& io, queue::StoreAccess& store,
                     std::string output_folder, const LogRequest& request,
                     std::uint32_t first, api::HttpStream stream)
    : io_{io},
      store_{store},
      output_folder_{std::move(output_folder)},
      request_{request},
      attempt_{first},
      stream_{std::move(stream)},
      timer_{io} {}

void LogStream::write(const process::RecordFrame& frame) {
  if (!request_.as_record) {
    stream_.write(frame.bytes);
    return;
  }
  if (!std::exchange(has_header_, true))
    stream_.write(process::record_header());
  stream_.write(process::record_frame_header(frame));
  stream_.write(frame.bytes);
}

bool LogStream::open() {
  if (reader_)
    return true;
  auto reader = process::RecordReader::open(queue::record_path(
      output_folder_, {request_.task, std::max(attempt_, 1U)}));
  if (!reader)
    return false;
  reader_.emplace(std::move(*reader));
  return true;
}

void LogStream::send_tail() {
  const auto lines = std::exchange(request_.tail, std::nullopt);
  const auto pieces = reader_->tail(static_cast<std::size_t>(*lines));
  if (!pieces)
    return;
  for (const process::RecordPiece& piece : *pieces)
    write({.kind = piece.kind,
           .time = piece.time,
           .bytes = piece.bytes,
           .unrecorded_bytes = piece.unrecorded_bytes});
}

void LogStream::send() {
  if (stream_.is_over())
    return;
  if (!open()) {
    at_end();
    return;
  }
  if (request_.tail)
    send_tail();
  for (int i = 0; i < most_frames_per_turn && stream_.wants_more(); ++i) {
    const auto frame = reader_->next();
    // A damaged record ends where the damage begins.
    if (!frame || !*frame) {
      at_end();
      return;
    }
    write(**frame);
  }
  if (stream_.wants_more())
    boost::asio::post(io_, [self = shared_from_this()] { self->send(); });
  else
    stream_.on_drained([self = shared_from_this()] { self->send(); });
}

/// What another node has run has its end in the store, once it is there.
void LogStream::ask_for_tail() {
  queue::call(
      store_,
      [task = request_.task,
       attempt = attempt_](store::Store& store) -> Result<std::string> {
        const auto ended = store.attempts(task);
        if (!ended)
          return tl::unexpected(ended.error());
        std::string detail;
        for (const store::TaskResult& one : *ended) {
          if (one.attempt == attempt)
            detail = one.detail;
        }
        const auto tail = queue::tail_in(detail);
        return tail ? tail->record : "";
      },
      [self = shared_from_this()](Result<std::string> record) {
        boost::asio::post(self->io_, [self, record = std::move(record)] {
          if (record && !record->empty())
            self->take_tail(*record);
          self->send();
        });
      });
}

void LogStream::take_tail(const std::string& record) {
  OwnedFd file{::memfd_create("tail", MFD_CLOEXEC)};
  if (file.is_open() && ::pwrite(file.get(), record.data(), record.size(), 0) ==
                            static_cast<ssize_t>(record.size()))
    reader_.emplace(std::move(file));
}

void LogStream::at_end() {
  if (!reader_ && attempt_ != 0 && !std::exchange(has_asked_for_tail_, true)) {
    ask_for_tail();
    return;
  }
  if (!request_.follow) {
    stream_.end();
    return;
  }
  if (!is_last_) {
    ask_whether_ended();
    return;
  }
  if (next_attempt_ == 0) {
    stream_.end();
    return;
  }
  attempt_ = std::exchange(next_attempt_, 0);
  reader_.reset();
  has_asked_for_tail_ = false;
  is_last_ = false;
  look_again();
}

void LogStream::ask_whether_ended() {
  queue::call(
      store_,
      [task = request_.task](store::Store& store) { return store.task(task); },
      [self = shared_from_this()](Result<store::TaskInfo> task) {
        boost::asio::post(
            self->io_, [self, task = std::move(task)] { self->on_task(task); });
      });
}

/// What is in the file now may be more than we have read: the end is known only
/// once it is read again.
void LogStream::on_task(const Result<store::TaskInfo>& task) {
  if (!task && task.error().code != Errc::not_found) {
    // The store is gone; the file is there.
    look_again();
    return;
  }
  if (!task) {
    is_last_ = true;
    send();
    return;
  }
  const bool is_over = task->state == store::TaskState::ended ||
                       task->state == store::TaskState::backing_off ||
                       task->attempt != attempt_;
  const bool stays = request_.attempt != 0;
  is_last_ = is_over && (task->state == store::TaskState::ended || stays ||
                         (attempt_ != 0 && task->attempt > attempt_));
  if (attempt_ == 0 && task->attempt > 0) {
    attempt_ = task->attempt;
    is_last_ = task->state == store::TaskState::ended;
  } else if (is_last_ && !stays && task->attempt > attempt_) {
    next_attempt_ = attempt_ + 1;
  }
  if (is_last_) {
    // Now it has one, if it ran elsewhere.
    has_asked_for_tail_ = false;
    send();
  } else {
    look_again();
  }
}

void LogStream::look_again() {
  timer_.expires_after(growth_look_interval);
  timer_.async_wait([self = shared_from_this()](const auto& error) {
    if (!error)
      self->send();
  });
}

}  // namespace troupe::node
