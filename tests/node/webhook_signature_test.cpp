#include "webhook_signature.hpp"

#include <gtest/gtest.h>

namespace troupe::node {
namespace {

// From GitHub's documentation.
const std::string secret = "It's a Secret to Everybody";
const std::string body = "Hello, World!";
const std::string signature =
    "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

TEST(WebhookSignature, IsAsGitHubMakesIt) {
  EXPECT_EQ(signature_of(body, secret), signature);
  EXPECT_TRUE(is_signed(body, secret, signature));
}

TEST(WebhookSignature, TakesLargeDigits) {
  std::string large = signature;
  large[large.find("ea0eb")] = 'E';
  EXPECT_TRUE(is_signed(body, secret, large));
}

TEST(WebhookSignature, IsWrongForAllElse) {
  EXPECT_FALSE(is_signed(body + "!", secret, signature));
  EXPECT_FALSE(is_signed(body, "another", signature));
  EXPECT_FALSE(is_signed(body, secret, ""));
  EXPECT_FALSE(is_signed(body, secret, signature.substr(0, 70)));
  EXPECT_FALSE(is_signed(body, secret, signature + "0"));
  EXPECT_FALSE(is_signed(body, secret, signature.substr(7)));
  std::string other = signature;
  other.back() = '8';
  EXPECT_FALSE(is_signed(body, secret, other));
}

TEST(WebhookSignature, IsWrongWithoutASecret) {
  EXPECT_FALSE(is_signed(body, "", signature_of(body, "")));
}

}  // namespace
}  // namespace troupe::node
