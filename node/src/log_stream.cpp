#include "log_stream.hpp"

#include "job_json.hpp"

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
/// At the store, for where an attempt is that is not here.
constexpr Duration elsewhere_look_interval = 500ms;
/// Frames between two turns of others on the I/O thread.
constexpr int most_frames_per_turn = 64;

}  // namespace

void LogStream::start(LogPlaces places, const LogRequest& request,
                      std::uint32_t first, std::shared_ptr<LogSink> sink) {
  const auto log = std::make_shared<LogStream>(std::move(places), request,
                                               first, std::move(sink));
  log->send_later();
}

LogStream::LogStream(LogPlaces places, const LogRequest& request,
                     std::uint32_t first, std::shared_ptr<LogSink> sink)
    : places_{std::move(places)},
      request_{request},
      attempt_{first},
      sink_{std::move(sink)},
      timer_{places_.io},
      has_header_{request.format == LogFormat::frames} {}

void LogStream::send_later() {
  boost::asio::post(places_.io, [self = shared_from_this()] { self->send(); });
}

void LogStream::write(const process::RecordFrame& frame) {
  if (request_.format == LogFormat::raw) {
    sink_->write(frame.bytes);
    return;
  }
  if (!std::exchange(has_header_, true))
    sink_->write(process::record_header());
  sink_->write(process::record_frame_header(frame));
  sink_->write(frame.bytes);
}

bool LogStream::open() {
  if (reader_ || remote_)
    return true;
  auto reader = process::RecordReader::open(queue::record_path(
      places_.output_folder, {request_.task, std::max(attempt_, 1U)}));
  if (!reader)
    return false;
  reader_.emplace(std::move(*reader));
  if (request_.tail)
    send_tail();
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

Result<std::optional<process::RecordFrame>> LogStream::next_frame() {
  return remote_ ? remote_->next() : reader_->next();
}

void LogStream::send() {
  if (sink_->is_over()) {
    remote_.reset();
    return;
  }
  if (!open()) {
    at_end();
    return;
  }
  for (int i = 0; i < most_frames_per_turn && sink_->wants_more(); ++i) {
    const auto frame = next_frame();
    if (!frame && remote_) {
      remote_->close();
      sink_->break_off();
      return;
    }
    // A damaged record ends where the damage begins.
    if (!frame || !*frame) {
      at_end();
      return;
    }
    write(**frame);
  }
  if (sink_->wants_more())
    send_later();
  else
    sink_->on_drained([self = shared_from_this()] { self->send(); });
}

/// What another node runs is there, and the end of it is in the store once it
/// has ended.
void LogStream::look_elsewhere() {
  struct Found {
    LogOwner owner;
    std::string tail;
  };
  looked_elsewhere_ = std::chrono::steady_clock::now();
  queue::call(
      places_.store,
      [task = request_.task,
       attempt = attempt_](store::Store& store) -> Result<Found> {
        const auto ended = store.attempts(task);
        if (!ended)
          return tl::unexpected(ended.error());
        for (const store::TaskResult& one : *ended) {
          if (one.attempt != attempt)
            continue;
          auto tail = queue::tail_in(one.detail);
          // Of one that was lost its node can tell again once it is back.
          auto unknown = unknown_end(one);
          return Found{.owner = {.node = unknown ? std::move(unknown->node)
                                                 : queue::node_in(one.detail)},
                       .tail = tail ? std::move(tail->record) : ""};
        }
        auto running = store.task(task);
        if (!running)
          return tl::unexpected(std::move(running.error()));
        return Found{.owner = {.node = "", .session = running->session},
                     .tail = ""};
      },
      // Not to end on a thread of the store's.
      [self = shared_from_this()](Result<Found> found) mutable {
        boost::asio::io_context& io = self->places_.io;
        boost::asio::post(io,
                          [self = std::move(self), found = std::move(found)] {
                            if (found)
                              self->take_elsewhere(found->owner, found->tail);
                            self->send();
                          });
      });
}

void LogStream::take_elsewhere(const LogOwner& owner, std::string tail) {
  stored_tail_ = std::move(tail);
  if (places_.ask_owner && !(owner.node.empty() && owner.session.value.empty()))
    remote_ = places_.ask_owner(owner, {.job = request_.task.job.value,
                                        .task = request_.task.index,
                                        .attempt = attempt_,
                                        .tail = request_.tail,
                                        .follows = request_.follow});
  if (!remote_) {
    take_tail();
    return;
  }
  sink_->on_closed([weak = std::weak_ptr{remote_}] {
    if (const auto remote = weak.lock())
      remote->close();
  });
}

void LogStream::take_tail() {
  if (stored_tail_.empty())
    return;
  OwnedFd file{::memfd_create("tail", MFD_CLOEXEC)};
  if (!file.is_open() ||
      ::pwrite(file.get(), stored_tail_.data(), stored_tail_.size(), 0) !=
          static_cast<ssize_t>(stored_tail_.size()))
    return;
  reader_.emplace(std::move(file));
  if (request_.tail)
    send_tail();
}

void LogStream::at_end() {
  if (remote_ && !remote_->is_over()) {
    remote_->on_more([self = shared_from_this()] { self->send(); });
    return;
  }
  if (remote_ && remote_->has_received()) {
    if (remote_->is_cut_off()) {
      // Who reads asks once more, and passes what it has.
      sink_->break_off();
      return;
    }
    request_.tail.reset();
  } else if (remote_) {
    remote_.reset();
    take_tail();
    if (reader_) {
      send_later();
      return;
    }
  }
  if (!reader_ && !remote_ && attempt_ != 0 && places_.ask_owner &&
      (!looked_elsewhere_ ||
       (request_.follow &&
        std::chrono::steady_clock::now() - *looked_elsewhere_ >=
            elsewhere_look_interval))) {
    look_elsewhere();
    return;
  }
  if (!request_.follow) {
    sink_->end();
    return;
  }
  if (!is_last_) {
    ask_whether_ended();
    return;
  }
  if (next_attempt_ == 0) {
    sink_->end();
    return;
  }
  attempt_ = std::exchange(next_attempt_, 0);
  reader_.reset();
  remote_.reset();
  stored_tail_.clear();
  looked_elsewhere_.reset();
  is_last_ = false;
  look_again();
}

void LogStream::ask_whether_ended() {
  queue::call(
      places_.store,
      [task = request_.task](store::Store& store) { return store.task(task); },
      [self = shared_from_this()](Result<store::TaskInfo> task) mutable {
        boost::asio::io_context& io = self->places_.io;
        boost::asio::post(io, [self = std::move(self), task = std::move(task)] {
          self->on_task(task);
        });
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
    // Now its end is there, if it ran elsewhere.
    looked_elsewhere_.reset();
    send();
  } else {
    look_again();
  }
}

void LogStream::look_again() {
  timer_.expires_after(places_.ask_owner && !reader_ && attempt_ != 0
                           ? elsewhere_look_interval
                           : growth_look_interval);
  timer_.async_wait([self = shared_from_this()](const auto& error) {
    if (!error)
      self->send();
  });
}

}  // namespace troupe::node
