#include "wire.hpp"

#include <troupe/base/overload.hpp>

#include <cstring>
#include <type_traits>

namespace troupe::process::wire {
namespace {

/// Values are the index into Message plus one; a new message goes to the end.
using FrameKind = std::uint8_t;

constexpr std::size_t header_size = 4 + 1 + 8 + 4;

/// What a greeting begins with, so that a foreign connection is told apart.
constexpr std::uint32_t greeting_magic = 0x57505254;  // "TRPW"

class Writer {
 public:
  explicit Writer(std::string& out) : out_{out} {}

  template <class T>
  requires std::is_arithmetic_v<T> || std::is_enum_v<T>
  void operator()(T value) {
    out_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void operator()(std::string_view text) {
    (*this)(static_cast<std::uint32_t>(text.size()));
    out_.append(text);
  }
  void operator()(const std::string& text) { (*this)(std::string_view{text}); }
  void operator()(Duration value) { (*this)(value.count()); }
  void operator()(BootTime value) { (*this)(value.time_since_epoch()); }
  void operator()(AttemptId id) {
    (*this)(id.command.value);
    (*this)(id.attempt);
  }
  template <class T>
  void operator()(const std::optional<T>& value) {
    (*this)(value.has_value());
    if (value)
      (*this)(*value);
  }
  template <class A, class B>
  void operator()(const std::pair<A, B>& value) {
    (*this)(value.first);
    (*this)(value.second);
  }
  template <class T>
  void operator()(const std::vector<T>& values) {
    (*this)(static_cast<std::uint32_t>(values.size()));
    for (const T& value : values)
      (*this)(value);
  }

 private:
  std::string& out_;
};

/// Reads what Writer wrote. After the first value that is not there every read
/// leaves its target alone and `ok` is false.
class Parser {
 public:
  explicit Parser(std::string_view in) : in_{in} {}

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool finished() const { return ok_ && in_.empty(); }
  void fail() { ok_ = false; }
  void skip_rest() { in_ = {}; }

  template <class T>
  requires std::is_arithmetic_v<T> || std::is_enum_v<T>
  void operator()(T& value) {
    if (!ok_ || in_.size() < sizeof value) {
      ok_ = false;
      return;
    }
    if constexpr (std::is_same_v<T, bool>)
      value = in_.front() != 0;
    else
      std::memcpy(&value, in_.data(), sizeof value);
    in_.remove_prefix(sizeof value);
  }
  void operator()(std::string_view& text) {
    std::uint32_t size = 0;
    (*this)(size);
    if (!ok_ || size > in_.size()) {
      ok_ = false;
      return;
    }
    text = in_.substr(0, size);
    in_.remove_prefix(size);
  }
  void operator()(std::string& text) {
    std::string_view view;
    (*this)(view);
    text = view;
  }
  void operator()(Duration& value) {
    Duration::rep count = 0;
    (*this)(count);
    value = Duration{count};
  }
  void operator()(BootTime& value) {
    Duration since_boot{};
    (*this)(since_boot);
    value = BootTime{since_boot};
  }
  void operator()(AttemptId& id) {
    (*this)(id.command.value);
    (*this)(id.attempt);
  }
  template <class T>
  void operator()(std::optional<T>& value) {
    bool present = false;
    (*this)(present);
    if (ok_ && present)
      (*this)(value.emplace());
  }
  template <class A, class B>
  void operator()(std::pair<A, B>& value) {
    (*this)(value.first);
    (*this)(value.second);
  }
  template <class T>
  void operator()(std::vector<T>& values) {
    std::uint32_t size = 0;
    (*this)(size);
    // Grows with the bytes that are really there: each element takes some.
    for (std::uint32_t i = 0; ok_ && i < size; ++i)
      (*this)(values.emplace_back());
  }

