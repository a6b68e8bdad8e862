#include "member_store.hpp"

namespace troupe::node {
MemberStore::MemberStore(boost::asio::io_context& io,
                         std::unique_ptr<store::SqlStore> store)
    : io_{io}, store_{std::move(store)}, thread_{[this] { own_io_.run(); }} {}

MemberStore::~MemberStore() {
  keep_running_.reset();
  own_io_.stop();
  thread_.join();
}

void MemberStore::post(Duration patience, Call call) {
  if (waiting_.fetch_add(1) >= most_waiting) {
    --waiting_;
    call(failure(Errc::overloaded, "too many calls of the member wait"));
    return;
  }
  boost::asio::post(
      own_io_,
      [this, patience, until = std::chrono::steady_clock::now() + patience,
       call = std::move(call)] {
        --waiting_;
        const Duration left = until - std::chrono::steady_clock::now();
        if (left <= Duration{0}) {
          call(failure(Errc::timed_out, "the store has not answered in time"));
          return;
        }
        store_->set_patience(left, patience);
        call({});
      });
}

}  // namespace troupe::node
