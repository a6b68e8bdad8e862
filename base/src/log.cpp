#include <troupe/base/log.hpp>

#include <cstdlib>
#include <memory>
#include <spdlog/logger.h>
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <string>

namespace troupe {
namespace {

constexpr const char* pattern = "%Y-%m-%dT%H:%M:%S.%e %l %v";

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
    made->set_pattern(pattern);
    made->set_level(level_from_environment());
    return made;
  }();
  return *instance;
}

}  // namespace

bool is_logged(LogLevel level) { return logger().should_log(to_spdlog(level)); }

Result<void> log_to_file(const std::string& path, std::uint64_t bytes,
                         std::uint32_t files) {
  try {
    auto file = std::make_shared<spdlog::sinks::rotating_file_sink_mt>(
        path, static_cast<std::size_t>(bytes),
        static_cast<std::size_t>(files - 1));
    file->set_pattern(pattern);
    logger().sinks() = {std::move(file)};
    logger().flush_on(spdlog::level::debug);
    return {};
  } catch (const spdlog::spdlog_ex& error) {
    return failure(Errc::unavailable, error.what());
  }
}

void log(LogLevel level, std::string_view line) {
  logger().log(to_spdlog(level),
               spdlog::string_view_t{line.data(), line.size()});
}

}  // namespace troupe
