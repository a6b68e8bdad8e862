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

class ChildSetup {
 public:
  /// The three descriptors become 0, 1 and 2 of the child; `mask` and `nofile`
  /// are the signal mask and the limit of open files that troupe was started
  /// with. All outlive the launch.
  ChildSetup(const CommandSpec& spec, int in, int out, int err,
             const sigset_t& mask, const rlimit& nofile)
      : spec_{spec}, stdio_{in, out, err}, mask_{mask}, nofile_{nofile} {}

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

  const CommandSpec& spec_;
  std::array<int, 3> stdio_;
  const sigset_t& mask_;
  const rlimit& nofile_;
  SpawnStage stage_ = SpawnStage::resources;
};

}  // namespace troupe::process
