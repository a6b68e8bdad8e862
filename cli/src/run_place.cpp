#include "run_place.hpp"

#include <troupe/content/sha256.hpp>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

namespace troupe::cli {
namespace {

namespace fs = std::filesystem;

constexpr mode_t place_mode = 0600;
constexpr std::string_view ticket_prefix = "waits-";

tl::unexpected<Error> cannot(std::string_view what, const std::string& path) {
  return tl::unexpected{
      system_error(fmt::format("cannot {} {}", what, path), errno)};
}

Result<OwnedFd> open_file(const std::string& path) {
  OwnedFd file{::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
                      place_mode)};
  if (!file.is_open())
    return cannot("open", path);
  return file;
}

bool try_lock(const OwnedFd& file) {
  return ::flock(file.get(), LOCK_EX | LOCK_NB) == 0;
}

std::string slot_path(const std::string& folder, std::uint32_t number) {
  return fmt::format("{}/slot-{}", folder, number);
}

/// The process that has written its number into a slot; zero if none has.
int process_in(const OwnedFd& slot) {
  std::array<char, 16> text{};
  const ssize_t got = ::pread(slot.get(), text.data(), text.size(), 0);
  int process = 0;
  if (got > 0)
    std::from_chars(text.data(), text.data() + got, process);
  return process;
}

}  // namespace

Result<RunPlace> RunPlace::open(const std::string& folder,
                                const std::string& name) {
  std::string own = fmt::format("{}/{}", folder, content::sha256_of(name));
  std::error_code error;
  fs::create_directories(own, error);
  if (error)
    return tl::unexpected{
        system_error(fmt::format("cannot make {}", own), error.value())};
  return RunPlace{std::move(own)};
}

Result<RunPlace::Answer> RunPlace::ask(
    const workflow::ConcurrencyLimits& limits) {
  using workflow::OnConflict;
  const std::string path = folder_ + "/lock";
  const auto lock = open_file(path);
  if (!lock)
    return tl::unexpected{lock.error()};
  // Held for moments, never while anybody waits.
  if (::flock(lock->get(), LOCK_EX) != 0)
    return cannot("lock", path);
  const Queue queue = look_at_queue();
  if (queue.before == 0) {
    const auto taken = take_slot(limits.limit);
    if (!taken)
      return tl::unexpected{taken.error()};
    if (*taken) {
      if (ticket_.is_open())
        ::unlink((folder_ + "/" + ticket_name_).c_str());
      ticket_ = OwnedFd{};
      return Answer::enter;
    }
  }
  if (ticket_.is_open())
    return Answer::wait;
  if (limits.on_conflict == OnConflict::skip)
    return Answer::skip;
  if (limits.on_conflict == OnConflict::fail)
    return Answer::fail;
  if (queue.all >= limits.queue)
    return Answer::queue_full;
  if (auto waits = take_ticket(); !waits)
    return tl::unexpected{waits.error()};
  if (limits.on_conflict == OnConflict::cancel_running &&
      !std::exchange(has_cancelled_, true))
    cancel_oldest(limits.limit);
  return Answer::wait;
}

Result<bool> RunPlace::take_slot(std::uint32_t limit) {
  for (std::uint32_t number = 0; number < limit; ++number) {
    auto slot = open_file(slot_path(folder_, number));
    if (!slot)
      return tl::unexpected{slot.error()};
    if (!try_lock(*slot)) {
      holder_ = process_in(*slot);
      continue;
    }
    const std::string own = fmt::format("{}\n", ::getpid());
    if (::ftruncate(slot->get(), 0) != 0 ||
        ::pwrite(slot->get(), own.data(), own.size(), 0) < 0)
      return cannot("write", slot_path(folder_, number));
    slot_ = std::move(*slot);
    return true;
  }
  return false;
}

Result<void> RunPlace::take_ticket() {
  // Names in the order of time; the process makes each its own.
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  ticket_name_ = fmt::format(
      "{}{:020}-{}", ticket_prefix,
      std::chrono::duration_cast<std::chrono::nanoseconds>(now).count(),
      ::getpid());
  auto ticket = open_file(folder_ + "/" + ticket_name_);
  if (!ticket)
    return tl::unexpected{ticket.error()};
  if (!try_lock(*ticket))
    return cannot("lock", folder_ + "/" + ticket_name_);
  ticket_ = std::move(*ticket);
  return {};
}

RunPlace::Queue RunPlace::look_at_queue() const {
  Queue queue;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator{folder_, error}) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(ticket_prefix) || name == ticket_name_)
      continue;
    const auto ticket = open_file(entry.path().string());
    if (!ticket)
      continue;
    if (try_lock(*ticket)) {
      // Whoever waited here has ended.
      ::unlink(entry.path().c_str());
      continue;
    }
    ++queue.all;
    if (ticket_name_.empty() || name < ticket_name_)
      ++queue.before;
  }
  return queue;
}

void RunPlace::cancel_oldest(std::uint32_t limit) {
  std::optional<std::int64_t> longest;
  OwnedFd oldest;
  for (std::uint32_t number = 0; number < limit; ++number) {
    auto slot = open_file(slot_path(folder_, number));
    struct stat about {};
    if (!slot || ::fstat(slot->get(), &about) != 0)
      continue;
    const std::int64_t since =
        about.st_mtim.tv_sec * 1'000'000'000 + about.st_mtim.tv_nsec;
    if (longest && *longest <= since)
      continue;
    longest = since;
    oldest = std::move(*slot);
  }
  const int process = oldest.is_open() ? process_in(oldest) : 0;
  if (process <= 0)
    return;
  // By a descriptor of the process, looked at once more: its number may be
  // that of another one by now.
  const OwnedFd target{static_cast<int>(::syscall(SYS_pidfd_open, process, 0))};
  if (target.is_open() && !try_lock(oldest))
    ::syscall(SYS_pidfd_send_signal, target.get(), SIGTERM, nullptr, 0);
}

}  // namespace troupe::cli
