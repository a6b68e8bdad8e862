#pragma once

/// Bringing a job to the node: whole, or line by line.
#include "node_client.hpp"

#include <troupe/fanout/record_reader.hpp>

#include <cstdint>
#include <optional>

namespace troupe::cli {

// A chunk of arguments is within the node's bound of 1 MiB for a body, whatever
// a single argument is.
inline constexpr std::size_t most_chunk_arguments = 1000;
inline constexpr std::size_t most_chunk_bytes = 512 << 10;

struct SubmittedJob {
  api::Json answer;  ///< Of submit_job or seal_job.
  std::uint64_t tasks = 0;
};

/// Submits `body`. If the queue is full, waits when `is_patient`. Blocks.
///
/// Errors: those of the node.
[[nodiscard]] Result<api::Json> submit_whole(NodeCalls& calls,
                                             const api::Json& body,
                                             bool is_patient);

/// Submits a job with a task for each record. Holds one chunk in memory,
/// however many there are. If something fails in between, the job is cancelled:
/// nothing of it has run. Blocks.
///
/// Errors: those of the node and of reading; invalid_argument if there is no
/// record or one that is not UTF-8.
[[nodiscard]] Result<SubmittedJob> submit_records(NodeCalls& calls,
                                                  api::Json body,
                                                  fanout::RecordReader& records,
                                                  bool is_patient);

}  // namespace troupe::cli
