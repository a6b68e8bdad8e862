// What a node hears of the services of a run.
#include "services_reporter_actor.hpp"

#include "fake_node.hpp"

#include <chrono>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace troupe::cli {
namespace {

/// The reporter has ended.
struct Over {};

}  // namespace
}  // namespace troupe::cli

TROUPE_LOCAL_MESSAGE(troupe::cli::Over)

namespace troupe::cli {
namespace {

using service::Availability;
using ::testing::ElementsAre;
using ::testing::SizeIs;

ServiceReports::Changes up(const std::string& service) {
  return {{service, Availability::up, {}}};
}

ServiceReports reports() {
  return ServiceReports{{.round = 1, .job = store::JobId{7}, .attempt = 2}};
}

TEST(ServiceReports, TellAllOnce) {
  ServiceReports all = reports();
  all.add(up("db"));
  EXPECT_EQ(all.next()->dump(),
            R"({"round":1,"job":7,"attempt":2,"from":0,)"
            R"("changes":[{"service":"db","state":"up"}]})");
  all.acknowledge();
  EXPECT_FALSE(all.next());
  all.add(up("web"));
  EXPECT_EQ(all.next()->at("from"), 1);
}

TEST(ServiceReports, SayWhoIsThereBeforeThereIsAnythingToTell) {
  ServiceReports all = reports();
  EXPECT_THAT(all.next()->at("changes"), SizeIs(0));
  all.acknowledge();
  EXPECT_FALSE(all.next());
}

TEST(ServiceReports, TellTheSameAgainUntilItIsKnownToHaveArrived) {
  ServiceReports all = reports();
  all.add(up("db"));
  const auto first = all.next();
  all.add(up("web"));
  EXPECT_EQ(all.next(), first);
  all.acknowledge();
  EXPECT_EQ(all.next()->at("changes").at(0).at("service"), "web");
}

TEST(ServiceReports, TellMuchInPieces) {
  ServiceReports all = reports();
  for (std::size_t n = 0; n <= ServiceReports::most_told; ++n)
    all.add(up("db"));
  EXPECT_THAT(all.next()->at("changes"), SizeIs(ServiceReports::most_told));
  all.acknowledge();
  EXPECT_THAT(all.next()->at("changes"), SizeIs(1));
}

TEST(ServiceReports, KeepOnlyHowEachIsWhenANodeIsAwayForLong) {
  ServiceReports all = reports();
  all.add(up("first"));
  EXPECT_THAT(all.next()->at("changes"), SizeIs(1));
  for (std::size_t n = 0; n < ServiceReports::most_kept; ++n)
    all.add({{n % 2 == 0 ? "db" : "web", Availability::down, {}}});
  all.acknowledge();
  EXPECT_THAT(all.next()->at("changes"), SizeIs(2));
  EXPECT_EQ(all.next()->at("from"), 1);
}

/// Nothing here may take longer; a test that does has failed.
constexpr auto reporter_deadline = std::chrono::seconds{20};
constexpr const char* call = "POST /v1/runs/7/services";

class ServicesReporterTest : public ::testing::Test {
 protected:
  ServicesReporterTest() {
    reporter = spawn_services_reporter(
        system, std::make_unique<FakeNode::Client>(node), "/v1/runs/7/services",
        reports(), actors::ActorRef{*self});
  }

  /// Has it tell one change and end.
  void tell(Duration patience) {
    (*self)->send(reporter, ReportChanges{up("db")});
    (*self)->send(reporter, EndReports{patience, [this] {
                                         actors::send(actors::ActorRef{*self},
                                                      Over{});
                                       }});
    bool is_over = false;
    while (!is_over) {
      (*self)->receive(
          [&](Over) { is_over = true; },
          [&](const ReportsRefused& m) { refusals.push_back(m.error.what); },
          caf::after(reporter_deadline) >>
              [&] {
                ADD_FAILURE() << "it does not end";
                is_over = true;
              });
    }
    reporter = nullptr;
    self.reset();
    EXPECT_TRUE(actors::await_all_actors(system, reporter_deadline));
  }

  FakeNode node;
  std::vector<std::string> refusals;
  actors::SystemConfig config{1};
  actors::ActorSystem system{config};
  std::optional<actors::ThreadActor> self{std::in_place, system};
  actors::ActorRef reporter;
};

TEST_F(ServicesReporterTest, TellsTheNodeBeforeItEnds) {
  node.on_text(call, "{}");
  tell(1min);
  EXPECT_THAT(node.asked, SizeIs(1));
}

TEST_F(ServicesReporterTest, AsksAgainWhileTheNodeIsAway) {
  node.retry_after = 1ms;
  node.on(call, failure(Errc::unavailable, "it has gone"));
  node.on_text(call, "{}");
  tell(1min);
  ASSERT_THAT(node.asked, SizeIs(2));
  EXPECT_EQ(node.asked[0], node.asked[1]);
}

TEST_F(ServicesReporterTest, GivesUpWhenItsTimeIsOver) {
  node.retry_after = 1h;
  node.on(call, failure(Errc::unavailable, "it has gone"));
  tell(1ms);
  EXPECT_THAT(node.asked, SizeIs(1));
}

TEST_F(ServicesReporterTest, TellsNothingMoreToANodeThatRefuses) {
  node.on(call, failure(Errc::not_found, "no run 7"));
  (*self)->send(reporter, ReportChanges{up("web")});
  tell(1min);
  EXPECT_THAT(refusals, ElementsAre("no run 7"));
  EXPECT_THAT(node.asked, SizeIs(1));
}

}  // namespace
}  // namespace troupe::cli
