#include "service_logs.hpp"

#include "printer_actor.hpp"
#include "subcommand.hpp"

#include <troupe/process/output_digest.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <fmt/format.h>
#include <unistd.h>
#include <utility>

namespace troupe::cli {
namespace {

using process::SinkState;
using process::Stream;

/// So much of one service's output may wait for the terminal.
constexpr std::size_t most_shown_bytes = 256 << 10;
/// A line without an end is shown in pieces of this size.
constexpr std::size_t longest_line_piece = 16 << 10;
constexpr std::size_t widest_name = 24;

}  // namespace

/// Of one service, over all its incarnations. On the I/O thread.
struct ServiceLogs::Log {
  service::LogFileOptions options;
  std::optional<service::LogFile> file;  ///< Made by the first incarnation.
  std::string prefix;
  std::array<std::string, 2> pending;  ///< Lines without an end, by stream.
  std::uint64_t not_shown = 0;         ///< Bytes, since the last note.
  /// Given to the printer and not written yet; shared with its thread.
  std::shared_ptr<std::atomic<std::size_t>> waiting =
      std::make_shared<std::atomic<std::size_t>>(0);
};

/// Of one incarnation.
class ServiceLogs::Sink : public process::OutputSink {
 public:
  Sink(ServiceLogs& owner, Log& log, std::string text,
       std::function<void()> on_text)
      : owner_{owner}, log_{log}, on_text_{std::move(on_text)} {
    if (!text.empty())
      finder_.emplace(std::vector<std::string>{std::move(text)});
  }

  SinkState write(Stream stream, std::string_view bytes) override {
    if (!log_.file)
      log_.file.emplace(log_.options,
                        [name = log_.options.path](const Error& e) {
                          complain(fmt::format("log {}: {}", name, e.what));
                        });
    log_.file->write(bytes);
    if (owner_.options_.printer)
      show(stream, bytes);
    if (finder_) {
      finder_->write(bytes);
      if (finder_->found(0)) {
        finder_.reset();
        on_text_();
      }
    }
    return SinkState::ready;
  }

 private:
  void show(Stream stream, std::string_view bytes) {
    std::string& pending = log_.pending[stream == Stream::out ? 0 : 1];
    std::string lines;
    while (!bytes.empty()) {
      const std::size_t newline = bytes.find('\n');
      const bool whole = newline != std::string_view::npos;
      pending += bytes.substr(0, newline);
      bytes.remove_prefix(whole ? newline + 1 : bytes.size());
      if (!whole && pending.size() < longest_line_piece)
        break;
      lines += log_.prefix;
      lines += pending;
      lines += '\n';
      pending.clear();
    }
    if (!lines.empty())
      print(std::move(lines));
  }

  void print(std::string lines) {
    if (*log_.waiting > most_shown_bytes) {
      log_.not_shown += lines.size();
      return;
    }
    if (log_.not_shown != 0)
      lines.insert(0,
                   fmt::format("{}[troupe: {} bytes are not shown; see {}]\n",
                               log_.prefix, std::exchange(log_.not_shown, 0),
                               log_.options.path));
    auto job = std::make_shared<PrintJob>();
    job->fd = STDOUT_FILENO;
    const std::size_t size = lines.size();
    log_.waiting->fetch_add(size);
    job->bytes = std::move(lines);
    job->done = [waiting = log_.waiting, size] { waiting->fetch_sub(size); };
    actors::send(owner_.options_.printer, Print{std::move(job)});
  }

  ServiceLogs& owner_;
  Log& log_;
  std::optional<process::TextFinder> finder_;
  std::function<void()> on_text_;
};

ServiceLogs::ServiceLogs(const service::GroupNode& root, Options options)
    : options_{std::move(options)} {
  std::size_t width = 0;
  add(root, width);
  constexpr std::array<int, 6> colours{36, 33, 32, 35, 34, 31};
  std::size_t number = 0;
  for (auto& [name, log] : logs_) {
    const std::string text = fmt::format("{:<{}} | ", name, width);
    log->prefix = options_.colour
                      ? fmt::format("\x1b[{}m{}\x1b[0m",
                                    colours[number++ % colours.size()], text)
                      : text;
  }
}

ServiceLogs::~ServiceLogs() = default;

void ServiceLogs::add(const service::GroupNode& group, std::size_t& width) {
  std::size_t shown = 0;
  for (const service::TreeNode& node : group.children) {
    if (const auto* nested = std::get_if<service::GroupNode>(&node.what)) {
      add(*nested, width);
      continue;
    }
    const auto& service = std::get<service::ServiceNode>(node.what);
    const std::string& name = service.spec->name;
    auto log = std::make_unique<Log>();
    log->options = {.path = path_of(name),
                    .max_bytes = service.log.bytes,
                    .rotated_files = service.log.older};
    logs_.emplace(name, std::move(log));
    // Of copies that nobody has asked for the names need no room.
    if (++shown <= group.replicas.value_or(shown))
      width = std::max(width, std::min(name.size(), widest_name));
  }
}

std::string service_log_path(const std::string& folder, std::string service) {
  std::replace(service.begin(), service.end(), '/', '.');
  return fmt::format("{}/{}.log", folder, service);
}

std::string ServiceLogs::path_of(const std::string& service) const {
  return service_log_path(options_.folder, service);
}

void ServiceLogs::stop_showing() {
  for (auto& [name, log] : logs_) {
    if (!options_.printer)
      break;
    std::string last;
    for (const std::string& line : log->pending) {
      if (!line.empty())
        last += fmt::format("{}{}\n", log->prefix, line);
    }
    if (log->not_shown != 0)
      last += fmt::format("{}[troupe: {} bytes are not shown; see {}]\n",
                          log->prefix, log->not_shown, log->options.path);
    if (last.empty())
      continue;
    auto job = std::make_shared<PrintJob>();
    job->fd = STDOUT_FILENO;
    job->bytes = std::move(last);
    actors::send(options_.printer, Print{std::move(job)});
  }
  options_.printer = nullptr;
}

std::shared_ptr<process::OutputSink> ServiceLogs::sink_for(
    const service::ServiceSpec& spec, std::string text,
    std::function<void()> on_text) {
  return std::make_shared<Sink>(*this, *logs_.at(spec.name), std::move(text),
                                std::move(on_text));
}

}  // namespace troupe::cli
