#include "job_output.hpp"

#include "file_io.hpp"
#include "printer_actor.hpp"

#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
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

/// The files of --results; made at the first use.
class ResultFiles {
 public:
  explicit ResultFiles(const fanout::ResultsPaths& paths) {
    std::error_code ignored;
    std::filesystem::create_directories(paths.directory, ignored);
    constexpr int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC;
    files_[0] = ::open(paths.standard_output.c_str(), flags, 0666);
    files_[1] = ::open(paths.standard_error.c_str(), flags, 0666);
  }
  ResultFiles(const ResultFiles&) = delete;
  ResultFiles& operator=(const ResultFiles&) = delete;
  ~ResultFiles() {
    for (const int fd : files_) {
      if (fd >= 0)
        ::close(fd);
    }
  }

  void write(Stream stream, std::string_view bytes) {
    (void)write_fully(files_[index_of(stream)], bytes);
  }

 private:
  std::array<int, 2> files_{-1, -1};
};

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
  if (file_ < 0) {
    const char* const folder = std::getenv("TMPDIR");
    file_ = ::open(folder == nullptr ? "/tmp" : folder,
                   O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  }
  failed_ = failed_ || file_ < 0 || !write_fully(file_, bytes);
}

std::string LinePrefix::apply(std::string_view bytes) {
  if (prefix_.empty())
    return std::string{bytes};
  std::string out;
  while (!bytes.empty()) {
    if (at_line_start_)
      out += prefix_;
    const std::size_t newline = bytes.find('\n');
    at_line_start_ = newline != std::string_view::npos;
    const std::size_t length = at_line_start_ ? newline + 1 : bytes.size();
    out += bytes.substr(0, length);
    bytes.remove_prefix(length);
  }
  return out;
}

/// Keeps everything until the job has ended.
class JobOutput::GroupSink : public OutputSink {
 public:
  explicit GroupSink(const Options& options)
      : prefixes_{LinePrefix{options.tag}, LinePrefix{options.tag}} {
    if (!options.results.directory.empty())
      results_.emplace(options.results);
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
  std::optional<ResultFiles> results_;
};

/// Passes whole lines on as they come.
class JobOutput::LineSink : public OutputSink {
 public:
  LineSink(const Options& options, actors::ActorRef printer)
      : prefixes_{LinePrefix{options.tag}, LinePrefix{options.tag}},
        printer_{std::move(printer), STDOUT_FILENO, STDERR_FILENO} {
    if (!options.results.directory.empty())
      results_.emplace(options.results);
  }
  LineSink(const LineSink&) = delete;
  LineSink& operator=(const LineSink&) = delete;
  /// The last line may lack its newline; it gets one, or the next job's line
  /// would join it.
  ~LineSink() override {
    for (const Stream stream : {Stream::out, Stream::err}) {
      std::string& rest = rests_.at(index_of(stream));
      if (!rest.empty())
        pass_on(stream, rest + "\n");
    }
  }

  void on_attach(std::function<void()> resume) override {
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
    rest += bytes.substr(0, newline + 1);
    const std::string lines =
        std::exchange(rest, std::string{bytes.substr(newline + 1)});
    return pass_on(stream, lines);
  }

 private:
  SinkState pass_on(Stream stream, std::string_view text) {
    return printer_.write(stream, prefixes_.at(index_of(stream)).apply(text));
  }

  std::array<LinePrefix, 2> prefixes_;
  std::array<std::string, 2> rests_;
  PrinterSink printer_;
  std::optional<ResultFiles> results_;
};

JobOutput::JobOutput(Options options, actors::ActorRef printer)
    : options_{std::move(options)}, printer_{std::move(printer)} {}

std::shared_ptr<OutputSink> JobOutput::for_attempt(std::uint32_t) {
  switch (options_.grouping) {
    case Grouping::by_job:
      group_ = std::make_shared<GroupSink>(options_);
      return group_;
    case Grouping::by_line:
      return std::make_shared<LineSink>(options_, printer_);
    case Grouping::none:
      return nullptr;
  }
  return nullptr;
}

void JobOutput::print(std::function<void()> done) {
  for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) {
    if (!group_)
      break;
    const Spool& spool = group_->spools.at(static_cast<std::size_t>(fd - 1));
    if (spool.failed())
      actors::send(printer_,
                   Print{std::make_shared<PrintJob>(PrintJob{
                       .fd = STDERR_FILENO,
                       .bytes = "troupe: cannot spool output into the "
                                "temporary folder; some of it is lost\n",
                       .done = {}})});
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
