#include "content_fetch.hpp"

#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <utility>

namespace troupe::cli {
namespace {

using content::Artifact;

/// Of what an artifact or a result consists of; the largest have 100,000 files.
constexpr std::size_t largest_entries = 64 << 20;
/// A node that is there may just be connecting.
constexpr Duration longest_wait_for_link = 15s;

bool has_all(const content::BlobStore& blobs, const Artifact& artifact) {
  return std::all_of(
      artifact.files.begin(), artifact.files.end(),
      [&](const content::StoredFile& file) { return blobs.has(file.hash); });
}

bool is_same_one(const Artifact& a, const Artifact& b) {
  return a.run == b.run && a.job == b.job && a.name == b.name &&
         a.instance == b.instance && a.version == b.version &&
         (a.origin.empty() || b.origin.empty() || a.origin == b.origin);
}

}  // namespace

Result<WantedArtifact> parse_wanted(std::string_view text) {
  std::string_view rest = text;
  const auto next = [&rest] {
    const std::size_t colon = rest.find(':');
    const std::string_view part = rest.substr(0, colon);
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    return part;
  };
  WantedArtifact wanted;
  wanted.node = next();
  const auto version = parse_count(next());
  wanted.origin = next();
  wanted.instance = rest;
  if (std::count(text.begin(), text.end(), ':') < 3 || !version ||
      *version == 0 || *version > UINT32_MAX)
    return failure(Errc::invalid_argument,
                   fmt::format("expected NODE:VERSION:ORIGIN:INSTANCE, got {}",
                               in_quotes(text)));
  wanted.version = static_cast<std::uint32_t>(*version);
  return wanted;
}

/// Those that have a session, without one that asks itself: that has nothing
/// but what is here.
const std::vector<std::string>& ContentFetch::nodes() {
  if (nodes_)
    return *nodes_;
  nodes_.emplace();
  const auto cluster = calls_.get(node_target({"cluster"}));
  if (!cluster)
    return *nodes_;
  for (const api::Json& node : cluster->value("nodes", api::Json::array())) {
    const std::string name = node.value("name", "");
    if (node.value("node", "") == cluster->value("node", ""))
      self_ = name;
    else
      nodes_->push_back(name);
  }
  return *nodes_;
}

bool ContentFetch::is_there(const std::string& node) {
  return std::find(nodes().begin(), nodes().end(), node) != nodes().end();
}

Result<void> ContentFetch::read(const std::string& node, const char* key,
                                const std::string& name,
                                const content::BlobStore::Use& use) {
  Result<void> used;
  auto sent = calls_.client().stream(
      node_target({"content"}, {{"node", node}, {key, name}}),
      [&](std::string_view bytes) {
        used = use(bytes);
        return used.has_value();
      });
  return used ? std::move(sent) : std::move(used);
}

Result<std::string> ContentFetch::read_entry(const std::string& node,
                                             const char* key,
                                             const std::string& name) {
  std::string bytes;
  auto done = read(node, key, name, [&](std::string_view piece) {
    bytes += piece;
    return bytes.size() <= largest_entries
               ? Result<void>{}
               : failure(
                     Errc::overloaded,
                     fmt::format("more than {}", format_size(largest_entries)));
  });
  if (!done)
    return tl::unexpected{std::move(done.error())};
  return bytes;
}

/// What cannot be asked has none.
const std::vector<Artifact>& ContentFetch::entries(const std::string& node,
                                                   const Artifact& named) {
  const auto [known, is_new] = entries_.try_emplace(node);
  if (!is_new)
    return known->second;
  Duration waited{0};
  for (int tries = 0;; ++tries) {
    const auto lines =
        read_entry(node, "artifact",
                   fmt::format("{}/{}.{}", named.run, named.job, named.name));
    for (std::size_t at = 0; lines && at < lines->size();) {
      const std::size_t end = std::min(lines->find('\n', at), lines->size());
      if (auto one = content::artifact_from_bytes(lines->substr(at, end - at)))
        known->second.push_back(std::move(*one));
      at = end + 1;
    }
    if (lines || lines.error().code != Errc::unavailable ||
        waited >= longest_wait_for_link)
      return known->second;
    waited += pause_after(tries);
    calls_.pause(pause_after(tries));
  }
}

bool ContentFetch::blobs(const std::vector<content::StoredFile>& files,
                         const std::string& node,
                         const content::BlobStore::Lock& lock,
                         Duration patience) {
  const auto source = [&](const std::string& hash) {
    return [&, hash](const content::BlobStore::Use& use) {
      return read(node, "blob", hash, use);
    };
  };
  int tries = 0;
  return std::all_of(
      files.begin(), files.end(), [&](const content::StoredFile& file) {
        while (true) {
          const auto received =
              blobs_.receive(lock, file.hash, source(file.hash));
          if (received || received.error().code != Errc::unavailable ||
              patience <= Duration{0})
            return received.has_value();
          // The link broke, or the node that asks was restarted.
          const Duration pause = pause_after(tries++);
          patience -= pause;
          calls_.pause(pause);
        }
      });
}

Result<Artifact> ContentFetch::artifact(const Artifact& named,
                                        const std::string& node,
                                        const content::BlobStore::Lock& lock) {
  const content::ArtifactStore store{blobs_};
  if (const auto here = store.all(named.run)) {
    const auto found =
        std::find_if(here->begin(), here->end(), [&](const Artifact& one) {
          return is_same_one(one, named) && has_all(blobs_, one);
        });
    if (found != here->end())
      return *found;
  }
  std::vector<std::string> order;
  if (is_there(node))
    order.push_back(node);
  for (const std::string& other : nodes()) {
    if (other != node)
      order.push_back(other);
  }
  for (const std::string& one : order) {
    for (const Artifact& entry : entries(one, named)) {
      if (!is_same_one(entry, named) ||
          !blobs(entry.files, one, lock, longest_wait_for_link))
        continue;
      if (auto saved = store.save_as(lock, entry); !saved)
        return tl::unexpected{std::move(saved.error())};
      return entry;
    }
  }
  const std::string title = fmt::format(
      "artifact {}.{}{} version {} of {}", named.job, named.name,
      named.instance.empty() ? "" : fmt::format(" ({})", named.instance),
      named.version, named.run);
  return failure(
      Errc::not_found,
      printable(fmt::format(
          "{} {}; run its job again: troupe retry {} --from {}", title,
          node.empty() ? "is on no node that can be asked"
          : node == self_
              ? fmt::format("was on {}, which does not have it any more, and "
                            "on no other node",
                            node)
          : is_there(node)
              ? fmt::format("was on {}, which does not have it any more or "
                            "cannot be asked, and on no other node",
                            node)
              : fmt::format("was on {}, which is not there, and on no other "
                            "node",
                            node),
          named.run, named.job)));
}

Result<std::vector<Artifact>> ContentFetch::artifacts(
    const std::string& run, const std::string& job, const std::string& name,
    const std::vector<WantedArtifact>& wanted) {
  const auto lock = blobs_.lock_to_add();
  if (!lock)
    return tl::unexpected{lock.error()};
  std::vector<Artifact> all;
  for (const WantedArtifact& one : wanted) {
    Artifact named;
    named.run = run;
    named.job = job;
    named.name = name;
    named.instance = one.instance;
    named.version = one.version;
    named.origin = one.origin;
    auto found = artifact(named, one.node, *lock);
    if (!found)
      return tl::unexpected{std::move(found.error())};
    all.push_back(std::move(*found));
  }
  return all;
}

std::vector<WantedArtifact> ContentFetch::find_elsewhere(
    const std::string& run, const std::string& job, const std::string& name) {
  Artifact named;
  named.run = run;
  named.job = job;
  named.name = name;
  std::map<std::string, WantedArtifact> newest;  // By instance.
  for (const std::string& node : nodes()) {
    for (const Artifact& entry : entries(node, named)) {
      const auto [known, is_new] = newest.try_emplace(entry.instance);
      if (is_new || known->second.version < entry.version)
        known->second = {node, entry.version, entry.origin, entry.instance};
    }
  }
  std::vector<WantedArtifact> all;
  for (auto& [instance, one] : newest)
    all.push_back(std::move(one));
  return all;
}

std::optional<content::CachedResult> ContentFetch::result(
    const std::string& fingerprint, const std::vector<std::string>& nodes) {
  for (const std::string& node : nodes) {
    const auto bytes = read_entry(node, "result", fingerprint);
    auto result =
        bytes ? content::cached_result_from_bytes(*bytes) : std::nullopt;
    if (!result)
      continue;
    const auto lock = blobs_.lock_to_add();
    if (!lock)
      return std::nullopt;
    std::vector<content::StoredFile> files = result->files;
    files.push_back({.path = {}, .hash = result->standard_output});
    const content::ResultCache cache{blobs_};
    if (blobs(files, node, *lock, Duration{0}) &&
        cache.save(*lock, fingerprint, *result))
      return result;
  }
  return std::nullopt;
}

}  // namespace troupe::cli
