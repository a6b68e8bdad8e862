#include <troupe/link/stream_windows.hpp>

#include <gtest/gtest.h>

namespace troupe::link {
namespace {

constexpr std::uint32_t kib = 1024;

TEST(SendWindows, SendNoMoreThanTheWindowWithoutCredit) {
  SendWindows windows;
  ASSERT_TRUE(windows.open(1, 100 * kib));
  windows.sent(1, 64 * kib);
  EXPECT_EQ(windows.room(1), 36 * kib);
  windows.sent(1, 36 * kib);
  EXPECT_EQ(windows.room(1), 0);
  ASSERT_TRUE(windows.credit(1, 50 * kib));
  EXPECT_EQ(windows.room(1), 50 * kib);
}

TEST(SendWindows, RefuseCreditForWhatWasNotSent) {
  SendWindows windows;
  ASSERT_TRUE(windows.open(1, 100));
  windows.sent(1, 10);
  EXPECT_EQ(windows.credit(1, 11).error().code, Errc::corrupt);
  EXPECT_EQ(windows.credit(2, 1).error().code, Errc::corrupt);
}

TEST(SendWindows, TakeStreamsInAscendingOrderOnly) {
  SendWindows windows;
  ASSERT_TRUE(windows.open(5, 1));
  EXPECT_EQ(windows.open(5, 1).error().code, Errc::corrupt);
  EXPECT_EQ(windows.open(4, 1).error().code, Errc::corrupt);
  EXPECT_TRUE(windows.open(6, 1));
}

TEST(SendWindows, RefuseAWindowThatIsNone) {
  SendWindows windows;
  EXPECT_EQ(windows.open(1, 0).error().code, Errc::corrupt);
  EXPECT_EQ(windows.open(1, largest_window + 1).error().code, Errc::corrupt);
}

TEST(SendWindows, HaveSixteenMebibytesForALink) {
  SendWindows windows;
  for (std::uint64_t n = 1; n <= 16; ++n)
    ASSERT_TRUE(windows.open(n, largest_window));
  EXPECT_EQ(windows.open(17, 1).error().code, Errc::overloaded);
  EXPECT_TRUE(windows.close(3));
  EXPECT_TRUE(windows.open(18, largest_window));
}

TEST(SendWindows, HaveABoundOnSmallStreamsToo) {
  SendWindows windows;
  for (std::uint64_t n = 1; n <= most_streams; ++n)
    ASSERT_TRUE(windows.open(n, 1));
  EXPECT_EQ(windows.open(most_streams + 1, 1).error().code, Errc::overloaded);
}

TEST(SendWindows, IgnoreCreditThatHasCrossedAClose) {
  SendWindows windows;
  ASSERT_TRUE(windows.open(1, 10));
  windows.sent(1, 10);
  EXPECT_TRUE(windows.close(1));
  EXPECT_FALSE(windows.close(1));
  EXPECT_TRUE(windows.credit(1, 10));
  EXPECT_EQ(windows.room(1), 0);
}

TEST(ReceiveWindows, GiveCreditForHalfAWindowAtOnce) {
  ReceiveWindows windows;
  ASSERT_EQ(windows.open(100).value().number, 1);
  EXPECT_EQ(windows.received(1, 60), true);
  EXPECT_EQ(windows.taken(1, 49), std::nullopt);
  EXPECT_EQ(windows.taken(1, 1), 50);
  EXPECT_EQ(windows.taken(1, 10), std::nullopt);
}

TEST(ReceiveWindows, RefuseMoreThanTheWindow) {
  ReceiveWindows windows;
  ASSERT_TRUE(windows.open(100));
  EXPECT_EQ(windows.received(1, 60), true);
  EXPECT_EQ(windows.received(1, 41).error().code, Errc::corrupt);
  EXPECT_EQ(windows.received(1, 40), true);
}

TEST(ReceiveWindows, CountWhatWasTakenUntilCreditWasGivenForIt) {
  ReceiveWindows windows;
  ASSERT_TRUE(windows.open(100));
  EXPECT_EQ(windows.received(1, 100), true);
  EXPECT_EQ(windows.taken(1, 40), std::nullopt);
  EXPECT_EQ(windows.received(1, 1).error().code, Errc::corrupt);
  EXPECT_EQ(windows.taken(1, 10), 50);
  EXPECT_EQ(windows.received(1, 50), true);
}

TEST(ReceiveWindows, DropWhatComesAfterTheClose) {
  ReceiveWindows windows;
  ASSERT_TRUE(windows.open(100));
  EXPECT_TRUE(windows.close(1));
  EXPECT_EQ(windows.received(1, 60), false);
  EXPECT_EQ(windows.taken(1, 60), std::nullopt);
}

TEST(ReceiveWindows, RefuseAStreamThatWasNeverOpened) {
  ReceiveWindows windows;
  EXPECT_EQ(windows.received(1, 1).error().code, Errc::corrupt);
}

TEST(ReceiveWindows, HaveSixteenMebibytesForALink) {
  ReceiveWindows windows;
  for (std::uint64_t n = 1; n <= 16; ++n)
    ASSERT_TRUE(windows.open(largest_window));
  EXPECT_EQ(windows.open(1).error().code, Errc::overloaded);
  EXPECT_TRUE(windows.close(1));
  EXPECT_TRUE(windows.open(1));
}

}  // namespace
}  // namespace troupe::link
