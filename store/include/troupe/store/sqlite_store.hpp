#pragma once

#include <troupe/store/sql_store.hpp>

#include <memory>
#include <string>

namespace troupe::store {

/// The store in a SQLite file: write-ahead log, every commit synced to the disk
/// before the call returns. The file belongs to this process alone.
class SqliteStore final : public SqlStore {
 public:
  /// Opens or makes the file and checks it as a whole, which takes about a
  /// second per GiB. An older schema is brought up to date. Blocks.
  ///
  /// Errors: corrupt (damaged, or not a store), unsupported (of a newer
  /// version), unavailable (in use by another process), permission_denied,
  /// overloaded (no space). The file is as it was then.
  [[nodiscard]] static Result<std::unique_ptr<SqliteStore>> open(
      const std::string& path);

 private:
  using SqlStore::SqlStore;
};

}  // namespace troupe::store
