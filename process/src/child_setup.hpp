#pragma once

/// What happens in a new process between clone and exec: system calls only, on
/// values prepared before. An initializer of Boost.Process v2.
#include "launcher.hpp"

#include <troupe/process/command_spec.hpp>
#include <troupe/process/exit_report.hpp>

#include <boost/system/error_code.hpp>

#include <array>
#include <csignal>
#include <filesystem>
#include <optional>
#include <sys/resource.h>
#include <sys/types.h>

namespace troupe::process {

/// What the warden has changed for itself and a child gets back: as troupe was
/// started with it.
struct Inherited {
  sigset_t mask;
  rlimit nofile;
  bool ignored_child;  ///< SIGCHLD.
};

class ChildSetup {
 public:
  /// The three descriptors become 0, 1 and 2 of the child. `cgroup` is that of
  /// Cgroup::members_fd(), or negative. They and `spec` outlive the launch.
  ChildSetup(const CommandSpec& spec, int in, int out, int err, int cgroup,
             const Inherited& inherited)
      : spec_{spec},
        stdio_{in, out, err},
        cgroup_{cgroup},
        inherited_{inherited} {}

  boost::system::error_code on_exec_setup(
      boost::process::v2::posix::default_launcher&,
      const std::filesystem::path&, const char* const*);

  /// After a failed launch: what was being done. Written by the child, which
  /// shares our memory.
  [[nodiscard]] SpawnStage stage() const { return stage_; }

 private:
  [[nodiscard]] int enter_directory() const;
  [[nodiscard]] int apply_settings() const;
  [[nodiscard]] int connect_stdio() const;
  [[nodiscard]] int limit_open_files() const;

  const CommandSpec& spec_;
  std::array<int, 3> stdio_;
  int cgroup_;
  Inherited inherited_;
  SpawnStage stage_ = SpawnStage::resources;
};

}  // namespace troupe::process
