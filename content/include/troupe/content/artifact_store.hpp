#pragma once

#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>
#include <troupe/content/blob_store.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace troupe::content {

/// Files that an instance of a job has handed on.
struct Artifact {
  std::string run;
  std::string job;       ///< Its id.
  std::string instance;  ///< By its matrix: "eu-a"; empty without one.
  std::string name;
  /// Counts those with the same run, job, instance and name from 1.
  std::uint32_t version = 1;
  /// What has made it, so that of two that are known as this version one is the
  /// right one; empty if it does not matter.
  std::string origin{};
  WallTime made{};
  WallTime expires{};  ///< Is removed some time after that.
  std::vector<StoredFile> files;
};

/// Artifacts of runs. Any number of processes may use one. Blocks.
class ArtifactStore {
 public:
  explicit ArtifactStore(BlobStore blobs) : blobs_{std::move(blobs)} {}

  /// Keeps it as the next version, which is answered. It is there after a power
  /// cut, too. Errors: those of the system.
  [[nodiscard]] Result<std::uint32_t> save(const BlobStore::Lock& lock,
                                           Artifact artifact) const;

  /// Keeps a copy of what is in another store, or what is known to be this
  /// version, in place of one that is there. Errors: those of the system.
  [[nodiscard]] Result<void> save_as(const BlobStore::Lock& lock,
                                     const Artifact& artifact) const;

  /// The files that have the entries of this name, of all instances and
  /// versions; none if there are none.
  [[nodiscard]] std::vector<std::string> entry_files(
      const std::string& run, const std::string& job,
      const std::string& name) const;

  /// Those of one name, by instance: of each its newest version, or the one
  /// that is named. Errors: not_found (there is none), corrupt.
  [[nodiscard]] Result<std::vector<Artifact>> find(
      const std::string& run, const std::string& job, const std::string& name,
      std::optional<std::uint32_t> version = {}) const;

  /// All of a run, or of all runs if `run` is empty, by run, job, name,
  /// instance and version. Those that cannot be read are left out.
  [[nodiscard]] Result<std::vector<Artifact>> all(const std::string& run) const;

  /// The names of runs that have some, by name; but for those whose names have
  /// other characters than letters, digits, '-' and '_'.
  [[nodiscard]] std::vector<std::string> runs() const;

  /// A run is forgotten.
  [[nodiscard]] Result<void> remove(const std::string& run) const;

  [[nodiscard]] const BlobStore& blobs() const { return blobs_; }

 private:
  BlobStore blobs_;
};

/// What is in the file of an entry. Errors: corrupt.
[[nodiscard]] Result<Artifact> artifact_from_bytes(const std::string& bytes);

/// What old content may take.
struct ContentLimits {
  Duration unused = 720h;  ///< Results that nobody asked for so long.
  std::uint64_t result_bytes = std::uint64_t{10} << 30;
};

struct Removed {
  std::size_t results = 0;
  std::size_t artifacts = 0;
  std::uint64_t bytes = 0;
};

/// Removes artifacts that have expired, results that were not used for long
/// (the oldest first, as long as all take too much), and bytes that nobody
/// names. Does nothing while somebody adds.
[[nodiscard]] Result<Removed> remove_old_content(const BlobStore& blobs,
                                                 const ContentLimits& limits,
                                                 WallTime now);

}  // namespace troupe::content
