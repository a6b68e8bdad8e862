/// troupe top: what a node does at this moment.
#include "job_list.hpp"
#include "job_view.hpp"
#include "live_view.hpp"
#include "queue_context.hpp"

#include <algorithm>
#include <utility>

namespace troupe::cli {
namespace {

using api::Json;

/// What the node answers, under "node", "groups" and "jobs".
Result<Json> look(NodeCalls& calls) {
  auto node = calls.get(node_target({"node"}));
  if (!node)
    return node;
  auto groups = calls.get(node_target({"groups"}));
  if (!groups)
    return groups;
  auto running = list_jobs_of(calls, {JobChoice::running, {}, {}, 100});
  if (!running)
    return tl::unexpected{std::move(running.error())};
  auto queued = list_jobs_of(calls, {JobChoice::queued, {}, {}, 100});
  if (!queued)
    return tl::unexpected{std::move(queued.error())};
  Json jobs = std::move(running->jobs);
  for (Json& job : queued->jobs) {
    if (std::find(jobs.begin(), jobs.end(), job) == jobs.end())
      jobs.push_back(std::move(job));
  }
  return Json{{"node", std::move(*node)},
              {"groups", groups->value("groups", Json::array())},
              {"jobs", std::move(jobs)}};
}

Result<QueueSnapshot> snapshot_of(const Json& json) {
  auto node = node_from_json(json["node"]);
  auto groups = groups_from_json(json);
  auto jobs = jobs_from_json(json);
  if (!node)
    return tl::unexpected{std::move(node.error())};
  if (!groups)
    return tl::unexpected{std::move(groups.error())};
  if (!jobs)
    return tl::unexpected{std::move(jobs.error())};
  return QueueSnapshot{std::move(*node), std::move(*groups), std::move(*jobs)};
}

Result<std::vector<std::string>> frame_of(const QueueContext& context,
                                          NodeSession& session,
                                          const TableStyle& style,
                                          std::size_t rows) {
  const auto json = look(session.calls());
  if (!json)
    return tl::unexpected{json.error()};
  const auto snapshot = snapshot_of(*json);
  if (!snapshot)
    return tl::unexpected{snapshot.error()};
  return render_top(*snapshot, context.now(), style, rows);
}

int print_once(const QueueContext& context, NodeSession& session,
               bool as_json) {
  if (as_json) {
    const auto json = look(session.calls());
    if (!json)
      return node_failed(json.error());
    print_json(*json);
    return exit_ok;
  }
  const auto lines = frame_of(context, session, table_style(context), 0);
  if (!lines)
    return node_failed(lines.error());
  for (const std::string& line : *lines)
    write_out(line + "\n");
  return exit_ok;
}

}  // namespace

int show_top(const QueueContext& context, std::vector<std::string> words) {
  NodeOptions node;
  CLI::App app{
      "Shows a node, its groups and what runs and waits, anew each second; q "
      "or Ctrl-C ends\nit. Prints it once if standard output is no terminal.",
      "troupe top"};
  node.add_to(app);
  if (const auto code = parse(app, std::move(words)))
    return *code;
  auto session = NodeSession::open(context, node);
  if (!session)
    return node_failed(session.error());
  if (node.json || !context.is_terminal)
    return print_once(context, *session, node.json);
  session->calls().set_patience(Duration{0});
  return redraw_until_quit([&](const FrameStyle& style) {
    return frame_of(context, *session,
                    {.colour = style.colour, .columns = style.columns},
                    style.rows);
  });
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): as all subcommands.
int run_top(const Startup&, std::vector<std::string> words) {
  return show_top(real_queue_context(), std::move(words));
}

}  // namespace troupe::cli
