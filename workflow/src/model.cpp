#include "command_argv.hpp"

#include <troupe/base/shell_words.hpp>
#include <troupe/workflow/model.hpp>

#include <utility>

namespace troupe::workflow {

std::vector<std::string> default_shell() { return {"sh", "-e"}; }

std::vector<std::string> argv_of(const std::vector<std::string>& shell,
                                 std::string line) {
  if (shell == default_shell()) {
    if (auto words = simple_command_words(line))
      return std::move(*words);
  }
  std::vector<std::string> argv = shell;
  argv.emplace_back("-c");
  argv.push_back(std::move(line));
  return argv;
}

}  // namespace troupe::workflow
