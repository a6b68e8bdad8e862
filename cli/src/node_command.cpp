/// troupe node, troupe config and troupe audit: the daemon, what it is
/// configured with, and the record of who has changed what.
#include "file_io.hpp"
#include "state_folder.hpp"
#include "subcommand.hpp"
#include "text_table.hpp"

#include <troupe/base/log.hpp>
#include <troupe/base/text.hpp>
#include <troupe/node/audit.hpp>
#include <troupe/node/daemon.hpp>
#include <troupe/node/node_config.hpp>
#include <troupe/process/background.hpp>

#include <nlohmann/json.hpp>

#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <functional>
#include <optional>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace troupe::cli {
namespace {

namespace fs = std::filesystem;

/// Between two tries of a node that was evicted.
constexpr Duration return_pause = 5s;

struct NodeCommandOptions {
  std::string file;
  std::string folder;
  std::string socket;
  bool detached = false;
  bool upgrade = false;
};

node::ConfigDefaults config_defaults() {
  const std::string config = config_home_path();
  return {.folder = state_home_path() + "/troupe/node",
          .socket = runtime_folder_path() + "/node.sock",
          .workflow_folder = config.empty() ? "" : config + "/workflows",
          .cluster_folder = config.empty() ? "" : config + "/cluster"};
}

/// Makes what the places are in that nobody has chosen.
Result<void> make_default_places(const node::NodeConfig& config) {
  const node::ConfigDefaults defaults = config_defaults();
  if (config.folder == defaults.folder && !has_state_home())
    return failure(Errc::invalid_argument,
                   "there is no home to keep the queue in; set HOME or "
                   "XDG_STATE_HOME, or say --folder");
  if (config.socket == defaults.socket) {
    if (auto runtime = runtime_folder(); !runtime)
      return tl::unexpected(std::move(runtime.error()));
  }
  return {};
}

/// The one that everybody's nodes look for.
std::string usual_config_file() { return config_home_path() + "/troupe.yaml"; }

/// The file that was given, or the usual one, if it is there.
std::string config_file(const std::string& given) {
  if (!given.empty())
    return given;
  const char* const from_environment = std::getenv("TROUPE_CONFIG");
  if (from_environment != nullptr && from_environment[0] != '\0')
    return from_environment;
  const std::string path = usual_config_file();
  return fs::exists(path) ? path : std::string{};
}

Result<node::LoadedConfig> read_config(const NodeCommandOptions& o) {
  const node::ConfigDefaults defaults = config_defaults();
  const std::string file = config_file(o.file);
  if (file.empty())
    return node::default_config(defaults);
  auto text = read_whole_file(file);
  if (!text)
    return tl::unexpected(std::move(text.error()));
  return node::load_config(
      std::make_shared<const config::Source>(file, std::move(*text)), defaults);
}

/// What was given on the command line wins.
Result<node::NodeConfig> effective_config(const NodeCommandOptions& o) {
  auto loaded = read_config(o);
  if (!loaded)
    return tl::unexpected(std::move(loaded.error()));
  node::NodeConfig config = std::move(loaded->config);
  if (!o.folder.empty())
    config.folder = fs::absolute(o.folder);
  if (!o.socket.empty())
    config.socket = fs::absolute(o.socket);
  return config;
}

/// See events_for_test().
std::function<void()> end_after_events() {
  const std::uint32_t last = events_for_test();
  if (last == 0)
    return {};
  return [last, seen = std::uint32_t{0}]() mutable {
    if (++seen == last)
      ::_exit(exit_troupe_failed);
  };
}

int serve(const Startup& startup, const NodeCommandOptions& o,
          node::NodeConfig config, const std::function<void()>& on_up) {
  raise_open_files();
  if (!config.log_file.empty()) {
    const auto logs =
        log_to_file(config.log_file, config.log_size, config.log_files);
    if (!logs) {
      complain(logs.error().what);
      return exit_troupe_failed;
    }
  }
  node::DaemonOptions options{.config = std::move(config),
                              .version = TROUPE_VERSION,
                              .program = own_program(),
                              .signal_mask = startup.signal_mask,
                              .upgrade = o.upgrade,
                              .reload = [o] { return effective_config(o); },
                              .on_event = end_after_events()};
  bool was_up = false;
  bool is_refused = false;
  options.on_refused = [&is_refused] { is_refused = true; };
  while (true) {
    auto daemon = node::Daemon::start(options);
    if (!daemon && was_up && !is_refused) {
      // Whoever was evicted has been cut off, and may be again.
      log(LogLevel::error, fmt::format("node_not_back reason={}",
                                       shell_quote(daemon.error().what)));
      std::this_thread::sleep_for(return_pause);
      continue;
    }
    if (!daemon) {
      complain(daemon.error().what);
      return is_refused ? exit_not_a_member : exit_troupe_failed;
    }
    if (!std::exchange(was_up, true))
      on_up();
    switch ((*daemon)->run()) {
      case node::DaemonEnd::told:
        return exit_ok;
      case node::DaemonEnd::refused:
        return exit_not_a_member;
      case node::DaemonEnd::evicted:
        break;
    }
  }
}

/// Without the line breaks at its ends.
std::string without_blank_ends(std::string text) {
  text.erase(0, text.find_first_not_of('\n'));
  text.erase(text.find_last_not_of('\n') + 1);
  return text;
}

int serve_detached(const Startup& startup, const NodeCommandOptions& o,
                   node::NodeConfig config) {
  std::error_code ignored;
  fs::create_directories(config.folder, ignored);
  // What goes wrong before there is a log.
  const std::string output = config.folder + "/start.log";
  if (config.log_file.empty())
    config.log_file = config.folder + "/node.log";
  auto side = process::split_into_background(output);
  if (!side) {
    complain(side.error().what);
    return exit_troupe_failed;
  }
  if (const auto* foreground = std::get_if<process::ForegroundSide>(&*side)) {
    if (foreground->await_up()) {
      const std::string done = fmt::format("node is up (pid {}, {})",
                                           foreground->pid, config.socket);
      write_answer(done + "\n", done);
      return exit_ok;
    }
    const auto text = read_whole_file(output);
    const std::string said =
        text && text->size() > foreground->output_start
            ? without_blank_ends(text->substr(foreground->output_start))
            : std::string{};
    if (!said.empty())
      complain(fmt::format("the node did not come up:\n{}", said));
    else
      complain(
          fmt::format("the node did not come up, and {} does not say why; "
                      "is the disk full?",
                      output));
    return exit_troupe_failed;
  }
  auto& background = std::get<process::BackgroundSide>(*side);
  return serve(startup, o, std::move(config),
               [&background] { background.tell_up(); });
}

int check_config(const NodeCommandOptions& o, bool as_json) {
  const auto loaded = read_config(o);
  if (!loaded) {
    complain(loaded.error().what);
    return exit_bad_file;
  }
  if (as_json) {
    nlohmann::ordered_json json = nlohmann::ordered_json::array();
    for (const node::Setting& setting : loaded->settings)
      json.push_back({{"name", setting.name},
                      {"value", to_utf8(setting.value)},
                      {"origin", to_utf8(setting.origin)}});
    write_out(json.dump(2) + "\n");
    return exit_ok;
  }
  std::vector<TableRow> rows;
  for (const node::Setting& setting : loaded->settings)
    rows.push_back({std::string{setting.name},
                    setting.value.empty() ? "\"\"" : printable(setting.value),
                    printable(setting.origin)});
  write_out(render_rows(rows, {}));
  return exit_ok;
}

int verify_audit(const NodeCommandOptions& o, const std::string& head,
                 bool as_json) {
  const auto config = effective_config(o);
  if (!config) {
    complain(config.error().what);
    return exit_bad_file;
  }
  const auto report = node::verify_audit(
      config->folder, head.empty() ? std::nullopt : std::optional{head});
  if (!report) {
    if (report.error().code != Errc::corrupt)
      return troupe_failed(report.error());
    complain(report.error().what);
    return exit_failed;
  }
  if (as_json)
    write_out(nlohmann::ordered_json{{"first", report->first},
                                     {"last", report->last},
                                     {"head", report->head}}
                  .dump(2) +
              "\n");
  else
    write_out(fmt::format("lines {} to {} are whole\nhead {}\n", report->first,
                          report->last, report->head));
  return exit_ok;
}

}  // namespace

