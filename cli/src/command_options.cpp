#include "command_options.hpp"

#include "assignment.hpp"
#include "subcommand.hpp"

#include <troupe/base/quantity.hpp>
#include <troupe/base/signal_name.hpp>
#include <troupe/base/suggest.hpp>
#include <troupe/base/text.hpp>

#include <array>
#include <charconv>
#include <csignal>
#include <cstring>
#include <fmt/format.h>
#include <optional>

namespace troupe::cli {
namespace {

constexpr std::uint64_t most_attempts = 1'000'000;

std::string did_you_mean(std::optional<std::string_view> candidate) {
  return candidate ? fmt::format("; did you mean \"{}\"?", *candidate) : "";
}

Result<void> read_number(std::string_view option, const std::string& text,
                         double low, double high, double& value) {
  if (text.empty())
    return {};
  double number = 0;
  const char* const end = text.data() + text.size();
  const auto [next, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || next != end || !(number >= low) ||
      !(number <= high))
    return failure(
        Errc::invalid_argument,
        fmt::format("{}: expected a number from {} to {}, got \"{}\"", option,
                    low, high, printable(text)));
  value = number;
  return {};
}

Result<std::uint32_t> parse_octal(const std::string& text) {
  std::uint32_t mode = 0;
  const char* const end = text.data() + text.size();
  const auto [next, error] = std::from_chars(text.data(), end, mode, 8);
  if (error != std::errc{} || next != end || mode > 0777)
    return failure(Errc::invalid_argument,
                   fmt::format("--umask: expected an octal mode such as 022, "
                               "got \"{}\"",
                               printable(text)));
  return mode;
}

Result<int> parse_nice(const std::string& text) {
  int value = 0;
  const char* const end = text.data() + text.size();
  const auto [next, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || next != end || value < -20 || value > 19)
    return failure(Errc::invalid_argument,
                   fmt::format("--nice: expected a number from -20 to 19, got "
                               "\"{}\"",
                               printable(text)));
  return value;
}

}  // namespace

void CommandOptions::add_to(CLI::App& app, const std::string& delay_names) {
  delay_option = delay_names.substr(0, delay_names.find(','));
  const std::string time = "DURATION";
  app.add_option("--timeout", timeout,
                 "Stop an attempt that runs longer than this")
      ->type_name(time);
  app.add_option("--grace", grace,
                 "Time from the polite signal to the kill (2s)")
      ->type_name(time);
  app.add_option("--signal", signal, "The polite signal (TERM)")
      ->type_name("NAME");
  app.add_option("--retries", retries, "Attempts after a failed first one (0)")
      ->type_name("N");
  app.add_option(delay_names, delay, "Wait before the first retry (1s)")
      ->type_name(time);
  app.add_option("--backoff", backoff, "Factor from wait to wait (2)")
      ->type_name("X");
  app.add_option("--jitter", jitter, "Random share of each wait (0.1)")
      ->type_name("X");
  app.add_option("--max-delay", max_delay, "Longest wait before a retry (1m)")
      ->type_name(time);
  app.add_option("--cwd", working_directory, "Working directory")
      ->type_name("DIR");
  repeated(app.add_option("--env", env, "Set a variable; may be repeated")
               ->type_name("NAME=VALUE"));
  app.add_flag("--clear-env", clear_env, "Start with an empty environment");
  repeated(app.add_option("--limit", limits,
                          "cpu=TIME, memory=SIZE, files=N, processes=N or "
                          "file-size=SIZE; may be repeated")
               ->type_name("NAME=VALUE"));
  app.add_option("--umask", umask, "File mode mask")->type_name("MODE");
  app.add_option("--nice", nice, "Add to the niceness")->type_name("N");
}

Result<int> signal_option(std::string_view text) {
  if (const auto signal = parse_signal(text))
    return *signal;
  std::string name{text.starts_with("SIG") ? text.substr(3) : text};
  return failure(
      Errc::invalid_argument,
      fmt::format("--signal: unknown signal \"{}\"{}", printable(text),
                  did_you_mean(suggest(name, signal_names()))));
}

Result<void> apply_limit(std::string_view text, process::Limits& limits) {
  constexpr std::array<std::string_view, 5> names{"cpu", "memory", "files",
                                                  "processes", "file-size"};
  const std::size_t equals = text.find('=');
  const std::string_view name = text.substr(0, equals);
  if (equals == std::string_view::npos)
    return failure(Errc::invalid_argument,
                   fmt::format("--limit: expected NAME=VALUE such as "
                               "memory=1GiB, got \"{}\"",
                               printable(text)));
  const std::string_view value = text.substr(equals + 1);
  const auto refuse = [&](const Error& error) -> Result<void> {
    return tl::unexpected(
        Error{error}.within(fmt::format("--limit {}", printable(name))));
  };
  const auto set = [&](auto parsed,
                       std::optional<std::uint64_t>& limit) -> Result<void> {
    if (!parsed)
      return refuse(parsed.error());
    limit = *parsed;
    return {};
  };
  if (name == "cpu") {
    const auto time = parse_duration(value);
    if (!time)
      return refuse(time.error());
    const auto seconds = std::chrono::floor<std::chrono::seconds>(*time);
    if (seconds != *time || seconds.count() == 0)
      return failure(Errc::invalid_argument,
                     fmt::format("--limit cpu: the kernel counts whole seconds "
                                 "from 1s on, got \"{}\"",
                                 printable(value)));
    limits.cpu_seconds = static_cast<std::uint64_t>(seconds.count());
    return {};
  }
  if (name == "memory")
    return set(parse_size(value), limits.memory_bytes);
  if (name == "files")
    return set(parse_count(value), limits.open_files);
  if (name == "processes")
    return set(parse_count(value), limits.processes);
  if (name == "file-size")
    return set(parse_size(value), limits.file_size_bytes);
  return failure(Errc::invalid_argument,
                 fmt::format("--limit: unknown limit \"{}\"{}", printable(name),
                             did_you_mean(suggest(name, names))));
}

Result<void> read_duration(std::string_view option, const std::string& text,
                           Duration& value) {
  if (text.empty())
    return {};
  auto parsed = parse_duration(text);
  if (!parsed)
    return tl::unexpected(std::move(parsed.error()).within(option));
  value = *parsed;
  return {};
}

Result<void> read_count(std::string_view option, const std::string& text,
                        std::uint64_t& value) {
  if (text.empty())
    return {};
  auto parsed = parse_count(text);
  if (!parsed)
    return tl::unexpected(std::move(parsed.error()).within(option));
  value = *parsed;
  return {};
}

Result<actors::CommandRequest> CommandOptions::resolve() const {
  actors::CommandRequest request;
  process::CommandSpec& spec = request.spec;
  actors::RetryPolicy& retry = request.retry;
  std::uint64_t retry_count = 0;

  Result<void> checked = read_duration("--timeout", timeout, spec.time_limit);
  const auto then = [&](auto read) {
    if (checked)
      checked = read();
  };
  then([&] { return read_duration("--grace", grace, spec.grace); });
  then([&] { return read_count("--retries", retries, retry_count); });
  then([&] { return read_duration(delay_option, delay, retry.delay); });
  then([&] {
    return read_number("--backoff", backoff, 1, 1000, retry.backoff);
  });
  then([&] { return read_number("--jitter", jitter, 0, 1, retry.jitter); });
  then(
      [&] { return read_duration("--max-delay", max_delay, retry.max_delay); });
  for (const std::string& limit : limits)
    then([&] { return apply_limit(limit, spec.limits); });
  if (!checked)
    return tl::unexpected(std::move(checked.error()));

  if (retry_count >= most_attempts)
    return failure(Errc::invalid_argument,
                   fmt::format("--retries: at most {}", most_attempts - 1));
  retry.attempts = static_cast<std::uint32_t>(retry_count) + 1;
  if (!signal.empty()) {
    const auto number = signal_option(signal);
    if (!number)
      return tl::unexpected(number.error());
    spec.polite_signal = *number;
  }
  if (!umask.empty()) {
    const auto mode = parse_octal(umask);
    if (!mode)
      return tl::unexpected(mode.error());
    spec.umask = *mode;
  }
  if (!nice.empty()) {
    const auto value = parse_nice(nice);
    if (!value)
      return tl::unexpected(value.error());
    spec.nice = *value;
  }
  spec.working_directory = working_directory;
  spec.clear_env = clear_env;
  for (const std::string& entry : env) {
    auto assignment = parse_assignment("--env", entry);
    if (!assignment)
      return tl::unexpected{std::move(assignment.error())};
    if (assignment->first == process::marker_name)
      return failure(Errc::invalid_argument,
                     fmt::format("--env: {} is troupe's own: it marks the "
                                 "processes of a command",
                                 process::marker_name));
    spec.env.push_back(std::move(*assignment));
  }
  return request;
}

}  // namespace troupe::cli
