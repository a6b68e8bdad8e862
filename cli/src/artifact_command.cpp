/// troupe artifact: files that a job hands on, to other jobs and to people.
/// Steps that `artifacts` of a workflow stand for are run by it as well.
#include "command_options.hpp"
#include "content_fetch.hpp"
#include "content_folder.hpp"
#include "queue_context.hpp"
#include "subcommand.hpp"

#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/base/wall_time.hpp>
#include <troupe/content/content.hpp>
#include <troupe/workflow/content_argv.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fmt/format.h>
#include <numeric>
#include <utility>

namespace troupe::cli {
namespace {

using api::Json;
using content::Artifact;
using content::ArtifactStore;

constexpr Duration default_retention = 24h * 30;

int artifact_failed(const Error& error) {
  complain(fmt::format("artifact: {}", error.what));
  return error.code == Errc::not_found || error.code == Errc::invalid_argument
             ? exit_failed
             : exit_troupe_failed;
}

std::uint64_t bytes_of(const Artifact& artifact) {
  return std::accumulate(artifact.files.begin(), artifact.files.end(),
                         std::uint64_t{0},
                         [](std::uint64_t sum, const content::StoredFile& one) {
                           return sum + one.bytes;
                         });
}

std::string files_text(std::size_t count) {
  return fmt::format("{} file{}", count, count == 1 ? "" : "s");
}

/// "extract.csv", and of a matrix "extract.csv (eu-a)".
std::string artifact_title(const Artifact& artifact) {
  std::string title = fmt::format("{}.{}", artifact.job, artifact.name);
  if (!artifact.instance.empty())
    title += fmt::format(" ({})", artifact.instance);
  if (artifact.version > 1)
    title += fmt::format(" version {}", artifact.version);
  return title;
}

/// Whether it is a run of a node, such as r7.
bool is_of_node(const std::string& run) {
  return run.size() > 1 && run[0] == 'r' &&
         std::all_of(run.begin() + 1, run.end(),
                     [](char c) { return c >= '0' && c <= '9'; });
}

/// Opens `store` if one was chosen, and else where the run's files are: those
/// of a node are in its folder, on this machine.
Result<content::BlobStore> open_for(const std::string& run, std::string store,
                                    const NodeOptions& node) {
  if (!store.empty() || !is_of_node(run))
    return open_content(std::move(store));
  const QueueContext context = real_queue_context();
  auto session = NodeSession::open(context, node);
  if (!session)
    return tl::unexpected{std::move(session.error())};
  const auto answer = session->calls().get(node_target({"node"}));
  if (!answer)
    return tl::unexpected{answer.error()};
  return content::BlobStore::open(answer->value("folder", std::string{}) +
                                  "/content");
}

/// "extract.csv" as job and name. Errors: invalid_argument.
Result<std::pair<std::string, std::string>> parse_reference(
    const std::string& text) {
  const std::size_t dot = text.find('.');
  if (dot == 0 || dot == std::string::npos || dot + 1 == text.size())
    return failure(Errc::invalid_argument,
                   fmt::format("expected JOB.NAME, such as build.report, got "
                               "\"{}\"",
                               printable(text)));
  return std::pair{text.substr(0, dot), text.substr(dot + 1)};
}

// -- put ---------------------------------------------------------------------

struct PutOptions {
  std::string store;
  std::string run;
  std::string reference;
  std::string instance;
  std::string retention;
  std::uint32_t version = 0;  ///< Zero for the next one.
  std::vector<std::string> patterns;
};

/// Of a step of a run: its job in the queue, and the attempt.
std::string origin() {
  const char* const job = std::getenv("TROUPE_JOB");
  const char* const attempt = std::getenv("TROUPE_ATTEMPT");
  const auto number = parse_count(job == nullptr ? "" : job);
  const auto times = parse_count(attempt == nullptr ? "" : attempt);
  return number && times ? workflow::origin_of(*number, *times) : "";
}

Result<Artifact> keep_artifact(const PutOptions& o, Duration retention) {
  auto reference = parse_reference(o.reference);
  if (!reference)
    return tl::unexpected{std::move(reference.error())};
  const auto paths = content::find_files(o.patterns, ".");
  if (!paths)
    return tl::unexpected{paths.error()};
  if (paths->empty())
    return failure(
        Errc::not_found,
        fmt::format("there are no files {}",
                    printable(fmt::format("{}", fmt::join(o.patterns, " ")))));
  auto blobs = open_content(o.store);
  if (!blobs)
    return tl::unexpected{std::move(blobs.error())};
  const ArtifactStore artifacts{std::move(*blobs)};
  auto lock = artifacts.blobs().lock_to_add();
  if (!lock)
    return tl::unexpected{std::move(lock.error())};
  auto files = artifacts.blobs().keep(*lock, *paths, ".", content::Sync::yes);
  if (!files)
    return tl::unexpected{std::move(files.error())};
  const WallTime now = std::chrono::system_clock::now();
  Artifact artifact{.run = o.run,
                    .job = std::move(reference->first),
                    .instance = o.instance,
                    .name = std::move(reference->second),
                    .version = std::max(o.version, 1U),
                    .origin = origin(),
                    .made = now,
                    .expires = now + retention,
                    .files = std::move(*files)};
  if (o.version != 0) {
    if (auto saved = artifacts.save_as(*lock, artifact); !saved)
      return tl::unexpected{std::move(saved.error())};
    return artifact;
  }
  const auto saved = artifacts.save(*lock, artifact);
  if (!saved)
    return tl::unexpected{saved.error()};
  artifact.version = *saved;
  return artifact;
}

int put_artifact(std::vector<std::string> words) {
  PutOptions o;
  CLI::App app{
      "Keeps files for others, under the name of a run, of a job and of their "
      "own.\n\n"
      "  troupe artifact put nightly build.report report.html 'plots/**'",
      "troupe artifact put"};
  app.add_option("RUN", o.run, "The run")->required();
  app.add_option("JOB.NAME", o.reference, "What they are called")->required();
  app.add_option("PATTERN", o.patterns, "The files: out.csv, dist/**, !**/*.o")
      ->required();
  app.add_option("--instance", o.instance, "Which of a matrix made them")
      ->type_name("TEXT");
  app.add_option("--retention", o.retention, "How long they are kept (30d)")
      ->type_name("DURATION");
  // Of steps of runs on one of several nodes, which count for all of them.
  app.add_option("--version", o.version)->group("");
  add_content_option(app, o.store);
  if (const auto code = parse(app, std::move(words)))
    return *code;
  Duration retention = default_retention;
  if (const auto read = read_duration("--retention", o.retention, retention);
      !read)
    return usage_error("artifact put", read.error().what);
  const auto artifact = keep_artifact(o, retention);
  if (!artifact)
    return artifact_failed(artifact.error());
  const std::string done =
      fmt::format("kept {}", printable(artifact_title(*artifact)));
  write_answer(
      fmt::format("{}: {}, {}\n", done, files_text(artifact->files.size()),
                  format_size(bytes_of(*artifact))),
      done);
  return exit_ok;
}

// -- get ---------------------------------------------------------------------

struct GetOptions {
  NodeOptions node;
  std::string store;
  std::string run;
  std::string reference;
  std::string folder = ".";
  std::optional<std::uint32_t> version;
  std::vector<std::string> from;  ///< Of steps of runs: all that is wanted.
};

/// What is here, or else at other nodes.
Result<std::vector<Artifact>> find_everywhere(const GetOptions& o,
                                              const ArtifactStore& artifacts,
                                              const std::string& job,
                                              const std::string& name) {
  std::vector<WantedArtifact> wanted;
  for (const std::string& text : o.from) {
    auto one = parse_wanted(text);
    if (!one)
      return tl::unexpected{std::move(one.error()).within("--from")};
    wanted.push_back(std::move(*one));
  }
  if (wanted.empty()) {
    auto here = artifacts.find(o.run, job, name, o.version);
    if (here || here.error().code != Errc::not_found || !is_of_node(o.run) ||
        o.version || !o.store.empty())
      return here;
  }
  const QueueContext context = real_queue_context();
  auto session = NodeSession::open(context, o.node);
  if (!session)
    return tl::unexpected{std::move(session.error())};
  ContentFetch others{session->calls(), artifacts.blobs()};
  if (wanted.empty())
    wanted = others.find_elsewhere(o.run, job, name);
  if (wanted.empty())
    return artifacts.find(o.run, job, name);
  return others.artifacts(o.run, job, name, wanted);
}

/// The files of all of them; how many there are.
Result<std::size_t> make_files(const GetOptions& o,
                               const content::BlobStore& blobs,
                               const std::vector<Artifact>& found) {
  std::size_t count = 0;
  for (const Artifact& artifact : found) {
    // Those of a matrix have the same names.
    const std::string folder = found.size() == 1 || artifact.instance.empty()
                                   ? o.folder
                                   : o.folder + "/" + artifact.instance;
    if (auto made = blobs.restore(artifact.files, folder); !made)
      return tl::unexpected{std::move(made.error())};
    count += artifact.files.size();
  }
  return count;
}

Result<std::size_t> fetch(const GetOptions& o) {
  const auto reference = parse_reference(o.reference);
  if (!reference)
    return tl::unexpected{reference.error()};
  auto blobs = open_for(o.run, o.store, o.node);
  if (!blobs)
    return tl::unexpected{std::move(blobs.error())};
  const ArtifactStore artifacts{std::move(*blobs)};
  for (bool is_first = true;; is_first = false) {
    const auto found =
        find_everywhere(o, artifacts, reference->first, reference->second);
    if (!found)
      return tl::unexpected{found.error()};
    auto made = make_files(o, artifacts.blobs(), *found);
    // Bytes that are damaged here are removed, and may be good elsewhere.
    if (made || made.error().code != Errc::corrupt || o.from.empty() ||
        !is_first)
      return made;
  }
}

int get_artifact(std::vector<std::string> words) {
  GetOptions o;
  CLI::App app{
      "Makes the files that were kept. Those of several instances of a matrix "
      "get a folder for\neach.\n\n"
      "  troupe artifact get nightly build.report --into /tmp/report",
      "troupe artifact get"};
  app.add_option("RUN", o.run, "The run")->required();
  app.add_option("JOB.NAME", o.reference, "What they are called")->required();
  app.add_option("--into", o.folder, "The folder to make them in (.)")
      ->type_name("FOLDER");
  app.add_option("--version", o.version, "That version, not the newest")
      ->type_name("N")
      ->check(CLI::Range(1U, UINT32_MAX));
  add_content_option(app, o.store);
  o.node.add_socket_to(app);
  repeated(app.add_option("--from", o.from)->group(""));
  if (const auto code = parse(app, std::move(words)))
    return *code;
  const auto count = fetch(o);
  if (!count)
    return artifact_failed(count.error());
  fmt::print("{}\n", files_text(*count));
  return exit_ok;
}

// -- list --------------------------------------------------------------------

Json artifact_json(const Artifact& artifact) {
  Json files = Json::array();
  for (const content::StoredFile& file : artifact.files)
    files.push_back({{"path", to_utf8(file.path)},
                     {"bytes", file.bytes},
                     {"sha256", file.hash}});
  return {{"run", to_utf8(artifact.run)},
          {"job", to_utf8(artifact.job)},
          {"instance", to_utf8(artifact.instance)},
          {"name", to_utf8(artifact.name)},
          {"version", artifact.version},
          {"made", format_wall_time(artifact.made)},
          {"expires", format_wall_time(artifact.expires)},
          {"files", std::move(files)}};
}

int list_artifacts(std::vector<std::string> words) {
  std::string store;
  std::string run;
  NodeOptions node;
  CLI::App app{"Lists what is kept, of one run or of all.",
               "troupe artifact list"};
  app.add_option("RUN", run, "Only of this run");
  node.add_to(app);
  add_content_option(app, store);
  if (const auto code = parse(app, std::move(words)))
    return *code;
  auto blobs = open_for(run, store, node);
  if (!blobs)
    return artifact_failed(blobs.error());
  const auto all = ArtifactStore{std::move(*blobs)}.all(run);
  if (!all)
    return artifact_failed(all.error());
  if (node.json) {
    Json list = Json::array();
    for (const Artifact& artifact : *all)
      list.push_back(artifact_json(artifact));
    print_json({{"artifacts", std::move(list)}});
    return exit_ok;
  }
  for (const Artifact& artifact : *all)
    write_out(fmt::format(
        "{}  {}  {}, {}  until {}\n", printable(artifact.run),
        printable(artifact_title(artifact)), files_text(artifact.files.size()),
        format_size(bytes_of(artifact)), format_wall_time(artifact.expires)));
  return exit_ok;
}

}  // namespace

int run_artifact(const Startup&, std::vector<std::string> words) {
  const std::string what = words.empty() ? "" : words.front();
  if (!words.empty())
    words.erase(words.begin());
  if (what == "put")
    return put_artifact(std::move(words));
  if (what == "get")
    return get_artifact(std::move(words));
  if (what == "list")
    return list_artifacts(std::move(words));
  if (what == "--help" || what == "-h") {
    write_out(
        "Files that a job hands on, to other jobs and to people.\n\n"
        "  troupe artifact list [RUN]\n"
        "  troupe artifact get RUN JOB.NAME [--into FOLDER]\n"
        "  troupe artifact put RUN JOB.NAME PATTERN...\n\n"
        "Options:\n"
        "  --into FOLDER         get: the folder to make the files in (.)\n"
        "  --version N           get: that version, not the newest\n"
        "  --instance TEXT       put: which of a matrix made them\n"
        "  --retention DURATION  put: how long they are kept (30d)\n"
        "  --json                list: as JSON\n"
        "  --store FOLDER        Where they are kept ($TROUPE_CONTENT, or the "
        "folder of the node)\n"
        "  --socket PATH         The socket of the node ($TROUPE_SOCKET)\n");
    return exit_ok;
  }
  return usage_error("artifact",
                     fmt::format("expected one of list, get, put, got \"{}\"",
                                 printable(what)));
}

}  // namespace troupe::cli
