#include "compiled_template.hpp"

#include <troupe/base/assert.hpp>
#include <troupe/base/text.hpp>
#include <troupe/fanout/command_template.hpp>

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <utility>

namespace troupe::fanout {
namespace {

bool is_shell_space(char c) { return c == ' ' || c == '\t' || c == '\n'; }

/// Without the white space at both ends, unless a backslash quotes it.
std::string_view trimmed_command(std::string_view text) {
  while (!text.empty() && is_shell_space(text.front()))
    text.remove_prefix(1);
  while (!text.empty() && is_shell_space(text.back()) &&
         !(text.size() > 1 && text[text.size() - 2] == '\\'))
    text.remove_suffix(1);
  return text;
}

/// Words that a shell takes for its own where a command may start.
bool is_reserved(std::string_view word) {
  constexpr std::array<std::string_view, 17> reserved{
      "case", "coproc", "do",   "done",     "elif", "else",
      "esac", "fi",     "for",  "function", "if",   "in",
      "then", "select", "time", "until",    "while"};
  return std::find(reserved.begin(), reserved.end(), word) != reserved.end();
}

void append_in_single_quotes(std::string& out, std::string_view value) {
  for (const char c : value) {
    if (c == '\'')
      out += "'\\''";
    else
      out += c;
  }
}

void append_in_double_quotes(std::string& out, std::string_view value) {
  for (const char c : value) {
    if (c == '$' || c == '`' || c == '"' || c == '\\')
      out += '\\';
    out += c;
  }
}

void append_bare(std::string& out, std::string_view value, bool alone) {
  // Next to other characters even a harmless value can mean something: a user
  // after ~, a file descriptor before >. An assignment or a reserved word can
  // where a command starts.
  if (alone && value.find('=') == std::string_view::npos &&
      !is_reserved(value)) {
    out += shell_quote(value);
    return;
  }
  out += '\'';
  append_in_single_quotes(out, value);
  out += '\'';
}

/// What stands for one piece of a stretch. `each` is the value that `{}` means
/// in this repetition.
std::optional<std::string> text_of(const Piece& piece,
                                   const Arguments& arguments,
                                   std::uint32_t slot,
                                   const std::string* each) {
  if (!piece.replacement)
    return piece.text;
  if (piece.replacement->what == Replacement::What::every) {
    TROUPE_ASSERT(each != nullptr);
    return cut(piece.replacement->part, *each);
  }
  return value_of(*piece.replacement, arguments, slot);
}

/// Renders the stretches of one job, in order.
class Renderer {
 public:
  Renderer(const Arguments& arguments, std::uint32_t slot)
      : arguments_{arguments}, slot_{slot} {}

  void add(const Stretch& stretch) {
    if (!stretch.repeats()) {
      add_once(stretch, nullptr);
      return;
    }
    bool first = true;
    for (const std::string& value : arguments_.values) {
      if (!std::exchange(first, false) &&
          stretch.context != Stretch::Context::word)
        command_.shell_text += ' ';
      add_once(stretch, &value);
    }
  }

  RenderedCommand take() { return std::move(command_); }

 private:
  void add_once(const Stretch& stretch, const std::string* each) {
    if (stretch.context == Stretch::Context::word) {
      add_word(stretch, each);
      return;
    }
    for (const Piece& piece : stretch.pieces) {
      const auto value = text_of(piece, arguments_, slot_, each);
      if (piece.replacement)
        insert(stretch, value);
      else
        command_.shell_text += *value;
    }
  }

  void add_word(const Stretch& stretch, const std::string* each) {
    std::string word;
    bool present = stretch.pieces.empty();
    for (const Piece& piece : stretch.pieces) {
      if (const auto value = text_of(piece, arguments_, slot_, each)) {
        word += *value;
        present = true;
      }
    }
    if (present)
      command_.argv.push_back(std::move(word));
  }

  void insert(const Stretch& stretch, const std::optional<std::string>& value) {
    std::string& out = command_.shell_text;
    switch (stretch.context) {
      case Stretch::Context::bare:
        // Next to other characters, an empty word keeps what follows from being
        // read differently: `{2}#x` must not become a comment.
        if (value || !stretch.alone)
          append_bare(out, value.value_or(""), stretch.alone);
        return;
      case Stretch::Context::in_single_quotes:
        append_in_single_quotes(out, value.value_or(""));
        return;
      case Stretch::Context::in_double_quotes:
        if (stretch.after_name)
          out += "\"\"";
        append_in_double_quotes(out, value.value_or(""));
        return;
      case Stretch::Context::word:
      case Stretch::Context::verbatim:
        return;  // Neither inserts into shell text.
    }
  }

