#include <troupe/link/link_address.hpp>

#include <gtest/gtest.h>

namespace troupe::link {
namespace {

TEST(LinkAddress, IsReadAndWritten) {
  for (const char* text :
       {"192.0.2.7:4200", "[2001:db8::7]:4200", "n1.example:4200", "[::1]:0"})
    EXPECT_EQ(to_string(parse_link_address(text).value()), text);
  EXPECT_EQ(parse_link_address("[::1]:17").value(), (LinkAddress{"::1", 17}));
}

TEST(LinkAddress, IsRefusedIfItIsNone) {
  for (const char* text :
       {"", "4200", ":4200", "n1", "n1:", "n1:65536", "::1:4200", "[n1]:4200",
        "[192.0.2.7]:4200", "a b:4200", "a/b:4200", "n1:-1"})
    EXPECT_EQ(parse_link_address(text).error().code, Errc::invalid_argument)
        << text;
  EXPECT_EQ(parse_link_address("n1").error().what,
            "expected an address such as 192.0.2.7:4200 or n1.example:4200, "
            "got \"n1\"");
}

TEST(LinkAddress, KnowsNamesFromAddresses) {
  EXPECT_TRUE(is_ip({"192.0.2.7", 1}));
  EXPECT_TRUE(is_ip({"::1", 1}));
  EXPECT_FALSE(is_ip({"n1.example", 1}));
}

}  // namespace
}  // namespace troupe::link
