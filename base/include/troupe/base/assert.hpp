#pragma once

namespace troupe::detail {
[[noreturn]] void assertion_failed(const char* expression, const char* file,
                                   int line);
}

namespace troupe {

/// From now on an exception that nobody catches, on any thread, ends the
/// process with exit code 125 and what it says on standard error, and not by
/// SIGABRT: a thread that could not be started is a matter of the host.
/// Repeating does nothing.
void exit_on_exception();

}  // namespace troupe

/// Ends the process if an invariant of our own is broken, in every build type.
/// For mistakes of this program only, never for anything the outside world can
/// cause: that is a Result.
#define TROUPE_ASSERT(expression) \
  (static_cast<bool>(expression)  \
       ? static_cast<void>(0)     \
       : ::troupe::detail::assertion_failed(#expression, __FILE__, __LINE__))
