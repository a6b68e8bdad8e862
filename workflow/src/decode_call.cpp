#include "decode_call.hpp"

#include "text_decoder.hpp"

#include <troupe/base/text.hpp>
#include <troupe/workflow/keywords.hpp>

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace troupe::workflow {
namespace {

using config::Entry;
using config::Fields;
using config::Node;

constexpr std::size_t most_arguments = 100;
constexpr std::size_t most_includes = 100;

/// What of a job is about all of it, whatever it does.
constexpr std::array<std::string_view, 16> of_calls{
    "name",  "needs",    "if",          "strategy",
    "group", "priority", "timeout",     "timeout-minutes",
    "retry", "retries",  "concurrency", "continue-on-error",
    "uses",  "with",     "secrets",     "outputs"};

class CallDecoder : TextDecoder {
 public:
  using TextDecoder::TextDecoder;

  std::vector<WrittenInclude> includes(Fields& fields) {
    std::vector<WrittenInclude> out;
    const Entry* const entry = fields.take("include");
    if (entry == nullptr)
      return out;
    if (entry->value.kind != Node::Kind::mapping) {
      config::report_expected(entry->value, "include",
                              "a map such as {lib: ./lib/common.yaml}",
                              diagnostics_);
      return out;
    }
    for (const Entry& item : entry->value.entries) {
      if (out.size() == most_includes) {
        diagnostics_.add(item.where,
                         fmt::format("more than {} files", most_includes));
        return out;
      }
      check_name("the name of an included file", item.key, item.where);
      WrittenInclude include{item.key, {}, item.value.where};
      if (auto path = config::to_text(item.value, item.key, diagnostics_)) {
        refuse_expressions(item.value, "include");
        include.path = std::move(*path);
      }
      out.push_back(std::move(include));
    }
    return out;
  }

  WrittenCall call(Fields& fields, const Entry& job, std::optional<Call>& out) {
    WrittenCall written;
    const Entry* const uses = fields.take("uses");
    const Entry* const inputs = fields.take("with");
    const Entry* const secrets = fields.take("secrets");
    if (uses == nullptr) {
      for (const Entry* const lost : {inputs, secrets}) {
        if (lost != nullptr)
          diagnostics_.add(lost->where, fmt::format("{} goes with \"uses\"",
                                                    in_quotes(lost->key)));
      }
      return written;
    }
    refuse_others(job);
    refuse_expressions(uses->value, "uses");
    written.where = uses->value.where;
    written.uses =
        config::to_text(uses->value, "uses", diagnostics_).value_or("");
    if (written.uses.empty() && uses->value.kind == Node::Kind::scalar)
      config::report_expected(uses->value, "uses",
                              "the name of an included file, NAME.JOB or a "
                              "path",
                              diagnostics_);
    out.emplace();
    out->where = uses->value.where;
    out->inputs = read_arguments(inputs);
    if (secrets != nullptr && secrets->value.text == "inherit")
      out->inherits_secrets = true;
    else if (secrets != nullptr && secrets->value.kind != Node::Kind::mapping)
      config::report_expected(secrets->value, "secrets",
                              "inherit or a map such as {TOKEN: \"${{ "
                              "secrets.TOKEN }}\"}",
                              diagnostics_);
    else
      out->secrets = read_arguments(secrets);
    return written;
  }

 private:
  std::vector<Argument> read_arguments(const Entry* entry) {
    std::vector<Argument> out;
    if (entry == nullptr || entry->value.kind == Node::Kind::null)
      return out;
    if (entry->value.kind != Node::Kind::mapping) {
      config::report_expected(entry->value, entry->key, "a map", diagnostics_);
      return out;
    }
    for (const Entry& item : entry->value.entries) {
      if (out.size() == most_arguments) {
        diagnostics_.add(item.where, fmt::format("{}: more than {} entries",
                                                 entry->key, most_arguments));
        return out;
      }
      Argument argument{item.key, item.where, {}};
      argument.value.where = item.value.where;
      if (item.value.kind != Node::Kind::null)
        argument.value = read_template(item.value, item.key);
      out.push_back(std::move(argument));
    }
    return out;
  }

  void refuse_others(const Entry& job) {
    for (const Entry& entry : job.value.entries) {
      const config::Keyword* const keyword = section("job").find(entry.key);
      if (keyword == nullptr || !keyword->supported)
        continue;
      if (keyword->name == "outputs")
        diagnostics_.add(entry.where,
                         "the outputs of a job with \"uses\" are those of the "
                         "file that it calls",
                         "declare them in its \"on.call.outputs\"");
      else if (std::find(of_calls.begin(), of_calls.end(), keyword->name) ==
               of_calls.end())
        diagnostics_.add(entry.where,
                         fmt::format("{} has no meaning next to \"uses\"; it "
                                     "belongs in the file that is called",
                                     in_quotes(entry.key)));
    }
  }
};

}  // namespace

std::vector<WrittenInclude> decode_includes(Fields& fields,
                                            config::Diagnostics& diagnostics) {
  return CallDecoder{diagnostics}.includes(fields);
}

WrittenCall decode_call(Fields& fields, const Entry& entry,
                        std::optional<Call>& call,
                        config::Diagnostics& diagnostics) {
  return CallDecoder{diagnostics}.call(fields, entry, call);
}

}  // namespace troupe::workflow
