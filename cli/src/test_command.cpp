/// troupe test: a fire drill for the services of a file.
#include "batch.hpp"
#include "drill.hpp"
#include "stack_host.hpp"
#include "stack_names.hpp"
#include "stack_plan.hpp"
#include "subcommand.hpp"
#include "workflow_file.hpp"

#include <troupe/base/overload.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/fanout/job_slots.hpp>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fmt/format.h>
#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

namespace troupe::cli {
namespace {

struct TestOptions {
  std::string file;
  std::vector<std::string> kills;
  std::vector<std::string> expectations;
  std::string longest;
  bool as_json = false;
};

TimePoint now() { return std::chrono::steady_clock::now(); }

/// Performs what a drill decides. Lives on the I/O thread, after its start.
class DrillShell {
 public:
  DrillShell(std::shared_ptr<const service::GroupNode> root, DrillPlan plan,
             StackHost::Options options)
      : root_{std::move(root)},
        options_{std::move(options)},
        drill_{root_, std::move(plan), now()} {}

  [[nodiscard]] const Drill& drill() const { return drill_; }

  /// See StartDispatcher.
  actors::ActorRef start(node::Engine& engine, const actors::ActorRef& printer,
                         std::function<void()> on_end) {
    io_ = &engine.io();
    timer_.emplace(*io_);
    host_.start(engine, printer, root_, std::move(options_),
                {.on_up =
                     [this] {
                       drill_.on_up(now());
                       go_on();
                     },
                 .on_end =
                     [this, done = std::move(on_end)](const StackEnd& end) {
                       timer_.reset();
                       if (!is_done_)
                         drill_.on_stack_ended(end.failed, end.why, now());
                       done();
                     },
                 .on_news =
                     [this](const StackNews& news) {
                       boost::asio::post(*io_, [this, news, at = now()] {
                         on_news(news, at);
                       });
                     }});
    return host_.stack();
  }

 private:
  void on_news(const StackNews& news, TimePoint at) {
    // That all is ended afterwards is no part of the drill.
    if (is_done_)
      return;
    std::visit(
        Overload{
            [&](const supervisor::Report& m) { drill_.on_report(m, at); },
            [&](const service::PresenceNews& m) {
              drill_.on_presence(m.path, m.presence, at);
            },
            [&](const StackBlame& m) { drill_.on_blame(m.group, m.chain, at); },
            [&](const StackSaid& m) { drill_.on_said(m.text, at); },
            [&](const service::ServiceNews& m) {
              std::visit(Overload{[&](const service::ServiceLaunched&) {
                                    drill_.on_launched(m.service, at);
                                  },
                                  [&](const service::ServiceReady&) {
                                    drill_.on_ready(m.service, at);
                                  },
                                  [](const service::ServiceTrouble&) {},
                                  [&](const service::ServiceEnd& end) {
                                    drill_.on_ended(m.service, end, at);
                                  }},
                         m.what);
            }},
        news);
    go_on();
  }

  void go_on() {
    if (is_done_ || !timer_)
      return;
    for (const std::string& service : drill_.take_kills(now()))
      kill(service);
    if (drill_.is_over(now())) {
      is_done_ = true;
      if (host_.stack())
        actors::send(host_.stack(), TakeDown{});
      return;
    }
    const auto deadline = drill_.next_deadline();
    if (!deadline)
      return;
    timer_->expires_at(*deadline);
    timer_->async_wait([this](const auto& error) {
      if (!error)
        go_on();
    });
  }

  void kill(const std::string& service) {
    actors::send(host_.stack(),
                 CrashChild{service, [this, service](Result<void> result) {
                              if (result)
                                return;
                              boost::asio::post(
                                  *io_,
                                  [this, service, why = result.error().what] {
                                    drill_.on_kill_failed(service, why, now());
                                    go_on();
                                  });
                            }});
  }

