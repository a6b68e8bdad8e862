// What the warden and its protocol cost, without actors: runs COMMAND N times,
// J at a time, both streams captured and dropped.
//
//   runner_bench N J COMMAND [ARG...]
//
// Prints the commands per second and, for each, the processor time of this
// process and of the warden with its commands. To be compared with raw_spawn.
#include <troupe/process/warden_runner.hpp>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fmt/format.h>
#include <memory>
#include <string>
#include <sys/resource.h>
#include <utility>

namespace {

using namespace troupe;  // NOLINT(google-build-using-namespace): a small
                         // program.

class Load {
 public:
  Load(process::CommandRunner& runner,
       std::shared_ptr<const process::CommandSpec> spec, std::uint64_t total)
      : runner_{runner}, spec_{std::move(spec)}, total_{total} {}

  void start_next() {
    if (started_ == total_)
      return;
    const process::AttemptId id{.command = CommandId{++started_}};
    runner_.start(id, spec_, nullptr,
                  [this, id](const process::AttemptEvent& event) {
                    if (std::holds_alternative<process::AttemptEnded>(event))
                      on_end(id);
                  });
  }

  [[nodiscard]] bool over() const { return ended_ == total_; }

 private:
  void on_end(process::AttemptId id) {
    runner_.forget(id);
    ++ended_;
    start_next();
  }

  process::CommandRunner& runner_;
  std::shared_ptr<const process::CommandSpec> spec_;
  std::uint64_t total_;
  std::uint64_t started_ = 0;
  std::uint64_t ended_ = 0;
};

double processor_seconds(int who) {
  rusage usage{};
  ::getrusage(static_cast<__rusage_who>(who), &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) +
           static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fputs("usage: runner_bench N J COMMAND [ARG...]\n", stderr);
    return 2;
  }
  const std::uint64_t total = std::strtoull(argv[1], nullptr, 10);
  const std::uint64_t places = std::strtoull(argv[2], nullptr, 10);
  auto spec = std::make_shared<process::CommandSpec>();
  spec->argv.assign(argv + 3, argv + argc);

  boost::asio::io_context io{1};
  process::WardenOptions options;
  ::sigemptyset(&options.signal_mask);
  auto runner = process::WardenRunner::create(io, options);
  if (!runner) {
    std::fputs(fmt::format("runner_bench: {}\n", runner.error().what).c_str(),
               stderr);
    return 125;
  }
  const auto begin = std::chrono::steady_clock::now();
  Load load{**runner, spec, total};
  for (std::uint64_t i = 0; i < places; ++i)
    load.start_next();
  while (!load.over())
    io.run_one();
  const std::chrono::duration<double> took =
      std::chrono::steady_clock::now() - begin;
  (*runner)->close(std::chrono::seconds{5});
  const auto each = [&](double seconds) {
    return seconds * 1e6 / static_cast<double>(total);
  };
  std::fputs(
      fmt::format("{:.0f}/s, CPU us each: runner {:.1f}, warden and commands "
                  "{:.1f}\n",
                  static_cast<double>(total) / took.count(),
                  each(processor_seconds(RUSAGE_SELF)),
                  each(processor_seconds(RUSAGE_CHILDREN)))
          .c_str(),
      stdout);
}
