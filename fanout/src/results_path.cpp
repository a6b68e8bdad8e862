#include <troupe/fanout/results_path.hpp>

#include <fmt/format.h>

namespace troupe::fanout {
namespace {

constexpr std::size_t longest_name_bytes = 255;   // NAME_MAX
constexpr std::size_t longest_path_bytes = 4095;  // PATH_MAX less its NUL

std::string escaped(std::string_view value) {
  if (value.empty())
    return "\\e";
  std::string out;
  for (const char c : value) {
    if (c == '/')
      out += "\\_";
    else if (c == '\\')
      out += "\\\\";
    else if (c == '\t')
      out += "\\t";
    else
      out += c;
  }
  return out;
}

/// Appends `name` as one or more path components.
void append_components(std::string& path, std::string_view name) {
  while (!name.empty()) {
    const std::string_view part = name.substr(0, longest_name_bytes);
    name.remove_prefix(part.size());
    path += '/';
    if (part == ".")
      path += "\\.";
    else if (part == "..")
      path += "\\.\\.";
    else
      path += part;
  }
}

}  // namespace

Result<ResultsPaths> results_paths(std::string_view directory,
                                   std::span<const std::string> values) {
  while (directory.size() > 1 && directory.ends_with('/'))
    directory.remove_suffix(1);
  std::string path{directory};
  for (std::size_t i = 0; i < values.size(); ++i) {
    path += fmt::format("/{}", i + 1);
    append_components(path, escaped(values[i]));
  }
  ResultsPaths paths{.directory = path,
                     .standard_output = path + "/stdout",
                     .standard_error = path + "/stderr",
                     .seq = path + "/seq"};
  if (paths.standard_error.size() > longest_path_bytes)
    return failure(
        Errc::invalid_argument,
        fmt::format("the arguments make a path of {} bytes below {}, and the "
                    "system takes at most {}",
                    paths.standard_error.size(), directory,
                    longest_path_bytes));
  return paths;
}

}  // namespace troupe::fanout
