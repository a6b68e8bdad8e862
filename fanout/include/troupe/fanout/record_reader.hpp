#pragma once

#include <troupe/base/error.hpp>
#include <troupe/fanout/command_template.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::fanout {

/// Where bytes come from: a file, standard input, a string in a test.
/// Implemented by the shell of `troupe map`.
class ByteReader {
 public:
  virtual ~ByteReader() = default;

  /// Fills the front of `buffer`, which is not empty, and returns how many
  /// bytes that were; zero is the end. May block, and is called only when more
  /// input is wanted: that is all the back-pressure there is.
  [[nodiscard]] virtual Result<std::size_t> read(std::span<char> buffer) = 0;
};

/// Reads the value of -d: one or more characters, with the escapes \n \t \r \0
/// \a \b \f \v \\, \xHH and \NNN (octal).
///
/// Errors: invalid_argument, "expected a delimiter such as , or \t, got …".
[[nodiscard]] Result<std::string> parse_delimiter(std::string_view text);

/// How bytes are cut into records. As GNU parallel: the last record needs no
/// separator after it, a blank line is an empty argument, and a carriage return
/// before a newline is part of the argument.
struct RecordFormat {
  std::string separator = "\n";  ///< Not empty. A single NUL for -0.
  bool skip_blank = false;       ///< Drop records of only white space (-r).
  std::size_t longest_record_bytes = longest_word_bytes;
};

/// Cuts a stream of bytes into records. Holds one record and one block of
/// 64 KiB, however long the stream is. Not thread-safe.
class RecordReader {
 public:
  /// `name` is what errors call the stream: "urls.txt".
  RecordReader(std::unique_ptr<ByteReader> bytes, RecordFormat format,
               std::string name);

  /// The next record without its separator, valid until the next call; none at
  /// the end. Blocks while ByteReader does. Not to be called after an error.
  ///
  /// Errors: what ByteReader gives; invalid_argument for a record that no
  /// program can get as an argument, "urls.txt: record 3 is longer than 131071
  /// bytes, …" or "… holds a NUL byte, …".
  [[nodiscard]] Result<std::optional<std::string_view>> next();

 private:
  [[nodiscard]] Result<std::optional<std::string_view>> next_record();
  [[nodiscard]] Result<void> fill();
  [[nodiscard]] Result<std::optional<std::string_view>> checked(
      std::string_view record);
  [[nodiscard]] tl::unexpected<Error> refuse(std::string_view what) const;

  std::unique_ptr<ByteReader> bytes_;
  RecordFormat format_;
  std::string name_;

  std::vector<char> buffer_;
  std::size_t begin_ = 0;    ///< Start of the record in `buffer_`.
  std::size_t end_ = 0;      ///< End of what was read.
  std::size_t scanned_ = 0;  ///< No separator starts before this.
  bool at_end_ = false;
  std::uint64_t records_ = 0;
};

}  // namespace troupe::fanout
