#pragma once

#include <troupe/base/error.hpp>

namespace troupe::cli {

// For commands that run another one around them and are to end as it does.

/// What a shell would say of a command that cannot be executed.
[[nodiscard]] int status_of(const Error& error);

/// Ends as the command did whose end waitpid(2) has told: with its signal, or
/// by coming back with its exit code.
[[nodiscard]] int end_as(int status);

}  // namespace troupe::cli
