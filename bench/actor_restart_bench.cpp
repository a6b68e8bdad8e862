// How long it takes from the crash of a supervised actor to its successor
// running.
//
//   actor_restart_bench [ACTORS] [CRASHES]
//
// ACTORS (1000) children of one supervisor; CRASHES (10000) of them are told to
// crash, one after the other, at random. Prints percentiles.
#include <troupe/actors/caf.hpp>
#include <troupe/supervisor/supervisor.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace troupe;  // NOLINT(google-build-using-namespace): a small
                         // program.

struct Crash {};
struct Started {
  std::size_t number = 0;
  actors::ActorRef actor;
};

}  // namespace

TROUPE_LOCAL_MESSAGE(Crash)
TROUPE_LOCAL_MESSAGE(Started)

namespace {

class Child {
 public:
  Child(actors::Actor* self, std::size_t number, actors::ActorRef observer)
      : self_{self}, number_{number}, observer_{std::move(observer)} {}

  actors::Behavior make_behavior() {
    actors::send(self_, observer_, Started{number_, actors::ref_of(self_)});
    return {[](Crash) { throw std::runtime_error{"told to"}; }};
  }

 private:
  actors::Actor* self_;
  std::size_t number_;
  actors::ActorRef observer_;
};

supervisor::SupervisorSpec children(std::size_t count,
                                    const actors::ActorRef& observer) {
  supervisor::SupervisorSpec spec{.name = "bench", .intensity = 1'000'000'000};
  for (std::size_t i = 0; i < count; ++i)
    spec.children.push_back(
        {.id = std::to_string(i),
         .start = [i, observer](supervisor::StartContext& context)
             -> supervisor::StartResult {
           return actors::spawn<Child>(context.supervisor(), i, observer);
         }});
  return spec;
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t count =
      argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1000;
  const std::size_t crashes =
      argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 10'000;
  auto config = actors::make_system_config(2);
  actors::ActorSystem system{config};
  std::vector<double> milliseconds;
  {
    actors::ThreadActor self{system};
    const actors::ActorRef observer = caf::actor_cast<actors::ActorRef>(self);
    auto root = supervisor::spawn_supervisor(system, children(count, observer));
    std::vector<actors::ActorRef> alive(count);
    const auto await_start = [&] {
      self->receive([&](const Started& m) { alive[m.number] = m.actor; });
    };
    for (std::size_t i = 0; i < count; ++i)
      await_start();
    std::mt19937 random{1};
    for (std::size_t i = 0; i < crashes; ++i) {
      const auto before = std::chrono::steady_clock::now();
      actors::send(alive[random() % count], Crash{});
      await_start();
      milliseconds.push_back(std::chrono::duration<double, std::milli>(
                                 std::chrono::steady_clock::now() - before)
                                 .count());
    }
    actors::stop(*root);
  }
  std::sort(milliseconds.begin(), milliseconds.end());
  const auto at = [&](double share) {
    const auto index = static_cast<std::size_t>(
        share * static_cast<double>(milliseconds.size() - 1));
    return milliseconds.at(index);
  };
  std::printf(
      "%zu actors, %zu crashes: p50 %.3f ms, p99 %.3f ms, max %.3f ms\n", count,
      crashes, at(0.5), at(0.99), at(1.0));
}
