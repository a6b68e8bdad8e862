#pragma once

#include <troupe/base/assert.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

namespace troupe::fanout {

/// `--keep-order`: gives outputs back in the order of the input, whatever the
/// order in which the jobs end. Bounded: the dispatcher starts no job that is
/// `window` or more ahead of the first unfinished one, so at most `window`
/// outputs are ever held. `Output` is whatever the shell keeps of a job's
/// output: its text, or a file. Owned by the dispatcher.
template <class Output>
class OutputOrder {
 public:
  /// `window` is at least the number of job slots, or slots stay idle.
  explicit OutputOrder(std::size_t window) : window_{window} {
    TROUPE_ASSERT(window_ >= 1);
  }

  /// Whether job `seq` may start now. If not, ask again after on_finished.
  [[nodiscard]] bool may_start(std::uint64_t seq) const {
    return seq - head_ < window_;
  }

  /// The first job that has not finished: its output may be shown while it
  /// runs, that of no other.
  [[nodiscard]] std::uint64_t head() const { return head_; }

  /// Outputs held back.
  [[nodiscard]] std::size_t held() const { return held_; }

  /// Job `seq` has ended. Returns what can be shown now, in order. Each `seq`
  /// that may start ends exactly once, here or in on_skipped.
  [[nodiscard]] std::vector<Output> on_finished(std::uint64_t seq,
                                                Output output) {
    return end(seq, std::move(output));
  }

  /// Job `seq` never ran, as under --resume. Returns what can be shown now.
  [[nodiscard]] std::vector<Output> on_skipped(std::uint64_t seq) {
    return end(seq, std::nullopt);
  }

 private:
  struct Place {
    bool ended = false;
    std::optional<Output> output{};
  };

  std::vector<Output> end(std::uint64_t seq, std::optional<Output> output) {
    TROUPE_ASSERT(seq >= head_ && may_start(seq));
    const auto index = static_cast<std::size_t>(seq - head_);
    if (places_.size() <= index)
      places_.resize(index + 1);
    TROUPE_ASSERT(!places_[index].ended);
    held_ += output ? 1U : 0U;
    places_[index] = {.ended = true, .output = std::move(output)};

    std::vector<Output> ready;
    for (; !places_.empty() && places_.front().ended; ++head_) {
      if (places_.front().output)
        ready.push_back(std::move(*places_.front().output));
      places_.pop_front();
    }
    held_ -= ready.size();
    return ready;
  }

  std::size_t window_;
  std::uint64_t head_ = 1;
  std::size_t held_ = 0;
  std::deque<Place> places_;  ///< From `head_` on.
};

}  // namespace troupe::fanout
