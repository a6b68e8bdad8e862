#include <troupe/base/text.hpp>
#include <troupe/node/step_secrets.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <utility>

namespace troupe::node {
namespace {

using Json = nlohmann::ordered_json;
using workflow::SecretSource;

/// Whether a part of the text does more with a secret than to put it in.
bool calculates_with_secret(const workflow::Template& text) {
  const auto is_secret = [](const workflow::Expression::Node& node) {
    return node.kind == workflow::Expression::Kind::path &&
           !node.path.empty() && node.path.front() == "secrets";
  };
  return std::any_of(
      text.parts.begin(), text.parts.end(), [&](const auto& part) {
        return part.expression && part.expression->nodes().size() > 1 &&
               std::any_of(part.expression->nodes().begin(),
                           part.expression->nodes().end(), is_secret);
      });
}

Result<void> check(const workflow::Job& job, const std::string& name,
                   const workflow::Template& text) {
  if (!calculates_with_secret(text))
    return {};
  return failure(
      Errc::unsupported,
      fmt::format("job {}: {}: on a node, a secret can only be put in as it "
                  "is: ${{{{ secrets.NAME }}}}",
                  printable(job.id), printable(name)));
}

}  // namespace

std::vector<StepSecret> secrets_of(const workflow::Workflow& workflow,
                                   const std::string& path,
                                   const std::string& nonce) {
  std::vector<StepSecret> all;
  const auto folder = std::filesystem::path{path}.parent_path();
  for (const workflow::Workflow* const file : workflow::files_of(workflow)) {
    for (const workflow::Secret& secret : file->secrets) {
      if (!workflow::needs_source(workflow, *file, secret))
        continue;
      StepSecret one;
      // Bytes that no text has by accident around what nobody can guess.
      one.placeholder = fmt::format("\x02{}:{}\x03", nonce, all.size());
      one.secret = secret;
      one.workflow_path =
          file == &workflow ? path : (folder / file->source->name()).string();
      if (secret.source == SecretSource::environment)
        one.variable = fmt::format("TROUPE_SECRET_{}", all.size());
      all.push_back(std::move(one));
    }
  }
  return all;
}

void add_placeholders(const workflow::Workflow& workflow,
                      std::span<const StepSecret> secrets,
                      workflow::PlanOptions& options) {
  std::size_t next = 0;
  for (const workflow::Workflow* const file : workflow::files_of(workflow)) {
    for (const workflow::Secret& secret : file->secrets) {
      if (!workflow::needs_source(workflow, *file, secret))
        continue;
      auto& values = file == &workflow
                         ? options.secrets
                         : options.included[file->source->name()].secrets;
      values.emplace_back(secret.name, secrets[next++].placeholder);
    }
  }
}

Result<void> check_secret_uses(const workflow::Workflow& workflow) {
  for (const workflow::Job& job : workflow.jobs) {
    std::vector<std::pair<std::string, const workflow::Template*>> texts;
    for (const auto& variable : workflow.env)
      texts.emplace_back(variable.name, &variable.value);
    for (const auto& variable : job.env)
      texts.emplace_back(variable.name, &variable.value);
    for (const workflow::Step& step : job.steps) {
      for (const auto& variable : step.env)
        texts.emplace_back(variable.name, &variable.value);
    }
    if (job.call) {
      for (const workflow::Argument& secret : job.call->secrets)
        texts.emplace_back(secret.name, &secret.value);
    }
    for (const auto& [name, text] : texts) {
      if (auto checked = check(job, name, *text); !checked)
        return checked;
    }
  }
  return {};
}

std::string encode(std::span<const StepSecret> secrets) {
  Json json = Json::array();
  for (const StepSecret& one : secrets)
    json.push_back({{"placeholder", one.placeholder},
                    {"name", one.secret.name},
                    {"source", static_cast<int>(one.secret.source)},
                    {"key", one.secret.key},
                    {"path", one.workflow_path},
                    {"variable", one.variable},
                    {"value", one.value}});
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<std::vector<StepSecret>> decode_step_secrets(const std::string& text) {
  std::vector<StepSecret> secrets;
  try {
    for (const Json& json : Json::parse(text)) {
      StepSecret one;
      one.placeholder = json.at("placeholder").get<std::string>();
      one.secret.name = json.at("name").get<std::string>();
      one.secret.source =
          static_cast<SecretSource>(json.at("source").get<int>());
      one.secret.key = json.at("key").get<std::string>();
      one.workflow_path = json.at("path").get<std::string>();
      one.variable = json.at("variable").get<std::string>();
      one.value = json.at("value").get<std::string>();
      secrets.push_back(std::move(one));
    }
  } catch (const Json::exception&) {
    return failure(Errc::corrupt,
                   fmt::format("{} does not name secrets", secrets_variable));
  }
  return secrets;
}

}  // namespace troupe::node
