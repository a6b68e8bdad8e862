#include "run_spec.hpp"

#include <troupe/base/overload.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/node/step_secrets.hpp>
#include <troupe/queue/json_fields.hpp>
#include <troupe/workflow/load.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <fmt/format.h>
#include <utility>

namespace troupe::node {
namespace {

using actors::OutcomeKind;

std::chrono::year_month_day day_of(const std::string& text) {
  int year = 0;
  unsigned month = 0;
  unsigned day = 0;
  if (std::sscanf(text.c_str(), "%d-%u-%u", &year, &month, &day) != 3)
    return {};
  return std::chrono::year{year} / std::chrono::month{month} /
         std::chrono::day{day};
}

using Pairs = std::vector<std::pair<std::string, std::string>>;

/// A list of lists of two, since the order is kept.
Json pairs_to_json(const Pairs& pairs) {
  Json json = Json::array();
  for (const auto& [name, value] : pairs)
    json.push_back(Json::array({name, value}));
  return json;
}

Pairs pairs_from_json(const Json& json) {
  Pairs pairs;
  for (const Json& pair : json)
    pairs.emplace_back(pair.at(0).get<std::string>(),
                       pair.at(1).get<std::string>());
  return pairs;
}

/// A list of job, step and the two durations in nanoseconds.
Json estimates_to_json(const workflow::Estimates& estimates) {
  Json json = Json::array();
  for (const auto& [step, takes] : estimates.steps())
    json.push_back(Json::array({step.first, step.second, takes.typical.count(),
                                takes.longest.count()}));
  return json;
}

workflow::Estimates estimates_from_json(const Json& json) {
  std::map<workflow::Estimates::Key, workflow::StepEstimate> steps;
  for (const Json& step : json)
    steps[{step.at(0).get<std::string>(), step.at(1).get<std::string>()}] = {
        Duration{step.at(2).get<std::int64_t>()},
        Duration{step.at(3).get<std::int64_t>()}};
  return workflow::Estimates{std::move(steps)};
}

std::optional<actors::CauseKind> cause_kind(std::string_view name) {
  for (auto kind = actors::CauseKind::exit_code;
       kind <= actors::CauseKind::silence;
       kind = static_cast<actors::CauseKind>(static_cast<int>(kind) + 1)) {
    if (to_string(kind) == name)
      return kind;
  }
  return std::nullopt;
}

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// What reading found wrong is thrown by the library.
template <class F>
auto read(const std::string& bytes, F from_json)
    -> Result<decltype(from_json(std::declval<const Json&>()))> {
  try {
    return from_json(Json::parse(bytes));
  } catch (const Json::exception& error) {
    return failure(Errc::corrupt,
                   fmt::format("the run is kept in a form that is unknown: {}",
                               error.what()));
  }
}

RunNews news_from_json(const Json& json) {
  const auto kind = json.at("event").get<std::string>();
  if (kind == "begun")
    return RunBegun{};
  if (kind == "time")
    return RunTimePassed{};
  if (kind == "cancelled")
    return RunCancelled{};
  if (kind == "retried")
    return RunRetried{json.value("from", "")};
  if (kind == "answered") {
    RunAnswered answered;
    answered.job = json.at("job").get<std::string>();
    answered.answer = {json.at("approved").get<bool>(),
                       json.at("who").get<std::string>(),
                       json.value("reason", ""),
                       pairs_from_json(json.value("inputs", Json::array()))};
    return answered;
  }
  if (kind == "refused")
    return RunRefused{json.at("reason").get<std::string>(),
                      json.at("is_failure").get<bool>()};
  if (kind == "moved")
    return RunMoved{json.at("home").get<std::string>()};
  if (kind == "services") {
    Json told = json;
    told.erase("event");
    auto read = services_from_json(told);
    return read ? std::move(*read) : RunServicesTold{};
  }
  RunStepEnded ended;
  const Json& step = json.at("step");
  ended.step = {
      step.at(0).get<std::uint32_t>(), step.at(1).get<std::uint64_t>(),
      step.at(2).get<std::uint32_t>(), step.at(3).get<std::uint32_t>()};
  ended.job = store::JobId{json.at("job").get<std::uint64_t>()};
  ended.kind = static_cast<OutcomeKind>(json.at("kind").get<int>());
  ended.exit_status = json.value("exit_status", 0);
  ended.attempts = json.value("attempts", std::uint32_t{0});
  ended.took = std::chrono::nanoseconds{json.value("took_ns", std::int64_t{0})};
  if (json.contains("ended_ns"))
    ended.ended = WallTime{std::chrono::duration_cast<WallTime::duration>(
        std::chrono::nanoseconds{json.at("ended_ns").get<std::int64_t>()})};
  ended.why = json.value("why", "");
  if (json.contains("causes"))
    ended.causes = causes_from_json(json.at("causes"));
  if (json.contains("outputs"))
    ended.outputs = pairs_from_json(json.at("outputs"));
  ended.node = json.value("node", "");
  ended.home = json.value("home", "");
  return ended;
}

Json ended_to_json(const RunStepEnded& ended) {
  const StepKey& step = ended.step;
  Json json{{"event", "step"},
            {"step", Json::array({step.round, step.instance, step.step,
                                  step.restarts})},
            {"job", ended.job.value},
            {"kind", static_cast<int>(ended.kind)}};
  if (ended.exit_status != 0)
    json["exit_status"] = ended.exit_status;
  json["attempts"] = ended.attempts;
  json["took_ns"] = ended.took.count();
  if (ended.ended)
    json["ended_ns"] = std::chrono::duration_cast<std::chrono::nanoseconds>(
                           ended.ended->time_since_epoch())
                           .count();
  if (!ended.why.empty())
    json["why"] = ended.why;
  for (const actors::Cause& cause : ended.causes)
    json["causes"].push_back({{"kind", to_string(cause.kind)},
                              {"number", cause.number},
                              {"what", cause.what}});
  if (!ended.outputs.empty())
    json["outputs"] = pairs_to_json(ended.outputs);
  if (!ended.node.empty())
    json["node"] = ended.node;
  if (!ended.home.empty())
    json["home"] = ended.home;
  return json;
}

/// Of the body of submit_run, and of what is kept.
workflow::FileHashes hashes_from_json(const Json& json) {
  workflow::FileHashes hashes;
  for (const Json& item : json)
    hashes.emplace(item.at("patterns").get<std::vector<std::string>>(),
                   item.at("hash").get<std::string>());
  return hashes;
}

Json hashes_to_json(const workflow::FileHashes& hashes) {
  Json json = Json::array();
  for (const auto& [patterns, hash] : hashes)
    json.push_back({{"patterns", patterns}, {"hash", hash}});
  return json;
}

/// What whoever submits has read.
void read_files(queue::JsonFields& fields, RunSpec& spec) {
  std::optional<std::map<std::string, std::string>> dotenv;
  fields.read("dotenv", dotenv);
  if (dotenv)
    spec.dotenv.assign(dotenv->begin(), dotenv->end());
  const Json* const hashes = fields.take("file_hashes");
  if (hashes == nullptr)
    return;
  try {
    spec.file_hashes = hashes_from_json(*hashes);
  } catch (const Json::exception&) {
    fields.refuse("file_hashes", "expected a list of patterns and hash");
  }
}

}  // namespace

std::vector<actors::Cause> causes_from_json(const Json& json) {
  std::vector<actors::Cause> causes;
  for (const Json& cause : json) {
    if (const auto kind = cause_kind(cause.value("kind", "")))
      causes.push_back(
          {*kind, cause.value("number", 0), cause.value("what", "")});
  }
  return causes;
}

Result<RunSubmission> run_from_json(const Json& json) {
  RunSubmission submission;
  RunSpec& spec = submission.spec;
  queue::JsonFields fields{json, ""};
  fields.read("request_id", submission.run.request_id);
  fields.read("file", spec.file);
  fields.read("text", spec.text);
  std::optional<std::map<std::string, std::string>> files;
  fields.read("files", files);
  if (files)
    spec.files = std::move(*files);
  fields.read("cwd", spec.folder);
  fields.read("group", spec.group);
  read_priority(fields, spec.priority);
  fields.read("job", spec.only_job);
  fields.read("no_cache", spec.is_fresh);
  std::int64_t max_parallel = 0;
  fields.read("max_parallel", max_parallel, 0, UINT32_MAX);
  spec.max_parallel = static_cast<std::uint32_t>(max_parallel);
  std::optional<std::map<std::string, std::string>> inputs;
  fields.read("inputs", inputs);
  if (inputs)
    spec.inputs.assign(inputs->begin(), inputs->end());
  std::optional<std::map<std::string, std::string>> environment;
  fields.read("env", environment);
  for (const auto& [name, value] :
       environment.value_or(std::map<std::string, std::string>{})) {
    if (name.empty() || name.find('=') != std::string::npos ||
        name.find('\0') != std::string::npos ||
        value.find('\0') != std::string::npos)
      fields.refuse("env", "a variable that no program can have");
    spec.environment.emplace(name, value);
  }
  read_files(fields, spec);
  if (spec.text.empty())
    fields.refuse("text", "is missing");
  if (auto finished = fields.finish(); !finished)
    return tl::unexpected(std::move(finished.error()));
  if (auto checked = store::check(submission.run); !checked)
    return tl::unexpected(std::move(checked.error()));
  return submission;
}

std::string local_day(WallTime now) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm local{};
  ::localtime_r(&seconds, &local);
  return fmt::format("{:04}-{:02}-{:02}", local.tm_year + 1900,
                     local.tm_mon + 1, local.tm_mday);
}

