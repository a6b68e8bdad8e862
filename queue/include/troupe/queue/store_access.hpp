#pragma once

#include <troupe/base/error.hpp>
#include <troupe/store/store.hpp>

#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace troupe::queue {

/// Makes calls on a store for those who must not block. What was posted runs
/// one after the other, in order, and is answered in that order; several
/// together are one transaction.
class StoreAccess {
 public:
  using Work = std::function<void(store::Store&)>;
  using Done = std::function<void(Result<void>)>;

  virtual ~StoreAccess() = default;

  /// Runs `work`, and `done` once what it did is on the disk, or has not
  /// happened at all and why. Both on a thread of the store's; `done` may only
  /// pass the news on. Never blocks; from any thread.
  ///
  /// Errors, by `done`: overloaded (too much is waiting to be run; `work` was
  /// not), cancelled (the store is closing), and those of a commit.
  virtual void post(Work work, Done done) = 0;
};

/// Runs `work(Store&)`, which returns a Result<T>, and then `then(Result<T>)`
/// with what it returned, or with the error of the commit.
template <class F, class Then>
void call(StoreAccess& access, F work, Then then) {
  using Answer = std::invoke_result_t<F, store::Store&>;
  auto answer = std::make_shared<Answer>(
      failure(Errc::internal, "the call was not made"));
  access.post([answer, work = std::move(work)](
                  store::Store& store) mutable { *answer = work(store); },
              [answer, then = std::move(then)](Result<void> committed) mutable {
                if (committed)
                  then(std::move(*answer));
                else
                  then(Answer{tl::unexpected(std::move(committed.error()))});
              });
}

}  // namespace troupe::queue
