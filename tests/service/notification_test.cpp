#include <troupe/service/notification.hpp>

#include <gtest/gtest.h>
#include <string>

namespace troupe::service {
namespace {

Notification with_status(std::string status) {
  Notification said;
  said.status = std::move(status);
  return said;
}

TEST(ParseNotification, ReadsEachAssignmentItKnows) {
  Notification all;
  all.ready = true;
  all.reloading = true;
  all.stopping = true;
  all.watchdog = true;
  all.status = "12 of 20 = 60 %";
  all.error_number = 2;
  EXPECT_EQ(parse_notification("READY=1\nRELOADING=1\nSTOPPING=1\nWATCHDOG=1\n"
                               "STATUS=12 of 20 = 60 %\nERRNO=2\n"),
            all);
}

TEST(ParseNotification, NeedsNoLineEndAfterTheLastLine) {
  EXPECT_TRUE(parse_notification("READY=1").ready);
  EXPECT_TRUE(parse_notification("\n\nREADY=1").ready);
}

TEST(ParseNotification, TellsASignOfLifeFromACallForHelp) {
  const Notification alive = parse_notification("WATCHDOG=1");
  EXPECT_TRUE(alive.watchdog);
  EXPECT_FALSE(alive.watchdog_trigger);
  const Notification help = parse_notification("WATCHDOG=trigger");
  EXPECT_FALSE(help.watchdog);
  EXPECT_TRUE(help.watchdog_trigger);
}

TEST(ParseNotification, SkipsWhatItDoesNotKnow) {
  for (const char* const text : {"",
                                 "\n",
                                 "=",
                                 "READY",
                                 "READY=",
                                 "READY=0",
                                 "READY=11",
                                 "READY =1",
                                 " READY=1",
                                 "ready=1",
                                 "READY=1\r",
                                 "XREADY=1",
                                 "STOPPING=yes",
                                 "RELOADING=2",
                                 "WATCHDOG=0",
                                 "WATCHDOG=triggered",
                                 "MAINPID=1",
                                 "BARRIER=1",
                                 "FDSTORE=1",
                                 "X_OWN=READY=1",
                                 "ERRNO=",
                                 "ERRNO=0",
                                 "ERRNO=-1",
                                 "ERRNO=+1",
                                 "ERRNO=4096",
                                 "ERRNO=2x",
                                 "ERRNO= 2",
                                 "ERRNO=99999999999999999999"})
    EXPECT_EQ(parse_notification(text), Notification{}) << text;
}

TEST(ParseNotification, SkipsOnlyTheLineThatItDoesNotKnow) {
  Notification ready;
  ready.ready = true;
  EXPECT_EQ(parse_notification("MAINPID=77\nREADY=1\nBARRIER=1\n"), ready);
}

TEST(ParseNotification, TakesTheLastOfSeveral) {
  EXPECT_EQ(parse_notification("STATUS=a\nSTATUS=b"), with_status("b"));
  EXPECT_EQ(parse_notification("ERRNO=1\nERRNO=0").error_number, 1);
  EXPECT_TRUE(parse_notification("READY=1\nREADY=0").ready);
}

TEST(ParseNotification, TellsAnEmptyStatusFromNone) {
  EXPECT_EQ(parse_notification("STATUS="), with_status(""));
  EXPECT_EQ(parse_notification("READY=1").status, std::nullopt);
}

TEST(ParseNotification, MakesTheStatusSafeToPrint) {
  using namespace std::string_view_literals;
  EXPECT_EQ(parse_notification("STATUS=\x1b[2J\xff ä\tb\0c"sv),
            with_status("\\x1b[2J\\xff ä\\tb\\x00c"));
}

TEST(ParseNotification, CutsTheStatusAtACharacter) {
  const std::string longest(max_status_bytes, 'x');
  EXPECT_EQ(parse_notification("STATUS=" + longest), with_status(longest));
  EXPECT_EQ(parse_notification("STATUS=" + longest + "y"),
            with_status(longest));
  const std::string but_one(max_status_bytes - 1, 'x');
  EXPECT_EQ(parse_notification("STATUS=" + but_one + "ä"),
            with_status(but_one));
}

}  // namespace
}  // namespace troupe::service
