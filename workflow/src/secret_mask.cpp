#include <troupe/workflow/secret_mask.hpp>

#include <algorithm>

namespace troupe::workflow {
namespace {

/// Shorter lines of a secret occur everywhere.
constexpr std::size_t shortest_line = 4;

}  // namespace

SecretMask::SecretMask(std::span<const std::string> secrets) {
  for (const std::string_view secret : secrets) {
    add(secret);
    for (std::size_t at = 0; at < secret.size();) {
      const std::size_t end = std::min(secret.find('\n', at), secret.size());
      std::string_view line = secret.substr(at, end - at);
      if (line.ends_with('\r'))
        line.remove_suffix(1);
      if (line.size() >= shortest_line)
        add(line);
      at = end + 1;
    }
    const std::string json = Value{secret}.json();
    add(std::string_view{json}.substr(1, json.size() - 2));
    if (const auto value = parse_json(secret))
      add_parts(*value);
  }
  connect();
}

/// fromJSON() can take a secret apart, also a text that is JSON again.
void SecretMask::add_parts(const Value& value) {
  if (const auto* const list = std::get_if<Value::List>(&value.data)) {
    for (const Value& part : *list)
      add_parts(part);
  } else if (const auto* const object =
                 std::get_if<Value::Object>(&value.data)) {
    for (const auto& [name, part] : *object)
      add_parts(part);
  } else if (const std::string text = value.text();
             text.size() >= shortest_line) {
    add(text);
    // A number is JSON of itself.
    if (const auto inner = parse_json(text);
        inner && std::holds_alternative<std::string>(value.data))
      add_parts(*inner);
  }
}

void SecretMask::add(std::string_view secret) {
  if (secret.empty() ||
      std::find(patterns_.begin(), patterns_.end(), secret) != patterns_.end())
    return;
  patterns_.emplace_back(secret);
  std::uint32_t at = 0;
  for (const char c : secret) {
    const auto byte = static_cast<unsigned char>(c);
    std::uint32_t next = child(at, byte);
    if (next == 0) {
      next = static_cast<std::uint32_t>(nodes_.size());
      const std::uint32_t depth = nodes_[at].depth + 1;
      nodes_[at].next.emplace_back(byte, next);
      if (at == 0)
        first_[byte] = next;
      nodes_.push_back({.depth = depth});
    }
    at = next;
  }
  nodes_[at].match = nodes_[at].depth;
}

/// Breadth first, so that the fallback of a node is known before its children.
void SecretMask::connect() {
  std::vector<std::uint32_t> open{0};
  for (std::size_t i = 0; i < open.size(); ++i) {
    const std::uint32_t at = open[i];
    for (const auto& [byte, next] : nodes_[at].next) {
      const std::uint32_t around =
          at == 0 ? 0 : step(nodes_[at].fallback, byte);
      nodes_[next].fallback = around;
      nodes_[next].match = std::max(nodes_[next].match, nodes_[around].match);
      open.push_back(next);
    }
  }
}

std::uint32_t SecretMask::child(std::uint32_t node, unsigned char c) const {
  if (node == 0)
    return first_[c];
  for (const auto& [byte, next] : nodes_[node].next) {
    if (byte == c)
      return next;
  }
  return 0;
}

std::uint32_t SecretMask::step(std::uint32_t node, unsigned char c) const {
  for (;;) {
    const std::uint32_t next = child(node, c);
    if (next != 0 || node == 0)
      return next;
    node = nodes_[node].fallback;
  }
}

std::string SecretMask::apply(std::string_view text) const {
  if (empty())
    return std::string{text};
  // Not owned: the filter does not outlive this call.
  SecretFilter filter{
      std::shared_ptr<const SecretMask>{std::shared_ptr<void>{}, this}};
  std::string out = filter.write(text);
  return out + filter.finish();
}

std::string SecretMask::apply_to_end(std::string_view text) const {
  std::size_t cut = 0;
  for (const std::string_view pattern : patterns_) {
    for (std::size_t size = std::min(pattern.size() - 1, text.size());
         size > cut; --size) {
      if (text.starts_with(pattern.substr(pattern.size() - size)))
        cut = size;
    }
  }
  return cut == 0 ? apply(text)
                  : std::string{masked_text} + apply(text.substr(cut));
}

std::string SecretFilter::write(std::string_view bytes) {
  if (mask_->empty())
    return std::string{bytes};
  std::string out;
  out.reserve(bytes.size());
  for (const char c : bytes) {
    node_ = mask_->step(node_, static_cast<unsigned char>(c));
    const SecretMask::Node& node = mask_->nodes_[node_];
    if (node_ == 0 && held_.empty()) {
      out += c;
      in_secret_ = false;
      continue;
    }
    held_.push_back({c, false});
    // What begins before the held bytes is over: none was its prefix.
    const std::size_t found = std::min<std::size_t>(node.match, held_.size());
    std::for_each(held_.end() - static_cast<std::ptrdiff_t>(found), held_.end(),
                  [](Held& held) { held.is_secret = true; });
    release(node.depth, out);
  }
  return out;
}

std::string SecretFilter::finish() {
  std::string out;
  release(0, out);
  node_ = 0;
  return out;
}

void SecretFilter::release(std::size_t keep, std::string& out) {
  const std::size_t count = held_.size() - std::min(keep, held_.size());
  for (std::size_t i = 0; i < count; ++i) {
    if (!held_[i].is_secret)
      out += held_[i].byte;
    else if (!in_secret_)
      out += masked_text;
    in_secret_ = held_[i].is_secret;
  }
  held_.erase(held_.begin(),
              held_.begin() + static_cast<std::ptrdiff_t>(count));
}

}  // namespace troupe::workflow
