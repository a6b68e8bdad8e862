#include "temp_dir.hpp"

#include <troupe/content/result_cache.hpp>
#include <troupe/content/sha256.hpp>

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <string>

namespace troupe::content {
namespace {

namespace fs = std::filesystem;

class Results : public ::testing::Test {
 protected:
  CachedResult save(const std::string& fingerprint, const std::string& text) {
    std::ofstream{folder.path() + "/made"} << text;
    const auto lock = cache.blobs().lock_to_add();
    CachedResult result{
        .made = WallTime{std::chrono::hours{1}},
        .exit_code = 3,
        .standard_output =
            cache.blobs().keep(*lock, "said " + text, Sync::no).value(),
        .handed_on = std::string("x=1\n\xff\0", 6),
        .files = cache.blobs()
                     .keep(*lock, {"made"}, folder.path(), Sync::no)
                     .value()};
    EXPECT_TRUE(cache.save(*lock, fingerprint, result));
    return result;
  }

  testing::TempDir folder;
  ResultCache cache{BlobStore::open(folder.path() + "/content").value()};
  std::string key = sha256_of("key");
};

TEST_F(Results, AreFoundAsTheyWereKept) {
  const CachedResult saved = save(key, "text");
  const auto found = cache.find(key).value();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->made, saved.made);
  EXPECT_EQ(found->exit_code, 3);
  EXPECT_EQ(found->handed_on, saved.handed_on);
  EXPECT_EQ(found->files, saved.files);
  EXPECT_EQ(cache.blobs().read(found->standard_output), "said text");
}

TEST_F(Results, OfAnotherFingerprintAreNotFound) {
  save(key, "text");
  EXPECT_FALSE(cache.find(sha256_of("other")).value());
}

TEST_F(Results, TheLastOneStands) {
  save(key, "one");
  save(key, "two");
  EXPECT_EQ(cache.blobs().read(cache.find(key).value()->standard_output),
            "said two");
}

TEST_F(Results, OfWhichSomethingIsGoneAreNotFound) {
  const CachedResult saved = save(key, "text");
  const std::string& hash = saved.files[0].hash;
  fs::remove(cache.blobs().folder() + "/blobs/" + hash.substr(0, 2) + "/" +
             hash);
  EXPECT_FALSE(cache.find(key).value());
}

TEST_F(Results, ThatAreNoneAreNotFound) {
  save(key, "text");
  std::ofstream{cache.blobs().folder() + "/results/" + key.substr(0, 2) + "/" +
                key}
      << "no entry";
  EXPECT_FALSE(cache.find(key).value());
}

}  // namespace
}  // namespace troupe::content
