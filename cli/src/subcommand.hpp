#pragma once

/// What main() knows of a subcommand, and what subcommands share.
#include <troupe/base/error.hpp>
#include <troupe/base/exit_status.hpp>

#include <CLI/CLI.hpp>

#include <csignal>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::cli {

// Exit codes of troupe itself; commands have their own.
inline constexpr int exit_ok = 0;
inline constexpr int exit_failed = 1;
inline constexpr int exit_usage = 2;
inline constexpr int exit_bad_file = 3;
/// Of a node that was revoked: to start it again is of no use, which the units
/// of packaging/systemd know.
inline constexpr int exit_not_a_member = 4;
inline constexpr int exit_troupe_failed = status_troupe_failed;

/// What the process was started with.
struct Startup {
  sigset_t signal_mask{};  ///< Commands start with it.
};

/// Prints "troupe: <what>" to standard error.
void complain(std::string_view what);

/// Complains of what is no mistake of the user's, and returns
/// exit_troupe_failed.
int troupe_failed(const Error& error);

/// Complains, with a pointer to the help, and returns exit_usage.
int usage_error(std::string_view what);

/// Likewise of a mistake in the words of `command`, such as "artifact put",
/// which has a help of its own.
int usage_error(std::string_view command, std::string_view what);

/// Writes to standard output at once. If that fails, this process ends there:
/// quietly when nobody reads any more, as by SIGPIPE. For commands that
/// only look, or whose work is done.
void write_out(std::string_view bytes);

/// As write_out(), of the answer to what cannot be taken back: if it fails, the
/// complaint begins with what was done, such as "job 7 was accepted".
void write_answer(std::string_view bytes, std::string_view done);

/// The usage error for an option that `app` does not have, with "did you mean".
int unknown_option_error(const CLI::App& app, std::string_view typed);

/// Replaces the "Usage:" line of `app`'s help by `usage`, for what its options
/// alone do not tell.
void show_usage(CLI::App& app, std::string usage);

/// Parses the words after the subcommand's name into `app`. Nullopt to go on,
/// else the exit code: --help was printed, or a mistake was explained. Unknown
/// options come with "did you mean".
[[nodiscard]] std::optional<int> parse(CLI::App& app,
                                       std::vector<std::string> words);

/// As parse(), of options with a command after them: `command` gets its words,
/// which begin at the first that is no option, or after "--". Takes no other
/// positional words.
[[nodiscard]] std::optional<int> parse_with_command(
    CLI::App& app, std::vector<std::string> words,
    std::vector<std::string>& command);

/// Of our environment; empty if it is not set.
[[nodiscard]] std::string environment_variable(std::string_view name);

/// The path of this program, for those who start it again.
[[nodiscard]] std::string own_program();

/// Whether `typed` is an option of `app` whose value is the next word.
[[nodiscard]] bool takes_value(const CLI::App& app, const std::string& typed);

/// Makes an option one that may be given again and again, each time with one
/// value: the words after that are not its own.
CLI::Option* repeated(CLI::Option* option);

/// For tests of recovery: how many actors of each command shall die, from
/// TROUPE_TEST_CRASH_ACTORS.
[[nodiscard]] std::uint32_t crashes_for_test();

/// Likewise: the events of runs after which a node ends without a word, from
/// TROUPE_TEST_END_AFTER_EVENTS; zero for never.
[[nodiscard]] std::uint32_t events_for_test();

/// As many as the hard limit allows: each running command takes descriptors
/// for its output.
void raise_open_files();

/// How many commands can run at once with as many open files as
/// raise_open_files() allows; at least 1.
[[nodiscard]] std::uint32_t most_jobs_by_open_files();

int run_exec(const Startup& startup, std::vector<std::string> words);
int run_map(const Startup& startup, std::vector<std::string> words);
int run_workflow(const Startup& startup, std::vector<std::string> words);
int run_up(const Startup& startup, std::vector<std::string> words);
int run_ps(const Startup& startup, std::vector<std::string> words);
int run_restart(const Startup& startup, std::vector<std::string> words);
int run_stop(const Startup& startup, std::vector<std::string> words);
int run_start(const Startup& startup, std::vector<std::string> words);
int run_scale(const Startup& startup, std::vector<std::string> words);
int run_logs(const Startup& startup, std::vector<std::string> words);
int run_down(const Startup& startup, std::vector<std::string> words);
int run_node(const Startup& startup, std::vector<std::string> words);
int run_config(const Startup& startup, std::vector<std::string> words);
int run_audit(const Startup& startup, std::vector<std::string> words);
int run_cluster(const Startup& startup, std::vector<std::string> words);
int run_submit(const Startup& startup, std::vector<std::string> words);
int run_list(const Startup& startup, std::vector<std::string> words);
int run_status(const Startup& startup, std::vector<std::string> words);
int run_wait(const Startup& startup, std::vector<std::string> words);
int run_cancel(const Startup& startup, std::vector<std::string> words);
int run_approve(const Startup& startup, std::vector<std::string> words);
int run_retry(const Startup& startup, std::vector<std::string> words);
int run_why(const Startup& startup, std::vector<std::string> words);
int run_edit(const Startup& startup, std::vector<std::string> words);
int run_forget(const Startup& startup, std::vector<std::string> words);
int run_pause(const Startup& startup, std::vector<std::string> words);
int run_resume(const Startup& startup, std::vector<std::string> words);
int run_group(const Startup& startup, std::vector<std::string> words);
int run_triggers(const Startup& startup, std::vector<std::string> words);
int run_stats(const Startup& startup, std::vector<std::string> words);
int run_top(const Startup& startup, std::vector<std::string> words);
int run_cached(const Startup& startup, std::vector<std::string> words);
int run_artifact(const Startup& startup, std::vector<std::string> words);
int run_graph(const Startup& startup, std::vector<std::string> words);
int run_insights(const Startup& startup, std::vector<std::string> words);
int run_test(const Startup& startup, std::vector<std::string> words);
int run_lint(const Startup& startup, std::vector<std::string> words);
int run_schema(const Startup& startup, std::vector<std::string> words);
int run_completion(const Startup& startup, std::vector<std::string> words);

}  // namespace troupe::cli
