#pragma once

#include <troupe/base/error.hpp>

#include <span>
#include <string>
#include <vector>

namespace troupe::fanout {

/// One source of arguments, as written on the command line.
struct SourceSpec {
  bool is_file = false;
  std::string path{};                ///< Of a file; "-" is standard input.
  std::vector<std::string> words{};  ///< After `:::`; may be none.
  bool linked = false;  ///< Goes in step with the source before it.

  friend bool operator==(const SourceSpec&, const SourceSpec&) = default;
};

/// The words of a `troupe map` command line, less the options.
struct MapWords {
  std::vector<std::string> command{};  ///< For CommandTemplate::parse.
  std::vector<SourceSpec> sources{};   ///< In order; at least one.

  friend bool operator==(const MapWords&, const MapWords&) = default;
};

/// Takes a command line apart:
///
///   COMMAND [::: WORD...] [:::+ WORD...] [:::: FILE...] [::::+ FILE...]
///
/// Each `:::` is a source, each file after `::::` is one; with `+` it is linked
/// to the source before it. `argument_files` (-a) come first. Without any
/// source, standard input is the only one.
///
/// Errors: invalid_argument, ":::: needs at least one file" or "standard input
/// can be a source only once".
[[nodiscard]] Result<MapWords> split_map_words(
    std::span<const std::string> words,
    std::span<const std::string> argument_files);

}  // namespace troupe::fanout
