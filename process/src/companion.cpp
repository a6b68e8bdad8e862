#include <troupe/process/companion.hpp>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <system_error>
#include <unistd.h>

namespace troupe::process {

Result<std::string> companion_program(std::string_view name,
                                      const char* variable) {
  namespace fs = std::filesystem;
  if (const char* const given = std::getenv(variable))
    return std::string{given};
  std::error_code ignored;
  const fs::path self = fs::read_symlink("/proc/self/exe", ignored);
  for (const fs::path& path :
       {self.parent_path() / name,
        self.parent_path() / "../libexec/troupe" / name}) {
    if (::access(path.c_str(), X_OK) == 0)
      return path.string();
  }
  return failure(Errc::not_found,
                 fmt::format("cannot find {} beside {}; set {} to its path",
                             name, self.string(), variable));
}

Error become_companion(std::string_view name, const char* variable,
                       char** argv) {
  const auto program = companion_program(name, variable);
  if (!program)
    return program.error();
  ::execv(program->c_str(), argv);
  return system_error(fmt::format("cannot start {}", *program), errno);
}

}  // namespace troupe::process
