// What somebody submits, and what the store keeps of it: JSON to a command.
#include "job_json.hpp"

#include <troupe/base/assert.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace troupe::node {
namespace {

void read(const Json& json) {
  const WallTime now{std::chrono::hours{400'000}};
  const auto submission = submission_from_json(json, now);
  if (submission) {
    const auto spec = queue::decode(submission->job.spec);
    TROUPE_ASSERT(spec.has_value());
    TROUPE_ASSERT(queue::decode(queue::encode(*spec)) == spec);
    TROUPE_ASSERT(submission->count <= store::most_tasks);
    const auto command = queue::JobCommand::make(*spec);
    TROUPE_ASSERT(command.has_value());
    (void)command->command_for({{store::JobId{1}, 7}, 1}, "a b");
    (void)to_json(SeenJob{{.id = store::JobId{1}, .job = submission->job}},
                  true);
  } else {
    TROUPE_ASSERT(submission.error().code == Errc::invalid_argument);
  }
  (void)edit_from_json(json, queue::JobSpec{}, "cpu=1,on-gpu=0.001");
  (void)group_from_json(json, {.name = "g"});
  (void)chunk_from_json(json);
}

}  // namespace
}  // namespace troupe::node

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  const auto json = troupe::node::Json::parse(text, nullptr, false);
  if (!json.is_discarded())
    troupe::node::read(json);
  (void)troupe::queue::decode(text);
  return 0;
}
