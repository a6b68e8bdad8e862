#include "job_output.hpp"

#include "file_io.hpp"
#include "printer_actor.hpp"

#include <troupe/base/owned_fd.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <unistd.h>
#include <utility>

namespace troupe::cli {
namespace {

using process::OutputSink;
using process::SinkState;
using process::Stream;

/// Per stream of a job. With --keep-order many jobs may wait to be printed.
constexpr std::size_t most_spooled_in_memory = 16 << 10;

/// A line longer than this is passed on in pieces.
constexpr std::size_t longest_buffered_line = 1 << 20;

std::size_t index_of(Stream stream) { return stream == Stream::out ? 0 : 1; }

const char* temporary_folder() {
  const char* const folder = std::getenv("TMPDIR");
  return folder == nullptr ? "/tmp" : folder;
}

}  // namespace

Spool::~Spool() {
  if (file_ >= 0)
    ::close(file_);
}

void Spool::write(std::string_view bytes) {
  const std::size_t fits =
      file_ >= 0
          ? 0
          : std::min(bytes.size(), most_spooled_in_memory - memory_.size());
  memory_.append(bytes.substr(0, fits));
  bytes.remove_prefix(fits);
  if (bytes.empty())
    return;
  if (file_ < 0)
    file_ = ::open(temporary_folder(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if ((file_ < 0 || !write_fully(file_, bytes)) && lost_by_ == 0)
    lost_by_ = errno;
}

std::string_view LinePrefix::apply(std::string_view bytes) {
  if (empty())
    return bytes;
  applied_.clear();
  while (!bytes.empty()) {
    if (at_line_start_)
      applied_ += prefix_;
    const std::size_t newline = bytes.find('\n');
    at_line_start_ = newline != std::string_view::npos;
    const std::size_t length = at_line_start_ ? newline + 1 : bytes.size();
    applied_ += bytes.substr(0, length);
    bytes.remove_prefix(length);
  }
  return applied_;
}

/// The files of --results, of one attempt. Used on the I/O thread, and closed
/// on another once the attempt has ended.
class JobOutput::ResultFiles {
 public:
  explicit ResultFiles(fanout::ResultsPaths paths) : paths_{std::move(paths)} {}

  void open() {
    std::error_code error;
    std::filesystem::create_directories(paths_.directory, error);
    if (error)
      fail("make", paths_.directory, error.value());
    constexpr int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC;
    for (const Stream stream : {Stream::out, Stream::err}) {
      OwnedFd file{::open(path_of(stream).c_str(), flags, 0666)};
      if (!file.is_open())
        fail("make", path_of(stream), errno);
      files_.at(index_of(stream)) = std::move(file);
    }
  }

  void write(Stream stream, std::string_view bytes) {
    if (!problem_ && !write_fully(files_.at(index_of(stream)).get(), bytes))
      fail("write", path_of(stream), errno);
  }

  /// The first problem that there was.
  std::optional<Error> close() {
    files_ = {};
    return problem_;
  }

 private:
  [[nodiscard]] const std::string& path_of(Stream stream) const {
    return stream == Stream::out ? paths_.standard_output
                                 : paths_.standard_error;
  }

  /// The first problem causes the others.
  void fail(std::string_view verb, const std::string& path, int errno_value) {
    if (!problem_)
      problem_ =
          system_error(fmt::format("cannot {} {}", verb, path), errno_value);
  }

  fanout::ResultsPaths paths_;
  std::array<OwnedFd, 2> files_;
  std::optional<Error> problem_;
};

/// Keeps everything until the job has ended.
class JobOutput::GroupSink : public OutputSink {
 public:
  GroupSink(const Options& options, std::shared_ptr<ResultFiles> results)
      : prefixes_{LinePrefix{options.tag}, LinePrefix{options.tag}},
        results_{std::move(results)} {}

  void on_attach(std::function<void()>) override {
    if (results_)
      results_->open();
  }

  SinkState write(Stream stream, std::string_view bytes) override {
    const std::size_t index = index_of(stream);
    spools.at(index).write(prefixes_.at(index).apply(bytes));
    if (results_)
      results_->write(stream, bytes);
    return SinkState::ready;
  }

  std::array<Spool, 2> spools;

 private:
  std::array<LinePrefix, 2> prefixes_;
  std::shared_ptr<ResultFiles> results_;
};

/// Passes whole lines on as they come.
class JobOutput::LineSink : public OutputSink {
 public:
  LineSink(const Options& options, actors::ActorRef printer,
           std::shared_ptr<ResultFiles> results)
      : prefixes_{LinePrefix{options.tag}, LinePrefix{options.tag}},
        printer_{std::move(printer), STDOUT_FILENO, STDERR_FILENO},
        results_{std::move(results)} {}

  /// To be called once the attempt has ended. The last line may lack its
  /// newline; it gets one, or the next job's line would join it.
  void finish() {
    for (const Stream stream : {Stream::out, Stream::err}) {
      const std::string rest = std::exchange(rests_.at(index_of(stream)), {});
      if (!rest.empty())
        (void)pass_on(stream, rest + "\n");
    }
  }

  void on_attach(std::function<void()> resume) override {
    if (results_)
      results_->open();
    printer_.on_attach(std::move(resume));
  }

  SinkState write(Stream stream, std::string_view bytes) override {
    if (results_)
      results_->write(stream, bytes);
    std::string& rest = rests_.at(index_of(stream));
    const std::size_t newline = bytes.rfind('\n');
    if (newline == std::string_view::npos) {
      rest += bytes;
      if (rest.size() < longest_buffered_line)
        return SinkState::ready;
      return pass_on(stream, std::exchange(rest, {}));
    }
    std::string lines =
        std::exchange(rest, std::string{bytes.substr(newline + 1)});
    lines += bytes.substr(0, newline + 1);
    return pass_on(stream, std::move(lines));
  }

 private:
  SinkState pass_on(Stream stream, std::string text) {
    LinePrefix& prefix = prefixes_.at(index_of(stream));
    if (!prefix.empty())
      text = prefix.apply(text);
    return printer_.print(stream, std::move(text));
  }

  std::array<LinePrefix, 2> prefixes_;
  std::array<std::string, 2> rests_;
  PrinterSink printer_;
  std::shared_ptr<ResultFiles> results_;
};

JobOutput::JobOutput(Options options, actors::ActorRef printer)
    : options_{std::move(options)}, printer_{std::move(printer)} {}

std::shared_ptr<OutputSink> JobOutput::for_attempt(std::uint32_t attempt) {
  if (attempt != std::exchange(attempt_, attempt))
    begin_attempt();
  if (group_)
    return group_;
  return lines_;
}

void JobOutput::begin_attempt() {
  if (!options_.results.directory.empty())
    results_ = std::make_shared<ResultFiles>(options_.results);
  switch (options_.grouping) {
    case Grouping::by_job:
      group_ = std::make_shared<GroupSink>(options_, results_);
      return;
    case Grouping::by_line:
      if (lines_)
        lines_->finish();
      lines_ = std::make_shared<LineSink>(options_, printer_, results_);
      return;
    case Grouping::none:
      return;
  }
}

std::optional<Error> JobOutput::finish() {
  if (lines_)
    lines_->finish();
  auto problem = results_ ? results_->close() : std::nullopt;
  if (!group_)
    return problem;
  for (const Spool& spool : group_->spools) {
    if (spool.lost_by() != 0)
      return system_error(
          fmt::format("some of its output is lost: cannot spool it into the "
                      "temporary folder {} (TMPDIR)",
                      temporary_folder()),
          spool.lost_by());
  }
  return problem;
}

void JobOutput::print(std::function<void()> done) {
  for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) {
    if (!group_)
      break;
    const Spool& spool = group_->spools.at(static_cast<std::size_t>(fd - 1));
    if (spool.empty())
      continue;
    // The spools live until the printer has let go of them.
    actors::send(printer_, Print{std::make_shared<PrintJob>(
                               PrintJob{.fd = fd,
                                        .bytes = spool.memory(),
                                        .file = spool.file(),
                                        .done = [keep = group_] {}})});
  }
  if (done)
    actors::send(
        printer_,
        Print{std::make_shared<PrintJob>(PrintJob{.done = std::move(done)})});
}

}  // namespace troupe::cli
