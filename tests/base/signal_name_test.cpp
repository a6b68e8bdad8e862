#include <troupe/base/signal_name.hpp>

#include <csignal>
#include <gtest/gtest.h>

namespace troupe {
namespace {

TEST(SignalName, NamesWhatHasAName) {
  EXPECT_EQ(signal_name(SIGTERM), "SIGTERM");
  EXPECT_EQ(signal_name(40), "signal 40");
}

TEST(ParseSignal, TakesNamesAndNumbers) {
  for (const char* const text : {"TERM", "SIGTERM", "term", "15"})
    EXPECT_EQ(parse_signal(text), SIGTERM) << text;
  for (const char* const text : {"", "0", "65", "-9", "TERN", "SIG"})
    EXPECT_EQ(parse_signal(text), std::nullopt) << text;
}

TEST(SignalNames, AreShortAndKnown) {
  for (const std::string_view name : signal_names())
    EXPECT_TRUE(parse_signal(name)) << name;
  EXPECT_EQ(signal_names().front(), "HUP");
}

}  // namespace
}  // namespace troupe
