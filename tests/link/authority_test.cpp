/// The authority and the folder of a node, in temporary folders.
#include "temp_dir.hpp"

#include <troupe/link/authority.hpp>
#include <troupe/link/cluster_folder.hpp>

#include <chrono>
#include <filesystem>
#include <gtest/gtest.h>
#include <regex>
#include <string>
#include <sys/stat.h>

namespace troupe::link {
namespace {

using testing_dir = troupe::testing::TempDir;

const WallTime start{std::chrono::hours{24 * 365 * 56}};

mode_t mode_of(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 0777U : 0;
}

class AuthorityTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(Authority::create(home, start)); }

  [[nodiscard]] Authority open() const {
    auto opened = Authority::open(home);
    EXPECT_TRUE(opened.has_value()) << opened.error().what;
    return std::move(*opened);
  }
  std::string token_for(const std::string& name, bool renews = false) const {
    auto token = open().add_token(name, renews, 1h, start);
    EXPECT_TRUE(token.has_value()) << token.error().what;
    return token.value_or("");
  }
  /// The whole way.
  void enrol(const std::string& name, const ClusterFolder& folder,
             bool renews = false) const {
    const auto request = folder.begin(token_for(name, renews));
    ASSERT_TRUE(request.has_value()) << request.error().what;
    const auto answer = open().sign(*request, start);
    ASSERT_TRUE(answer.has_value()) << answer.error().what;
    const auto enrolled = folder.finish(answer->answer, start);
    ASSERT_TRUE(enrolled.has_value()) << enrolled.error().what;
  }

  testing_dir dir;
  const std::string home = dir.path("a/authority");
  const ClusterFolder node{dir.path("b/cluster")};
};

TEST_F(AuthorityTest, EnrolsANodeWithAToken) {
  enrol("n2", node);
  const auto identity = node.identity(start);
  ASSERT_TRUE(identity.has_value()) << identity.error().what;
  const auto info = read_certificate(identity->certificate);
  EXPECT_EQ(info->node, identity->node);
  EXPECT_FALSE(info->is_authority);
  EXPECT_EQ(info->until, start + node_valid);
  EXPECT_TRUE(open().enrolments().roster().admit(identity->node, info->key));
}

TEST_F(AuthorityTest, KeepsItsFilesToItself) {
  enrol("n2", node);
  for (const std::string& folder : {home, node.path()}) {
    EXPECT_EQ(mode_of(folder), 0700) << folder;
    for (const auto& file : std::filesystem::directory_iterator{folder})
      EXPECT_EQ(mode_of(file.path()), 0600) << file.path();
  }
}

// S13: 256 bits, and nothing is kept but its hash.
TEST_F(AuthorityTest, KeepsOnlyTheHashOfAToken) {
  const std::string token = token_for("n2");
  EXPECT_TRUE(std::regex_match(
      token, std::regex{"troupe1\\.[A-Za-z0-9_-]{43}\\.[0-9a-f]{64}"}));
  const std::string secret = token.substr(8, 43);
  for (const auto& file : std::filesystem::directory_iterator{home})
    EXPECT_EQ(
        dir.read("a/authority/" + file.path().filename().string()).find(secret),
        std::string::npos)
        << file.path();
  EXPECT_EQ(open().enrolments().tokens().at(0).hash, hash_of(secret));
}

TEST_F(AuthorityTest, GivesEachTokenAnotherSecret) {
  EXPECT_NE(token_for("n2"), token_for("n2"));
}

TEST_F(AuthorityTest, AnswersARequestThatComesAgainWithTheSame) {
  const std::string token = token_for("n2");
  const std::string request = node.begin(token).value();
  const auto first = open().sign(request, start);
  // The answer was lost, and the host begins anew.
  const auto second = open().sign(node.begin(token).value(), start + 1min);
  ASSERT_TRUE(second.has_value()) << second.error().what;
  EXPECT_TRUE(second->is_repeated);
  EXPECT_EQ(second->answer, first->answer);
  EXPECT_TRUE(node.finish(second->answer, start));
  EXPECT_TRUE(node.finish(second->answer, start)) << "repeated";
}

