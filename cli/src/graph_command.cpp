/// troupe graph: the jobs of a workflow or of a run, for programs that draw.
#include "past_runs.hpp"
#include "queue_run_commands.hpp"
#include "workflow_file.hpp"

#include <troupe/base/text.hpp>

#include <fmt/format.h>
#include <utility>

namespace troupe::cli {
namespace {

using api::Json;

struct GraphOptions {
  NodeOptions node;
  std::string what;
  std::string format = "dot";
};

int draw_file(const std::string& file, GraphFormat format) {
  const auto workflow = read_workflow(file);
  if (!workflow)
    return exit_bad_file;
  const auto known =
      workflow::learn(past_runs(recorded_path(file), workflow::most_durations));
  write_out(render_graph(*workflow, format, std::nullopt, known.function()));
  return exit_ok;
}

int draw_run(const QueueContext& context, const GraphOptions& o,
             std::uint64_t number, GraphFormat format) {
  auto session = NodeSession::open(context, o.node);
  if (!session)
    return node_failed(session.error());
  const auto file = session->calls().get(
      node_target({"runs", fmt::format("{}", number), "workflow"}));
  if (!file)
    return node_failed(file.error());
  const Json files = file->value("files", Json::object());
  const auto workflow = workflow::load_workflow(
      file->value("file", ""), file->value("text", ""),
      [&](const std::string& path) -> Result<std::string> {
        if (!files.contains(path))
          return failure(Errc::not_found, "the node does not have it");
        return files[path].get<std::string>();
      });
  if (!workflow) {
    fmt::print(stderr, "{}\n", workflow.error().what);
    return exit_bad_file;
  }
  const auto answer = fetch_run(session->calls(), number);
  if (!answer)
    return node_failed(answer.error());
  const auto run = run_from_json(*answer);
  if (!run)
    return node_failed(run.error());
  write_out(render_graph(**workflow, format, *run));
  return exit_ok;
}

}  // namespace

int draw_graph(const QueueContext& context, std::vector<std::string> words) {
  GraphOptions o;
  CLI::App app{
      "Prints the jobs of a workflow, and what they need, as text for "
      "programs that draw.\nOf a file, with what earlier runs of troupe run "
      "let expect of their times; of a\nrun of a node, with the states of its "
      "jobs.\n\n"
      "  troupe graph etl.yaml | dot -Tsvg > etl.svg\n"
      "  troupe graph r7 --format mermaid",
      "troupe graph"};
  app.add_option("WHAT", o.what, "A workflow file or a run (r7)");
  app.add_option("--format", o.format, "dot or mermaid (dot)")
      ->type_name("FORMAT");
  o.node.add_socket_to(app);
  if (const auto code = parse(app, std::move(words)))
    return *code;
  if (o.what.empty())
    return usage_error("graph", "no workflow and no run given");
  if (o.format != "dot" && o.format != "mermaid")
    return usage_error(
        "graph", fmt::format("--format: expected dot or mermaid, got \"{}\"",
                             printable(o.format)));
  const GraphFormat format =
      o.format == "dot" ? GraphFormat::dot : GraphFormat::mermaid;
  if (const auto run = run_number(o.what))
    return draw_run(context, o, *run, format);
  return draw_file(o.what, format);
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): as all subcommands.
int run_graph(const Startup&, std::vector<std::string> words) {
  return draw_graph(real_queue_context(), std::move(words));
}

}  // namespace troupe::cli
