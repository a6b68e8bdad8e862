#include <troupe/actors/caf.hpp>
#include <troupe/actors/process_stop.hpp>
#include <troupe/base/assert.hpp>
#include <troupe/base/log.hpp>
#include <troupe/base/quantity.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <cxxabi.h>
#include <exception>
#include <fmt/format.h>
#include <memory>
#include <optional>
#include <string>
#include <sys/resource.h>
#include <thread>

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

namespace troupe::actors {
namespace {

const auto error_category = caf::atom("trp_error");
const auto exit_category = caf::atom("trp_exit");
const auto caf_exit_category = caf::atom("exit");

caf::error with_text(std::uint8_t code, caf::atom_value category,
                     const std::string& text) {
  if (text.empty())
    return {code, category};
  return {code, category, caf::make_message(text)};
}

/// In the number of a request that was passed on; those of senders ascend from
/// one and never get there.
constexpr std::uint64_t passed_on_mark = std::uint64_t{1} << 59U;

std::string text_of(const caf::error& error) {
  const caf::message& context = error.context();
  if (context.match_elements<std::string>())
    return context.get_as<std::string>(0);
  return {};
}

caf::error crash_reason(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& e) {
    return to_caf(ExitReason{ExitKind::crashed, e.what()});
  } catch (...) {
    return to_caf(ExitReason{ExitKind::crashed,
                             "an exception that is no std::exception"});
  }
}

/// caf::drop answers plain messages with an error as well, and that ends
/// whoever sent one.
caf::result<caf::message> drop_quietly(caf::scheduled_actor* self,
                                       caf::message_view&) {
  if (self->current_message_id().is_request())
    return caf::sec::unexpected_message;
  return caf::delegated<caf::message>{};
}

std::atomic<std::uint64_t> stalls{0};
std::atomic<std::uint64_t> process_stops{0};

/// What a handler may take before the process ends, where that is asked for.
std::optional<Duration> fatal_stall() {
  static const std::optional<Duration> limit = []() -> std::optional<Duration> {
    const char* const text = std::getenv("TROUPE_STALLS");
    if (const auto read = parse_duration(text == nullptr ? "" : text))
      return *read;
    return std::nullopt;
  }();
  return limit;
}

/// How often this thread has given the processor up by itself: it waited for
/// something. Being preempted on a busy machine does not count.
long waits_of_this_thread() {
  rusage usage{};
  ::getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_nvcsw;
}

Duration cpu_time_of_this_thread() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds{time.tv_sec} +
         std::chrono::nanoseconds{time.tv_nsec};
}

/// Sees what a handler did with its time, in tests; costs two system calls.
class HandlerWatch {
 public:
  HandlerWatch()
      : waits_{waits_of_this_thread()}, cpu_{cpu_time_of_this_thread()} {}

  /// Whether it is to blame for having taken `took`: it waited, or computed.
  [[nodiscard]] bool to_blame(Duration took, Duration limit) const {
    return took > limit && (waits_of_this_thread() > waits_ ||
                            cpu_time_of_this_thread() - cpu_ > limit);
  }

 private:
  long waits_;
  Duration cpu_;
};

/// "troupe::actors::Question", the types of a message.
std::string types_of(const caf::type_erased_tuple& message) {
  std::string names;
  for (std::size_t i = 0; i < message.size(); ++i) {
    const std::type_info* const type = message.type(i).second;
    int status = 0;
    const std::unique_ptr<char, decltype(&std::free)> name{
        type == nullptr
            ? nullptr
            : abi::__cxa_demangle(type->name(), nullptr, nullptr, &status),
        &std::free};
    names += names.empty() ? "" : ",";
    names += name ? name.get() : "unknown";
  }
  return names;
}

void on_stall(const caf::mailbox_element& element, Duration took, bool fatal) {
  stalls.fetch_add(1, std::memory_order_relaxed);
  const LogLevel level = fatal ? LogLevel::error : LogLevel::info;
  if (is_logged(level))
    log(level, fmt::format("handler_stalled message={} took={}",
                           types_of(element.content()), format_duration(took)));
  if (fatal)
    std::abort();
}

