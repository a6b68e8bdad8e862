// What a node reads from another one: a frame, and then frames in a row, to a
// link that is up.
#include <troupe/base/assert.hpp>
#include <troupe/link/link_core.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace {

using namespace troupe::link;

Hello hello(std::uint8_t n, std::uint16_t protocol) {
  Hello hello{.protocols = {1, protocol}, .session = "s", .version = "0.1.0"};
  hello.node.bytes.back() = n;
  return hello;
}

void decode_alone(std::string_view frame, std::uint16_t protocol) {
  for (const PeerRole role : {PeerRole::enrolled, PeerRole::member}) {
    const auto message = decode(frame, protocol, role);
    if (!message)
      continue;
    const auto again = decode(encode(*message, protocol), protocol, role);
    TROUPE_ASSERT(again && *again == *message);
  }
}

void hear_in_a_row(std::string_view input, std::uint16_t protocol) {
  LinkCore core{LinkSide::accepted, {}, hello(1, protocol), std::nullopt, 1};
  (void)core.on_start({});
  (void)core.on_secured(hello(2, protocol).node, {});
  (void)core.on_frame(encode(hello(2, protocol), 1), {});
  while (!input.empty()) {
    const auto length = static_cast<std::uint8_t>(input.front());
    input.remove_prefix(1);
    const std::string_view frame = input.substr(0, length);
    input.remove_prefix(frame.size());
    (void)core.on_frame(frame, {});
    TROUPE_ASSERT(core.unsent_bytes() <= LinkLimits{}.unsent_bytes);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const std::string_view input{reinterpret_cast<const char*>(data), size};
  for (std::uint16_t protocol = own_protocols.oldest;
       protocol <= own_protocols.newest; ++protocol) {
    decode_alone(input, protocol);
    hear_in_a_row(input, protocol);
  }
  return 0;
}
