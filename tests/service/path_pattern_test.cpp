#include <troupe/service/path_pattern.hpp>

#include <gtest/gtest.h>
#include <string>

namespace troupe::service {
namespace {

bool matches(std::string_view pattern, std::string_view path) {
  return PathPattern{pattern}.matches(path, false);
}

TEST(NameMatches, TakesAStarForAnyCharactersAlsoNone) {
  EXPECT_TRUE(name_matches("*", ""));
  EXPECT_TRUE(name_matches("*.py", ".py"));
  EXPECT_TRUE(name_matches("*.py", "a.py.py"));
  EXPECT_TRUE(name_matches("a*b*c", "axxbxbxc"));
  EXPECT_FALSE(name_matches("a*b*c", "axxbxbx"));
  EXPECT_FALSE(name_matches("*.py", "a.pyc"));
}

TEST(NameMatches, TakesAQuestionMarkForOneCharacter) {
  EXPECT_TRUE(name_matches("a?c", "abc"));
  EXPECT_TRUE(name_matches("a?c", "a\u00e4c"));
  EXPECT_TRUE(name_matches("*?", "\u20ac"));
  EXPECT_FALSE(name_matches("a?c", "ac"));
  EXPECT_FALSE(name_matches("??", "\u00e4"));
}

TEST(NameMatches, TakesAllElseAsItIs) {
  EXPECT_TRUE(name_matches("[a]{b}\\", "[a]{b}\\"));
  EXPECT_FALSE(name_matches("[a]", "a"));
  EXPECT_FALSE(name_matches("", "a"));
  EXPECT_TRUE(name_matches("", ""));
}

TEST(NameMatches, TakesNoTimeForManyStars) {
  const std::string stars = "*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b";
  EXPECT_FALSE(name_matches(stars, std::string(255, 'a')));
}

TEST(PathPattern, TakesAStarForNoSlash) {
  EXPECT_TRUE(matches("/w/*.c", "/w/a.c"));
  EXPECT_TRUE(matches("/w/*.c", "/w/.hidden.c"));
  EXPECT_TRUE(matches("/w/*/b", "/w/a/b"));
  EXPECT_FALSE(matches("/w/*.c", "/w/d/a.c"));
  EXPECT_FALSE(matches("/w/*", "/w/a/b"));
  EXPECT_FALSE(matches("/w/*", "/w"));
}

TEST(PathPattern, TakesTwoStarsForAnyNumberOfFolders) {
  EXPECT_TRUE(matches("/w/**/*.py", "/w/a.py"));
  EXPECT_TRUE(matches("/w/**/*.py", "/w/a/b/c.py"));
  EXPECT_TRUE(matches("/**/b/**/d", "/a/b/c/b/c/d"));
  EXPECT_TRUE(matches("**/b", "a/b"));
  EXPECT_TRUE(matches("/w/**/**/x", "/w/x"));
  EXPECT_FALSE(matches("/w/**/*.py", "/v/a.py"));
  EXPECT_FALSE(matches("/w/**/b/c", "/w/a/b/d/c"));
}

TEST(PathPattern, TakesTwoStarsAtTheEndForAllThatIsBelow) {
  EXPECT_TRUE(matches("/w/**", "/w/a"));
  EXPECT_TRUE(matches("/w/**", "/w/a/b"));
  EXPECT_FALSE(matches("/w/**", "/w"));
}

TEST(PathPattern, TakesTwoStarsInANameAsOne) {
  EXPECT_TRUE(matches("/w/a**z", "/w/abcz"));
  EXPECT_FALSE(matches("/w/a**z", "/w/a/z"));
}

TEST(PathPattern, PassesOverEmptyParts) {
  EXPECT_TRUE(matches("/w//a/", "/w/a"));
  EXPECT_TRUE(matches("/w/a", "//w/a/"));
}

TEST(PathPattern, MeansNoHiddenFolderUnlessItIsNamed) {
  EXPECT_FALSE(matches("/w/**/config", "/w/.git/config"));
  EXPECT_FALSE(matches("/w/*/a.js", "/w/node_modules/a.js"));
  EXPECT_FALSE(matches("/w/node*/a.js", "/w/node_modules/a.js"));
  EXPECT_FALSE(matches("/w/**/*.pyc", "/w/a/__pycache__/a.pyc"));
  EXPECT_TRUE(matches("/w/**/.git/config", "/w/a/.git/config"));
  EXPECT_TRUE(matches("/w/.*/config", "/w/.git/config"));
  EXPECT_TRUE(matches("/w/node_modules/*.js", "/w/node_modules/a.js"));
  EXPECT_FALSE(PathPattern{"/w/*"}.matches("/w/.git", true));
  EXPECT_TRUE(PathPattern{"/w/*"}.matches("/w/.env", false));
}

TEST(PathPattern, FindsAHiddenFolderThatIsNamedAfterTwoStars) {
  EXPECT_TRUE(matches("/**/a/**/b", "/a/x/a/b"));
  EXPECT_TRUE(matches("/**/.h/a/**/b", "/a/.h/a/x/b"));
  EXPECT_FALSE(matches("/**/a/**/b", "/a/.h/a/b"));
}

TEST(PathPattern, MeansAllFoldersIfItIsToldSo) {
  const PathPattern pattern{"/**/*.tmp", Wildcards::stand_for_all};
  EXPECT_TRUE(pattern.matches("/home/.local/node_modules/a.tmp", false));
}

TEST(PathPattern, KnowsWhichFoldersCouldHoldWhatIsMeant) {
  const PathPattern pattern{"/w/*/src/**/*.py"};
  EXPECT_TRUE(pattern.matches_within("/"));
  EXPECT_TRUE(pattern.matches_within("/w"));
  EXPECT_TRUE(pattern.matches_within("/w/a"));
  EXPECT_TRUE(pattern.matches_within("/w/a/src"));
  EXPECT_TRUE(pattern.matches_within("/w/a/src/b/c"));
  EXPECT_FALSE(pattern.matches_within("/w/a/lib"));
  EXPECT_FALSE(pattern.matches_within("/v"));
  EXPECT_FALSE(pattern.matches_within("/w/a/src/.git"));
  EXPECT_FALSE(PathPattern{"/w/*.py"}.matches_within("/w/a"));
}

TEST(PathPattern, CoversWhatIsInAFolderThatItMeans) {
  const PathPattern pattern{"/w/build*", Wildcards::stand_for_all};
  EXPECT_TRUE(pattern.covers("/w/build"));
  EXPECT_TRUE(pattern.covers("/w/build-1/a/b"));
  EXPECT_FALSE(pattern.covers("/w"));
  EXPECT_FALSE(pattern.covers("/w/a/build"));
}

TEST(PathPattern, TellsItsFixedFolder) {
  EXPECT_EQ(PathPattern::fixed_folder("/a/b/*.c"), "/a/b");
  EXPECT_EQ(PathPattern::fixed_folder("/a/b?/c"), "/a");
  EXPECT_EQ(PathPattern::fixed_folder("/*"), "/");
  EXPECT_EQ(PathPattern::fixed_folder("*.c"), "");
  EXPECT_TRUE(PathPattern::has_wildcard("a?"));
  EXPECT_FALSE(PathPattern::has_wildcard("[a]"));
}

}  // namespace
}  // namespace troupe::service
