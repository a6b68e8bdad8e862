#include "decode_outputs.hpp"

#include "text_decoder.hpp"

#include <fmt/format.h>
#include <utility>

namespace troupe::workflow {
namespace {

using config::Entry;
using config::Fields;
using config::Node;

enum class Stream : std::uint8_t { out };
enum class Line : std::uint8_t { all, last };

class OutputsDecoder : TextDecoder {
 public:
  using TextDecoder::TextDecoder;

  DecodedOutputs of_job(const Entry* entry) {
    DecodedOutputs out;
    if (entry == nullptr)
      return out;
    Entry texts{entry->key, entry->where, entry->value};
    texts.value.entries.clear();
    for (const Entry& item : entry->value.entries) {
      check_name("the name of an output", item.key, item.where);
      if (item.value.kind == Node::Kind::mapping)
        out.printed.push_back(read(item));
      else
        texts.value.entries.push_back(item);
    }
    out.texts = read_named(&texts, "outputs");
    return out;
  }

  std::vector<PrintedOutput> of_step(const Entry& entry, const Step& step) {
    std::vector<PrintedOutput> out;
    if (entry.value.kind != Node::Kind::mapping) {
      config::report_expected(entry.value, "outputs",
                              "a map such as {rows: {from: stdout}}",
                              diagnostics_);
      return out;
    }
    if (step.id.empty())
      diagnostics_.add(entry.where,
                       "a step with \"outputs\" needs an \"id\", by which "
                       "others ask for them");
    for (const Entry& item : entry.value.entries) {
      check_name("the name of an output", item.key, item.where);
      if (out.size() == most_outputs) {
        diagnostics_.add(item.where,
                         fmt::format("more than {} outputs", most_outputs));
        return out;
      }
      out.push_back(read(item));
    }
    return out;
  }

 private:
  PrintedOutput read(const Entry& entry) {
    PrintedOutput output;
    output.name = entry.key;
    Fields fields = open(entry.value, "output");
    Stream from = Stream::out;
    read_word(fields, "from", from, {Stream::out});
    Line line = Line::all;
    read_word(fields, "line", line, {Line::last});
    output.is_last_line = line == Line::last;
    if (const Entry* const json = fields.take("json")) {
      refuse_expressions(json->value, "json");
      if (const auto text =
              config::to_text(json->value, "json", diagnostics_)) {
        auto path = parse_json_path(*text);
        if (path)
          output.json = std::move(*path);
        else
          diagnostics_.add(json->value.where,
                           fmt::format("json: {}", path.error().what));
      }
    }
    fields.finish();
    return output;
  }
};

}  // namespace

DecodedOutputs decode_outputs(const Entry* entry,
                              config::Diagnostics& diagnostics) {
  return OutputsDecoder{diagnostics}.of_job(entry);
}

std::vector<PrintedOutput> decode_step_outputs(
    const Entry& entry, const Step& step, config::Diagnostics& diagnostics) {
  return OutputsDecoder{diagnostics}.of_step(entry, step);
}

void hand_on(std::vector<PrintedOutput> printed, Step& step, Job& job) {
  for (const PrintedOutput& output : printed) {
    std::vector<Problem> none;
    job.outputs.push_back(
        {output.name,
         parse_template(fmt::format("${{{{ steps.{}.outputs.{} }}}}", step.id,
                                    output.name),
                        {}, Usage::text, none)});
  }
  step.outputs = std::move(printed);
}

}  // namespace troupe::workflow
