#pragma once

#include <troupe/workflow/plan.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
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
  /// Of one of several nodes, where it is asked for what others have; else
  /// empty.
  std::string socket{};
  /// Where what is fetched may be: of a result names of nodes, of an artifact
  /// where_it_is() of each instance.
  std::vector<std::string> from{};
  std::uint32_t version = 0;  ///< Of what is uploaded; zero for the next one.
};

/// "n2:1:812.2:eu-a": this version of the artifact of that instance was
/// uploaded at that node, by its name, by that job of the queue and attempt.
/// Node and attempt may not be known.
[[nodiscard]] std::string where_it_is(const std::string& node,
                                      std::uint32_t version,
                                      const std::string& origin,
                                      const std::string& instance);

/// "812.2".
[[nodiscard]] std::string origin_of(std::uint64_t job, std::uint64_t attempt);

/// The words of an argv of content_argv(), of a step with a cache or a
/// transfer, that are another one on each node, by their place: "program",
/// "store" and "socket".
[[nodiscard]] std::vector<std::pair<std::size_t, std::string>> node_words(
    const std::vector<std::string>& argv);

/// What executes a step: its argv, with what its cache or transfer needs around
/// it.
[[nodiscard]] std::vector<std::string> content_argv(const StartStep& start,
                                                    const ContentUse& use);

}  // namespace troupe::workflow
