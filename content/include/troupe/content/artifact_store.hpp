#pragma once

#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>
#include <troupe/content/blob_store.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace troupe::content {

/// Files that an instance of a job has handed on.
struct Artifact {
  std::string run;
  std::string job;       ///< Its id.
  std::string instance;  ///< By its matrix: "eu-a"; empty without one.
  std::string name;
  WallTime made{};
  WallTime expires{};  ///< Is removed some time after that.
  std::vector<StoredFile> files;
};

/// Artifacts of runs. Any number of processes may use one. Blocks.
class ArtifactStore {
 public:
  explicit ArtifactStore(BlobStore blobs) : blobs_{std::move(blobs)} {}

  /// Keeps it, instead of one with the same run, job, instance and name. It is
  /// there after a power cut, too. Errors: those of the system.
  [[nodiscard]] Result<void> save(const BlobStore::Lock& lock,
                                  const Artifact& artifact) const;

  /// Those of one name, by instance, in their order. Errors: not_found (there
  /// is none), corrupt.
  [[nodiscard]] Result<std::vector<Artifact>> find(
      const std::string& run, const std::string& job,
      const std::string& name) const;

  /// All of a run, or of all runs if `run` is empty, by run, job, name and
  /// instance. Those that cannot be read are left out.
  [[nodiscard]] Result<std::vector<Artifact>> all(const std::string& run) const;

  /// A run is forgotten.
  [[nodiscard]] Result<void> remove(const std::string& run) const;

  [[nodiscard]] const BlobStore& blobs() const { return blobs_; }

 private:
  BlobStore blobs_;
};

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
