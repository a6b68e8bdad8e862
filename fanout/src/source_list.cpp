#include <troupe/fanout/source_list.hpp>

#include <algorithm>
#include <fmt/format.h>

namespace troupe::fanout {
namespace {

bool is_separator(const std::string& word) {
  return word == ":::" || word == ":::+" || word == "::::" || word == "::::+";
}

/// Adds the sources that `words` after `separator` are.
Result<void> add_sources(std::vector<SourceSpec>& sources,
                         const std::string& separator,
                         std::span<const std::string> words) {
  const bool linked = separator.back() == '+' && !sources.empty();
  if (separator == ":::" || separator == ":::+") {
    SourceSpec source;
    source.words.assign(words.begin(), words.end());
    source.linked = linked;
    sources.push_back(std::move(source));
    return {};
  }
  if (words.empty())
    return failure(Errc::invalid_argument,
                   fmt::format("{} needs at least one file", separator));
  for (const std::string& path : words) {
    SourceSpec source;
    source.is_file = true;
    source.path = path;
    source.linked = linked;
    sources.push_back(std::move(source));
  }
  return {};
}

}  // namespace

Result<MapWords> split_map_words(std::span<const std::string> words,
                                 std::span<const std::string> argument_files) {
  MapWords result;
  if (!argument_files.empty()) {
    if (auto added = add_sources(result.sources, "::::", argument_files);
        !added)
      return tl::unexpected(std::move(added.error()));
  }
  auto at = std::find_if(words.begin(), words.end(), is_separator);
  result.command.assign(words.begin(), at);
  while (at != words.end()) {
    const auto end = std::find_if(at + 1, words.end(), is_separator);
    if (auto added = add_sources(result.sources, *at, {at + 1, end}); !added)
      return tl::unexpected(std::move(added.error()));
    at = end;
  }
  if (result.sources.empty()) {
    SourceSpec standard_input;
    standard_input.is_file = true;
    standard_input.path = "-";
    result.sources.push_back(std::move(standard_input));
  }
  const auto is_stdin = [](const SourceSpec& source) {
    return source.is_file && source.path == "-";
  };
  if (std::count_if(result.sources.begin(), result.sources.end(), is_stdin) > 1)
    return failure(Errc::invalid_argument,
                   "standard input can be a source only once");
  return result;
}

}  // namespace troupe::fanout