/// As anon_send_exit(): the source is the receiver, which handle_stop()
/// expects.
template <class Receiver>
void send_urgent_exit(Actor* self, const Receiver& to, caf::error reason) {
  if (to)
    to->eq_impl(caf::make_message_id(caf::message_priority::high), nullptr,
                self->context(),
                caf::exit_msg{to->address(), std::move(reason)});
}

}  // namespace

caf::error to_caf(const Error& error) {
  return with_text(static_cast<std::uint8_t>(error.code), error_category,
                   error.what);
}

Error to_error(const caf::error& error) {
  if (error && error.category() == error_category)
    return {static_cast<Errc>(error.code()), text_of(error)};
  return {Errc::internal, caf::to_string(error)};
}

caf::error to_caf(const ExitReason& reason) {
  switch (reason.kind) {
    case ExitKind::normal:
      return caf::none;
    case ExitKind::shutdown:
      if (reason.what.empty())
        return caf::exit_reason::user_shutdown;
      break;
    case ExitKind::killed:
      if (reason.what.empty())
        return caf::exit_reason::kill;
      break;
    case ExitKind::crashed:
    case ExitKind::custom:
      break;
  }
  return with_text(static_cast<std::uint8_t>(reason.kind), exit_category,
                   reason.what);
}

ExitReason to_exit_reason(const caf::error& reason) {
  if (!reason)
    return {};
  if (reason.category() == exit_category)
    return {static_cast<ExitKind>(reason.code()), text_of(reason)};
  if (reason == caf::exit_reason::user_shutdown)
    return {ExitKind::shutdown, {}};
  if (reason == caf::exit_reason::kill)
    return {ExitKind::killed, {}};
  if (reason.category() == caf_exit_category)
    return {ExitKind::crashed, caf::to_string(reason)};
  if (reason.category() == error_category)
    return {ExitKind::custom, text_of(reason)};
  return {ExitKind::custom, caf::to_string(reason)};
}

SystemConfig::SystemConfig(std::size_t threads) {
  set("scheduler.policy", caf::atom("sharing"));
  set("scheduler.max-threads", std::max<std::size_t>(threads, 1));
  set("scheduler.max-throughput", std::size_t{100});
}

TestSystemConfig::TestSystemConfig() {
  set("scheduler.policy", caf::atom("testing"));
}

Actor::Actor(caf::actor_config& config) : caf::event_based_actor{config} {
  set_exception_handler(
      [](std::exception_ptr& exception) { return crash_reason(exception); });
  set_default_handler(drop_quietly);
  set_down_handler([](DownMessage&) {});
}

#ifdef __SANITIZE_THREAD__
namespace detail {
namespace {
/// One for all actors. Handlers that run at the same time still race.
char hand_over_point = 0;
}  // namespace

void hand_over() { __tsan_release(&hand_over_point); }
void take_over() { __tsan_acquire(&hand_over_point); }
}  // namespace detail
#endif

caf::invoke_message_result Actor::consume(caf::mailbox_element& element) {
  detail::take_over();
  if (getf(is_detached_flag))
    return caf::event_based_actor::consume(element);
  const std::optional<Duration> fatal_limit = fatal_stall();
  std::optional<HandlerWatch> watch;
  if (fatal_limit)
    watch.emplace();
  const std::uint64_t stops = process_stops.load();
  const TimePoint start = std::chrono::steady_clock::now();
  const auto result = caf::event_based_actor::consume(element);
  const Duration took = std::chrono::steady_clock::now() - start;
  if (took > stall_limit && process_stops.load() == stops)
    on_stall(element, took, watch && watch->to_blame(took, *fatal_limit));
  return result;
}

void expect_process_stop() { process_stops.fetch_add(1); }

std::uint64_t handler_stalls() {
  return stalls.load(std::memory_order_relaxed);
}

bool await_all_actors(ActorSystem& system, Duration limit) {
  // CAF can wait for this as well, but only for ever.
  constexpr Duration pause = 200us;
  const TimePoint end = std::chrono::steady_clock::now() + limit;
  while (system.registry().running() > 0) {
    if (std::chrono::steady_clock::now() >= end)
      return false;
    std::this_thread::sleep_for(pause);
  }
  return true;
}

