#include "job_list.hpp"

#include "job_json.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <utility>
#include <vector>

namespace troupe::cli {
namespace {

using api::Json;

constexpr std::uint64_t most_of_page = 1000;
constexpr std::uint64_t recently_ended_jobs = 10;

/// How the node calls a set of jobs.
std::string set_of(JobChoice choice) {
  switch (choice) {
    case JobChoice::recent:
    case JobChoice::queued:
      return "unended";
    case JobChoice::all:
      return "all";
    case JobChoice::running:
      return "active";
    case JobChoice::failed:
      return "failed";
    case JobChoice::ended:
      return "ended";
  }
  return "all";
}

/// The set of those that run has also what is claimed and has not started.
bool is_wanted(const QueueJob& job, JobChoice choice) {
  switch (choice) {
    case JobChoice::queued:
      return job.state != "running";
    case JobChoice::running:
      return job.state == "running";
    case JobChoice::recent:
    case JobChoice::all:
    case JobChoice::failed:
    case JobChoice::ended:
      return true;
  }
  return true;
}

std::string page_target(const JobQuestion& question, const std::string& set,
                        std::uint64_t before, std::uint64_t limit) {
  std::vector<std::pair<std::string, std::string>> query;
  if (!question.group.empty())
    query.emplace_back("group", question.group);
  if (!question.tag.empty())
    query.emplace_back("tag", question.tag);
  query.emplace_back("set", set);
  if (before != 0)
    query.emplace_back("before", fmt::format("{}", before));
  query.emplace_back("limit", fmt::format("{}", limit));
  return node_target({"jobs"}, query);
}

/// Up to `limit` jobs of one set.
Result<JobList> list_set(NodeCalls& calls, const JobQuestion& question,
                         const std::string& set, std::uint64_t limit) {
  JobList list;
  std::uint64_t before = 0;
  while (true) {
    // One more tells whether there are more.
    const std::uint64_t wanted =
        std::min(limit - list.jobs.size() + 1, most_of_page);
    const auto answer = calls.get(page_target(question, set, before, wanted));
    if (!answer)
      return tl::unexpected{answer.error()};
    const auto page = jobs_from_json(*answer);
    if (!page)
      return tl::unexpected{page.error()};
    for (std::size_t i = 0; i < page->size(); ++i) {
      before = (*page)[i].number;
      if (!is_wanted((*page)[i], question.choice))
        continue;
      if (list.jobs.size() == limit) {
        list.is_cut = true;
        return list;
      }
      list.jobs.push_back((*answer)["jobs"][i]);
    }
    if (page->size() < wanted)
      return list;
  }
}

}  // namespace

Result<JobList> list_jobs_of(NodeCalls& calls, const JobQuestion& question) {
  auto list =
      list_set(calls, question, set_of(question.choice), question.limit);
  if (!list || question.choice != JobChoice::recent)
    return list;
  auto ended = list_set(calls, question, "ended",
                        std::min(recently_ended_jobs, question.limit));
  if (!ended)
    return ended;
  for (Json& job : ended->jobs)
    list->jobs.push_back(std::move(job));
  return list;
}

Result<std::vector<std::uint64_t>> job_numbers_of(NodeCalls& calls,
                                                  JobChoice choice,
                                                  const std::string& group) {
  const JobQuestion question{.choice = choice, .group = group};
  std::vector<std::uint64_t> numbers;
  while (true) {
    const auto answer = calls.get(
        page_target(question, set_of(choice),
                    numbers.empty() ? 0 : numbers.back(), most_of_page));
    if (!answer)
      return tl::unexpected{answer.error()};
    const auto page = jobs_from_json(*answer);
    if (!page)
      return tl::unexpected{page.error()};
    for (const QueueJob& job : *page)
      numbers.push_back(job.number);
    if (page->size() < most_of_page)
      return numbers;
  }
}

}  // namespace troupe::cli
