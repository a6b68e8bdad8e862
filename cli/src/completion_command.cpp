/// troupe completion: the script that teaches a shell our options.
#include "completion_scripts.hpp"  // Generated from packaging/completions.
#include "subcommand.hpp"

#include <troupe/base/text.hpp>

#include <cstdio>
#include <fmt/format.h>

namespace troupe::cli {

int run_completion(const Startup&, std::vector<std::string> words) {
  std::string shell;
  CLI::App app{
      "Prints the completion script of a shell.\n"
      "  eval \"$(troupe completion bash)\"",
      "troupe completion"};
  app.add_option("SHELL", shell, "bash, zsh or fish")->required();
  if (const auto code = parse(app, std::move(words)))
    return *code;
  if (shell == "bash")
    write_out(completion_bash);
  else if (shell == "zsh")
    write_out(completion_zsh);
  else if (shell == "fish")
    write_out(completion_fish);
  else
    return usage_error("completion",
                       fmt::format("expected bash, zsh or fish, got \"{}\"",
                                   printable(shell)));
  return exit_ok;
}

}  // namespace troupe::cli
