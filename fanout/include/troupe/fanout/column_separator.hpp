#pragma once

#include <troupe/base/error.hpp>

#include <bitset>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::fanout {

/// What --colsep splits a record at: plain text such as `,` or `::`, or the
/// part of regular expressions that column separators need:
///
///   \t \n \r \\ \| ...  the character itself      \s \d \w  their classes
///   [,;] [^a-z]         one of a set              + * ?     after any of these
///   \s*;|,              alternatives, the first that matches wins
///
/// Matching never backtracks (a repeated piece takes all it can), so it takes
/// linear time on any input. White space around each column is removed, as in
/// GNU parallel. An immutable value.
class ColumnSeparator {
 public:
  /// Errors: invalid_argument; groups, anchors and an unescaped dot are refused
  /// by name.
  [[nodiscard]] static Result<ColumnSeparator> parse(std::string_view pattern);

  /// Appends the columns of `record` to `columns`: at least one.
  void split(std::string_view record, std::vector<std::string>& columns) const;

 private:
  struct Atom {
    std::bitset<256> bytes;
    bool optional = false;
    bool repeated = false;
  };
  using Sequence = std::vector<Atom>;
  class Parser;

  ColumnSeparator() = default;

  /// Length of the separator that `text` starts with, or zero.
  [[nodiscard]] std::size_t match(std::string_view text) const;

  std::vector<Sequence> alternatives_;
};

}  // namespace troupe::fanout
