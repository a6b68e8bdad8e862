// What a node and an authority read from their files.
#include <troupe/base/assert.hpp>
#include <troupe/link/enrolments.hpp>
#include <troupe/link/roster.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  namespace link = troupe::link;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  if (const auto roster = link::parse_roster(text)) {
    TROUPE_ASSERT(link::parse_roster(to_json(*roster)) == *roster);
    for (const link::RosterEntry& entry : roster->entries())
      TROUPE_ASSERT(roster->admit(entry.node, entry.key).has_value() !=
                    entry.is_revoked);
  }
  if (const auto enrolments = link::parse_enrolments(text))
    (void)enrolments->roster();
  return 0;
}
