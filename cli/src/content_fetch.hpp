#pragma once

/// Caches and artifacts that other nodes of the cluster have.
#include "node_client.hpp"

#include <troupe/content/content.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::cli {

/// An artifact of an instance, and where it was uploaded.
struct WantedArtifact {
  std::string node;  ///< By its name; empty if nobody knows.
  std::uint32_t version = 1;
  std::string origin;  ///< As content::Artifact::origin, if that is known.
  std::string instance;
};

/// The opposite of workflow::where_it_is(). Errors: invalid_argument.
[[nodiscard]] Result<WantedArtifact> parse_wanted(std::string_view text);

/// Fetches by way of the node of this machine, which asks the others over its
/// links, and keeps what it gets in the content of this machine. Blocks; one
/// thread.
class ContentFetch {
 public:
  ContentFetch(NodeCalls& calls, const content::BlobStore& blobs)
      : calls_{calls}, blobs_{blobs} {}

  /// All that is wanted of this name, with its files: what is here, or what its
  /// node has, or else any other one.
  ///
  /// Errors: not_found (nobody has it now, with where it was); those of keeping
  /// it.
  [[nodiscard]] Result<std::vector<content::Artifact>> artifacts(
      const std::string& run, const std::string& job, const std::string& name,
      const std::vector<WantedArtifact>& wanted);

  /// The newest of each instance of this name that any other node has.
  [[nodiscard]] std::vector<WantedArtifact> find_elsewhere(
      const std::string& run, const std::string& job, const std::string& name);

  /// The result, with its files, if one of these nodes has it and can be asked
  /// at once.
  [[nodiscard]] std::optional<content::CachedResult> result(
      const std::string& fingerprint, const std::vector<std::string>& nodes);

 private:
  [[nodiscard]] const std::vector<std::string>& nodes();
  [[nodiscard]] bool is_there(const std::string& node);
  [[nodiscard]] Result<content::Artifact> artifact(
      const content::Artifact& named, const std::string& node,
      const content::BlobStore::Lock& lock);
  [[nodiscard]] const std::vector<content::Artifact>& entries(
      const std::string& node, const content::Artifact& named);
  /// Whether all of them are here then. Asks again while the node cannot be
  /// asked, for so long in all.
  [[nodiscard]] bool blobs(const std::vector<content::StoredFile>& files,
                           const std::string& node,
                           const content::BlobStore::Lock& lock,
                           Duration patience);
  [[nodiscard]] Result<void> read(const std::string& node, const char* key,
                                  const std::string& name,
                                  const content::BlobStore::Use& use);
  [[nodiscard]] Result<std::string> read_entry(const std::string& node,
                                               const char* key,
                                               const std::string& name);

  NodeCalls& calls_;
  const content::BlobStore& blobs_;
  std::optional<std::vector<std::string>> nodes_;
  std::string self_;  ///< The name of the node that is asked.
  std::map<std::string, std::vector<content::Artifact>> entries_;  ///< By node.
};

}  // namespace troupe::cli
