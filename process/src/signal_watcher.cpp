#include <troupe/process/signal_watcher.hpp>

#include <pthread.h>
#include <unistd.h>
#include <utility>

namespace troupe::process {
namespace {

bool is_ignored(int signal) {
  struct sigaction action {};
  return ::sigaction(signal, nullptr, &action) == 0 &&
         action.sa_handler == SIG_IGN;
}

}  // namespace

SignalWatcher::SignalWatcher(std::initializer_list<int> signals) {
  sigset_t watched;
  sigemptyset(&watched);
  for (const int signal : signals) {
    if (!is_ignored(signal))
      sigaddset(&watched, signal);
  }
  ::pthread_sigmask(SIG_BLOCK, &watched, &before_);
  fd_ = ::signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
}

SignalWatcher::~SignalWatcher() {
  descriptor_.reset();
  if (fd_ >= 0)
    ::close(fd_);
  ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void SignalWatcher::watch(boost::asio::io_context& io, Handler handler) {
  handler_ = std::move(handler);
  descriptor_.emplace(io, std::exchange(fd_, -1));
  wait();
}

void SignalWatcher::wait() {
  descriptor_->async_wait(
      boost::asio::posix::stream_descriptor::wait_read,
      [this](const auto& error) {
        if (error || !descriptor_)
          return;
        signalfd_siginfo info{};
        while (::read(descriptor_->native_handle(), &info, sizeof info) ==
               static_cast<ssize_t>(sizeof info))
          handler_(info);
        wait();
      });
}

}  // namespace troupe::process
