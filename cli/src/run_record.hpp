#pragma once

/// Reading what RunRecord has written: runs of `troupe run` as history. Pure.
#include <troupe/base/error.hpp>
#include <troupe/workflow/history.hpp>

#include <string>
#include <string_view>

namespace troupe::cli {

/// Whether a record that begins with `head` may be of the workflow at `path`.
/// What it says is cheap and sure only if it is no.
[[nodiscard]] bool may_be_of(std::string_view head, const std::string& path);

/// How much of a record may_be_of() has to see.
inline constexpr std::size_t record_head_bytes = 32 << 10;

/// The run in a record, if it is of the workflow at `path`.
///
/// Errors: corrupt (it is no record); not_found (it is of another workflow).
[[nodiscard]] Result<workflow::PastRun> past_run_from_record(
    const std::string& text, const std::string& path);

}  // namespace troupe::cli
