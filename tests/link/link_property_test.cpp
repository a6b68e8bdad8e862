/// Two links, each a core, with a network between them that breaks.
#include "link_nodes.hpp"
#include "time_zero.hpp"

#include <troupe/base/random.hpp>
#include <troupe/link/link_core.hpp>

#include <deque>
#include <gtest/gtest.h>
#include <iterator>
#include <map>
#include <optional>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>
#include <string>
#include <vector>

namespace troupe::link {
namespace {

/// One end: a core, and what has become of what it sent and heard.
struct End {
  End(LinkSide side, std::uint8_t own, std::optional<std::uint8_t> peer)
      : core{side,
             {},
             hello_of(own),
             peer ? std::optional{node_id(*peer)} : std::nullopt,
             own} {}

  LinkCore core;
  std::deque<std::string> under_way;  ///< To the other end.
  bool is_writing = false;
  std::vector<std::uint64_t> asked;  ///< Streams that the peer has opened.
  std::map<std::uint64_t, std::uint64_t> untaken;  ///< Bytes of streams.
  bool is_closed = false;
};

/// A dialling end and, while there is a connection, an accepted one.
class Pair {
 public:
  Pair() { perform(dialling_, dialling_.core.on_start(now_)); }

  void step(std::uint32_t what) {
    End& end = what & 1U && accepted_ ? *accepted_ : dialling_;
    switch (what / 2 % 10) {
      case 0:
        advance(10ms * (what / 64 % 200));
        break;
      case 1:
      case 2:
      case 3:
        carry(end);
        break;
      case 4:
        if (const auto sent = end.core.send(Hint{{what}}, now_); sent)
          perform(end, *sent);
        break;
      case 5:
        open(end, what);
        break;
      case 6:
      case 7:
        write_output(end, what);
        break;
      case 8:
        take(end, what);
        break;
      case 9:
        if (what / 64 % 16 == 0)
          cut();
        break;
    }
    check_bounds(dialling_);
    if (accepted_)
      check_bounds(*accepted_);
  }

  /// Nothing goes wrong any more: it has to come up, and all output through.
  void settle() {
    for (int i = 0; i < 4000 && !is_at_rest(); ++i) {
      carry(dialling_);
      if (accepted_)
        carry(*accepted_);
      if (!is_busy())
        advance(100ms);
    }
    RC_ASSERT(is_at_rest());
  }

  /// What is sent now arrives.
  void talk() {
    const std::uint64_t before = delivered_;
    const auto sent = dialling_.core.send(StealAsk{}, now_);
    RC_ASSERT(sent.has_value());
    perform(dialling_, *sent);
    settle();
    RC_ASSERT(delivered_ == before + 1);
  }

 private:
  [[nodiscard]] bool is_busy() const {
    return !dialling_.under_way.empty() || dialling_.is_writing ||
           (accepted_ &&
            (!accepted_->under_way.empty() || accepted_->is_writing));
  }
  [[nodiscard]] bool is_at_rest() const {
    return !is_busy() && accepted_ && dialling_.core.phase() == LinkPhase::up &&
           accepted_->core.phase() == LinkPhase::up;
  }

  void advance(Duration by) {
    now_ += by;
    perform(dialling_, dialling_.core.on_time(now_));
    if (accepted_)
      perform(*accepted_, accepted_->core.on_time(now_));
  }

  /// One frame arrives, or the first one leaves.
  void carry(End& end) {
    End* const other =
        &end == &dialling_ ? (accepted_ ? &*accepted_ : nullptr) : &dialling_;
    if (end.is_writing) {
      end.is_writing = false;
      perform(end, end.core.on_written(now_));
      return;
    }
    if (end.under_way.empty() || other == nullptr)
      return;
    const std::string frame = std::move(end.under_way.front());
    end.under_way.pop_front();
    perform(*other, other->core.on_frame(frame, now_));
  }

  void open(End& end, std::uint32_t what) {
    auto opened = end.core.open_log(LogOpen{.job = 1, .attempt = 1},
                                    1 + what / 64 * 997 % largest_window, now_);
    if (opened)
      perform(end, opened->actions);
  }

  void write_output(End& end, std::uint32_t what) {
    if (end.asked.empty())
      return;
    const std::uint64_t stream = end.asked[what / 64 % end.asked.size()];
    const std::uint32_t room = end.core.log_room(stream);
    if (room == 0)
      return;
    const auto sent = end.core.send_log(
        {stream, 0, std::string(1 + what / 64 % room, 'x')}, now_);
    if (sent)
      perform(end, *sent);
  }

  void take(End& end, std::uint32_t what) {
    if (end.untaken.empty())
      return;
    const auto found =
        std::next(end.untaken.begin(),
                  static_cast<std::ptrdiff_t>(what / 64 % end.untaken.size()));
    const auto bytes = static_cast<std::uint32_t>(found->second);
    const std::uint64_t stream = found->first;
    end.untaken.erase(found);
    perform(end, end.core.log_taken(stream, bytes, now_));
  }

  void cut() {
    perform(dialling_,
            dialling_.core.on_lost(LinkEnd::unreachable, "cut", now_));
  }

