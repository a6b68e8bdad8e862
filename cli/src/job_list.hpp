#pragma once

/// Which jobs of a node are meant, and asking for them page by page.
#include "node_client.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace troupe::cli {

enum class JobChoice : std::uint8_t {
  recent,  ///< That have not ended, and the last 10 that have.
  all,
  running,
  queued,  ///< That have not ended and do not run.
  failed,
  ended,
};

struct JobQuestion {
  JobChoice choice = JobChoice::recent;
  std::string group;  ///< Empty for any.
  std::string tag;    ///< Empty for any.
  std::uint64_t limit = 1000;
};

struct JobList {
  api::Json jobs = api::Json::array();  ///< The newest first.
  bool is_cut = false;                  ///< There are more.
};

/// Blocks. Errors: those of the node.
[[nodiscard]] Result<JobList> list_jobs_of(NodeCalls& calls,
                                           const JobQuestion& question);

/// The numbers of all jobs of a choice, which is one set of the node: not
/// `recent` or `queued`. `group` may be empty for any. Holds one page of jobs
/// in memory, however many there are. Blocks. Errors: those of the node.
[[nodiscard]] Result<std::vector<std::uint64_t>> job_numbers_of(
    NodeCalls& calls, JobChoice choice, const std::string& group);

}  // namespace troupe::cli
