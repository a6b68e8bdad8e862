#include <troupe/base/assert.hpp>
#include <troupe/link/link_core.hpp>

#include <algorithm>
#include <fmt/format.h>

namespace troupe::link {

using distributed::NodeId;

namespace {

/// What others than the owner send: credit and ends of streams, of which each
/// may have a few under way, and a farewell. Who needs more does not read.
constexpr std::size_t reserve_bytes = 256 << 10;
constexpr std::size_t largest_answer = 1 << 10;

}  // namespace

std::string_view to_string(LinkPhase phase) {
  switch (phase) {
    case LinkPhase::idle:
      return "idle";
    case LinkPhase::waiting:
      return "waiting";
    case LinkPhase::connecting:
      return "connecting";
    case LinkPhase::securing:
      return "securing";
    case LinkPhase::greeting:
      return "greeting";
    case LinkPhase::up:
      return "up";
    case LinkPhase::draining:
      return "draining";
    case LinkPhase::closed:
      return "closed";
  }
  return "unknown";
}

std::string_view to_string(LinkEnd end) {
  switch (end) {
    case LinkEnd::asked:
      return "asked";
    case LinkEnd::left:
      return "left";
    case LinkEnd::unreachable:
      return "unreachable";
    case LinkEnd::refused:
      return "refused";
    case LinkEnd::silent:
      return "silent";
    case LinkEnd::rules:
      return "rules";
    case LinkEnd::versions:
      return "versions";
  }
  return "unknown";
}

LinkCore::LinkCore(LinkSide side, const LinkLimits& limits, Hello own,
                   std::optional<NodeId> peer, std::uint64_t seed)
    : side_{side},
      limits_{limits},
      own_{std::move(own)},
      peer_{peer},
      random_{seed},
      receiving_{random_.next() >> 16U} {
  TROUPE_ASSERT(limits_.unsent_bytes >= 2 * largest_frame + reserve_bytes);
  TROUPE_ASSERT(peer_.has_value() == (side_ == LinkSide::dialling));
  TROUPE_ASSERT(check(Message{own_}).has_value());
}

// -- The connection -----------------------------------------------------------

LinkCore::Actions LinkCore::on_start(TimePoint now) {
  TROUPE_ASSERT(phase_ == LinkPhase::idle);
  switch (side_) {
    case LinkSide::dialling:
      attempt(now);
      break;
    case LinkSide::accepted:
      phase_ = LinkPhase::securing;
      deadline_ = now + limits_.greet_within;
      break;
  }
  return take_actions();
}

void LinkCore::attempt(TimePoint now) {
  phase_ = LinkPhase::connecting;
  deadline_ = now + limits_.greet_within;
  actions_.emplace_back(Connect{});
}

LinkCore::Actions LinkCore::on_connected(TimePoint) {
  switch (phase_) {
    case LinkPhase::connecting:
      phase_ = LinkPhase::securing;
      break;
    case LinkPhase::idle:  // None of these has asked for a connection.
    case LinkPhase::waiting:
    case LinkPhase::securing:
    case LinkPhase::greeting:
    case LinkPhase::up:
    case LinkPhase::draining:
    case LinkPhase::closed:
      break;
  }
  return take_actions();
}

LinkCore::Actions LinkCore::on_secured(const NodeId& peer, TimePoint now) {
  switch (phase_) {
    case LinkPhase::securing:
      if (peer == own_.node)
        end(LinkEnd::refused, "the peer is this node itself", now);
      else if (side_ == LinkSide::dialling && peer != *peer_)
        end(LinkEnd::refused,
            fmt::format("node {} answers instead of {}", to_string(peer),
                        to_string(*peer_)),
            now);
      else {
        peer_ = peer;
        greet(now);
      }
      break;
    case LinkPhase::idle:  // Nothing is being secured.
    case LinkPhase::waiting:
    case LinkPhase::connecting:
    case LinkPhase::greeting:
    case LinkPhase::up:
    case LinkPhase::draining:
    case LinkPhase::closed:
      break;
  }
  return take_actions();
}

void LinkCore::greet(TimePoint now) {
  phase_ = LinkPhase::greeting;
  // A hello is read whatever its protocol; the oldest is what most know.
  protocol_ = own_.protocols.oldest;
  push(own_);
  write_next(now);
}

LinkCore::Actions LinkCore::on_frame(std::string_view frame, TimePoint now) {
  switch (phase_) {
    case LinkPhase::greeting:
    case LinkPhase::up:
    case LinkPhase::draining: {
      const bool is_greeting = phase_ == LinkPhase::greeting;
      auto message =
          decode(frame, protocol_,
                 is_greeting ? PeerRole::enrolled : PeerRole::member);
      if (!message)
        end(LinkEnd::rules, std::move(message.error().what), now);
      else if (is_greeting)
        hear_hello(std::get<Hello>(*message), now);
      else
        hear(std::move(*message), now);
      break;
    }
    case LinkPhase::idle:  // Nobody has been let in.
    case LinkPhase::waiting:
    case LinkPhase::connecting:
    case LinkPhase::securing:
    case LinkPhase::closed:
      break;
  }
  return take_actions();
}

void LinkCore::hear_hello(const Hello& hello, TimePoint now) {
  if (hello.node != *peer_)
    return end(LinkEnd::rules,
               fmt::format("the hello of {} comes with the certificate of {}",
                           to_string(hello.node), to_string(*peer_)),
               now);
  const auto protocol = agree(own_.protocols, hello.protocols);
  if (!protocol)
    return end(LinkEnd::versions, protocol.error().what, now);
  protocol_ = *protocol;
  phase_ = LinkPhase::up;
  up_since_ = now;
  was_up_ = true;
  actions_.emplace_back(Up{hello, protocol_});
}

void LinkCore::hear(Message message, TimePoint now) {
  switch (kind_of(message)) {
    case Kind::hello:  // decode() lets none through after the first.
      break;
    case Kind::farewell:
      hear_farewell(now);
      break;
    case Kind::log_open:
      hear_open(std::get<LogOpen>(message), now);
      break;
    case Kind::content_open:
      hear_open(std::get<ContentOpen>(message), now);
      break;
    case Kind::log_credit:
      hear_log_credit(std::get<LogCredit>(message), now);
      break;
    case Kind::log_chunk:
      hear_log_chunk(std::get<LogChunk>(std::move(message)), now);
      break;
    case Kind::log_close:
      hear_log_close(std::get<LogClose>(std::move(message)), now);
      break;
    case Kind::hint:
    case Kind::load:
    case Kind::steal_ask:
    case Kind::steal_offer:
    case Kind::revocation:
      actions_.emplace_back(Deliver{std::move(message)});
      break;
  }
}

LinkCore::Actions LinkCore::on_lost(LinkEnd why, std::string reason,
                                    TimePoint now) {
  if (has_connection())
    end(why, std::move(reason), now);
  return take_actions();
}

bool LinkCore::has_connection() const {
  switch (phase_) {
    case LinkPhase::connecting:
    case LinkPhase::securing:
    case LinkPhase::greeting:
    case LinkPhase::up:
    case LinkPhase::draining:
      return true;
    case LinkPhase::idle:
    case LinkPhase::waiting:
    case LinkPhase::closed:
      break;
  }
  return false;
}

// -- The end ------------------------------------------------------------------

LinkCore::Actions LinkCore::drain(TimePoint now) {
  wants_end_ = true;
  switch (phase_) {
    case LinkPhase::up:
      begin_drain(now);
      break;
    case LinkPhase::idle:
    case LinkPhase::waiting:
      go_on(/*tries_again=*/false, now);
      break;
    case LinkPhase::connecting:
    case LinkPhase::securing:
    case LinkPhase::greeting:
      end(LinkEnd::asked, "it was to end", now);
      break;
    case LinkPhase::draining:
    case LinkPhase::closed:
      break;
  }
  return take_actions();
}

LinkCore::Actions LinkCore::close(TimePoint now) {
  wants_end_ = true;
  if (has_connection())
    end(LinkEnd::asked, "it was to end", now);
  else if (phase_ != LinkPhase::closed)
    go_on(/*tries_again=*/false, now);
  return take_actions();
}

void LinkCore::hear_farewell(TimePoint now) {
  peer_left_ = true;
  if (phase_ == LinkPhase::up)
    begin_drain(now);
  else
    finish_drain(now);
}

/// Either side says farewell, and is gone when it has heard that of the other
/// and written its own.
void LinkCore::begin_drain(TimePoint now) {
  phase_ = LinkPhase::draining;
  deadline_ = now + limits_.drain_within;
  push(Farewell{});
  write_next(now);
}

void LinkCore::finish_drain(TimePoint now) {
  if (!peer_left_ || written_by_ || !outbox_.empty())
    return;
  if (wants_end_)
    end(LinkEnd::asked, "it was to end", now);
  else
    end(LinkEnd::left, "the peer has left", now);
}

void LinkCore::end(LinkEnd why, std::string reason, TimePoint now) {
  if (was_up_ && now - up_since_ >= limits_.steady_after)
    failures_ = 0;
  actions_.emplace_back(Disconnect{});
  actions_.emplace_back(Down{why, std::move(reason), was_up_});
  was_up_ = false;
  peer_left_ = false;
  wants_room_ = false;
  outbox_.clear();
  unsent_bytes_ = 0;
  written_by_.reset();
  sending_ = {};
  receiving_.close_all();
  go_on(side_ == LinkSide::dialling && !wants_end_, now);
}

void LinkCore::go_on(bool tries_again, TimePoint now) {
  if (tries_again) {
    phase_ = LinkPhase::waiting;
    deadline_ = now + next_pause();
    return;
  }
  phase_ = LinkPhase::closed;
  actions_.emplace_back(Closed{});
}

Duration LinkCore::next_pause() {
  // 100 ms doubled 20 times is more than a day.
  const std::uint32_t doublings = std::min(failures_, 20U);
  ++failures_;
  const Duration whole = std::min<Duration>(
      limits_.longest_pause, limits_.first_pause * (1U << doublings));
  const double part = 0.5 + random_.unit() / 2;
  return std::chrono::duration_cast<Duration>(whole * part);
}

// -- Time ---------------------------------------------------------------------

std::optional<TimePoint> LinkCore::wake_at() const {
  switch (phase_) {
    case LinkPhase::waiting:
    case LinkPhase::connecting:
    case LinkPhase::securing:
      return deadline_;
    case LinkPhase::greeting:
    case LinkPhase::draining:
      return written_by_ ? std::min(*written_by_, deadline_) : deadline_;
    case LinkPhase::up:
      return written_by_;
    case LinkPhase::idle:
    case LinkPhase::closed:
      break;
  }
  return std::nullopt;
}

LinkCore::Actions LinkCore::on_time(TimePoint now) {
  const auto due = wake_at();
  if (!due || now < *due)
    return take_actions();
  switch (phase_) {
    case LinkPhase::waiting:
      attempt(now);
      break;
    case LinkPhase::connecting:
    case LinkPhase::securing:
    case LinkPhase::greeting:
      end(LinkEnd::silent,
          fmt::format(
              "no hello within {} ms, {} until then",
              std::chrono::ceil<std::chrono::milliseconds>(limits_.greet_within)
                  .count(),
              to_string(phase_)),
          now);
      break;
    case LinkPhase::up:
      end(LinkEnd::silent, "the peer does not read", now);
      break;
    case LinkPhase::draining:
      // Nobody is told that it was for nothing: hints may get lost.
      end(wants_end_ ? LinkEnd::asked : LinkEnd::left, "it took too long", now);
      break;
    case LinkPhase::idle:
    case LinkPhase::closed:
      break;
  }
  return take_actions();
}

// -- What is sent -------------------------------------------------------------

void LinkCore::push(const Message& message) {
  std::string frame = encode(message, protocol_);
  unsent_bytes_ += frame.size();
  outbox_.push_back(std::move(frame));
}

void LinkCore::write_next(TimePoint now) {
  if (written_by_ || outbox_.empty())
    return;
  written_by_ = now + limits_.write_within;
  writing_bytes_ = outbox_.front().size();
  actions_.emplace_back(Write{std::move(outbox_.front())});
  outbox_.pop_front();
}

LinkCore::Actions LinkCore::on_written(TimePoint now) {
  if (!written_by_)
    return take_actions();
  written_by_.reset();
  unsent_bytes_ -= writing_bytes_;
  if (wants_room_ && unsent_bytes_ <= limits_.unsent_bytes / 4) {
    wants_room_ = false;
    actions_.emplace_back(HasRoom{});
  }
  write_next(now);
  if (phase_ == LinkPhase::draining)
    finish_drain(now);
  return take_actions();
}

Result<void> LinkCore::admit(const Message& message, std::size_t most) {
  if (auto checked = check(message); !checked)
    return checked;
  if (phase_ != LinkPhase::up)
    return failure(Errc::unavailable,
                   fmt::format("the link is {}, not up", to_string(phase_)));
  if (rule_of(static_cast<std::uint16_t>(kind_of(message)), protocol_) ==
      nullptr)
    return failure(Errc::unsupported,
                   fmt::format("the peer speaks protocol {}, which does not "
                               "have it; upgrade it",
                               protocol_));
  if (unsent_bytes_ + largest_frame + reserve_bytes <= most)
    return {};
  wants_room_ = true;
  return failure(
      Errc::overloaded,
      fmt::format("{} bytes wait to be sent to this peer", unsent_bytes_));
}

void LinkCore::post(const Message& message, TimePoint now) {
  if (unsent_bytes_ + largest_answer > limits_.unsent_bytes)
    return end(LinkEnd::rules, "the peer asks and does not read the answers",
               now);
  push(message);
  write_next(now);
}

Result<LinkCore::Actions> LinkCore::send(const Message& message,
                                         TimePoint now) {
  switch (kind_of(message)) {
    case Kind::hint:
    case Kind::load:
    case Kind::steal_ask:
    case Kind::steal_offer:
    case Kind::revocation:
      break;
    case Kind::hello:
    case Kind::farewell:
    case Kind::log_open:
    case Kind::log_credit:
    case Kind::log_chunk:
    case Kind::log_close:
    case Kind::content_open:
      return failure(Errc::invalid_argument,
                     "a message of this kind is sent by the link itself");
  }
  if (auto admitted = admit(message, limits_.unsent_bytes); !admitted)
    return tl::unexpected(std::move(admitted.error()));
  push(message);
  write_next(now);
  return take_actions();
}

// -- Output of commands, and files --------------------------------------------

template <class Open>
Result<LinkCore::OpenedLog> LinkCore::open_stream(Open what,
                                                  std::uint32_t window,
                                                  TimePoint now) {
  what.window = std::clamp(window, 1U, largest_window);
  what.stream = 1;  // A number that passes; the true one follows.
  if (auto admitted = admit(what, limits_.unsent_bytes); !admitted)
    return tl::unexpected(std::move(admitted.error()));
  const auto opened = receiving_.open(what.window);
  if (!opened)
    return tl::unexpected(opened.error());
  what.stream = opened->number;
  push(what);
  write_next(now);
  return OpenedLog{what.stream, take_actions()};
}

Result<LinkCore::OpenedLog> LinkCore::open_log(LogOpen what,
                                               std::uint32_t window,
                                               TimePoint now) {
  return open_stream(what, window, now);
}

Result<LinkCore::OpenedLog> LinkCore::open_content(ContentOpen what,
                                                   std::uint32_t window,
                                                   TimePoint now) {
  return open_stream(std::move(what), window, now);
}

LinkCore::Actions LinkCore::log_taken(std::uint64_t stream, std::uint32_t bytes,
                                      TimePoint now) {
  const auto credit = receiving_.taken(stream, bytes);
  if (credit && phase_ == LinkPhase::up)
    post(LogCredit{stream, *credit}, now);
  return take_actions();
}

std::uint32_t LinkCore::log_room(std::uint64_t stream) const {
  return std::min<std::uint32_t>(sending_.room(stream), largest_chunk);
}

Result<LinkCore::Actions> LinkCore::send_log(const LogChunk& chunk,
                                             TimePoint now) {
  if (auto admitted = admit(chunk, limits_.unsent_bytes / 2); !admitted)
    return tl::unexpected(std::move(admitted.error()));
  if (!sending_.is_open(chunk.stream))
    return failure(Errc::not_found,
                   fmt::format("stream {} is closed", chunk.stream));
  if (chunk.bytes.size() > log_room(chunk.stream))
    return failure(Errc::overloaded,
                   fmt::format("stream {} has room for {} bytes", chunk.stream,
                               log_room(chunk.stream)));
  sending_.sent(chunk.stream, static_cast<std::uint32_t>(chunk.bytes.size()));
  push(chunk);
  write_next(now);
  return take_actions();
}

LinkCore::Actions LinkCore::close_log(std::uint64_t stream, LogSide side,
                                      std::string reason, TimePoint now) {
  const bool was_open = side == LogSide::asked ? receiving_.close(stream)
                                               : sending_.close(stream);
  reason.resize(std::min(reason.size(), longest_text));
  if (was_open && phase_ == LinkPhase::up)
    post(LogClose{stream, side, std::move(reason)}, now);
  return take_actions();
}

template <class Open>
void LinkCore::hear_open(const Open& open, TimePoint now) {
  const auto opened = sending_.open(open.stream, open.window);
  if (!opened && opened.error().code != Errc::overloaded)
    return end(LinkEnd::rules, opened.error().what, now);
  if (phase_ != LinkPhase::up)
    return;  // We have said farewell, and it has not heard it yet.
  if (opened)
    actions_.emplace_back(Deliver{open});
  else
    post(LogClose{open.stream, LogSide::answered, "too many streams"}, now);
}

void LinkCore::hear_log_credit(const LogCredit& credit, TimePoint now) {
  if (const auto given = sending_.credit(credit.stream, credit.bytes); !given)
    end(LinkEnd::rules, given.error().what, now);
  else if (sending_.is_open(credit.stream))
    actions_.emplace_back(LogRoom{credit.stream});
}

void LinkCore::hear_log_chunk(LogChunk chunk, TimePoint now) {
  const auto is_wanted = receiving_.received(
      chunk.stream, static_cast<std::uint32_t>(chunk.bytes.size()));
  if (!is_wanted)
    end(LinkEnd::rules, is_wanted.error().what, now);
  else if (*is_wanted)
    actions_.emplace_back(Deliver{std::move(chunk)});
}

void LinkCore::hear_log_close(LogClose close, TimePoint now) {
  // Of the one who has opened it, the other one's side is the one that sends.
  bool was_open = false;
  switch (close.side) {
    case LogSide::asked:
      was_open = sending_.close(close.stream);
      break;
    case LogSide::answered: {
      const auto is_known = receiving_.knows(close.stream);
      if (!is_known)
        return end(LinkEnd::rules, is_known.error().what, now);
      was_open = receiving_.close(close.stream);
      break;
    }
  }
  if (was_open)
    actions_.emplace_back(Deliver{std::move(close)});
}

}  // namespace troupe::link
