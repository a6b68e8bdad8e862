#pragma once

#include <troupe/config/diagnostics.hpp>
#include <troupe/config/document.hpp>
#include <troupe/workflow/model.hpp>

#include <string>
#include <vector>

namespace troupe::workflow {

/// A need as written: the name is resolved once all jobs are known.
struct WrittenNeed {
  std::string job;
  When when = When::succeeded;
  config::Span where;
};

/// The group of a job as written; empty for none.
struct WrittenGroup {
  std::string name;
  config::Span where;
};

/// A workflow whose texts are parsed, but whose names are not yet checked.
struct Draft {
  Workflow workflow;
  std::vector<std::vector<WrittenNeed>> needs;  ///< Of each job.
  std::vector<WrittenGroup> groups;             ///< Of each job.
};

/// Turns the tree of a file into a draft. What is wrong is reported, and the
/// draft is then good for finding more errors only.
[[nodiscard]] Draft decode(const config::Document& document,
                           config::Diagnostics& diagnostics);

/// Resolves needs and groups, refuses cycles and checks the names in all
/// expressions.
void check_names(Draft& draft, config::Diagnostics& diagnostics);

/// Reports problems of a text at its place in the file.
void report(const std::vector<Problem>& problems, config::Span where,
            const std::string& text, config::Diagnostics& diagnostics);

}  // namespace troupe::workflow
