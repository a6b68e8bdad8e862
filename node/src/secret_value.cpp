#include "trigger_files.hpp"

#include <troupe/node/secret_value.hpp>
#include <troupe/process/command_output.hpp>

#include <cstdlib>
#include <fmt/format.h>
#include <utility>

namespace troupe::node {
namespace {

constexpr std::size_t longest_secret = 64 << 10;
constexpr std::size_t largest_file = 1 << 20;
constexpr Duration longest_command = 30s;

/// `name` as seen from the folder of the workflow.
std::string beside(const std::string& workflow_path, const std::string& name) {
  const std::size_t slash = workflow_path.rfind('/');
  if (name.starts_with('/') || slash == std::string::npos)
    return name;
  return workflow_path.substr(0, slash + 1) + name;
}

Result<std::string> value_of(const workflow::Secret& secret,
                             const std::string& path) {
  switch (secret.source) {
    case workflow::SecretSource::environment: {
      // Nobody changes our variables.
      const char* const value =
          std::getenv(secret.key.c_str());  // NOLINT(concurrency-mt-unsafe)
      if (value == nullptr)
        return failure(Errc::not_found,
                       fmt::format("the variable {} is not set", secret.key));
      return std::string{value};
    }
    case workflow::SecretSource::file:
      return read_text(beside(path, secret.key), largest_file);
    case workflow::SecretSource::command: {
      auto text = process::read_command_output(secret.key, longest_secret,
                                               longest_command);
      if (!text)
        return tl::unexpected{std::move(text.error()).within("its command")};
      return text;
    }
  }
  return std::string{};
}

}  // namespace

Result<std::string> read_secret(const workflow::Secret& secret,
                                const std::string& workflow_path) {
  auto value = value_of(secret, workflow_path);
  if (!value)
    return value;
  if (secret.source != workflow::SecretSource::environment)
    value->erase(value->find_last_not_of("\r\n") + 1);
  if (value->size() > longest_secret)
    return failure(Errc::overloaded, "longer than 64 KiB");
  if (value->find('\0') != std::string::npos)
    return failure(Errc::invalid_argument,
                   "it has a NUL byte, which no variable can have");
  return value;
}

Result<std::string> read_secret(const StepSecret& secret) {
  if (!secret.value.empty())
    return secret.value;
  if (secret.secret.source != workflow::SecretSource::environment)
    return read_secret(secret.secret, secret.workflow_path);
  // Nobody changes our variables.
  const char* const value =
      std::getenv(secret.variable.c_str());  // NOLINT(concurrency-mt-unsafe)
  if (value == nullptr)
    return failure(Errc::not_found, fmt::format("the node has no variable {}",
                                                secret.secret.key));
  return std::string{value};
}

}  // namespace troupe::node
