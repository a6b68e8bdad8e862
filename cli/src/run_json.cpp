#include "run_json.hpp"

#include "outcome_json.hpp"

#include <troupe/base/overload.hpp>
#include <troupe/base/text.hpp>
#include <troupe/base/time.hpp>
#include <troupe/base/wall_time.hpp>

namespace troupe::cli {
namespace {

using Json = nlohmann::ordered_json;

Json begin(const RunEvent& event, std::string_view type) {
  return {{"type", type}, {"time", format_wall_time(event.at)}};
}

void add(Json& json, const JobRef& job) {
  json["job"] = job.job;
  json["label"] = to_utf8(job.label);
}

void add(Json& json, const StepRef& step) {
  add(json, step.job);
  json["step"] = step.key;
  json["name"] = to_utf8(step.name);
}

Json reason_of(const std::string& reason) {
  return reason.empty() ? Json() : Json(to_utf8(reason));
}

Json name_json(const RunStarted& e) {
  return e.title.empty() ? Json() : Json(to_utf8(e.title));
}

Json outputs_of(const workflow::Outputs& outputs) {
  Json json = Json::object();
  for (const auto& [name, value] : outputs)
    json[to_utf8(name)] = to_utf8(value);
  return json;
}

void add_end(Json& json, const StepFinished& e) {
  json["outcome"] = workflow::to_string(e.outcome);
  json["continued"] = e.forgiven;
  json["reason"] = reason_of(e.reason);
  json["seconds"] = in_seconds(e.took);
  json["outputs"] = outputs_of(e.outputs);
  json["log"] = e.log.empty() ? Json() : Json(to_utf8(e.log));
}

Json attempt_of(const AttemptEnded& e) {
  Json json = to_json(*e.attempt);
  json["log"] = to_utf8(e.log);
  return json;
}

}  // namespace

std::optional<Json> to_json(const RunEvent& event) {
  using Answer = std::optional<Json>;
  return std::visit(
      Overload{[&](const RunStarted& e) -> Answer {
                 Json json = begin(event, "run_started");
                 json["run"] = e.run_id;
                 json["workflow"] = to_utf8(e.workflow);
                 json["name"] = name_json(e);
                 json["file"] = to_utf8(e.file);
                 json["folder"] = to_utf8(e.folder);
                 json["jobs"] = Json::array();
                 for (const JobRef& ref : e.jobs) {
                   Json job;
                   add(job, ref);
                   json["jobs"].push_back(std::move(job));
                 }
                 return json;
               },
               [&](const JobExpanded& e) -> Answer {
                 Json json = begin(event, "job_expanded");
                 json["name"] = to_utf8(e.job);
                 json["jobs"] = Json::array();
                 for (const JobRef& ref : e.jobs) {
                   Json job;
                   add(job, ref);
                   json["jobs"].push_back(std::move(job));
                 }
                 return json;
               },
               [&](const JobChanged& e) -> Answer {
                 Json json = begin(event, "job_state");
                 add(json, e.job);
                 json["state"] = workflow::to_string(e.state);
                 json["reason"] = reason_of(e.reason);
                 return json;
               },
               [&](const StepStarted& e) -> Answer {
                 Json json = begin(event, "step_started");
                 add(json, e.step);
                 json["command"] = to_utf8(e.line);
                 json["attempts"] = e.attempts;
                 return json;
               },
               [](const AttemptStarted&) -> Answer { return std::nullopt; },
               [&](const AttemptEnded& e) -> Answer {
                 Json json = begin(event, "attempt_finished");
                 add(json, e.step);
                 json["attempt"] = attempt_of(e);
                 json["next_in_s"] =
                     e.next_in ? Json(in_seconds(*e.next_in)) : Json();
                 return json;
               },
               [&](const StepFinished& e) -> Answer {
                 Json json = begin(event, "step_finished");
                 add(json, e.step);
                 add_end(json, e);
                 return json;
               },
               [&](const GroupDecided& e) -> Answer {
                 Json json = begin(
                     event, e.gave_up ? "group_gave_up" : "group_restarted");
                 json["group"] = e.group;
                 json["job"] = e.job;
                 json["restarts_used"] = e.restarts_used;
                 json["intensity"] = e.intensity;
                 json["period_s"] = in_seconds(e.period);
                 return json;
               },
               [&](const ServiceChanged& e) -> Answer {
                 Json json = begin(event, "service_state");
                 json["service"] = e.service;
                 json["state"] = to_string(e.state);
                 json["pid"] = e.pid == 0 ? Json() : Json(e.pid);
                 json["reason"] = reason_of(e.reason);
                 json["log"] = to_utf8(e.log);
                 return json;
               },
               [](const Notice&) -> Answer { return std::nullopt; },
               [&](const RunEnded& e) -> Answer {
                 Json json = begin(event, "run_finished");
                 json["result"] = workflow::to_string(e.result);
                 return json;
               }},
      event.what);
}

Json& RunRecord::job(const JobRef& job) {
  return jobs_.at(static_cast<std::size_t>(job.instance.value - 1));
}

void RunRecord::add_job(const JobRef& ref) {
  Json entry;
  add(entry, ref);
  entry["state"] = workflow::to_string(workflow::JobState::pending);
  entry["reason"] = nullptr;
  entry["ready"] = nullptr;
  entry["start"] = nullptr;
  entry["end"] = nullptr;
  entry["restarts"] = 0;
  entry["steps"] = Json::array();
  jobs_.push_back(std::move(entry));
}

void RunRecord::apply(const RunEvent& event) {
  std::visit(
      Overload{
          [&](const RunStarted& e) {
            run_ = {{"run", e.run_id},
                    {"workflow", to_utf8(e.workflow)},
                    {"name", name_json(e)},
                    {"file", to_utf8(e.file)},
                    {"path", e.path.empty() ? Json() : Json(to_utf8(e.path))},
                    {"max_parallel", e.max_parallel},
                    {"start", format_wall_time(event.at)},
                    {"end", nullptr},
                    {"result", nullptr}};
            for (const JobRef& ref : e.jobs)
              add_job(ref);
          },
          [&](const JobExpanded& e) {
            for (const JobRef& ref : e.jobs) {
              if (ref.instance.value <= jobs_.size())
                add(job(ref), ref);
              else
                add_job(ref);
            }
          },
          [&](const JobChanged& e) {
            Json& entry = job(e.job);
            if (e.state == workflow::JobState::pending &&
                entry["state"] !=
                    workflow::to_string(workflow::JobState::ready))
              entry["restarts"] = entry["restarts"].get<int>() + 1;
            entry["state"] = workflow::to_string(e.state);
            entry["reason"] = reason_of(e.reason);
            if (e.state == workflow::JobState::ready)
              entry["ready"] = format_wall_time(event.at);
            if (e.state == workflow::JobState::running)
              entry["start"] = format_wall_time(event.at);
            if (workflow::has_ended(e.state))
              entry["end"] = format_wall_time(event.at);
          },
          [&](const StepStarted& e) {
            commands_.insert_or_assign(e.step.job.instance, e.line);
          },
          [](const AttemptStarted&) {},
          [&](const AttemptEnded& e) {
            Json& attempts = attempts_[e.step.job.instance];
            attempts.push_back(attempt_of(e));
            // The log has it.
            attempts.back().erase("stdout_tail");
            attempts.back().erase("stderr_tail");
          },
          [&](const StepFinished& e) {
            Json step{{"step", e.step.key}, {"name", to_utf8(e.step.name)}};
            const auto command = commands_.extract(e.step.job.instance);
            step["command"] =
                command ? Json(to_utf8(command.mapped())) : Json();
            add_end(step, e);
            auto attempts = attempts_.extract(e.step.job.instance);
            step["attempts"] =
                attempts ? std::move(attempts.mapped()) : Json::array();
            job(e.step.job)["steps"].push_back(std::move(step));
          },
          [](const GroupDecided&) {},
          [&](const ServiceChanged& e) {
            const auto [entry, is_new] =
                services_.try_emplace(e.service, Json{{"service", e.service},
                                                      {"state", nullptr},
                                                      {"restarts", 0},
                                                      {"reason", nullptr},
                                                      {"log", to_utf8(e.log)}});
            Json& service = entry->second;
            if (!is_new && e.state == ServiceChanged::State::starting)
              service["restarts"] = service["restarts"].get<int>() + 1;
            service["state"] = to_string(e.state);
            if (!e.reason.empty())
              service["reason"] = reason_of(e.reason);
          },
          [](const Notice&) {},
          [&](const RunEnded& e) {
            run_["end"] = format_wall_time(event.at);
            run_["result"] = workflow::to_string(e.result);
          }},
      event.what);
}

std::string RunRecord::text() const {
  Json whole = run_;
  whole["jobs"] = jobs_;
  if (!services_.empty()) {
    whole["services"] = Json::array();
    for (const auto& [name, service] : services_)
      whole["services"].push_back(service);
  }
  return whole.dump(2) + "\n";
}

}  // namespace troupe::cli
