/// troupe approve: yes or no to a job of a run that waits for it.
#include "assignment.hpp"
#include "queue_run_commands.hpp"

#include <troupe/base/text.hpp>

#include <fmt/format.h>
#include <utility>

namespace troupe::cli {
namespace {

using api::Json;

struct ApproveOptions {
  NodeOptions node;
  std::string run;
  std::string job;
  std::vector<std::string> inputs;
  bool reject = false;
  std::string reason;
};

Result<Json> body_of(const ApproveOptions& o) {
  Json body{{"approved", !o.reject}};
  if (!o.reason.empty())
    body["reason"] = to_utf8(o.reason);
  for (const std::string& input : o.inputs) {
    auto assignment = parse_assignment("--input", input);
    if (!assignment)
      return tl::unexpected{std::move(assignment.error())};
    if (!is_utf8(input))
      return failure(
          Errc::invalid_argument,
          fmt::format("--input is not UTF-8: \"{}\"", printable(input)));
    body["inputs"][assignment->first] = std::move(assignment->second);
  }
  return body;
}

}  // namespace

int approve_job(const QueueContext& context, std::vector<std::string> words) {
  ApproveOptions o;
  CLI::App app{
      "Says yes, or no, to a job of a run that waits for approval.\n\n"
      "  troupe approve r7 load --input ticket=OPS-12\n"
      "  troupe approve r7 load --reject --reason \"not on Fridays\"",
      "troupe approve"};
  app.add_option("RUN", o.run, "The run (r7)");
  app.add_option("JOB", o.job, "The job of its workflow");
  repeated(app.add_option("--input", o.inputs,
                          "Set ${{ approval.NAME }}; repeatable")
               ->type_name("NAME=VALUE"));
  app.add_flag("--reject", o.reject, "Say no: the job fails");
  app.add_option("--reason", o.reason, "Why not")->type_name("TEXT");
  o.node.add_to(app);
  if (const auto code = parse(app, std::move(words)))
    return *code;
  if (o.run.empty() || o.job.empty())
    return usage_error("approve", "expected a run and a job of it");
  const auto run = parse_run(o.run);
  if (!run)
    return usage_error("approve", run.error().what);
  if (o.reject ? !o.inputs.empty() : !o.reason.empty())
    return usage_error("approve",
                       "--reason goes with --reject, and --input without it");
  const auto body = body_of(o);
  if (!body)
    return usage_error("approve", body.error().what);
  auto session = NodeSession::open(context, o.node);
  if (!session)
    return node_failed(session.error());
  const auto answer = session->calls().call(
      NodeMethod::post,
      node_target({"runs", fmt::format("{}", *run), "jobs", o.job, "answer"}),
      *body);
  if (!answer)
    return node_failed(answer.error());
  const std::string done =
      fmt::format("job {} of run {} is {}", printable(o.job), run_text(*run),
                  o.reject ? "rejected" : "approved");
  if (o.node.json)
    print_json({{"run", *run}, {"job", o.job}, {"approved", !o.reject}}, done);
  else
    write_answer(done + "\n", done);
  return exit_ok;
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): as all subcommands.
int run_approve(const Startup&, std::vector<std::string> words) {
  return approve_job(real_queue_context(), std::move(words));
}

}  // namespace troupe::cli
