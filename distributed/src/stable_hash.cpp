#include <troupe/distributed/stable_hash.hpp>

// NOLINTNEXTLINE(readability-identifier-naming): what xxhash.h asks for.
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace troupe::distributed {

std::uint64_t stable_hash(std::string_view bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

}  // namespace troupe::distributed
