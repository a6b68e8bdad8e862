#pragma once

#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>
#include <troupe/content/blob_store.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace troupe::content {

/// What a command has made.
struct CachedResult {
  WallTime made{};
  int exit_code = 0;
  std::string standard_output;    ///< The hash of it.
  std::string handed_on;          ///< What it wrote to TROUPE_OUTPUT.
  std::vector<StoredFile> files;  ///< As they are to be restored.
};

/// What commands have made before, under a fingerprint of all that matters for
/// it, which the caller makes. Any number of processes may use one. Blocks.
class ResultCache {
 public:
  explicit ResultCache(BlobStore blobs) : blobs_{std::move(blobs)} {}

  /// Nothing if there is none, or what it had is not complete any more. One
  /// that was found counts as used. Errors: those of the system.
  [[nodiscard]] Result<std::optional<CachedResult>> find(
      const std::string& fingerprint) const;

  /// As find(), but it does not count, and an error is nothing.
  [[nodiscard]] std::optional<CachedResult> look_at(
      const std::string& fingerprint) const;

  /// Replaces what was there. `result.files` is what `lock` was held for.
  [[nodiscard]] Result<void> save(const BlobStore::Lock& lock,
                                  const std::string& fingerprint,
                                  const CachedResult& result) const;

  /// The file that has the entry, if there is one; empty if `fingerprint` is
  /// none.
  [[nodiscard]] std::string file_of(const std::string& fingerprint) const;

  [[nodiscard]] const BlobStore& blobs() const { return blobs_; }

 private:
  [[nodiscard]] Result<std::optional<CachedResult>> read(
      const std::string& fingerprint) const;
  [[nodiscard]] std::string path_of(const std::string& fingerprint) const;

  BlobStore blobs_;
};

/// What is in the file of an entry; nothing if it is none.
[[nodiscard]] std::optional<CachedResult> cached_result_from_bytes(
    const std::string& bytes);

}  // namespace troupe::content
