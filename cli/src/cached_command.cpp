/// troupe cached: a command whose result is taken from before if nothing that
/// matters has changed. Also what a step with `cache` is run by.
#include "child_status.hpp"
#include "command_options.hpp"
#include "content_fetch.hpp"
#include "content_folder.hpp"
#include "file_io.hpp"
#include "queue_context.hpp"
#include "subcommand.hpp"

#include <troupe/base/owned_fd.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/content/content.hpp>
#include <troupe/process/command_output.hpp>
#include <troupe/workflow/outputs.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace troupe::cli {
namespace {

using content::CachedResult;

constexpr std::size_t longest_output = 16 << 20;

struct CachedOptions {
  std::string store;
  std::string key;
  std::vector<std::string> sources;
  std::vector<std::string> generates;
  std::string max_age;
  std::vector<int> success_codes{0};
  bool refresh = false;
  /// Of steps of runs: nodes that may have it, and who asks them.
  std::vector<std::string> from;
  NodeOptions node;
  std::vector<std::string> words;
};

/// All that decides what the command makes.
Result<std::string> fingerprint_of(const CachedOptions& o) {
  content::Sha256 hash;
  hash.add_text("result 1");
  hash.add_text(o.key);
  if (!o.sources.empty()) {
    const auto sources = content::hash_files(o.sources, ".");
    if (!sources)
      return sources;
    hash.add_text(*sources);
  }
  for (const std::string& pattern : o.generates)
    hash.add_text(pattern);
  for (const std::string& word : o.words)
    hash.add_text(word);
  return hash.finish();
}

/// The file in which a step hands on its outputs; empty outside of one.
std::string outputs_file() {
  const char* const path =
      std::getenv(std::string{workflow::output_variable}.c_str());
  return path == nullptr ? "" : path;
}

// -- What is kept ------------------------------------------------------------

Result<void> save(const content::ResultCache& cache,
                  const std::string& fingerprint, const CachedOptions& o,
                  const process::CopiedRun& ended,
                  const std::string& handed_on) {
  auto lock = cache.blobs().lock_to_add();
  if (!lock)
    return tl::unexpected{std::move(lock.error())};
  CachedResult result{.made = std::chrono::system_clock::now(),
                      .exit_code = WEXITSTATUS(ended.status),
                      .standard_output = {},
                      .handed_on = handed_on,
                      .files = {}};
  const auto paths = content::find_files(o.generates, ".");
  if (!paths)
    return tl::unexpected{paths.error()};
  auto files = cache.blobs().keep(*lock, *paths, ".", content::Sync::no);
  if (!files)
    return tl::unexpected{std::move(files.error())};
  result.files = std::move(*files);
  auto output = cache.blobs().keep(*lock, ended.output, content::Sync::no);
  if (!output)
    return tl::unexpected{std::move(output.error())};
  result.standard_output = std::move(*output);
  return cache.save(*lock, fingerprint, result);
}

/// The reason why a pattern of `generates` names nothing; empty if all do.
std::string missing_file(const CachedOptions& o) {
  for (const std::string& pattern : o.generates) {
    const auto found = content::find_files({pattern}, ".");
    if (!pattern.starts_with('!') && found && found->empty())
      return fmt::format("it has not made {}", printable(pattern));
  }
  return {};
}

/// Uses what is there; nothing if it cannot be used after all.
std::optional<int> use(const content::ResultCache& cache,
                       const CachedResult& result, const CachedOptions& o) {
  const auto output = cache.blobs().read(result.standard_output);
  if (!output || !cache.blobs().restore(result.files, "."))
    return std::nullopt;
  const std::string file = outputs_file();
  if (!file.empty() && !result.handed_on.empty()) {
    const OwnedFd fd{
        ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)};
    if (!fd.is_open() || !write_fully(fd.get(), result.handed_on))
      return std::nullopt;
  }
  const auto age = std::chrono::duration_cast<std::chrono::seconds>(
      std::chrono::system_clock::now() - result.made);
  fmt::print(stderr, "troupe: cached: made {} ago{}{}\n",
             format_duration(std::max(age, std::chrono::seconds{0})),
             o.key.empty() ? "" : ", key ", printable(o.key));
  write_out(*output);
  return result.exit_code;
}

