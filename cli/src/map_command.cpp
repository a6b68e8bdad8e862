/// troupe map: a command for each argument, many at a time.
#include "argument_reader_actor.hpp"
#include "batch.hpp"
#include "command_options.hpp"
#include "map_actor.hpp"
#include "subcommand.hpp"

#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <memory>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace troupe::cli {
namespace {

/// Outputs that --keep-order may hold back. Each takes up to 32 KiB of memory
/// and, if it is larger, two files.
constexpr std::uint64_t least_order_window = 1024;

/// With more jobs at once the processors are busy between two of them anyway.
constexpr std::uint32_t most_slots_with_successors = 64;

struct MapOptions {
  CommandOptions command;
  std::string jobs;
  std::vector<std::string> argument_files;
  bool null_separated = false;
  std::string delimiter;
  std::string columns;
  bool link = false;
  bool no_run_if_blank = false;
  std::string rows_per_job;
  bool keep_order = false;
  bool line_buffer = false;
  bool ungroup = false;
  bool tag = false;
  std::string halt;
  std::string joblog;
  bool resume = false;
  bool resume_failed = false;
  std::string results;
  bool dry_run = false;
  bool bar = false;
  std::string start_delay;
  std::string load;
  std::string memfree;
  std::vector<std::string> words;
};

void add_options(CLI::App& app, MapOptions& o) {
  app.add_option("-j,--jobs", o.jobs,
                 "Jobs at once: N, N%, +N, -N or auto, which adapts (one per "
                 "core)")
      ->type_name("N");
  repeated(app.add_option("-a,--arg-file", o.argument_files,
                          "Read arguments from a file; may be repeated")
               ->type_name("FILE"));
  app.add_flag("-0,--null", o.null_separated, "Arguments end in NUL");
  app.add_option("-d,--delimiter", o.delimiter, "Arguments end in this text")
      ->type_name("TEXT");
  app.add_option("--colsep", o.columns, "Split each argument into {1} {2} ...")
      ->type_name("TEXT");
  app.add_flag("--link", o.link, "Take one argument of each source at a time");
  app.add_flag("-r,--no-run-if-empty", o.no_run_if_blank,
               "Leave out blank arguments");
  app.add_option("-n,--max-args", o.rows_per_job, "Arguments per command (1)")
      ->type_name("N");
  app.add_flag("-k,--keep-order", o.keep_order,
               "Print outputs in the order of the arguments");
  app.add_flag("--line-buffer", o.line_buffer,
               "Print whole lines as they come");
  app.add_flag("-u,--ungroup", o.ungroup, "Do not collect output at all");
  app.add_flag("--tag", o.tag, "Put the arguments before each line");
  app.add_option("--halt", o.halt,
                 "never, or now|soon,fail|success|done=N|N%: when to stop "
                 "early")
      ->type_name("WHEN");
  app.add_option("--joblog", o.joblog, "Write a line about each job")
      ->type_name("FILE");
  app.add_flag("--resume", o.resume, "Leave out the jobs in the job log");
  app.add_flag("--resume-failed", o.resume_failed,
               "Leave out those that succeeded");
  app.add_option("--results", o.results, "Keep outputs in files below DIR")
      ->type_name("DIR");
  app.add_flag("--dry-run", o.dry_run, "Print the commands, run none");
  app.add_flag("--bar", o.bar, "Show progress on standard error");
  app.add_option("--delay", o.start_delay, "Time from one start to the next")
      ->type_name("DURATION");
  app.add_option("--load", o.load, "Start no job while the load is above")
      ->type_name("N");
  app.add_option("--memfree", o.memfree,
                 "Start no job while less memory is free")
      ->type_name("SIZE");
  o.command.add_to(app, "--retry-delay");
  app.add_option("--shell", o.command.shell,
                 "Runs commands that need one (/bin/sh)")
      ->type_name("PROGRAM");
}

/// What a map needs besides its plan.
struct Prepared {
  std::shared_ptr<MapPlan> plan;
  std::shared_ptr<fanout::ArgumentStream> arguments;
  std::shared_ptr<ReaderControl> control;
};

/// A mistake, and the exit code that it leads to.
struct Mistake {
  int exit_code;
  std::string what;
};

tl::unexpected<Mistake> usage(const Error& error) {
  return tl::unexpected(Mistake{exit_usage, error.what});
}

tl::unexpected<Mistake> usage(std::string_view option, const Error& error) {
  return usage(Error{error}.within(option));
}

tl::unexpected<Mistake> bad_file(Error error) {
  return tl::unexpected(Mistake{exit_bad_file, std::move(error.what)});
}

/// Moves the options at `from` on, with their values, to `options`; returns
/// where they end: at the first other word, or behind a "--".
std::size_t skip_options(const CLI::App& app,
                         const std::vector<std::string>& words,
                         std::size_t from, std::vector<std::string>& options) {
  while (from < words.size() && words[from].starts_with('-') &&
         words[from] != "-") {
    if (words[from] == "--")
      return from + 1;
    const std::size_t taken = takes_value(app, words[from]) ? 2 : 1;
    for (std::size_t i = 0; i < taken && from < words.size(); ++i)
      options.push_back(words[from++]);
  }
  return from;
}

struct SplitWords {
  std::vector<std::string> options;
  std::vector<std::string> command;  ///< And the sources.
};

/// Options stand before the command, whose words are its own. After a command
/// of one word of shell text ('gzip {}') more options may follow.
SplitWords split_words(const CLI::App& app,
                       const std::vector<std::string>& words) {
  SplitWords split;
  std::size_t at = skip_options(app, words, 0, split.options);
  const bool is_shell_text =
      at < words.size() &&
      words[at].find_first_of(" \t\n") != std::string::npos;
  if (is_shell_text) {
    split.command.push_back(words[at]);
    at = skip_options(app, words, at + 1, split.options);
  }
  split.command.insert(split.command.end(),
                       words.begin() + static_cast<std::ptrdiff_t>(at),
                       words.end());
  return split;
}

tl::expected<fanout::ArgumentOptions, Mistake> argument_options(
    const MapOptions& o) {
  fanout::ArgumentOptions options;
  if (o.null_separated && !o.delimiter.empty())
    return tl::unexpected(Mistake{exit_usage, "-0 and -d exclude each other"});
  if (o.null_separated)
    options.format.separator = std::string(1, '\0');
  if (!o.delimiter.empty()) {
    auto separator = fanout::parse_delimiter(o.delimiter);
    if (!separator)
      return usage("-d", separator.error());
    options.format.separator = std::move(*separator);
  }
  if (!o.columns.empty()) {
    auto columns = fanout::ColumnSeparator::parse(o.columns);
    if (!columns)
      return usage("--colsep", columns.error());
    options.columns = std::move(*columns);
  }
  options.format.skip_blank = o.no_run_if_blank;
  options.link = o.link;
  std::uint64_t rows = 1;
  if (auto read = read_count("-n", o.rows_per_job, rows); !read)
    return usage(read.error());
  if (rows == 0)
    return tl::unexpected(Mistake{exit_usage, "-n: expected at least 1"});
  options.rows_per_job = static_cast<std::size_t>(rows);
  return options;
}

tl::expected<std::vector<fanout::ArgumentSource>, Mistake> open_sources(
    const std::vector<fanout::SourceSpec>& specs,
    const std::shared_ptr<ReaderControl>& control) {
  std::vector<fanout::ArgumentSource> sources;
  for (const fanout::SourceSpec& spec : specs) {
    fanout::ArgumentSource source{
        .name = "arguments", .words = spec.words, .linked = spec.linked};
    if (spec.is_file) {
      const bool is_stdin = spec.path == "-";
      const int fd = is_stdin ? STDIN_FILENO
                              : ::open(spec.path.c_str(), O_RDONLY | O_CLOEXEC);
      if (fd < 0)
        return bad_file(system_error(
            fmt::format("cannot open {}", printable(spec.path)), errno));
      source.name = is_stdin ? "standard input" : spec.path;
      source.bytes = make_reader(fd, control);
    }
    sources.push_back(std::move(source));
  }
  return sources;
}

/// Opens the log for appending, cut to its last complete line, and finds out
/// which jobs are done.
tl::expected<void, Mistake> open_joblog(const MapOptions& o, MapPlan& plan) {
  const bool resuming = o.resume || o.resume_failed;
  if (o.joblog.empty()) {
    if (resuming)
      return tl::unexpected(
          Mistake{exit_usage, "--resume needs --joblog FILE"});
    return {};
  }
  // What was run before must not be lost by looking at what would be run now.
  if (o.dry_run && !resuming)
    return {};
  plan.joblog_path = o.joblog;
  plan.joblog = ::open(
      o.joblog.c_str(),
      O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | (resuming ? 0 : O_TRUNC), 0666);
  const auto cannot = [&](int number) {
    return bad_file(system_error(
        fmt::format("cannot open job log {}", printable(o.joblog)), number));
  };
  if (plan.joblog < 0)
    return cannot(errno);
  std::uint64_t complete = 0;
  if (resuming) {
    fanout::JobLogReader log{o.resume_failed ? fanout::Resume::succeeded
                                             : fanout::Resume::finished};
    std::array<char, 64 << 10> buffer;
    ssize_t got = 0;
    while ((got = ::read(plan.joblog, buffer.data(), buffer.size())) > 0) {
      auto fed = log.feed({buffer.data(), static_cast<std::size_t>(got)});
      if (!fed)
        return bad_file(std::move(fed.error()).within(printable(o.joblog)));
    }
    complete = log.complete_bytes();
    plan.core.finished = log.finished();
    if (::ftruncate(plan.joblog, static_cast<off_t>(complete)) != 0)
      return cannot(errno);
  }
  if (complete == 0 && ::write(plan.joblog, fanout::job_log_header.data(),
                               fanout::job_log_header.size()) < 0)
    return cannot(errno);
  return {};
}

tl::expected<void, Mistake> make_results_folder(const MapOptions& o) {
  if (o.results.empty() || o.dry_run)
    return {};
  std::error_code error;
  std::filesystem::create_directories(o.results, error);
  if (error)
    return bad_file(system_error(
        fmt::format("cannot make {}", printable(o.results)), error.value()));
  return {};
}

tl::expected<void, Mistake> read_policies(const MapOptions& o, MapPlan& plan) {
  const std::uint32_t cores = std::max(1U, std::thread::hardware_concurrency());
  const auto slots =
      fanout::parse_job_slots(o.jobs.empty() ? "100%" : o.jobs, cores);
  if (!slots)
    return usage("-j", slots.error());
  plan.most_slots = most_jobs_by_open_files();
  plan.core.slots = std::min(*slots, plan.most_slots);
  if (plan.core.slots < *slots && o.jobs != "0")
    complain(fmt::format(
        "{} jobs at once instead of {}: there can be no more open files (see "
        "ulimit -Hn)",
        plan.core.slots, *slots));
  plan.adaptive = o.jobs == "auto";
  if (!o.halt.empty()) {
    auto halt = fanout::HaltPolicy::parse(o.halt);
    if (!halt)
      return usage("--halt", halt.error());
    plan.core.halt = *halt;
  }
  if (!o.command.timeout.empty()) {
    auto timeout = fanout::TimeoutPolicy::parse(o.command.timeout);
    if (!timeout)
      return usage("--timeout", timeout.error());
    plan.timeout = *timeout;
  }
  if (auto read = read_duration("--delay", o.start_delay, plan.core.delay);
      !read)
    return usage(read.error());
  if (!o.load.empty()) {
    double load = 0;
    const char* const end = o.load.data() + o.load.size();
    const auto [next, error] = std::from_chars(o.load.data(), end, load);
    if (error != std::errc{} || next != end || !(load > 0))
      return tl::unexpected(Mistake{
          exit_usage, fmt::format("--load: expected a number above 0, got "
                                  "\"{}\"",
                                  printable(o.load))});
    plan.most_load = load;
  }
  if (!o.memfree.empty()) {
    const auto size = parse_size(o.memfree);
    if (!size)
      return usage("--memfree", size.error());
    plan.least_free_bytes = *size;
  }
  return {};
}

tl::expected<Prepared, Mistake> prepare(const MapOptions& o) {
  auto words = fanout::split_map_words(o.words, o.argument_files);
  if (!words)
    return usage(words.error());
  auto command = fanout::CommandTemplate::parse(words->command);
  if (!command)
    return usage(command.error());
  auto options = argument_options(o);
  if (!options)
    return tl::unexpected(options.error());
  if (!options->columns) {
    const auto checked =
        command->check_positions(words->sources.size() * options->rows_per_job);
    if (!checked)
      return usage(checked.error());
  }
  CommandOptions command_options = o.command;
  command_options.timeout.clear();  // Read as a policy.
  auto request = command_options.resolve();
  if (!request)
    return usage(request.error());

  auto plan = std::make_shared<MapPlan>(
      MapPlan{.command = std::move(*command), .request = std::move(*request)});
  if (auto read = read_policies(o, *plan); !read)
    return tl::unexpected(read.error());
  if (!o.command.shell.empty())
    plan->shell = o.command.shell;
  plan->keep_order = o.keep_order;
  plan->tag = o.tag;
  plan->dry_run = o.dry_run;
  plan->bar = o.bar && !o.dry_run && ::isatty(STDERR_FILENO) == 1;
  plan->results = o.results;
  if (o.ungroup &&
      (o.line_buffer || o.keep_order || o.tag || !o.results.empty()))
    return tl::unexpected(Mistake{
        exit_usage,
        "-u excludes --line-buffer, --keep-order, --tag and --results"});
  // In order means after each other, which only whole outputs can be.
  if (o.line_buffer && !o.keep_order)
    plan->grouping = Grouping::by_line;
  if (o.ungroup) {
    plan->grouping = Grouping::none;
    plan->request.spec.standard_output = process::Output::inherit;
    plan->request.spec.standard_error = process::Output::inherit;
  }
  if (o.keep_order)
    plan->core.window =
        std::max<std::uint64_t>(least_order_window, 4ULL * plan->core.slots);

  // What results there are in a folder is for jobs that have begun.
  plan->core.with_successors =
      plan->core.slots <= most_slots_with_successors &&
      plan->core.halt.is_never() && plan->core.delay == Duration{0} &&
      plan->request.retry.attempts == 1 && plan->results.empty();

  auto control = std::make_shared<ReaderControl>();
  auto sources = open_sources(words->sources, control);
  if (!sources)
    return tl::unexpected(sources.error());
  auto arguments =
      std::make_shared<fanout::ArgumentStream>(std::move(*sources), *options);
  plan->total = arguments->total_jobs();
  if (auto opened = open_joblog(o, *plan); !opened)
    return tl::unexpected(opened.error());
  if (auto made = make_results_folder(o); !made)
    return tl::unexpected(made.error());
  return Prepared{std::move(plan), std::move(arguments), std::move(control)};
}

int execute(const Startup& startup, const Prepared& prepared) {
  MapResult result;
  const auto start_map = [&](node::Engine& engine, actors::ActorRef printer,
                             const std::function<void()>& on_end) {
    auto reader = spawn_argument_reader(engine.system(), prepared.arguments,
                                        prepared.control);
    return spawn_map(engine, prepared.plan, reader, std::move(printer),
                     [&, on_end, reader](const MapResult& r) {
                       prepared.control->interrupt();
                       actors::stop(reader);
                       result = r;
                       on_end();
                     });
  };
  // Permits come back a little after the results that they belong to.
  const BatchEnd end =
      run_batch(startup, 2ULL * fanout::most_job_slots, start_map);
  if (end.exit_code)
    return *end.exit_code;
  if (end.by_signal != 0)
    return 128 + end.by_signal;
  if (end.output_lost || (result.error && result.exit_status == 0))
    return exit_bad_file;
  return result.exit_status;
}

}  // namespace

