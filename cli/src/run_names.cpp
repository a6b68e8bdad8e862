#include "run_names.hpp"

#include <troupe/base/text.hpp>

#include <algorithm>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <set>

namespace troupe::cli {
namespace {

constexpr std::string_view id_letters = "0123456789abcdefghijklmnopqrstuvwxyz";
constexpr std::size_t id_random_letters = 4;
/// With d for a digit and x for one of id_letters.
constexpr std::string_view id_shape = "dddddddd-dddddd-xxxx";
constexpr std::size_t longest_file_name = 100;
constexpr std::size_t longest_title = 60;

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::string lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z')
      c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

}  // namespace

std::string make_run_id(WallTime start, std::uint64_t random) {
  std::string id =
      fmt::format("{:%Y%m%d-%H%M%S}-",
                  fmt::gmtime(std::chrono::system_clock::to_time_t(start)));
  for (std::size_t i = 0; i < id_random_letters; ++i) {
    id += id_letters[random % id_letters.size()];
    random /= id_letters.size();
  }
  return id;
}

bool is_run_id(std::string_view name) {
  if (name.size() != id_shape.size())
    return false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const bool fits = id_shape[i] == 'd' ? is_digit(name[i])
                      : id_shape[i] == 'x'
                          ? id_letters.find(name[i]) != std::string_view::npos
                          : name[i] == id_shape[i];
    if (!fits)
      return false;
  }
  return true;
}

std::vector<std::string> runs_to_delete(std::vector<std::string> names,
                                        std::size_t keep) {
  names.erase(
      std::remove_if(names.begin(), names.end(),
                     [](const std::string& n) { return !is_run_id(n); }),
      names.end());
  std::sort(names.begin(), names.end());
  names.resize(names.size() - std::min(keep, names.size()));
  return names;
}

std::string file_name(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, longest_file_name)) {
    const bool plain =
        is_letter(c) || is_digit(c) || c == '.' || c == '_' || c == '-';
    out += plain ? c : '_';
  }
  if (out.empty() || out.front() == '.')
    out.insert(out.begin(), '_');
  return out;
}

std::vector<std::string> unique_file_names(std::span<const std::string> texts) {
  std::set<std::string> taken;
  std::vector<std::string> out;
  for (const std::string& text : texts) {
    const std::string name = file_name(text);
    std::string candidate = name;
    for (std::size_t n = 2; !taken.insert(lower(candidate)).second; ++n)
      candidate = fmt::format("{}-{}", name, n);
    out.push_back(std::move(candidate));
  }
  return out;
}

std::vector<std::string> step_keys(const workflow::Job& job) {
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < job.steps.size(); ++i)
    keys.push_back(workflow::step_key(job, i));
  return keys;
}

std::string step_title(const workflow::Step& step) {
  if (!step.name.empty())
    return ellipsize(printable(step.name.text), longest_title);
  std::string_view text = step.run.text;
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  return ellipsize(printable(text.substr(0, text.find('\n'))), longest_title);
}

}  // namespace troupe::cli
