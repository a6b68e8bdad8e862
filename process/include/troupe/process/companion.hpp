#pragma once

#include <troupe/base/error.hpp>

#include <string>
#include <string_view>

namespace troupe::process {

/// The file of another program of Troupe: what `variable` of the environment
/// says, otherwise `name` beside our own executable, as in a build folder, or
/// in ../libexec/troupe, where it is installed. Blocks for a look at both.
///
/// Errors: not_found, with what to do.
[[nodiscard]] Result<std::string> companion_program(std::string_view name,
                                                    const char* variable);

/// Becomes that program, with the same descriptors, signals and environment;
/// `argv` ends with a null pointer. Returns only if that is not possible.
///
/// Errors: as above, and those of execve(2).
[[nodiscard]] Error become_companion(std::string_view name,
                                     const char* variable, char** argv);

}  // namespace troupe::process
