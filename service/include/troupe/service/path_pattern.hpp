#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::service {

/// Whether wildcards stand for folders that are rarely meant: hidden ones
/// (".git"), "node_modules" and "__pycache__".
enum class Wildcards : std::uint8_t {
  stand_for_all,
  /// These folders match only what names them: "node_modules", ".git", ".*".
  skip_rarely_meant,
};

/// Whether `folder`, a name without '/', is one of those.
[[nodiscard]] bool is_rarely_meant(std::string_view folder);

/// A path with wildcards: `*` stands for any characters but '/', `?` for one of
/// them, and `**` between slashes for any number of folders, also none; at the
/// end for all that is below. All else stands for itself, also `[`, `{` and
/// `\`. Hidden files are files. Pure; nothing is looked up. An empty part, as
/// by "//", is passed over.
class PathPattern {
 public:
  explicit PathPattern(std::string_view text,
                       Wildcards wildcards = Wildcards::skip_rarely_meant);

  /// Whether `text` has a wildcard in it.
  [[nodiscard]] static bool has_wildcard(std::string_view text);

  /// The longest part of `text` before its first wildcard that ends a folder:
  /// "/a/b" for "/a/b/*.c", "/" for "/*", "" for "*.c".
  [[nodiscard]] static std::string_view fixed_folder(std::string_view text);

  /// Whether `path` as a whole is meant. Costs time by the product of both
  /// lengths at most.
  [[nodiscard]] bool matches(std::string_view path, bool is_folder) const;

  /// Whether a path below `folder` could be meant, or one that is above it.
  [[nodiscard]] bool matches_within(std::string_view folder) const;

  /// Whether `path` is meant, or a folder that it is in.
  [[nodiscard]] bool covers(std::string_view path) const;

 private:
  /// How much of the pattern may be used up, by its number of parts.
  using Positions = std::vector<bool>;

  [[nodiscard]] Positions begin() const;
  /// Past the name of a file or folder. False if nothing is left to try.
  bool advance(Positions& positions, std::string_view name,
               bool is_folder) const;
  void skip_empty(Positions& positions) const;

  std::vector<std::string> parts_;
  Wildcards wildcards_;
};

/// Whether `name` as a whole matches `pattern`, with `*` and `?`; a `?` stands
/// for one character of UTF-8.
[[nodiscard]] bool name_matches(std::string_view pattern,
                                std::string_view name);

}  // namespace troupe::service
