#include "node_ids.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

namespace troupe::distributed {
namespace {

TEST(NodeId, IsWrittenAsAUuid) {
  EXPECT_EQ(to_string(NodeId{}), "00000000-0000-0000-0000-000000000000");
  EXPECT_EQ(to_string(node_id(0xab3)), "0074726f-7570-6500-0000-000000000ab3");
}

TEST(NodeId, IsReadInEitherCase) {
  EXPECT_EQ(parse_node_id("0074726F-7570-6500-0000-000000000AB3"),
            node_id(0xab3));
}

TEST(NodeId, IsRefusedIfItLooksDifferent) {
  for (const char* text :
       {"", "0074726f75706500000000000000000ab3",
        "0074726f-7570-6500-0000-000000000ab", "0074726f-7570-6500-0000-0ab30",
        "0074726f-7570-6500-0000-00000000ab3g",
        "0074726f-7570-6500-0000000000000ab3a",
        "0074726f-7570-6500-0000-000000000ab34"}) {
    const auto id = parse_node_id(text);
    ASSERT_FALSE(id) << text;
    EXPECT_EQ(id.error().code, Errc::invalid_argument);
  }
  EXPECT_EQ(parse_node_id("node 7").error().what,
            "\"node 7\" is not the id of a node, which looks like "
            "6ba7b810-9dad-11d1-80b4-00c04fd430c8");
}

RC_GTEST_PROP(NodeId, IsOrderedAsItsTextAndReadBack, ()) {
  NodeId a;
  NodeId b;
  for (std::size_t i = 0; i < 16; ++i) {
    a.bytes.at(i) = *rc::gen::arbitrary<std::uint8_t>();
    b.bytes.at(i) = *rc::gen::element(a.bytes.at(i), std::uint8_t{0x9a});
  }
  RC_ASSERT(parse_node_id(to_string(a)) == a);
  RC_ASSERT((a < b) == (to_string(a) < to_string(b)));
}

}  // namespace
}  // namespace troupe::distributed
