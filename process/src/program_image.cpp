#include "program_image.hpp"

#include <troupe/base/text.hpp>

#include <algorithm>
#include <fmt/format.h>

namespace troupe::process {
namespace {

constexpr std::string_view default_path = "/usr/local/bin:/usr/bin:/bin";

std::string_view name_of(std::string_view entry) {
  return entry.substr(0, entry.find('='));
}

bool has_nul(std::string_view text) {
  return text.find('\0') != std::string_view::npos;
}

Result<void> check(const CommandSpec& spec) {
  if (spec.argv.empty())
    return failure(Errc::invalid_argument, "no command given");
  for (const std::string& argument : spec.argv) {
    if (has_nul(argument))
      return failure(Errc::invalid_argument, "NUL byte in an argument");
  }
  for (const auto& [name, value] : spec.env) {
    if (name.empty() || name.find('=') != std::string::npos || has_nul(name) ||
        has_nul(value))
      return failure(
          Errc::invalid_argument,
          fmt::format("bad environment variable \"{}\"", printable(name)));
  }
  if (has_nul(spec.working_directory))
    return failure(Errc::invalid_argument, "NUL byte in working directory");
  return {};
}

constexpr std::string_view path_name = "PATH";

std::string_view value_of(std::string_view entry) {
  return entry.substr(std::min(name_of(entry).size() + 1, entry.size()));
}

}  // namespace

InheritedEnvironment::InheritedEnvironment(const char* const* entries)
    : search_path_{default_path}, mark_{std::string{marker_name} + '='} {
  for (; *entries != nullptr; ++entries) {
    const std::string_view name = name_of(*entries);
    if (name == marker_name) {
      mark_ += value_of(*entries);
      mark_ += '/';
      continue;
    }
    variables_.push_back({*entries, name});
    if (name == path_name)
      search_path_ = value_of(*entries);
  }
}

Result<ProgramImage> ProgramImage::build(const CommandSpec& spec,
                                         const InheritedEnvironment& inherited,
                                         std::string_view marker) {
  if (auto checked = check(spec); !checked)
    return tl::unexpected(std::move(checked.error()));

  ProgramImage image;
  image.argv_.reserve(spec.argv.size() + 1);
  for (const std::string& argument : spec.argv)
    image.argv_.push_back(argument.c_str());
  image.argv_.push_back(nullptr);

  const auto is_kept = [&](std::string_view name) {
    return std::none_of(spec.env.begin(), spec.env.end(),
                        [&](const auto& e) { return e.first == name; }) &&
           std::find(spec.unset_env.begin(), spec.unset_env.end(), name) ==
               spec.unset_env.end();
  };
  const bool keeps_all = spec.env.empty() && spec.unset_env.empty();
  image.env_.reserve(inherited.variables_.size() + spec.env.size() + 2);
  image.search_path_ = default_path;
  if (!spec.clear_env) {
    for (const auto& [entry, name] : inherited.variables_) {
      if (keeps_all || is_kept(name))
        image.env_.push_back(entry);
    }
    if (is_kept(path_name))
      image.search_path_ = inherited.search_path_;
  }

  image.texts_.reserve(spec.env.size() + 1);
  for (std::size_t i = 0; i < spec.env.size(); ++i) {
    const auto& [name, value] = spec.env[i];
    const bool overridden = std::any_of(
        spec.env.begin() + static_cast<std::ptrdiff_t>(i) + 1, spec.env.end(),
        [&, &n = name](const auto& e) { return e.first == n; });
    if (overridden || name == marker_name)
      continue;
    std::string& text = image.texts_.emplace_back(name);
    text += '=';
    text += value;
    image.env_.push_back(text.c_str());
    if (name == path_name)
      image.search_path_ = value;
  }
  image.texts_.emplace_back(inherited.mark_) += marker;
  image.env_.push_back(image.texts_.back().c_str());
  image.env_.push_back(nullptr);
  return image;
}

std::vector<std::string> ProgramImage::candidates() const {
  const std::string_view program{argv_.front()};
  if (program.find('/') != std::string_view::npos)
    return {std::string{program}};
  std::vector<std::string> candidates;
  std::string_view path = search_path_;
  while (true) {
    const std::size_t colon = path.find(':');
    const std::string_view folder = path.substr(0, colon);
    // POSIX: an empty entry is the working directory.
    candidates.push_back(
        fmt::format("{}/{}", folder.empty() ? "." : folder, program));
    if (colon == std::string_view::npos)
      return candidates;
    path.remove_prefix(colon + 1);
  }
}

std::vector<const char*> ProgramImage::shell_argv(
    const std::string& file) const {
  std::vector<const char*> out{"sh", file.c_str()};
  out.insert(out.end(), argv_.begin() + 1, argv_.end());
  return out;
}

bool is_marked_by(std::string_view value, std::string_view session) {
  while (!value.empty()) {
    const std::string_view part = value.substr(0, value.find('/'));
    value.remove_prefix(std::min(value.size(), part.size() + 1));
    if (part.size() > session.size() && part.starts_with(session) &&
        part[session.size()] == '.')
      return true;
  }
  return false;
}

}  // namespace troupe::process
