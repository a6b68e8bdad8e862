#include "workflow_file.hpp"

#include "file_io.hpp"
#include "subcommand.hpp"

#include <troupe/base/owned_fd.hpp>
#include <troupe/base/text.hpp>
#include <troupe/workflow/load.hpp>

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace troupe::cli {

namespace {

Result<std::string> read_included(const std::string& path) {
  // Opening a FIFO would wait for somebody to write to it.
  const OwnedFd file{::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
  struct stat info {};
  if (!file.is_open() || ::fstat(file.get(), &info) != 0)
    return tl::unexpected{system_error("cannot open it", errno)};
  if (!S_ISREG(info.st_mode))
    return failure(Errc::invalid_argument, "it is no file");
  return read_to_end(file.get(), workflow::largest_file);
}

}  // namespace

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
  auto text = read_to_end(file.get(), workflow::largest_file);
  if (!text) {
    complain(fmt::format("{}: {}", name, text.error().what));
    return nullptr;
  }
  auto workflow =
      workflow::load_workflow(from_stdin ? "-" : path, *text, read_included);
  if (!workflow) {
    fmt::print(stderr, "{}\n", workflow.error().what);
    return nullptr;
  }
  return std::move(*workflow);
}

}  // namespace troupe::cli
