#include "stack_host.hpp"

#include "printer_actor.hpp"

#include <troupe/base/text.hpp>

#include <boost/asio/post.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <unistd.h>
#include <utility>
#include <variant>

namespace troupe::cli {
namespace {

/// Files, and the services that are restarted when they change. Copies of a
/// service share a watcher, since the kernel allows few.
struct Watched {
  service::WatchedFiles files;
  std::vector<std::string> services;
};

void collect_watched(const service::GroupNode& group,
                     std::vector<Watched>& out) {
  for (const service::TreeNode& node : group.children) {
    if (const auto* nested = std::get_if<service::GroupNode>(&node.what)) {
      collect_watched(*nested, out);
      continue;
    }
    const auto& service = std::get<service::ServiceNode>(node.what);
    if (!service.watch)
      continue;
    const auto same = std::find_if(
        out.begin(), out.end(),
        [&](const Watched& known) { return known.files == *service.watch; });
    if (same != out.end())
      same->services.push_back(service.spec->name);
    else
      out.push_back({*service.watch, {service.spec->name}});
  }
}

}  // namespace

void StackHost::start(node::Engine& engine, const actors::ActorRef& printer,
                      std::shared_ptr<const service::GroupNode> root,
                      Options options, Listeners listeners) {
  io_ = &engine.io();
  printer_ = printer;
  listeners_ = std::move(listeners);
  logs_ = std::make_unique<ServiceLogs>(
      *root, ServiceLogs::Options{
                 .folder = std::move(options.log_folder),
                 .printer = options.shows_output ? printer : actors::ActorRef{},
                 .colour = options.colour});
  const auto new_id = [&engine] { return engine.new_id(); };
  checker_ = service::make_checker(*io_, engine.runner(), new_id);
  scales_ = std::make_unique<service::Scales>(*root);
  deps_.emplace(
      service::ServiceDeps{.runner = engine.runner(),
                           .checker = *checker_,
                           .output = *logs_,
                           .io = *io_,
                           .new_id = new_id,
                           .suspended = suspended_,
                           .notify_folder = std::move(options.notify_folder),
                           .listener = {}});
  watch_files(*root);
  stack_ =
      spawn_stack(engine.system(),
                  {.root = std::move(root),
                   .deps = *deps_,
                   .scales = *scales_,
                   .suspended = suspended_,
                   .on_up =
                       [this] {
                         if (listeners_.on_up)
                           boost::asio::post(*io_, listeners_.on_up);
                       },
                   .on_end =
                       [this](StackEnd end) {
                         boost::asio::post(*io_, [this, end = std::move(end)] {
                           finish();
                           const auto last = std::exchange(listeners_, {});
                           last.on_end(end);
                         });
                       },
                   .on_news = listeners_.on_news},
                  printer);
}

void StackHost::finish() {
  watchers_.clear();
  checker_.reset();
  // The engine waits for all actors, and those for their last handle.
  stack_ = nullptr;
  printer_ = nullptr;
  deps_->listener = nullptr;
  logs_->stop_showing();
}

void StackHost::watch_files(const service::GroupNode& root) {
  std::vector<Watched> all;
  collect_watched(root, all);
  for (const Watched& watched : all) {
    const auto& services = watched.services;
    const auto on_trouble = [this, services](const Error& error) {
      say(fmt::format("changes of files do not restart {}: {}",
                      services.size() == 1
                          ? services.front()
                          : fmt::format("{} and {} more", services.front(),
                                        services.size() - 1),
                      error.what));
    };
    auto watcher = service::FileWatcher::watch(
        *io_, watched.files,
        {.on_change =
             [this, services](const std::string& path) {
               actors::send(stack_, FilesChanged{services, path});
             },
         .on_trouble = on_trouble});
    if (watcher)
      watchers_.push_back(std::move(*watcher));
    else
      on_trouble(watcher.error());
  }
}

void StackHost::say(const std::string& what) {
  if (listeners_.on_news) {
    listeners_.on_news(StackSaid{what});
    return;
  }
  auto job = std::make_shared<PrintJob>();
  job->fd = STDERR_FILENO;
  job->bytes = fmt::format("troupe: {}\n", printable(what));
  actors::send(printer_, Print{std::move(job)});
}

}  // namespace troupe::cli
