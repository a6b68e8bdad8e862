#pragma once

#include <troupe/workflow/value.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::workflow {

/// What stands for a secret wherever it would be shown.
inline constexpr std::string_view masked_text = "***";

/// Finds secrets in texts. Of a secret with several lines each line of at least
/// four bytes is one, too, since programs print lines; so is its form in JSON,
/// and each value of at least four bytes in a secret that is JSON. Immutable;
/// used from any thread.
class SecretMask {
 public:
  /// Nothing is secret.
  SecretMask() : SecretMask{std::span<const std::string>{}} {}
  /// Empty texts are no secrets.
  explicit SecretMask(std::span<const std::string> secrets);

  [[nodiscard]] bool empty() const { return patterns_.empty(); }

  /// `text` with masked_text for each stretch of it that is part of a secret.
  [[nodiscard]] std::string apply(std::string_view text) const;

  /// The same for the end of a longer text, which may begin in the middle of a
  /// secret.
  [[nodiscard]] std::string apply_to_end(std::string_view text) const;

 private:
  friend class SecretFilter;

  /// A prefix of a secret: a node of the automaton of Aho and Corasick.
  struct Node {
    std::vector<std::pair<unsigned char, std::uint32_t>> next;
    std::uint32_t fallback = 0;  ///< The longest suffix that is a prefix, too.
    std::uint32_t depth = 0;
    std::uint32_t match = 0;  ///< Length of the longest secret it ends with.
  };

  void add(std::string_view secret);
  void add_parts(const Value& value);
  void connect();
  [[nodiscard]] std::uint32_t child(std::uint32_t node, unsigned char c) const;
  [[nodiscard]] std::uint32_t step(std::uint32_t node, unsigned char c) const;

  std::vector<std::string> patterns_;
  /// The first is the empty prefix.
  std::vector<Node> nodes_ = std::vector<Node>(1);
  std::array<std::uint32_t, 256> first_{};  ///< Its next nodes.
};

/// The same for a text that comes in pieces. It holds back what may be the
/// start of a secret, at most the length of the longest one. One thread.
class SecretFilter {
 public:
  explicit SecretFilter(std::shared_ptr<const SecretMask> mask)
      : mask_{std::move(mask)} {}

  /// Whether nothing is secret, so that texts need not go through it.
  [[nodiscard]] bool passes_all() const { return mask_->empty(); }

  /// What can be shown now that `bytes` have come.
  [[nodiscard]] std::string write(std::string_view bytes);

  /// What was held back, once nothing more comes.
  [[nodiscard]] std::string finish();

 private:
  struct Held {
    char byte;
    bool is_secret;
  };

  void release(std::size_t keep, std::string& out);

  std::shared_ptr<const SecretMask> mask_;
  std::uint32_t node_ = 0;
  std::deque<Held> held_;
  bool in_secret_ = false;  ///< The last byte shown was.
};

}  // namespace troupe::workflow
