#include "program_finder.hpp"

#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <string_view>
#include <unistd.h>

namespace troupe::process {
namespace {

/// More than this are forgotten early.
constexpr std::size_t most_remembered = 256;

bool is_executable(const CommandSpec& spec, const std::string& candidate) {
  return ::faccessat(AT_FDCWD, in_directory(spec, candidate).c_str(), X_OK,
                     AT_EACCESS) == 0;
}

Result<std::string> search(const CommandSpec& spec, const ProgramImage& image) {
  const std::string& name = spec.argv.front();
  bool found_unusable = false;
  for (std::string& candidate : image.candidates()) {
    if (is_executable(spec, candidate))
      return std::move(candidate);
    found_unusable = found_unusable || errno == EACCES;
  }
  if (found_unusable)
    return failure(Errc::permission_denied,
                   fmt::format("{}: permission denied", name));
  return failure(Errc::not_found, fmt::format("{}: command not found", name));
}

}  // namespace

std::string in_directory(const CommandSpec& spec, const std::string& path) {
  if (spec.working_directory.empty() || path.starts_with('/'))
    return path;
  return spec.working_directory + '/' + path;
}

Result<std::string> ProgramFinder::find(const CommandSpec& spec,
                                        const ProgramImage& image,
                                        TimePoint now) {
  const std::string& name = spec.argv.front();
  if (name.empty())
    return failure(Errc::not_found, "'': command not found");
  if (name.find('/') != std::string::npos)
    return name;
  if (now >= forget_at_ || found_.size() >= most_remembered) {
    found_.clear();
    forget_at_ = now + memory;
  }
  // None of the three has a NUL in it.
  std::string key;
  for (const std::string_view part :
       {std::string_view{name}, image.search_path(),
        std::string_view{spec.working_directory}}) {
    key += part;
    key += '\0';
  }
  const auto known = found_.find(key);
  if (known != found_.end() && is_executable(spec, known->second))
    return known->second;
  auto program = search(spec, image);
  if (program)
    found_.insert_or_assign(std::move(key), *program);
  return program;
}

}  // namespace troupe::process