int run_audit(const Startup&, std::vector<std::string> words) {
  NodeCommandOptions o;
  std::string what;
  std::string head;
  bool as_json = false;
  CLI::App app{
      "Checks that nothing was changed, left out or put in in the record of\n"
      "who has changed what of a node. It may run meanwhile.\n\n"
      "  troupe audit verify\n"
      "  troupe audit verify --head 9f86d081884c7d65...",
      "troupe audit"};
  app.add_option("WHAT", what, "verify");
  app.add_option("--config", o.file, "The configuration, as of troupe node")
      ->type_name("FILE");
  app.add_option("--folder", o.folder, "The folder of the node")
      ->type_name("FOLDER");
  app.add_option("--head", head,
                 "That the line of this head, from an earlier check, is there")
      ->type_name("HASH");
  app.add_flag("--json", as_json, "As JSON");
  if (const auto code = parse(app, std::move(words)))
    return *code;
  if (what != "verify")
    return usage_error("audit", "expected \"verify\"");
  return verify_audit(o, head, as_json);
}

int run_node(const Startup& startup, std::vector<std::string> words) {
  NodeCommandOptions o;
  CLI::App app{
      "Runs the node: it keeps the jobs that are submitted and runs them.\n\n"
      "  troupe node -d\n"
      "  troupe submit -- make test\n"
      "  troupe list",
      "troupe node"};
  app.add_option("--config", o.file,
                 "The configuration; by default $TROUPE_CONFIG or\n"
                 "~/.config/troupe/troupe.yaml, if it is there")
      ->type_name("FILE");
  app.add_option("--folder", o.folder, "Where jobs and their output are kept")
      ->type_name("FOLDER");
  app.add_option("--socket", o.socket, "Where clients connect")
      ->type_name("PATH");
  app.add_flag("-d,--detach", o.detached, "Go on in the background");
  app.add_flag("--upgrade", o.upgrade,
               "Take the place of the node that runs; its commands\n"
               "go on");
  if (const auto code = parse(app, std::move(words)))
    return *code;
  auto config = effective_config(o);
  if (!config) {
    complain(config.error().what);
    return exit_bad_file;
  }
  if (const auto checked = node::check_user(*config, ::geteuid()); !checked) {
    const std::string file = config_file(o.file);
    complain(fmt::format("{} ({})", checked.error().what,
                         file.empty() ? usual_config_file() : file));
    return exit_troupe_failed;
  }
  if (const auto made = make_default_places(*config); !made) {
    complain(made.error().what);
    return exit_troupe_failed;
  }
  if (o.detached)
    return serve_detached(startup, o, std::move(*config));
  return serve(startup, o, std::move(*config), [] {});
}

int run_config(const Startup&, std::vector<std::string> words) {
  NodeCommandOptions o;
  std::string what;
  bool as_json = false;
  CLI::App app{
      "Checks the configuration of the node and prints what holds, and where\n"
      "each value comes from.\n\n"
      "  troupe config check",
      "troupe config"};
  app.add_option("WHAT", what, "check");
  app.add_option("--config", o.file, "The configuration, as of troupe node")
      ->type_name("FILE");
  app.add_flag("--json", as_json, "As JSON");
  if (const auto code = parse(app, std::move(words)))
    return *code;
  if (what != "check")
    return usage_error("config", "expected \"check\"");
  return check_config(o, as_json);
}

}  // namespace troupe::cli