std::string encode(const RunSpec& spec) {
  Json json{{"file", spec.file},
            {"text", spec.text},
            {"inputs", pairs_to_json(spec.inputs)},
            {"cwd", spec.folder},
            {"today", spec.today},
            {"group", spec.group},
            {"priority", static_cast<int>(spec.priority)}};
  if (!spec.only_job.empty())
    json["job"] = spec.only_job;
  if (spec.is_fresh)
    json["no_cache"] = true;
  if (spec.max_parallel != 0)
    json["max_parallel"] = spec.max_parallel;
  if (!spec.actor.empty())
    json["actor"] = spec.actor;
  if (!spec.dotenv.empty())
    json["dotenv"] = pairs_to_json(spec.dotenv);
  if (!spec.file_hashes.empty())
    json["file_hashes"] = hashes_to_json(spec.file_hashes);
  if (spec.trigger != RunSpec{}.trigger)
    json["trigger"] = spec.trigger;
  json["env"] = spec.environment;
  if (!spec.files.empty())
    json["files"] = spec.files;
  if (!spec.nonce.empty())
    json["nonce"] = spec.nonce;
  if (!spec.ports.empty())
    json["ports"] = pairs_to_json(spec.ports);
  if (!spec.home.empty())
    json["home"] = spec.home;
  if (!spec.estimates.empty())
    json["estimates"] = estimates_to_json(spec.estimates);
  return dump(json);
}

