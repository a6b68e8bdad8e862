#pragma once

#include <troupe/config/diagnostics.hpp>
#include <troupe/config/document.hpp>
#include <troupe/config/fields.hpp>
#include <troupe/workflow/model.hpp>
#include <troupe/workflow/template.hpp>

#include <fmt/format.h>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::workflow {

/// `text` for messages: printable, not too long, in quotes.
[[nodiscard]] std::string quoted(std::string_view text);

/// Shells that read quotes as POSIX does.
[[nodiscard]] bool is_posix_shell(const std::vector<std::string>& words);

/// What a word of the language means, with the other ways to spell it.
template <class T>
using Words = std::initializer_list<std::pair<std::string_view, T>>;

/// Reads what all parts of a workflow file are made of: names, texts with
/// expressions, variables, commands, rules for restarts. Reports what is wrong.
class TextDecoder {
 public:
  explicit TextDecoder(config::Diagnostics& diagnostics)
      : diagnostics_{diagnostics} {}

 protected:
  [[nodiscard]] config::Fields open(const config::Node& node,
                                    std::string_view section_name);

  /// Reports `kind "name"` if it is not a name for jobs, steps, outputs or
  /// services.
  void check_name(std::string_view kind, std::string_view name,
                  config::Span where);

  Template read_template(const config::Node& node, std::string_view name,
                         Usage usage = Usage::text);
  Template read_template(config::Fields& fields, std::string_view keyword);

  std::vector<NamedTemplate> read_named(const config::Entry* entry,
                                        std::string_view keyword);
  std::vector<NamedTemplate> read_env(const config::Entry* entry);
  void read_shell(const config::Node& node, std::vector<std::string>& shell);
  /// A command for `shell`; values in it are quoted.
  Template read_run(const config::Entry& entry,
                    const std::vector<std::string>& shell,
                    std::string_view name = "run");

  /// Where a text is taken as it is, `${{` must not go unnoticed.
  void refuse_expressions(const config::Node& node, std::string_view keyword);

  void read_positive(config::Fields& fields, std::string_view keyword,
                     Duration& out);

  template <class T>
  void to_word(const config::Node& node, std::string_view keyword, T& out,
               Words<T> words) {
    const auto text = config::to_text(node, keyword, diagnostics_);
    if (!text)
      return;
    std::vector<std::string_view> known;
    for (const auto& [word, value] : words) {
      if (*text == word) {
        out = value;
        return;
      }
      known.push_back(word);
    }
    diagnostics_.add(node.where,
                     fmt::format("{}: expected {}, got {}", keyword,
                                 fmt::join(known, ", "), quoted(*text)),
                     config::did_you_mean(*text, known));
  }

  /// `strategy`, `intensity` (up to `most`) and `period` of the supervisor over
  /// `whom`.
  void read_restart_rules(config::Fields& fields, std::string_view whom,
                          std::uint32_t most, supervisor::Strategy& strategy,
                          int& intensity, Duration& period);

  config::Diagnostics& diagnostics_;
};

}  // namespace troupe::workflow
