#include "temp_dir.hpp"

#include <troupe/content/artifact_store.hpp>
#include <troupe/content/result_cache.hpp>
#include <troupe/content/sha256.hpp>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <string>
#include <vector>

namespace troupe::content {
namespace {

using ::testing::ElementsAre;
namespace fs = std::filesystem;

const WallTime now = std::chrono::system_clock::now();

class Artifacts : public ::testing::Test {
 protected:
  Artifact save(const std::string& run, const std::string& job,
                const std::string& instance, const std::string& name,
                const std::string& text, Duration retention = 1h) {
    std::ofstream{folder.path() + "/file"} << text;
    const auto lock = blobs.lock_to_add();
    Artifact artifact{
        .run = run,
        .job = job,
        .instance = instance,
        .name = name,
        .made = now,
        .expires = now + retention,
        .files = blobs.keep(*lock, {"file"}, folder.path(), Sync::no).value()};
    EXPECT_TRUE(store.save(*lock, artifact));
    return artifact;
  }
  std::vector<std::string> titles(const std::string& run) {
    const auto all = store.all(run);
    std::vector<std::string> titles;
    for (const Artifact& one : *all)
      titles.push_back(one.run + ":" + one.job + "." + one.name + ":" +
                       one.instance);
    return titles;
  }

  testing::TempDir folder;
  BlobStore blobs = BlobStore::open(folder.path() + "/content").value();
  ArtifactStore store{blobs};
};

TEST_F(Artifacts, AreTheSameInAnotherStore) {
  save("r1", "build", "eu-a", "report", "text");
  save("r1", "build", "eu-a", "report", "newer");
  const auto files = store.entry_files("r1", "build", "report");
  ASSERT_EQ(files.size(), 2U);
  const ArtifactStore other{BlobStore::open(folder.path() + "/other").value()};
  const auto lock = other.blobs().lock_to_add();
  for (const std::string& path : files) {
    std::ifstream file{path};
    auto copy = artifact_from_bytes({std::istreambuf_iterator<char>{file}, {}});
    ASSERT_TRUE(copy) << copy.error().what;
    copy->origin = "7.1";
    EXPECT_TRUE(other.save_as(*lock, *copy));
    EXPECT_TRUE(other.save_as(*lock, *copy));
  }
  const auto all = other.all("r1").value();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[1].version, 2U);
  EXPECT_EQ(all[1].origin, "7.1");
  EXPECT_EQ(all[1].files, store.all("r1")->at(1).files);
  EXPECT_THAT(store.entry_files("r1", "../build", "report"),
              ::testing::IsEmpty());
  EXPECT_EQ(artifact_from_bytes("{}").error().code, Errc::corrupt);
}

TEST_F(Artifacts, AreFoundByRunJobAndName) {
  const Artifact saved = save("r1", "build", "", "report", "text");
  save("r1", "build", "", "other", "x");
  save("r2", "build", "", "report", "y");
  const auto found = store.find("r1", "build", "report").value();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].files, saved.files);
  EXPECT_EQ(store.find("r3", "build", "report").error().code, Errc::not_found);
}

TEST_F(Artifacts, OfInstancesStandSideBySideAndHaveVersions) {
  const Artifact first = save("r1", "pull", "us", "csv", "1");
  save("r1", "pull", "eu", "csv", "2");
  const Artifact last = save("r1", "pull", "us", "csv", "3");
  const auto found = store.find("r1", "pull", "csv").value();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].instance, "eu");
  EXPECT_EQ(found[1].files, last.files);
  EXPECT_EQ(found[1].version, 2U);
  const auto old = store.find("r1", "pull", "csv", 1).value();
  ASSERT_EQ(old.size(), 2U);
  EXPECT_EQ(old[1].files, first.files);
  EXPECT_EQ(store.find("r1", "pull", "csv", 2).value().size(), 1U);
  EXPECT_EQ(store.find("r1", "pull", "csv", 3).error().what,
            "run r1 has no artifact pull.csv of version 3");
  EXPECT_EQ(titles("r1").size(), 3U);
}