Result<RunSpec> decode_run_spec(const std::string& bytes) {
  return read(bytes, [](const Json& json) {
    RunSpec spec;
    spec.file = json.at("file").get<std::string>();
    spec.text = json.at("text").get<std::string>();
    spec.inputs = pairs_from_json(json.at("inputs"));
    spec.folder = json.value("cwd", "");
    spec.today = json.value("today", "");
    spec.group = json.value("group", spec.group);
    spec.priority =
        static_cast<store::Priority>(json.at("priority").get<int>());
    spec.only_job = json.value("job", "");
    spec.is_fresh = json.value("no_cache", false);
    spec.actor = json.value("actor", "");
    spec.home = json.value("home", "");
    if (json.contains("dotenv"))
      spec.dotenv = pairs_from_json(json.at("dotenv"));
    if (json.contains("file_hashes"))
      spec.file_hashes = hashes_from_json(json.at("file_hashes"));
    spec.max_parallel = json.value("max_parallel", std::uint32_t{0});
    spec.trigger = json.value("trigger", spec.trigger);
    spec.environment = json.at("env").get<std::map<std::string, std::string>>();
    spec.files = json.value("files", spec.files);
    spec.nonce = json.value("nonce", "");
    if (json.contains("ports"))
      spec.ports = pairs_from_json(json.at("ports"));
    if (json.contains("estimates"))
      spec.estimates = estimates_from_json(json.at("estimates"));
    return spec;
  });
}

bool is_spec_of(const std::string& bytes, const std::string& file) {
  return file.starts_with('/') &&
         bytes.starts_with("{\"file\":" + dump(Json(file)) + ",");
}

Result<std::shared_ptr<const workflow::Workflow>> load_workflow_of(
    const RunSpec& spec) {
  auto workflow = workflow::load_workflow(
      spec.file, spec.text,
      [&](const std::string& path) -> Result<std::string> {
        const auto file = spec.files.find(path);
        if (file == spec.files.end())
          return failure(Errc::not_found, "it was not submitted with the run");
        return file->second;
      });
  if (!workflow)
    return workflow;
  for (const workflow::Workflow* const file : workflow::files_of(**workflow)) {
    if (auto checked = check_secret_uses(*file); !checked)
      return tl::unexpected(std::move(checked.error()));
  }
  return workflow;
}

