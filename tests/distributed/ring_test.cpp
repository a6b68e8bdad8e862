#include "node_ids.hpp"

#include <troupe/distributed/ring.hpp>
#include <troupe/distributed/stable_hash.hpp>

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>

namespace troupe::distributed {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

/// The last number of each owner's id, in order of the shards.
std::vector<std::uint32_t> owners_of(const Ring& ring) {
  std::vector<std::uint32_t> owners;
  for (std::uint32_t shard = 0; shard < ring.parameters().shards; ++shard) {
    const NodeId owner = ring.owner(shard).value();
    owners.push_back(owner.bytes[14] * 256U + owner.bytes[15]);
  }
  return owners;
}

/// One number for a whole assignment.
std::uint64_t digest_of(const Ring& ring) {
  std::string bytes;
  for (const std::uint32_t owner : owners_of(ring))
    for (std::uint32_t i = 0; i < 4; ++i)
      bytes += static_cast<char>((owner - 1) >> (8 * i) & 0xffU);
  return stable_hash(bytes, 0);
}

// -- Golden vectors -----------------------------------------------------------
// From an implementation in Python of the text of ring.hpp, on top of python3-
// xxhash. They hold for ever: a build that disagrees with them disagrees with
// the other nodes of its cluster, and needs another number for `algorithm`.

TEST(StableHash, IsXxh3With64Bits) {
  EXPECT_EQ(stable_hash("", 0), 0x2d06800538d394c2U);
  EXPECT_EQ(stable_hash("troupe", 0), 0xec21d174febec525U);
  EXPECT_EQ(stable_hash("troupe", 7), 0x238e405303ef9a65U);
  std::string bytes;
  for (int i = 0; i < 300; ++i)
    bytes += static_cast<char>(i % 256);
  EXPECT_EQ(stable_hash(bytes.substr(0, 20), 42), 0x39ccf33bd38637e5U);
  EXPECT_EQ(stable_hash(bytes, 42), 0x1562adaee96cf4d1U);
}

TEST(RingVectors, OfThreeEqualNodes) {
  const Ring ring{ring_nodes(3), {.shards = 32}};
  EXPECT_THAT(owners_of(ring),
              ElementsAre(3, 1, 3, 3, 1, 2, 2, 2, 2, 3, 3, 1, 1, 1, 1, 2, 3, 2,
                          2, 2, 1, 3, 2, 3, 2, 1, 2, 1, 2, 3, 3, 3));
}

TEST(RingVectors, OfFourNodesWithWeightsAndASeed) {
  const std::vector<RingNode> nodes{
      {node_id(1), 25}, {node_id(2), 100}, {node_id(3), 300}, {node_id(4), 1}};
  const Ring ring{nodes, {.seed = 7, .shards = 32}};
  EXPECT_THAT(owners_of(ring),
              ElementsAre(3, 3, 3, 3, 3, 3, 3, 2, 1, 3, 3, 3, 1, 2, 2, 3, 1, 3,
                          3, 3, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3));
}

TEST(RingVectors, OfTenNodes) {
  const Ring ring{ring_nodes(10), {.shards = 4096}};
  EXPECT_EQ(digest_of(ring), 0x651a098b9b397630U);
  EXPECT_EQ(ring.load(node_id(1)), 461U);
  EXPECT_EQ(ring.load_limit(node_id(1)), 512U);
}

TEST(RingVectors, OfAThousandNodes) {
  const Ring ring{ring_nodes(1000), {.virtual_nodes = 64, .shards = 16'384}};
  EXPECT_EQ(digest_of(ring), 0xa64607ea9a6e2696U);
}

TEST(RingVectors, OfKeys) {
  for (const auto& [shards, of_troupe, of_job] :
       {std::tuple{1U, 0U, 0U}, std::tuple{4096U, 3778U, 1950U},
        std::tuple{16'384U, 15'112U, 7801U}, std::tuple{1000U, 922U, 476U}}) {
    EXPECT_EQ(shard_of("troupe", {.shards = shards}), of_troupe);
    EXPECT_EQ(shard_of("job 17", {.shards = shards}), of_job);
  }
}

TEST(RingVectors, OfJobs) {
  EXPECT_THAT(shards_of_job("troupe", 1, {}), ElementsAre(3778));
  EXPECT_THAT(shards_of_job("troupe", 301, {}),
              ElementsAre(3778, 706, 1730, 2754));
  EXPECT_THAT(shards_of_job("troupe", 10'000'000, {}), SizeIs(64));
}

TEST(RingVectors, OfTheOrderFromAKeyOn) {
  const Ring ring{ring_nodes(8), {}};
  EXPECT_THAT(ring.clockwise("gateway", 8),
              ElementsAre(node_id(3), node_id(1), node_id(4), node_id(2),
                          node_id(8), node_id(6), node_id(5), node_id(7)));
}

// -----------------------------------------------------------------------------

TEST(Ring, HasShardsWithoutOwnersWhileThereAreNoNodes) {
  const Ring ring{{}, {.shards = 8}};
  EXPECT_EQ(ring.owner(7), std::nullopt);
  EXPECT_THAT(ring.clockwise("key", 3), IsEmpty());
  EXPECT_THAT(ring.shards_of(node_id(1)), IsEmpty());
}

TEST(Ring, GivesASingleNodeEverything) {
  const Ring ring{ring_nodes(1), {.shards = 8}};
  EXPECT_THAT(ring.shards_of(node_id(1)), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
  EXPECT_EQ(ring.load(node_id(1)), 8U);
  EXPECT_EQ(ring.load_limit(node_id(1)), 8U);
}

TEST(Ring, KnowsNothingOfANodeThatIsNotOnIt) {
  const Ring ring{ring_nodes(3), {}};
  EXPECT_THAT(ring.shards_of(node_id(4)), IsEmpty());
  EXPECT_EQ(ring.load(node_id(4)), 0U);
  EXPECT_EQ(ring.load_limit(node_id(4)), 0U);
}

TEST(Ring, NamesNoMoreNodesThanWanted) {
  const Ring ring{ring_nodes(8), {}};
  EXPECT_THAT(ring.clockwise("gateway", 2),
              ElementsAre(node_id(3), node_id(1)));
  EXPECT_THAT(ring.clockwise("gateway", 99), SizeIs(8));
}

TEST(Ring, GivesAHeavierNodeMore) {
  const std::vector<RingNode> nodes{
      {node_id(1), 25}, {node_id(2), 100}, {node_id(3), 400}};
  const Ring ring{nodes, {}};
  EXPECT_LT(2 * ring.load(node_id(1)), ring.load(node_id(2)));
  EXPECT_LT(2 * ring.load(node_id(2)), ring.load(node_id(3)));
}

TEST(VirtualNodes, AreFewerAboveFiveHundredNodes) {
  EXPECT_EQ(virtual_nodes_for(1, 128), 128U);
  EXPECT_EQ(virtual_nodes_for(500, 128), 128U);
  EXPECT_EQ(virtual_nodes_for(501, 128), 64U);
}

TEST(VirtualNodes, AreMoreAgainOnlyWellBelowFiveHundredNodes) {
  EXPECT_EQ(virtual_nodes_for(500, 64), 64U);
  EXPECT_EQ(virtual_nodes_for(400, 64), 64U);
  EXPECT_EQ(virtual_nodes_for(399, 64), 128U);
}

TEST(RingParameters, AreCheckedBeforeTheyAreUsed) {
  EXPECT_TRUE(check(RingParameters{}));
  EXPECT_EQ(check(RingParameters{.algorithm = 2}).error(),
            (Error{Errc::unsupported,
                   "ring: algorithm 2 is of a later version of Troupe than "
                   "this one"}));
  const auto text = [](const RingParameters& parameters) {
    const auto checked = check(parameters);
    EXPECT_EQ(checked.error().code, Errc::invalid_argument);
    return checked.error().what;
  };
  EXPECT_EQ(text({.virtual_nodes = 0}),
            "ring: 0 virtual nodes instead of 1 to 256");
  EXPECT_EQ(text({.load_numerator = 4}),
            "ring: a load of 4/4 instead of a fraction above 1 and up to 16");
  EXPECT_EQ(text({.load_numerator = 65}),
            "ring: a load of 65/4 instead of a fraction above 1 and up to 16");
  EXPECT_EQ(text({.load_denominator = 0}),
            "ring: a load of 5/0 instead of a fraction above 1 and up to 16");
  EXPECT_EQ(text({.shards = 32'769}),
            "ring: 32769 shards instead of 1 to 32768");
}

}  // namespace
}  // namespace troupe::distributed
