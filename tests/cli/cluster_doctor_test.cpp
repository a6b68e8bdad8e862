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
  std::optional<WallTime> certificate_until = now + 24h * 365;
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
  cluster["nodes"][1]["seen"] = "2026-05-01T12:01:00.000Z";
  EXPECT_THAT(complaints(),
              HasSubstr("bad   n1 has not renewed its right for 1m"));
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
            "troupe cluster token --renew\n");
  certificate_until = now;
  EXPECT_THAT(complaints(), HasSubstr("bad   the certificate of this host has "
                                      "expired (2026-05-01)"));
}

TEST_F(ClusterDoctorTest, IsNotConfusedByAnAnswerWithoutAnything) {
  const auto symptoms = diagnose(Json::object(), Json::object(), {}, now);
  EXPECT_THAT(symptoms, Each(Field(&Symptom::what, ::testing::Not(""))));
}

}  // namespace
}  // namespace troupe::cli
