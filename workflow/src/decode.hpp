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
  bool is_service = false;  ///< Then `job` is the path of it.
  config::Span where;
};

/// The group of a job as written; empty for none.
struct WrittenGroup {
  std::string name;
  config::Span where;
};

/// A file under a name for `uses`.
struct WrittenInclude {
  std::string name;
  std::string path;    ///< As seen from the file; empty if it is wrong.
  config::Span where;  ///< Of the path.
};

/// What a job calls as written; empty if it calls nothing.
struct WrittenCall {
  std::string uses;
  config::Span where;
};

/// A workflow whose texts are parsed, but whose names are not yet checked.
struct Draft {
  Workflow workflow;
  std::vector<std::vector<WrittenNeed>> needs;  ///< Of each job.
  std::vector<WrittenGroup> groups;             ///< Of each job.
  std::vector<WrittenCall> calls;               ///< Of each job.
  std::vector<WrittenInclude> includes;
};

/// Turns the tree of a file into a draft. What is wrong is reported, and the
/// draft is then good for finding more errors only.
[[nodiscard]] Draft decode(const config::Document& document,
                           config::Diagnostics& diagnostics);

/// Checks what `job` gives to the file that it calls, and whether that can be
/// called; `job.call` has the file.
void check_call(const Job& job, config::Diagnostics& diagnostics);

/// Resolves needs and groups, refuses cycles and checks the names in all
/// expressions.
void check_names(Draft& draft, config::Diagnostics& diagnostics);

/// Reports problems of a text at its place in the file.
void report(const std::vector<Problem>& problems, config::Span where,
            const std::string& text, config::Diagnostics& diagnostics);

}  // namespace troupe::workflow
