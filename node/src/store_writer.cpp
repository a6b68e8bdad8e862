#include "store_writer.hpp"

#include <boost/asio/post.hpp>

#include <fmt/format.h>
#include <utility>

namespace troupe::node {

StoreWriter::StoreWriter(std::unique_ptr<store::SqliteStore> store)
    : store_{std::move(store)}, thread_{[this] { io_.run(); }} {}

StoreWriter::~StoreWriter() {
  keep_running_.reset();
  thread_.join();
}

void StoreWriter::post(Work work, Done done) {
  if (waiting_.fetch_add(1) >= most_waiting) {
    --waiting_;
    done(failure(Errc::overloaded,
                 fmt::format("{} calls wait for the disk", most_waiting)));
    return;
  }
  boost::asio::post(
      io_, [this, call = Call{std::move(work), std::move(done)}]() mutable {
        add(std::move(call));
      });
}

void StoreWriter::add(Call call) {
  batch_.push_back(std::move(call));
  if (batch_.size() >= most_in_batch)
    commit();
  // Behind what has been posted by now, which so gets into the same batch.
  else if (!std::exchange(is_commit_posted_, true))
    boost::asio::post(io_, [this] {
      is_commit_posted_ = false;
      commit();
    });
}

void StoreWriter::commit() {
  const std::vector<Call> calls = std::exchange(batch_, {});
  if (calls.empty())
    return;
  const auto all = store_->batch([&] {
    for (const Call& call : calls)
      call.work(*store_);
  });
  for (const Call& call : calls) {
    --waiting_;
    // One that cannot be written must not take those along that can.
    if (all || calls.size() == 1)
      call.done(all);
    else
      call.done(store_->batch([&] { call.work(*store_); }));
  }
}

void StoreWriter::tidy(std::uint32_t rows,
                       std::function<void(Result<bool>)> done) {
  auto more = std::make_shared<Result<bool>>(false);
  post([this, rows, more](store::Store&) { *more = store_->tidy(rows); },
       [more, done = std::move(done)](Result<void> committed) {
         done(committed ? *more : tl::unexpected(committed.error()));
       });
}

}  // namespace troupe::node
