// Whom to tell, and of what.
#include "plan_script.hpp"

#include <gmock/gmock.h>

namespace troupe::workflow {
namespace {

using ::testing::HasSubstr;

std::string rule_error(const std::string& rule) {
  const auto workflow = load_workflow(
      "etl.yaml", "jobs: {a: {run: x}}\nnotify: [" + rule + "]\n");
  return workflow ? "" : workflow.error().what;
}

TEST(Notify, IsCheckedWhenTheFileIsRead) {
  EXPECT_EQ(rule_error("{on: failure, mail: ops@example.org}"), "");
  EXPECT_EQ(rule_error("{on: [success, gave-up], command: ./tell}"), "");
  EXPECT_EQ(rule_error("{on: approval, webhook: \"https://chat/hook\"}"), "");
  EXPECT_THAT(rule_error("{on: faliure, mail: a@b}"),
              HasSubstr("did you mean \"failure\""));
  EXPECT_THAT(rule_error("{on: failure}"),
              HasSubstr("needs either \"command\""));
  EXPECT_THAT(rule_error("{mail: a@b}"), HasSubstr("needs \"on\""));
  EXPECT_THAT(rule_error("{on: failure, mail: a@b, command: x}"),
              HasSubstr("needs either \"command\""));
  EXPECT_THAT(rule_error("{on: failure, mail: ops}"),
              HasSubstr("mail: expected one address"));
  EXPECT_THAT(rule_error("{on: failure, mail: \"a@b, c@d\"}"),
              HasSubstr("mail: expected one address"));
  EXPECT_THAT(rule_error("{on: failure, webhook: chat}"),
              HasSubstr("webhook: expected a URL"));
  EXPECT_THAT(rule_error("{on: failure, webhook: \"http://${{ inputs.x }}/\"}"),
              HasSubstr("expressions in \"webhook\" are not supported"));
}

TEST(Notify, AUrlIsTakenApart) {
  const auto parts = [](std::string_view url) {
    const auto parsed = parse_webhook(url);
    return parsed ? fmt::format("{} {} {} {}", parsed->is_secure, parsed->host,
                                parsed->port, parsed->target)
                  : "none";
  };
  EXPECT_EQ(parts("http://chat"), "false chat 80 /");
  EXPECT_EQ(parts("https://chat/a?b=c#d"), "true chat 443 /a?b=c");
  EXPECT_EQ(parts("http://chat:8080?x"), "false chat 8080 /?x");
  EXPECT_EQ(parts("http://[::1]:81/x"), "false ::1 81 /x");
  EXPECT_EQ(parts("http://[::1]/x"), "false ::1 80 /x");
  EXPECT_EQ(parts("ftp://chat/"), "none");
  EXPECT_EQ(parts("http:///x"), "none");
  EXPECT_EQ(parts("http://a:b/"), "none");
  EXPECT_EQ(parts("http://me:secret@chat/"), "none");
  EXPECT_EQ(parts("http://chat/a b"), "none");
}

TEST(Notify, ANoticeIsAlwaysJson) {
  const Notice notice{.kind = NoticeKind::approval,
                      .job = "load",
                      .detail = "is \"it\"\nfine?",
                      .failed_job = {},
                      .blame = {}};
  const auto json = parse_json(notice_json(notice, {.id = "r7",
                                                    .workflow = "etl",
                                                    .title = {},
                                                    .file = "/e.yaml",
                                                    .time = "now"}));
  ASSERT_TRUE(json);
  EXPECT_EQ(json->member("text")->text(),
            "run r7 of etl: job load waits for approval: is \"it\"\nfine?");
  EXPECT_EQ(json->member("event")->text(), "approval");
}

}  // namespace
}  // namespace troupe::workflow
