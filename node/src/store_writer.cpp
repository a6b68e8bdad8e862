#include "store_writer.hpp"

#include <troupe/base/log.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>

#include <boost/asio/post.hpp>

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <iterator>
#include <random>
#include <utility>

namespace troupe::node {
namespace {

TimePoint now() { return std::chrono::steady_clock::now(); }

}  // namespace

StoreWriter::StoreWriter(std::unique_ptr<store::SqlStore> store,
                         Duration patience)
    : store_{std::move(store)},
      facts_{store_->facts()},
      outage_{patience, std::random_device{}()},
      thread_{[this] { io_.run(); }} {}

StoreWriter::~StoreWriter() {
  boost::asio::post(io_, [this] {
    is_closing_ = true;
    keep_running_.reset();
    turn();
  });
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
      io_, [this, call = Call{std::move(work), std::move(done),
                              now()}]() mutable { add(std::move(call)); });
}

void StoreWriter::add(Call call) {
  calls_.push_back(std::move(call));
  // Behind what has been posted by now, which so gets into the same batch.
  turn_later();
}

void StoreWriter::turn_later() {
  if (!std::exchange(is_turn_posted_, true))
    boost::asio::post(io_, [this] {
      is_turn_posted_ = false;
      turn();
    });
}

void StoreWriter::turn() {
  timer_.cancel();
  if (is_closing_ && outage_.is_gone())
    refuse_all({Errc::cancelled, "the node ends, and its store is gone"});
  while (!calls_.empty() && !outage_.time_for(calls_.front().made, now())) {
    Call late = std::move(calls_.front());
    calls_.pop_front();
    answer(late, failure(Errc::unavailable,
                         fmt::format("the store is gone: {}", last_silence_)));
  }
  if (calls_.empty())
    return;
  const TimePoint made = calls_.front().made;
  if (outage_.may_ask(now())) {
    commit(outage_.time_for(made, now()).value_or(Duration{0}));
    if (!calls_.empty())
      turn_later();
    return;
  }
  timer_.expires_at(outage_.next_change(made));
  timer_.async_wait([this](const auto& error) {
    if (!error)
      turn();
  });
}

void StoreWriter::commit(Duration patience) {
  const bool is_alone = outage_.is_gone() || alone_ > 0;
  auto end = calls_.begin() +
             static_cast<std::ptrdiff_t>(
                 is_alone ? 1 : std::min(calls_.size(), most_in_batch));
  Calls calls{std::make_move_iterator(calls_.begin()),
              std::make_move_iterator(end)};
  calls_.erase(calls_.begin(), end);
  if (outage_.may_be_gone())
    store_->set_patience(patience, outage_.patience());
  std::size_t made = 0;
  const auto all = store_->batch([&] {
    const TimePoint late = now() + longest_batch;
    do
      calls[made].work(*store_);
    while (++made < calls.size() && now() < late);
  });
  if (made > 0 && made < calls.size()) {
    auto rest = calls.begin() + static_cast<std::ptrdiff_t>(made);
    put_back(
        {std::make_move_iterator(rest), std::make_move_iterator(calls.end())});
    calls.erase(rest, calls.end());
  }
  const bool is_silence = !all && outage_.may_be_gone() &&
                          (made == 0 || all.error().code == Errc::unavailable ||
                           all.error().code == Errc::timed_out);
  if (is_silence)
    on_silence(all.error());
  else
    on_answer();
  if (is_silence && !store_->may_have_happened()) {
    put_back(std::move(calls));
    return;
  }
  // One that cannot be written must not take those along that can.
  if (!all && !is_silence && calls.size() > 1) {
    alone_ = calls.size();
    put_back(std::move(calls));
    return;
  }
  alone_ -= std::min(alone_, calls.size());
  for (Call& call : calls)
    answer(call, all);
}

void StoreWriter::put_back(Calls calls) {
  calls_.insert(calls_.begin(), std::make_move_iterator(calls.begin()),
                std::make_move_iterator(calls.end()));
}

void StoreWriter::answer(Call& call, const Result<void>& result) {
  --waiting_;
  call.done(result);
}

void StoreWriter::refuse_all(const Error& error) {
  for (Call& call : std::exchange(calls_, {}))
    answer(call, tl::unexpected(error));
}

void StoreWriter::on_silence(const Error& error) {
  last_silence_ = error.what;
  is_gone_ = true;
  if (outage_.on_silence(now()))
    log(LogLevel::error,
        fmt::format("store_gone reason={}", shell_quote(error.what)));
}

void StoreWriter::on_answer() {
  is_gone_ = false;
  if (const auto gone = outage_.on_answer(now()))
    log(LogLevel::info,
        fmt::format("store_back after={}",
                    format_duration(
                        std::chrono::ceil<std::chrono::milliseconds>(*gone))));
}

void StoreWriter::post_to_cluster(
    std::function<void(store::ClusterStore&)> work, Done done) {
  post([this, work = std::move(work)](store::Store&) { work(*store_); },
       std::move(done));
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
