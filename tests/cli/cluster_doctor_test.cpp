#include "cluster_doctor.hpp"

#include <troupe/base/wall_time.hpp>

#include <gmock/gmock.h>

namespace troupe::cli {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::Each;
using ::testing::Field;
using ::testing::HasSubstr;

class ClusterDoctorTest : public ::testing::Test {
 protected:
  ClusterDoctorTest() {
    for (const char* name : {"n1", "n2"})
      cluster["nodes"].push_back({{"name", name},
                                  {"state", "live"},
                                  {"shards", 2048},
                                  {"version", "1.0.0"},
                                  {"seen", "2026-05-01T11:59:55.000Z"}});
  }

  /// The symptoms that are not good, as lines.
  [[nodiscard]] std::string complaints() const {
    auto symptoms = diagnose(node, cluster, certificate_until, now);
    std::erase_if(symptoms, [](const Symptom& symptom) {
      return symptom.health == Health::good;
    });
    return render_symptoms(symptoms);
  }

  WallTime now = *parse_wall_time("2026-05-01T12:00:00Z");
  Result<WallTime> certificate_until = now + 24h * 365;
  Json node{{"durability", "replicated"},
            {"store",
             {{"software", "PostgreSQL 15"},
              {"settings", "fsync=on"},
              {"is_gone", false}}}};
  Json cluster{{"phase", "held"},   {"may_start", true},
               {"lease_ms", 60000}, {"right_left_ms", 55000},
               {"view", 7},         {"nodes", Json::array()}};
};

TEST_F(ClusterDoctorTest, HasNothingToSayOfOneThatIsWell) {
  EXPECT_EQ(complaints(), "");
  EXPECT_EQ(render_symptoms(diagnose(node, cluster, certificate_until, now)),
            "ok    PostgreSQL 15: what is acknowledged is replicated\n"
            "ok    this node may start commands, for 55s more\n"
            "ok    2 nodes: view 7\n"
            "ok    the certificate of this host is good until 2027-05-01\n");
}

TEST_F(ClusterDoctorTest, SaysThatAStoreIsGoneOrForgetful) {
  node["durability"] = "buffered";
  EXPECT_THAT(complaints(), HasSubstr("look  PostgreSQL 15 may lose what it"));
  node["store"]["is_gone"] = true;
  EXPECT_EQ(complaints(), "bad   the store does not answer (PostgreSQL 15)\n");
}

TEST_F(ClusterDoctorTest, SaysWhoIsNotHeardOfAndWhoseClockIsAhead) {
  cluster["nodes"][0]["seen"] = "2026-05-01T11:59:00.000Z";
  cluster["nodes"][0]["is_linked"] = false;
  cluster["nodes"][1]["seen"] = "2026-05-01T12:01:00.000Z";
  EXPECT_THAT(complaints(),
              HasSubstr("bad   n1 has not renewed its right for 1m"));
  EXPECT_THAT(complaints(), ::testing::Not(HasSubstr("no link to n1")));
  EXPECT_THAT(complaints(), HasSubstr("look  the clock of n2 is 1m ahead"));
}

TEST_F(ClusterDoctorTest, SaysThatVersionsDiffer) {
  cluster["nodes"][1]["version"] = "1.1.0";
  EXPECT_EQ(
      complaints(),
      "look  the nodes have versions 1.0.0, 1.1.0: upgrade all of them\n");
}

TEST_F(ClusterDoctorTest, SaysThatThereIsNobodyElse) {
  cluster["nodes"].erase(1);
  EXPECT_THAT(complaints(), HasSubstr("look  this is the only node"));
}

TEST_F(ClusterDoctorTest, SaysThatItMayNotStartAnything) {
  cluster["may_start"] = false;
  cluster["phase"] = "lapsed";
  EXPECT_EQ(complaints(),
            "bad   this node may not start anything: its session is lapsed\n");
}

TEST_F(ClusterDoctorTest, SaysWhenACertificateEnds) {
  certificate_until = now + 24h * 29;
  EXPECT_EQ(complaints(),
            "look  the certificate of this host expires on 2026-05-30; see "
            "troupe cluster token --renew, and start its node again then\n");
  certificate_until = now;
  EXPECT_THAT(complaints(), HasSubstr("bad   the certificate of this host has "
                                      "expired (2026-05-01)"));
}

TEST_F(ClusterDoctorTest, LooksAtTheCertificateThatTheNodeHas) {
  certificate_until = failure(Errc::not_found, "there is no /identity.pem");
  EXPECT_EQ(complaints(),
            "look  this node does not say until when its certificate is good, "
            "and where it could be there is none (there is no /identity.pem); "
            "see --folder\n");
  cluster["certificate"] = {{"file", "/etc/n1/identity.pem"},
                            {"until", "2026-05-30T12:00:00Z"}};
  EXPECT_EQ(complaints(),
            "look  the certificate of this node (/etc/n1/identity.pem) expires "
            "on 2026-05-30; see troupe cluster token --renew, and start its "
            "node again then\n");
  cluster["certificate"]["until"] = "2027-05-30T12:00:00Z";
  EXPECT_EQ(complaints(), "");
}

TEST_F(ClusterDoctorTest, SaysThatANodeIsRevokedAndNotThatItHasNoLink) {
  cluster["nodes"][1]["state"] = "revoked";
  cluster["nodes"][1]["is_linked"] = false;
  EXPECT_THAT(complaints(), ::testing::StartsWith("look  n2 is revoked, and"));
  EXPECT_THAT(complaints(), ::testing::Not(HasSubstr("link")));
}

TEST_F(ClusterDoctorTest, SaysWhatIsNotTakenOverAndHowItWouldBe) {
  EXPECT_EQ(consent_wanted(cluster), "");
  cluster["nodes"][0]["waits_for_consent"] = true;
  cluster["nodes"][1]["waits_for_consent"] = true;
  EXPECT_THAT(complaints(),
              ::testing::AllOf(
                  HasSubstr("bad   what n1, n2 had is not taken over yet: "),
                  HasSubstr("troupe cluster consent\n")));
}

TEST_F(ClusterDoctorTest, BlamesNobodyElseIfTheNodeDoesNotReachTheStore) {
  for (Json& other : cluster["nodes"])
    other["seen"] = "2026-05-01T11:58:53.000Z";
  cluster["right_left_ms"] = -7000;
  cluster["may_start"] = false;
  cluster["phase"] = "lapsed";
  EXPECT_EQ(complaints(),
            "bad   this node may not start anything: its session is lapsed\n"
            "bad   this node has not reached the store for 1m7s: what it says "
            "of the others is as old\n");
}

TEST_F(ClusterDoctorTest, IsNotConfusedByAnAnswerWithoutAnything) {
  const auto symptoms =
      diagnose(Json::object(), Json::object(), certificate_until, now);
  EXPECT_THAT(symptoms, Each(Field(&Symptom::what, ::testing::Not(""))));
}

}  // namespace
}  // namespace troupe::cli
