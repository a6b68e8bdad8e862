#include <troupe/config/document.hpp>

namespace troupe::config {

const Node* Node::find(std::string_view key) const {
  for (const Entry& entry : entries) {
    if (entry.key == key)
      return &entry.value;
  }
  return nullptr;
}

std::string_view describe_kind(const Node& node) {
  switch (node.kind) {
    case Node::Kind::null:
      return "nothing";
    case Node::Kind::scalar:
      return "a single value";
    case Node::Kind::sequence:
      return node.items.empty() ? "an empty list" : "a list";
    case Node::Kind::mapping:
      return node.entries.empty() ? "an empty map" : "a map";
  }
  return "nothing";
}

}  // namespace troupe::config
