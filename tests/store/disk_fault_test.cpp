// What was acknowledged is there, and what was refused is not, whatever the
// disk does.
#include "faulty_disk.hpp"
#include "temp_dir.hpp"

#include <troupe/store/model_store.hpp>
#include <troupe/store/sqlite_store.hpp>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace troupe::store {
namespace {

template <class T>
T below(T n) {
  return *rc::gen::resize(rc::kNominalSize, rc::gen::inRange<T>(0, n));
}

/// A store on a disk with faults, and a model of what it has acknowledged.
class Witness {
 public:
  explicit Witness(const std::string& path) : path_{path} { open(); }

  void open() {
    auto opened = SqliteStore::open(path_);
    RC_ASSERT(opened.has_value());
    store_ = std::move(*opened);
  }
  void close() { store_.reset(); }

  /// One call on the store; on the model as well if it was acknowledged.
  void step() {
    now_ += 1s;
    switch (below(5)) {
      case 0:
      case 1:
        submit();
        break;
      case 2:
        claim();
        break;
      case 3:
        complete();
        break;
      default:
        change();
        break;
    }
  }

  void compare() {
    const auto model = model_.jobs({}, 1000);
    const auto there = store_->jobs({}, 1000);
    RC_ASSERT(there.has_value());
    RC_ASSERT(*model == *there);
    for (const JobInfo& job : *model)
      RC_ASSERT(*model_.results(job.id, 0, 100) ==
                *store_->results(job.id, 0, 100));
    RC_ASSERT(*model_.groups() == *store_->groups());
    RC_ASSERT(*model_.claimed_by(session_) == *store_->claimed_by(session_));
  }

 private:
  /// `call` makes one transaction of calls; false if it was refused.
  template <class F>
  bool both(F call) {
    bool is_done = false;
    const auto committed = store_->batch([&] { is_done = call(*store_); });
    if (!committed || !is_done)
      return false;
    RC_ASSERT(call(model_));
    return true;
  }

  void submit() {
    const NewJob job{.request_id = fmt::format("r{}", ++requests_),
                     .spec = std::string(below<std::size_t>(9000), 'x')};
    const auto count = below<std::uint64_t>(4);
    // The numbers of jobs that were refused are not used again by the model.
    both([&](Store& store) {
      const auto opened = store.open_job(job, now_);
      return opened && store.append_range(opened->job, 0, count) &&
             store.seal(opened->job, now_);
    });
  }
  void claim() {
    both([&](Store& store) {
      return store.open_session(session_) &&
             store.claim(session_, {"default"}, 3).has_value();
    });
  }
  void complete() {
    const auto claims = model_.claimed_by(session_);
    std::vector<Completion> completions;
    for (const Claim& claim : *claims) {
      if (below(2) == 0)
        completions.push_back({.attempt = claim.attempt,
                               .outcome = Outcome::failed,
                               .detail = std::string(100, 'd')});
    }
    both([&](Store& store) {
      return store.complete(session_, completions, now_).has_value();
    });
  }
  void change() {
    const Group group{.name = fmt::format("g{}", below(3)), .slots = 2};
    both([&](Store& store) { return store.set_group(group).has_value(); });
  }

  std::string path_;
  std::unique_ptr<SqliteStore> store_;
  ModelStore model_;
  SessionId session_{"s"};
  WallTime now_{std::chrono::hours{1'000'000}};
  int requests_ = 0;
};

TEST(DiskFault, WhatIsRefusedForWantOfSpaceHasNotHappened) {
  EXPECT_TRUE(rc::check([] {
    const testing::TempDir folder;
    testing::FaultyDisk disk;
    Witness witness{folder.path("store.db")};
    for (int round = 0; round < 2; ++round) {
      for (int i = below(10); i > 0; --i)
        witness.step();
      disk.fill_up_after(below<std::uint64_t>(30));
      for (int i = 0; i < 10; ++i)
        witness.step();
      disk.mend();
      witness.compare();
      witness.step();
      witness.close();
      witness.open();
      witness.compare();
    }
    RC_CLASSIFY(disk.was_full());
    witness.close();
  }));
}

TEST(DiskFault, WhatWasAcknowledgedSurvivesAPowerCut) {
  EXPECT_TRUE(rc::check([] {
    const testing::TempDir folder;
    testing::FaultyDisk disk;
    Witness witness{folder.path("store.db")};
    for (int round = 0; round < 2; ++round) {
      for (int i = below(20); i > 0; --i)
        witness.step();
      // What closing writes comes too late for the disk.
      disk.fill_up_after(0);
      witness.close();
      disk.mend();
      disk.cut_power();
      witness.open();
      witness.compare();
    }
    witness.close();
  }));
}

}  // namespace
}  // namespace troupe::store
