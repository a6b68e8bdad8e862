#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/config/document.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <set>
#include <sstream>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

namespace troupe::config {
namespace {

constexpr std::string_view merge_key = "<<";

/// Bytes from `at` to the end of what a person sees as this scalar.
std::uint32_t written_length(const Source& source, Span at,
                             std::string_view text) {
  // Not further than escapes can make it, since a line can be the whole file.
  const std::string_view rest = source.from(at).substr(0, 2 * text.size() + 2);
  const std::string_view line = rest.substr(0, rest.find('\n'));
  if (line.empty() || text.empty())
    return 1;
  if (line.starts_with(text))
    return static_cast<std::uint32_t>(text.size());
  if (line[0] == '"' || line[0] == '\'') {
    const std::size_t end = line.find(line[0], 1);
    if (end != std::string_view::npos)
      return static_cast<std::uint32_t>(end + 1);
  }
  return 1;
}

/// Builds the tree from yaml-cpp's events and enforces the limits while doing
/// so. After the first error it ignores what comes: yaml-cpp can only be
/// stopped by exceptions, and the rest of a bounded input costs little.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(const Source& source, Diagnostics& diagnostics,
              const YamlLimits& limits)
      : source_{source}, diagnostics_{diagnostics}, limits_{limits} {}

  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] Node take_root() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1)
      fail(span(mark), "a second document in one file");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (failed_)
      return;
    Node node;
    node.where = span(mark);
    node.plain = true;
    finish(std::move(node), anchor);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag,
                YAML::anchor_t anchor, const std::string& value) override {
    if (failed_ || !is_known_tag(mark, tag))
      return;
    if (value.find('\0') != std::string::npos) {
      fail(span(mark), "a NUL character, which no command can be given");
      return;
    }
    Node node;
    node.kind = Node::Kind::scalar;
    node.plain = tag == "?";
    node.text = value;
    node.where = span(mark);
    node.where.length = written_length(source_, node.where, value);
    finish(std::move(node), anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (failed_)
      return;
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      fail(span(mark), "an alias inside the value that it stands for");
      return;
    }
    if (!spend(span(mark), found->second.cost))
      return;
    attach(Node{found->second.node}, span(mark), found->second.cost);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag,
                       YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Node::Kind::sequence);
  }
  void OnSequenceEnd() override { close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag,
                  YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Node::Kind::mapping);
  }
  void OnMapEnd() override {
    if (!failed_)
      merge(open_.back());
    close();
  }

 private:
  /// What a subtree takes from the budgets.
  struct Cost {
    std::size_t nodes = 0;
    std::size_t bytes = 0;
  };
  struct Anchored {
    Node node;
    Cost cost;
  };
  /// A sequence or mapping whose end has not come.
  struct Open {
    Node node;
    YAML::anchor_t anchor = YAML::NullAnchor;
    Cost cost;
    bool has_key = false;
    Entry entry;                 ///< The key that waits for its value.
    std::set<std::string> keys;  ///< Of a mapping, for duplicates.
    std::vector<Node> to_merge;  ///< Values of `<<`.
  };

  static Span span(const YAML::Mark& mark) {
    if (mark.line < 0 || mark.column < 0)
      return {};
    return {static_cast<std::uint32_t>(mark.line) + 1,
            static_cast<std::uint32_t>(mark.column) + 1, 1};
  }

  void fail(Span where, std::string message) {
    if (!failed_)
      diagnostics_.add(where, std::move(message));
    failed_ = true;
  }

  bool is_known_tag(const YAML::Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!" ||
        tag == "tag:yaml.org,2002:str")
      return true;
    fail(span(mark), fmt::format("the tag \"{}\" is not supported",
                                 printable(ellipsize(tag, 60))));
    return false;
  }

  bool spend(Span where, Cost cost) {
    spent_.nodes += cost.nodes;
    spent_.bytes += cost.bytes;
    if (spent_.nodes > limits_.nodes)
      fail(where, fmt::format("more than {} values, counting what aliases "
                              "stand for",
                              limits_.nodes));
    else if (spent_.bytes > limits_.expanded_bytes)
      fail(where, fmt::format("more than {} of text, counting what aliases "
                              "stand for",
                              format_size(limits_.expanded_bytes)));
    return !failed_;
  }

  void open(const YAML::Mark& mark, const std::string& tag,
            YAML::anchor_t anchor, Node::Kind kind) {
    if (failed_ || !is_known_tag(mark, tag))
      return;
    if (open_.size() == limits_.depth) {
      fail(span(mark),
           fmt::format("nested more than {} levels deep", limits_.depth));
      return;
    }
    const Cost cost{1, 0};
    if (!spend(span(mark), cost))
      return;
    Open added;
    added.node.kind = kind;
    added.node.where = span(mark);
    added.anchor = anchor;
    added.cost = cost;
    open_.push_back(std::move(added));
  }

  void close() {
    if (failed_)
      return;
    Open closed = std::move(open_.back());
    open_.pop_back();
    remember(closed.anchor, closed.node, closed.cost);
    const Span where = closed.node.where;
    attach(std::move(closed.node), where, closed.cost);
  }

  void finish(Node node, YAML::anchor_t anchor) {
    const Cost cost{1, node.text.size()};
    if (!spend(node.where, cost))
      return;
    remember(anchor, node, cost);
    const Span where = node.where;
    attach(std::move(node), where, cost);
  }

  void remember(YAML::anchor_t anchor, const Node& node, Cost cost) {
    if (anchor == YAML::NullAnchor || !spend(node.where, cost))
      return;
    anchors_[anchor] = Anchored{node, cost};
  }

  /// Puts a complete `node`, written or aliased at `where`, into its place.
  void attach(Node node, Span where, Cost cost) {
    if (failed_)
      return;
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    parent.cost.nodes += cost.nodes;
    parent.cost.bytes += cost.bytes;
    if (parent.node.kind == Node::Kind::sequence) {
      parent.node.items.push_back(std::move(node));
      return;
    }
    if (!parent.has_key) {
      take_key(parent, std::move(node), where);
      return;
    }
    parent.has_key = false;
    if (parent.entry.key == merge_key) {
      parent.to_merge.push_back(std::move(node));
      return;
    }
    // yaml-cpp places an absent value at whatever comes next.
    if (node.kind == Node::Kind::null)
      node.where = parent.entry.where;
    parent.entry.value = std::move(node);
    parent.node.entries.push_back(std::move(parent.entry));
  }

  void take_key(Open& parent, Node node, Span where) {
    if (node.kind != Node::Kind::scalar) {
      fail(where, fmt::format("a key must be a single value, not {}",
                              describe_kind(node)));
      return;
    }
    where.length = node.where.length;
    if (!parent.keys.insert(node.text).second) {
      fail(where, fmt::format("the key \"{}\" is here for the second time",
                              printable(ellipsize(node.text, 60))));
      return;
    }
    parent.has_key = true;
    parent.entry = Entry{std::move(node.text), where, {}};
  }

  /// Adds the entries that `<<` brings and that are not there already; of
  /// several maps the earlier one wins.
  void merge(Open& map) {
    for (Node& value : map.to_merge) {
      if (value.kind == Node::Kind::mapping)
        merge_one(map, value);
      else if (value.kind == Node::Kind::sequence)
        for (Node& item : value.items)
          merge_one(map, item);
      else
        fail(value.where, "\"<<\" takes a map or a list of maps");
    }
  }

  void merge_one(Open& map, Node& from) {
    if (from.kind != Node::Kind::mapping) {
      fail(from.where, "\"<<\" takes a map or a list of maps");
      return;
    }
    for (Entry& entry : from.entries) {
      if (map.keys.insert(entry.key).second)
        map.node.entries.push_back(std::move(entry));
    }
  }

  const Source& source_;
  Diagnostics& diagnostics_;
  YamlLimits limits_;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, Anchored> anchors_;
  Node root_;
  Cost spent_;
  int documents_ = 0;
  bool failed_ = false;
};

