// What waiting costs, and how late it ends: TIMERS are armed at once, to end at
// random within SECONDS, as back-offs and time-outs do.
//
//   timer_bench [TIMERS [SECONDS]]
//
// TIMERS (100000), SECONDS (10). Twice: of an actor on a loop, as in `troupe
// map` and `troupe run`, and of a loop alone, as in the warden. Prints a line
// for each, with the processor time of all.
#include <troupe/actors/actor_loop.hpp>
#include <troupe/actors/caf.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <fmt/format.h>
#include <functional>
#include <random>
#include <string_view>
#include <sys/resource.h>
#include <utility>
#include <vector>

namespace {

using namespace troupe;  // NOLINT(google-build-using-namespace): a small
                         // program.

struct Due {
  TimePoint at;
};

}  // namespace

TROUPE_LOCAL_MESSAGE(Due)

namespace {

double processor_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) +
           static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// Notes how late each timer was.
class Lateness {
 public:
  explicit Lateness(std::size_t expected) : expected_{expected} {
    milliseconds_.reserve(expected);
  }

  /// Whether it was the last.
  bool note(TimePoint due) {
    const std::chrono::duration<double, std::milli> late =
        std::chrono::steady_clock::now() - due;
    milliseconds_.push_back(late.count());
    return milliseconds_.size() == expected_;
  }

  void print(std::string_view what, double cpu) {
    std::sort(milliseconds_.begin(), milliseconds_.end());
    const auto at = [&](double share) {
      return milliseconds_.at(static_cast<std::size_t>(
          share * static_cast<double>(milliseconds_.size() - 1)));
    };
    std::fputs(
        fmt::format("{:<18} {} timers: CPU {:.3f} s, late by p50 {:.3f} "
                    "ms, p99 {:.3f} ms, max {:.3f} ms\n",
                    what, milliseconds_.size(), cpu, at(0.5), at(0.99), at(1))
            .c_str(),
        stdout);
  }

 private:
  std::size_t expected_;
  std::vector<double> milliseconds_;
};

class Waiter {
 public:
  Waiter(actors::Actor* self, const std::vector<Duration>& delays,
         Lateness& lateness, std::function<void()> on_end)
      : self_{self},
        delays_{delays},
        lateness_{lateness},
        on_end_{std::move(on_end)} {}

  actors::Behavior make_behavior() {
    for (const Duration delay : delays_)
      actors::send_after(self_, delay,
                         Due{std::chrono::steady_clock::now() + delay});
    return {[this](Due m) {
      if (!lateness_.note(m.at))
        return;
      on_end_();
      actors::quit(self_);
    }};
  }

 private:
  actors::Actor* self_;
  const std::vector<Duration>& delays_;
  Lateness& lateness_;
  std::function<void()> on_end_;
};

void actors_on_a_loop(const std::vector<Duration>& delays) {
  Lateness lateness{delays.size()};
  boost::asio::io_context io{1};
  boost::asio::steady_timer timer{io};
  const double before = processor_seconds();
  {
    actors::ActorLoop* running = nullptr;
    actors::ActorLoop loop{
        {.wake = [&] { boost::asio::post(io, [&] { running->run(); }); },
         .wake_at =
             [&](TimePoint time) {
               timer.expires_at(time);
               timer.async_wait([&](const auto& error) {
                 if (!error)
                   running->run();
               });
             }}};
    running = &loop;
    actors::LoopSystemConfig config{loop};
    actors::ActorSystem system{config};
    actors::spawn<Waiter>(system, delays, lateness, [&] { io.stop(); });
    const auto keep_running = boost::asio::make_work_guard(io);
    io.run();
    (void)loop.await_all_actors(system, 1s);
  }
  lateness.print("actors on a loop", processor_seconds() - before);
}

void loop_alone(const std::vector<Duration>& delays) {
  Lateness lateness{delays.size()};
  const double before = processor_seconds();
  boost::asio::io_context io{1};
  std::vector<boost::asio::steady_timer> timers;
  timers.reserve(delays.size());
  for (const Duration delay : delays) {
    const TimePoint due = std::chrono::steady_clock::now() + delay;
    timers.emplace_back(io, end_of_tick(due))
        .async_wait(
            [&lateness, due](const auto&) { (void)lateness.note(due); });
  }
  io.run();
  lateness.print("a loop alone", processor_seconds() - before);
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t count =
      argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 100'000;
  const double seconds = argc > 2 ? std::strtod(argv[2], nullptr) : 10;
  std::mt19937_64 random{1};
  // Behind the time that it takes to arm them all.
  std::uniform_real_distribution<double> share{0.1, 1};
  std::vector<Duration> delays;
  for (std::size_t i = 0; i < count; ++i)
    delays.push_back(std::chrono::duration_cast<Duration>(
        std::chrono::duration<double>{seconds * share(random)}));
  actors_on_a_loop(delays);
  loop_alone(delays);
}
