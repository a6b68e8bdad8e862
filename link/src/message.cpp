#include <troupe/base/assert.hpp>
#include <troupe/base/overload.hpp>
#include <troupe/base/text.hpp>
#include <troupe/link/message.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <limits>
#include <optional>
#include <utility>

namespace troupe::link {
namespace {

using Cbor = nlohmann::json;
using distributed::NodeId;

constexpr std::array<KindRule, 12> rules{{
    {Kind::hello, "hello", PeerRole::enrolled, 1},
    {Kind::farewell, "farewell", PeerRole::member, 1},
    {Kind::hint, "hint", PeerRole::member, 1},
    {Kind::load, "load", PeerRole::member, 1},
    {Kind::steal_ask, "steal_ask", PeerRole::member, 1},
    {Kind::steal_offer, "steal_offer", PeerRole::member, 1},
    {Kind::log_open, "log_open", PeerRole::member, 1},
    {Kind::log_credit, "log_credit", PeerRole::member, 1},
    {Kind::log_chunk, "log_chunk", PeerRole::member, 1},
    {Kind::log_close, "log_close", PeerRole::member, 1},
    {Kind::revocation, "revocation", PeerRole::member, 1},
    {Kind::content_open, "content_open", PeerRole::member, 2},
}};

// -- Reading CBOR within bounds -----------------------------------------------

/// Looks at what a body is made of before memory is taken for it: the library
/// calls itself for each level of nesting, and has no limit of its own.
class Bounds final : public nlohmann::json_sax<Cbor> {
 public:
  bool null() override { return count(); }
  bool boolean(bool) override { return count(); }
  bool number_integer(number_integer_t) override { return count(); }
  bool number_unsigned(number_unsigned_t) override { return count(); }
  bool number_float(number_float_t, const string_t&) override {
    return count();
  }
  bool string(string_t&) override { return count(); }
  bool binary(binary_t&) override { return count(); }
  bool start_object(std::size_t) override { return enter(); }
  bool key(string_t&) override { return count(); }
  bool end_object() override { return leave(); }
  bool start_array(std::size_t) override { return enter(); }
  bool end_array() override { return leave(); }
  bool parse_error(std::size_t, const std::string&,
                   const nlohmann::detail::exception&) override {
    return false;
  }

  [[nodiscard]] bool is_exceeded() const { return is_exceeded_; }

 private:
  bool count() {
    is_exceeded_ |= ++values_ > most_values;
    return !is_exceeded_;
  }
  bool enter() {
    is_exceeded_ |= ++depth_ > deepest_body;
    return count();
  }
  bool leave() {
    --depth_;
    return true;
  }

  std::size_t depth_ = 0;
  std::size_t values_ = 0;
  bool is_exceeded_ = false;
};

Result<Cbor> parse_body(std::string_view body) {
  Bounds bounds;
  const bool is_whole = Cbor::sax_parse(body.begin(), body.end(), &bounds,
                                        Cbor::input_format_t::cbor);
  if (bounds.is_exceeded())
    return failure(Errc::overloaded,
                   fmt::format("a body is nested more than {} deep or has more "
                               "than {} values",
                               deepest_body, most_values));
  Cbor parsed = is_whole ? Cbor::from_cbor(body, true, false) : Cbor{};
  if (!parsed.is_object())
    return failure(Errc::corrupt, "a body is no map in CBOR");
  return parsed;
}

/// Takes fields out of a body. What is missing or of another type is told by
/// finish(), once.
class Body {
 public:
  explicit Body(const Cbor& map) : map_{map} {}

  template <class Number>
  void number(const char* key, Number& out) {
    const Cbor* const found = find(key);
    if (found == nullptr || !found->is_number_unsigned() ||
        found->get<std::uint64_t>() > std::numeric_limits<Number>::max())
      return refuse(key);
    out = static_cast<Number>(found->get<std::uint64_t>());
  }

  template <class Number>
  void number_if_there(const char* key, std::optional<Number>& out) {
    if (find(key) != nullptr)
      number(key, out.emplace());
  }

  void flag(const char* key, bool& out) {
    const Cbor* const found = find(key);
    if (found == nullptr || !found->is_boolean())
      return refuse(key);
    out = found->get<bool>();
  }

  void flag_if_there(const char* key, bool& out) {
    if (find(key) != nullptr)
      flag(key, out);
  }

  void text(const char* key, std::string& out) {
    const Cbor* const found = find(key);
    if (found == nullptr || !found->is_string())
      return refuse(key);
    out = found->get<std::string>();
  }

