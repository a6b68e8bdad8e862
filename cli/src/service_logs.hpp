#pragma once

#include <troupe/actors/caf.hpp>
#include <troupe/service/log_file.hpp>
#include <troupe/service/service_actor.hpp>
#include <troupe/service/service_tree.hpp>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace troupe::cli {

/// The file in `folder` for the log of a service.
[[nodiscard]] std::string service_log_path(const std::string& folder,
                                           std::string service);

/// Keeps the output of each service in a file of its own, and shows it on
/// standard output with the service's name before each line. What a stopped
/// terminal does not take is left out there, so that it cannot stop a service;
/// the file has it all.
class ServiceLogs : public service::ServiceOutput {
 public:
  struct Options {
    std::string folder;        ///< Of the files; it is there.
    actors::ActorRef printer;  ///< Empty to show nothing.
    bool colour = false;
  };

  ServiceLogs(const service::GroupNode& root, Options options);
  ~ServiceLogs() override;

  /// The file of a service's log.
  [[nodiscard]] std::string path_of(const std::string& service) const;

  /// From now on nothing is shown. On the I/O thread.
  void stop_showing();

  [[nodiscard]] std::shared_ptr<process::OutputSink> sink_for(
      const service::ServiceSpec& spec, std::string text,
      std::function<void()> on_text) override;

 private:
  class Sink;
  struct Log;
  void add(const service::GroupNode& group, std::size_t& width);

  Options options_;
  std::map<std::string, std::unique_ptr<Log>> logs_;  ///< By service.
};

}  // namespace troupe::cli