Error to_request_error(const caf::error& error) {
  if (error.category() == exit_category ||
      error.category() == caf_exit_category)
    return {Errc::unavailable, "it ended: " + describe(to_exit_reason(error))};
  if (error == caf::sec::request_timeout)
    return {Errc::timed_out, "no answer in time"};
  if (error == caf::sec::request_receiver_down)
    return {Errc::unavailable, "it has ended"};
  return to_error(error);
}

void pass_on(Actor* self, const ActorRef& to, Mail mail) {
  detail::hand_over();
  to->enqueue(caf::make_mailbox_element(std::move(mail.sender), mail.id,
                                        std::move(mail.stages),
                                        std::move(mail.content)),
              self->context());
}

void pass_on_request(Actor* self, const ActorRef& to, Mail mail,
                     std::uint64_t number) {
  TROUPE_ASSERT(number > 0 && number < passed_on_mark);
  detail::hand_over();
  // The sender's own number would not do: another sender may use the same. And
  // this one means nothing to the sender: what CAF sends there when `to` has
  // ended is dropped.
  const caf::message_id id =
      caf::message_id{number | passed_on_mark}.with_category(
          mail.id.category());
  to->enqueue(
      caf::make_mailbox_element(std::move(mail.sender), id,
                                {caf::actor_cast<caf::strong_actor_ptr>(self)},
                                std::move(mail.content)),
      self->context());
}

std::optional<std::uint64_t> answered_request(const Mail& mail) {
  // A request that comes by on its way to another actor would have stages.
  const std::uint64_t number = mail.id.request_id().integer_value();
  if (!mail.id.is_request() || !mail.stages.empty() ||
      (number & passed_on_mark) == 0)
    return std::nullopt;
  return number & ~passed_on_mark;
}

std::optional<ExitReason> end_in_answer(const Mail& mail) {
  if (!mail.content.match_elements<caf::error>())
    return std::nullopt;
  const auto& error = mail.content.get_as<caf::error>(0);
  if (error.category() != exit_category &&
      error.category() != caf_exit_category)
    return std::nullopt;
  return to_exit_reason(error);
}

void answer(const Mail& request, Message content) {
  if (!is_request(request))
    return;
  detail::hand_over();
  // As a promise does, but that wants its actor, which could be ending.
  if (request.stages.empty()) {
    request.sender->enqueue(nullptr, request.id.response_id(),
                            std::move(content), nullptr);
    return;
  }
  caf::mailbox_element::forwarding_stack stages = request.stages;
  const caf::strong_actor_ptr next = std::move(stages.back());
  stages.pop_back();
  next->enqueue(
      caf::make_mailbox_element(request.sender, request.id, std::move(stages),
                                std::move(content)),
      nullptr);
}

void answer(const Mail& request, const Error& error) {
  answer(request, caf::make_message(to_caf(error)));
}

namespace detail {
Mail take_mail(Actor* self) {
  caf::mailbox_element& element = *self->current_mailbox_element();
  return {element.sender, element.mid, std::move(element.stages),
          element.move_content_to_message()};
}

Mail take_mail(Actor* self, caf::error& content) {
  caf::mailbox_element& element = *self->current_mailbox_element();
  return {element.sender, element.mid, std::move(element.stages),
          caf::make_message(std::move(content))};
}
}  // namespace detail

void quit(Actor* self, const ExitReason& reason) { self->quit(to_caf(reason)); }

void stop(Actor* self, const ActorRef& actor, const ExitReason& reason) {
  send_urgent_exit(self, actor, to_caf(reason));
}

void kill(Actor* self, const ActorRef& actor) {
  send_urgent_exit(self, actor, caf::exit_reason::kill);
}

void kill_after(Actor* self, const ActorRef& actor, Duration delay) {
  self->delayed_anon_send(
      actor, delay, caf::exit_msg{self->address(), caf::exit_reason::kill});
}

void stop(const ActorRef& actor) {
  caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
}

void kill(const ActorRef& actor) {
  caf::anon_send_exit(actor, caf::exit_reason::kill);
}

}  // namespace troupe::actors
