#pragma once

#include <troupe/actors/command_request.hpp>
#include <troupe/base/time.hpp>
#include <troupe/config/source.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::workflow {

/// What of a run people can be told.
enum class NoticeKind : std::uint8_t {
  start,
  success,
  failure,
  cancelled,
  recovered,  ///< It succeeded, and the run of the workflow before it failed.
  gave_up,    ///< A group of jobs did.
  approval,   ///< A job waits for it.
};

inline constexpr std::array all_notice_kinds{
    NoticeKind::start,     NoticeKind::success,   NoticeKind::failure,
    NoticeKind::cancelled, NoticeKind::recovered, NoticeKind::gave_up,
    NoticeKind::approval};

/// As a file spells it: "gave-up".
[[nodiscard]] std::string_view to_string(NoticeKind kind);

enum class NoticeRoute : std::uint8_t { command, webhook, mail };

/// "command", "webhook" or "mail".
[[nodiscard]] std::string_view to_string(NoticeRoute route);
[[nodiscard]] std::optional<NoticeRoute> notice_route(std::string_view name);

/// Whom to tell, and of what: one of `notify`.
struct NotifyRule {
  config::Span where;
  std::vector<NoticeKind> on;
  NoticeRoute route = NoticeRoute::command;
  std::string to;  ///< A shell line, a URL or an address.

  [[nodiscard]] bool wants(NoticeKind kind) const;
};

/// What the URL of a webhook says.
struct WebhookUrl {
  bool is_secure = false;
  std::string host;
  std::string port;
  std::string target;  ///< From the first slash.
};

/// Nothing if `url` is no http:// or https:// URL.
[[nodiscard]] std::optional<WebhookUrl> parse_webhook(std::string_view url);

/// Something to tell.
struct Notice {
  NoticeKind kind = NoticeKind::start;
  std::string job;     ///< Of an approval or a group.
  std::string detail;  ///< For people; may be empty.
  std::string failed_job;
  std::string blame;

  friend bool operator==(const Notice&, const Notice&) = default;
};

/// A notice for one of the rules of a workflow.
struct NoticeOrder {
  /// Whether it depends on how the run before this one has ended.
  enum class If : std::uint8_t { always, recovered, not_recovered };

  std::size_t rule = 0;
  Notice notice;
  If condition = If::always;
};

/// What all notices of a run say.
struct NoticeRun {
  std::string id;
  std::string workflow;
  std::string title;
  std::string file;
  std::string time;  ///< As format_wall_time() has it.
};

// A notice is delivered by a command of its own, `troupe deliver-notice ROUTE`,
// which is tried a few times: so it has the limits of commands and outlives
// nobody, and to a run it does not matter what becomes of it.

inline constexpr std::string_view deliver_command = "deliver-notice";
/// What notice_json() says.
inline constexpr std::string_view notice_variable = "TROUPE_NOTICE";
/// NotifyRule::to; not an argument, which anybody could see.
inline constexpr std::string_view notice_target_variable = "TROUPE_NOTICE_TO";
/// Of each attempt.
inline constexpr Duration longest_delivery = 10s;
[[nodiscard]] actors::RetryPolicy notice_retries();

/// `notice` as one line of JSON, as docs/guide/run.md has it.
[[nodiscard]] std::string notice_json(const Notice& notice,
                                      const NoticeRun& run);

}  // namespace troupe::workflow