bool is_text(std::string_view text) {
  return is_utf8(text) && text.find('\0') == std::string_view::npos;
}

Span first_line_that_is_no_text(const Source& source) {
  std::uint32_t number = 1;
  while (is_text(source.line(number)))
    ++number;
  return {number, 1, 1};
}

}  // namespace

std::optional<Document> read_yaml(std::shared_ptr<const Source> source,
                                  Diagnostics& diagnostics,
                                  const YamlLimits& limits) {
  const std::string_view text = source->text();
  if (text.size() > limits.input_bytes) {
    diagnostics.add({}, fmt::format("the file has {}, more than the {} that "
                                    "are allowed",
                                    format_size(text.size()),
                                    format_size(limits.input_bytes)));
    return std::nullopt;
  }
  if (!is_text(text)) {
    diagnostics.add(first_line_that_is_no_text(*source),
                    "the file is not UTF-8 text");
    return std::nullopt;
  }

  TreeBuilder builder{*source, diagnostics, limits};
  try {
    std::istringstream stream{std::string{text}};
    YAML::Parser parser{stream};
    while (!builder.failed() && parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& e) {
    // After one of our own errors, yaml-cpp's only says where it gave up.
    if (!builder.failed())
      diagnostics.add(
          {static_cast<std::uint32_t>(std::max(0, e.mark.line)) + 1,
           static_cast<std::uint32_t>(std::max(0, e.mark.column)) + 1, 1},
          e.msg);
    return std::nullopt;
  } catch (const std::exception& e) {
    diagnostics.add({}, fmt::format("cannot be read as YAML: {}", e.what()));
    return std::nullopt;
  }
  if (builder.failed())
    return std::nullopt;
  return Document{std::move(source), builder.take_root()};
}

}  // namespace troupe::config
