#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::config {

/// A stretch of one line of a file. Lines and columns count from 1, columns in
/// bytes, as compilers do. Line 0 stands for the file as a whole.
struct Span {
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  std::uint32_t length = 1;

  friend bool operator==(const Span&, const Span&) = default;
};

/// The text of a file with the name to call it in messages. Immutable.
class Source {
 public:
  Source(std::string name, std::string text);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::string_view text() const { return text_; }

  /// Line `number`, from 1, without its line break; empty if there is none.
  [[nodiscard]] std::string_view line(std::uint32_t number) const;

  /// The text from the start of `at` to the end of the file; empty if `at` is
  /// not in the file.
  [[nodiscard]] std::string_view from(Span at) const;

  /// The place `offset` bytes after the start of `at`.
  [[nodiscard]] Span advance(Span at, std::size_t offset) const;

 private:
  std::string name_;
  std::string text_;
  std::vector<std::size_t> line_starts_;
};

}  // namespace troupe::config
