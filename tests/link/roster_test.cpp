#include "link_nodes.hpp"

#include <troupe/link/roster.hpp>

#include <gtest/gtest.h>

namespace troupe::link {
namespace {

std::string key_of(char digit) { return std::string(64, digit); }

Roster two_nodes() {
  return Roster::of({{node_id(2), "n2", key_of('b'), true},
                     {node_id(1), "n1", key_of('a'), false}})
      .value();
}

TEST(Roster, AdmitsANodeWithItsKey) {
  EXPECT_TRUE(two_nodes().admit(node_id(1), key_of('a')));
}

TEST(Roster, RefusesANodeThatIsNotEnrolled) {
  EXPECT_EQ(two_nodes().admit(node_id(3), key_of('a')).error(),
            (Error{Errc::permission_denied,
                   "node 00000000-0000-0000-0000-000000000003 is not enrolled "
                   "in this cluster"}));
}

TEST(Roster, RefusesTheNameOfANodeWithAnotherKey) {
  EXPECT_EQ(two_nodes().admit(node_id(1), key_of('b')).error(),
            (Error{Errc::permission_denied,
                   "node 00000000-0000-0000-0000-000000000001 (n1) was "
                   "enrolled with another key"}));
}

TEST(Roster, RefusesANodeThatWasRevoked) {
  EXPECT_EQ(two_nodes().admit(node_id(2), key_of('b')).error(),
            (Error{Errc::permission_denied,
                   "node 00000000-0000-0000-0000-000000000002 (n2) was "
                   "revoked"}));
}

TEST(Roster, TellsWhoWasRevokedFromWhoWasNeverThere) {
  EXPECT_FALSE(two_nodes().is_revoked(node_id(1)));
  EXPECT_TRUE(two_nodes().is_revoked(node_id(2)));
  EXPECT_FALSE(two_nodes().is_revoked(node_id(3)));
}

TEST(Roster, LetsNobodyInWhenItIsEmpty) {
  EXPECT_FALSE(Roster{}.admit(node_id(1), key_of('a')));
  EXPECT_FALSE(Roster{}.admit({}, ""));
}

TEST(Roster, ComesOutOfAFileAsItWentIn) {
  EXPECT_EQ(parse_roster(to_json(two_nodes())), two_nodes());
  EXPECT_EQ(parse_roster(to_json(Roster{})), Roster{});
}

TEST(Roster, OfAVersionThatDidNotCountHasNumberZero) {
  EXPECT_EQ(parse_roster(R"({"nodes": []})")->number(), 0U);
  EXPECT_EQ(parse_roster(to_json(*Roster::of({}, 7)))->number(), 7U);
}

TEST(Roster, IsNotReadFromWhatIsNone) {
  for (const char* text :
       {"", "[]", "{}", R"({"nodes":{}})", R"({"nodes":[1]})",
        R"({"nodes":[{}]})",
        R"({"nodes":[{"node":"x","name":"n","key":"","revoked":false}]})"})
    EXPECT_EQ(parse_roster(text).error().code, Errc::corrupt) << text;
}

TEST(Roster, HasEachNodeOnce) {
  EXPECT_EQ(Roster::of({{node_id(1), "n1", key_of('a')},
                        {node_id(1), "n2", key_of('b')}})
                .error()
                .code,
            Errc::invalid_argument);
}

TEST(NodeName, IsMadeOfHarmlessCharacters) {
  for (const char* good : {"n1", "N", "db-2.example", "a_b"})
    EXPECT_TRUE(check_node_name(good)) << good;
  for (const char* bad : {"", "-n", "n.", "a b", "a/b", "n\n", "ä"})
    EXPECT_FALSE(check_node_name(bad)) << bad;
  EXPECT_FALSE(check_node_name(std::string(65, 'n')));
  EXPECT_EQ(check_node_name("a b").error().what,
            "expected a name such as n1 or db-2.example, of letters, digits "
            "and . _ -, got \"a b\"");
}

}  // namespace
}  // namespace troupe::link
