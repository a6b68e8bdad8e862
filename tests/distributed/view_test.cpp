#include "node_ids.hpp"

#include <troupe/distributed/view.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>
#include <string>

namespace troupe::distributed {
namespace {

using testing::ElementsAre;

/// Nodes 1 to 3: joining, active, draining.
View small_view() {
  return {.number = 7,
          .members = {{node_id(1), 100, "rome", MemberState::joining},
                      {node_id(2), 250, "oslo-2", MemberState::active},
                      {node_id(3), 10, "", MemberState::draining}},
          .ring = {.seed = 18'446'744'073'709'551'615U}};
}

constexpr const char* small_json =
    R"({"number":7,"ring":{"algorithm":1,"seed":18446744073709551615,)"
    R"("virtual_nodes":128,"load_numerator":5,"load_denominator":4,)"
    R"("shards":4096},"members":[)"
    R"({"node":"0074726f-7570-6500-0000-000000000001","weight":100,)"
    R"("zone":"rome","state":"joining"},)"
    R"({"node":"0074726f-7570-6500-0000-000000000002","weight":250,)"
    R"("zone":"oslo-2","state":"active"},)"
    R"({"node":"0074726f-7570-6500-0000-000000000003","weight":10,)"
    R"("zone":"","state":"draining"}]})";

/// small_json with one text replaced.
std::string json_with(std::string_view old, std::string_view other) {
  std::string json = small_json;
  const auto at = json.find(old);
  EXPECT_NE(at, std::string::npos) << old;
  return json.replace(at, old.size(), other);
}

TEST(View, IsWrittenAsOneLineOfJson) {
  EXPECT_EQ(to_json(small_view()), small_json);
}

TEST(View, IsReadFromItsJson) {
  EXPECT_EQ(parse_view(small_json), small_view());
}

TEST(View, SkipsFieldsOfLaterVersions) {
  EXPECT_EQ(parse_view(json_with(R"("zone":"rome")",
                                 R"("zone":"rome","rack":{"row":3})")),
            small_view());
}

TEST(View, IsCorruptIfItsJsonMakesNoSense) {
  for (const auto& [old, other, what] :
       {std::tuple{"{\"number\":7", "{\"number\":-7",
                   "view: no number, ring or members"},
        std::tuple{"\"members\":[", "\"members\":7,\"x\":[",
                   "view: no number, ring or members"},
        std::tuple{"\"shards\":4096", "\"shards\":4294967296",
                   "view: a field of the ring is missing or no number"},
        std::tuple{"\"shards\":4096", "\"shards\":0",
                   "ring: 0 shards instead of 1 to 32768"},
        std::tuple{"\"weight\":100", "\"weight\":\"100\"",
                   "view: a field of a member is missing or makes no sense"},
        std::tuple{"joining", "dancing",
                   "view: a field of a member is missing or makes no sense"},
        std::tuple{"\"weight\":100", "\"weight\":1001",
                   "view: node 0074726f-7570-6500-0000-000000000001 has "
                   "weight 1001 instead of 1 to 1000"},
        std::tuple{"rome", "r\\u00f6me",
                   "view: node 0074726f-7570-6500-0000-000000000001 has "
                   "a zone that is not up to 64 letters, digits, dots, "
                   "dashes and underscores"},
        std::tuple{"000001\"", "000004\"",
                   "view: node 0074726f-7570-6500-0000-000000000002 is not "
                   "in its place"},
        std::tuple{"000001\"", "000002\"",
                   "view: node 0074726f-7570-6500-0000-000000000002 is not "
                   "in its place"}})
    EXPECT_EQ(parse_view(json_with(old, other)).error(),
              (Error{Errc::corrupt, what}));
  EXPECT_EQ(parse_view("[]").error(),
            (Error{Errc::corrupt, "view: no JSON object"}));
  EXPECT_EQ(parse_view(std::string((1 << 20) + 1, '[')).error(),
            (Error{Errc::corrupt, "view: longer than a mebibyte"}));
}

TEST(View, OfALaterRingIsUnsupportedAndNotCorrupt) {
  EXPECT_EQ(parse_view(json_with("\"algorithm\":1,\"seed\"",
                                 "\"algorithm\":2,\"sprout\""))
                .error()
                .code,
            Errc::unsupported);
}

TEST(View, WithAllThatItMayHoldIsNotTooLong) {
  View view;
  for (std::uint32_t n = 0; n < most_nodes; ++n)
    view.members.push_back({node_id(n), heaviest_weight,
                            std::string(longest_zone, 'z'),
                            MemberState::draining});
  EXPECT_EQ(parse_view(to_json(view)), view);
  view.members.push_back({.node = node_id(most_nodes)});
  EXPECT_EQ(check(view).error().what, "view: 4097 nodes instead of up to 4096");
}

TEST(View, GivesAJoiningNodeAQuarterAndADrainingOneNothing) {
  const Ring ring = ring_of(small_view());
  EXPECT_THAT(ring.nodes(),
              ElementsAre(RingNode{node_id(1), 25}, RingNode{node_id(2), 250}));
}

TEST(View, GivesTheLightestJoiningNodeSomething) {
  const Ring ring =
      ring_of({.members = {{node_id(1), 1, "", MemberState::joining}}});
  EXPECT_THAT(ring.nodes(), ElementsAre(RingNode{node_id(1), 1}));
}

TEST(ViewChange, NamesWhoJoinedLeftAndChanged) {
  View next = small_view();
  next.members.erase(next.members.begin());
  next.members[0].weight = 200;
  next.members.push_back({.node = node_id(4)});
  EXPECT_EQ(changes_between(small_view(), next),
            (ViewChange{.joined = {node_id(4)},
                        .left = {node_id(1)},
                        .changed = {node_id(2)}}));
  EXPECT_EQ(changes_between(next, small_view()),
            (ViewChange{.joined = {node_id(1)},
                        .left = {node_id(4)},
                        .changed = {node_id(2)}}));
}

TEST(ViewChange, IsEmptyBetweenViewsThatDifferInTheirNumberAlone) {
  View next = small_view();
  next.number = 8;
  EXPECT_TRUE(changes_between(small_view(), next).is_empty());
  next.ring.virtual_nodes = 64;
  EXPECT_TRUE(changes_between(small_view(), next).has_other_ring);
  EXPECT_FALSE(changes_between(small_view(), next).is_empty());
}

RC_GTEST_PROP(View, IsReadOrRefusedWhateverIsBroken, ()) {
  std::string json = small_json;
  const auto edits = *rc::gen::container<std::vector<std::uint32_t>>(
      rc::gen::arbitrary<std::uint32_t>());
  for (const std::uint32_t edit : edits)
    json[edit / 256 % json.size()] = static_cast<char>(edit % 256);
  const auto view = parse_view(json);
  if (view)
    RC_ASSERT(parse_view(to_json(*view)).value() == *view);
}

}  // namespace
}  // namespace troupe::distributed
