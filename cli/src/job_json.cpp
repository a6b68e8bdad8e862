#include "job_json.hpp"

#include "answer_json.hpp"

#include <troupe/base/text.hpp>
#include <troupe/base/wall_time.hpp>

#include <fmt/format.h>

namespace troupe::cli {
namespace {

using Json = nlohmann::ordered_json;

template <class Read>
auto list_of(const Json& json, const char* key, Read read) {
  std::vector<decltype(read(json))> list;
  for (const Json& entry : value_of<Json>(json, key, Json::array()))
    list.push_back(read(entry));
  return list;
}

JobCounts counts_in(const Json& json) {
  const auto count = [&](const char* key) {
    return value_of<std::uint64_t>(json, key);
  };
  return {.waiting = count("waiting"),
          .retrying = count("retrying"),
          .running = count("running"),
          .success = count("success"),
          .failed = count("failed"),
          .timed_out = count("timed_out"),
          .cancelled = count("cancelled"),
          .lost = count("lost"),
          .skipped = count("skipped")};
}

JobNeed need_in(const Json& json) {
  return {value_of<std::uint64_t>(json, "job"),
          value_of<std::string>(json, "when", "succeeded")};
}

QueueJob queue_job_in(const Json& json) {
  const Json none = Json::object();
  return {.number = json.at("job").get<std::uint64_t>(),
          .name = value_of<std::string>(json, "name"),
          .state = json.at("state").get<std::string>(),
          .group = value_of<std::string>(json, "group"),
          .priority = value_of<std::string>(json, "priority"),
          .delivery = value_of<std::string>(json, "delivery"),
          .tags = value_of<std::vector<std::string>>(json, "tags"),
          .tasks = value_of<std::uint64_t>(json, "tasks"),
          .counts = counts_in(value_of<Json>(json, "counts", none)),
          .paused = value_of<std::uint64_t>(json, "paused"),
          .is_cancelled = value_of<bool>(json, "is_cancelled"),
          .text = value_of<std::string>(json, "text"),
          .needs = list_of(json, "needs", need_in),
          .resources = value_of<Json>(json, "resources", none),
          .runs_on = value_of<std::vector<std::string>>(json, "runs_on"),
          .spread = value_of<bool>(json, "spread"),
          .not_before = time_of(json, "not_before"),
          .submitted = time_of(json, "submitted"),
          .ended = time_of(json, "ended"),
          .folder = value_of<std::string>(value_of<Json>(json, "command", none),
                                          "cwd")};
}

TaskAttempt attempt_in(const Json& json) {
  return {.task = value_of<std::uint64_t>(json, "task"),
          .number = value_of<std::uint64_t>(json, "attempt"),
          .outcome = json.at("outcome").get<std::string>(),
          .exit_status = value_of<int>(json, "exit_status"),
          .at = time_of(json, "at"),
          .cause = value_of<std::string>(json, "cause"),
          .wall = json.contains("wall_ms")
                      ? std::optional{milliseconds_of(json, "wall_ms")}
                      : std::nullopt,
          .cpu = milliseconds_of(json, "user_ms") +
                 milliseconds_of(json, "system_ms"),
          .max_rss_bytes = value_of<std::uint64_t>(json, "max_rss_bytes"),
          .output_bytes = value_of<std::uint64_t>(json, "output_bytes"),
          .unrecorded_bytes = value_of<std::uint64_t>(json, "unrecorded_bytes"),
          .node = value_of<std::string>(json, "node"),
          .is_end_unknown = value_of<bool>(json, "is_end_unknown"),
          .tail_skipped = value_of<std::uint64_t>(json, "tail_skipped"),
          .notes = value_of<std::vector<std::string>>(json, "notes")};
}

QueueTask task_in(const Json& json) {
  const Json result = value_of<Json>(json, "result");
  return {.number = value_of<std::uint64_t>(json, "task"),
          .state = json.at("state").get<std::string>(),
          .argument = value_of<std::string>(json, "argument"),
          .attempt = value_of<std::uint64_t>(json, "attempt"),
          .pid = value_of<std::uint64_t>(json, "pid"),
          .node = value_of<std::string>(json, "node"),
          .silent = json.contains("silent_ms")
                        ? std::optional{milliseconds_of(json, "silent_ms")}
                        : std::nullopt,
          .is_cancelled = value_of<bool>(json, "is_cancelled"),
          .due = time_of(json, "due"),
          .result = result.is_null() ? std::nullopt
                                     : std::optional{attempt_in(result)},
          .attempts = list_of(json, "attempts", attempt_in)};
}

WaitReason reason_in(const Json& json) {
  return {.kind = value_of<std::string>(json, "kind"),
          .what = value_of<std::string>(json, "what"),
          .until = time_of(json, "until")};
}

QueueGroup group_in(const Json& json) {
  const auto count = [&](const char* key) {
    return value_of<std::uint64_t>(json, key);
  };
  return {.name = json.at("group").get<std::string>(),
          .is_held = value_of<bool>(json, "is_held"),
          .breaker = value_of<std::string>(json, "breaker"),
          .slots = count("slots"),
          .weight = count("weight"),
          .starts_per_minute = count("starts_per_minute"),
          .jobs = count("jobs"),
          .waiting = count("waiting"),
          .retrying = count("retrying"),
          .running = count("running")};
}

}  // namespace

bool QueueJob::has_ended() const {
  return state == "succeeded" || state == "failed" || state == "cancelled" ||
         state == "skipped";
}

Result<QueueJob> job_from_json(const Json& json) {
  return checked(json, queue_job_in);
}

Result<std::vector<QueueJob>> jobs_from_json(const Json& json) {
  return checked(json, [](const Json& answer) {
    return list_of(answer, "jobs", queue_job_in);
  });
}

Result<QueueTask> task_from_json(const Json& json) {
  return checked(json, task_in);
}

Result<std::vector<TaskAttempt>> results_from_json(const Json& json) {
  return checked(json, [](const Json& answer) {
    return list_of(answer, "tasks", attempt_in);
  });
}

Result<std::vector<std::uint64_t>> tried_from_json(const Json& json) {
  return checked(json, [](const Json& answer) {
    return answer.at("tasks").get<std::vector<std::uint64_t>>();
  });
}

Result<WhyAnswer> why_from_json(const Json& json) {
  return checked(json, [](const Json& answer) {
    return WhyAnswer{value_of<std::string>(answer, "state"),
                     list_of(answer, "reasons", reason_in)};
  });
}

Result<std::vector<QueueGroup>> groups_from_json(const Json& json) {
  return checked(json, [](const Json& answer) {
    return list_of(answer, "groups", group_in);
  });
}

Result<NodeState> node_from_json(const Json& json) {
  return checked(json, [](const Json& answer) {
    return NodeState{
        .version = value_of<std::string>(answer, "version"),
        .pid = value_of<std::uint64_t>(answer, "pid"),
        .started = time_of(answer, "started"),
        .folder = value_of<std::string>(answer, "folder"),
        .is_held = value_of<bool>(answer, "is_held"),
        .resources = value_of<Json>(answer, "resources", Json::object())};
  });
}

Result<std::uint64_t> number_from_json(const Json& json, const char* key) {
  return checked(json, [key](const Json& answer) {
    return answer.at(key).get<std::uint64_t>();
  });
}

}  // namespace troupe::cli
