#include "child_setup.hpp"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace troupe::process {
namespace {

/// Sets soft and hard limit; a value above the hard limit means the hard limit.
int set_limit(__rlimit_resource resource,
              const std::optional<std::uint64_t>& value) {
  if (!value)
    return 0;
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0)
    return errno;
  limit.rlim_cur = *value < limit.rlim_max ? *value : limit.rlim_max;
  limit.rlim_max = limit.rlim_cur;
  return ::setrlimit(resource, &limit) == 0 ? 0 : errno;
}

}  // namespace

boost::system::error_code ChildSetup::on_exec_setup(
    boost::process::v2::posix::default_launcher&, const std::filesystem::path&,
    const char* const*) {
  stage_ = SpawnStage::settings;
  int error = apply_settings();
  if (error == 0) {
    stage_ = SpawnStage::working_directory;
    error = enter_directory();
  }
  if (error == 0) {
    stage_ = SpawnStage::resources;
    error = connect_stdio();
  }
  if (error == 0) {
    stage_ = SpawnStage::settings;
    error = limit_open_files();
  }
  stage_ = error == 0 ? SpawnStage::exec : stage_;
  return {error, boost::system::system_category()};
}

int ChildSetup::enter_directory() const {
  if (spec_.working_directory.empty())
    return 0;
  return ::chdir(spec_.working_directory.c_str()) == 0 ? 0 : errno;
}

int ChildSetup::apply_settings() const {
  // The warden is the last line: if it dies, so does the leader.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (cgroup_ >= 0 && ::write(cgroup_, "0", 1) != 1)
    return errno;
  if (spec_.new_session)
    ::setsid();
  else if (!spec_.foreground)
    ::setpgid(0, 0);
  if (spec_.umask)
    ::umask(*spec_.umask);
  if (spec_.nice) {
    const int before = ::getpriority(PRIO_PROCESS, 0);
    if (::setpriority(PRIO_PROCESS, 0, before + *spec_.nice) != 0)
      return errno;
  }
  if (inherited_.ignored_child)
    ::signal(SIGCHLD, SIG_IGN);
  const Limits& limits = spec_.limits;
  int error = set_limit(RLIMIT_CPU, limits.cpu_seconds);
  if (error == 0)
    error = set_limit(RLIMIT_AS, limits.memory_bytes);
  if (error == 0)
    error = set_limit(RLIMIT_NPROC, limits.processes);
  if (error == 0)
    error = set_limit(RLIMIT_FSIZE, limits.file_size_bytes);
  if (error == 0 && ::sigprocmask(SIG_SETMASK, &inherited_.mask, nullptr) != 0)
    error = errno;
  return error;
}

/// Last of all: until then the child has our descriptors above its own limit.
int ChildSetup::limit_open_files() const {
  ::setrlimit(RLIMIT_NOFILE, &inherited_.nofile);
  return set_limit(RLIMIT_NOFILE, spec_.limits.open_files);
}

int ChildSetup::connect_stdio() const {
  // A copy: the lifted descriptors are the child's alone, but its memory is
  // ours, and a second launch begins with what the first was given.
  std::array<int, 3> sources = stdio_;
  // A source below 3 could be overwritten before its turn: lift it first.
  for (int& fd : sources) {
    if (fd > 2)
      continue;
    fd = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
      return errno;
  }
  for (int target = 0; target < 3; ++target) {
    if (::dup2(sources[static_cast<std::size_t>(target)], target) < 0)
      return errno;
  }
  return 0;
}

}  // namespace troupe::process
