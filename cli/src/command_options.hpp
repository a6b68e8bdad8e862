#pragma once

/// The options that exec and map share: how a command is started, limited and
/// retried.
#include <troupe/actors/command_request.hpp>
#include <troupe/base/error.hpp>

#include <CLI/CLI.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace troupe::cli {

/// Texts as the user typed them; `resolve` checks them.
struct CommandOptions {
  std::string timeout;
  std::string grace;
  std::string signal;
  std::string retries;
  std::string delay;
  std::string backoff;
  std::string jitter;
  std::string max_delay;
  std::string working_directory;
  std::string shell;
  std::string umask;
  std::string nice;
  std::vector<std::string> env;
  std::vector<std::string> limits;
  bool clear_env = false;
  /// The wait before a retry, as messages call it.
  std::string delay_option = "--delay";

  /// Adds the options to a subcommand; `delay_names` are those of the wait
  /// before a retry. `this` must outlive `app`.
  void add_to(CLI::App& app, const std::string& delay_names);

  /// Everything but the argv and the streams.
  ///
  /// Errors: invalid_argument, naming the option.
  [[nodiscard]] Result<actors::CommandRequest> resolve() const;
};

/// "TERM", "SIGTERM", "term" or "15".
///
/// Errors: invalid_argument, with a suggestion.
[[nodiscard]] Result<int> signal_option(std::string_view text);

/// One `--limit NAME=VALUE`: cpu (time), memory, files, processes, file-size.
///
/// Errors: invalid_argument, with a suggestion.
[[nodiscard]] Result<void> apply_limit(std::string_view text,
                                       process::Limits& limits);

/// A duration given to `option`; empty leaves `value` alone.
///
/// Errors: invalid_argument, "--timeout: expected ...".
[[nodiscard]] Result<void> read_duration(std::string_view option,
                                         const std::string& text,
                                         Duration& value);

/// Likewise a whole number.
[[nodiscard]] Result<void> read_count(std::string_view option,
                                      const std::string& text,
                                      std::uint64_t& value);

}  // namespace troupe::cli
