#pragma once

#include <troupe/base/time.hpp>

#include <optional>
#include <string_view>

namespace troupe::node {

/// Tells the service manager that has started us something, as sd_notify(3)
/// does: "READY=1". Nothing happens if none wants to know ($NOTIFY_SOCKET).
/// Never blocks.
void notify_service_manager(std::string_view what);

/// How often it wants to hear "WATCHDOG=1", half of what it allows; nullopt if
/// it does not.
[[nodiscard]] std::optional<Duration> watchdog_interval();

}  // namespace troupe::node
