#include "run_names.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <set>
#include <string>
#include <vector>

namespace troupe::cli {
namespace {

using Names = std::vector<std::string>;

TEST(RunNames, SortByTheStartOfTheRun) {
  const WallTime start{std::chrono::seconds{1795184103}};
  EXPECT_EQ(make_run_id(start, 0), "20261120-141503-0000");
  EXPECT_EQ(make_run_id(start, 35), "20261120-141503-z000");
  EXPECT_TRUE(is_run_id(make_run_id(start, ~0ULL)));
  EXPECT_LT(make_run_id(start, ~0ULL), make_run_id(start + 1s, 0));
}

TEST(RunNames, AreToldFromOtherFolders) {
  EXPECT_TRUE(is_run_id("20261120-141503-x7k2"));
  for (const char* const other :
       {"", "notes", "20261120-141503-x7k", "20261120-141503-x7k22",
        "20261120-141503-X7k2", "20261120_141503-x7k2", "2026112a-141503-x7k2",
        "20261120-141503-x/k2"})
    EXPECT_FALSE(is_run_id(other)) << other;
}

TEST(RunNames, OnlyTheOldestRunsAreDeleted) {
  const std::string a = "20261120-141503-aaaa";
  const std::string b = "20261120-141503-bbbb";
  const std::string c = "20261121-000000-aaaa";
  EXPECT_EQ(runs_to_delete({c, "mine", a, b}, 1), (Names{a, b}));
  EXPECT_EQ(runs_to_delete({c, "mine", a, b}, 3), Names{});
  EXPECT_EQ(runs_to_delete({"mine", "0"}, 0), Names{});
}

TEST(RunNames, FilesHaveHarmlessNames) {
  EXPECT_EQ(file_name("build (eu, a)"), "build__eu__a_");
  EXPECT_EQ(file_name(".."), "_..");
  EXPECT_EQ(file_name("../../etc/passwd"), "_.._.._etc_passwd");
  EXPECT_EQ(file_name(""), "_");
  EXPECT_EQ(file_name(std::string(300, 'x')).size(), 100u);
}

TEST(RunNames, FilesOfOneFolderDiffer) {
  EXPECT_EQ(unique_file_names(Names{"a b", "a_b", "A_B", "a_b-2", "c"}),
            (Names{"a_b", "a_b-2", "A_B-3", "a_b-2-2", "c"}));
}

TEST(RunNames, FilesOfOneFolderDifferWhateverTheTexts) {
  EXPECT_TRUE(rc::check([](const Names& texts) {
    std::set<std::string> lower;
    const Names names = unique_file_names(texts);
    RC_ASSERT(names.size() == texts.size());
    for (std::string name : names) {
      RC_ASSERT(name.find('/') == std::string::npos && name.front() != '.');
      for (char& c : name)
        c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      RC_ASSERT(lower.insert(name).second);
    }
  }));
}

}  // namespace
}  // namespace troupe::cli
