#include <troupe/base/shell_words.hpp>
#include <troupe/base/text.hpp>
#include <troupe/queue/job_spec.hpp>
#include <troupe/queue/json_fields.hpp>

#include <fmt/format.h>
#include <utility>
#include <variant>

namespace troupe::queue {
namespace {

using actors::CommandRequest;
using process::CommandSpec;

constexpr std::uint32_t most_retries = 1'000'000;
constexpr std::int64_t longest_ms = std::int64_t{100} * 366 * 86'400'000;

Duration from_ms(std::int64_t ms) { return std::chrono::milliseconds{ms}; }
std::int64_t to_ms(Duration value) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(value).count();
}

void read_duration(JsonFields& fields, const char* key, Duration& out) {
  std::int64_t ms = to_ms(out);
  fields.read(key, ms, 0, longest_ms);
  out = from_ms(ms);
}

void read_environment(JsonFields& fields, CommandSpec& spec) {
  std::optional<std::map<std::string, std::string>> variables;
  fields.read("env", variables);
  if (!variables)
    return;
  spec.clear_env = true;
  for (auto& [name, value] : *variables) {
    if (name.empty() || name.find('=') != std::string::npos ||
        name.find('\0') != std::string::npos ||
        value.find('\0') != std::string::npos)
      fields.refuse("env", "a variable that no program can have");
    spec.env.emplace_back(name, value);
  }
}

void read_stdin(JsonFields& fields, CommandSpec& spec) {
  std::optional<std::string> text;
  std::optional<std::string> file;
  fields.read("stdin", text);
  fields.read("stdin_file", file);
  if (text && file)
    fields.refuse("stdin_file", "stands beside stdin");
  if (text)
    spec.standard_input = process::StdinText{std::move(*text)};
  else if (file)
    spec.standard_input = process::StdinFile{std::move(*file)};
}

void read_limits(JsonFields& fields, CommandSpec& spec) {
  const Json* const limits = fields.take("limits");
  if (limits == nullptr)
    return;
  JsonFields inner{*limits, "limits"};
  inner.read("memory", spec.tree_limits.memory_bytes);
  std::optional<std::uint64_t> cpu_ms;
  inner.read("cpu_ms", cpu_ms);
  if (cpu_ms)
    spec.limits.cpu_seconds = (*cpu_ms + 999) / 1000;
  inner.read("open_files", spec.limits.open_files);
  inner.read("file_size", spec.limits.file_size_bytes);
  fields.add(inner.finish());
}

Json limits_to_json(const CommandSpec& spec) {
  Json json = Json::object();
  if (spec.tree_limits.memory_bytes)
    json["memory"] = *spec.tree_limits.memory_bytes;
  if (spec.limits.cpu_seconds)
    json["cpu_ms"] = *spec.limits.cpu_seconds * 1000;
  if (spec.limits.open_files)
    json["open_files"] = *spec.limits.open_files;
  if (spec.limits.file_size_bytes)
    json["file_size"] = *spec.limits.file_size_bytes;
  return json;
}

std::vector<std::string> argv_without_template(
    const std::vector<std::string>& words) {
  if (words.size() > 1)
    return words;
  if (auto simple = simple_command_words(words.front()))
    return std::move(*simple);
  return {"/bin/sh", "-c", words.front()};
}

Json rules_to_json(const std::vector<actors::CauseRule>& rules) {
  Json json = Json::array();
  for (const actors::CauseRule& rule : rules)
    json.push_back(actors::to_text(rule));
  return json;
}

/// Errors: corrupt.
Result<void> read_rules(const Json& json, const char* key,
                        std::vector<actors::CauseRule>& out) {
  for (const auto& text : json.value(key, std::vector<std::string>{})) {
    const auto rule = actors::parse_cause_rule(text);
    if (!rule)
      return failure(Errc::corrupt,
                     fmt::format("{}: {}", key, rule.error().what));
    out.push_back(*rule);
  }
  return {};
}

/// What is kept besides the command. What has another type is thrown by the
/// library. Errors: corrupt.
Result<void> read_rest(const Json& json, JobSpec& spec) {
  if (const auto array = json.find("array"); array != json.end())
    spec.array = ArrayRange{array->value("from", std::int64_t{0}),
                            array->value("step", std::int64_t{1})};
  spec.has_arguments = json.value("has_arguments", false);
  spec.key = json.value("key", "");
  spec.argv = json.value("argv", std::vector<std::string>{});
  spec.has_outputs = json.value("has_outputs", false);
  spec.node_variables = json.value("node_variables", spec.node_variables);
  spec.node_words = json.value("node_words", spec.node_words);
  spec.printed = json.value("printed", "");
  CommandRequest& request = spec.request;
  request.spec.ends_its_tree = json.value("ends_its_tree", false);
  request.retry.jitter = json.value("retry_jitter", request.retry.jitter);
  request.retry.max_elapsed =
      from_ms(json.value("retry_max_elapsed_ms", std::int64_t{0}));
  for (const auto& [key, rules] :
       {std::pair{"retry_if", &request.retry.only_if},
        std::pair{"retry_unless", &request.retry.unless}}) {
    if (auto read = read_rules(json, key, *rules); !read)
      return tl::unexpected(std::move(read.error()));
  }
  request.success.max_duration =
      from_ms(json.value("max_duration_ms", std::int64_t{0}));
  request.success.output_contains =
      json.value("output_contains", std::vector<std::string>{});
  request.success.output_not_contains =
      json.value("output_not_contains", std::vector<std::string>{});
  request.spec.silence_limit =
      from_ms(json.value("silence_ms", std::int64_t{0}));
  return {};
}

/// What becomes of it when its node may not run commands any more.
void read_lease_loss(JsonFields& fields, process::CommandSpec& spec) {
  std::string what = "end";
  fields.read("lease_loss", what);
  if (what != "end" && what != "keep")
    fields.refuse("lease_loss", "expected end or keep");
  spec.outlives_right = what == "keep";
}

}  // namespace

