#include <troupe/base/owned_fd.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/process/command_output.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <fmt/format.h>
#include <optional>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace troupe::process {
namespace {

/// The child's side of fork(): becomes the shell, or ends with 127.
[[noreturn]] void become_shell(const std::string& line, int input, int output) {
  ::setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (::dup2(input, STDIN_FILENO) >= 0 && ::dup2(output, STDOUT_FILENO) >= 0)
    ::execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
  ::_exit(127);
}

/// All that comes from `fd` until its end.
Result<std::string> read_until(int fd, std::size_t most_bytes, Duration limit) {
  const TimePoint end = std::chrono::steady_clock::now() + limit;
  std::string text;
  std::array<char, 4096> buffer{};
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    pollfd readable{.fd = fd, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&readable, 1,
                             static_cast<int>(std::max<std::int64_t>(
                                 0, std::int64_t{left.count()})));
    if (ready == 0)
      return failure(Errc::timed_out, fmt::format("took longer than {}",
                                                  format_duration(limit)));
    const ssize_t got =
        ready < 0 ? -1 : ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return tl::unexpected{system_error("cannot read its output", errno)};
    if (got == 0)
      return text;
    text.append(buffer.data(), static_cast<std::size_t>(got));
    if (text.size() > most_bytes)
      return failure(Errc::overloaded, fmt::format("printed more than {}",
                                                   format_size(most_bytes)));
  }
}

Result<void> succeeded(int status) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
    return {};
  return failure(Errc::invalid_argument,
                 WIFEXITED(status)
                     ? fmt::format("exited with {}", WEXITSTATUS(status))
                     : fmt::format("was ended by signal {}", WTERMSIG(status)));
}

}  // namespace

