/// troupe up: the services of a file, from their start to their end.
#include "batch.hpp"
#include "printer_actor.hpp"
#include "process_usage.hpp"
#include "service_logs.hpp"
#include "stack_actor.hpp"
#include "stack_names.hpp"
#include "stack_view.hpp"
#include "subcommand.hpp"
#include "terminal.hpp"
#include "workflow_file.hpp"

#include <troupe/api/server.hpp>
#include <troupe/base/owned_fd.hpp>
#include <troupe/base/text.hpp>
#include <troupe/fanout/job_slots.hpp>
#include <troupe/process/background.hpp>
#include <troupe/process/cgroups.hpp>
#include <troupe/service/checker.hpp>
#include <troupe/service/file_watcher.hpp>
#include <troupe/workflow/services.hpp>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <map>
#include <memory>
#include <netinet/in.h>
#include <optional>
#include <sstream>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <variant>
#include <vector>

namespace troupe::cli {
namespace {

constexpr Duration table_interval = 500ms;
/// What the table leaves of a terminal to the output above it.
constexpr std::size_t rows_for_output = 5;

struct UpOptions {
  std::string file;
  bool detached = false;
};

/// A port that nothing listens on now, for the services of this host.
Result<std::uint16_t> free_port() {
  const OwnedFd socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (!socket.is_open() || ::bind(socket.get(), generic, length) != 0 ||
      ::getsockname(socket.get(), generic, &length) != 0)
    return tl::unexpected{system_error("no port is free", errno)};
  return ntohs(address.sin_port);
}

Result<std::string> read_text_file(const std::string& path) {
  std::ifstream in{path, std::ios::binary};
  if (!in)
    return tl::unexpected{
        system_error(fmt::format("cannot read {}", path), errno)};
  std::ostringstream text;
  text << in.rdbuf();
  return std::move(text).str();
}

Result<service::GroupNode> plan(const workflow::Workflow& workflow) {
  std::map<std::string, std::uint16_t> ports;
  return workflow::plan_services(
      workflow,
      {.port_of = [&](const std::string& name) -> Result<std::uint16_t> {
         if (const auto known = ports.find(name); known != ports.end())
           return known->second;
         auto port = free_port();
         if (port)
           ports[name] = *port;
         return port;
       },
       .read_file = read_text_file});
}

/// Whether this system can keep the limits of all services. What it keeps less
/// well is added to `notes`.
Result<void> check_limits(const service::GroupNode& group,
                          const process::Cgroups& cgroups,
                          std::vector<std::string>& notes) {
  for (const service::TreeNode& node : group.children) {
    if (const auto* nested = std::get_if<service::GroupNode>(&node.what)) {
      if (auto result = check_limits(*nested, cgroups, notes); !result)
        return result;
      continue;
    }
    const service::ServiceSpec& spec =
        *std::get<service::ServiceNode>(node.what).spec;
    const process::TreeLimits& limits = spec.command->tree_limits;
    const auto kept = limits.any() ? cgroups.check(limits) : Result<void>{};
    if (kept)
      continue;
    if (limits.cpu_percent || limits.tasks)
      return failure(kept.error().code,
                     fmt::format("{}: limits on cpu and tasks cannot be kept: "
                                 "{}",
                                 spec.name, kept.error().what));
    if (notes.empty())
      notes.push_back(
          fmt::format("{}: the limit on memory holds for each process and not "
                      "for all of them: {}",
                      spec.name, kept.error().what));
  }
  return {};
}

/// What stands between the stack and those who look at it and ask it. Lives on
/// the I/O thread.
class StackFront {
 public:
  StackFront(const StackPlaces& places, bool detached)
      : places_{places}, detached_{detached} {}

  [[nodiscard]] const StackEnd& end() const { return end_; }
  /// Why it could not be started.
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }

