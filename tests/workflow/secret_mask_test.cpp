#include <troupe/workflow/secret_mask.hpp>

#include <algorithm>
#include <gtest/gtest.h>
#include <memory>
#include <rapidcheck.h>
#include <string>
#include <vector>

namespace troupe::workflow {
namespace {

SecretMask mask_of(const std::vector<std::string>& secrets) {
  return SecretMask{secrets};
}

TEST(SecretMask, PutsStarsInPlaceOfSecrets) {
  const SecretMask mask = mask_of({"hunter2", "s3cr3t"});
  EXPECT_EQ(mask.apply("a hunter2, b s3cr3t."), "a ***, b ***.");
  EXPECT_EQ(mask.apply("hunter"), "hunter");
  EXPECT_EQ(mask.apply("hunterhunter2"), "hunter***");
  EXPECT_EQ(mask.apply(""), "");
  EXPECT_EQ(mask_of({}).apply("all"), "all");
  EXPECT_EQ(mask_of({""}).apply("all"), "all");
}

TEST(SecretMask, HidesSecretsThatOverlap) {
  EXPECT_EQ(mask_of({"abc", "bcd"}).apply("xabcdx"), "x***x");
  EXPECT_EQ(mask_of({"b", "abc"}).apply("abx abc b"), "a***x *** ***");
  EXPECT_EQ(mask_of({"aba"}).apply("ababa"), "***");
  EXPECT_EQ(mask_of({"ab"}).apply("abab"), "***");
}

TEST(SecretMask, HidesEachLongLineOfASecret) {
  const SecretMask mask = mask_of({"-----BEGIN\nMIIEow\r\nab\n-----END\n"});
  EXPECT_EQ(mask.apply("key: MIIEow"), "key: ***");
  EXPECT_EQ(mask.apply("> -----BEGIN\n> MIIEow\n> ab\n"),
            "> ***\n> ***\n> ab\n");
  EXPECT_EQ(mask.apply("<-----BEGIN\nMIIEow\r\nab\n-----END\n>"), "<***>");
}

TEST(SecretMask, HidesTheJsonOfASecret) {
  EXPECT_EQ(mask_of({"say \"x\""}).apply(R"({"key":"say \"x\""})"),
            R"({"key":"***"})");
}

TEST(SecretMask, HidesTheValuesInASecretThatIsJson) {
  const SecretMask mask = mask_of(
      {R"({"user": "me", "password": "hunter2", "in": ["{\"pin\": 123456}"]})"});
  EXPECT_EQ(mask.apply("hunter2 123456 me"), "*** *** me");
  EXPECT_EQ(mask_of({"1234567"}).apply("1234567"), "***");
  EXPECT_EQ(mask_of({R"("a text")"}).apply("a text"), "***");
}

TEST(SecretMask, HidesTheEndOfASecretWhereATextWasCut) {
  const SecretMask mask = mask_of({"hunter2"});
  EXPECT_EQ(mask.apply_to_end("nter2 and hunter2"), "*** and ***");
  EXPECT_EQ(mask.apply_to_end("hunter2 and"), "*** and");
  EXPECT_EQ(mask.apply_to_end("2 and"), "*** and");
  EXPECT_EQ(mask.apply_to_end("and more"), "and more");
  EXPECT_EQ(mask.apply_to_end(""), "");
}

TEST(SecretFilter, HoldsBackOnlyWhatMayBecomeASecret) {
  SecretFilter filter{std::make_shared<const SecretMask>(mask_of({"hunter2"}))};
  EXPECT_EQ(filter.write("a hun"), "a ");
  EXPECT_EQ(filter.write("ter"), "");
  EXPECT_EQ(filter.write("2 b"), "*** b");
  EXPECT_EQ(filter.write("hun"), "");
  EXPECT_EQ(filter.write("k"), "hunk");
  EXPECT_EQ(filter.write("hunter"), "");
  EXPECT_EQ(filter.finish(), "hunter");
}

/// Each byte that is part of an occurrence, without any cleverness.
std::string naive(const std::vector<std::string>& secrets,
                  const std::string& text) {
  std::vector<bool> hidden(text.size());
  for (const std::string& secret : secrets) {
    for (std::size_t at = text.find(secret);
         !secret.empty() && at != std::string::npos;
         at = text.find(secret, at + 1))
      std::fill_n(hidden.begin() + static_cast<std::ptrdiff_t>(at),
                  secret.size(), true);
  }
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!hidden[i])
      out += text[i];
    else if (i == 0 || !hidden[i - 1])
      out += "***";
  }
  return out;
}

TEST(SecretFilter, ShowsTheSameHoweverATextIsCut) {
  rc::check("as a search for each secret", [] {
    const auto letters = rc::gen::elementOf(std::string{"abx"});
    const auto word = rc::gen::container<std::string>(letters);
    const auto secrets = *rc::gen::container<std::vector<std::string>>(word);
    const auto pieces = *rc::gen::container<std::vector<std::string>>(word);
    SecretFilter filter{std::make_shared<const SecretMask>(secrets)};
    std::string whole;
    std::string shown;
    for (const std::string& piece : pieces) {
      whole += piece;
      shown += filter.write(piece);
    }
    shown += filter.finish();
    RC_ASSERT(shown == naive(secrets, whole));
  });
}

}  // namespace
}  // namespace troupe::workflow
