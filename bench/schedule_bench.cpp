// What a node costs without the commands: its dispatcher, its store and its
// threads, with a runner whose commands end at once.
//
//   schedule_bench FOLDER [TASKS [SLOTS]]
//
// TASKS (100000) tasks of one array job, SLOTS (1024) at once; the store is a
// file in FOLDER: on a disk every commit is synced to it, in /dev/shm it is a
// store in memory. Prints a line with the rate, the processor time for each
// task, and the memory that the process had at most.
#include "actor_host.hpp"
#include "store_writer.hpp"

#include <troupe/actors/caf.hpp>
#include <troupe/process/boot_clock.hpp>
#include <troupe/queue/dispatcher_actor.hpp>
#include <troupe/queue/job_spec.hpp>
#include <troupe/store/sqlite_store.hpp>
#include <troupe/supervisor/supervisor.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <memory>
#include <string>
#include <sys/resource.h>
#include <utility>

namespace {

using namespace troupe;  // NOLINT(google-build-using-namespace): a small
                         // program.

template <class T>
T must(Result<T> result) {
  if (!result) {
    std::fputs(fmt::format("schedule_bench: {}\n", result.error().what).c_str(),
               stderr);
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>)
    return std::move(*result);
}

/// Its commands succeed as soon as they have started.
class NullRunner : public process::CommandRunner {
 public:
  explicit NullRunner(boost::asio::io_context& io) : io_{io} {}

  void start(process::AttemptId /*id*/,
             std::shared_ptr<const process::CommandSpec> /*spec*/,
             std::shared_ptr<process::OutputSink> sink,
             process::AttemptHandler handler) override {
    boost::asio::post(io_, [sink = std::move(sink),
                            handler = std::move(handler)]() mutable {
      handler(process::AttemptStarted{.pid = 1});
      handler(process::AttemptEnded{process::ExitReport{}, std::move(sink)});
    });
  }
  void start_after(process::AttemptId /*predecessor*/, process::AttemptId id,
                   std::shared_ptr<const process::CommandSpec> spec,
                   std::shared_ptr<process::OutputSink> sink,
                   process::AttemptHandler handler) override {
    start(id, std::move(spec), std::move(sink), std::move(handler));
  }
  void withdraw(process::AttemptId) override {}
  void stop(process::AttemptId, process::StopRequest) override {}
  void signal(process::AttemptId, int) override {}
  void pause(process::AttemptId) override {}
  void resume(process::AttemptId) override {}
  void forget(process::AttemptId) override {}

 private:
  boost::asio::io_context& io_;
};

double processor_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) +
           static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double most_mib() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

/// As `troupe submit --array 1-TASKS true` does.
void submit(store::Store& store, std::uint64_t tasks) {
  const auto now = std::chrono::system_clock::now();
  auto spec = must(queue::command_from_json(queue::Json{{"words", {"true"}}}));
  spec.array = queue::ArrayRange{.from = 1};
  const auto job =
      must(store.open_job({.request_id = "bench", .spec = queue::encode(spec)},
                          now))
          .job;
  must(store.append_range(job, 0, tasks));
  must(store.seal(job, now));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: schedule_bench FOLDER [TASKS [SLOTS]]\n", stderr);
    return 2;
  }
  const std::string folder = std::string{argv[1]} + "/schedule_bench";
  const std::uint64_t tasks =
      argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 100'000;
  const auto slots = static_cast<std::uint32_t>(
      argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 1024);
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder + "/output");
  auto store = must(store::SqliteStore::open(folder + "/store.db"));
  const store::SessionId session{"bench"};
  must(store->open_session(session));
  must(store->set_group({.name = "default", .slots = slots}));
  submit(*store, tasks);
  const double before_mib = most_mib();

  node::ActorHost host;
  NullRunner runner{host.io()};
  node::StoreWriter writer{std::move(store)};
  std::atomic<std::uint64_t> left{tasks};
  const auto deps =
      std::make_shared<const queue::DispatcherDeps>(queue::DispatcherDeps{
          .store = writer,
          .runner = runner,
          .session = session,
          .dispatch = {.most_running = slots},
          .governor = {.max_running = slots},
          .output_folder = folder + "/output",
          .adopted = {},
          .on_change = [](store::JobId) {},
          .on_recorded =
              [&](const store::AttemptRef&) {
                if (left.fetch_sub(1) == 1)
                  host.io().stop();
              },
          .find_texts = nullptr,
          .sample = [] { return flow_control::MachineSample{}; },
          .has_disk_space = [] { return true; },
          .wall_now = [] { return std::chrono::system_clock::now(); },
          .boot_now = process::boot_now});
  const double cpu_before = processor_seconds();
  const auto begin = std::chrono::steady_clock::now();
  supervisor::SupervisorSpec tree{.name = "bench"};
  tree.children.push_back({.id = "dispatcher",
                           .start = [deps](supervisor::StartContext& context)
                               -> supervisor::StartResult {
                             return queue::spawn_dispatcher(
                                 context.supervisor(), deps);
                           }});
  auto root = supervisor::spawn_supervisor(host.system(), std::move(tree));
  host.io().run();
  const std::chrono::duration<double> took =
      std::chrono::steady_clock::now() - begin;
  const double cpu = processor_seconds() - cpu_before;
  actors::stop(*root);
  *root = nullptr;
  (void)host.loop().await_all_actors(host.system(), 5s);
  std::fputs(fmt::format(
                 "{} tasks, {} slots: {:.0f}/s, CPU {:.1f} us each, memory "
                 "{:.1f} MiB at most, of which {:.1f} MiB before the first\n",
                 tasks, slots, static_cast<double>(tasks) / took.count(),
                 cpu * 1e6 / static_cast<double>(tasks), most_mib(), before_mib)
                 .c_str(),
             stdout);
  std::filesystem::remove_all(folder);
}