  /// See StartDispatcher. `on_up` is called on the I/O thread.
  actors::ActorRef start(node::Engine& engine, const actors::ActorRef& printer,
                         std::function<void()> on_end,
                         std::shared_ptr<const service::GroupNode> root,
                         std::function<void()> on_up) {
    io_ = &engine.io();
    printer_ = printer;
    auto server = api::ControlServer::listen(
        *io_, places_.socket,
        [this](const api::Json& request, const api::Responder& responder) {
          on_request(request, responder);
        });
    if (!server) {
      error_ = std::move(server.error());
      printer_ = nullptr;  // The engine waits for its end.
      on_end();
      return {};
    }
    server_ = std::move(*server);
    const bool colour =
        !detached_ && wants_colour() && ::isatty(STDOUT_FILENO) == 1;
    logs_ = std::make_unique<ServiceLogs>(
        *root, ServiceLogs::Options{
                   .folder = places_.log_folder,
                   .printer = detached_ ? actors::ActorRef{} : printer,
                   .colour = colour});
    const auto new_id = [&engine] { return engine.new_id(); };
    checker_ = service::make_checker(*io_, engine.runner(), new_id);
    scales_ = std::make_unique<service::Scales>(*root);
    deps_.emplace(service::ServiceDeps{
        .runner = engine.runner(),
        .checker = *checker_,
        .output = *logs_,
        .io = *io_,
        .new_id = new_id,
        .suspended = suspended_,
        .notify_folder =
            std::filesystem::path{places_.socket}.parent_path().string(),
        .listener = {}});
    watch_files(*root);
    stack_ = spawn_stack(
        engine.system(),
        {.root = std::move(root),
         .deps = *deps_,
         .scales = *scales_,
         .suspended = suspended_,
         .on_up = [this,
                   up = std::move(on_up)] { boost::asio::post(*io_, up); },
         .on_end =
             [this, done = std::move(on_end)](StackEnd end) {
               boost::asio::post(*io_, [this, done, end = std::move(end)] {
                 finish(end);
                 done();
               });
             }},
        printer);
    if (!detached_ && can_redraw(STDERR_FILENO)) {
      timer_.emplace(*io_);
      draw_later();
    }
    return stack_;
  }

 private:
  void finish(StackEnd end) {
    end_ = std::move(end);
    timer_.reset();
    watchers_.clear();
    print_footer("");
    server_.reset();
    checker_.reset();
    // The engine waits for all actors, and those for their last handle.
    stack_ = nullptr;
    printer_ = nullptr;
    deps_->listener = nullptr;
    logs_->stop_showing();
  }

  // -- Files -----------------------------------------------------------------

  /// Files, and the services that are restarted when they change. Copies of a
  /// service share a watcher, since the kernel allows few.
  struct Watched {
    service::WatchedFiles files;
    std::vector<std::string> services;
  };

  static void collect_watched(const service::GroupNode& group,
                              std::vector<Watched>& out) {
    for (const service::TreeNode& node : group.children) {
      if (const auto* nested = std::get_if<service::GroupNode>(&node.what)) {
        collect_watched(*nested, out);
        continue;
      }
      const auto& service = std::get<service::ServiceNode>(node.what);
      if (!service.watch)
        continue;
      const auto same = std::find_if(
          out.begin(), out.end(),
          [&](const Watched& known) { return known.files == *service.watch; });
      if (same != out.end())
        same->services.push_back(service.spec->name);
      else
        out.push_back({*service.watch, {service.spec->name}});
    }
  }

  void watch_files(const service::GroupNode& root) {
    std::vector<Watched> all;
    collect_watched(root, all);
    for (const Watched& watched : all) {
      const auto& services = watched.services;
      const auto on_trouble = [this, services](const Error& error) {
        say(fmt::format("changes of files do not restart {}: {}",
                        services.size() == 1
                            ? services.front()
                            : fmt::format("{} and {} more", services.front(),
                                          services.size() - 1),
                        error.what));
      };
      auto watcher = service::FileWatcher::watch(
          *io_, watched.files,
          {.on_change =
               [this, services](const std::string& path) {
                 actors::send(stack_, FilesChanged{services, path});
               },
           .on_trouble = on_trouble});
      if (watcher)
        watchers_.push_back(std::move(*watcher));
      else
        on_trouble(watcher.error());
    }
  }

  void say(const std::string& what) {
    auto job = std::make_shared<PrintJob>();
    job->fd = STDERR_FILENO;
    job->bytes = fmt::format("troupe: {}\n", printable(what));
    actors::send(printer_, Print{std::move(job)});
  }

  // -- The table -------------------------------------------------------------

