#pragma once

#include <troupe/config/diagnostics.hpp>
#include <troupe/config/source.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::config {

struct Entry;

/// A value of a YAML file: YAML 1.2, so that `on` and `yes` are texts and only
/// true and false are booleans. Immutable once read; aliases are copies that
/// keep the place where they were written.
struct Node {
  enum class Kind : std::uint8_t { null, scalar, sequence, mapping };

  Kind kind = Kind::null;
  /// Written without quotes, so that its text may mean a number or a boolean.
  bool plain = false;
  Span where;
  std::string text;            ///< Of a scalar, after YAML's own escapes.
  std::vector<Node> items;     ///< Of a sequence.
  std::vector<Entry> entries;  ///< Of a mapping, in the order of the file.

  /// The value of `key`, or null if there is none. Exact, unlike Fields.
  [[nodiscard]] const Node* find(std::string_view key) const;
};

struct Entry {
  std::string key;
  Span where;  ///< Of the key.
  Node value;
};

/// A YAML file that has been read. Its root is never an alias or a second
/// document.
struct Document {
  std::shared_ptr<const Source> source;
  Node root;
};

/// What is refused, so that no file, however made, costs more than a moment.
struct YamlLimits {
  std::size_t input_bytes = 1 << 20;
  std::size_t depth = 64;
  /// Of the tree after aliases are expanded, so that ten lines of aliases of
  /// aliases cannot fill the memory.
  std::size_t nodes = 100'000;
  std::size_t expanded_bytes = 8 << 20;
};

/// Reads the one document of `source`. An empty file is a null root. Keys are
/// scalars and unique; merge keys (`<<`) are followed; tags other than !!str
/// are refused.
///
/// What is wrong goes to `diagnostics`; nothing comes back then.
[[nodiscard]] std::optional<Document> read_yaml(
    std::shared_ptr<const Source> source, Diagnostics& diagnostics,
    const YamlLimits& limits = {});

/// "a text", "a list", "a map", "nothing": what `node` is, for messages.
[[nodiscard]] std::string_view describe_kind(const Node& node);

}  // namespace troupe::config
