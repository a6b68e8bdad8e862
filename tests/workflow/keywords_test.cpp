#include <troupe/workflow/keywords.hpp>

#include <algorithm>
#include <gtest/gtest.h>
#include <set>
#include <string>

namespace troupe::workflow {
namespace {

TEST(Keywords, AreUniqueSpelledWithDashesAndDocumented) {
  for (const config::Section& section : sections()) {
    std::set<std::string_view> names;
    for (const config::Keyword& keyword : section.keywords) {
      EXPECT_TRUE(names.insert(keyword.name).second) << keyword.name;
      EXPECT_EQ(keyword.name.find('_'), std::string_view::npos);
      EXPECT_TRUE(keyword.doc.ends_with('.')) << keyword.name;
    }
  }
}

TEST(Keywords, NameOnlySectionsThatExist) {
  const auto exists = [](std::string_view name) {
    return std::any_of(
        sections().begin(), sections().end(),
        [&](const config::Section& other) { return other.name == name; });
  };
  for (const config::Section& section : sections()) {
    for (const config::Keyword& keyword : section.keywords) {
      EXPECT_TRUE(keyword.section.empty() || exists(keyword.section))
          << keyword.name;
    }
  }
}

}  // namespace
}  // namespace troupe::workflow
