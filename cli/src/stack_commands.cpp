/// troupe ps, restart, stop, start, scale, logs, down: what people ask a
/// running stack for. `logs` of a number is about a job of the queue.
#include "job_logs.hpp"
#include "job_words.hpp"
#include "queue_context.hpp"
#include "queue_run_commands.hpp"
#include "stack_names.hpp"
#include "stack_view.hpp"
#include "subcommand.hpp"
#include "terminal.hpp"

#include <troupe/api/client.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/base/suggest.hpp>
#include <troupe/base/text.hpp>
#include <troupe/service/log_reader.hpp>

#include <chrono>
#include <fmt/format.h>
#include <optional>
#include <string_view>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace troupe::cli {
namespace {

using api::Json;

constexpr Duration longest_stack_answer = 5s;
/// A service may take long to end or to be ready, and says itself how long.
constexpr Duration longest_change = 1h;

/// The sockets of the stacks that are meant: that of `file`, or all.
Result<std::vector<std::string>> sockets_of(const std::string& file) {
  if (file.empty())
    return all_stack_sockets();
  std::vector<std::string> notes;
  const auto places = places_of(file, notes);
  if (!places)
    return tl::unexpected{places.error()};
  return std::vector<std::string>{places->socket};
}

/// A stack that answers.
struct RunningStack {
  std::string socket;
  StackSnapshot snapshot;
};

/// Of those that do not answer in time, the errors are added to `silent`.
Result<std::vector<RunningStack>> running_stacks(const std::string& file,
                                                 std::vector<Error>& silent) {
  const auto sockets = sockets_of(file);
  if (!sockets)
    return tl::unexpected{sockets.error()};
  std::vector<RunningStack> running;
  for (const std::string& socket : *sockets) {
    const auto answer =
        api::request(socket, Json{{"do", "ps"}}, longest_stack_answer);
    // One that is about to end or was killed is not there any more.
    if (!answer && (answer.error().code == Errc::not_found ||
                    answer.error().code == Errc::unavailable))
      continue;
    if (!answer && answer.error().code == Errc::timed_out) {
      silent.push_back(answer.error());
      continue;
    }
    if (!answer)
      return tl::unexpected{answer.error()};
    try {
      running.push_back({socket, snapshot_from_json(*answer)});
    } catch (const Json::exception& error) {
      return failure(Errc::corrupt, fmt::format("{} answers something else: {}",
                                                socket, error.what()));
    }
  }
  return running;
}

Error nothing_runs(const std::string& file) {
  if (file.empty())
    return {Errc::not_found, "no stack is running; start one with troupe up"};
  return {Errc::not_found,
          fmt::format("{} is not running; start it with troupe up",
                      printable(file))};
}

/// The one stack that is meant.
Result<RunningStack> the_stack(const std::string& file) {
  std::vector<Error> silent;
  auto running = running_stacks(file, silent);
  if (!running)
    return tl::unexpected{std::move(running.error())};
  // It may be the one that is meant.
  if (!silent.empty())
    return tl::unexpected{std::move(silent.front())};
  if (running->empty())
    return tl::unexpected{nothing_runs(file)};
  if (running->size() == 1)
    return std::move(running->front());
  std::string files;
  for (const RunningStack& stack : *running)
    files += fmt::format("\n  {}", printable(stack.snapshot.file));
  return failure(Errc::invalid_argument,
                 fmt::format("{} stacks are running; name one with --file:{}",
                             running->size(), files));
}

int stack_failed(const Error& error) {
  complain(error.what);
  return error.code == Errc::invalid_argument ? exit_usage : exit_failed;
}

void add_file(CLI::App& app, std::string& file) {
  app.add_option("-f,--file", file, "The stack of this file")
      ->type_name("FILE");
}

int print_stacks(const std::string& file, bool as_json) {
  std::vector<Error> silent;
  const auto running = running_stacks(file, silent);
  if (!running)
    return stack_failed(running.error());
  for (const Error& error : silent)
    complain(error.what);
  const int code = silent.empty() ? exit_ok : exit_failed;
  if (as_json) {
    Json all = Json::array();
    for (const RunningStack& stack : *running)
      all.push_back(to_json(stack.snapshot));
    write_out(all.dump(2) + "\n");
    return code;
  }
  if (running->empty() && silent.empty())
    return stack_failed(nothing_runs(file));
  for (const RunningStack& stack : *running) {
    if (running->size() > 1)
      fmt::print("{}:\n", printable(stack.snapshot.file));
    fmt::print("{}", render_table(stack.snapshot,
                                  {.colour = wants_colour() &&
                                             ::isatty(STDOUT_FILENO) == 1}));
  }
  return code;
}

/// Asks the stack for `what`, about `name`.
int change(const std::string& file, const Json& what) {
  const auto stack = the_stack(file);
  if (!stack)
    return stack_failed(stack.error());
  const auto answer = api::request(stack->socket, what, longest_change);
  return answer ? exit_ok : stack_failed(answer.error());
}

int change_each(const char* command, const char* description,
                std::vector<std::string> words) {
  std::string file;
  std::vector<std::string> names;
  CLI::App app{description, fmt::format("troupe {}", command)};
  app.add_option("NAME", names, "Services or groups, as troupe ps shows them");
  add_file(app, file);
  if (const auto code = parse(app, std::move(words)))
    return *code;
  if (names.empty())
    return usage_error(command, "no service given");
  for (const std::string& name : names) {
    const int code = change(file, {{"do", command}, {"name", to_utf8(name)}});
    if (code != exit_ok)
      return code;
  }
  return exit_ok;
}

/// Whether all that is named are jobs: services have no numbers as names.
bool names_jobs(const std::vector<std::string>& names) {
  return !names.empty() &&
         std::all_of(names.begin(), names.end(), [](const std::string& name) {
           return parse_task_name(name).has_value();
         });
}

int print_job_logs(const NodeOptions& node,
                   const std::vector<std::string>& names,
                   const std::string& attempt, JobLogOptions options) {
  if (!attempt.empty()) {
    const auto number = parse_count(attempt);
    if (!number || *number == 0)
      return usage_error(
          "logs", fmt::format("--attempt: expected a number from 1 on, got "
                              "\"{}\"",
                              printable(attempt)));
    options.attempt = *number;
  }
  const QueueContext context = real_queue_context();
  auto session = NodeSession::open(context, node);
  if (!session)
    return node_failed(session.error());
  if (names_runs(names)) {
    if (names.size() > 3)
      return usage_error("logs", "expected RUN [JOB [STEP]]");
    return print_run_logs(*session, names, options);
  }
  for (const std::string& name : names) {
    const auto printed =
        print_job_log(*session, *parse_task_name(name), options);
    if (!printed)
      return node_failed(printed.error());
  }
  return exit_ok;
}

/// Whether `name` is `entry` or in it.
bool is_within(const std::string& entry, const std::string& name) {
  return entry == name || entry.starts_with(name + "/");
}

}  // namespace

