#include <troupe/base/text.hpp>
#include <troupe/workflow/notify.hpp>
#include <troupe/workflow/value.hpp>

#include <algorithm>
#include <fmt/format.h>

namespace troupe::workflow {
namespace {

constexpr std::size_t longest_detail = 2000;

/// "run r7 of etl failed: load > check".
std::string text_of(const Notice& notice, const NoticeRun& run) {
  const std::string who = fmt::format(
      "run {} of {}", run.id, run.title.empty() ? run.workflow : run.title);
  switch (notice.kind) {
    case NoticeKind::start:
      return who + " has started";
    case NoticeKind::success:
      return who + " has succeeded";
    case NoticeKind::failure:
      return fmt::format("{} has failed{}{}", who,
                         notice.blame.empty() ? "" : ": ", notice.blame);
    case NoticeKind::cancelled:
      return who + " was cancelled";
    case NoticeKind::recovered:
      return who + " has succeeded again";
    case NoticeKind::gave_up:
      return fmt::format("{}: {}", who, notice.detail);
    case NoticeKind::approval:
      return fmt::format("{}: job {} waits for approval{}{}", who, notice.job,
                         notice.detail.empty() ? "" : ": ", notice.detail);
  }
  return who;
}

}  // namespace

std::string_view to_string(NoticeKind kind) {
  switch (kind) {
    case NoticeKind::start:
      return "start";
    case NoticeKind::success:
      return "success";
    case NoticeKind::failure:
      return "failure";
    case NoticeKind::cancelled:
      return "cancelled";
    case NoticeKind::recovered:
      return "recovered";
    case NoticeKind::gave_up:
      return "gave-up";
    case NoticeKind::approval:
      return "approval";
  }
  return "unknown";
}

std::string_view to_string(NoticeRoute route) {
  switch (route) {
    case NoticeRoute::command:
      return "command";
    case NoticeRoute::webhook:
      return "webhook";
    case NoticeRoute::mail:
      return "mail";
  }
  return "unknown";
}

std::optional<NoticeRoute> notice_route(std::string_view name) {
  for (const NoticeRoute route :
       {NoticeRoute::command, NoticeRoute::webhook, NoticeRoute::mail}) {
    if (to_string(route) == name)
      return route;
  }
  return std::nullopt;
}

bool NotifyRule::wants(NoticeKind kind) const {
  return std::find(on.begin(), on.end(), kind) != on.end();
}

std::optional<WebhookUrl> parse_webhook(std::string_view url) {
  WebhookUrl out;
  out.is_secure = url.starts_with("https://");
  if (!out.is_secure && !url.starts_with("http://"))
    return std::nullopt;
  const bool is_printable = std::all_of(
      url.begin(), url.end(), [](char c) { return c > ' ' && c < 0x7f; });
  url.remove_prefix(out.is_secure ? 8 : 7);
  url = url.substr(0, url.find('#'));
  const std::size_t end = std::min(url.find_first_of("/?"), url.size());
  std::string_view authority = url.substr(0, end);
  out.target = url.substr(end);
  if (!out.target.starts_with('/'))
    out.target.insert(0, "/");
  out.port = out.is_secure ? "443" : "80";
  const std::size_t colon = authority.rfind(':');
  if (colon != std::string_view::npos &&
      authority.find(']', colon) == std::string_view::npos) {
    out.port = authority.substr(colon + 1);
    authority = authority.substr(0, colon);
  }
  if (authority.starts_with('[') && authority.ends_with(']'))
    authority = authority.substr(1, authority.size() - 2);
  out.host = authority;
  const bool has_port =
      !out.port.empty() && out.port.size() <= 5 &&
      std::all_of(out.port.begin(), out.port.end(),
                  [](char c) { return c >= '0' && c <= '9'; });
  // A password in a URL would have to become a header.
  if (!is_printable || out.host.empty() || !has_port ||
      out.host.find('@') != std::string::npos)
    return std::nullopt;
  return out;
}

actors::RetryPolicy notice_retries() {
  actors::RetryPolicy retry;
  retry.attempts = 3;
  retry.delay = 1s;
  retry.backoff = 4;
  return retry;
}

std::string notice_json(const Notice& notice, const NoticeRun& run) {
  Notice safe = notice;
  safe.detail = ellipsize(notice.detail, longest_detail);
  const auto result = [&]() -> std::string_view {
    switch (notice.kind) {
      case NoticeKind::success:
      case NoticeKind::recovered:
        return "succeeded";
      case NoticeKind::failure:
        return "failed";
      case NoticeKind::cancelled:
        return "cancelled";
      case NoticeKind::start:
      case NoticeKind::gave_up:
      case NoticeKind::approval:
        return "";
    }
    return "";
  };
  return Value{Value::Object{{"event", Value{to_string(notice.kind)}},
                             {"run", Value{run.id}},
                             {"workflow", Value{run.workflow}},
                             {"name", Value{run.title}},
                             {"file", Value{run.file}},
                             {"time", Value{run.time}},
                             {"result", Value{result()}},
                             {"failed_job", Value{safe.failed_job}},
                             {"blame", Value{safe.blame}},
                             {"job", Value{safe.job}},
                             {"detail", Value{safe.detail}},
                             {"text", Value{text_of(safe, run)}}}}
      .json();
}

}  // namespace troupe::workflow
