#include <troupe/process/background.hpp>

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace troupe::process {
namespace {

constexpr char up_byte = 'u';

}  // namespace

bool ForegroundSide::await_up() const {
  char told = 0;
  ssize_t got = 0;
  do {
    got = ::read(from_background.get(), &told, 1);
  } while (got < 0 && errno == EINTR);
  return got == 1 && told == up_byte;
}

void BackgroundSide::tell_up() {
  if (to_foreground.is_open())
    (void)!::write(to_foreground.get(), &up_byte, 1);
  to_foreground.reset();
}

Result<std::variant<ForegroundSide, BackgroundSide>> split_into_background(
    const std::string& output) {
  std::array<int, 2> ends{-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return tl::unexpected{system_error("pipe", errno)};
  OwnedFd read_end{ends[0]};
  OwnedFd write_end{ends[1]};
  const OwnedFd file{
      ::open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)};
  const OwnedFd nothing{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
  struct stat before {};
  if (!file.is_open() || !nothing.is_open() ||
      ::fstat(file.get(), &before) != 0)
    return tl::unexpected{
        system_error(fmt::format("cannot write {}", output), errno)};
  const pid_t pid = ::fork();
  if (pid < 0)
    return tl::unexpected{system_error("fork", errno)};
  if (pid != 0)
    return ForegroundSide{std::move(read_end), pid,
                          static_cast<std::uint64_t>(before.st_size)};
  ::setsid();
  ::dup2(nothing.get(), STDIN_FILENO);
  ::dup2(file.get(), STDOUT_FILENO);
  ::dup2(file.get(), STDERR_FILENO);
  return BackgroundSide{std::move(write_end)};
}

}  // namespace troupe::process
