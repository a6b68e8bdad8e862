// What the embedded store costs, on the disk of the folder that is given.
//
//   store_bench FOLDER [JOBS]
//
// JOBS (100000) single jobs are submitted, claimed and completed, in batches of
// different sizes; then the same few calls are timed on an empty store and
// behind all those jobs. Prints a line per number.
#include <troupe/store/sqlite_store.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

namespace {

using namespace troupe;         // NOLINT(google-build-using-namespace)
using namespace troupe::store;  // NOLINT(google-build-using-namespace)

using Clock = std::chrono::steady_clock;

template <class T>
T must(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "%s\n", result.error().what.c_str());
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>)
    return std::move(*result);
}

template <class F>
double seconds(F work) {
  const auto begin = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

class Bench {
 public:
  explicit Bench(const std::string& folder)
      : store_{must(SqliteStore::open(folder + "/bench.db"))} {
    must(store_->open_session(session_));
  }

  JobId submit() {
    const JobId job =
        must(store_->open_job({.request_id = "r" + std::to_string(++last_),
                               .spec = R"({"argv":["true"]})"},
                              now_))
            .job;
    must(store_->append_range(job, 0, 1));
    must(store_->seal(job, now_));
    return job;
  }

  void submit_many(std::uint64_t count, std::uint64_t batch) {
    const double took = seconds([&] {
      for (std::uint64_t done = 0; done < count; done += batch)
        must(store_->batch([&] {
          for (std::uint64_t i = 0; i < batch; ++i)
            submit();
        }));
    });
    std::printf("submit, %4llu in a batch      %9.0f jobs/s\n",
                static_cast<unsigned long long>(batch),
                static_cast<double>(count) / took);
  }

  void work_off(std::uint64_t count, std::uint32_t batch) {
    std::uint64_t done = 0;
    const double took = seconds([&] {
      while (done < count) {
        const auto claims = must(store_->claim(session_, {"default"}, batch));
        std::vector<Completion> completions;
        for (const Claim& claim : claims)
          completions.push_back({.attempt = claim.attempt});
        must(store_->complete(session_, completions, now_));
        done += claims.size();
      }
    });
    std::printf("claim and complete, %4u each %9.0f jobs/s\n", batch,
                static_cast<double>(done) / took);
  }

  /// The slowest but one of 100.
  template <class F>
  void time(const char* what, F work) {
    std::vector<double> times;
    for (int i = 0; i < 100; ++i)
      times.push_back(seconds(work) * 1000);
    std::sort(times.begin(), times.end());
    std::printf("  %-24s p50 %7.2f ms  p99 %7.2f ms\n", what, times[50],
                times[98]);
  }

  void time_calls(const char* where) {
    std::printf("%s\n", where);
    time("500 more jobs", [&] {
      must(store_->batch([&] {
        for (int i = 0; i < 500; ++i)
          submit();
      }));
    });
    time("list 50", [&] { must(store_->jobs({.set = JobSet::unended}, 50)); });
    time("status", [&] { must(store_->job(JobId{1})); });
    time("submit and cancel", [&] { must(store_->cancel(submit(), now_)); });
    time("claim 10, release", [&] {
      std::vector<AttemptRef> attempts;
      for (const Claim& claim : must(store_->claim(session_, {"default"}, 10)))
        attempts.push_back(claim.attempt);
      must(store_->release(session_, attempts));
    });
  }

  void array(std::uint64_t tasks) {
    JobId job;
    const double submitted = seconds([&] {
      job = must(store_->open_job({.request_id = "array"}, now_)).job;
      must(store_->append_range(job, 0, tasks));
      must(store_->seal(job, now_));
    });
    const double cancelled = seconds([&] { must(store_->cancel(job, now_)); });
    std::printf("array of %llu: submit %.2f ms, cancel %.2f ms\n",
                static_cast<unsigned long long>(tasks), submitted * 1000,
                cancelled * 1000);
  }

 private:
  std::unique_ptr<SqliteStore> store_;
  SessionId session_{"bench"};
  WallTime now_{std::chrono::hours{500'000}};
  std::uint64_t last_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: store_bench FOLDER [JOBS]\n", stderr);
    return 2;
  }
  const std::uint64_t jobs =
      argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 100'000;
  Bench bench{argv[1]};
  bench.time_calls("empty:");
  bench.array(1'000'000);
  bench.submit_many(1'000, 1);
  bench.submit_many(10'000, 10);
  bench.submit_many(jobs, 1'000);
  bench.time_calls("with all those jobs:");
  bench.work_off(jobs / 2, 100);
}
