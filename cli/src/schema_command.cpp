/// troupe schema: the language of workflows, for editors and for people.
#include "subcommand.hpp"

#include <troupe/base/text.hpp>
#include <troupe/workflow/reference.hpp>

#include <nlohmann/json.hpp>

#include <fmt/format.h>

namespace troupe::cli {

int run_schema(const Startup&, std::vector<std::string> words) {
  std::string format = "json";
  CLI::App app{
      "Prints the keys of workflows as a JSON Schema, with which editors "
      "complete and\ncheck them, or as a page to read.\n\n"
      "  troupe schema > troupe.schema.json",
      "troupe schema"};
  app.add_option("--format", format, "json or markdown; default json")
      ->type_name("FORMAT");
  if (const auto code = parse(app, std::move(words)))
    return *code;
  if (format == "json")
    write_out(
        nlohmann::ordered_json::parse(workflow::json_schema().json()).dump(2) +
        "\n");
  else if (format == "markdown")
    write_out(workflow::reference_page());
  else
    return usage_error(
        "schema", fmt::format("--format: expected json or markdown, got \"{}\"",
                              printable(format)));
  return exit_ok;
}

}  // namespace troupe::cli
