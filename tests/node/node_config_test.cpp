#include <troupe/node/node_config.hpp>

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>

namespace troupe::node {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Result<LoadedConfig> load(const std::string& text) {
  return load_config(
      std::make_shared<const config::Source>("troupe.yaml", text),
      {.folder = "/var/lib/troupe", .socket = "/run/t.sock"});
}

std::string trouble(const std::string& text) {
  const auto loaded = load(text);
  return loaded ? "" : loaded.error().what;
}

TEST(NodeConfig, JobsAreInAFileUnlessAStoreIsNamed) {
  EXPECT_EQ(load("slots: 2")->config.store, "");
  const auto loaded = load(
      "store: postgresql://troupe@localhost/troupe\n"
      "store-password-file: /etc/troupe/password\n");
  ASSERT_TRUE(loaded) << loaded.error().what;
  EXPECT_EQ(loaded->config.store, "postgresql://troupe@localhost/troupe");
  EXPECT_EQ(loaded->config.store_password_file, "/etc/troupe/password");
}

TEST(NodeConfig, AStoreThatIsWrittenWronglyIsRefusedWithItsLine) {
  EXPECT_EQ(trouble("slots: 2\nstore: postgresq://localhost/troupe\n"),
            "troupe.yaml: line 2: store: unknown scheme \"postgresq\"; did you "
            "mean \"postgresql\"?");
  EXPECT_THAT(trouble("store: postgresql://db.example/troupe"),
              HasSubstr("sslmode=verify-full"));
}

TEST(NodeConfig, APasswordInTheStoreIsRefusedAndNotShown) {
  const std::string what =
      trouble("store: postgresql://u:secret@localhost/troupe");
  EXPECT_THAT(what, HasSubstr("store-password-file"));
  EXPECT_THAT(what, Not(HasSubstr("secret")));
}

TEST(NodeConfig, APasswordFileIsOfAStore) {
  EXPECT_EQ(trouble("store-password-file: /etc/troupe/password"),
            "troupe.yaml:1:22: store-password-file: there is no store that "
            "wants one\nstore-password-file: /etc/troupe/password\n"
            "                     ^~~~~~~~~~~~~~~~~~~~");
  EXPECT_THAT(trouble("store: postgresql://localhost/troupe\n"
                      "store-password-file: password\n"),
              HasSubstr("store-password-file: expected a path that begins "
                        "with /"));
}

TEST(NodeConfig, ANodeIsRootOnlyIfThatIsWanted) {
  const NodeConfig plain = load("slots: 2")->config;
  EXPECT_TRUE(check_user(plain, 1000));
  EXPECT_TRUE(check_user(load("allow-root: true")->config, 0));
  const auto refused = check_user(plain, 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::permission_denied);
  EXPECT_EQ(refused.error().what,
            "this node would be root, and so would each command that is "
            "submitted; start it as another user, or say allow-root: true in "
            "its configuration");
}

TEST(NodeConfig, CommandsMayGainPrivilegesUnlessTheFileSaysOtherwise) {
  EXPECT_FALSE(load("slots: 2")->config.no_new_privileges);
  EXPECT_TRUE(load("no-new-privileges: true")->config.no_new_privileges);
  EXPECT_THAT(trouble("no-new-privileges: 1"),
              HasSubstr("no-new-privileges: expected true or false"));
}

TEST(NodeConfig, AZoneIsANameThatIsALabelAsWell) {
  EXPECT_EQ(load("slots: 2")->config.zone, "");
  EXPECT_EQ(load("zone: eu-1")->config.zone, "eu-1");
  EXPECT_EQ(load("zone: \"\"")->config.zone, "");
  EXPECT_EQ(load("zone: abcdefghijklmnopqrstuvwx")->config.zone.size(), 24U);
  for (const char* const bad : {"zone: eu.1", "zone: a b", "zone: [a]",
                                "zone: abcdefghijklmnopqrstuvwxy"})
    EXPECT_THAT(trouble(bad), HasSubstr("troupe.yaml:1:7: zone: expected"))
        << bad;
  EXPECT_THAT(trouble("zone: eu.1"),
              HasSubstr("zone: expected up to 24 letters, digits, _ and -, "
                        "such as rome or eu-1, got \"eu.1\""));
  EXPECT_THAT(trouble("zoen: a"), HasSubstr("did you mean \"zone\"?"));
}

TEST(NodeConfig, AnotherStoreNeedsARestart) {
  NodeConfig next;
  next.store = "postgresql://localhost/troupe";
  EXPECT_THAT(need_restart({}, next), ::testing::ElementsAre("store"));
}

}  // namespace
}  // namespace troupe::node
