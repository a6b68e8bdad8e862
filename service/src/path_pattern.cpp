#include <troupe/service/path_pattern.hpp>

#include <algorithm>
#include <optional>

namespace troupe::service {
namespace {

constexpr std::string_view any_folders = "**";

/// Calls `visit(name, is_last)` for the parts of `path` until it says false;
/// whether it never did.
template <class F>
bool for_each_part(std::string_view path, F visit) {
  while (true) {
    path.remove_prefix(std::min(path.find_first_not_of('/'), path.size()));
    if (path.empty())
      return true;
    const std::string_view name = path.substr(0, path.find('/'));
    path.remove_prefix(name.size());
    const bool is_last = path.find_first_not_of('/') == std::string_view::npos;
    if (!visit(name, is_last))
      return false;
  }
}

/// The bytes of the character that `text` begins with.
std::size_t character_size(std::string_view text) {
  constexpr unsigned char of_continuation = 0x80;
  constexpr unsigned char mask = 0xc0;
  std::size_t size = 1;
  while (size < text.size() &&
         (static_cast<unsigned char>(text[size]) & mask) == of_continuation)
    ++size;
  return size;
}

}  // namespace

bool is_rarely_meant(std::string_view folder) {
  return folder.starts_with('.') || folder == "node_modules" ||
         folder == "__pycache__";
}

bool name_matches(std::string_view pattern, std::string_view name) {
  // After the last star so far, and where what it stands for ends.
  std::optional<std::string_view> after_star;
  std::string_view end_of_star;
  while (!name.empty()) {
    if (pattern.starts_with('*')) {
      pattern.remove_prefix(1);
      after_star = pattern;
      end_of_star = name;
    } else if (pattern.starts_with('?')) {
      pattern.remove_prefix(1);
      name.remove_prefix(character_size(name));
    } else if (!pattern.empty() && pattern[0] == name[0]) {
      pattern.remove_prefix(1);
      name.remove_prefix(1);
    } else if (after_star) {
      end_of_star.remove_prefix(character_size(end_of_star));
      pattern = *after_star;
      name = end_of_star;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*') == std::string_view::npos;
}

PathPattern::PathPattern(std::string_view text, Wildcards wildcards)
    : wildcards_{wildcards} {
  for_each_part(text, [&](std::string_view part, bool is_last) {
    const bool repeats =
        part == any_folders && !parts_.empty() && parts_.back() == any_folders;
    if (!repeats)
      parts_.emplace_back(part);
    if (is_last && part == any_folders)
      parts_.emplace_back("*");
    return true;
  });
}

bool PathPattern::has_wildcard(std::string_view text) {
  return text.find_first_of("*?") != std::string_view::npos;
}

std::string_view PathPattern::fixed_folder(std::string_view text) {
  const std::string_view fixed = text.substr(0, text.find_first_of("*?"));
  const std::size_t slash = fixed.rfind('/');
  if (slash == std::string_view::npos)
    return {};
  return slash == 0 ? fixed.substr(0, 1) : fixed.substr(0, slash);
}

bool PathPattern::matches(std::string_view path, bool is_folder) const {
  Positions positions = begin();
  return for_each_part(path,
                       [&](std::string_view name, bool is_last) {
                         return advance(positions, name, is_folder || !is_last);
                       }) &&
         positions.back();
}

bool PathPattern::matches_within(std::string_view folder) const {
  Positions positions = begin();
  bool is_above = false;
  const bool fits = for_each_part(folder, [&](std::string_view name, bool) {
    return advance(positions, name, true);
  });
  for (std::size_t i = 0; i + 1 < positions.size(); ++i)
    is_above = is_above || positions[i];
  return fits && is_above;
}

bool PathPattern::covers(std::string_view path) const {
  Positions positions = begin();
  bool found = false;
  for_each_part(path, [&](std::string_view name, bool is_last) {
    const bool goes_on = advance(positions, name, !is_last);
    found = positions.back();
    return goes_on && !found;
  });
  return found;
}

PathPattern::Positions PathPattern::begin() const {
  Positions positions(parts_.size() + 1);
  positions[0] = true;
  skip_empty(positions);
  return positions;
}

bool PathPattern::advance(Positions& positions, std::string_view name,
                          bool is_folder) const {
  const bool is_rare = wildcards_ == Wildcards::skip_rarely_meant &&
                       is_folder && is_rarely_meant(name);
  Positions after(positions.size());
  bool any = false;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    if (!positions[i])
      continue;
    const std::string& part = parts_[i];
    if (part == any_folders) {
      after[i] = after[i] || !is_rare;
    } else if (is_rare && part != name &&
               !(name.starts_with('.') && part.starts_with('.'))) {
      continue;
    } else if (name_matches(part, name)) {
      after[i + 1] = true;
    }
  }
  skip_empty(after);
  positions = std::move(after);
  for (const bool one : positions)
    any = any || one;
  return any;
}

void PathPattern::skip_empty(Positions& positions) const {
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    if (positions[i] && parts_[i] == any_folders)
      positions[i + 1] = true;
  }
}

}  // namespace troupe::service
