#include <troupe/base/quantity.hpp>
#include <troupe/supervisor/child_spec.hpp>

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <string_view>
#include <unordered_set>

namespace troupe::supervisor {
namespace {

tl::unexpected<Error> bad_spec(std::string what) {
  return failure(Errc::invalid_argument, std::move(what));
}

Result<void> check_backoff(const Backoff& backoff) {
  if (backoff.min <= Duration{0})
    return bad_spec("backoff min must be positive");
  if (backoff.max < backoff.min)
    return bad_spec("backoff max must not be below min");
  if (!(backoff.factor >= 1))
    return bad_spec("backoff factor must be at least 1");
  if (!(backoff.jitter >= 0 && backoff.jitter <= 1))
    return bad_spec("backoff jitter must be from 0 to 1");
  if (backoff.reset_after < Duration{0})
    return bad_spec("backoff reset-after must not be negative");
  return {};
}

tl::unexpected<Error> bad_listener(const ChildSpec& spec) {
  return bad_spec(fmt::format(
      "child \"{}\": is many children, whose presence is not one", spec.id));
}

}  // namespace

std::string_view to_string(Presence presence) {
  switch (presence) {
    case Presence::up:
      return "up";
    case Presence::away:
      return "away";
    case Presence::gone:
      return "gone";
  }
  return "unknown";
}

Duration backoff_delay(const Backoff& backoff, std::uint32_t step,
                       Random& random) {
  const auto nanoseconds = [](Duration d) {
    return static_cast<double>(d.count());
  };
  const double planned =
      std::min(nanoseconds(backoff.min) *
                   std::pow(backoff.factor, static_cast<double>(step)),
               nanoseconds(backoff.max));
  const double change = backoff.jitter * (2 * random.unit() - 1);
  return Duration{static_cast<Duration::rep>(planned * (1 + change))};
}

std::string_view to_string(Strategy strategy) {
  switch (strategy) {
    case Strategy::one_for_one:
      return "one_for_one";
    case Strategy::one_for_all:
      return "one_for_all";
    case Strategy::rest_for_one:
      return "rest_for_one";
    case Strategy::simple_one_for_one:
      return "simple_one_for_one";
  }
  return "unknown";
}

Shutdown ChildSpec::effective_shutdown() const {
  if (shutdown)
    return *shutdown;
  if (type == ChildType::supervisor)
    return Infinity{};
  return Duration{5s};
}

Result<void> check(const ChildSpec& spec, AutoShutdown auto_shutdown) {
  if (spec.id.empty())
    return bad_spec("a child has no id");
  const auto bad_child = [&](std::string_view what) {
    return bad_spec(fmt::format("child \"{}\": {}", spec.id, what));
  };
  if (!spec.start)
    return bad_child("has no start function");
  if (spec.significant && spec.restart == Restart::permanent)
    return bad_child("a permanent child cannot be significant");
  if (spec.significant && auto_shutdown == AutoShutdown::never)
    return bad_child("significant means nothing under auto-shutdown never");
  if (spec.shutdown) {
    const auto* limit = std::get_if<Duration>(&*spec.shutdown);
    if (limit != nullptr && *limit < Duration{0})
      return bad_child("shutdown must not be negative");
  }
  if (spec.backoff) {
    if (auto result = check_backoff(*spec.backoff); !result)
      return bad_child(result.error().what);
  }
  return {};
}

Result<void> check(const SupervisorSpec& spec) {
  if (spec.intensity < 0)
    return bad_spec(
        fmt::format("intensity must not be negative, got {}", spec.intensity));
  if (spec.period <= Duration{0})
    return bad_spec("period must be positive");
  if (spec.strategy == Strategy::simple_one_for_one &&
      spec.children.size() != 1)
    return bad_spec(
        fmt::format("simple_one_for_one needs exactly one child spec, got {}",
                    spec.children.size()));
  if (spec.strategy == Strategy::simple_one_for_one &&
      spec.children.front().on_presence)
    return bad_listener(spec.children.front());
  if (spec.on_give_up != OnGiveUp::escalate &&
      spec.strategy == Strategy::simple_one_for_one)
    return bad_spec("simple_one_for_one can only escalate");
  if (spec.hold_for <= Duration{0})
    return bad_spec("the time to hold must be positive");
  std::unordered_set<std::string_view> ids;
  for (const ChildSpec& child : spec.children) {
    if (auto result = check(child, spec.auto_shutdown); !result)
      return result;
    if (!ids.insert(child.id).second)
      return bad_spec(fmt::format("child \"{}\" is declared twice", child.id));
  }
  return {};
}

}  // namespace troupe::supervisor