int run_and_keep(const Startup& startup, const content::ResultCache& cache,
                 const std::string& fingerprint, const CachedOptions& o) {
  const std::string file = outputs_file();
  struct stat before {};
  const bool had_outputs = !file.empty() && ::stat(file.c_str(), &before) == 0;
  const auto ended =
      process::run_and_copy(o.words, startup.signal_mask, longest_output,
                            {.on_output = [](std::string_view bytes) {
                              return write_fully(STDOUT_FILENO, bytes);
                            }});
  if (!ended) {
    complain(fmt::format("cached: {}", ended.error().what));
    return status_of(ended.error());
  }
  const bool is_success =
      WIFEXITED(ended->status) &&
      std::find(o.success_codes.begin(), o.success_codes.end(),
                WEXITSTATUS(ended->status)) != o.success_codes.end();
  if (!is_success)
    return end_as(ended->status);
  std::string handed_on;
  if (!file.empty() && ::access(file.c_str(), F_OK) == 0) {
    auto text = read_whole_file(file);
    if (text && had_outputs)
      text->erase(0, static_cast<std::size_t>(before.st_size));
    if (text)
      handed_on = std::move(*text);
  }
  std::string why = ended->is_complete
                        ? missing_file(o)
                        : fmt::format(
                              "it printed more than {}, or nobody read "
                              "it",
                              format_size(longest_output));
  if (why.empty()) {
    const auto saved = save(cache, fingerprint, o, *ended, handed_on);
    if (!saved)
      why = saved.error().what;
  }
  if (!why.empty())
    complain(fmt::format("cached: the result is not kept: {}", why));
  remove_old_content_sometimes(cache.blobs());
  return end_as(ended->status);
}

/// That nobody has it, or that nobody can be asked, is no error: it is made
/// once more.
std::optional<CachedResult> find_elsewhere(const content::ResultCache& cache,
                                           const std::string& fingerprint,
                                           const CachedOptions& o) {
  if (o.from.empty())
    return std::nullopt;
  const QueueContext context = real_queue_context();
  auto session = NodeSession::open(context, o.node);
  if (!session)
    return std::nullopt;
  return ContentFetch{session->calls(), cache.blobs()}.result(fingerprint,
                                                              o.from);
}

int run_with_cache(const Startup& startup, const CachedOptions& o,
                   Duration max_age) {
  const auto failed = [](const Error& error) {
    complain(fmt::format("cached: {}", error.what));
    return exit_troupe_failed;
  };
  const auto fingerprint = fingerprint_of(o);
  if (!fingerprint)
    return failed(fingerprint.error());
  auto blobs = open_content(o.store);
  if (!blobs)
    return failed(blobs.error());
  const content::ResultCache cache{std::move(*blobs)};
  if (!o.refresh) {
    auto found = cache.find(*fingerprint);
    if (!found)
      return failed(found.error());
    if (!*found)
      *found = find_elsewhere(cache, *fingerprint, o);
    const bool is_fresh =
        *found &&
        (max_age == Duration{0} ||
         std::chrono::system_clock::now() - (*found)->made <= max_age);
    if (is_fresh) {
      if (const auto code = use(cache, **found, o))
        return *code;
    }
  }
  return run_and_keep(startup, cache, *fingerprint, o);
}

}  // namespace

int run_cached(const Startup& startup, std::vector<std::string> words) {
  CachedOptions o;
  CLI::App app{
      "Runs a command, or does what it did before if nothing that matters has "
      "changed: its\nwords, the key and the files that it reads. Prints again "
      "what it printed, and puts back\nthe files that it made.\n\n"
      "  troupe cached --source 'src/**' --generates app -- make app\n"
      "  troupe cached --key \"$(date +%F)\" --max-age 1d -- ./report",
      "troupe cached"};
  show_usage(app, "troupe cached [OPTIONS] [--] COMMAND [ARGUMENT...]");
  app.add_option("--key", o.key, "What else matters: another key, another run")
      ->type_name("TEXT");
  repeated(
      app.add_option("--source", o.sources,
                     "Files that it reads; may be repeated: src/**, !**/*.o")
          ->type_name("PATTERN"));
  repeated(
      app.add_option("--generates", o.generates,
                     "Files that it makes, which are put back; may be repeated")
          ->type_name("PATTERN"));
  app.add_option("--max-age", o.max_age, "Run again what is older than that")
      ->type_name("DURATION");
  app.add_option("--success-codes", o.success_codes,
                 "Exit codes with which the result is kept (0)")
      ->type_name("N,..")
      ->delimiter(',')
      ->check(CLI::Range(0, 255));
  app.add_flag("--refresh", o.refresh, "Run it in any case");
  repeated(app.add_option("--from", o.from)->group(""));
  app.add_option("--socket", o.node.socket)->group("");
  add_content_option(app, o.store);
  if (const auto code = parse_with_command(app, std::move(words), o.words))
    return *code;
  if (o.words.empty())
    return usage_error("cached", "no command given");
  Duration max_age{0};
  if (const auto read = read_duration("--max-age", o.max_age, max_age); !read)
    return usage_error("cached", read.error().what);
  return run_with_cache(startup, o, max_age);
}

}  // namespace troupe::cli