  void bytes(const char* key, std::string& out) {
    const Cbor* const found = find(key);
    if (found == nullptr || !found->is_binary())
      return refuse(key);
    const auto& binary = found->get_binary();
    out.assign(binary.begin(), binary.end());
  }

  void node(const char* key, NodeId& out) {
    std::string bytes_of_id;
    bytes(key, bytes_of_id);
    if (bytes_of_id.size() != out.bytes.size())
      return refuse(key);
    std::copy(bytes_of_id.begin(), bytes_of_id.end(), out.bytes.begin());
  }

  void shards(const char* key, std::vector<std::uint32_t>& out) {
    const Cbor* const found = find(key);
    if (found == nullptr || !found->is_array() || found->size() > most_shards)
      return refuse(key);
    for (const Cbor& one : *found) {
      if (!one.is_number_unsigned() || one.get<std::uint64_t>() > UINT32_MAX)
        return refuse(key);
      out.push_back(one.get<std::uint32_t>());
    }
  }

  template <class Value>
  Result<Message> finish(Value value) const {
    if (wrong_ != nullptr)
      return failure(Errc::corrupt,
                     fmt::format("\"{}\" is missing or wrong", wrong_));
    return Message{std::move(value)};
  }

 private:
  [[nodiscard]] const Cbor* find(const char* key) const {
    const auto found = map_.find(key);
    return found == map_.end() ? nullptr : &*found;
  }
  void refuse(const char* key) {
    if (wrong_ == nullptr)
      wrong_ = key;
  }