workflow::PlanOptions plan_options(store::RunId run, const RunSpec& spec) {
  workflow::PlanOptions options;
  options.run_id = run_name(run);
  options.inputs = spec.inputs;
  if (spec.max_parallel != 0)
    options.max_parallel = spec.max_parallel;
  options.only_job = spec.only_job;
  options.actor = spec.actor;
  options.dotenv = spec.dotenv;
  options.file_hashes = spec.file_hashes;
  options.trigger = spec.trigger;
  options.estimate = spec.estimates.function();
  options.ports = spec.ports;
  options.surroundings = {.today = day_of(spec.today), .folder = spec.folder};
  return options;
}

std::string run_name(store::RunId run) {
  return run ? fmt::format("r{}", run.value)
             : fmt::format("r{}", store::run_number_mark);
}

std::optional<store::RunId> run_named(const std::string& name) {
  if (!name.starts_with('r'))
    return std::nullopt;
  const store::RunId run{parse_count(name.substr(1)).value_or(0)};
  return run && run_name(run) == name ? std::optional{run} : std::nullopt;
}

std::string request_id_of(store::RunId run, const StepKey& step) {
  return fmt::format("{}{}/{}/{}/{}/{}", run_request_prefix, run.value,
                     step.round, step.instance, step.step, step.restarts);
}

std::string encode(const RunNews& news) {
  return dump(std::visit(
      Overload{[](const RunBegun&) {
                 return Json{{"event", "begun"}};
               },
               [](const RunStepEnded& ended) { return ended_to_json(ended); },
               [](const RunTimePassed&) {
                 return Json{{"event", "time"}};
               },
               [](const RunCancelled&) {
                 return Json{{"event", "cancelled"}};
               },
               [](const RunRetried& retried) {
                 Json json{{"event", "retried"}};
                 if (!retried.from.empty())
                   json["from"] = retried.from;
                 return json;
               },
               [](const RunAnswered& answered) {
                 const workflow::ApprovalAnswer& answer = answered.answer;
                 Json json{{"event", "answered"},
                           {"job", answered.job},
                           {"approved", answer.approved},
                           {"who", answer.who}};
                 if (!answer.reason.empty())
                   json["reason"] = answer.reason;
                 if (!answer.inputs.empty())
                   json["inputs"] = pairs_to_json(answer.inputs);
                 return json;
               },
               [](const RunRefused& refused) {
                 return Json{{"event", "refused"},
                             {"reason", refused.reason},
                             {"is_failure", refused.is_failure}};
               },
               [](const RunMoved& moved) {
                 return Json{{"event", "moved"}, {"home", moved.home}};
               },
               [](const RunServicesTold& told) {
                 Json json = to_json(told);
                 json["event"] = "services";
                 return json;
               }},
      news));
}

Result<RunNews> decode_run_news(const std::string& bytes) {
  return read(bytes, news_from_json);
}

std::string encode(const std::vector<workflow::PrintedOutput>& printed) {
  if (printed.empty())
    return "";
  Json json = Json::array();
  for (const workflow::PrintedOutput& one : printed) {
    Json path;
    if (one.json) {
      path = Json::array();
      for (const auto& part : *one.json)
        std::visit([&path](const auto& key) { path.push_back(key); }, part);
    }
    json.push_back({{"name", one.name},
                    {"is_last_line", one.is_last_line},
                    {"json", std::move(path)}});
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<std::vector<workflow::PrintedOutput>> decode_printed(
    const std::string& text) {
  std::vector<workflow::PrintedOutput> printed;
  if (text.empty())
    return printed;
  try {
    for (const Json& json : Json::parse(text)) {
      workflow::PrintedOutput one{
          .name = json.at("name").get<std::string>(),
          .is_last_line = json.at("is_last_line").get<bool>(),
          .json = {}};
      const Json& path = json.at("json");
      if (!path.is_null())
        one.json.emplace();
      for (const Json& part : path) {
        if (part.is_string())
          one.json->emplace_back(part.get<std::string>());
        else
          one.json->emplace_back(part.get<std::size_t>());
      }
      printed.push_back(std::move(one));
    }
  } catch (const Json::exception& error) {
    return failure(Errc::corrupt, error.what());
  }
  return printed;
}

}  // namespace troupe::node