// NOLINTNEXTLINE(performance-unnecessary-value-param): as all subcommands.
int run_map(const Startup& startup, std::vector<std::string> words) {
  MapOptions options;
  CLI::App app{
      "Runs a command for each argument, several at a time, and exits with the "
      "number of\njobs that failed (101 for more than 100).\n\n"
      "  troupe map 'gzip {}' ::: *.log\n"
      "  find . -print0 | troupe map -0 -j 8 'sha256sum {}'",
      "troupe map"};
  show_usage(app,
             "troupe map [OPTIONS] 'COMMAND' [::: ARGUMENT...] [:::: FILE...]\n"
             "       troupe map [OPTIONS] COMMAND WORD... [::: ARGUMENT...]\n\n"
             "Without ::: and ::::, arguments are lines of standard input. In "
             "the command:\n"
             "  {}   the argument           {1} {2}  that of the first, second "
             "source\n"
             "  {.}  without its extension  {#}      the number of the job\n"
             "  {/}  without its folder     {%}      the number of the slot\n"
             "  {//} its folder             {/.}     without folder and "
             "extension");
  add_options(app, options);
  SplitWords split = split_words(app, words);
  options.words = std::move(split.command);
  if (const auto code = parse(app, std::move(split.options)))
    return *code;
  if (options.words.empty() && options.argument_files.empty() &&
      ::isatty(STDIN_FILENO) == 1)
    return usage_error("map", "no command given");
  auto prepared = prepare(options);
  if (!prepared) {
    if (prepared.error().exit_code == exit_usage)
      return usage_error("map", prepared.error().what);
    complain(prepared.error().what);
    return prepared.error().exit_code;
  }
  return execute(startup, *prepared);
}

}  // namespace troupe::cli