  const Cbor& map_;
  const char* wrong_ = nullptr;
};

Result<Message> read_hello(Body body) {
  Hello m;
  body.number("oldest", m.protocols.oldest);
  body.number("newest", m.protocols.newest);
  body.node("node", m.node);
  body.text("session", m.session);
  body.text("version", m.version);
  body.number("view", m.view);
  return body.finish(std::move(m));
}

Result<Message> read_load(Body body) {
  Load m;
  body.number("slots", m.slots);
  body.number("waiting", m.waiting);
  body.flag("backlog", m.has_backlog);
  body.number("view", m.view);
  body.flag_if_there("held", m.is_held);
  return body.finish(m);
}

Result<Message> read_log_open(Body body) {
  LogOpen m;
  body.number("stream", m.stream);
  body.number("job", m.job);
  body.number("task", m.task);
  body.number("attempt", m.attempt);
  body.number_if_there("tail", m.tail);
  body.flag("follows", m.follows);
  body.number("window", m.window);
  return body.finish(m);
}

Result<Message> read_content_open(Body body) {
  ContentOpen m;
  std::uint8_t what = 0;
  body.number("stream", m.stream);
  body.number("what", what);
  body.text("name", m.name);
  body.number("window", m.window);
  m.what = static_cast<ContentKind>(what);
  return body.finish(std::move(m));
}

Result<Message> read_log_close(Body body) {
  LogClose m;
  std::uint8_t side = 0;
  body.number("stream", m.stream);
  body.number("side", side);
  body.text("reason", m.reason);
  m.side = static_cast<LogSide>(side);
  return body.finish(std::move(m));
}

Result<Message> read_body(Kind kind, const Cbor& map) {
  Body body{map};
  switch (kind) {
    case Kind::hello:
      return read_hello(body);
    case Kind::farewell:
      return body.finish(Farewell{});
    case Kind::hint: {
      Hint m;
      body.shards("shards", m.shards);
      return body.finish(std::move(m));
    }
    case Kind::load:
      return read_load(body);
    case Kind::steal_ask:
      return body.finish(StealAsk{});
    case Kind::steal_offer: {
      StealOffer m;
      body.shards("shards", m.shards);
      return body.finish(std::move(m));
    }
    case Kind::log_open:
      return read_log_open(body);
    case Kind::log_credit: {
      LogCredit m;
      body.number("stream", m.stream);
      body.number("bytes", m.bytes);
      return body.finish(m);
    }
    case Kind::log_chunk: {
      LogChunk m;
      body.number("stream", m.stream);
      body.number("offset", m.offset);
      body.bytes("bytes", m.bytes);
      return body.finish(std::move(m));
    }
    case Kind::log_close:
      return read_log_close(body);
    case Kind::revocation: {
      Revocation m;
      body.node("node", m.node);
      return body.finish(m);
    }
    case Kind::content_open:
      return read_content_open(body);
  }
  return failure(Errc::unsupported, "a kind that is on no list");
}

// -- Writing ------------------------------------------------------------------

Cbor binary(std::string_view bytes) {
  return Cbor::binary(std::vector<std::uint8_t>(bytes.begin(), bytes.end()));
}

Cbor binary(const NodeId& node) {
  return Cbor::binary(
      std::vector<std::uint8_t>(node.bytes.begin(), node.bytes.end()));
}

Cbor body_of(const Message& message) {
  return std::visit(
      Overload{
          [](const Hello& m) {
            return Cbor{
                {"oldest", m.protocols.oldest}, {"newest", m.protocols.newest},
                {"node", binary(m.node)},       {"session", m.session},
                {"version", m.version},         {"view", m.view}};
          },
          [](const Farewell&) { return Cbor::object(); },
          [](const Hint& m) {
            return Cbor{{"shards", m.shards}};
          },
          [](const Load& m) {
            return Cbor{{"slots", m.slots},
                        {"waiting", m.waiting},
                        {"backlog", m.has_backlog},
                        {"view", m.view},
                        {"held", m.is_held}};
          },
          [](const StealAsk&) { return Cbor::object(); },
          [](const StealOffer& m) {
            return Cbor{{"shards", m.shards}};
          },
          [](const LogOpen& m) {
            Cbor body{{"stream", m.stream},   {"job", m.job},
                      {"task", m.task},       {"attempt", m.attempt},
                      {"follows", m.follows}, {"window", m.window}};
            if (m.tail)
              body["tail"] = *m.tail;
            return body;
          },
          [](const LogCredit& m) {
            return Cbor{{"stream", m.stream}, {"bytes", m.bytes}};
          },
          [](const LogChunk& m) {
            return Cbor{{"stream", m.stream},
                        {"offset", m.offset},
                        {"bytes", binary(m.bytes)}};
          },
          [](const LogClose& m) {
            return Cbor{{"stream", m.stream},
                        {"side", static_cast<std::uint8_t>(m.side)},
                        {"reason", m.reason}};
          },
          [](const Revocation& m) {
            return Cbor{{"node", binary(m.node)}};
          },
          [](const ContentOpen& m) {
            return Cbor{{"stream", m.stream},
                        {"what", static_cast<std::uint8_t>(m.what)},
                        {"name", m.name},
                        {"window", m.window}};
          },
      },
      message);
}

std::uint16_t number_at(std::string_view frame, std::size_t at) {
  const auto high = static_cast<std::uint8_t>(frame[at]);
  const auto low = static_cast<std::uint8_t>(frame[at + 1]);
  return static_cast<std::uint16_t>(high << 8U | low);
}

void put_number(std::string& out, std::uint16_t number) {
  out += static_cast<char>(number >> 8U);
  out += static_cast<char>(number & 0xffU);
}

/// What is wrong with a message; null if nothing is.
const char* mistake_in(const Message& message) {
  const auto is_text = [](const std::string& text) {
    return text.size() <= longest_text && is_utf8(text);
  };
  return std::visit(
      Overload{
          [&](const Hello& m) -> const char* {
            if (m.protocols.oldest == 0 ||
                m.protocols.oldest > m.protocols.newest)
              return "its protocols are none";
            return is_text(m.session) && is_text(m.version)
                       ? nullptr
                       : "a text is too long or no UTF-8";
          },
          [](const Farewell&) -> const char* { return nullptr; },
          [](const Hint& m) -> const char* {
            return m.shards.size() <= most_shards ? nullptr : "many shards";
          },
          [](const Load&) -> const char* { return nullptr; },
          [](const StealAsk&) -> const char* { return nullptr; },
          [](const StealOffer& m) -> const char* {
            return m.shards.size() <= most_shards ? nullptr : "many shards";
          },
          [](const LogOpen& m) -> const char* {
            return m.stream != 0 && m.window != 0 ? nullptr
                                                  : "no stream or no window";
          },
          [](const LogCredit& m) -> const char* {
            return m.stream != 0 && m.bytes != 0 ? nullptr
                                                 : "no stream or no credit";
          },
          [](const LogChunk& m) -> const char* {
            return m.stream != 0 && !m.bytes.empty() &&
                           m.bytes.size() <= largest_chunk
                       ? nullptr
                       : "no stream, or a chunk of a wrong size";
          },
          [&](const LogClose& m) -> const char* {
            if (m.side != LogSide::asked && m.side != LogSide::answered)
              return "a side that there is not";
            return m.stream != 0 && is_text(m.reason)
                       ? nullptr
                       : "no stream, or a reason that is no text";
          },
          [](const Revocation&) -> const char* { return nullptr; },
          [](const ContentOpen& m) -> const char* {
            if (m.what < ContentKind::artifact || m.what > ContentKind::blob)
              return "content of a kind that there is not";
            if (m.name.empty() || m.name.size() > longest_content_name ||
                !is_utf8(m.name))
              return "a name that content cannot have";
            return m.stream != 0 && m.window != 0 ? nullptr
                                                  : "no stream or no window";
          },
      },
      message);
}

}  // namespace

Result<std::uint16_t> agree(const Protocols& ours, const Protocols& theirs) {
  const std::uint16_t newest = std::min(ours.newest, theirs.newest);
  if (newest >= ours.oldest && newest >= theirs.oldest)
    return newest;
  return failure(
      Errc::unsupported,
      fmt::format("we speak the protocols {} to {}, the peer {} to {}; upgrade "
                  "the older of the two first",
                  ours.oldest, ours.newest, theirs.oldest, theirs.newest));
}

std::span<const KindRule> kind_rules() { return rules; }

const KindRule* rule_of(std::uint16_t kind, std::uint16_t protocol) {
  const auto* const found =
      std::find_if(rules.begin(), rules.end(), [kind](const KindRule& rule) {
        return static_cast<std::uint16_t>(rule.kind) == kind;
      });
  return found != rules.end() && found->since <= protocol ? found : nullptr;
}

Kind kind_of(const Message& message) {
  return std::visit(Overload{
                        [](const Hello&) { return Kind::hello; },
                        [](const Farewell&) { return Kind::farewell; },
                        [](const Hint&) { return Kind::hint; },
                        [](const Load&) { return Kind::load; },
                        [](const StealAsk&) { return Kind::steal_ask; },
                        [](const StealOffer&) { return Kind::steal_offer; },
                        [](const LogOpen&) { return Kind::log_open; },
                        [](const LogCredit&) { return Kind::log_credit; },
                        [](const LogChunk&) { return Kind::log_chunk; },
                        [](const LogClose&) { return Kind::log_close; },
                        [](const Revocation&) { return Kind::revocation; },
                        [](const ContentOpen&) { return Kind::content_open; },
                    },
                    message);
}

Result<void> check(const Message& message) {
  const char* const mistake = mistake_in(message);
  if (mistake == nullptr)
    return {};
  return failure(Errc::invalid_argument,
                 fmt::format("a message cannot be sent: {}", mistake));
}

std::string encode(const Message& message, std::uint16_t protocol) {
  TROUPE_ASSERT(check(message).has_value());
  std::string frame;
  put_number(frame, protocol);
  put_number(frame, static_cast<std::uint16_t>(kind_of(message)));
  Cbor::to_cbor(body_of(message), frame);
  TROUPE_ASSERT(frame.size() <= largest_frame);
  return frame;
}

Result<Message> decode(std::string_view frame, std::uint16_t protocol,
                       PeerRole role) {
  if (frame.size() > largest_frame)
    return failure(Errc::overloaded, "a frame is longer than 1 MiB");
  if (frame.size() < envelope_bytes)
    return failure(Errc::corrupt, "a frame ends in its envelope");
  const std::uint16_t spoken = number_at(frame, 0);
  const std::uint16_t kind = number_at(frame, 2);
  const KindRule* const rule = rule_of(kind, protocol);
  if (rule == nullptr)
    return failure(
        Errc::unsupported,
        fmt::format("kind {} is not known in protocol {}", kind, protocol));
  if (rule->role != role)
    return failure(Errc::permission_denied,
                   fmt::format("{} may not be sent now", rule->name));
  if (spoken != protocol && rule->kind != Kind::hello)
    return failure(Errc::unsupported,
                   fmt::format("{} comes in protocol {} instead of {}",
                               rule->name, spoken, protocol));
  auto body = parse_body(frame.substr(envelope_bytes));
  if (!body)
    return tl::unexpected(std::move(body.error()).within(rule->name));
  auto message = read_body(rule->kind, *body);
  if (!message)
    return tl::unexpected(std::move(message.error()).within(rule->name));
  if (const char* const mistake = mistake_in(*message); mistake != nullptr)
    return failure(Errc::corrupt, fmt::format("{}: {}", rule->name, mistake));
  return message;
}

}  // namespace troupe::link
