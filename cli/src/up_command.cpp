/// troupe up: the services of a file, from their start to their end.
#include "batch.hpp"
#include "printer_actor.hpp"
#include "process_usage.hpp"
#include "stack_actor.hpp"
#include "stack_host.hpp"
#include "stack_names.hpp"
#include "stack_plan.hpp"
#include "stack_view.hpp"
#include "subcommand.hpp"
#include "terminal.hpp"
#include "workflow_file.hpp"

#include <troupe/api/server.hpp>
#include <troupe/base/text.hpp>
#include <troupe/fanout/job_slots.hpp>
#include <troupe/process/background.hpp>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <memory>
#include <optional>
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

/// What stands between the stack and those who look at it and ask it. Lives on
/// the I/O thread.
class StackFront {
 public:
  StackFront(const StackPlaces& places, bool detached)
      : places_{places}, detached_{detached} {}

  [[nodiscard]] const StackEnd& end() const { return end_; }
  /// Why it could not be started.
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }

  /// See StartDispatcher. `on_up` is called on any thread.
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
    host_.start(
        engine, printer, std::move(root),
        {.log_folder = places_.log_folder,
         .notify_folder =
             std::filesystem::path{places_.socket}.parent_path().string(),
         .shows_output = !detached_,
         .colour = colour},
        {.on_up = std::move(on_up),
         .on_end =
             [this, done = std::move(on_end)](StackEnd end) {
               finish(std::move(end));
               done();
             },
         .on_news = {}});
    if (!detached_ && can_redraw(STDERR_FILENO)) {
      timer_.emplace(*io_);
      draw_later();
    }
    return host_.stack();
  }

 private:
  void finish(StackEnd end) {
    end_ = std::move(end);
    timer_.reset();
    print_footer("");
    server_.reset();
    printer_ = nullptr;  // The engine waits for its end.
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
        host_.stack(),
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
        entry.log = host_.log_of(entry.name);
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
      actors::send(host_.stack(), TakeDown{});
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
      actors::send(host_.stack(), std::move(order));
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
  StackHost host_;
  std::optional<boost::asio::steady_timer> timer_;
  UsageSampler usage_;
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
    return usage_error("up", "no file given");
  const auto workflow = read_workflow(o.file);
  if (!workflow)
    return exit_bad_file;
  service::FreePorts ports;
  auto root = plan_stack(*workflow, ports);
  ports.release();
  if (!root) {
    complain(fmt::format("{}: {}", o.file, root.error().what));
    return exit_bad_file;
  }
  std::vector<std::string> notes;
  if (auto kept = check_limits(*root, notes); !kept) {
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
  if (auto made = make_log_folder(places->log_folder); !made) {
    complain(made.error().what);
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
