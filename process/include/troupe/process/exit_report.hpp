#pragma once

#include <troupe/base/boot_time.hpp>
#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>

#include <cstdint>
#include <string>

namespace troupe::process {

/// What the system says about one attempt that ran and has ended. All of its
/// processes are gone by the time this exists.
struct ExitReport {
  int exit_code = 0;  ///< 0 to 255; meaningless if `signal` is set.
  int signal = 0;     ///< The signal that ended the leader, or zero.
  bool core_dumped = false;

  bool timed_out = false;    ///< A time limit passed and it was stopped.
  bool silent = false;       ///< Namely the one on time without output.
  bool stopped = false;      ///< Somebody asked for its end and it was stopped.
  bool right_ended = false;  ///< Namely since the right to run it ended.
  bool killed = false;       ///< The polite signal was not enough.
  /// The kernel ended it because of its tree limit on memory.
  bool out_of_memory = false;

  /// A process that outlived the leader kept a captured stream open.
  bool output_held = false;
  /// Processes that the command left behind and that were killed.
  std::uint32_t leftovers = 0;
  /// Processes that could not be killed within the sweep's deadline.
  std::uint32_t survivors = 0;

  Duration wall{0};
  /// When the last of its processes had gone; zero if nobody has said so. Not
  /// when somebody was told.
  BootTime ended{};
  Duration user{0};    ///< CPU time of the leader and what it waited for.
  Duration system{0};  ///< Likewise.
  std::uint64_t max_rss_bytes = 0;
  /// Captured or recorded; zero if neither.
  std::uint64_t stdout_bytes = 0;
  std::uint64_t stderr_bytes = 0;
  /// Of these, how many are not in the record: it was full, or its file could
  /// not be written.
  std::uint64_t unrecorded_bytes = 0;

  friend bool operator==(const ExitReport&, const ExitReport&) = default;
};

/// Which step of starting a command failed. Stored and sent: append only.
enum class SpawnStage : std::uint8_t {
  resources = 1,          ///< Pipes, memory, process slots of troupe itself.
  standard_input = 2,     ///< Opening the file for standard input.
  working_directory = 3,  ///< Entering the working directory.
  settings = 4,           ///< Limits, umask, niceness, session.
  exec = 5,               ///< Finding or executing the program.
  /// The right to run commands has ended (WardenRunner::guard). Always with
  /// Errc::permission_denied; says nothing about the command.
  right = 6,
};

/// Why a command never ran.
struct SpawnFailure {
  SpawnStage stage = SpawnStage::resources;
  Error error;

  friend bool operator==(const SpawnFailure&, const SpawnFailure&) = default;
};

}  // namespace troupe::process
