#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/fanout/halt_policy.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <string>

namespace troupe::fanout {
namespace {

/// The long form of what may be written shorter.
std::string long_form(std::string_view text) {
  if (text == "0")
    return "never";
  if (text == "1")
    return "soon,fail=1";
  if (text == "2")
    return "now,fail=1";
  if (text == "-1")
    return "soon,success=1";
  if (text == "-2")
    return "now,success=1";
  if (text.ends_with('%') && text.find('=') == std::string_view::npos)
    return fmt::format("soon,fail={}", text);
  return std::string{text};
}

}  // namespace

int exit_status_of(std::uint64_t failed) {
  constexpr std::uint64_t more_than_100 = 101;
  return static_cast<int>(std::min(failed, more_than_100));
}

Result<HaltPolicy> HaltPolicy::parse(std::string_view text) {
  const auto refuse = [text] {
    return failure(
        Errc::invalid_argument,
        fmt::format("expected never, or when to halt such as now,fail=1, "
                    "soon,fail=10%, now,success=1 or soon,done=5, got \"{}\"",
                    printable(text)));
  };
  const std::string written = long_form(text);
  std::string_view rest = written;
  HaltPolicy policy;
  if (rest == "never")
    return policy;
  const auto take = [&rest](std::string_view prefix) {
    const bool found = rest.starts_with(prefix);
    if (found)
      rest.remove_prefix(prefix.size());
    return found;
  };
  if (take("now,"))
    policy.when_reached_ = HaltDecision::kill_all;
  else if (take("soon,"))
    policy.when_reached_ = HaltDecision::stop_starting;
  else
    return refuse();
  if (take("fail="))
    policy.event_ = Event::fail;
  else if (take("success="))
    policy.event_ = Event::success;
  else if (take("done="))
    policy.event_ = Event::done;
  else
    return refuse();
  policy.percent_ = rest.ends_with('%');
  if (policy.percent_)
    rest.remove_suffix(1);
  const auto threshold = parse_count(rest);
  if (!threshold || *threshold == 0 || (policy.percent_ && *threshold > 100))
    return refuse();
  policy.threshold_ = *threshold;
  return policy;
}

HaltDecision HaltPolicy::on_finished(bool ok, int status) {
  ++finished_;
  if (!ok)
    ++failed_;
  if (decision_ == HaltDecision::carry_on && is_reached()) {
    decision_ = when_reached_;
    exit_status_ = status_of_decision(ok, status);
  }
  return decision_;
}

std::uint64_t HaltPolicy::counted() const {
  switch (event_) {
    case Event::fail:
      return failed_;
    case Event::success:
      return finished_ - failed_;
    case Event::done:
      return finished_;
  }
  return 0;
}

bool HaltPolicy::is_reached() const {
  constexpr std::uint64_t fewest_without_total = 3;
  if (when_reached_ == HaltDecision::carry_on)
    return false;
  if (!percent_)
    return counted() >= threshold_;
  if (total_)
    return counted() > 0 && counted() * 100 >= threshold_ * *total_;
  return event_ != Event::done && counted() >= fewest_without_total &&
         counted() * 100 >= threshold_ * finished_;
}

int HaltPolicy::status_of_decision(bool ok, int status) const {
  if (event_ == Event::success)
    return 0;
  if (percent_) {
    const std::uint64_t all = std::max(total_.value_or(finished_), failed_);
    return static_cast<int>((failed_ * 100 + all - 1) / all);
  }
  if (threshold_ == 1)
    return ok ? 0 : status;
  return exit_status_of(failed_);
}

int HaltPolicy::exit_status() const {
  return decision_ == HaltDecision::carry_on ? exit_status_of(failed_)
                                             : exit_status_;
}

}  // namespace troupe::fanout
