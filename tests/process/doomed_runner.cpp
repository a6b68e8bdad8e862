/// doomed_runner WARDEN FOLDER SESSION SCRIPT..
///
/// A process with a runner in it, for a test to kill or to stop. Runs each
/// SCRIPT as command 1, 2, .. with its output recorded in FOLDER/1, FOLDER/2,
/// .., says "up" when all have started or failed to, "cut off" when another
/// runner has taken over, and stays.
#include <troupe/process/warden_runner.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cstdio>
#include <string>
#include <vector>

namespace troupe::process {
namespace {

CommandSpec spec_of(const std::string& script, const std::string& record) {
  CommandSpec spec;
  spec.argv = {"sh", "-c", script};
  if (script.starts_with("no-such-program"))
    spec.argv = {script};
  spec.standard_output = Output::record;
  spec.standard_error = Output::merge;
  spec.record = {.path = record};
  return spec;
}

void say(const char* what) {
  std::puts(what);
  std::fflush(stdout);
}

int run(const std::vector<std::string>& arguments) {
  const std::string& folder = arguments[2];
  boost::asio::io_context io{1};
  boost::asio::steady_timer end_of_time{io, TimePoint::max()};
  end_of_time.async_wait([](const auto&) {});
  WardenOptions options;
  options.program = arguments[1];
  options.lanes = 2;
  sigemptyset(&options.signal_mask);
  options.keep = {.folder = folder,
                  .session = arguments[3],
                  .patience = 1min,
                  .on_cut_off = [] { say("cut off"); }};
  auto runner = WardenRunner::create(io, options);
  if (!runner) {
    say(runner.error().what.c_str());
    return 1;
  }
  std::size_t awaited = arguments.size() - 4;
  for (std::size_t i = 4; i < arguments.size(); ++i) {
    const std::uint64_t number = i - 3;
    const std::string record = folder + "/" + std::to_string(number);
    (*runner)->start(
        {.command = {number}},
        std::make_shared<const CommandSpec>(spec_of(arguments[i], record)),
        nullptr, [&, seen = false](const AttemptEvent&) mutable {
          if (!std::exchange(seen, true) && --awaited == 0)
            say("up");
        });
  }
  io.run();
  return 0;
}

}  // namespace
}  // namespace troupe::process

int main(int argc, char** argv) {
  return troupe::process::run({argv, argv + argc});
}
