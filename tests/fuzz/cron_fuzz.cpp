// A cron expression: parsed, and asked for its next times.
#include <troupe/base/assert.hpp>
#include <troupe/schedule/next_fire.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using namespace troupe::schedule;  // NOLINT(google-build-using-namespace)
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  const auto cron = Cron::parse(text);
  if (!cron) {
    const CronProblem& problem = cron.error();
    TROUPE_ASSERT(problem.offset + problem.length <= text.size() + 1);
    TROUPE_ASSERT(!problem.message.empty());
    return 0;
  }
  // A Sunday on which clocks are put forward, and one on which they go back.
  static const TimeZone zone = *TimeZone::find("Europe/Rome");
  for (const std::int64_t start : {1'774'742'400, 1'792'886'400}) {
    std::chrono::sys_seconds at{std::chrono::seconds{start}};
    for (int i = 0; i < 20; ++i) {
      const auto next = next_fire(*cron, zone, at);
      if (!next)
        break;
      TROUPE_ASSERT(*next > at);
      TROUPE_ASSERT(last_fire(*cron, zone, at, *next) == next);
      at = *next;
    }
  }
  return 0;
}
