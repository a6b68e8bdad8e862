#pragma once

// A disk that gets full and that loses what was not synced: stands between
// SQLite and the system (https://www.sqlite.org/vfs.html). One per process.
#include <cstdint>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <sqlite3.h>
#include <string>
#include <utility>

namespace troupe::testing {

class FaultyDisk {
 public:
  /// Every file that SQLite opens from now on is on it.
  FaultyDisk() {
    base_ = sqlite3_vfs_find(nullptr);
    vfs_ = *base_;
    vfs_.zName = "faulty";
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + base_->szOsFile;
    vfs_.pAppData = this;
    vfs_.xOpen = open;
    sqlite3_vfs_register(&vfs_, /*makeDflt=*/1);
  }
  FaultyDisk(const FaultyDisk&) = delete;
  FaultyDisk& operator=(const FaultyDisk&) = delete;
  ~FaultyDisk() {
    sqlite3_vfs_unregister(&vfs_);
    sqlite3_vfs_register(base_, /*makeDflt=*/1);
  }

  /// So many writes succeed, and then none until mend().
  void fill_up_after(std::uint64_t writes) { writes_left_ = writes; }
  void mend() { writes_left_.reset(); }
  [[nodiscard]] bool was_full() const { return was_full_; }

  /// After all files were closed: what was not synced is gone.
  void cut_power() const {
    for (const auto& [path, bytes] : synced_)
      std::ofstream{path, std::ios::binary | std::ios::trunc} << bytes;
  }

 private:
  /// What SQLite holds; the real file stands behind it in memory.
  struct File {
    sqlite3_file base;
    FaultyDisk* disk;
    char path[512];
  };

  static sqlite3_file* real(sqlite3_file* file) {
    return reinterpret_cast<sqlite3_file*>(reinterpret_cast<char*>(file) +
                                           sizeof(File));
  }
  static File& ours(sqlite3_file* file) {
    return *reinterpret_cast<File*>(file);
  }

  bool may_write() {
    if (!writes_left_)
      return true;
    if (*writes_left_ == 0) {
      was_full_ = true;
      return false;
    }
    --*writes_left_;
    return true;
  }

  static int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file,
                  int flags, int* out_flags) {
    auto* const disk = static_cast<FaultyDisk*>(vfs->pAppData);
    File& mine = ours(file);
    mine.disk = disk;
    mine.path[0] = '\0';
    if (path != nullptr)
      sqlite3_snprintf(sizeof mine.path, mine.path, "%s", path);
    const int result =
        disk->base_->xOpen(disk->base_, path, real(file), flags, out_flags);
    file->pMethods = result == SQLITE_OK ? methods() : nullptr;
    return result;
  }

  static const sqlite3_io_methods* methods() {
    static const sqlite3_io_methods all{
        .iVersion = 1,
        .xClose =
            [](sqlite3_file* f) { return real(f)->pMethods->xClose(real(f)); },
        .xRead =
            [](sqlite3_file* f, void* to, int size, sqlite3_int64 at) {
              return real(f)->pMethods->xRead(real(f), to, size, at);
            },
        .xWrite =
            [](sqlite3_file* f, const void* from, int size, sqlite3_int64 at) {
              if (!ours(f).disk->may_write())
                return SQLITE_FULL;
              return real(f)->pMethods->xWrite(real(f), from, size, at);
            },
        .xTruncate =
            [](sqlite3_file* f, sqlite3_int64 size) {
              return real(f)->pMethods->xTruncate(real(f), size);
            },
        .xSync =
            [](sqlite3_file* f, int flags) {
              const int result = real(f)->pMethods->xSync(real(f), flags);
              if (result == SQLITE_OK)
                ours(f).disk->note_synced(ours(f).path);
              return result;
            },
        .xFileSize =
            [](sqlite3_file* f, sqlite3_int64* size) {
              return real(f)->pMethods->xFileSize(real(f), size);
            },
        .xLock =
            [](sqlite3_file* f, int level) {
              return real(f)->pMethods->xLock(real(f), level);
            },
        .xUnlock =
            [](sqlite3_file* f, int level) {
              return real(f)->pMethods->xUnlock(real(f), level);
            },
        .xCheckReservedLock =
            [](sqlite3_file* f, int* out) {
              return real(f)->pMethods->xCheckReservedLock(real(f), out);
            },
        .xFileControl =
            [](sqlite3_file* f, int op, void* argument) {
              return real(f)->pMethods->xFileControl(real(f), op, argument);
            },
        .xSectorSize =
            [](sqlite3_file* f) {
              return real(f)->pMethods->xSectorSize(real(f));
            },
        .xDeviceCharacteristics =
            [](sqlite3_file* f) {
              return real(f)->pMethods->xDeviceCharacteristics(real(f));
            },
    };
    return &all;
  }

  void note_synced(const std::string& path) {
    if (path.empty())
      return;
    std::ifstream in{path, std::ios::binary};
    synced_[path] = {std::istreambuf_iterator<char>{in}, {}};
  }

  sqlite3_vfs* base_ = nullptr;
  sqlite3_vfs vfs_{};
  std::optional<std::uint64_t> writes_left_;
  bool was_full_ = false;
  std::map<std::string, std::string> synced_;
};

}  // namespace troupe::testing
