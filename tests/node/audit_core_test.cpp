#include "audit_core.hpp"

#include <gtest/gtest.h>
#include <vector>

namespace troupe::node {
namespace {

AuditEntry entry(std::string what) {
  return {.at = WallTime{std::chrono::seconds{1'800'000'000}},
          .by = "user",
          .uid = 1000,
          .pid = 4711,
          .user = "ada",
          .what = std::move(what),
          .about = "job 7"};
}

std::string without_end(std::string line) {
  EXPECT_TRUE(line.ends_with('\n'));
  line.pop_back();
  return line;
}

std::vector<std::string> lines(std::size_t count) {
  AuditHead head;
  std::vector<std::string> all;
  for (std::size_t i = 0; i < count; ++i)
    all.push_back(without_end(next_audit_line(head, entry("POST /v1/jobs"))));
  return all;
}

/// What is wrong with the first line that is, or "".
std::string verdict(const std::vector<std::string>& all) {
  std::optional<AuditHead> head;
  for (const std::string& line : all) {
    if (auto checked = check_audit_line(head, line); !checked)
      return checked.error().what;
  }
  return {};
}

TEST(AuditCore, ALineSaysWhoDidWhatAndWhatCameOfIt) {
  AuditHead head;
  EXPECT_EQ(
      next_audit_line(head, entry("POST /v1/jobs")),
      R"({"number":1,"at":"2027-01-15T08:00:00.000Z","by":"user",)"
      R"("uid":1000,"user":"ada","pid":4711,"what":"POST /v1/jobs",)"
      R"("about":"job 7","result":"ok","before":)"
      R"("0000000000000000000000000000000000000000000000000000000000000000"})"
      "\n");
  EXPECT_EQ(head.number, 1U);
  const Json next = Json::parse(next_audit_line(head, entry("x"), 3));
  EXPECT_EQ(next["number"], 2);
  EXPECT_EQ(next["missed"], 3);
  EXPECT_NE(next["before"], AuditHead{}.hash);
}

TEST(AuditCore, AChainIsWholeFromAnyOfItsLinesOn) {
  auto all = lines(4);
  EXPECT_EQ(verdict(all), "");
  all.erase(all.begin());
  EXPECT_EQ(verdict(all), "");
  EXPECT_EQ(verdict({}), "");
}

TEST(AuditCore, EachCharacterThatIsChangedIsSeen) {
  const auto whole = lines(3);
  for (std::size_t i = 0; i < whole[1].size(); ++i) {
    auto changed = whole;
    changed[1][i] = static_cast<char>(changed[1][i] ^ 1);
    EXPECT_NE(verdict(changed), "") << changed[1];
  }
}

TEST(AuditCore, ALineThatIsLeftOutPutInOrMovedIsSeen) {
  const auto whole = lines(4);
  EXPECT_EQ(verdict({whole[0], whole[2], whole[3]}),
            "line 2 is missing, this is 3");
  EXPECT_EQ(verdict({whole[0], whole[1], whole[1]}),
            "line 3 is missing, this is 2");
  EXPECT_EQ(verdict({whole[1], whole[0]}), "line 3 is missing, this is 1");
  AuditHead foreign{1, std::string(64, 'a')};
  EXPECT_EQ(
      verdict({whole[0], without_end(next_audit_line(foreign, entry("x")))}),
      "line 2 does not follow: the one before it was changed, or it was "
      "put in");
  // The first of all has nothing before it.
  AuditHead begun{0, std::string(64, 'a')};
  EXPECT_NE(verdict({without_end(next_audit_line(begun, entry("x")))}), "");
}

TEST(AuditCore, WhatIsNoSuchLineIsRefused) {
  for (
      const char* const line :
      {"", "{}", "[]", "{", R"({"number":1,"before":"short"})",
       R"({"number":0,"before":"0000000000000000000000000000000000000000000000000000000000000000"})",
       R"({"number":-1,"before":"0000000000000000000000000000000000000000000000000000000000000000"})"})
    EXPECT_EQ(verdict({line}), "this is not a line of an audit log") << line;
}

TEST(AuditCore, ALineStaysShortWhateverIsAsked) {
  AuditHead head;
  AuditEntry long_one = entry("POST /" + std::string(20'000, '\x01'));
  long_one.user = std::string(20'000, '\xff');
  long_one.about = std::string(20'000, '"');
  const std::string line = next_audit_line(head, long_one);
  EXPECT_LT(line.size(), most_audit_line);
  EXPECT_EQ(verdict({without_end(line)}), "");
}

TEST(AuditCore, AnAnswerTellsWhatWasMadeOrWhatWasWrong) {
  EXPECT_EQ(made_by(R"({"job":17,"is_new":true})"), "job 17");
  EXPECT_EQ(made_by(R"({"run":3})"), "run 3");
  EXPECT_EQ(made_by("{}"), "");
  EXPECT_EQ(made_by(""), "");
  EXPECT_EQ(error_in(R"({"error":{"code":"not_found","what":"no job 9"}})"),
            "not_found");
  EXPECT_EQ(error_in("oops"), "internal");
}

}  // namespace
}  // namespace troupe::node
