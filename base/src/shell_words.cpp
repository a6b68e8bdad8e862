#include <troupe/base/shell_words.hpp>

#include <algorithm>
#include <array>

namespace troupe {
namespace {

/// Allowed outside quotes. A list of what is harmless rather than of what is
/// not: what nobody thought of goes to the shell. Missing on purpose are ~
/// (bash expands it after = too), {} (brace expansion), ! and ^ (history), and
/// bytes above ASCII (blanks in some locales).
bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') ||
         std::string_view{"_-./,:=@%+"}.find(c) != std::string_view::npos;
}

/// Allowed between quotes. Only the double ones give $ ` \ a meaning.
bool is_plain_within(char c, char quote) {
  const bool control = (c >= 0 && c < ' ' && c != '\t') || c == '\x7f';
  const bool expands = quote == '"' && (c == '$' || c == '`' || c == '\\');
  return !control && !expands;
}

// Builtins of POSIX, dash, bash and ksh; several are programs too.
constexpr std::array<std::string_view, 63> builtins{
    ".",       ":",        "[",         "alias",    "bg",      "bind",
    "break",   "builtin",  "caller",    "cd",       "chdir",   "command",
    "compgen", "complete", "compopt",   "continue", "declare", "dirs",
    "disown",  "echo",     "enable",    "eval",     "exec",    "exit",
    "export",  "fc",       "fg",        "getopts",  "hash",    "help",
    "history", "jobs",     "kill",      "let",      "local",   "logout",
    "mapfile", "newgrp",   "popd",      "print",    "printf",  "pushd",
    "pwd",     "read",     "readarray", "readonly", "return",  "set",
    "shift",   "shopt",    "source",    "suspend",  "test",    "times",
    "trap",    "type",     "typeset",   "ulimit",   "umask",   "unalias",
    "unset",   "wait",     "whence"};

constexpr std::array<std::string_view, 22> reserved{
    "!",    "[[",   "]]",    "case",  "coproc",   "do", "done", "elif",
    "else", "esac", "fi",    "for",   "function", "if", "in",   "select",
    "then", "time", "until", "while", "{",        "}"};

template <std::size_t N>
bool contains(const std::array<std::string_view, N>& words,
              std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool names_a_program(const std::vector<std::string>& words) {
  const std::string& name = words.front();
  if (name.empty() || name.front() == '-' || name.front() == '%' ||
      name.find('=') != std::string::npos)
    return false;
  if (name == "true" || name == "false")
    return words.size() == 1;
  return !contains(builtins, name) && !is_shell_keyword(name);
}

}  // namespace

bool is_shell_keyword(std::string_view word) {
  return contains(reserved, word);
}

std::optional<std::vector<std::string>> plain_words(std::string_view text) {
  std::vector<std::string> words;
  bool in_word = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == ' ' || c == '\t') {
      in_word = false;
      continue;
    }
    if (!in_word)
      words.emplace_back();
    in_word = true;
    if (c != '\'' && c != '"') {
      if (!is_plain(c))
        return std::nullopt;
      words.back() += c;
      continue;
    }
    const std::size_t end = text.find(c, i + 1);
    if (end == std::string_view::npos)
      return std::nullopt;
    const std::string_view quoted = text.substr(i + 1, end - i - 1);
    if (!std::all_of(quoted.begin(), quoted.end(),
                     [c](char q) { return is_plain_within(q, c); }))
      return std::nullopt;
    words.back() += quoted;
    i = end;
  }
  return words;
}

std::optional<std::vector<std::string>> simple_command_words(
    std::string_view text) {
  // A block scalar of YAML ends with a line break, which changes nothing.
  if (text.ends_with('\n'))
    text.remove_suffix(1);
  auto words = plain_words(text);
  if (!words || words->empty() || !names_a_program(*words))
    return std::nullopt;
  return words;
}

}  // namespace troupe
