#pragma once

/// The names of runs, and of what is in the folder of one.
#include <troupe/base/time.hpp>
#include <troupe/workflow/model.hpp>
#include <troupe/workflow/plan.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::cli {

/// How many runs are kept, the new one included.
inline constexpr std::size_t runs_kept = 50;

/// "20261120-141503-x7k2": the start in UTC, so that names sort by time, and
/// four letters or digits made from `random`.
[[nodiscard]] std::string make_run_id(WallTime start, std::uint64_t random);

/// Whether `name` could be from make_run_id().
[[nodiscard]] bool is_run_id(std::string_view name);

/// The runs among `names` that are too old to keep, if the newest `keep` stay.
/// Names that are no run ids are none of our business.
[[nodiscard]] std::vector<std::string> runs_to_delete(
    std::vector<std::string> names, std::size_t keep);

/// `text` as the name of a file: other than letters, digits, `.`, `_` and `-`
/// become `_`, nothing starts with a dot, and it has at most 100 bytes.
[[nodiscard]] std::string file_name(std::string_view text);

/// A file name for each of `texts`, no two alike, also where case is ignored:
/// a name that is taken gets a number, "build-2".
[[nodiscard]] std::vector<std::string> unique_file_names(
    std::span<const std::string> texts);

/// What to call each step of a job in JSON and files: its id, or "step-2".
[[nodiscard]] std::vector<std::string> step_keys(const workflow::Job& job);

/// What to call a step of which only the text in the file is known.
[[nodiscard]] std::string step_title(const workflow::Step& step);

}  // namespace troupe::cli