Result<JobSpec> command_from_json(const Json& json) {
  JobSpec spec;
  CommandRequest& request = spec.request;
  JsonFields fields{json, "command"};
  fields.read("words", spec.words);
  fields.read("cwd", request.spec.working_directory);
  read_environment(fields, request.spec);
  read_stdin(fields, request.spec);
  read_duration(fields, "timeout_ms", request.spec.time_limit);
  read_duration(fields, "grace_ms", request.spec.grace);
  std::int64_t retries = 0;
  fields.read("retries", retries, 0, most_retries);
  request.retry.attempts = static_cast<std::uint32_t>(retries) + 1;
  read_duration(fields, "retry_delay_ms", request.retry.delay);
  fields.read("retry_backoff", request.retry.backoff, 1, 1000);
  read_duration(fields, "retry_max_delay_ms", request.retry.max_delay);
  fields.read("success_codes", request.success.exit_codes, 0, 255);
  read_limits(fields, request.spec);
  fields.read("output_limit", spec.output_limit);
  fields.read("nice", request.spec.nice, -20, 19);
  read_lease_loss(fields, request.spec);
  if (auto finished = fields.finish(); !finished)
    return tl::unexpected(std::move(finished.error()));
  if (spec.words.empty() || spec.words.front().empty())
    return failure(Errc::invalid_argument, "command: there are no words");
  for (const std::string& word : spec.words) {
    if (word.find('\0') != std::string::npos)
      return failure(Errc::invalid_argument, "command: a word has a NUL in it");
  }
  request.spec.standard_output = process::Output::record;
  request.spec.standard_error = process::Output::record;
  return spec;
}

Json command_to_json(const JobSpec& spec) {
  const CommandRequest& request = spec.request;
  const JobSpec plain;
  Json json{{"words", spec.words}};
  if (!request.spec.working_directory.empty())
    json["cwd"] = request.spec.working_directory;
  if (request.spec.clear_env) {
    json["env"] = Json::object();
    for (const auto& [name, value] : request.spec.env)
      json["env"][name] = value;
  }
  if (const auto* text =
          std::get_if<process::StdinText>(&request.spec.standard_input))
    json["stdin"] = text->bytes;
  if (const auto* file =
          std::get_if<process::StdinFile>(&request.spec.standard_input))
    json["stdin_file"] = file->path;
  if (request.spec.time_limit != Duration{0})
    json["timeout_ms"] = to_ms(request.spec.time_limit);
  json["grace_ms"] = to_ms(request.spec.grace);
  json["retries"] = request.retry.attempts - 1;
  json["retry_delay_ms"] = to_ms(request.retry.delay);
  json["retry_backoff"] = request.retry.backoff;
  json["retry_max_delay_ms"] = to_ms(request.retry.max_delay);
  json["success_codes"] = request.success.exit_codes;
  if (const Json limits = limits_to_json(request.spec); !limits.empty())
    json["limits"] = limits;
  if (spec.output_limit != 0)
    json["output_limit"] = spec.output_limit;
  if (request.spec.nice)
    json["nice"] = *request.spec.nice;
  if (request.spec.outlives_right)
    json["lease_loss"] = "keep";
  return json;
}

