#include "stack_names.hpp"

#include "state_folder.hpp"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fmt/format.h>
#include <string_view>
#include <system_error>

namespace troupe::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view socket_prefix = "up-";
constexpr std::string_view socket_suffix = ".sock";
constexpr std::size_t longest_stem = 24;

/// FNV-1a: the same for the same path, for ever.
std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 1099511628211ULL;
  }
  return hash;
}

/// "stack-1f2e3d4c5b6a7988": for people, and unique.
std::string name_of(const std::string& file) {
  std::string stem = fs::path{file}.stem().string();
  std::replace_if(
      stem.begin(), stem.end(),
      [](char c) {
        return !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                 (c >= '0' && c <= '9') || c == '_' || c == '-');
      },
      '_');
  return fmt::format("{}-{:016x}", stem.substr(0, longest_stem), hash_of(file));
}

}  // namespace

Result<StackPlaces> places_of(const std::string& file,
                              std::vector<std::string>& notes) {
  std::error_code error;
  const fs::path path = fs::canonical(file, error);
  if (error)
    return tl::unexpected{system_error(file, error.value())};
  auto runtime = runtime_folder();
  if (!runtime)
    return tl::unexpected{std::move(runtime.error())};
  auto state = state_home(notes);
  if (!state)
    return tl::unexpected{std::move(state.error())};
  const std::string name = name_of(path.string());
  return StackPlaces{
      .file = path.string(),
      .socket = fmt::format("{}/{}{}{}", *runtime, socket_prefix, name,
                            socket_suffix),
      .log_folder = fmt::format("{}/troupe/stacks/{}", *state, name)};
}

Result<std::vector<std::string>> all_stack_sockets() {
  const auto runtime = checked_runtime_folder();
  if (!runtime)
    return tl::unexpected{runtime.error()};
  std::vector<std::string> sockets;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator{*runtime, error}) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(socket_prefix) && name.ends_with(socket_suffix))
      sockets.push_back(entry.path().string());
  }
  std::sort(sockets.begin(), sockets.end());
  return sockets;
}

}  // namespace troupe::cli
