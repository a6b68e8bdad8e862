#include "temp_dir.hpp"

#include <troupe/content/blob_store.hpp>
#include <troupe/content/sha256.hpp>

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <iterator>
#include <string>
#include <vector>

namespace troupe::content {
namespace {

namespace fs = std::filesystem;

class Blobs : public ::testing::Test {
 protected:
  void write(const std::string& path, const std::string& text) {
    const fs::path whole = fs::path{folder.path()} / path;
    fs::create_directories(whole.parent_path());
    fs::remove(whole);
    std::ofstream{whole} << text;
  }
  std::string read(const std::string& path) {
    std::ifstream file{folder.path() + "/" + path};
    return {std::istreambuf_iterator<char>{file}, {}};
  }
  std::string place_of(const std::string& hash) const {
    return store.folder() + "/blobs/" + hash.substr(0, 2) + "/" + hash;
  }
  std::vector<StoredFile> keep(const std::vector<std::string>& paths) {
    const auto lock = store.lock_to_add();
    return store.keep(*lock, paths, folder.path(), Sync::no).value();
  }

  testing::TempDir folder;
  BlobStore store = BlobStore::open(folder.path() + "/deep/content").value();
};

TEST_F(Blobs, ComeBackAsTheyWereWithTheirModes) {
  write("bin/tool", std::string("#!/bin/sh\n\0", 11));
  fs::permissions(folder.path() + "/bin/tool", fs::perms{0750});
  write("empty", "");
  const auto files = keep({"bin/tool", "empty"});
  ASSERT_TRUE(store.restore(files, folder.path() + "/out"));
  EXPECT_EQ(read("out/bin/tool"), std::string("#!/bin/sh\n\0", 11));
  EXPECT_EQ(read("out/empty"), "");
  EXPECT_EQ(fs::status(folder.path() + "/out/bin/tool").permissions(),
            fs::perms{0750});
}

TEST_F(Blobs, FromElsewhereAreKeptIfTheyAreWhatTheirHashSays) {
  const auto lock = store.lock_to_add();
  const std::string hash = sha256_of("one two");
  int asked = 0;
  const auto receive = [&](const std::string& second) {
    return store.receive(*lock, hash, [&](const BlobStore::Use& use) {
      ++asked;
      if (auto used = use("one "); !used)
        return used;
      return use(second);
    });
  };
  const auto wrong = receive("three");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, Errc::corrupt);
  EXPECT_FALSE(store.has(hash));
  ASSERT_TRUE(receive("two"));
  EXPECT_EQ(store.read(hash), "one two");
  // What is there is not asked for.
  ASSERT_TRUE(receive("three"));
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(read("deep/content/blobs/" + hash.substr(0, 2) + "/" + hash),
            "one two");
  EXPECT_EQ(store.file_of(hash), place_of(hash));
  EXPECT_EQ(store.file_of("../../etc/passwd"), "");
}

TEST_F(Blobs, WhoseSourceFailsAreNotKept) {
  const auto lock = store.lock_to_add();
  const std::string hash = sha256_of("one");
  const auto received =
      store.receive(*lock, hash, [](const BlobStore::Use& use) -> Result<void> {
        (void)use("one");
        return failure(Errc::unavailable, "the link broke");
      });
  ASSERT_FALSE(received);
  EXPECT_EQ(received.error().code, Errc::unavailable);
  EXPECT_FALSE(store.has(hash));
  EXPECT_EQ(store.receive(*lock, "no hash", nullptr).error().code,
            Errc::corrupt);
}

TEST_F(Blobs, AreKeptOnce) {
  write("a", "same");
  write("b", "same");
  const auto files = keep({"a", "b"});
  EXPECT_EQ(files[0].hash, files[1].hash);
  EXPECT_EQ(
      std::distance(fs::recursive_directory_iterator{store.folder() + "/blobs"},
                    fs::recursive_directory_iterator{}),
      2);  // A folder and a file.
}

TEST_F(Blobs, AFileThatIsTheSameIsLeftAlone) {
  write("a", "text");
  const auto files = keep({"a"});
  const auto before = fs::last_write_time(folder.path() + "/a");
  ASSERT_TRUE(store.restore(files, folder.path()));
  EXPECT_EQ(fs::last_write_time(folder.path() + "/a"), before);
  write("a", "TEXT");
  ASSERT_TRUE(store.restore(files, folder.path()));
  EXPECT_EQ(read("a"), "text");
}

TEST_F(Blobs, NoPathLeavesTheFolder) {
  const auto lock = store.lock_to_add();
  for (const char* const path : {"../a", "/etc/hostname", "a/../../b", ""}) {
    EXPECT_EQ(store.keep(*lock, {path}, folder.path(), Sync::no).error().code,
              Errc::invalid_argument);
    EXPECT_EQ(
        store.restore({{.path = path, .hash = sha256_of("")}}, folder.path())
            .error()
            .code,
        Errc::invalid_argument);
  }
}

TEST_F(Blobs, DamageIsNoticedAndTheDamagedOneForgotten) {
  write("a", "text");
  const auto files = keep({"a"});
  fs::permissions(place_of(files[0].hash), fs::perms::owner_write,
                  fs::perm_options::add);
  std::ofstream{place_of(files[0].hash)} << "tex";
  EXPECT_EQ(store.restore(files, folder.path() + "/out").error().code,
            Errc::corrupt);
  EXPECT_FALSE(fs::exists(folder.path() + "/out/a"));
  EXPECT_FALSE(store.has(files[0].hash));
}

TEST_F(Blobs, OnlyThoseThatNobodyNamesAreRemoved) {
  write("a", "one");
  write("b", "two");
  const auto files = keep({"a", "b"});
  const auto lock = store.lock_to_remove();
  ASSERT_TRUE(lock && *lock);
  EXPECT_EQ(store.remove_all_but(**lock, {files[0].hash}), 3U);
  EXPECT_TRUE(store.has(files[0].hash));
  EXPECT_FALSE(store.has(files[1].hash));
}

TEST_F(Blobs, NothingIsRemovedWhileSomebodyAdds) {
  {
    const auto adds = store.lock_to_add();
    const auto also = store.lock_to_add();
    ASSERT_TRUE(adds && also);
    EXPECT_FALSE(store.lock_to_remove().value());
  }
  EXPECT_TRUE(store.lock_to_remove().value());
}

TEST(StoredFiles, AreTheSameAfterJson) {
  const std::vector<StoredFile> files{
      {.path = "a b/\"c\"", .hash = sha256_of("x"), .bytes = 1, .mode = 0755}};
  EXPECT_EQ(files_from_json(to_json(files)), files);
}

TEST(StoredFiles, ThatNobodyWroteAreCorrupt) {
  for (const char* const text :
       {"", "{}x", "[1]", R"([{"path":"a","hash":"b","bytes":1,"mode":1}])"})
    EXPECT_EQ(files_from_json(text).error().code, Errc::corrupt) << text;
  const std::string outside =
      to_json({{.path = "../a", .hash = sha256_of("")}});
  EXPECT_EQ(files_from_json(outside).error().code, Errc::corrupt);
}

}  // namespace
}  // namespace troupe::content
