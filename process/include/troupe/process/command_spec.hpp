#pragma once

#include <troupe/base/time.hpp>

#include <csignal>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace troupe::process {

/// Where a command reads its standard input from.
struct StdinNull {
  friend bool operator==(const StdinNull&, const StdinNull&) = default;
};
/// The standard input of troupe itself. At most one running command should.
struct StdinInherit {
  friend bool operator==(const StdinInherit&, const StdinInherit&) = default;
};
struct StdinFile {
  std::string path;  ///< Opened read-only, relative to the command's directory.
  friend bool operator==(const StdinFile&, const StdinFile&) = default;
};
struct StdinText {
  std::string bytes;  ///< Up to max_stdin_text; any bytes.
  friend bool operator==(const StdinText&, const StdinText&) = default;
};
using Stdin = std::variant<StdinNull, StdinInherit, StdinFile, StdinText>;

/// Where a command's standard output or error goes.
enum class Output : std::uint8_t {
  capture = 0,  ///< To the attempt's OutputSink, with back-pressure.
  inherit = 1,  ///< To the stream of troupe itself, untouched.
  discard = 2,  ///< To /dev/null.
  merge = 3,    ///< Standard error only: to wherever standard output goes.
  record = 4,   ///< To the file of `CommandSpec::record`, by the warden itself.
};

/// A file that gets output without its passing through troupe, so that it is
/// complete whatever becomes of troupe (output_record.hpp). It is made at the
/// first byte, readable for its owner only; its folder, too, if it is not
/// there. Each attempt needs a file of its own.
struct OutputRecord {
  std::string path;  ///< Relative to the folder the warden was started in.
  /// Of both streams; what comes after is counted but not kept. Zero for no
  /// bound.
  std::uint64_t most_bytes = 0;

  friend bool operator==(const OutputRecord&, const OutputRecord&) = default;
};

/// Kernel limits of a command (setrlimit), inherited by all it starts; nullopt
/// leaves the limit as troupe has it. Not raised above the hard limit.
struct Limits {
  std::optional<std::uint64_t> cpu_seconds;
  std::optional<std::uint64_t> memory_bytes;  ///< Address space per process.
  std::optional<std::uint64_t> open_files;
  std::optional<std::uint64_t> processes;  ///< Of the user, not of the command.
  std::optional<std::uint64_t> file_size_bytes;

  friend bool operator==(const Limits&, const Limits&) = default;
};

/// Limits that a command shares with all that it starts (cgroups.hpp); nullopt
/// for none. Where they cannot be kept, the one on memory becomes one on the
/// address space of each process, and the command does not start with the
/// others.
struct TreeLimits {
  std::optional<std::uint64_t> memory_bytes;  ///< Swap included.
  /// Of one processor: 150 is one and a half of them. Positive.
  std::optional<std::uint64_t> cpu_percent;
  std::optional<std::uint64_t> tasks;  ///< Processes and threads. Positive.

  [[nodiscard]] bool any() const {
    return memory_bytes || cpu_percent || tasks;
  }

  friend bool operator==(const TreeLimits&, const TreeLimits&) = default;
};

/// Largest text for StdinText, in bytes; more belongs into a file.
inline constexpr std::size_t max_stdin_text = 16 << 20;

/// Name of the variable that marks every process of a command.
inline constexpr std::string_view marker_name = "TROUPE_COMMAND";

/// Everything the system needs to know to run one attempt of a command.
struct CommandSpec {
  /// Without '/' in it, argv[0] is looked up in the PATH of the environment
  /// that the command gets. Never empty.
  std::vector<std::string> argv;

  /// Empty means the directory troupe was started in.
  std::string working_directory;

  /// The environment is troupe's own (or empty, if cleared), less `unset_env`,
  /// plus `env`; later entries win. TROUPE_COMMAND is always added: it marks
  /// the tree, so that what the command leaves behind can be found.
  bool clear_env = false;
  std::vector<std::string> unset_env;
  std::vector<std::pair<std::string, std::string>> env;

  Stdin standard_input = StdinNull{};
  Output standard_output = Output::capture;
  Output standard_error = Output::capture;
  OutputRecord record;  ///< For streams with Output::record.

  Limits limits;
  TreeLimits tree_limits;
  std::optional<std::uint32_t> umask;
  std::optional<int> nice;  ///< Added to troupe's niceness; -20 to 19.

  /// Own session (setsid) instead of an own process group.
  bool new_session = false;
  /// Stay in troupe's process group, so that a terminal treats the command as
  /// it would without troupe (Ctrl-C, Ctrl-Z, reading). Excludes new_session.
  bool foreground = false;

  /// Wall-clock from start to the polite signal; zero for none.
  Duration time_limit{0};
  /// Longest time without a byte of output, from the start on; zero for any.
  /// Only while a stream of it is captured or recorded.
  Duration silence_limit{0};
  /// From the polite signal to SIGKILL, on time-out and on stop.
  Duration grace = 2s;
  int polite_signal = SIGTERM;
  /// The polite signal is for the first process alone, which ends the others.
  bool ends_its_tree = false;

  /// It goes on when the right to run commands ends (WardenRunner::guard), if a
  /// runner is there then: nobody else may start it meanwhile, or it does no
  /// harm if somebody does.
  /// Without that right, it does not start, either.
  bool outlives_right = false;

  friend bool operator==(const CommandSpec&, const CommandSpec&) = default;
};

}  // namespace troupe::process
