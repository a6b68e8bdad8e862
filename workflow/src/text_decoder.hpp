#pragma once

#include <troupe/base/assert.hpp>
#include <troupe/config/diagnostics.hpp>
#include <troupe/config/document.hpp>
#include <troupe/config/fields.hpp>
#include <troupe/workflow/model.hpp>
#include <troupe/workflow/template.hpp>

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::workflow {

/// Shells that read quotes as POSIX does.
[[nodiscard]] bool is_posix_shell(const std::vector<std::string>& words);

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

  /// A word of the table's list for `keyword`, in the order of `meanings`.
  template <class T>
  void read_word(config::Fields& fields, std::string_view keyword, T& out,
                 std::initializer_list<T> meanings) {
    if (const config::Entry* const entry = fields.take(keyword))
      to_word(entry->value, fields.keyword(keyword), out, meanings);
  }

  template <class T>
  void to_word(const config::Node& node, const config::Keyword& keyword, T& out,
               std::initializer_list<T> meanings) {
    TROUPE_ASSERT(meanings.size() == keyword.words.size());
    if (const auto i = find_word(node, keyword))
      out = meanings.begin()[*i];
  }

  /// `strategy`, `intensity` (up to `most`) and `period` of the supervisor over
  /// `whom`.
  void read_restart_rules(config::Fields& fields, std::string_view whom,
                          std::uint32_t most, supervisor::Strategy& strategy,
                          int& intensity, Duration& period);

  /// Which of the keyword's words `node` is; reports one that is none.
  std::optional<std::size_t> find_word(const config::Node& node,
                                       const config::Keyword& keyword);

  config::Diagnostics& diagnostics_;
};

}  // namespace troupe::workflow
