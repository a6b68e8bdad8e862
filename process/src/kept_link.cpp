#include "kept_link.hpp"

#include "procfs.hpp"
#include "warden_folder.hpp"

#include <troupe/base/overload.hpp>
#include <troupe/process/leftovers.hpp>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fmt/format.h>
#include <map>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

namespace troupe::process {
namespace {

/// A warden answers within milliseconds. One that has been stopped or hangs is
/// given up after this.
constexpr Duration answer_limit = 5s;

/// For the end of what such a one leaves behind.
constexpr Duration remains_sweep_limit = 5s;

/// Between two looks at a warden that is just starting or ending.
constexpr Duration retry_pause = 5ms;

constexpr std::uint32_t most_kept_lanes = 64;

int milliseconds_until(TimePoint deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(
      deadline - std::chrono::steady_clock::now());
  return static_cast<int>(std::max<std::int64_t>(left.count(), 0));
}

tl::unexpected<Error> no_answer() {
  return failure(Errc::timed_out, "the warden does not answer");
}

tl::unexpected<Error> gone() {
  return failure(Errc::unavailable, "the warden has closed the connection");
}

/// The next frame, waited for.
///
/// Errors: timed_out; unavailable (the connection has ended); corrupt.
Result<wire::Frame> await_frame(LaneLink& link, TimePoint deadline) {
  constexpr std::size_t piece = 64 << 10;
  while (true) {
    auto frame = link.reader.next();
    if (!frame)
      return tl::unexpected(std::move(frame.error()));
    if (*frame)
      return std::move(**frame);
    pollfd readable{.fd = link.socket.get(), .events = POLLIN, .revents = 0};
    if (::poll(&readable, 1, milliseconds_until(deadline)) == 0)
      return no_answer();
    const ssize_t got =
        ::read(link.socket.get(), link.reader.prepare(piece), piece);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
      continue;
    if (got <= 0)
      return gone();
    link.reader.commit(static_cast<std::size_t>(got));
  }
}

Result<LaneLink> greet(const WardenFolder& folder,
                       const wire::Greeting& greeting) {
  auto socket = folder.connect();
  if (!socket)
    return tl::unexpected(std::move(socket.error()));
  const std::string bytes = wire::encode(greeting);
  if (::send(socket->get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(bytes.size()))
    return gone();
  return LaneLink{std::move(*socket), {}};
}

Result<wire::Hello> await_hello(LaneLink& link, TimePoint deadline) {
  auto frame = await_frame(link, deadline);
  if (!frame)
    return tl::unexpected(std::move(frame.error()));
  const auto* const hello = std::get_if<wire::Hello>(&frame->message);
  if (hello == nullptr)
    return failure(Errc::corrupt, "warden protocol: no hello");
  if (hello->version != wire::wire_version)
    return failure(
        Errc::unsupported,
        fmt::format("the commands that run are kept by a warden of another "
                    "version of troupe (protocol {}, this one speaks {}); go "
                    "on with that version, or end them with it first",
                    hello->version, wire::wire_version));
  if (hello->lanes == 0 || hello->lanes > most_kept_lanes ||
      !is_session(hello->session))
    return failure(Errc::corrupt, "warden protocol: a hello makes no sense");
  return *hello;
}

/// Adds what the lane knows to `attempts`.
Result<void> await_list(LaneLink& link, std::size_t lane, TimePoint deadline,
                        std::vector<KnownAttempt>& attempts) {
  std::map<AttemptId, KnownAttempt> known;
  bool is_listed = false;
  while (!is_listed) {
    auto frame = await_frame(link, deadline);
    if (!frame)
      return tl::unexpected(std::move(frame.error()));
    KnownAttempt unused;
    const auto found = known.find(frame->id);
    KnownAttempt& attempt = found == known.end() ? unused : found->second;
    std::visit(
        Overload{
            [&](const wire::Known&) {
              known[frame->id] = {.id = frame->id,
                                  .lane = lane,
                                  .started = std::nullopt,
                                  .end = std::nullopt};
            },
            [&](const wire::Started& m) {
              attempt.started = {m.pid, m.is_paused};
            },
            [&](wire::Exited& m) { attempt.end = m.report; },
            [&](wire::NotStarted& m) { attempt.end = std::move(m.failure); },
            [&](const wire::Listed&) { is_listed = true; }, [](const auto&) {}},
        frame->message);
  }
  for (auto& [id, attempt] : known)
    attempts.push_back(std::move(attempt));
  return {};
}

/// Takes over all lanes of the warden that listens in `folder`.
Result<KeptLink> take_over(const WardenFolder& folder, TimePoint deadline) {
  KeptLink link;
  std::uint32_t lanes = 1;
  for (std::uint32_t lane = 0; lane < lanes; ++lane) {
    auto greeted = greet(folder, {.lane = lane, .takeover = link.takeover});
    if (!greeted)
      return tl::unexpected(std::move(greeted.error()));
    link.lanes.push_back(std::move(*greeted));
    const auto hello = await_hello(link.lanes.back(), deadline);
    if (!hello)
      return tl::unexpected(hello.error());
    link.session = hello->session;
    link.takeover = hello->takeover;
    lanes = hello->lanes;
  }
  for (std::uint32_t lane = 0; lane < lanes; ++lane) {
    auto listed = await_list(link.lanes[lane], lane, deadline, link.attempts);
    if (!listed)
      return tl::unexpected(std::move(listed.error()));
  }
  return link;
}

/// The process that has signed the lock; none if it is gone.
WardenProcess open_process(const WardenIdentity& identity) {
  WardenProcess warden;
  const auto [pid, start_ticks] = identity.process;
  OwnedFd fd{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
  const auto stat = stat_of(pid);
  if (!fd.is_open() || !stat || stat->start_ticks != start_ticks)
    return warden;
  warden.pid = pid;
  warden.pidfd = fd.release();
  return warden;
}

/// Kills the warden that holds the lock, and all of its commands.
Result<void> end_wedged(const WardenFolder& folder) {
  const auto identity = folder.identity();
  WardenProcess warden = identity ? open_process(*identity) : WardenProcess{};
  // Whoever has the lock now is the one that has signed it: it lives.
  const auto lock = folder.try_lock();
  if (!lock)
    return tl::unexpected(lock.error());
  if (warden.pidfd < 0 && !*lock)
    return failure(Errc::unavailable,
                   "a warden that cannot be found holds the lock of its "
                   "folder and does not answer; end it by hand");
  await_warden(warden, Duration{0});
  if (identity)
    if (auto swept = end_leftovers(identity->session, remains_sweep_limit);
        !swept)
      return tl::unexpected(std::move(swept.error()));
  return {};
}

Result<KeptLink> start(const WardenOptions& options, unsigned lanes,
                       const std::string& session, const WardenFolder& folder,
                       OwnedFd lock) {
  auto listener = folder.listen();
  if (!listener)
    return tl::unexpected(std::move(listener.error()));
  auto warden =
      spawn_kept_warden(options, lanes, session, listener->get(), lock.get());
  if (!warden)
    return tl::unexpected(std::move(warden.error()));
  // Ours are copies that would outlive it.
  listener->reset();
  lock.reset();
  auto link =
      take_over(folder, std::chrono::steady_clock::now() + answer_limit);
  if (!link) {
    await_warden(*warden, Duration{0});
    return tl::unexpected(std::move(link.error()).within("start a warden"));
  }
  link->warden = *warden;
  return link;
}

/// None if there is nobody to take over any more.
Result<std::optional<KeptLink>> adopt(const WardenFolder& folder,
                                      TimePoint deadline) {
  auto link = take_over(folder, deadline);
  if (!link) {
    // It may be starting, or ending; the lock tells.
    if (link.error().code == Errc::unavailable)
      return std::nullopt;
    return tl::unexpected(std::move(link.error()));
  }
  const auto identity = folder.identity();
  link->warden = identity ? open_process(*identity) : WardenProcess{};
  if (link->warden.pidfd < 0)
    return std::nullopt;
  link->is_adopted = true;
  return std::optional{std::move(*link)};
}

bool is_wedged(const Error& error) {
  return error.code == Errc::timed_out || error.code == Errc::corrupt;
}

}  // namespace

Result<KeptLink> reach_warden(const WardenOptions& options, unsigned lanes,
                              const std::string& session) {
  auto folder = WardenFolder::open(options.keep->folder);
  if (!folder)
    return tl::unexpected(std::move(folder.error()));
  TimePoint deadline = std::chrono::steady_clock::now() + answer_limit;
  while (true) {
    auto lock = folder->try_lock();
    if (!lock)
      return tl::unexpected(std::move(lock.error()));
    if (*lock)
      return start(options, lanes, session, *folder, std::move(**lock));
    auto link = adopt(*folder, deadline);
    if (link && *link)
      return std::move(**link);
    if (!link && !is_wedged(link.error()))
      return tl::unexpected(std::move(link.error()));
    if (!link || std::chrono::steady_clock::now() >= deadline) {
      if (auto ended = end_wedged(*folder); !ended)
        return tl::unexpected(std::move(ended.error()));
      deadline = std::chrono::steady_clock::now() + answer_limit;
    }
    std::this_thread::sleep_for(retry_pause);
  }
}

void tell_to_end(const std::string& folder, std::uint64_t takeover) {
  const auto opened = WardenFolder::open(folder);
  if (opened)
    (void)greet(*opened, {.lane = wire::end_lane, .takeover = takeover});
}

}  // namespace troupe::process
