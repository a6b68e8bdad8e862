// The configuration of a node, and what is typed as amounts and times.
#include <troupe/base/assert.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/base/wall_time.hpp>
#include <troupe/node/node_config.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using namespace troupe;  // NOLINT(google-build-using-namespace)
  const std::string text{data, data + size};
  const auto loaded =
      node::load_config(std::make_shared<const config::Source>("f", text),
                        {.folder = "/f", .socket = "/s"});
  if (!loaded)
    TROUPE_ASSERT(loaded.error().code == Errc::invalid_argument);
  if (const auto resources = flow_control::Resources::parse(text))
    TROUPE_ASSERT(flow_control::Resources::parse(resources->text()) ==
                  *resources);
  if (const auto time = parse_wall_time(text))
    (void)format_wall_time(*time);
  (void)parse_duration(text);
  (void)parse_size(text);
  return 0;
}