  void draw_later() {
    timer_->expires_after(table_interval);
    timer_->async_wait([this](const auto& error) {
      if (!error)
        look([this](const StackSnapshot& snapshot) { draw(snapshot); });
    });
  }

  void draw(const StackSnapshot& snapshot) {
    if (!timer_)
      return;
    const TerminalSize size = terminal_size();
    std::string table =
        render_table(snapshot, {.colour = wants_colour(),
                                .columns = size.columns - 1,
                                .rows = size.rows > 2 * rows_for_output
                                            ? size.rows - rows_for_output
                                            : size.rows / 2});
    if (table.ends_with('\n'))
      table.pop_back();
    print_footer(std::move(table));
    draw_later();
  }

  void print_footer(std::string text) {
    if (detached_)
      return;
    auto job = std::make_shared<PrintJob>();
    job->fd = STDERR_FILENO;
    job->is_footer = true;
    job->bytes = std::move(text);
    actors::send(printer_, Print{std::move(job)});
  }

  // -- Questions -------------------------------------------------------------

  /// Calls `done` on the I/O thread with how everything is.
  void look(std::function<void(const StackSnapshot&)> done) {
    actors::send(
        stack_,
        TakeSnapshot{[this, done = std::move(done)](StackSnapshot snapshot) {
          boost::asio::post(
              *io_, [this, done, snapshot = std::move(snapshot)]() mutable {
                complete(snapshot);
                done(snapshot);
              });
        }});
  }

  /// Adds what the stack does not know.
  void complete(StackSnapshot& snapshot) {
    snapshot.file = places_.file;
    snapshot.pid = ::getpid();
    std::vector<int> leaders;
    for (StackEntry& entry : snapshot.entries) {
      if (!entry.is_group)
        entry.log = logs_->path_of(entry.name);
      if (entry.pid != 0)
        leaders.push_back(entry.pid);
    }
    const auto usage = usage_.sample(leaders, std::chrono::steady_clock::now());
    for (StackEntry& entry : snapshot.entries) {
      const auto used = usage.find(entry.pid);
      if (entry.pid == 0 || used == usage.end())
        continue;
      entry.cpu = used->second.cpu;
      entry.memory_bytes = used->second.memory_bytes;
    }
  }

  void on_request(const api::Json& request, const api::Responder& responder) {
    const std::string what = request.at("do").get<std::string>();
    if (what == "ps") {
      look([responder](const StackSnapshot& snapshot) {
        responder.succeed(to_json(snapshot));
      });
    } else if (what == "down") {
      actors::send(stack_, TakeDown{});
      responder.succeed({{"pid", ::getpid()}});
    } else if (const auto kind = kind_of(what)) {
      StackRequest order{.kind = *kind, .name = request.at("name")};
      if (order.kind == StackRequest::Kind::scale)
        order.replicas = request.at("replicas").get<std::uint32_t>();
      order.done = [responder](Result<void> result) {
        if (result)
          responder.succeed(api::Json::object());
        else
          responder.fail(result.error());
      };
      actors::send(stack_, std::move(order));
    } else {
      responder.fail(
          {Errc::unsupported, fmt::format("this troupe knows no request \"{}\"",
                                          printable(what))});
    }
  }

  static std::optional<StackRequest::Kind> kind_of(std::string_view what) {
    if (what == "restart")
      return StackRequest::Kind::restart;
    if (what == "stop")
      return StackRequest::Kind::stop;
    if (what == "start")
      return StackRequest::Kind::start;
    if (what == "scale")
      return StackRequest::Kind::scale;
    return std::nullopt;
  }