TEST_F(AuthorityTest, RefusesATokenASecondTime) {
  const std::string token = token_for("n2");
  ASSERT_TRUE(open().sign(node.begin(token).value(), start));
  const ClusterFolder thief{dir.path("c")};
  EXPECT_EQ(open().sign(thief.begin(token).value(), start).error().code,
            Errc::permission_denied);
}

TEST_F(AuthorityTest, RefusesATokenThatHasExpired) {
  const std::string token = token_for("n2");
  EXPECT_EQ(open().sign(node.begin(token).value(), start + 1h).error().code,
            Errc::permission_denied);
}

TEST_F(AuthorityTest, RefusesARequestForAKeyThatTheAskerDoesNotHave) {
  std::string request = node.begin(token_for("n2")).value();
  // Its signature, and still base64 that can be read.
  const std::size_t end = request.find("\\n-----END");
  request[end - 8] = request[end - 8] == 'A' ? 'B' : 'A';
  const auto answer = open().sign(request, start);
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code, Errc::corrupt);
  EXPECT_EQ(open().enrolments().nodes().size(), 0);
}

TEST_F(AuthorityTest, RefusesWhatIsNoRequest) {
  EXPECT_EQ(open().sign("hello", start).error(),
            (Error{Errc::corrupt,
                   "this is no request of troupe cluster "
                   "enrol"}));
}

TEST_F(AuthorityTest, KeepsANodesIdWhenItIsRenewed) {
  enrol("n2", node);
  const auto before = node.identity(start);
  enrol("n2", node, /*renews=*/true);
  const auto after = node.identity(start);
  EXPECT_EQ(after->node, before->node);
  EXPECT_NE(after->key, before->key);
}

TEST_F(AuthorityTest, TellsItsRosterOfARevocation) {
  enrol("n2", node);
  ASSERT_TRUE(open().revoke("n2", start));
  const auto roster = parse_roster(dir.read("a/authority/roster.json"));
  ASSERT_TRUE(roster.has_value());
  EXPECT_TRUE(roster->entries().at(0).is_revoked);
}

TEST_F(AuthorityTest, GivesItsNewestRosterToANodeOfThisHost) {
  enrol("n1", node);
  const auto take = [this](const Roster& roster, const std::string& authority) {
    return node.take_roster(roster, authority, start);
  };
  const std::string fingerprint = open().certificate().fingerprint;
  const Roster first = open().enrolments().roster();
  EXPECT_TRUE(take(first, std::string(64, '0')));  // Of somebody else.
  EXPECT_EQ(*node.roster(), std::nullopt);
  EXPECT_TRUE(take(first, fingerprint));
  EXPECT_EQ(*node.roster(), first);
  ASSERT_TRUE(open().revoke("n1", start + 1h));
  const Roster second = open().enrolments().roster();
  EXPECT_TRUE(take(second, fingerprint));
  EXPECT_TRUE(take(first, fingerprint));
  EXPECT_EQ(*node.roster(), second);
  // A host without a node has no use for it.
  EXPECT_TRUE(
      ClusterFolder{dir.path("c")}.take_roster(second, fingerprint, start));
  EXPECT_FALSE(std::filesystem::exists(dir.path("c")));
}

TEST_F(AuthorityTest, IsMadeOnce) {
  const auto again = Authority::create(home, start);
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().code, Errc::already_exists);
}

TEST_F(AuthorityTest, IsMissedWithAWordOnWhatToDo) {
  EXPECT_EQ(Authority::open("/nonexistent").error(),
            (Error{Errc::not_found,
                   "there is no authority in /nonexistent; troupe cluster init "
                   "makes one, on one host of the cluster"}));
}

