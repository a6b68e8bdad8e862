#include "basic_environment.hpp"

#include <algorithm>
#include <array>

namespace troupe::node {
namespace {

bool is_for_all(std::string_view name) {
  constexpr std::array<std::string_view, 10> names{
      "PATH", "HOME",     "USER", "LOGNAME", "SHELL",
      "LANG", "LANGUAGE", "TZ",   "TMPDIR",  "XDG_RUNTIME_DIR"};
  return name.starts_with("LC_") ||
         std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

std::map<std::string, std::string> basic_environment(
    const char* const* own, const Account& account, const std::string& socket) {
  std::map<std::string, std::string> all;
  for (const char* const* one = own; *one != nullptr; ++one) {
    const std::string_view text{*one};
    const std::size_t end = text.find('=');
    if (end != std::string_view::npos && is_for_all(text.substr(0, end)))
      all.emplace(text.substr(0, end), text.substr(end + 1));
  }
  // emplace: what is there stays.
  all.emplace("PATH", "/usr/local/bin:/usr/bin:/bin");
  all.emplace("HOME", account.home.empty() ? "/" : account.home);
  all.emplace("USER", account.name);
  all.emplace("LOGNAME", all.at("USER"));
  all.emplace("SHELL", account.shell.empty() ? "/bin/sh" : account.shell);
  all["TROUPE_SOCKET"] = socket;
  return all;
}

}  // namespace troupe::node
