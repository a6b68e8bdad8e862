#pragma once

/// What is around a stack: its logs, the watchers of files, all that services
/// need from the engine. For up, run and test, which differ in who looks on.
#include "service_logs.hpp"
#include "stack_actor.hpp"

#include <troupe/node/engine.hpp>
#include <troupe/service/checker.hpp>
#include <troupe/service/file_watcher.hpp>

#include <boost/asio/io_context.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace troupe::cli {

/// Starts a stack, once. Lives on the I/O thread and outlives the engine.
class StackHost {
 public:
  struct Options {
    std::string log_folder;     ///< It is there.
    std::string notify_folder;  ///< For sockets: short, there, ours alone.
    bool shows_output = false;  ///< That of services, on standard output.
    bool colour = false;
  };
  struct Listeners {
    std::function<void()> on_up;  ///< All are ready. On the I/O thread.
    /// Once, when nothing of it runs any more. On the I/O thread.
    std::function<void(StackEnd)> on_end;
    /// See StackOrder::on_news; on any thread.
    std::function<void(const StackNews&)> on_news;
  };

  void start(node::Engine& engine, const actors::ActorRef& printer,
             std::shared_ptr<const service::GroupNode> root, Options options,
             Listeners listeners);

  /// Takes the messages of stack_actor.hpp and of a batch; null before the
  /// start and after the end.
  [[nodiscard]] const actors::ActorRef& stack() const { return stack_; }

  /// The file of a service's log.
  [[nodiscard]] std::string log_of(const std::string& service) const {
    return logs_->path_of(service);
  }

 private:
  void watch_files(const service::GroupNode& root);
  void say(const std::string& what);
  void finish();

  boost::asio::io_context* io_ = nullptr;
  actors::ActorRef printer_;
  Listeners listeners_;
  std::unique_ptr<ServiceLogs> logs_;
  std::unique_ptr<service::Checker> checker_;
  std::unique_ptr<service::Scales> scales_;
  service::SuspendedTime suspended_;
  std::optional<service::ServiceDeps> deps_;
  std::vector<std::unique_ptr<service::FileWatcher>> watchers_;
  actors::ActorRef stack_;
};

}  // namespace troupe::cli