  StackPlaces places_;
  bool detached_;
  boost::asio::io_context* io_ = nullptr;
  actors::ActorRef printer_;
  std::unique_ptr<api::ControlServer> server_;
  std::unique_ptr<ServiceLogs> logs_;
  std::unique_ptr<service::Checker> checker_;
  std::unique_ptr<service::Scales> scales_;
  service::SuspendedTime suspended_;
  std::optional<service::ServiceDeps> deps_;
  std::optional<boost::asio::steady_timer> timer_;
  std::vector<std::unique_ptr<service::FileWatcher>> watchers_;
  UsageSampler usage_;
  actors::ActorRef stack_;
  StackEnd end_;
  std::optional<Error> error_;
};

int execute(const Startup& startup, const StackPlaces& places, bool detached,
            std::shared_ptr<const service::GroupNode> root,
            const std::function<void()>& on_up) {
  StackFront front{places, detached};
  const BatchEnd end = run_batch(
      startup, fanout::most_job_slots,
      [&](node::Engine& engine, const actors::ActorRef& printer,
          std::function<void()> on_end) {
        return front.start(engine, printer, std::move(on_end), std::move(root),
                           on_up);
      },
      /*needs_output=*/false);
  if (end.exit_code)
    return *end.exit_code;
  if (front.error()) {
    const std::string& what = front.error()->what;
    complain(
        front.error()->code == Errc::already_exists
            ? fmt::format("{} is up already, or just ending{}; see troupe "
                          "ps",
                          printable(places.file),
                          what.substr(std::min(what.rfind(':'), what.size())))
            : what);
    return exit_failed;
  }
  if (end.by_signal == SIGPIPE)
    return 128 + SIGPIPE;
  if (!front.end().failed)
    return exit_ok;
  complain(fmt::format("ended: {}\nlogs: {}", printable(front.end().why),
                       printable(places.log_folder)));
  return exit_failed;
}

/// What the process that the user has started does while the other one starts
/// the services.
int await_up(const process::ForegroundSide& side, const std::string& output) {
  const bool is_up = side.await_up();
  std::ifstream said{output};
  said.seekg(static_cast<std::streamoff>(side.output_start));
  for (std::string line; std::getline(said, line);)
    fmt::print(stderr, "{}\n", line);
  if (!is_up) {
    complain("it ended before all services were up");
    return exit_failed;
  }
  fmt::print(stderr, "troupe: up, as process {}; see troupe ps\n", side.pid);
  return exit_ok;
}

}  // namespace

int run_up(const Startup& startup, std::vector<std::string> words) {
  UpOptions o;
  CLI::App app{
      "Runs the services of a file, in the order in which they need each "
      "other, restarts\nthose that fail, and ends all of them in reverse order "
      "when it is told to (Ctrl-C,\ntroupe down). Exits with 0 then, with 1 if "
      "the services gave up, and with 3 for\na bad file.\n\n"
      "  troupe up stack.yaml",
      "troupe up"};
  app.add_option("FILE", o.file, "The file with \"services\"");
  app.add_flag("-d,--detach", o.detached,
               "Go on in the background once all services are ready");
  if (const auto code = parse(app, std::move(words)))
    return *code;
  if (o.file.empty())
    return usage_error("up: no file given");
  const auto workflow = read_workflow(o.file);
  if (!workflow)
    return exit_bad_file;
  auto root = plan(*workflow);
  if (!root) {
    complain(fmt::format("{}: {}", o.file, root.error().what));
    return exit_bad_file;
  }
  std::vector<std::string> notes;
  const process::Cgroups cgroups{process::Cgroups::own_folder(), ::getpid()};
  if (auto kept = check_limits(*root, cgroups, notes); !kept) {
    complain(kept.error().what);
    return exit_troupe_failed;
  }
  const auto places = places_of(o.file, notes);
  for (const std::string& note : notes)
    complain(note);
  if (!places) {
    complain(places.error().what);
    return exit_troupe_failed;
  }
  std::error_code error;
  std::filesystem::create_directories(places->log_folder, error);
  if (error) {
    complain(system_error(fmt::format("cannot make {}", places->log_folder),
                          error.value())
                 .what);
    return exit_troupe_failed;
  }
  process::BackgroundSide background;
  if (o.detached) {
    // Logs of services end with .log, whatever the name of the service.
    const std::string output = places->log_folder + "/up.out";
    auto side = process::split_into_background(output);
    if (!side) {
      complain(side.error().what);
      return exit_troupe_failed;
    }
    if (const auto* foreground = std::get_if<process::ForegroundSide>(&*side))
      return await_up(*foreground, output);
    background = std::move(std::get<process::BackgroundSide>(*side));
  }
  return execute(startup, *places, o.detached,
                 std::make_shared<const service::GroupNode>(std::move(*root)),
                 [&background] { background.tell_up(); });
}

}  // namespace troupe::cli
