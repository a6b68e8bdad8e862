// What a warden and its runner read from each other, in pieces.
#include "wire.hpp"

#include <troupe/base/assert.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  namespace wire = troupe::process::wire;
  if (size == 0)
    return 0;
  const std::size_t piece = std::max<std::size_t>(data[0], 1);
  wire::Reader reader;
  for (std::size_t at = 1; at < size; at += piece) {
    const std::size_t count = std::min(piece, size - at);
    std::memcpy(reader.prepare(count), data + at, count);
    reader.commit(count);
    while (true) {
      const auto frame = reader.next();
      if (!frame)
        return 0;
      if (!*frame)
        break;
      std::string again;
      wire::encode(again, (*frame)->id, (*frame)->message);
      TROUPE_ASSERT(!again.empty());
    }
  }
  return 0;
}
