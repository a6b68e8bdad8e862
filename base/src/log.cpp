#include <troupe/base/log.hpp>

#include <cstdlib>
#include <memory>
#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <string>

namespace troupe {
namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warn:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
  }
  return spdlog::level::off;
}

spdlog::level::level_enum level_from_environment() {
  const char* const text = std::getenv("TROUPE_LOG");
  const std::string name = text == nullptr ? "" : text;
  if (name == "debug")
    return spdlog::level::debug;
  if (name == "info")
    return spdlog::level::info;
  if (name == "error")
    return spdlog::level::err;
  if (name == "off")
    return spdlog::level::off;
  return spdlog::level::warn;
}

/// Never destroyed: other threads may log until the process is gone.
spdlog::logger& logger() {
  static spdlog::logger* const instance = [] {
    auto* made = new spdlog::logger{
        "troupe", std::make_shared<spdlog::sinks::stderr_sink_mt>()};
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
    made->set_level(level_from_environment());
    return made;
  }();
  return *instance;
}

}  // namespace

bool is_logged(LogLevel level) { return logger().should_log(to_spdlog(level)); }

void log(LogLevel level, std::string_view line) {
  logger().log(to_spdlog(level),
               spdlog::string_view_t{line.data(), line.size()});
}

}  // namespace troupe
