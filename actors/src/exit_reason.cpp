#include <troupe/actors/exit_reason.hpp>

#include <fmt/format.h>

namespace troupe::actors {

std::string_view to_string(ExitKind kind) {
  switch (kind) {
    case ExitKind::normal:
      return "normal";
    case ExitKind::shutdown:
      return "shutdown";
    case ExitKind::killed:
      return "killed";
    case ExitKind::crashed:
      return "crashed";
    case ExitKind::custom:
      return "custom";
  }
  return "unknown";
}

std::string describe(const ExitReason& reason) {
  if (reason.what.empty())
    return std::string{to_string(reason.kind)};
  if (reason.kind == ExitKind::custom)
    return reason.what;
  return fmt::format("{}: {}", to_string(reason.kind), reason.what);
}

}  // namespace troupe::actors
