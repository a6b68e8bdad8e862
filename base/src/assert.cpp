#include <troupe/base/assert.hpp>

#include <cstdio>
#include <cstdlib>

namespace troupe::detail {

void assertion_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "troupe: assertion failed: %s (%s:%d)\n", expression,
               file, line);
  std::abort();
}

}  // namespace troupe::detail
