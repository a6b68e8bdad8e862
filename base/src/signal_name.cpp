#include <troupe/base/quantity.hpp>
#include <troupe/base/signal_name.hpp>

#include <csignal>
#include <cstring>
#include <fmt/format.h>

namespace troupe {

std::string signal_name(int signal) {
  const char* const name = ::sigabbrev_np(signal);
  return name == nullptr ? fmt::format("signal {}", signal)
                         : fmt::format("SIG{}", name);
}

std::optional<int> parse_signal(std::string_view text) {
  if (const auto number = parse_count(text);
      number && *number >= 1 && *number < static_cast<std::uint64_t>(NSIG))
    return static_cast<int>(*number);
  std::string name{text};
  for (char& c : name)
    c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  if (name.starts_with("SIG"))
    name.erase(0, 3);
  for (int signal = 1; signal < NSIG; ++signal) {
    const char* const candidate = ::sigabbrev_np(signal);
    if (candidate != nullptr && name == candidate)
      return signal;
  }
  return std::nullopt;
}

std::vector<std::string_view> signal_names() {
  std::vector<std::string_view> names;
  for (int signal = 1; signal < NSIG; ++signal) {
    if (const char* const name = ::sigabbrev_np(signal))
      names.emplace_back(name);
  }
  return names;
}

}  // namespace troupe
