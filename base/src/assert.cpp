#include <troupe/base/assert.hpp>
#include <troupe/base/exit_status.hpp>

#include <cstdio>
#include <cstdlib>
#include <exception>

namespace troupe {

void exit_on_exception() {
  std::set_terminate([] {
    try {
      if (const auto exception = std::current_exception())
        std::rethrow_exception(exception);
      std::fputs("troupe: ended by a defect\n", stderr);
    } catch (const std::exception& exception) {
      std::fprintf(stderr, "troupe: cannot go on: %s\n", exception.what());
    } catch (...) {
      std::fputs("troupe: cannot go on\n", stderr);
    }
    std::_Exit(status_troupe_failed);
  });
}

}  // namespace troupe

namespace troupe::detail {

void assertion_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "troupe: assertion failed: %s (%s:%d)\n", expression,
               file, line);
  std::abort();
}

}  // namespace troupe::detail
