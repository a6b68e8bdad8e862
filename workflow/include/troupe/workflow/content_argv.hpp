#pragma once

#include <troupe/workflow/plan.hpp>

#include <string>
#include <vector>

namespace troupe::workflow {

/// What carries out caches and artifacts: the program `troupe`, which has the
/// commands `cached` and `artifact`, so that such a step has limits, attempts
/// and a log like any other.
struct ContentUse {
  std::string program;    ///< The path of `troupe`.
  std::string folder;     ///< Of the content.
  std::string run;        ///< Whose artifacts they are.
  bool is_fresh = false;  ///< Nothing is taken from the cache.
};

/// What executes a step: its argv, with what its cache or transfer needs around
/// it.
[[nodiscard]] std::vector<std::string> content_argv(const StartStep& start,
                                                    const ContentUse& use);

}  // namespace troupe::workflow
