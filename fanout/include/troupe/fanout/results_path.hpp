#pragma once

#include <troupe/base/error.hpp>

#include <span>
#include <string>
#include <string_view>

namespace troupe::fanout {

/// The files of one job under `--results DIR`.
struct ResultsPaths {
  std::string directory;        ///< To be made, with its parents.
  std::string standard_output;  ///< directory/stdout
  std::string standard_error;   ///< directory/stderr
  std::string seq;              ///< directory/seq, the sequence number.

  friend bool operator==(const ResultsPaths&, const ResultsPaths&) = default;
};

/// GNU parallel's layout: for the values `a` and `b/c`, DIR/1/a/2/b\_c. In a
/// value, `/` becomes `\_`, `\` becomes `\\`, tab `\t`; what is longer than a
/// file name may be (255 bytes) continues in a directory below.
///
/// Where GNU parallel would leave the directory or mix up jobs, we differ: an
/// empty value becomes `\e`, and `.` and `..` become `\.` and `\.\.`. Jobs with
/// the same values share their files; the last one wins.
///
/// Errors: invalid_argument, if the path is longer than the 4095 bytes that the
/// system takes.
[[nodiscard]] Result<ResultsPaths> results_paths(
    std::string_view directory, std::span<const std::string> values);

}  // namespace troupe::fanout