 private:
  std::string_view in_;
  bool ok_ = true;
};

// One list of fields per struct serves both directions.
template <class F, class T>
void fields(F& f,
            T& x) requires std::is_same_v<std::remove_const_t<T>, Limits> {
  f(x.cpu_seconds);
  f(x.memory_bytes);
  f(x.open_files);
  f(x.processes);
  f(x.file_size_bytes);
}

template <class F, class T>
void fields(F& f,
            T& x) requires std::is_same_v<std::remove_const_t<T>, TreeLimits> {
  f(x.memory_bytes);
  f(x.cpu_percent);
  f(x.tasks);
}

void fields(Writer& w, const Stdin& value) {
  w(static_cast<std::uint8_t>(value.index()));
  std::visit(Overload{[](StdinNull) {}, [](StdinInherit) {},
                      [&](const StdinFile& file) { w(file.path); },
                      [&](const StdinText& text) { w(text.bytes); }},
             value);
}

void fields(Parser& p, Stdin& value) {
  std::uint8_t index = 0;
  p(index);
  switch (index) {
    case 0:
      value = StdinNull{};
      break;
    case 1:
      value = StdinInherit{};
      break;
    case 2:
      p(value.emplace<StdinFile>().path);
      break;
    case 3:
      p(value.emplace<StdinText>().bytes);
      break;
    default:
      p.fail();
  }
}

template <class F, class T>
void fields(F& f,
            T& x) requires std::is_same_v<std::remove_const_t<T>, CommandSpec> {
  f(x.argv);
  f(x.working_directory);
  f(x.clear_env);
  f(x.unset_env);
  f(x.env);
  fields(f, x.standard_input);
  f(x.standard_output);
  f(x.standard_error);
  f(x.record.path);
  f(x.record.most_bytes);
  fields(f, x.limits);
  fields(f, x.tree_limits);
  f(x.umask);
  f(x.nice);
  f(x.new_session);
  f(x.foreground);
  f(x.time_limit);
  f(x.silence_limit);
  f(x.grace);
  f(x.polite_signal);
  f(x.ends_its_tree);
  f(x.outlives_right);
}

template <class F, class T>
void fields(F& f,
            T& x) requires std::is_same_v<std::remove_const_t<T>, ExitReport> {
  f(x.exit_code);
  f(x.signal);
  f(x.core_dumped);
  f(x.timed_out);
  f(x.silent);
  f(x.stopped);
  f(x.right_ended);
  f(x.killed);
  f(x.out_of_memory);
  f(x.output_held);
  f(x.leftovers);
  f(x.survivors);
  f(x.wall);
  f(x.ended);
  f(x.user);
  f(x.system);
  f(x.max_rss_bytes);
  f(x.stdout_bytes);
  f(x.stderr_bytes);
  f(x.unrecorded_bytes);
}

void fields(Writer& w, const Hello& hello) {
  w(hello.version);
  w(hello.session);
  w(hello.lanes);
  w(hello.takeover);
}

void fields(Parser& p, Hello& hello) {
  p(hello.version);
  if (hello.version != wire_version) {
    p.skip_rest();
    return;
  }
  p(hello.session);
  p(hello.lanes);
  p(hello.takeover);
}

template <class F, class T>
void message_fields(F& f, T& message) {
  using M = std::remove_const_t<T>;
  if constexpr (std::is_same_v<M, Start>) {
    fields(f, message.spec);
    f(message.after);
  } else if constexpr (std::is_same_v<M, Stop>) {
    f(message.request.signal);
    f(message.request.grace);
    f(message.request.timed_out);
  } else if constexpr (std::is_same_v<M, Signal>) {
    f(message.signal);
  } else if constexpr (std::is_same_v<M, Guard>) {
    f(message.kill_at);
    f(message.gone_by);
  } else if constexpr (std::is_same_v<M, StopAll>) {
    f(message.gone_by);
  } else if constexpr (std::is_empty_v<M>) {
    // Pause, Forget, Listed, ..: the kind says it all.
  } else if constexpr (std::is_same_v<M, Hello>) {
    fields(f, message);
  } else if constexpr (std::is_same_v<M, Started>) {
    f(message.pid);
    f(message.is_paused);
  } else if constexpr (std::is_same_v<M, OutputRead>) {
    f(message.stream);
    f(message.bytes);
  } else if constexpr (std::is_same_v<M, Offered>) {
    f(message.stream);
    f(message.descriptor);
    f(message.inode);
  } else if constexpr (std::is_same_v<M, Taken>) {
    f(message.stream);
    f(message.is_taken);
  } else if constexpr (std::is_same_v<M, Exited>) {
    fields(f, message.report);
  } else {
    static_assert(std::is_same_v<M, NotStarted>);
    f(message.failure.stage);
    f(message.failure.error.code);
    f(message.failure.error.what);
  }
}

/// Makes the alternative number `index` of Message current and returns whether
/// there is one.
template <std::size_t I = 0>
bool emplace_alternative(Message& message, std::size_t index) {
  if constexpr (I == std::variant_size_v<Message>) {
    return false;
  } else {
    if (I != index)
      return emplace_alternative<I + 1>(message, index);
    message.emplace<I>();
    return true;
  }
}

template <class T>
T read_number(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

}  // namespace

std::string encode(const Greeting& greeting) {
  std::string bytes;
  Writer write{bytes};
  write(greeting_magic);
  write(greeting.version);
  write(greeting.lane);
  write(greeting.takeover);
  return bytes;
}

std::optional<Greeting> parse_greeting(std::string_view bytes) {
  std::uint32_t magic = 0;
  Greeting greeting;
  Parser parse{bytes};
  parse(magic);
  parse(greeting.version);
  parse(greeting.lane);
  parse(greeting.takeover);
  if (!parse.finished() || magic != greeting_magic)
    return std::nullopt;
  return greeting;
}

void encode(std::string& out, AttemptId id, const Message& message) {
  const std::size_t start = out.size();
  Writer write{out};
  write(std::uint32_t{0});
  write(static_cast<FrameKind>(message.index() + 1));
  write(id.command.value);
  write(id.attempt);
  std::visit([&](const auto& m) { message_fields(write, m); }, message);
  const auto body =
      static_cast<std::uint32_t>(out.size() - start - header_size);
  std::memcpy(out.data() + start, &body, sizeof body);
}

char* Reader::prepare(std::size_t bytes) {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, filled_ - begin_);
    filled_ -= begin_;
    begin_ = 0;
  }
  if (buffer_.size() < filled_ + bytes)
    buffer_.resize(filled_ + bytes);
  return buffer_.data() + filled_;
}

Result<std::optional<Frame>> Reader::next() {
  const std::size_t available = filled_ - begin_;
  if (available < header_size)
    return std::nullopt;
  const char* const header = buffer_.data() + begin_;
  const auto body_size = read_number<std::uint32_t>(header);
  const auto kind = read_number<FrameKind>(header + 4);
  if (body_size > max_body)
    return failure(Errc::corrupt, "warden protocol: a frame is too long");
  if (available < header_size + body_size)
    return std::nullopt;

  Frame frame;
  frame.id.command.value = read_number<std::uint64_t>(header + 5);
  frame.id.attempt = read_number<std::uint32_t>(header + 13);
  if (kind == 0 || !emplace_alternative(frame.message, kind - 1U))
    return failure(Errc::corrupt, "warden protocol: unknown kind of frame");
  Parser parse{{header + header_size, body_size}};
  std::visit([&](auto& m) { message_fields(parse, m); }, frame.message);
  if (!parse.finished())
    return failure(Errc::corrupt, "warden protocol: a frame does not parse");
  begin_ += header_size + body_size;
  return frame;
}

}  // namespace troupe::process::wire
