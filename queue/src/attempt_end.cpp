#include <troupe/actors/command_core.hpp>
#include <troupe/actors/outcome.hpp>
#include <troupe/base/exit_status.hpp>
#include <troupe/base/text.hpp>
#include <troupe/queue/attempt_end.hpp>

#include <fmt/format.h>
#include <string_view>

namespace troupe::queue {
namespace {

using actors::Attempt;
using actors::OutcomeKind;
using store::Completion;
using store::Outcome;

Outcome to_outcome(OutcomeKind kind) {
  switch (kind) {
    case OutcomeKind::success:
      return Outcome::success;
    case OutcomeKind::failed:
    case OutcomeKind::crashed:
      return Outcome::failed;
    case OutcomeKind::timed_out:
      return Outcome::timed_out;
    case OutcomeKind::cancelled:
      return Outcome::cancelled;
    case OutcomeKind::lost:
      return Outcome::lost;
  }
  return Outcome::failed;
}

DispatchCore::End for_group(OutcomeKind kind) {
  switch (kind) {
    case OutcomeKind::success:
      return DispatchCore::End::success;
    case OutcomeKind::failed:
    case OutcomeKind::timed_out:
      return DispatchCore::End::failure;
    case OutcomeKind::cancelled:
    case OutcomeKind::lost:
    case OutcomeKind::crashed:
      return DispatchCore::End::neutral;
  }
  return DispatchCore::End::neutral;
}

double ms(Duration value) {
  return std::chrono::duration<double, std::milli>(value).count();
}

std::basic_string_view<unsigned char> bytes_of(const OutputTail& tail) {
  // The same bytes, as numbers.
  return {reinterpret_cast<const unsigned char*>(tail.record.data()),
          tail.record.size()};
}

/// What every attempt has that ran to its end. Not by way of Json, which would
/// take longer than all else that is decided here.
std::string measured(const process::ExitReport& report) {
  std::string text = fmt::format(
      R"("wall_ms":{},"user_ms":{},"system_ms":{},"max_rss_bytes":{},"output_bytes":{})",
      ms(report.wall), ms(report.user), ms(report.system), report.max_rss_bytes,
      report.stdout_bytes + report.stderr_bytes);
  if (report.unrecorded_bytes > 0)
    text += fmt::format(R"(,"unrecorded_bytes":{})", report.unrecorded_bytes);
  return text;
}

/// The fields of an Attempt in docs/openapi.yaml that the store has no column
/// for.
std::string detail_of(const Attempt& attempt) {
  std::string text = "{}";
  if (!attempt.causes.empty() || !attempt.notes.empty()) {
    Json json = Json::object();
    if (!attempt.causes.empty())
      json["cause"] = to_utf8(actors::describe(attempt.causes));
    for (const actors::Cause& cause : attempt.causes)
      json["causes"].push_back({{"kind", to_string(cause.kind)},
                                {"number", cause.number},
                                {"what", to_utf8(cause.what)}});
    if (!attempt.notes.empty())
      json["notes"] = attempt.notes;
    text = json.dump();
  }
  if (attempt.report) {
    text.pop_back();
    if (text.size() > 1)
      text += ',';
    text += measured(*attempt.report) + '}';
  }
  return text;
}

/// With who has run it, and what others are to see of its output.
std::string with_place(std::string detail, const EndedAttempt& ended) {
  if (ended.node.empty())
    return detail;
  Json place{{"node", ended.node}};
  if (!ended.home.empty())
    place["home"] = ended.home;
  if (ended.from)
    place["from"] = {{"shard", ended.from->shard},
                     {"found", to_string(ended.from->found)},
                     {"owner", to_utf8(ended.from->owner)}};
  const OutputTail& tail = ended.read.tail;
  if (!tail.record.empty()) {
    place["tail"] = fmt::format("{:02x}", fmt::join(bytes_of(tail), ""));
    place["tail_skipped"] = tail.skipped;
  }
  if (ended.read.handed_on)
    place["handed_on"] = Json::parse(*ended.read.handed_on, nullptr,
                                     /*allow_exceptions=*/false);
  const std::string text =
      place.dump(-1, ' ', false, Json::error_handler_t::replace);
  detail.pop_back();
  if (detail.size() > 1)
    detail += ',';
  return detail + text.substr(1);
}

std::string text_in(const std::string& detail, const char* key) {
  const Json json = Json::parse(detail, nullptr, /*allow_exceptions=*/false);
  const auto text = json.is_object() ? json.find(key) : json.end();
  return json.is_object() && text != json.end() && text->is_string()
             ? text->get<std::string>()
             : "";
}

std::optional<unsigned> digit(char c) {
  if (c >= '0' && c <= '9')
    return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f')
    return static_cast<unsigned>(c - 'a' + 10);
  return std::nullopt;
}

/// When it is tried again, if it is.
std::optional<WallTime> next_try(const EndedAttempt& ended,
                                 const Attempt& attempt, Random& random) {
  if (ended.is_cancelled || ended.delivery == store::Delivery::at_most_once)
    return std::nullopt;
  if (attempt.kind == OutcomeKind::lost)
    return ended.claim.losses + 1 < most_losses ? std::optional{ended.ended}
                                                : std::nullopt;
  const actors::RetryPolicy& retry = ended.spec.request.retry;
  const std::uint32_t failures = ended.claim.failures + 1;
  if (failures >= retry.attempts || !actors::is_worth_repeating(retry, attempt))
    return std::nullopt;
  const WallTime next =
      ended.ended + actors::delay_after(retry, failures, random);
  const WallTime first = ended.claim.first_started.value_or(ended.started);
  if (retry.max_elapsed > Duration{0} && next > first + retry.max_elapsed)
    return std::nullopt;
  return next;
}

}  // namespace

JudgedEnd judge(const EndedAttempt& ended, const process::AttemptEnd& end,
                Random& random) {
  const Attempt attempt = actors::judge(
      ended.spec.request, ended.claim.attempt.attempt, ended.started,
      {.end = end, .ended = ended.ended, .texts_found = ended.texts_found},
      ended.is_cancelled);
  return {.completion = {.attempt = ended.claim.attempt,
                         .outcome = to_outcome(attempt.kind),
                         .exit_status = actors::exit_status_of(attempt),
                         .detail = with_place(detail_of(attempt), ended),
                         .retry_at = next_try(ended, attempt, random),
                         .started = ended.started,
                         .ended = ended.ended},
          .for_group = for_group(attempt.kind)};
}

std::optional<OutputTail> tail_in(const std::string& detail) {
  const Json json = Json::parse(detail, nullptr, /*allow_exceptions=*/false);
  const auto text = json.is_object() ? json.find("tail") : json.end();
  if (!json.is_object() || text == json.end() || !text->is_string())
    return std::nullopt;
  OutputTail tail{.skipped = json.value("tail_skipped", std::uint64_t{0})};
  const auto& digits = text->get_ref<const std::string&>();
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    const auto high = digit(digits[i]);
    const auto low = digit(digits[i + 1]);
    if (!high || !low)
      return std::nullopt;
    tail.record.push_back(static_cast<char>(*high << 4U | *low));
  }
  return tail;
}

