#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe {

/// The words of `text` if executing them directly is certainly the same as
/// `sh -c text`, else nothing. It saves a shell per command and lets a signal
/// reach the program itself. Any doubt is answered with nothing, since a shell
/// is always right and costs a millisecond.
///
/// Words come back if the text is one line of plain characters, 'single' and
/// "double" quotes without expansions, and its first word names a program: no
/// assignment, reserved word or builtin. `echo`, `printf`, `test`, `[`, `kill`
/// and `pwd` count as builtins because the programs of these names print or
/// accept other things than a shell does; `true` and `false` are taken only
/// without arguments, because the programs know --help and the builtins do not.
[[nodiscard]] std::optional<std::vector<std::string>> simple_command_words(
    std::string_view text);

/// The words of `text` by the same rules, but whatever the first word is: for
/// settings such as `shell: bash -euo pipefail`, which no shell ever reads.
[[nodiscard]] std::optional<std::vector<std::string>> plain_words(
    std::string_view text);

/// Whether a POSIX shell, or bash, gives `word` a meaning of its own where a
/// command is expected.
[[nodiscard]] bool is_shell_keyword(std::string_view word);

}  // namespace troupe
