#include "member_start.hpp"

#include "temp_dir.hpp"

#include <troupe/store/sqlite_store.hpp>

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>

namespace troupe::node {
namespace {

using distributed::NodeId;
using link::Roster;
namespace fs = std::filesystem;

NodeId node_id(char last) {
  return *distributed::parse_node_id(
      std::string("00000000-0000-0000-0000-00000000000") + last);
}

Roster roster_of(std::uint64_t number, bool is_revoked) {
  return Roster::of({{node_id('1'), "n1", std::string(64, 'a'), false},
                     {node_id('2'), "n2", std::string(64, 'b'), is_revoked}},
                    number)
      .value();
}

class NewestRosterTest : public ::testing::Test {
 protected:
  void give_folder(const Roster& roster) const {
    std::ofstream{dir.path("roster.json")} << to_json(roster);
    fs::permissions(dir.path("roster.json"), fs::perms{0600});
  }
  void give_store(const Roster& roster) {
    ASSERT_TRUE(store->set_roster({roster.number(), to_json(roster)}));
  }
  [[nodiscard]] Roster newest() {
    return newest_roster(*store, link::ClusterFolder{dir.path()}).value();
  }

  testing::TempDir dir;
  std::unique_ptr<store::SqlStore> store =
      store::SqliteStore::open(dir.path("store.db")).value();
};

TEST_F(NewestRosterTest, IsEmptyWithoutAny) { EXPECT_EQ(newest(), Roster{}); }

TEST_F(NewestRosterTest, IsThatOfTheStoreIfItIsNewer) {
  give_store(roster_of(7, true));
  EXPECT_EQ(newest(), roster_of(7, true));
  give_folder(roster_of(6, false));
  EXPECT_EQ(newest(), roster_of(7, true));
}

TEST_F(NewestRosterTest, IsThatOfTheFolderIfItIsNewerAndTheStoreGetsIt) {
  give_store(roster_of(6, false));
  give_folder(roster_of(7, true));
  EXPECT_EQ(newest(), roster_of(7, true));
  EXPECT_EQ(store->roster_after(6).value()->number, 7U);
}

TEST_F(NewestRosterTest, DoesWithoutOneThatCannotBeRead) {
  ASSERT_TRUE(store->set_roster({7, "nothing"}));
  EXPECT_EQ(newest(), Roster{});
  give_folder(roster_of(6, true));
  EXPECT_EQ(newest(), roster_of(6, true));
}

TEST(CheckNotRevoked, SaysWhatToDoOnlyToWhoeverWasRevoked) {
  EXPECT_TRUE(check_not_revoked({}, node_id('2')));
  EXPECT_TRUE(check_not_revoked(roster_of(7, false), node_id('2')));
  EXPECT_TRUE(check_not_revoked(roster_of(7, true), node_id('1')));
  EXPECT_EQ(check_not_revoked(roster_of(7, true), node_id('2')).error(),
            (Error{Errc::permission_denied,
                   "n2 was revoked: this host is no member of its cluster any "
                   "more; to have it there again, enrol it anew, with troupe "
                   "cluster token n2 on the host of the authority"}));
}

}  // namespace
}  // namespace troupe::node
