/// troupe-engine: the subcommands of troupe that need actors, and what runs and
/// nodes start of their own. Started by troupe, see main.cpp.
#include "deliver_notice.hpp"
#include "run_services_command.hpp"
#include "startup.hpp"
#include "subcommand.hpp"
#include "with_secrets.hpp"

#include <troupe/base/assert.hpp>
#include <troupe/base/text.hpp>
#include <troupe/node/run_services.hpp>
#include <troupe/node/step_secrets.hpp>
#include <troupe/workflow/notify.hpp>

#include <array>
#include <fmt/format.h>
#include <malloc.h>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::cli {
namespace {

struct Subcommand {
  std::string_view name;
  int (*run)(const Startup&, std::vector<std::string>);
};

constexpr std::array subcommands{
    Subcommand{"map", run_map},
    Subcommand{"run", run_workflow},
    Subcommand{"up", run_up},
    Subcommand{"node", run_node},
    Subcommand{"config", run_config},
    Subcommand{"audit", run_audit},
    Subcommand{"cluster", run_cluster},
    Subcommand{"cached", run_cached},
    Subcommand{"artifact", run_artifact},
    Subcommand{"test", run_test},
    Subcommand{workflow::deliver_command, deliver_notice},
    Subcommand{node::run_services_command, run_services_of_run},
    Subcommand{node::with_secrets_command, with_secrets},
};

/// Output passes through memory that one thread allocates and another frees.
/// The C library gives what is freed at the end of the heap back to the system
/// at once, which makes every piece of output cost its page faults anew.
void keep_freed_memory() {
  constexpr int kept_bytes = 16 << 20;
  ::mallopt(M_TRIM_THRESHOLD, kept_bytes);
  ::mallopt(M_TOP_PAD, 1 << 20);
  ::mallopt(M_MMAP_THRESHOLD, 4 << 20);
}

int run(std::vector<std::string> words) {
  if (words.empty())
    return usage_error("troupe-engine is started by troupe");
  const std::string name = words.front();
  words.erase(words.begin());
  for (const Subcommand& command : subcommands) {
    if (command.name == name)
      return command.run(prepare_process(), std::move(words));
  }
  return usage_error(fmt::format(
      "troupe-engine has no command \"{}\"; use troupe", printable(name)));
}

}  // namespace
}  // namespace troupe::cli

int main(int argc, char** argv) {
  troupe::exit_on_exception();
  troupe::cli::keep_freed_memory();
  return troupe::cli::after_writing_all(
      troupe::cli::run({argv + 1, argv + argc}));
}