// NOLINTBEGIN(performance-unnecessary-value-param): as all subcommands.

int run_ps(const Startup&, std::vector<std::string> words) {
  std::string file;
  bool as_json = false;
  CLI::App app{"Shows the services that run under troupe up.", "troupe ps"};
  app.add_option("FILE,-f,--file", file, "Only the stack of this file");
  app.add_flag("--json", as_json, "As JSON");
  if (const auto code = parse(app, std::move(words)))
    return *code;
  return print_stacks(file, as_json);
}

int run_restart(const Startup&, std::vector<std::string> words) {
  return change_each("restart",
                     "Ends services and starts them again. Returns when they "
                     "are ready.",
                     std::move(words));
}

int run_stop(const Startup&, std::vector<std::string> words) {
  return change_each("stop",
                     "Ends services, which then stay stopped until somebody "
                     "starts them.",
                     std::move(words));
}

int run_start(const Startup&, std::vector<std::string> words) {
  return change_each("start",
                     "Starts services that are stopped, held or waiting. "
                     "Returns when they are\nready.",
                     std::move(words));
}

int run_scale(const Startup&, std::vector<std::string> words) {
  std::string file;
  std::vector<std::string> wanted;
  CLI::App app{
      "Changes how many copies of a service run, of groups with a "
      "\"template\".\n\n  troupe scale loaders=4",
      "troupe scale"};
  app.add_option("NAME=N", wanted, "The group and the number of copies");
  add_file(app, file);
  if (const auto code = parse(app, std::move(words)))
    return *code;
  if (wanted.empty())
    return usage_error("scale", "nothing to scale was given");
  for (const std::string& text : wanted) {
    const std::size_t equals = text.rfind('=');
    const auto count = equals == std::string::npos
                           ? Result<std::uint64_t>{failure(
                                 Errc::invalid_argument, "expected NAME=N")}
                           : parse_count(text.substr(equals + 1));
    if (!count || *count > 100'000)
      return usage_error(
          "scale", fmt::format("expected NAME=N, got \"{}\"", printable(text)));
    const int code = change(file, {{"do", "scale"},
                                   {"name", to_utf8(text.substr(0, equals))},
                                   {"replicas", *count}});
    if (code != exit_ok)
      return code;
  }
  return exit_ok;
}

int run_logs(const Startup&, std::vector<std::string> words) {
  std::string file;
  std::string lines;
  bool follow = false;
  std::vector<std::string> names;
  std::string attempt;
  NodeOptions node;
  CLI::App app{
      "Prints what services have written, without a name of all; or jobs of "
      "the queue\n(17), tasks (17.3), or a run (r7), one of its jobs or one "
      "step of that.\n\n"
      "  troupe logs -f web\n"
      "  troupe logs --tail 20 17.3\n"
      "  troupe logs r7 extract pull",
      "troupe logs"};
  app.add_option("NAME", names,
                 "Services or groups, jobs or tasks, or RUN [JOB [STEP]]");
  app.add_flag("-f,--follow", follow, "And what they write from now on");
  app.add_option("-n,--lines,--tail", lines,
                 "Lines of each service (10) or task (all), or all")
      ->type_name("N");
  app.add_option("--file", file, "The stack of this file")->type_name("FILE");
  app.add_option("--attempt", attempt, "Of a task, this attempt (the last)")
      ->type_name("N");
  bool only_out = false;
  bool only_err = false;
  JobLogOptions of_job;
  app.add_flag("--stdout", only_out, "Of a task, only its standard output");
  app.add_flag("--stderr", only_err, "Of a task, only its standard error");
  app.add_flag("--timestamps", of_job.timestamps,
               "Of a task, when each line came");
  node.add_socket_to(app);
  if (const auto code = parse(app, std::move(words)))
    return *code;
  if (only_out && only_err)
    return usage_error("logs", "--stdout and --stderr exclude each other");
  if (only_out || only_err)
    of_job.only =
        only_out ? process::RecordKind::out : process::RecordKind::err;
  service::ReadLogsOptions options{.follow = follow};
  if (lines == "all") {
    options.last_lines.reset();
  } else if (!lines.empty()) {
    const auto count = parse_count(lines);
    if (!count)
      return usage_error("logs", fmt::format("-n: {}", count.error().what));
    options.last_lines = *count;
  }
  if (names_jobs(names) || names_runs(names)) {
    of_job.follow = follow;
    if (!lines.empty())
      of_job.tail = options.last_lines;
    return print_job_logs(node, names, attempt, of_job);
  }
  if (!attempt.empty() || !node.socket.empty() || of_job.only ||
      of_job.timestamps)
    return usage_error(
        "logs",
        "--attempt, --stdout, --stderr, --timestamps and --socket go "
        "with jobs");
  auto stack = the_stack(file);
  if (!stack && stack.error().code == Errc::not_found && file.empty())
    stack.error().what += ", or name a job (17), a task (17.3) or a run (r7)";
  if (!stack)
    return stack_failed(stack.error());
  std::vector<service::LogSource> sources;
  std::vector<std::string> missing = names;
  std::size_t width = 0;
  for (const StackEntry& entry : stack->snapshot.entries) {
    const bool wanted =
        names.empty() ||
        std::any_of(names.begin(), names.end(), [&](const std::string& name) {
          return is_within(entry.name, name);
        });
    std::erase(missing, entry.name);
    if (!wanted || entry.is_group || entry.log.empty())
      continue;
    // A service that has written nothing yet has no log.
    if (!follow && ::access(entry.log.c_str(), F_OK) != 0)
      continue;
    sources.push_back({entry.log, entry.name});
    width = std::max(width, entry.name.size());
  }
  if (!missing.empty()) {
    std::vector<std::string_view> known;
    for (const StackEntry& entry : stack->snapshot.entries)
      known.emplace_back(entry.name);
    const auto meant = suggest(missing[0], known);
    return stack_failed(
        {Errc::not_found,
         fmt::format("no service \"{}\"{}", printable(missing[0]),
                     meant ? fmt::format("; did you mean {}?", *meant) : "")});
  }
  // The stack writes all of it before it ends.
  options.stop = [process = fmt::format("/proc/{}", stack->snapshot.pid)] {
    return ::access(process.c_str(), F_OK) != 0;
  };
  const bool is_one = names.size() == 1 && sources.size() == 1;
  for (service::LogSource& source : sources)
    source.prefix =
        is_one ? "" : fmt::format("{:<{}} | ", source.prefix, width);
  const auto read =
      service::read_logs(sources, options, [](std::string_view bytes) {
        return std::fwrite(bytes.data(), 1, bytes.size(), stdout) ==
                   bytes.size() &&
               std::fflush(stdout) == 0;
      });
  return read ? exit_ok : stack_failed(read.error());
}

int run_down(const Startup&, std::vector<std::string> words) {
  std::string file;
  CLI::App app{
      "Ends all services of troupe up in reverse order, and waits until they "
      "are gone.",
      "troupe down"};
  app.add_option("FILE,-f,--file", file, "The stack of this file");
  if (const auto code = parse(app, std::move(words)))
    return *code;
  const auto stack = the_stack(file);
  if (!stack)
    return stack_failed(stack.error());
  const auto answer =
      api::request(stack->socket, Json{{"do", "down"}}, longest_stack_answer);
  if (!answer && answer.error().code != Errc::unavailable)
    return stack_failed(answer.error());
  // The socket goes when the last service has gone.
  const auto deadline = std::chrono::steady_clock::now() + longest_change;
  while (::access(stack->socket.c_str(), F_OK) == 0 &&
         std::chrono::steady_clock::now() < deadline) {
    const auto alive =
        api::request(stack->socket, Json{{"do", "ps"}}, longest_stack_answer);
    if (!alive && (alive.error().code == Errc::not_found ||
                   alive.error().code == Errc::unavailable))
      break;
    std::this_thread::sleep_for(50ms);
  }
  return exit_ok;
}

// NOLINTEND(performance-unnecessary-value-param)

}  // namespace troupe::cli
