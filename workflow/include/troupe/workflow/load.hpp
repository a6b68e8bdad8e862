#pragma once

#include <troupe/base/error.hpp>
#include <troupe/config/diagnostics.hpp>
#include <troupe/workflow/model.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace troupe::workflow {

/// The largest file that is read, in bytes: 10,000 jobs of some lines each.
inline constexpr std::size_t largest_file = 4 << 20;

/// How many files one may be made of, how long they may be together, and how
/// deep they may include each other, the first one counted.
inline constexpr std::size_t most_files = 100;
inline constexpr std::size_t largest_files = largest_file;
inline constexpr std::size_t deepest_files = 8;

/// The text of a file that another one includes. `path` is relative to where
/// the name of the first file is, and has no `.` or `..` that it could do
/// without. Errors are shown at the place where the file is named.
using ReadFile = std::function<Result<std::string>(const std::string& path)>;

/// Reads and checks a workflow file, and with `read` what it includes; null
/// refuses such files. `name` is what to call it in messages.
///
/// Errors: invalid_argument; `what` is all that is wrong, for people, as
/// config::Diagnostics::text() has it.
[[nodiscard]] Result<std::shared_ptr<const Workflow>> load_workflow(
    std::string name, std::string text, const ReadFile& read = nullptr);

/// The same for programs that want each error by itself; null if there are any.
[[nodiscard]] std::shared_ptr<const Workflow> load_workflow(
    std::shared_ptr<const config::Source> source,
    config::Diagnostics& diagnostics, const ReadFile& read = nullptr);

/// What `path` in the file `from` means: as ReadFile gets it. Nothing if it is
/// empty or could not be shown.
[[nodiscard]] std::optional<std::string> included_path(const std::string& from,
                                                       const std::string& path);

}  // namespace troupe::workflow