  void perform(End& end, const LinkCore::Actions& actions) {
    for (const LinkCore::Action& action : actions) {
      RC_ASSERT(!end.is_closed);
      if (const auto* write = std::get_if<LinkCore::Write>(&action)) {
        RC_ASSERT(!end.is_writing);
        end.is_writing = true;
        end.under_way.push_back(write->frame);
      } else if (const auto* heard = std::get_if<LinkCore::Deliver>(&action)) {
        ++delivered_;
        if (const auto* chunk = std::get_if<LogChunk>(&heard->message))
          end.untaken[chunk->stream] += chunk->bytes.size();
        if (const auto* open = std::get_if<LogOpen>(&heard->message))
          end.asked.push_back(open->stream);
      } else if (const auto* down = std::get_if<LinkCore::Down>(&action)) {
        // Between two that keep the rules nobody is ever accused.
        RC_ASSERT(down->end == LinkEnd::unreachable ||
                  down->end == LinkEnd::silent);
      } else if (std::holds_alternative<LinkCore::Closed>(action)) {
        end.is_closed = true;
      }
    }
    react(end, actions);
  }

  void react(End& end, const LinkCore::Actions& actions) {
    for (const LinkCore::Action& action : actions) {
      if (std::holds_alternative<LinkCore::Connect>(action))
        connect();
      else if (std::holds_alternative<LinkCore::Disconnect>(action))
        disconnect(end);
    }
  }

  void connect() {
    RC_ASSERT(!accepted_);
    accepted_.emplace(LinkSide::accepted, 2, std::nullopt);
    perform(*accepted_, accepted_->core.on_start(now_));
    perform(dialling_, dialling_.core.on_connected(now_));
    perform(*accepted_, accepted_->core.on_secured(node_id(1), now_));
    perform(dialling_, dialling_.core.on_secured(node_id(2), now_));
  }

  void disconnect(End& end) {
    const bool is_dialling = &end == &dialling_;
    for (End* one : {&dialling_, accepted_ ? &*accepted_ : nullptr}) {
      if (one == nullptr)
        continue;
      one->under_way.clear();
      one->is_writing = false;
      one->untaken.clear();
      one->asked.clear();
    }
    if (is_dialling && accepted_) {
      // The other end hears of it, and is gone.
      auto gone = accepted_->core.on_lost(LinkEnd::unreachable, "cut", now_);
      // In brackets: RC_ASSERT looks at both sides of ||.
      RC_ASSERT((gone.empty() ||
                 std::holds_alternative<LinkCore::Closed>(gone.back())));
      accepted_.reset();
    } else if (!is_dialling) {
      perform(dialling_,
              dialling_.core.on_lost(LinkEnd::unreachable, "cut", now_));
    }
  }

  static void check_bounds(const End& end) {
    RC_ASSERT(end.core.unsent_bytes() <= LinkLimits{}.unsent_bytes);
    switch (end.core.phase()) {
      case LinkPhase::waiting:
      case LinkPhase::connecting:
      case LinkPhase::securing:
      case LinkPhase::greeting:
      case LinkPhase::draining:
        RC_ASSERT(end.core.wake_at().has_value());
        break;
      case LinkPhase::up:
        RC_ASSERT(end.core.wake_at().has_value() ==
                  (end.core.unsent_bytes() != 0));
        break;
      case LinkPhase::idle:
      case LinkPhase::closed:
        RC_ASSERT(!end.core.wake_at());
        break;
    }
  }

  TimePoint now_ = t0;
  std::uint64_t delivered_ = 0;
  End dialling_{LinkSide::dialling, 1, 2};
  std::optional<End> accepted_;
};

RC_GTEST_PROP(LinkProperty, TwoThatKeepTheRulesComeUpWhenTheNetworkIsWell, ()) {
  Random random{*rc::gen::arbitrary<std::uint64_t>()};
  Pair pair;
  for (int i = 0; i < 500; ++i)
    pair.step(static_cast<std::uint32_t>(random.next() >> 32U));
  pair.settle();
  pair.talk();
}

/// What a core does with whatever somebody who is enrolled sends.
RC_GTEST_PROP(LinkProperty, NoFrameMakesACoreBreakItsBounds,
              (const std::vector<std::pair<std::uint16_t, std::string>>& all)) {
  LinkCore core{
      LinkSide::accepted, {}, hello_of(1, own_protocols), std::nullopt, 1};
  (void)core.on_start(t0);
  (void)core.on_secured(node_id(2), t0);
  (void)core.on_frame(encode(hello_of(2, own_protocols), 1), t0);
  for (const auto& [kind, body] : all) {
    std::string frame{'\0', static_cast<char>(own_protocols.newest), '\0',
                      static_cast<char>(kind % 14)};
    (void)core.on_frame(frame + body, t0);
    RC_ASSERT(core.unsent_bytes() <= LinkLimits{}.unsent_bytes);
    RC_ASSERT(core.phase() == LinkPhase::up ||
              core.phase() == LinkPhase::closed ||
              core.phase() == LinkPhase::draining);
  }
}

}  // namespace
}  // namespace troupe::link
