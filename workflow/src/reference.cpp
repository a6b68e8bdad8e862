#include <troupe/workflow/keywords.hpp>
#include <troupe/workflow/reference.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <set>
#include <string_view>
#include <vector>

namespace troupe::workflow {
namespace {

using config::Keyword;
using config::Section;
using config::Type;
namespace form = config::form;

using List = Value::List;
using Object = Value::Object;

Value reference_to(std::string_view name) {
  return Object{{"$ref", fmt::format("#/$defs/{}", name)}};
}

/// One of `choices`, which may be a single one.
Value any_of(List choices) {
  if (choices.size() == 1)
    return std::move(choices.front());
  return Object{{"anyOf", std::move(choices)}};
}

Value list_of(Value item) {
  return Object{{"type", "array"}, {"items", std::move(item)}};
}

Value map_to(Value value) {
  return Object{{"type", "object"}, {"additionalProperties", std::move(value)}};
}

Value enumeration(const Keyword& keyword) {
  return Object{{"enum", List(keyword.words.begin(), keyword.words.end())}};
}

/// The value of a custom keyword without its list and named forms.
List single_forms(const Keyword& keyword, bool with_map) {
  List choices;
  if ((keyword.forms & form::text) != 0)
    choices.push_back(reference_to("text"));
  if ((keyword.forms & form::boolean) != 0)
    choices.push_back(Object{{"type", "boolean"}});
  if ((keyword.forms & form::count) != 0)
    choices.push_back(reference_to("count"));
  if ((keyword.forms & form::duration) != 0)
    choices.push_back(reference_to("duration"));
  if ((keyword.forms & form::nothing) != 0)
    choices.push_back(Object{{"type", "null"}});
  if (with_map) {
    choices.push_back(reference_to(keyword.section));
    if (!keyword.other_section.empty())
      choices.push_back(reference_to(keyword.other_section));
  }
  return choices;
}

Value custom_schema(const Keyword& keyword) {
  if ((keyword.forms & form::any) != 0)
    return Value{true};
  const bool has_map = (keyword.forms & form::map) != 0;
  List choices = single_forms(keyword, has_map);
  const bool has_section = !keyword.section.empty();
  if ((keyword.forms & form::list) != 0)
    choices.push_back(list_of(any_of(
        choices.empty() ? single_forms(keyword, has_section) : choices)));
  if ((keyword.forms & form::named) != 0) {
    if (has_section) {
      List values = single_forms(keyword, true);
      if ((keyword.forms & form::named_text) != 0)
        values.push_back(reference_to("text"));
      choices.push_back(map_to(any_of(std::move(values))));
    } else
      choices.push_back(map_to(keyword.words.empty() ? reference_to("text")
                                                     : enumeration(keyword)));
  } else if (!keyword.words.empty()) {
    choices.push_back(enumeration(keyword));
  }
  return any_of(std::move(choices));
}

Value schema_of(const Keyword& keyword) {
  switch (keyword.type) {
    case Type::text:
      return keyword.words.empty() ? reference_to("text")
                                   : enumeration(keyword);
    case Type::boolean:
      return Object{{"type", "boolean"}};
    case Type::count:
      return reference_to("count");
    case Type::number:
      return Object{{"type", "number"}};
    case Type::duration:
      return reference_to("duration");
    case Type::size:
      return reference_to("size");
    case Type::texts:
      return any_of({reference_to("text"), list_of(reference_to("text"))});
    case Type::counts:
      return any_of({reference_to("count"), list_of(reference_to("count"))});
    case Type::text_map:
      return reference_to("texts-by-name");
    case Type::custom:
      return custom_schema(keyword);
  }
  return Value{true};
}

std::string description(const Keyword& keyword) {
  return keyword.fallback.empty()
             ? std::string{keyword.doc}
             : fmt::format("{} Default: {}.", keyword.doc, keyword.fallback);
}

/// With what people read in front of what programs do.
Value described(const Keyword& keyword) {
  Value schema = schema_of(keyword);
  Object out{{"description", description(keyword)}};
  if (auto* const object = std::get_if<Object>(&schema.data)) {
    for (auto& member : *object)
      out.push_back(std::move(member));
  }
  return out;
}

/// A pattern for the other spellings of a key: `_` is `-`. Editors offer only
/// what is among the properties.
std::string spellings(std::string_view name) {
  std::string out = "^";
  for (const char c : name)
    out += c == '-' ? std::string{"[-_]"} : std::string{c};
  return out + "$";
}

Value section_schema(const Section& section) {
  Object properties;
  Object patterns;
  for (const Keyword& keyword : section.keywords) {
    if (!keyword.supported)
      continue;
    const std::string name{keyword.name};
    properties.emplace_back(name, described(keyword));
    if (name.find('-') != std::string::npos)
      patterns.emplace_back(
          spellings(name),
          reference_to(fmt::format("{}/properties/{}", section.name, name)));
  }
  Object out{{"type", "object"},
             {"description", section.title},
             {"additionalProperties", false},
             {"properties", std::move(properties)}};
  if (!patterns.empty())
    out.emplace_back("patternProperties", std::move(patterns));
  return out;
}

// -- The page -----------------------------------------------------------------

/// What a keyword of `type` takes, for people.
std::string_view name_of(Type type) {
  switch (type) {
    case Type::text:
      return "text";
    case Type::boolean:
      return "`true` or `false`";
    case Type::count:
      return "whole number";
    case Type::number:
      return "number";
    case Type::duration:
      return "duration";
    case Type::size:
      return "size";
    case Type::texts:
      return "text, or list of texts";
    case Type::counts:
      return "whole number, or list";
    case Type::text_map:
      return "map of texts";
    case Type::custom:
      return "";
  }
  return "";
}

std::string anchor(std::string_view section) {
  return fmt::format("[map](#{})", section);
}

std::string words_of(const Keyword& keyword) {
  std::string out;
  for (const std::string_view word : keyword.words)
    out += fmt::format("{}`{}`", out.empty() ? "" : ", ", word);
  return out;
}

/// What a custom keyword takes, for people.
std::string custom_forms(const Keyword& keyword) {
  std::vector<std::string> forms;
  const auto add = [&](unsigned one, std::string name) {
    if ((keyword.forms & one) != 0)
      forms.push_back(std::move(name));
  };
  std::string map = "map";
  if (!keyword.section.empty())
    map = anchor(keyword.section);
  if (!keyword.other_section.empty())
    map = fmt::format("[{0}](#{0}) or [{1}](#{1})", keyword.section,
                      keyword.other_section);
  add(form::any, "map");
  add(form::text, "text");
  add(form::boolean, "`true` or `false`");
  add(form::count, "whole number");
  add(form::duration, "duration");
  if ((keyword.forms & form::named) == 0 && !keyword.words.empty())
    forms.push_back(words_of(keyword));
  add(form::map, map);
  add(form::nothing, "nothing");
  if ((keyword.forms & form::list) != 0)
    forms.push_back(forms.empty() ? fmt::format("list of {}", map)
                                  : "list of these");
  if ((keyword.forms & form::named) != 0)
    forms.push_back(
        fmt::format("names, each with a {}",
                    (keyword.forms & form::named_text) != 0 ? "text or " + map
                    : !keyword.section.empty()              ? map
                    : keyword.words.empty()                 ? "text"
                                            : "word: " + words_of(keyword)));
  return fmt::format("{}", fmt::join(forms, "; "));
}

std::string takes(const Keyword& keyword) {
  if (keyword.type == Type::custom)
    return custom_forms(keyword);
  if (!keyword.words.empty())
    return words_of(keyword);
  return std::string{name_of(keyword.type)};
}

/// Where in a file each section is, by the shortest way: "jobs.NAME.steps[]".
std::map<std::string_view, std::string> places() {
  const auto first = sections().front().name;
  std::map<std::string_view, std::string> found{{first, ""}};
  std::vector<std::string_view> open{first};
  for (std::size_t i = 0; i < open.size(); ++i) {
    const std::string around = found.at(open[i]);
    for (const Keyword& keyword : section(open[i]).keywords) {
      for (const std::string_view next :
           {keyword.section, keyword.other_section}) {
        if (next.empty() || found.contains(next))
          continue;
        std::string place = around.empty() ? "" : around + ".";
        place += keyword.name;
        if ((keyword.forms & form::named) != 0)
          place += ".NAME";
        else if ((keyword.forms & form::map) == 0 &&
                 (keyword.forms & form::list) != 0)
          place += "[]";
        found.emplace(next, std::move(place));
        open.push_back(next);
      }
    }
  }
  return found;
}

void append_section(const Section& section, const std::string& place,
                    std::string& out) {
  out += fmt::format("\n## {}\n\n", section.name);
  if (!place.empty())
    out += fmt::format("`{}`\n\n", place);
  out += "| key | takes | default | |\n| --- | --- | --- | --- |\n";
  std::string later;
  for (const Keyword& keyword : section.keywords) {
    if (keyword.supported)
      out += fmt::format(
          "| `{}` | {} | {} | {} |\n", keyword.name, takes(keyword),
          keyword.fallback.empty() ? "" : fmt::format("`{}`", keyword.fallback),
          keyword.doc);
    else
      later += fmt::format("{}`{}`", later.empty() ? "" : ", ", keyword.name);
  }
  if (!later.empty())
    out += fmt::format("\nNot supported yet, and refused: {}.\n", later);
}

}  // namespace

Value json_schema() {
  Object definitions{
      {"text", Object{{"type", List{"string", "number", "boolean"}}}},
      {"count", Object{{"type", "integer"}, {"minimum", 0.0}}},
      {"duration",
       Object{{"description", "Such as 500ms, 30s, 5m, 1h30m or 2d."},
              {"anyOf", List{Object{{"type", "string"}, {"pattern", "^[0-9]"}},
                             Object{{"const", 0.0}}}}}},
      {"size",
       Object{{"description", "Such as 64KiB or 2GiB, or a number of bytes."},
              {"anyOf", List{Object{{"type", "string"}, {"pattern", "^[0-9]"}},
                             reference_to("count")}}}},
      {"texts-by-name",
       Object{
           {"type", List{"object", "null"}},
           {"additionalProperties",
            Object{{"type", List{"string", "number", "boolean", "null"}}}}}}};
  for (const Section& section : sections())
    definitions.emplace_back(std::string{section.name},
                             section_schema(section));
  return Object{{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                {"title", "A workflow of Troupe"},
                {"$ref", fmt::format("#/$defs/{}", sections().front().name)},
                {"$defs", std::move(definitions)}};
}

std::string reference_page() {
  std::string out =
      "# All keys of a workflow\n\n"
      "Made from the table by which `troupe` reads workflows, by\n"
      "`troupe schema --format markdown`. What the keys mean together is in\n"
      "[run.md](run.md) for jobs and [up.md](up.md) for services.\n\n"
      "`-` and `_` are the same in keys, and an unknown key is an error. A\n"
      "duration is written as `500ms`, `30s`, `5m`, `1h30m` or `2d`, a size "
      "as\n"
      "`64KiB` or `2GiB`.\n";
  const auto where = places();
  for (const Section& section : sections()) {
    const auto place = where.find(section.name);
    append_section(section, place == where.end() ? "" : place->second, out);
  }
  return out;
}

}  // namespace troupe::workflow