std::string encode(const JobSpec& spec) {
  Json json{{"command", command_to_json(spec)}};
  if (spec.array)
    json["array"] = {{"from", spec.array->from}, {"step", spec.array->step}};
  if (spec.has_arguments)
    json["has_arguments"] = true;
  if (!spec.key.empty())
    json["key"] = spec.key;
  if (!spec.argv.empty())
    json["argv"] = spec.argv;
  if (spec.has_outputs)
    json["has_outputs"] = true;
  if (!spec.node_variables.empty())
    json["node_variables"] = spec.node_variables;
  if (!spec.node_words.empty())
    json["node_words"] = spec.node_words;
  if (!spec.printed.empty())
    json["printed"] = spec.printed;
  if (spec.request.spec.ends_its_tree)
    json["ends_its_tree"] = true;
  const CommandRequest& request = spec.request;
  if (request.retry.jitter != actors::RetryPolicy{}.jitter)
    json["retry_jitter"] = request.retry.jitter;
  if (request.retry.max_elapsed != Duration{0})
    json["retry_max_elapsed_ms"] = to_ms(request.retry.max_elapsed);
  if (!request.retry.only_if.empty())
    json["retry_if"] = rules_to_json(request.retry.only_if);
  if (!request.retry.unless.empty())
    json["retry_unless"] = rules_to_json(request.retry.unless);
  if (request.success.max_duration != Duration{0})
    json["max_duration_ms"] = to_ms(request.success.max_duration);
  if (!request.success.output_contains.empty())
    json["output_contains"] = request.success.output_contains;
  if (!request.success.output_not_contains.empty())
    json["output_not_contains"] = request.success.output_not_contains;
  if (request.spec.silence_limit != Duration{0})
    json["silence_ms"] = to_ms(request.spec.silence_limit);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<JobSpec> decode(std::string_view bytes) {
  const Json json = Json::parse(bytes, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("command"))
    return failure(Errc::corrupt, "the job is kept in a form that is unknown");
  auto spec = command_from_json(json["command"]);
  if (!spec)
    return failure(Errc::corrupt, std::move(spec.error().what));
  try {
    if (auto read = read_rest(json, *spec); !read)
      return tl::unexpected(std::move(read.error()));
  } catch (const Json::exception& error) {
    return failure(Errc::corrupt, error.what());
  }
  return spec;
}

Result<JobCommand> JobCommand::make(JobSpec spec) {
  if (!spec.array && !spec.has_arguments)
    return JobCommand{std::move(spec), std::nullopt};
  // The number of an array is often wanted from the environment only.
  auto words = fanout::CommandTemplate::parse(
      spec.words, spec.array ? fanout::IfNone::leave : fanout::IfNone::append);
  if (!words)
    return tl::unexpected(std::move(words.error()));
  if (auto positions = words->check_positions(1); !positions)
    return tl::unexpected(std::move(positions.error()));
  return JobCommand{std::move(spec), std::move(*words)};
}

Result<process::CommandSpec> JobCommand::command_for(
    const store::AttemptRef& attempt, const std::string& argument) const {
  process::CommandSpec command = spec_.request.spec;
  const std::uint64_t index = attempt.task.index;
  const std::string value =
      spec_.array ? fmt::format("{}", spec_.array->from +
                                          spec_.array->step *
                                              static_cast<std::int64_t>(index))
                  : argument;
  auto& env = command.env;
  env.emplace_back("TROUPE_JOB", fmt::format("{}", attempt.task.job.value));
  env.emplace_back("TROUPE_TASK", fmt::format("{}", index));
  env.emplace_back("TROUPE_ATTEMPT", fmt::format("{}", attempt.attempt));
  if (!template_) {
    command.argv =
        spec_.argv.empty() ? argv_without_template(spec_.words) : spec_.argv;
    return command;
  }
  env.emplace_back("TROUPE_ARGUMENT", value);
  auto rendered =
      template_->render({.seq = index + 1, .values = {value}}, /*slot=*/1);
  if (!rendered)
    return tl::unexpected(std::move(rendered.error()));
  command.argv = rendered->shell_text.empty()
                     ? std::move(rendered->argv)
                     : std::vector<std::string>{
                           "/bin/sh", "-c", std::move(rendered->shell_text)};
  return command;
}

std::string text_of(const JobSpec& spec) {
  return spec.words.size() == 1 ? spec.words.front() : shell_join(spec.words);
}

}  // namespace troupe::queue
