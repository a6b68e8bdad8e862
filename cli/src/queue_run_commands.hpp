#pragma once

/// What commands of the queue do with runs of workflows: r7 where a job would
/// be 7.
#include "job_logs.hpp"
#include "queue_context.hpp"
#include "queue_run.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace troupe::cli {

/// Whether `texts` begin with the name of a run.
[[nodiscard]] bool names_runs(const std::vector<std::string>& texts);

/// The run with all its jobs, page by page. Blocks.
///
/// Errors: those of the node.
[[nodiscard]] Result<api::Json> fetch_run(NodeCalls& calls, std::uint64_t run);

// Each returns the exit code. Blocks.

struct RunListOptions {
  std::string set = "recent";  ///< Or all, unended, ended, failed.
  std::uint64_t limit = 1000;
  bool json = false;
};
int list_runs(const QueueContext& context, NodeSession& session,
              const RunListOptions& options);
int show_run(const QueueContext& context, NodeCalls& calls, std::uint64_t run,
             bool as_json);
int explain_run(const QueueContext& context, NodeCalls& calls,
                std::uint64_t run, bool as_json);

/// Until all, or with `any` one of them, have ended.
int wait_for_runs(NodeCalls& calls, const std::vector<std::uint64_t>& runs,
                  bool any, bool as_json);

/// Prints what the steps of `names`, RUN [JOB [STEP]], have written.
int print_run_logs(NodeSession& session, const std::vector<std::string>& names,
                   const JobLogOptions& options);

/// POST /v1/runs/{run}/`what` for each of `texts`, or DELETE, if `what` is
/// empty. Then prints `describe(run)` of each for which it went well, if there
/// is such a function.
int change_runs(const QueueContext& context, const NodeOptions& node,
                const char* command, const std::vector<std::string>& texts,
                const char* what, const api::Json& body,
                const std::function<std::string(std::uint64_t run)>& describe);

}  // namespace troupe::cli
