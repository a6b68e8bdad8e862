#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::process {

/// The last bytes of a stream, in a fixed amount of memory.
class Tail {
 public:
  /// Keeps up to `limit_bytes`; zero keeps nothing.
  explicit Tail(std::size_t limit_bytes) : limit_{limit_bytes} {}

  void write(std::string_view bytes);

  /// The kept bytes, oldest first. Starts in the middle of a line, and maybe of
  /// a character, if more was written than kept.
  [[nodiscard]] std::string text() const;

 private:
  std::size_t limit_;
  std::string ring_;
  std::size_t next_ = 0;  ///< Where the next byte goes once the ring is full.
};

/// Looks for texts in a stream that comes in pieces, in memory bounded by the
/// length of the texts: a match may span any number of pieces.
class TextFinder {
 public:
  /// An empty text counts as found from the start.
  explicit TextFinder(std::vector<std::string> texts);

  void write(std::string_view bytes);

  [[nodiscard]] bool found(std::size_t index) const { return found_[index]; }

 private:
  std::vector<std::string> texts_;
  std::vector<bool> found_;
  std::size_t longest_ = 0;
  std::size_t missing_ = 0;  ///< Texts not found yet.
  std::string carry_;        ///< The last `longest_ - 1` bytes.
};

}  // namespace troupe::process
