#include "content_stream.hpp"

#include <troupe/base/owned_fd.hpp>
#include <troupe/content/content.hpp>

#include <boost/asio/post.hpp>

#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <optional>
#include <string_view>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

namespace troupe::node {
namespace {

constexpr std::size_t content_piece_bytes = 64 << 10;

/// The files that have what is asked for, in a folder that need not be there.
std::vector<std::string> files_with(const std::string& folder,
                                    const link::ContentOpen& what) {
  std::error_code ignored;
  if (!std::filesystem::exists(folder, ignored))
    return {};
  auto blobs = content::BlobStore::open(folder);
  if (!blobs)
    return {};
  switch (what.what) {
    case link::ContentKind::blob:
      return {blobs->file_of(what.name)};
    case link::ContentKind::result:
      return {content::ResultCache{std::move(*blobs)}.file_of(what.name)};
    case link::ContentKind::artifact:
      break;
  }
  const std::size_t slash = what.name.find('/');
  const std::size_t dot = what.name.find('.', slash);
  if (slash == std::string::npos || dot == std::string::npos)
    return {};
  return content::ArtifactStore{std::move(*blobs)}.entry_files(
      what.name.substr(0, slash), what.name.substr(slash + 1, dot - slash - 1),
      what.name.substr(dot + 1));
}

/// Files, one after the other.
class FileStream : public std::enable_shared_from_this<FileStream> {
 public:
  FileStream(boost::asio::io_context& io, std::vector<std::string> files,
             bool is_lines, std::shared_ptr<LogSink> sink)
      : io_{io},
        files_{std::move(files)},
        is_lines_{is_lines},
        sink_{std::move(sink)},
        piece_(content_piece_bytes, '\0') {}

  void send() {
    if (sink_->is_over())
      return;
    if (!file_.is_open() && !open_next()) {
      sink_->end();
      return;
    }
    const ssize_t got = ::read(file_.get(), piece_.data(), piece_.size());
    if (got < 0 && errno != EINTR) {
      sink_->break_off();
      return;
    }
    if (got > 0)
      sink_->write(
          std::string_view{piece_}.substr(0, static_cast<std::size_t>(got)));
    if (got == 0) {
      file_.reset();
      if (is_lines_)
        sink_->write("\n");
    }
    if (sink_->wants_more())
      boost::asio::post(io_, [self = shared_from_this()] { self->send(); });
    else
      sink_->on_drained([self = shared_from_this()] { self->send(); });
  }

 private:
  /// What is gone by now is left out.
  bool open_next() {
    while (next_ < files_.size()) {
      const std::string& path = files_[next_++];
      struct stat info {};
      file_.reset(path.empty()
                      ? -1
                      : ::open(path.c_str(),
                               O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
      if (file_.is_open() && ::fstat(file_.get(), &info) == 0 &&
          S_ISREG(info.st_mode))
        return true;
    }
    file_.reset();
    return false;
  }

  boost::asio::io_context& io_;
  std::vector<std::string> files_;
  bool is_lines_;
  std::shared_ptr<LogSink> sink_;
  std::size_t next_ = 0;
  OwnedFd file_;
  std::string piece_;
};

class Relay : public std::enable_shared_from_this<Relay> {
 public:
  Relay(std::shared_ptr<RemoteLog> remote, api::HttpResponder responder)
      : remote_{std::move(remote)}, responder_{std::move(responder)} {
    responder_.on_closed(closing());
  }

  void go_on() {
    std::string bytes = remote_->take(content_piece_bytes);
    if (!bytes.empty()) {
      begin();
      stream_->write(bytes);
      if (stream_->is_over())
        remote_->close();
      else
        stream_->on_drained([self = shared_from_this()] { self->go_on(); });
      return;
    }
    if (!remote_->is_over()) {
      remote_->on_more([self = shared_from_this()] { self->go_on(); });
      return;
    }
    if (!remote_->is_cut_off()) {
      begin();
      stream_->end();
    } else if (!stream_) {
      responder_.fail({Errc::unavailable, "the link to that node broke"});
    }
    // Else the client sees that it was cut off.
  }

 private:
  void begin() {
    if (stream_)
      return;
    stream_ = responder_.begin_stream("application/octet-stream");
    stream_->on_closed(closing());
  }

  /// Nobody waits for it any more.
  [[nodiscard]] std::function<void()> closing() const {
    return [weak = std::weak_ptr{remote_}] {
      if (const auto remote = weak.lock())
        remote->close();
    };
  }

  std::shared_ptr<RemoteLog> remote_;
  api::HttpResponder responder_;
  std::optional<api::HttpStream> stream_;
};

}  // namespace

void serve_content(boost::asio::io_context& io, const std::string& folder,
                   const link::ContentOpen& what,
                   std::shared_ptr<LogSink> sink) {
  const auto stream = std::make_shared<FileStream>(
      io, files_with(folder, what), what.what == link::ContentKind::artifact,
      std::move(sink));
  boost::asio::post(io, [stream] { stream->send(); });
}

void relay_content(std::shared_ptr<RemoteLog> remote,
                   api::HttpResponder responder) {
  std::make_shared<Relay>(std::move(remote), std::move(responder))->go_on();
}

}  // namespace troupe::node