std::string node_in(const std::string& detail) {
  return text_in(detail, "node");
}

std::string home_in(const std::string& detail) {
  return text_in(detail, "home");
}

std::optional<FromAbroad> from_abroad_in(const std::string& detail) {
  // Most say nothing.
  if (detail.find("\"from\"") == std::string::npos)
    return std::nullopt;
  const Json json = Json::parse(detail, nullptr, /*allow_exceptions=*/false);
  const auto from = json.is_object() ? json.find("from") : json.end();
  if (!json.is_object() || from == json.end() || !from->is_object() ||
      !from->contains("shard") || !(*from)["shard"].is_number_unsigned() ||
      !from->contains("found") || !(*from)["found"].is_string() ||
      !from->contains("owner") || !(*from)["owner"].is_string())
    return std::nullopt;
  for (const Found found :
       {Found::submitted, Found::hinted, Found::offered, Found::abroad}) {
    if ((*from)["found"] == to_string(found))
      return FromAbroad{(*from)["shard"].get<std::uint32_t>(), found,
                        (*from)["owner"].get<std::string>()};
  }
  return std::nullopt;  // Of a later version.
}

std::optional<std::string> handed_on_in(const std::string& detail) {
  const Json json = Json::parse(detail, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("handed_on"))
    return std::nullopt;
  return json["handed_on"].dump(-1, ' ', false, Json::error_handler_t::replace);
}

store::LateResult too_late(const Completion& completion) {
  const std::string_view outcome = to_string(completion.outcome);
  Json json =
      Json::parse(completion.detail, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object())
    json = Json::object();
  json["late"] = {{"outcome", outcome},
                  {"exit_status", completion.exit_status},
                  {"cause", json.value("cause", Json{})}};
  json["exit_status"] = status_troupe_failed;
  json["cause"] = fmt::format(
      "was lost with its node; its result came too late to count: {}, exit "
      "status {}",
      outcome, completion.exit_status);
  json.erase("causes");
  return {completion.attempt, json.dump()};
}

Completion refused(const store::AttemptRef& attempt, Outcome outcome,
                   int exit_status, const std::string& why) {
  return {.attempt = attempt,
          .outcome = outcome,
          .exit_status = exit_status,
          .detail = Json{{"cause", to_utf8(why)}}.dump()};
}

}  // namespace troupe::queue
