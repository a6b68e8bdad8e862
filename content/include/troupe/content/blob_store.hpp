#pragma once

#include <troupe/base/error.hpp>
#include <troupe/base/owned_fd.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::content {

/// A file whose bytes are in a BlobStore.
struct StoredFile {
  std::string path;  ///< Relative, without "..".
  std::string hash;  ///< SHA-256 of the bytes.
  std::uint64_t bytes = 0;
  unsigned mode = 0644;  ///< Who may read, write and execute it.

  friend bool operator==(const StoredFile&, const StoredFile&) = default;
};

/// Files as JSON, for entries that name them. Errors of reading: corrupt.
[[nodiscard]] std::string to_json(const std::vector<StoredFile>& files);
[[nodiscard]] Result<std::vector<StoredFile>> files_from_json(
    std::string_view text);

/// Whether bytes have to survive a power cut at once. Those that are not synced
/// may be lost or damaged by one, which is noticed when they are used.
enum class Sync : std::uint8_t { no, yes };

/// Bytes under their hash, each kept once. Any number of processes may use one
/// folder. Blocks.
class BlobStore {
 public:
  /// Makes the folder, with mode 0700, if it is not there. Errors: those of the
  /// system.
  [[nodiscard]] static Result<BlobStore> open(std::string folder);

  /// Whoever adds an entry holds one from before its blobs are kept until it is
  /// written; whoever removes blobs that nobody names has it alone. Waits.
  class Lock {
   private:
    friend class BlobStore;
    explicit Lock(OwnedFd fd) : fd_{std::move(fd)} {}
    OwnedFd fd_;
  };
  [[nodiscard]] Result<Lock> lock_to_add() const;
  /// Nothing if somebody adds right now.
  [[nodiscard]] Result<std::optional<Lock>> lock_to_remove() const;

  /// Keeps the files at `paths`, as seen from `folder`.
  ///
  /// Errors: invalid_argument (a path that is absolute or leaves the folder, or
  /// not a file), those of the system.
  [[nodiscard]] Result<std::vector<StoredFile>> keep(
      const Lock& lock, const std::vector<std::string>& paths,
      const std::string& folder, Sync sync) const;
  /// Keeps bytes; their hash.
  [[nodiscard]] Result<std::string> keep(const Lock& lock,
                                         std::string_view bytes,
                                         Sync sync) const;

  /// Gives all bytes of something to `use`, in pieces, until that fails.
  using Use = std::function<Result<void>(std::string_view bytes)>;
  using Source = std::function<Result<void>(const Use& use)>;

  /// Keeps what comes from elsewhere as `hash`, if it is not there yet.
  ///
  /// Errors: corrupt (what came has another hash; it is not kept), those of
  /// `source` and of the system.
  [[nodiscard]] Result<void> receive(const Lock& lock, const std::string& hash,
                                     const Source& source) const;

  [[nodiscard]] bool has(std::string_view hash) const;

  /// The file that has the bytes, if they are there; empty if `hash` is none.
  [[nodiscard]] std::string file_of(std::string_view hash) const;

  /// All bytes of a blob. Errors: not_found, corrupt (they are not those that
  /// were kept; they are removed).
  [[nodiscard]] Result<std::string> read(const std::string& hash) const;

  /// Makes the files below `folder`; those that are there already and the same
  /// are left alone, others are replaced. What is made before an error stays.
  ///
  /// Errors: not_found, corrupt, invalid_argument (a path that leaves the
  /// folder), those of the system.
  [[nodiscard]] Result<void> restore(const std::vector<StoredFile>& files,
                                     const std::string& folder) const;

  /// Removes all blobs but these; the bytes that they had.
  [[nodiscard]] Result<std::uint64_t> remove_all_but(
      const Lock& lock, const std::set<std::string>& named) const;

  [[nodiscard]] const std::string& folder() const { return folder_; }

 private:
  explicit BlobStore(std::string folder) : folder_{std::move(folder)} {}

  [[nodiscard]] std::string path_of(std::string_view hash) const;
  [[nodiscard]] Result<StoredFile> keep_file(const std::string& path,
                                             const std::string& folder,
                                             Sync sync) const;
  [[nodiscard]] Result<void> restore_file(const StoredFile& file,
                                          const std::string& folder) const;

  std::string folder_;
};

}  // namespace troupe::content
