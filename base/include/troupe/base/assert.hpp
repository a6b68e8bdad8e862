#pragma once

namespace troupe::detail {
[[noreturn]] void assertion_failed(const char* expression, const char* file,
                                   int line);
}

/// Ends the process if an invariant of our own is broken, in every build type.
/// For mistakes of this program only, never for anything the outside world can
/// cause: that is a Result.
#define TROUPE_ASSERT(expression) \
  (static_cast<bool>(expression)  \
       ? static_cast<void>(0)     \
       : ::troupe::detail::assertion_failed(#expression, __FILE__, __LINE__))
