#pragma once

#include <troupe/base/time.hpp>
#include <troupe/config/diagnostics.hpp>
#include <troupe/config/document.hpp>

#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::config {

/// What a keyword takes.
enum class Type : std::uint8_t {
  text,      ///< A single value, as it is spelled.
  boolean,   ///< true or false.
  count,     ///< A whole number.
  number,    ///< A decimal number.
  duration,  ///< 500ms, 30s, 5m.
  size,      ///< 64KiB, 2GiB.
  texts,     ///< A single value or a list of them.
  counts,    ///< A whole number or a list of them.
  text_map,  ///< Names of the user's own with a single value each.
  custom,    ///< Read node by node; the keyword's doc says what it takes.
};

/// What a value of Type::custom may look like: a sum of these.
namespace form {
inline constexpr unsigned text = 1;
inline constexpr unsigned boolean = 2;
inline constexpr unsigned count = 4;
inline constexpr unsigned duration = 8;
inline constexpr unsigned map = 16;   ///< That the keyword's section describes.
inline constexpr unsigned list = 32;  ///< Of the other forms, else of maps.
inline constexpr unsigned named = 64;        ///< A map of the user's own names.
inline constexpr unsigned any = 128;         ///< Not described further.
inline constexpr unsigned nothing = 256;     ///< A key without a value.
inline constexpr unsigned named_text = 512;  ///< Of `named`, also texts.
}  // namespace form

/// One word of a configuration language. Tables of these drive decoding,
/// suggestions, the reference and the schema: there is no second list.
struct Keyword {
  std::string_view name;  ///< With dashes; `_` is the same when read.
  Type type = Type::text;
  std::string_view doc;  ///< One line for the reference.
  /// For Type::custom: the section that its map, or each value of its map or
  /// list, is described by. Empty if there is none.
  std::string_view section = {};
  /// Words that the language has and this version has not are refused by name,
  /// so that nobody's words are ignored.
  bool supported = true;
  /// The words that a text has to be one of, or may be besides its forms, in
  /// the order in which the decoder knows them.
  std::span<const std::string_view> words = {};
  std::string_view fallback = {};  ///< The default as it would be written.
  unsigned forms = 0;              ///< Of Type::custom; see form.
  /// A second section that describes its maps.
  std::string_view other_section = {};
};

/// The keywords that one kind of map takes.
struct Section {
  std::string_view name;   ///< "job"
  std::string_view title;  ///< "a job", for messages.
  std::span<const Keyword> keywords;

  /// The keyword spelled `name`, with `-` and `_` equal; null if none is.
  [[nodiscard]] const Keyword* find(std::string_view name) const;
};

/// Decodes one map of a file into values. Reports unknown, repeated and
/// unsupported keys when made; each read() reports a value of the wrong type
/// and leaves `out` as it was. Lives on the stack of a decoder.
class Fields {
 public:
  /// `section` and `node` must outlive this. A `node` that is no map is
  /// reported and then counts as an empty one.
  Fields(const Node& node, const Section& section, Diagnostics& diagnostics);

  /// The entry of `keyword`, or null; for what has no single type.
  [[nodiscard]] const Entry* take(std::string_view keyword);

  /// What the table says of `keyword`, which must be in the section.
  [[nodiscard]] const Keyword& keyword(std::string_view name) const;

  void read(std::string_view keyword, std::string& out);
  void read(std::string_view keyword, bool& out);
  void read(std::string_view keyword, Duration& out);
  void read(std::string_view keyword, std::vector<std::string>& out);
  void read(std::string_view keyword, std::uint32_t& out, std::uint32_t least,
            std::uint32_t most);
  void read(std::string_view keyword, double& out, double least, double most);
  void read(std::string_view keyword, std::vector<int>& out, int least,
            int most);

  [[nodiscard]] Diagnostics& diagnostics() { return diagnostics_; }

  /// To be called last: asserts that every supported keyword of the section
  /// was asked for, so that the table and the decoder cannot drift apart.
  void finish() const;

 private:
  const Entry* take(std::string_view keyword, Type type);

  const Node& node_;
  const Section& section_;
  Diagnostics& diagnostics_;
  std::set<std::string_view> asked_;
};

// The same for a single node. `name` is what to call it in messages. Each
// reports a value of the wrong type and answers nothing then.

[[nodiscard]] std::optional<std::string> to_text(const Node& node,
                                                 std::string_view name,
                                                 Diagnostics& diagnostics);
[[nodiscard]] std::optional<bool> to_bool(const Node& node,
                                          std::string_view name,
                                          Diagnostics& diagnostics);
[[nodiscard]] std::optional<Duration> to_duration(const Node& node,
                                                  std::string_view name,
                                                  Diagnostics& diagnostics);
[[nodiscard]] std::optional<std::uint64_t> to_size(const Node& node,
                                                   std::string_view name,
                                                   Diagnostics& diagnostics);
[[nodiscard]] std::optional<std::uint64_t> to_count(const Node& node,
                                                    std::string_view name,
                                                    std::uint64_t least,
                                                    std::uint64_t most,
                                                    Diagnostics& diagnostics);
[[nodiscard]] std::optional<double> to_number(const Node& node,
                                              std::string_view name,
                                              double least, double most,
                                              Diagnostics& diagnostics);

/// Whether a plain scalar means true or false, by YAML 1.2's core schema.
[[nodiscard]] std::optional<bool> plain_bool(const Node& node);

/// The decimal number that a plain scalar means, by YAML 1.2's core schema
/// without its octal, hexadecimal and non-finite forms.
[[nodiscard]] std::optional<double> plain_number(const Node& node);

/// Reports `name: expected what, got ...` at `node`.
void report_expected(const Node& node, std::string_view name,
                     std::string_view what, Diagnostics& diagnostics);

}  // namespace troupe::config
