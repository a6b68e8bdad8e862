#include "with_secrets.hpp"

#include "child_status.hpp"
#include "file_io.hpp"

#include <troupe/base/owned_fd.hpp>
#include <troupe/base/text.hpp>
#include <troupe/node/secret_value.hpp>
#include <troupe/process/command_output.hpp>
#include <troupe/workflow/outputs.hpp>
#include <troupe/workflow/secret_mask.hpp>

#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <fmt/format.h>
#include <memory>
#include <unistd.h>
#include <utility>

namespace troupe::cli {
namespace {

using workflow::SecretFilter;

constexpr std::size_t largest_outputs = 64 << 20;

/// Puts the values into our own variables, which the command gets.
void put_in(const std::vector<std::pair<std::string, std::string>>& values) {
  std::vector<std::pair<std::string, std::string>> changed;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text{*entry};
    const std::size_t equals = text.find('=');
    std::string value{text.substr(equals + 1)};
    bool has_changed = false;
    for (const auto& [placeholder, secret] : values) {
      for (std::size_t at = value.find(placeholder); at != std::string::npos;
           at = value.find(placeholder, at + secret.size())) {
        value.replace(at, placeholder.size(), secret);
        has_changed = true;
      }
    }
    if (has_changed)
      changed.emplace_back(text.substr(0, equals), std::move(value));
  }
  for (const auto& [name, value] : changed)
    ::setenv(name.c_str(), value.c_str(), 1);
}

/// What the command hands on is kept, so it must not have a secret in it.
Result<void> mask_outputs(const std::string& path,
                          const workflow::SecretMask& mask) {
  const OwnedFd file{::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC)};
  if (!file.is_open())
    return errno == ENOENT ? Result<void>{}
                           : tl::unexpected{system_error(path, errno)};
  const auto text = read_to_end(file.get(), largest_outputs);
  const std::string masked = text ? mask.apply(*text) : std::string{};
  if (text && masked == *text)
    return {};
  if (::ftruncate(file.get(), 0) != 0 ||
      ::lseek(file.get(), 0, SEEK_SET) != 0 || !write_fully(file.get(), masked))
    return tl::unexpected{system_error(path, errno)};
  return text ? Result<void>{} : tl::unexpected{text.error()};
}

}  // namespace

int with_secrets(const Startup& startup, std::vector<std::string> words) {
  const auto secrets =
      node::decode_step_secrets(environment_variable(node::secrets_variable));
  if (!secrets || words.empty())
    return troupe_failed(secrets
                             ? Error{Errc::invalid_argument, "no command given"}
                             : secrets.error());
  std::vector<std::pair<std::string, std::string>> values;
  std::vector<std::string> texts;
  for (const node::StepSecret& secret : *secrets) {
    auto value = node::read_secret(secret);
    if (!value)
      return troupe_failed(
          {value.error().code,
           fmt::format("the secret \"{}\": {}", secret.secret.name,
                       printable(value.error().what))});
    texts.push_back(*value);
    if (!secret.placeholder.empty())
      values.emplace_back(secret.placeholder, std::move(*value));
    ::unsetenv(secret.variable.c_str());
  }
  ::unsetenv(std::string{node::secrets_variable}.c_str());
  put_in(values);

  const auto mask = std::make_shared<const workflow::SecretMask>(texts);
  SecretFilter out{mask};
  SecretFilter err{mask};
  const auto ended = process::run_and_copy(
      words, startup.signal_mask, /*most_bytes=*/0,
      {.on_output =
           [&](std::string_view bytes) {
             return write_fully(STDOUT_FILENO, out.write(bytes));
           },
       .on_error =
           [&](std::string_view bytes) {
             return write_fully(STDERR_FILENO, err.write(bytes));
           }});
  if (!ended) {
    complain(ended.error().what);
    return status_of(ended.error());
  }
  (void)write_fully(STDOUT_FILENO, out.finish());
  (void)write_fully(STDERR_FILENO, err.finish());
  if (const std::string file = environment_variable(workflow::output_variable);
      !file.empty()) {
    if (const auto masked = mask_outputs(file, *mask); !masked)
      return troupe_failed(
          Error{masked.error()}.within("what the step hands on"));
  }
  return end_as(ended->status);
}

}  // namespace troupe::cli
