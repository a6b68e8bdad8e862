/// troupe insights: what the runs of a workflow show.
#include "insights_view.hpp"
#include "past_runs.hpp"
#include "queue_run_commands.hpp"
#include "workflow_file.hpp"

#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <optional>
#include <utility>

namespace troupe::cli {
namespace {

constexpr std::uint64_t most_runs = 1000;
/// Of a node, among which those of the file are looked for.
constexpr std::uint64_t most_runs_of_node = 1000;

constexpr std::size_t longest_whole_name = 100;

struct InsightOptions {
  NodeOptions node;
  std::string file;
  std::string runs = "20";
};

using PastRuns = std::vector<workflow::PastRun>;

/// Whether there is no use in asking for more.
bool is_away(const Error& error) {
  return error.code == Errc::unavailable || error.code == Errc::timed_out ||
         error.code == Errc::permission_denied;
}

/// Whether a run may be of the workflow, as far as can be told without asking
/// for all of it, which is dear: the node goes through all its events then.
Result<bool> may_be_run_of(NodeCalls& calls, const QueueRun& brief,
                           const workflow::Workflow& workflow,
                           const std::string& path) {
  // A name with values in it is another one for each run, and the node may have
  // cut one that is long. Of a file without one, it has its own path.
  const bool has_name = workflow.name != workflow.source->name();
  const std::string name = printable(has_name ? workflow.name : path);
  if (workflow.run_name.empty() && name.size() <= longest_whole_name)
    return brief.name == name;
  const auto file = calls.get(
      node_target({"runs", fmt::format("{}", brief.number), "workflow"}));
  if (!file)
    return tl::unexpected{file.error()};
  return file->value("file", "") == path;
}

/// The run, if it is of the workflow at `path` and has ended.
Result<std::optional<workflow::PastRun>> run_of_node(
    NodeCalls& calls, const QueueRun& brief, const workflow::Workflow& workflow,
    const std::string& path) {
  const auto is_candidate = may_be_run_of(calls, brief, workflow, path);
  if (!is_candidate)
    return tl::unexpected{is_candidate.error()};
  if (!*is_candidate)
    return std::nullopt;
  const auto whole = fetch_run(calls, brief.number);
  if (!whole)
    return tl::unexpected{whole.error()};
  const auto run = run_from_json(*whole);
  if (!run)
    return tl::unexpected{run.error()};
  if (run->file != path || !run->has_ended())
    return std::nullopt;
  return past_run_of(*run);
}

/// The last runs of the workflow at `path` that have ended, the newest first.
Result<PastRuns> runs_of_node(NodeCalls& calls,
                              const workflow::Workflow& workflow,
                              const std::string& path, std::size_t most) {
  const auto answer = calls.get(node_target(
      {"runs"},
      {{"set", "ended"}, {"limit", fmt::format("{}", most_runs_of_node)}}));
  if (!answer)
    return tl::unexpected{answer.error()};
  const auto list = runs_from_json(*answer);
  if (!list)
    return tl::unexpected{list.error()};
  PastRuns runs;
  for (const QueueRun& brief : *list) {
    if (runs.size() == most)
      break;
    auto run = run_of_node(calls, brief, workflow, path);
    // It may have been forgotten since, or be one that the node does not
    // understand any more.
    if (!run && is_away(run.error()))
      return tl::unexpected{run.error()};
    if (run && *run)
      runs.push_back(std::move(**run));
  }
  return runs;
}

Result<std::size_t> parse_runs_wanted(const std::string& text) {
  const auto count = parse_count(text);
  if (!count || *count == 0 || *count > most_runs)
    return failure(Errc::invalid_argument,
                   fmt::format("--runs: expected a number from 1 to {}, got "
                               "\"{}\"",
                               most_runs, printable(text)));
  return static_cast<std::size_t>(*count);
}

/// Both, the newest first.
PastRuns merged(PastRuns records, PastRuns of_node, std::size_t most,
                InsightSources& sources) {
  const auto is_of_node = [](const workflow::PastRun& run) {
    return run_number(run.id).has_value();
  };
  PastRuns all = std::move(records);
  std::move(of_node.begin(), of_node.end(), std::back_inserter(all));
  std::stable_sort(all.begin(), all.end(),
                   [](const workflow::PastRun& a, const workflow::PastRun& b) {
                     return a.start > b.start;
                   });
  if (all.size() > most)
    all.erase(all.begin() + static_cast<std::ptrdiff_t>(most), all.end());
  const auto count = static_cast<std::size_t>(
      std::count_if(all.begin(), all.end(), is_of_node));
  sources.records = all.size() - count;
  if (sources.of_node)
    sources.of_node = count;
  return all;
}

}  // namespace

int show_insights(const QueueContext& context, std::vector<std::string> words) {
  InsightOptions o;
  CLI::App app{
      "Tells what the last runs of a workflow show: what decided how long they "
      "took, what\nfails now and then, and what would make them end earlier. "
      "From the records of troupe\nrun, and from the runs of a node if one "
      "answers.\n\n"
      "  troupe insights etl.yaml --runs 50",
      "troupe insights"};
  app.add_option("FILE", o.file, "The workflow");
  app.add_option("--runs", o.runs, "Look at so many of its last runs (20)")
      ->type_name("N");
  o.node.add_to(app);
  if (const auto code = parse(app, std::move(words)))
    return *code;
  if (o.file.empty())
    return usage_error("insights", "no file given");
  if (o.file == "-")
    return usage_error("insights",
                       "standard input has no earlier runs; name a file");
  const auto most = parse_runs_wanted(o.runs);
  if (!most)
    return usage_error("insights", most.error().what);
  const auto workflow = read_workflow(o.file);
  if (!workflow)
    return exit_bad_file;

  const std::string path = recorded_path(o.file);
  InsightSources sources{.file = o.file};
  Result<PastRuns> of_node = failure(Errc::unavailable, "no node");
  if (auto session = NodeSession::open(context, o.node))
    of_node = runs_of_node(session->calls(), *workflow, path, *most);
  else
    of_node = tl::unexpected{session.error()};
  // Nobody has asked for one that is not there.
  if (!of_node &&
      (!o.node.socket.empty() || of_node.error().code != Errc::unavailable))
    return node_failed(of_node.error());
  if (of_node)
    sources.of_node = 0;
  const PastRuns runs =
      merged(past_runs(path, *most), std::move(of_node).value_or(PastRuns{}),
             *most, sources);
  const auto insights = workflow::look_into(*workflow, runs);
  if (o.node.json)
    print_json(insights_to_json(sources, insights));
  else
    write_out(describe_insights(sources, insights));
  return exit_ok;
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): as all subcommands.
int run_insights(const Startup&, std::vector<std::string> words) {
  return show_insights(real_queue_context(), std::move(words));
}

}  // namespace troupe::cli
