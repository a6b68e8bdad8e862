// A record of output, as it is read from a file.
#include <troupe/base/assert.hpp>
#include <troupe/process/output_record.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  namespace process = troupe::process;
  std::string_view rest{reinterpret_cast<const char*>(data), size};
  const auto header = process::parse_record_header(rest);
  if (!header || !*header)
    return 0;
  rest.remove_prefix(**header);
  while (true) {
    const auto frame = process::parse_record_frame(rest);
    if (!frame || !*frame)
      return 0;
    TROUPE_ASSERT((*frame)->size <= rest.size() && (*frame)->size > 0);
    rest.remove_prefix((*frame)->size);
  }
}
