#include "workflow_file.hpp"

#include "file_io.hpp"
#include "subcommand.hpp"

#include <troupe/base/owned_fd.hpp>
#include <troupe/base/text.hpp>
#include <troupe/config/document.hpp>

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace troupe::cli {

std::shared_ptr<const workflow::Workflow> read_workflow(
    const std::string& path) {
  const bool from_stdin = path == "-";
  const OwnedFd file{from_stdin ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                                : ::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  const std::string name = from_stdin ? "standard input" : printable(path);
  if (!file.is_open()) {
    complain(system_error(fmt::format("cannot read {}", name), errno).what);
    return nullptr;
  }
  auto text = read_to_end(file.get(), config::YamlLimits{}.input_bytes);
  if (!text) {
    complain(fmt::format("{}: {}", name, text.error().what));
    return nullptr;
  }
  auto workflow = workflow::load_workflow(from_stdin ? "-" : path, *text);
  if (!workflow) {
    fmt::print(stderr, "{}\n", workflow.error().what);
    return nullptr;
  }
  return std::move(*workflow);
}

}  // namespace troupe::cli
