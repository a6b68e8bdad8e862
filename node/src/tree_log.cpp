#include "tree_log.hpp"

#include <troupe/base/log.hpp>
#include <troupe/base/text.hpp>

#include <fmt/format.h>

namespace troupe::node {
namespace {

class TreeLog {
 public:
  explicit TreeLog(actors::Actor* /*self*/) {}

  actors::Behavior make_behavior() {
    return {[](const supervisor::Report& report) {
      if (const auto text = log_text(report))
        log(LogLevel::error, *text);
    }};
  }
};

}  // namespace

std::optional<std::string> log_text(const supervisor::Report& report) {
  using supervisor::ReportKind;
  const auto of_child = [&](const char* event) {
    return fmt::format("{} actor={} restarts={} reason={}", event, report.child,
                       report.restarts, shell_quote(describe(report.reason)));
  };
  switch (report.kind) {
    case ReportKind::child_terminated:
      return of_child("actor_ended");
    case ReportKind::start_failed:
      return of_child("actor_not_started");
    case ReportKind::shutdown_error:
      return of_child("actor_not_stopped");
    case ReportKind::gave_up:
      return fmt::format("supervisor_gave_up supervisor={}", report.supervisor);
    case ReportKind::started:
    case ReportKind::auto_shutdown:
    case ReportKind::held:
    case ReportKind::released:
      return std::nullopt;
  }
  return std::nullopt;
}

actors::ActorRef spawn_tree_log(actors::ActorSystem& system) {
  return actors::spawn<TreeLog>(system);
}

}  // namespace troupe::node
