#pragma once

/// The path, arguments and environment that a command is executed with.
#include <troupe/base/error.hpp>
#include <troupe/process/command_spec.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace troupe::process {

/// Our environment, taken apart once and not for each command.
class InheritedEnvironment {
 public:
  /// `entries` is null-terminated and outlives us.
  explicit InheritedEnvironment(const char* const* entries);

 private:
  friend class ProgramImage;

  struct Variable {
    const char* entry;
    std::string_view name;
  };

  std::vector<Variable> variables_;  ///< But for TROUPE_COMMAND.
  std::string_view search_path_;
  std::string mark_;  ///< "TROUPE_COMMAND=", and "OUTER/" for each outer one.
};

/// Null-terminated arrays for execve, and the texts they point to. Points into
/// what it was built from, which must outlive it.
class ProgramImage {
 public:
  /// `marker` is added as TROUPE_COMMAND, after an inherited one and a '/', so
  /// that troupe inside of troupe is found by both.
  ///
  /// Errors: invalid_argument (no argv, NUL in a text, '=' in a name).
  [[nodiscard]] static Result<ProgramImage> build(
      const CommandSpec& spec, const InheritedEnvironment& inherited,
      std::string_view marker);

  /// PATH of the command's environment; the system's default without one.
  [[nodiscard]] std::string_view search_path() const { return search_path_; }
  /// Files to try in turn: one if argv[0] has a slash, else one per entry of
  /// the search path.
  [[nodiscard]] std::vector<std::string> candidates() const;
  [[nodiscard]] const char* const* argv() const { return argv_.data(); }
  [[nodiscard]] const char* const* env() const { return env_.data(); }

  /// For a file without "#!" that execve refuses (ENOEXEC): as a shell does,
  /// `/bin/sh file arg...`.
  [[nodiscard]] std::vector<const char*> shell_argv(
      const std::string& file) const;

 private:
  std::string_view search_path_;
  std::vector<const char*> argv_;
  std::vector<const char*> env_;
  std::vector<std::string> texts_;  ///< Owns the "name=value" of `spec.env`.
};

/// Whether `value`, of a variable TROUPE_COMMAND, names a command of `session`:
/// one of its parts between '/' begins with the session and a dot.
[[nodiscard]] bool is_marked_by(std::string_view value,
                                std::string_view session);

}  // namespace troupe::process
