#include "submit_options.hpp"

#include "subcommand.hpp"

#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/base/wall_time.hpp>
#include <troupe/process/command_spec.hpp>

#include <chrono>
#include <filesystem>
#include <fmt/format.h>

namespace troupe::cli {
namespace {

using Json = nlohmann::ordered_json;

std::int64_t milliseconds(Duration duration) {
  return std::chrono::ceil<std::chrono::milliseconds>(duration).count();
}

tl::unexpected<Error> refuse(std::string what) {
  return failure(Errc::invalid_argument, std::move(what));
}

/// Puts `parse(text)` under `key`, unless there is no text.
template <class Parse>
Result<void> put(Json& json, const char* key, std::string_view option,
                 const std::string& text, Parse parse) {
  if (text.empty())
    return {};
  auto value = parse(text);
  if (!value)
    return tl::unexpected{std::move(value.error()).within(option)};
  json[key] = *value;
  return {};
}

/// JSON carries nothing else.
Result<std::string> plain_text(const std::string& text) {
  if (!is_utf8(text))
    return refuse(fmt::format("expected UTF-8, got \"{}\"", printable(text)));
  return text;
}

Result<Json> needs_of(const std::vector<std::string>& texts) {
  Json needs = Json::array();
  for (const std::string& text : texts) {
    auto parsed = parse_needs(text);
    if (!parsed)
      return tl::unexpected{std::move(parsed.error()).within("--after")};
    for (const JobNeed& need : *parsed)
      needs.push_back({{"job", need.job}, {"when", need.when}});
  }
  return needs;
}

Result<Json> limits_of(const process::Limits& limits) {
  if (limits.processes)
    return refuse("--limit processes: the queue cannot limit that");
  Json json = Json::object();
  if (limits.memory_bytes)
    json["memory"] = *limits.memory_bytes;
  if (limits.cpu_seconds)
    json["cpu_ms"] = *limits.cpu_seconds * 1000;
  if (limits.open_files)
    json["open_files"] = *limits.open_files;
  if (limits.file_size_bytes)
    json["file_size"] = *limits.file_size_bytes;
  return json;
}

/// All variables of the command: those of the shell, unless they are not
/// wanted, and those of --env over them.
Json environment_of(const SubmittingShell& shell,
                    const process::CommandSpec& spec,
                    std::vector<std::string>& notes) {
  Json variables = Json::object();
  const auto add = [&](const std::string& name, const std::string& value) {
    if (is_utf8(name) && is_utf8(value))
      variables[name] = value;
    else
      notes.push_back(fmt::format(
          "the variable {} is not UTF-8 and is left out", printable(name)));
  };
  for (const auto& [name, value] : shell.environment) {
    // The marker is of the command that this shell itself may be.
    if (!spec.clear_env && name != process::marker_name)
      add(name, value);
  }
  for (const auto& [name, value] : spec.env)
    add(name, value);
  return variables;
}

/// The settings that were given: the defaults of others are the node's.
Result<Json> settings_of(const CommandOptions& options,
                         const actors::CommandRequest& request) {
  const process::CommandSpec& spec = request.spec;
  Json json = Json::object();
  if (!options.timeout.empty())
    json["timeout_ms"] = milliseconds(spec.time_limit);
  if (!options.grace.empty())
    json["grace_ms"] = milliseconds(spec.grace);
  if (!options.retries.empty())
    json["retries"] = request.retry.attempts - 1;
  if (!options.delay.empty())
    json["retry_delay_ms"] = milliseconds(request.retry.delay);
  if (!options.backoff.empty())
    json["retry_backoff"] = request.retry.backoff;
  if (!options.max_delay.empty())
    json["retry_max_delay_ms"] = milliseconds(request.retry.max_delay);
  if (!options.limits.empty()) {
    auto limits = limits_of(spec.limits);
    if (!limits)
      return limits;
    json["limits"] = std::move(*limits);
  }
  if (spec.nice)
    json["nice"] = *spec.nice;
  return json;
}

/// The object Command, but for standard input.
Result<Json> command_of(const SubmitOptions& o, const SubmittingShell& shell,
                        std::vector<std::string>& notes) {
  const auto request = o.command.resolve();
  if (!request)
    return tl::unexpected{request.error()};
  Json command{{"words", Json::array()}};
  for (const std::string& word : o.words) {
    if (!is_utf8(word))
      return refuse(
          fmt::format("the command is not UTF-8: \"{}\"", printable(word)));
    command["words"].push_back(word);
  }
  const std::string path =
      absolute_path(o.command.working_directory, shell.folder);
  // Anything else would be taken from where the node is.
  if (!path.starts_with('/'))
    return refuse(
        "the current folder is gone; go to another one, or give --cwd with an "
        "absolute path");
  const auto folder = plain_text(path);
  if (!folder)
    return tl::unexpected{Error{folder.error()}.within("--cwd")};
  command["cwd"] = *folder;
  command["env"] = environment_of(shell, request->spec, notes);
  auto settings = settings_of(o.command, *request);
  if (!settings)
    return settings;
  command.update(*settings);
  Result<void> checked = put(command, "success_codes", "--success-codes",
                             o.success_codes, parse_exit_codes);
  if (checked)
    checked = put(command, "output_limit", "--output-limit", o.output_limit,
                  parse_size);
  if (checked)
    checked = put(command, "lease_loss", "--lease-loss", o.lease_loss,
                  parse_lease_loss);
  if (!checked)
    return tl::unexpected{std::move(checked.error())};
  return command;
}

void add_command_options(CLI::App& app, CommandOptions& o) {
  const std::string time = "DURATION";
  app.add_option("--timeout", o.timeout,
                 "Stop an attempt that runs longer than this")
      ->type_name(time);
  app.add_option("--grace", o.grace,
                 "Time from the polite signal to the kill (2s)")
      ->type_name(time);
  app.add_option("--retries", o.retries,
                 "Attempts after a failed first one (0)")
      ->type_name("N");
  o.delay_option = "--retry-delay";
  app.add_option("--retry-delay", o.delay, "Wait before the first retry (1s)")
      ->type_name(time);
  app.add_option("--backoff", o.backoff, "Factor from wait to wait (2)")
      ->type_name("X");
  app.add_option("--max-delay", o.max_delay, "Longest wait before a retry (1m)")
      ->type_name(time);
  app.add_option("--cwd", o.working_directory,
                 "Working directory (that of this shell)")
      ->type_name("DIR");
  repeated(app.add_option("--env", o.env, "Set a variable; may be repeated")
               ->type_name("NAME=VALUE"));
  app.add_flag("--clear-env", o.clear_env,
               "Do not keep the environment of this shell");
  repeated(app.add_option("--limit", o.limits,
                          "cpu=TIME, memory=SIZE, files=N or file-size=SIZE; "
                          "may be repeated")
               ->type_name("NAME=VALUE"));
  app.add_option("--nice", o.nice, "Add to the niceness")->type_name("N");
}

}  // namespace

void SubmitOptions::add_to(CLI::App& app) {
  app.add_option("--array", array, "One task for each number: {} is the number")
      ->type_name("FROM-TO[:STEP]");
  app.add_option("--each-line", each_line,
                 "One task for each line: {} is the line; - is standard input")
      ->type_name("FILE");
  app.add_flag("-0,--null", null_separated,
               "Lines of --each-line end in NUL instead");
  app.add_option("-f,--file", workflow,
                 "Submit a run of this workflow; - is standard input")
      ->type_name("FILE");
  repeated(app.add_option("--input", inputs,
                          "Of a workflow, set ${{ inputs.NAME }}; may be "
                          "repeated")
               ->type_name("NAME=VALUE"));
  app.add_option("--job", only_job,
                 "Of a workflow, run only this job and what it needs")
      ->type_name("JOB");
  app.add_flag(
      "--no-cache", no_cache,
      "Of a workflow, run each step, also those that have a \"cache\"");
  app.add_option("--jobs", jobs,
                 "Of a workflow, jobs at the same time (as many as the queue\n"
                 "lets)")
      ->type_name("N");
  app.add_option("--name", name, "What people call the job")->type_name("NAME");
  repeated(
      app.add_option("--tag", tags, "A word to find it by; may be repeated")
          ->type_name("TAG"));
  app.add_option("--group", group, "The group that it waits in (default)")
      ->type_name("NAME");
  app.add_option("--priority", priority,
                 "low, normal, high or critical (normal)")
      ->type_name("WHICH");
  repeated(
      app.add_option("--after", after,
                     "Start after job ID has succeeded, or is finished, or\n"
                     "has failed; may be repeated")
          ->type_name("ID[:WHEN]"));
  app.add_option("--at", at, "Not before this: 03:30 or 2026-05-01T03:30:00Z")
      ->type_name("TIME");
  app.add_option("--delay", delay, "Not before this time has passed")
      ->type_name("DURATION");
  app.add_option("--key", key, "Tasks with one key stay together")
      ->type_name("KEY");
  app.add_flag("--spread", spread,
               "Tasks go to as many nodes and zones of a cluster as there\n"
               "are, if they have room");
  app.add_flag("--at-most-once", at_most_once,
               "Never run a task again that may have run");
  app.add_option("--resources", resources, "What a task needs: cpu=2,mem=1GiB")
      ->type_name("NAME=N,..");
  app.add_option("--runs-on", runs_on, "Only on nodes with all these labels")
      ->type_name("LABEL,..");
  app.add_option("--stdin", standard_input,
                 "Standard input of each task; - is that of this command")
      ->type_name("FILE");
  app.add_option("--success-codes", success_codes,
                 "Exit codes that count as success (0)")
      ->type_name("N,..");
  app.add_option("--output-limit", output_limit,
                 "How much output of each attempt is kept")
      ->type_name("SIZE");
  app.add_option("--lease-loss", lease_loss,
                 "If its node is cut off from the store of a cluster\n"
                 "for too long: end it, or keep it running (end)")
      ->type_name("WHAT");
  add_command_options(app, command);
  app.add_option("--request-id", request_id,
                 "A second job with this id is not made (random)")
      ->type_name("ID");
}

std::uint64_t SubmitOptions::tasks() const {
  const auto range = parse_range(array);
  return range ? range->size() : 1;
}

Result<Json> SubmitOptions::body(const SubmittingShell& shell,
                                 std::vector<std::string>& notes) const {
  Json json = Json::object();
  Result<void> checked;
  const auto then = [&](auto step) {
    if (checked)
      checked = step();
  };
  then([&] { return put(json, "name", "--name", name, plain_text); });
  for (const std::string& tag : tags) {
    then([&]() -> Result<void> {
      auto text = plain_text(tag);
      if (!text)
        return tl::unexpected{std::move(text.error()).within("--tag")};
      json["tags"].push_back(std::move(*text));
      return {};
    });
  }
  then([&] { return put(json, "group", "--group", group, plain_text); });
  then([&] {
    return put(json, "priority", "--priority", priority, parse_priority);
  });
  if (at_most_once)
    json["delivery"] = "at_most_once";
  then([&] { return put(json, "key", "--key", key, plain_text); });
  if (spread)
    json["spread"] = true;
  then([&]() -> Result<void> {
    auto needs = needs_of(after);
    if (!needs)
      return tl::unexpected{std::move(needs.error())};
    if (!needs->empty())
      json["needs"] = std::move(*needs);
    return {};
  });
  then([&] {
    return put(json, "not_before", "--at", at, [&](const std::string& text) {
      return parse_start_time(text, shell.now).map(format_wall_time);
    });
  });
  then([&] {
    return put(json, "delay_ms", "--delay", delay, [](const std::string& text) {
      return parse_duration(text).map(milliseconds);
    });
  });
  then([&] {
    return put(json, "resources", "--resources", resources, parse_resources);
  });
  then(
      [&] { return put(json, "runs_on", "--runs-on", runs_on, parse_labels); });
  then([&] {
    return put(json, "array", "--array", array, [](const std::string& text) {
      return parse_range(text).map([](const NumberRange& range) {
        return Json{
            {"from", range.from}, {"to", range.to}, {"step", range.step}};
      });
    });
  });
  if (!checked)
    return tl::unexpected{std::move(checked.error())};
  auto command_json = command_of(*this, shell, notes);
  if (!command_json)
    return command_json;
  json["command"] = std::move(*command_json);
  return json;
}

Result<Json> SubmitOptions::run_body(const SubmittingShell& shell,
                                     std::vector<std::string>& notes) const {
  // What the steps keep of this shell is what any job keeps.
  SubmitOptions of_steps = *this;
  of_steps.words = {"step"};
  auto job = of_steps.body(shell, notes);
  if (!job)
    return job;
  Json json = Json::object();
  for (const char* const keyword : {"group", "priority"}) {
    if (job->contains(keyword))
      json[keyword] = (*job)[keyword];
  }
  for (const char* const keyword : {"cwd", "env"}) {
    if ((*job)["command"].contains(keyword))
      json[keyword] = (*job)["command"][keyword];
  }
  for (const std::string& input : inputs) {
    const std::size_t equals = input.find('=');
    if (equals == std::string::npos || equals == 0 || !is_utf8(input))
      return refuse(fmt::format("--input: expected NAME=VALUE, got \"{}\"",
                                printable(input)));
    json["inputs"][input.substr(0, equals)] = input.substr(equals + 1);
  }
  if (!only_job.empty())
    json["job"] = to_utf8(only_job);
  if (no_cache)
    json["no_cache"] = true;
  if (!jobs.empty()) {
    const auto count = parse_count(jobs);
    if (!count || *count == 0 || *count > UINT32_MAX)
      return refuse(
          fmt::format("--jobs: expected a number from 1 on, got "
                      "\"{}\"",
                      printable(jobs)));
    json["max_parallel"] = *count;
  }
  return json;
}

std::string absolute_path(const std::string& path, const std::string& folder) {
  if (path.empty())
    return folder;
  return (std::filesystem::path{folder} / path).lexically_normal().string();
}

Result<void> add_standard_input(Json& body, const std::string& file,
                                const std::string& folder,
                                const std::optional<std::string>& text) {
  if (text && is_utf8(*text)) {
    body["command"]["stdin"] = *text;
    return {};
  }
  if (file == "-")
    return refuse(
        fmt::format("--stdin: standard input is {}; name a file instead",
                    text ? std::string{"not UTF-8"}
                         : "longer than " + format_size(most_stdin_text)));
  const std::string path = absolute_path(file, folder);
  if (!is_utf8(path))
    return refuse(
        fmt::format("--stdin: expected UTF-8, got \"{}\"", printable(path)));
  body["command"]["stdin_file"] = path;
  return {};
}

}  // namespace troupe::cli