  const Arguments& arguments_;
  std::uint32_t slot_;
  RenderedCommand command_;
};

Result<CompiledTemplate> compile_words(std::span<const std::string> words,
                                       IfNone if_none) {
  CompiledTemplate compiled;
  bool has_replacement = false;
  for (const std::string& word : words) {
    auto stretch = compile_word(word);
    if (!stretch)
      return tl::unexpected(std::move(stretch.error()));
    has_replacement = has_replacement || stretch->has_replacement();
    compiled.stretches.push_back(std::move(*stretch));
  }
  if (!has_replacement && if_none == IfNone::append)
    compiled.stretches.push_back(
        {.context = Stretch::Context::word,
         .pieces = {Piece{.replacement = Replacement{}}}});
  return compiled;
}

std::vector<std::string> split_at_blanks(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : text) {
    if (c != ' ' && c != '\t') {
      word += c;
    } else if (!word.empty()) {
      words.push_back(std::exchange(word, {}));
    }
  }
  if (!word.empty())
    words.push_back(std::move(word));
  return words;
}

Result<CompiledTemplate> compile_text(std::string_view text, IfNone if_none) {
  if (is_plain_command(text))
    return compile_words(split_at_blanks(text), if_none);
  auto stretches = compile_shell_text(text, if_none);
  if (!stretches)
    return tl::unexpected(std::move(stretches.error()));
  return CompiledTemplate{.shell = true, .stretches = std::move(*stretches)};
}

tl::unexpected<Error> too_long(const Arguments& arguments,
                               std::string_view what, std::size_t bytes) {
  return failure(
      Errc::invalid_argument,
      fmt::format("job {}: {} has {} bytes, but the system takes at most {} in "
                  "one argument",
                  arguments.seq, what, bytes, longest_word_bytes));
}

}  // namespace

std::string RenderedCommand::as_text() const {
  return argv.empty() ? shell_text : shell_join(argv);
}

CommandTemplate::CommandTemplate(
    std::shared_ptr<const CompiledTemplate> compiled)
    : compiled_{std::move(compiled)} {}

Result<CommandTemplate> CommandTemplate::parse(
    std::span<const std::string> words, IfNone if_none) {
  const bool has_nul =
      std::any_of(words.begin(), words.end(), [](const std::string& word) {
        return word.find('\0') != std::string::npos;
      });
  if (has_nul)
    return failure(Errc::invalid_argument, "the command holds a NUL byte");
  const std::string_view text =
      words.size() == 1 ? trimmed_command(words.front()) : std::string_view{};
  if (words.empty() || words.front().empty() ||
      (words.size() == 1 && text.empty()))
    return failure(Errc::invalid_argument,
                   "no command given: write one, such as 'gzip {}'");
  auto compiled = words.size() == 1 ? compile_text(text, if_none)
                                    : compile_words(words, if_none);
  if (!compiled)
    return tl::unexpected(std::move(compiled.error()));
  return CommandTemplate{
      std::make_shared<const CompiledTemplate>(std::move(*compiled))};
}

bool CommandTemplate::needs_shell() const { return compiled_->shell; }

Result<void> CommandTemplate::check_positions(
    std::size_t values_per_job) const {
  for (const Stretch& stretch : compiled_->stretches) {
    for (const Piece& piece : stretch.pieces) {
      const int position = piece.replacement ? piece.replacement->position : 0;
      if (static_cast<std::size_t>(std::abs(position)) > values_per_job)
        return failure(
            Errc::invalid_argument,
            fmt::format("{{{0}}} asks for argument {0}, but each command gets "
                        "only {1}",
                        position, values_per_job));
    }
  }
  return {};
}

Result<RenderedCommand> CommandTemplate::render(const Arguments& arguments,
                                                std::uint32_t slot) const {
  Renderer renderer{arguments, slot};
  for (const Stretch& stretch : compiled_->stretches)
    renderer.add(stretch);
  RenderedCommand command = renderer.take();
  if (command.shell_text.size() > longest_word_bytes)
    return too_long(arguments, "the shell text", command.shell_text.size());
  for (const std::string& word : command.argv) {
    if (word.size() > longest_word_bytes)
      return too_long(arguments, "an argument", word.size());
  }
  if (command.argv.empty() && command.shell_text.empty())
    return failure(
        Errc::invalid_argument,
        fmt::format("job {}: nothing is left to execute", arguments.seq));
  return command;
}

}  // namespace troupe::fanout
