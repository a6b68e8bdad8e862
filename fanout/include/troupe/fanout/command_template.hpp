#pragma once

#include <troupe/base/error.hpp>
#include <troupe/fanout/arguments.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace troupe::fanout {

struct CompiledTemplate;

/// The longest single argument, without its NUL, that Linux lets a program be
/// started with (MAX_ARG_STRLEN). The text for `sh -c` is one argument.
inline constexpr std::size_t longest_word_bytes = 131071;

/// What becomes of a command without replacement strings.
enum class IfNone : std::uint8_t {
  append,  ///< ` {}` is put behind it.
  leave,   ///< It is the same for each job.
};

/// One job's command: exactly one of the two is not empty.
struct RenderedCommand {
  std::vector<std::string> argv;  ///< To be executed without a shell.
  std::string shell_text;         ///< To be given to `/bin/sh -c`.

  /// The command as shell text in either case, for --dry-run and the job log.
  [[nodiscard]] std::string as_text() const;

  friend bool operator==(const RenderedCommand&,
                         const RenderedCommand&) = default;
};

/// The command of `troupe map` with its replacement strings:
///
///   {}   every value          {.}  without its extension
///   {/}  its base name        {//} its directory      {/.} base, no extension
///   {2} {-1} {2.} {-1/}       the same of one value; -1 is the last
///   {#}  sequence number      {%}  slot number, both from 1
///
/// Without any, ` {}` is appended, unless `parse` is told not to. Two forms, as
/// `parse` gets them:
///
/// - **Several words** (`troupe map gzip -9 {}`) are an argument vector. No
///   shell ever sees them: `;`, `|` and `*` in them are text.
/// - **One word** (`troupe map 'gzip -9 {} | wc -c'`) is shell text. If it has
///   nothing in it that a shell would act upon, it is split at blanks and
///   executed without one; otherwise `render` gives a text for /bin/sh.
///
/// A value always arrives unchanged and as data, whatever bytes are in it:
/// outside quotes it is quoted, inside '…' and "…" it is escaped for them, and
/// inside $( ) the same rules hold again. Where that cannot be done safely
/// (backticks, here-documents, arithmetic, ${x:-{}}, comments), `parse` refuses
/// the template. What a command does with its arguments is its own affair:
/// `eval {}` and `sh -c "… {}"` parse them again; write
/// `sh -c '… "$1"' sh {}`. In shell text, `\{}` is a literal `{}`.
///
/// With several values, an unquoted word that holds `{}` is repeated for each
/// (`-I{}` becomes `-Ia -Ib`); inside quotes the values are joined by a space.
/// A value that a job lacks (`{3}` of two) is nothing: a word of only that
/// disappears.
///
/// An immutable value; may be copied and shared between threads.
class CommandTemplate {
 public:
  /// `words` are the words of the command line before the first `:::`.
  ///
  /// Errors: invalid_argument, naming what is wrong and what to write instead.
  [[nodiscard]] static Result<CommandTemplate> parse(
      std::span<const std::string> words, IfNone if_none = IfNone::append);

  /// Whether `render` gives shell text.
  [[nodiscard]] bool needs_shell() const;

  /// Refuses a template that asks for values that no job has, such as {3} where
  /// each gets `values_per_job` = 2. Not for --colsep, where rows may differ.
  ///
  /// Errors: invalid_argument, "{3} asks for argument 3, but each command gets
  /// only 2".
  [[nodiscard]] Result<void> check_positions(std::size_t values_per_job) const;

  /// The command for one job. `slot` counts from 1. No value holds a NUL.
  ///
  /// Errors: invalid_argument if a word or the shell text is longer than
  /// longest_word_bytes, or if nothing is left to execute.
  [[nodiscard]] Result<RenderedCommand> render(const Arguments& arguments,
                                               std::uint32_t slot) const;

 private:
  explicit CommandTemplate(std::shared_ptr<const CompiledTemplate> compiled);

  std::shared_ptr<const CompiledTemplate> compiled_;
};

}  // namespace troupe::fanout
