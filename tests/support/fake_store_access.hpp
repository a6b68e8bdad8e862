#pragma once

#include <troupe/base/error.hpp>
#include <troupe/queue/store_access.hpp>
#include <troupe/store/model_store.hpp>

#include <deque>
#include <utility>

namespace troupe::queue {

/// Makes each call at once, or when it is told to, or says that the disk is
/// full, or makes it and loses the answer.
class FakeStoreAccess : public StoreAccess {
 public:
  void post(Work work, Done done) override {
    calls_.push_back({std::move(work), std::move(done)});
    if (!is_slow)
      make_call();
  }

  /// The call that waits for the longest time.
  void make_call() {
    const auto [work, done] = std::move(calls_.front());
    calls_.pop_front();
    if (is_broken) {
      done(failure(Errc::overloaded, "no space left on the disk"));
      return;
    }
    work(store);
    if (loses_answers)
      done(failure(Errc::unavailable, "the connection was lost"));
    else
      done({});
  }

  /// All that wait now, in order.
  void make_calls() {
    for (std::size_t i = calls_.size(); i > 0; --i)
      make_call();
  }

  store::ModelStore store;
  bool is_broken = false;
  bool is_slow = false;
  bool loses_answers = false;

 private:
  std::deque<std::pair<Work, Done>> calls_;
};

}  // namespace troupe::queue
