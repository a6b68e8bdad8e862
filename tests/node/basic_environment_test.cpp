#include "basic_environment.hpp"

#include <array>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace troupe::node {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

const Account ada{.name = "ada", .home = "/home/ada", .shell = "/bin/bash"};

TEST(BasicEnvironment, IsWhatTheSystemKnowsOfTheUserIfTheNodeHasNothing) {
  const std::array<const char*, 1> own{nullptr};
  EXPECT_THAT(
      basic_environment(own.data(), ada, "/run/n.sock"),
      ElementsAre(Pair("HOME", "/home/ada"), Pair("LOGNAME", "ada"),
                  Pair("PATH", "/usr/local/bin:/usr/bin:/bin"),
                  Pair("SHELL", "/bin/bash"),
                  Pair("TROUPE_SOCKET", "/run/n.sock"), Pair("USER", "ada")));
}

TEST(BasicEnvironment, HasOfTheNodesVariablesOnlyThoseThatAreForAll) {
  const std::array<const char*, 11> own{"PATH=/opt/bin",
                                        "HOME=/srv",
                                        "LANG=de_DE.UTF-8",
                                        "LC_ALL=C",
                                        "TZ=UTC",
                                        "PGPASSWORD=secret",
                                        "NOTIFY_SOCKET=/run/systemd/notify",
                                        "PATHS=no",
                                        "TROUPE_SOCKET=/elsewhere",
                                        "nonsense",
                                        nullptr};
  EXPECT_THAT(basic_environment(own.data(), ada, "/run/n.sock"),
              ElementsAre(Pair("HOME", "/srv"), Pair("LANG", "de_DE.UTF-8"),
                          Pair("LC_ALL", "C"), Pair("LOGNAME", "ada"),
                          Pair("PATH", "/opt/bin"), Pair("SHELL", "/bin/bash"),
                          Pair("TROUPE_SOCKET", "/run/n.sock"),
                          Pair("TZ", "UTC"), Pair("USER", "ada")));
}

TEST(BasicEnvironment, OfAUserThatTheSystemDoesNotKnowIsUsable) {
  const std::array<const char*, 2> own{"USER=7001", nullptr};
  EXPECT_THAT(basic_environment(own.data(), {}, "/n"),
              ElementsAre(Pair("HOME", "/"), Pair("LOGNAME", "7001"),
                          Pair("PATH", "/usr/local/bin:/usr/bin:/bin"),
                          Pair("SHELL", "/bin/sh"), Pair("TROUPE_SOCKET", "/n"),
                          Pair("USER", "7001")));
}

}  // namespace
}  // namespace troupe::node