  std::shared_ptr<const service::GroupNode> root_;
  StackHost::Options options_;
  Drill drill_;
  boost::asio::io_context* io_ = nullptr;
  std::optional<boost::asio::steady_timer> timer_;
  StackHost host_;
  bool is_done_ = false;
};

Result<DrillPlan> plan_of(const TestOptions& o,
                          const service::GroupNode& root) {
  DrillPlan plan;
  for (const std::string& text : o.kills) {
    auto kill = parse_kill(text, root);
    if (!kill)
      return tl::unexpected{std::move(kill.error()).within("--kill")};
    plan.kills.push_back(std::move(*kill));
  }
  for (const std::string& text : o.expectations) {
    auto expectation = parse_expectation(text, root);
    if (!expectation)
      return tl::unexpected{std::move(expectation.error()).within("--expect")};
    plan.expectations.push_back(std::move(*expectation));
  }
  if (!o.longest.empty()) {
    const auto longest = parse_duration(o.longest);
    if (!longest)
      return failure(Errc::invalid_argument,
                     fmt::format("--for: expected a time such as 10s, got "
                                 "\"{}\"",
                                 printable(o.longest)));
    plan.longest = *longest;
  }
  if (auto done = complete(plan); !done)
    return tl::unexpected{std::move(done.error()).within("--expect")};
  return plan;
}

int execute(const Startup& startup, DrillShell& shell, const TestOptions& o) {
  const BatchEnd end =
      run_batch(startup, fanout::most_job_slots,
                [&](node::Engine& engine, const actors::ActorRef& printer,
                    std::function<void()> on_end) {
                  return shell.start(engine, printer, std::move(on_end));
                });
  if (end.exit_code)
    return *end.exit_code;
  if (end.by_signal != 0)
    return 128 + end.by_signal;
  const TimePoint at = now();
  if (o.as_json)
    write_out(shell.drill().to_json(at).dump(2) + "\n");
  else
    write_out(shell.drill().report(at));
  const auto verdicts = shell.drill().verdicts(at);
  const bool passed =
      std::all_of(verdicts.begin(), verdicts.end(),
                  [](const DrillVerdict& verdict) { return verdict.passed; });
  return passed ? exit_ok : exit_failed;
}

}  // namespace

int run_test(const Startup& startup, std::vector<std::string> words) {
  TestOptions o;
  CLI::App app{
      "Starts the services of a file, kills some of them and checks that the "
      "supervisors\ndo what is expected. Exits with 0 if they did, with 1 if "
      "not, with 2 for a mistake\non the command line and with 3 for a bad "
      "file.\n\n"
      "  troupe test stack.yaml --kill db@3s --expect 'rest_for_one from "
      "db'\n\n"
      "Expectations: restarted NAME, not restarted NAME, one_for_one NAME,\n"
      "rest_for_one from NAME, one_for_all in GROUP, gives up [GROUP],\n"
      "ready within TIME, stays up, as predicted (by lint --what-if-dies).",
      "troupe test"};
  app.add_option("FILE", o.file, "The file with \"services\"");
  repeated(app.add_option(
                  "--kill", o.kills,
                  "Kill this service, so long after all are ready; repeatable")
               ->type_name("NAME@TIME"));
  repeated(app.add_option(
                  "--expect", o.expectations,
                  "What has to come of it; repeatable. Default: as predicted,\n"
                  "or stays up unless there is exactly one --kill")
               ->type_name("WHAT"));
  app.add_option("--for", o.longest,
                 "How long to wait after the last kill at most; default 10s")
      ->type_name("TIME");
  app.add_flag("--json", o.as_json, "Print what came of it as JSON");
  if (const auto code = parse(app, std::move(words)))
    return *code;
  if (o.file.empty())
    return usage_error("test", "no file given");
  const auto workflow = read_workflow(o.file);
  if (!workflow)
    return exit_bad_file;
  service::FreePorts ports;
  auto planned = plan_stack(*workflow, ports);
  ports.release();
  if (!planned) {
    complain(fmt::format("{}: {}", printable(o.file), planned.error().what));
    return exit_bad_file;
  }
  const auto root =
      std::make_shared<const service::GroupNode>(std::move(*planned));
  auto plan = plan_of(o, *root);
  if (!plan)
    return usage_error("test", plan.error().what);
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
  // Beside those of troupe up, which may run at the same time.
  const std::string logs = places->log_folder + "/test";
  if (auto made = make_log_folder(logs); !made) {
    complain(made.error().what);
    return exit_troupe_failed;
  }
  DrillShell shell{
      root,
      std::move(*plan),
      {.log_folder = logs,
       .notify_folder =
           std::filesystem::path{places->socket}.parent_path().string()}};
  return execute(startup, shell, o);
}

}  // namespace troupe::cli