TEST_F(Artifacts, OddNamesStayApartAndInTheFolder) {
  save("../x", "a/b", "..", "c.d", "1");
  EXPECT_THAT(store.runs(), ElementsAre());
  save("r12", "a/b", "", "c.d", "3");
  EXPECT_THAT(store.runs(), ElementsAre("r12"));
  ASSERT_TRUE(store.remove("r12"));
  save("..%2fx", "a/b", "", "c.d", "2");
  EXPECT_THAT(titles(""), ElementsAre("..%2fx:a/b.c.d:", "../x:a/b.c.d:.."));
  EXPECT_EQ(store.find("../x", "a/b", "c.d").value().size(), 1U);
  EXPECT_FALSE(fs::exists(folder.path() + "/x"));
}

TEST_F(Artifacts, OfARunThatIsForgottenAreGone) {
  save("r1", "a", "", "n", "1");
  save("r2", "a", "", "n", "2");
  ASSERT_TRUE(store.remove("r1"));
  EXPECT_THAT(titles(""), ElementsAre("r2:a.n:"));
  EXPECT_TRUE(store.remove("r9"));
}

TEST_F(Artifacts, AndTheirBytesGoWhenTheyHaveExpired) {
  const Artifact old = save("r1", "a", "", "n", "old", 1h);
  const Artifact young = save("r2", "a", "", "n", "young", 3h);
  const auto removed = remove_old_content(blobs, {}, now + 2h).value();
  EXPECT_EQ(removed.artifacts, 1U);
  EXPECT_EQ(removed.bytes, 3U);
  EXPECT_THAT(titles(""), ElementsAre("r2:a.n:"));
  EXPECT_FALSE(blobs.has(old.files[0].hash));
  EXPECT_TRUE(blobs.has(young.files[0].hash));
}

TEST_F(Artifacts, WhatAnArtifactNamesOutlivesAResultWithTheSameBytes) {
  const Artifact artifact = save("r1", "a", "", "n", "text", 100h);
  const ResultCache cache{blobs};
  {
    const auto lock = blobs.lock_to_add();
    const CachedResult result{
        .standard_output = blobs.keep(*lock, "out", Sync::no).value(),
        .handed_on = {},
        .files = artifact.files};
    ASSERT_TRUE(cache.save(*lock, sha256_of("k"), result));
  }
  const auto removed =
      remove_old_content(blobs, {.unused = 1h}, now + 2h).value();
  EXPECT_EQ(removed.results, 1U);
  EXPECT_EQ(removed.bytes, 3U);  // What it printed.
  EXPECT_TRUE(blobs.has(artifact.files[0].hash));
}

TEST_F(Artifacts, ResultsThatTakeTooMuchGoTheOldestFirst) {
  const ResultCache cache{blobs};
  const auto add = [&](const std::string& key, std::chrono::seconds age) {
    const auto lock = blobs.lock_to_add();
    std::ofstream{folder.path() + "/file"} << key << std::string(100, 'x');
    const CachedResult result{
        .standard_output = blobs.keep(*lock, "", Sync::no).value(),
        .handed_on = {},
        .files = blobs.keep(*lock, {"file"}, folder.path(), Sync::no).value()};
    ASSERT_TRUE(cache.save(*lock, sha256_of(key), result));
    const std::string path = blobs.folder() + "/results/" +
                             sha256_of(key).substr(0, 2) + "/" + sha256_of(key);
    fs::last_write_time(path, fs::last_write_time(path) - age);
  };
  add("a", 30s);
  add("b", 20s);
  add("c", 10s);
  const auto removed =
      remove_old_content(blobs, {.result_bytes = 210}, now).value();
  EXPECT_EQ(removed.results, 1U);
  EXPECT_FALSE(cache.look_at(sha256_of("a")));
  EXPECT_TRUE(cache.look_at(sha256_of("b")));
  EXPECT_TRUE(cache.look_at(sha256_of("c")));
}

}  // namespace
}  // namespace troupe::content
