#include "subcommand.hpp"

#include <troupe/base/quantity.hpp>
#include <troupe/base/suggest.hpp>
#include <troupe/base/text.hpp>
#include <troupe/fanout/job_slots.hpp>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <memory>
#include <optional>
#include <sys/resource.h>
#include <system_error>
#include <utility>

namespace troupe::cli {
namespace {

/// An option that the user typed and `app` does not have; empty if none.
std::string unknown_option(const CLI::App& app,
                           const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (word == "--")
      return {};
    if (!word.starts_with("--"))
      continue;
    std::string name = word.substr(0, word.find('='));
    if (app.get_option_no_throw(name) == nullptr)
      return name;
  }
  return {};
}

/// "--json=foo": a value that the user typed for an option that takes none;
/// empty if none.
std::string_view needless_value(const CLI::App& app,
                                const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    if (word == "--")
      return {};
    if (!word.starts_with("--") || equals == std::string::npos)
      continue;
    const CLI::Option* option = app.get_option_no_throw(word.substr(0, equals));
    if (option != nullptr && option->get_items_expected_max() == 0)
      return word;
  }
  return {};
}

/// "artifact put" of "troupe artifact put".
std::string_view command_name(const CLI::App& app) {
  const std::string_view name = app.get_name();
  return name.substr(name.find(' ') + 1);
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames())
      names.push_back("--" + name);
  }
  return names;
}

class UsageLine : public CLI::Formatter {
 public:
  explicit UsageLine(std::string usage) : usage_{std::move(usage)} {}

  std::string make_usage(const CLI::App*, std::string) const override {
    return fmt::format("Usage: {}\n", usage_);
  }

 private:
  std::string usage_;
};

}  // namespace

void complain(std::string_view what) {
  // Not fmt::print, which throws if nobody takes what it writes.
  const std::string line = fmt::format("troupe: {}\n", what);
  (void)std::fputs(line.c_str(), stderr);
}

void write_out(std::string_view bytes) { write_answer(bytes, {}); }

void write_answer(std::string_view bytes, std::string_view done) {
  errno = 0;
  if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) == bytes.size() &&
      std::fflush(stdout) == 0)
    return;
  if (errno == EPIPE)
    std::_Exit(128 + SIGPIPE);
  const Error error = system_error("cannot write to standard output", errno);
  complain(done.empty() ? error.what
                        : fmt::format("{}; only its answer is lost: {}", done,
                                      error.what));
  std::_Exit(exit_troupe_failed);
}

int troupe_failed(const Error& error) {
  complain(error.what);
  return exit_troupe_failed;
}

int usage_error(std::string_view what) {
  complain(what);
  (void)std::fputs("Try \"troupe --help\".\n", stderr);
  return exit_usage;
}

int usage_error(std::string_view command, std::string_view what) {
  complain(fmt::format("{}: {}", command, what));
  const std::string hint = fmt::format("Try \"troupe {} --help\".\n", command);
  (void)std::fputs(hint.c_str(), stderr);
  return exit_usage;
}

int unknown_option_error(const CLI::App& app, std::string_view typed) {
  const std::string_view name = typed.substr(0, typed.find('='));
  const std::vector<std::string> names = option_names(app);
  const auto meant =
      suggest(name, std::vector<std::string_view>{names.begin(), names.end()});
  return usage_error(
      command_name(app),
      fmt::format("unknown option {}{}", printable(name),
                  meant ? fmt::format("; did you mean {}?", *meant) : ""));
}

void show_usage(CLI::App& app, std::string usage) {
  app.formatter(std::make_shared<UsageLine>(std::move(usage)));
}

std::optional<int> parse(CLI::App& app, std::vector<std::string> words) {
  const std::vector<std::string> typed = words;
  std::reverse(words.begin(), words.end());  // CLI11 takes them from the back.
  try {
    app.parse(words);
    return std::nullopt;
  } catch (const CLI::CallForHelp&) {
    write_out(app.help());
    return exit_ok;
  } catch (const CLI::ParseError& error) {
    const std::string unknown = unknown_option(app, typed);
    if (!unknown.empty())
      return unknown_option_error(app, unknown);
    const std::string_view word = needless_value(app, typed);
    if (word.empty())
      return usage_error(command_name(app), error.what());
    const std::size_t equals = word.find('=');
    return usage_error(
        command_name(app),
        fmt::format("{} takes no value, got \"{}\"", word.substr(0, equals),
                    printable(word.substr(equals + 1))));
  }
}

std::optional<int> parse_with_command(CLI::App& app,
                                      std::vector<std::string> words,
                                      std::vector<std::string>& command) {
  app.prefix_command();
  const auto dashes = std::find(words.begin(), words.end(), "--");
  const bool has_dashes = dashes != words.end();
  const std::vector<std::string> after_dashes(has_dashes ? dashes + 1 : dashes,
                                              words.end());
  words.erase(dashes, words.end());
  if (const auto code = parse(app, std::move(words)))
    return code;
  command = app.remaining();
  if (!command.empty() && command.front().starts_with('-'))
    return unknown_option_error(app, command.front());
  command.insert(command.end(), after_dashes.begin(), after_dashes.end());
  return std::nullopt;
}

std::string environment_variable(std::string_view name) {
  const char* const value = std::getenv(std::string{name}.c_str());
  return value == nullptr ? std::string{} : std::string{value};
}

std::string own_program() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).string();
}

bool takes_value(const CLI::App& app, const std::string& typed) {
  const bool is_long = typed.starts_with("--");
  if (is_long && typed.find('=') != std::string::npos)
    return false;
  // Of -kj8 and -kj 8 the first letter with a value decides.
  for (std::size_t i = 1; !is_long && i < typed.size(); ++i) {
    const auto* option = app.get_option_no_throw(fmt::format("-{}", typed[i]));
    if (option != nullptr && option->get_items_expected_max() > 0)
      return i + 1 == typed.size();
  }
  const auto* option = is_long ? app.get_option_no_throw(typed) : nullptr;
  return option != nullptr && option->get_items_expected_max() > 0;
}

namespace {

std::uint32_t count_in_environment(const char* name) {
  const char* const text = std::getenv(name);
  return text == nullptr
             ? 0
             : static_cast<std::uint32_t>(parse_count(text).value_or(0));
}

}  // namespace

CLI::Option* repeated(CLI::Option* option) {
  return option->expected(1)->allow_extra_args(false)->take_all();
}

std::uint32_t crashes_for_test() {
  return count_in_environment("TROUPE_TEST_CRASH_ACTORS");
}

std::uint32_t events_for_test() {
  return count_in_environment("TROUPE_TEST_END_AFTER_EVENTS");
}

std::uint32_t most_jobs_by_open_files() {
  // Two pipes and a process descriptor in the warden, or two files of output
  // and two of --results here.
  constexpr rlim_t files_per_job = 4;
  constexpr rlim_t files_of_ours = 40;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 ||
      limit.rlim_max >= files_per_job * fanout::most_job_slots + files_of_ours)
    return fanout::most_job_slots;
  const rlim_t usable =
      std::max(limit.rlim_max, files_of_ours + files_per_job) - files_of_ours;
  return static_cast<std::uint32_t>(usable / files_per_job);
}

void raise_open_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace troupe::cli