TEST_F(AuthorityTest, DoesNotUseAKeyThatOthersCanRead) {
  const std::string path = home + "/authority.pem";
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  EXPECT_EQ(
      Authority::open(home).error(),
      (Error{Errc::permission_denied, "others can read or change " + path +
                                          "; run: chmod 600 " + path}));
}

// -- The side of the node -----------------------------------------------------

TEST_F(AuthorityTest, IsNotBelievedWhenTheTokenNamedAnotherOne) {
  const std::string other_home = dir.path("other");
  ASSERT_TRUE(Authority::create(other_home, start));
  std::string token = token_for("n2");
  ASSERT_TRUE(node.begin(token));
  // Somebody in the middle signs with an authority of its own.
  const ClusterFolder other_node{dir.path("d")};
  auto other = Authority::open(other_home);
  const auto answer = other->sign(
      other_node.begin(other->add_token("n2", false, 1h, start).value())
          .value(),
      start);
  const auto finished = node.finish(answer->answer, start);
  ASSERT_FALSE(finished.has_value());
  EXPECT_EQ(finished.error(),
            (Error{Errc::permission_denied,
                   "the answer comes from another authority than the token"}));
  EXPECT_FALSE(node.identity(start));
}

TEST_F(AuthorityTest, CannotGiveANodeTheCertificateOfAnother) {
  ASSERT_TRUE(node.begin(token_for("n2")));
  const ClusterFolder other{dir.path("d")};
  const std::string request = other.begin(token_for("n3")).value();
  const auto answer = open().sign(request, start);
  EXPECT_EQ(node.finish(answer->answer, start).error(),
            (Error{Errc::corrupt, "the certificate is for another key"}));
}

TEST_F(AuthorityTest, LeavesANodeThatHasNotBegunWithoutAnIdentity) {
  const ClusterFolder other{dir.path("d")};
  const std::string request = other.begin(token_for("n3")).value();
  const auto answer = open().sign(request, start);
  ASSERT_TRUE(std::filesystem::create_directories(node.path()));
  EXPECT_EQ(node.finish(answer->answer, start).error().code, Errc::not_found);
  EXPECT_EQ(node.identity(start).error().code, Errc::not_found);
}

TEST_F(AuthorityTest, SaysThatACertificateHasExpired) {
  enrol("n2", node);
  EXPECT_TRUE(node.identity(start + node_valid - 1s));
  EXPECT_EQ(node.identity(start + node_valid + 1s).error().what,
            node.path() +
                "/identity.pem: the certificate is not valid here: certificate "
                "has expired");
}

TEST_F(AuthorityTest, GivesNoNodeTheRightToSign) {
  enrol("n2", node);
  const auto identity = node.identity(start);
  // A certificate that a node signs is worth nothing.
  const std::string key = make_key().value();
  const auto forged =
      sign_certificate({identity->certificate, identity->key},
                       make_request(key).value(), make_node_id(), "n9", start);
  ASSERT_TRUE(forged.has_value());
  EXPECT_EQ(
      check_identity(key, *forged, identity->authority, start).error().code,
      Errc::permission_denied);
  EXPECT_EQ(
      check_identity(key, *forged, identity->certificate, start).error().code,
      Errc::permission_denied);
}

TEST(Token, IsNotRepeatedInTheWordsAboutIt) {
  const ClusterFolder folder{"/nonexistent"};
  EXPECT_EQ(folder.begin("troupe1.short.ab").error(),
            (Error{Errc::invalid_argument,
                   "this is no token of troupe cluster token, or not all of "
                   "it"}));
}

TEST(MakeNodeId, GivesRandomIdsOfVersionFour) {
  const std::string one = to_string(make_node_id());
  EXPECT_NE(one, to_string(make_node_id()));
  EXPECT_TRUE(std::regex_match(
      one, std::regex{"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-"
                      "[0-9a-f]{12}"}));
}

}  // namespace
}  // namespace troupe::link