Result<std::string> read_command_output(const std::string& line,
                                        std::size_t most_bytes,
                                        Duration limit) {
  std::array<int, 2> ends{-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return tl::unexpected{system_error("pipe", errno)};
  const OwnedFd read_end{ends[0]};
  OwnedFd write_end{ends[1]};
  const OwnedFd nothing{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
  if (!nothing.is_open())
    return tl::unexpected{system_error("cannot open /dev/null", errno)};
  const pid_t pid = ::fork();
  if (pid < 0)
    return tl::unexpected{system_error("fork", errno)};
  if (pid == 0)
    become_shell(line, nothing.get(), write_end.get());
  ::setpgid(pid, pid);  // Whoever comes first: the group is there from here on.
  write_end.reset();
  auto text = read_until(read_end.get(), most_bytes, limit);
  // Its output has ended, or is not wanted any more, and so is all of it.
  if (!text)
    ::kill(-pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  ::kill(-pid, SIGKILL);
  if (!text)
    return text;
  if (auto good = succeeded(status); !good)
    return tl::unexpected{std::move(good.error())};
  return text;
}

namespace {

constexpr int look_ms = 50;

/// For the handler of signals; zero if there is none.
volatile pid_t running_child = 0;

extern "C" void pass_on(int signal) {
  if (running_child > 0)
    ::kill(running_child, signal);
}

constexpr std::array passed_signals{SIGTERM, SIGINT,  SIGHUP,
                                    SIGQUIT, SIGUSR1, SIGUSR2};

/// While it exists, they wait: one that came after the command has begun and
/// before it can be passed on would end us and leave the command behind.
class SignalsWait {
 public:
  SignalsWait() {
    sigset_t all;
    sigemptyset(&all);
    for (const int signal : passed_signals)
      sigaddset(&all, signal);
    ::sigprocmask(SIG_BLOCK, &all, &before_);
  }
  SignalsWait(const SignalsWait&) = delete;
  SignalsWait& operator=(const SignalsWait&) = delete;
  ~SignalsWait() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

/// Whoever ends us means the command.
void pass_signals_on() {
  for (const int signal : passed_signals) {
    struct sigaction now {};
    if (::sigaction(signal, nullptr, &now) == 0 && now.sa_handler == SIG_IGN)
      continue;
    struct sigaction action {};
    action.sa_handler = pass_on;
    action.sa_flags = SA_RESTART;
    ::sigaction(signal, &action, nullptr);
  }
}

/// The child's side of fork(): becomes the command, or tells why not.
[[noreturn]] void become_command(std::vector<char*> argv,
                                 const sigset_t& signal_mask, int output,
                                 int standard_error, int failure) {
  ::sigprocmask(SIG_SETMASK, &signal_mask, nullptr);
  if (::dup2(output, STDOUT_FILENO) >= 0 &&
      (standard_error < 0 || ::dup2(standard_error, STDERR_FILENO) >= 0))
    ::execvp(argv[0], argv.data());
  const int error = errno;
  (void)!::write(failure, &error, sizeof error);
  ::_exit(127);
}

struct CopiedStream {
  OwnedFd from;
  std::function<bool(std::string_view)> to;
  bool is_kept = false;
};

/// Passes on what can be read now; false once nothing more will come, or nobody
/// reads it.
bool copy_some(CopiedStream& stream, std::size_t most_bytes, CopiedRun& run) {
  std::array<char, 64 << 10> buffer;
  const ssize_t got = ::read(stream.from.get(), buffer.data(), buffer.size());
  if (got < 0 && errno == EINTR)
    return true;
  if (got <= 0)
    return false;
  const std::string_view bytes{buffer.data(), static_cast<std::size_t>(got)};
  const bool is_read = stream.to(bytes);
  if (stream.is_kept) {
    run.is_complete = run.is_complete && is_read &&
                      run.output.size() + bytes.size() <= most_bytes;
    if (run.is_complete)
      run.output += bytes;
  }
  return is_read;
}

/// Copies until the command has ended and nothing more comes.
Result<CopiedRun> copy_until_end(pid_t child, std::vector<CopiedStream> streams,
                                 std::size_t most_bytes) {
  CopiedRun run;
  bool has_ended = false;
  while (!streams.empty()) {
    std::vector<pollfd> readable;
    readable.reserve(streams.size());
    for (const CopiedStream& stream : streams)
      readable.push_back(
          {.fd = stream.from.get(), .events = POLLIN, .revents = 0});
    const int ready = ::poll(readable.data(), readable.size(), look_ms);
    has_ended = has_ended || ::waitpid(child, &run.status, WNOHANG) == child;
    // What it left behind may keep the pipes open for ever.
    if (has_ended && ready == 0)
      return run;
    // If nobody reads any more, the command learns it by its next write.
    for (std::size_t i = 0; ready > 0 && i < readable.size(); ++i) {
      if (readable[i].revents != 0 && !copy_some(streams[i], most_bytes, run))
        streams[i].from.reset();
    }
    std::erase_if(streams,
                  [](const CopiedStream& one) { return !one.from.is_open(); });
  }
  while (!has_ended && ::waitpid(child, &run.status, 0) < 0) {
    if (errno != EINTR)
      return tl::unexpected{system_error("cannot wait for it", errno)};
  }
  return run;
}

bool is_same_file(int a, int b) {
  struct stat of_a {};
  struct stat of_b {};
  return ::fstat(a, &of_a) == 0 && ::fstat(b, &of_b) == 0 &&
         of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
}

struct Pipe {
  OwnedFd read_end;
  OwnedFd write_end;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return tl::unexpected{system_error("pipe", errno)};
  return Pipe{OwnedFd{ends[0]}, OwnedFd{ends[1]}};
}

}  // namespace

Result<CopiedRun> run_and_copy(std::vector<std::string> argv,
                               const sigset_t& signal_mask,
                               std::size_t most_bytes,
                               const OutputCopies& copies) {
  auto output = make_pipe();
  auto failed = make_pipe();
  if (!output || !failed)
    return tl::unexpected{output ? failed.error() : output.error()};
  Pipe errors;
  const bool is_one = is_same_file(STDOUT_FILENO, STDERR_FILENO);
  if (copies.on_error && !is_one) {
    auto made = make_pipe();
    if (!made)
      return tl::unexpected{made.error()};
    errors = std::move(*made);
  }
  const int standard_error = copies.on_error == nullptr ? -1
                             : is_one ? output->write_end.get()
                                      : errors.write_end.get();
  std::vector<char*> words;
  words.reserve(argv.size() + 1);
  for (std::string& word : argv)
    words.push_back(word.data());
  words.push_back(nullptr);
  std::optional<SignalsWait> wait{std::in_place};
  const pid_t child = ::fork();
  if (child < 0)
    return tl::unexpected{system_error("fork", errno)};
  if (child == 0)
    become_command(std::move(words), signal_mask, output->write_end.get(),
                   standard_error, failed->write_end.get());
  running_child = child;
  pass_signals_on();
  wait.reset();
  output->write_end.reset();
  errors.write_end.reset();
  failed->write_end.reset();
  int error = 0;
  ssize_t got = -1;
  while ((got = ::read(failed->read_end.get(), &error, sizeof error)) < 0 &&
         errno == EINTR) {
  }
  std::vector<CopiedStream> streams;
  streams.push_back({std::move(output->read_end), copies.on_output, true});
  if (errors.read_end.is_open())
    streams.push_back({std::move(errors.read_end), copies.on_error, false});
  auto run = copy_until_end(child, std::move(streams), most_bytes);
  running_child = 0;
  if (got == sizeof error)
    return tl::unexpected{system_error(printable(argv[0]), error)};
  return run;
}

}  // namespace troupe::process
