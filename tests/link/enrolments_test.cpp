#include "link_nodes.hpp"

#include <troupe/link/enrolments.hpp>

#include <gtest/gtest.h>

namespace troupe::link {
namespace {

const WallTime start{std::chrono::hours{24 * 365 * 56}};

std::string digits(char digit) { return std::string(64, digit); }

/// A token of this hash for a node of this name, valid for an hour.
Enrolments with_token(char hash, const std::string& name,
                      std::uint8_t fresh = 1) {
  Enrolments enrolments;
  EXPECT_TRUE(enrolments.add_token(digits(hash), name, node_id(fresh), false,
                                   1h, start));
  return enrolments;
}

EnrolledNode node_with(const Enrolments::Grant& grant, char key) {
  return {.node = grant.node,
          .name = grant.name,
          .key = digits(key),
          .certificate = std::string("certificate of ") + key,
          .issued = start,
          .expires = start + 24h * 365};
}

/// The same, once it was used by this key.
Enrolments with_node(char hash, const std::string& name, char key) {
  Enrolments enrolments = with_token(hash, name);
  const auto grant = enrolments.redeem(digits(hash), digits(key), start);
  EXPECT_TRUE(grant.has_value());
  enrolments.issue(digits(hash), node_with(*grant, key));
  return enrolments;
}

TEST(Enrolments, GrantACertificateForAToken) {
  const auto grant =
      with_token('a', "n1").redeem(digits('a'), digits('k'), start + 59min);
  ASSERT_TRUE(grant.has_value());
  EXPECT_EQ(grant->name, "n1");
  EXPECT_EQ(grant->node, node_id(1));
  EXPECT_EQ(grant->certificate, "");
}

TEST(Enrolments, GrantNothingForATokenThatIsNotTheirs) {
  EXPECT_EQ(with_token('a', "n1")
                .redeem(digits('b'), digits('k'), start)
                .error()
                .code,
            Errc::permission_denied);
}

TEST(Enrolments, GrantNothingOnceATokenHasExpired) {
  EXPECT_EQ(
      with_token('a', "n1")
          .redeem(digits('a'), digits('k'), start + 1h)
          .error(),
      (Error{Errc::permission_denied,
             "the token for n1 has expired at 2025-12-18T01:00:00.000Z"}));
}

TEST(Enrolments, GrantATokenToOneKeyOnly) {
  const Enrolments enrolments = with_node('a', "n1", 'c');
  EXPECT_EQ(enrolments.redeem(digits('a'), digits('d'), start).error(),
            (Error{Errc::permission_denied,
                   "the token for n1 has been used; if not by you, revoke n1 "
                   "now"}));
}

TEST(Enrolments, AnswerTheSameKeyWithTheSameCertificate) {
  const Enrolments enrolments = with_node('a', "n1", 'c');
  EXPECT_EQ(enrolments.redeem(digits('a'), digits('c'), start)->certificate,
            "certificate of c");
}

TEST(Enrolments, RefuseATokenForANameThatIsEnrolled) {
  Enrolments enrolments = with_node('a', "n1", 'c');
  EXPECT_EQ(
      enrolments.add_token(digits('b'), "n1", node_id(2), false, 1h, start)
          .error(),
      (Error{Errc::already_exists,
             "n1 is enrolled already; renew its certificate with --renew, or "
             "revoke it first"}));
}

TEST(Enrolments, KeepTheIdOfANodeThatIsRenewed) {
  Enrolments enrolments = with_node('a', "n1", 'c');
  ASSERT_TRUE(
      enrolments.add_token(digits('b'), "n1", node_id(2), true, 1h, start));
  const auto grant = enrolments.redeem(digits('b'), digits('d'), start);
  EXPECT_EQ(grant->node, node_id(1));
  enrolments.issue(digits('b'), node_with(*grant, 'd'));
  ASSERT_EQ(enrolments.nodes().size(), 1);
  EXPECT_TRUE(enrolments.roster().admit(node_id(1), digits('d')));
  EXPECT_FALSE(enrolments.roster().admit(node_id(1), digits('c')));
  // The answer to the first token would bring the old key back.
  EXPECT_FALSE(enrolments.redeem(digits('a'), digits('c'), start));
}

TEST(Enrolments, RenewNobodyWhoIsNotEnrolled) {
  Enrolments enrolments;
  EXPECT_EQ(enrolments.add_token(digits('b'), "n1", node_id(2), true, 1h, start)
                .error()
                .code,
            Errc::not_found);
}

TEST(Enrolments, ReplaceATokenThatWasNotUsed) {
  Enrolments enrolments = with_token('a', "n1");
  ASSERT_TRUE(
      enrolments.add_token(digits('b'), "n1", node_id(2), false, 1h, start));
  EXPECT_FALSE(enrolments.redeem(digits('a'), digits('c'), start));
  EXPECT_TRUE(enrolments.redeem(digits('b'), digits('c'), start));
}

TEST(Enrolments, RevokeByNameOrByIdAndSayWhenIfItWasBefore) {
  Enrolments enrolments = with_node('a', "n1", 'c');
  EXPECT_EQ(enrolments.revoke("n1", start + 1h), start + 1h);
  EXPECT_EQ(enrolments.revoke(to_string(node_id(1)), start + 2h), start + 1h);
  EXPECT_FALSE(enrolments.roster().admit(node_id(1), digits('c')));
  EXPECT_FALSE(enrolments.redeem(digits('a'), digits('c'), start));
}

TEST(Enrolments, CountTheirRostersAndNeverFallBehindTheClock) {
  Enrolments enrolments = with_node('a', "n1", 'c');
  const auto first = enrolments.roster().number();
  EXPECT_EQ(WallTime{std::chrono::seconds{first}}, start);
  ASSERT_TRUE(
      enrolments.add_token(digits('b'), "n2", node_id(2), false, 1h, start));
  EXPECT_EQ(enrolments.roster().number(), first);
  const Enrolments copy = enrolments;
  ASSERT_TRUE(enrolments.revoke("n1", start));
  EXPECT_EQ(enrolments.roster().number(), first + 1);
  ASSERT_TRUE(enrolments.revoke("n1", start + 1h));
  EXPECT_EQ(enrolments.roster().number(), first + 1);
  // A backup that is taken into use again.
  enrolments = copy;
  ASSERT_TRUE(enrolments.revoke("n1", start + 5s));
  EXPECT_EQ(enrolments.roster().number(), first + 5);
}

TEST(Enrolments, RevokeATokenThatWasNotUsed) {
  Enrolments enrolments = with_token('a', "n1");
  EXPECT_TRUE(enrolments.revoke("n1", start));
  EXPECT_FALSE(enrolments.redeem(digits('a'), digits('c'), start));
}

TEST(Enrolments, RevokeNobodyByAWrongName) {
  Enrolments enrolments = with_node('a', "node1", 'c');
  EXPECT_EQ(
      enrolments.revoke("node2", start).error(),
      (Error{Errc::not_found, "no node \"node2\"; did you mean \"node1\"?"}));
}

TEST(Enrolments, GiveANameToANewNodeOnceTheOldOneIsRevoked) {
  Enrolments enrolments = with_node('a', "n1", 'c');
  ASSERT_TRUE(enrolments.revoke("n1", start));
  ASSERT_TRUE(
      enrolments.add_token(digits('b'), "n1", node_id(2), false, 1h, start));
  const auto grant = enrolments.redeem(digits('b'), digits('d'), start);
  EXPECT_EQ(grant->node, node_id(2));
  enrolments.issue(digits('b'), node_with(*grant, 'd'));
  EXPECT_FALSE(enrolments.roster().admit(node_id(1), digits('c')));
  EXPECT_TRUE(enrolments.roster().admit(node_id(2), digits('d')));
}

TEST(Enrolments, HaveABoundOnTokens) {
  Enrolments enrolments;
  for (std::size_t i = 0; i < most_open_tokens; ++i)
    ASSERT_TRUE(enrolments.add_token(std::to_string(i), "n" + std::to_string(i),
                                     node_id(1), false, 1h, start));
  EXPECT_EQ(
      enrolments.add_token("x", "x", node_id(1), false, 1h, start).error().code,
      Errc::overloaded);
  EXPECT_TRUE(
      enrolments.add_token("x", "x", node_id(1), false, 1h, start + 25h + 1s));
}

TEST(Enrolments, GiveNoTokenForEver) {
  Enrolments enrolments;
  EXPECT_EQ(
      enrolments.add_token(digits('a'), "n1", node_id(1), false, 24h * 8, start)
          .error(),
      (Error{Errc::invalid_argument,
             "a token is valid from 1s to 7d, not 8d"}));
}

TEST(Enrolments, ComeOutOfAFileAsTheyWentIn) {
  Enrolments enrolments = with_node('a', "n1", 'c');
  ASSERT_TRUE(
      enrolments.add_token(digits('b'), "n2", node_id(2), false, 1h, start));
  ASSERT_TRUE(enrolments.revoke("n1", start));
  EXPECT_EQ(parse_enrolments(to_json(enrolments)), enrolments);
}

TEST(Enrolments, AreNotReadFromWhatIsNone) {
  for (const char* text : {"", "[]", "{}", R"({"version":1})",
                           R"({"version":1,"nodes":[{}],"tokens":[]})",
                           R"({"version":1,"nodes":[],"tokens":[1]})"})
    EXPECT_EQ(parse_enrolments(text).error().code, Errc::corrupt) << text;
  EXPECT_EQ(
      parse_enrolments(R"({"version":2,"nodes":[],"tokens":[]})").error().code,
      Errc::unsupported);
}

}  // namespace
}  // namespace troupe::link
