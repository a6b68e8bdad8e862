#include "run_services.hpp"

#include "state_folder.hpp"

#include <troupe/base/overload.hpp>
#include <troupe/workflow/inputs.hpp>

#include <boost/asio/post.hpp>

#include <cstdint>
#include <fmt/format.h>
#include <map>
#include <utility>
#include <variant>

namespace troupe::cli {
namespace {

using workflow::Value;

/// What variables of the whole file may name.
std::vector<std::pair<std::string, Value>> contexts_of(
    const workflow::Workflow& workflow, const workflow::PlanOptions& options) {
  auto inputs =
      workflow::resolve_inputs(workflow, options.inputs, options.surroundings);
  return {{"inputs", Value{inputs ? std::move(*inputs) : Value::Object{}}},
          {"run", Value{Value::Object{{"id", Value{options.run_id}},
                                      {"name", Value{workflow.name}},
                                      {"actor", Value{options.actor}},
                                      {"trigger", Value{options.trigger}}}}}};
}

}  // namespace

Result<std::shared_ptr<RunServices>> RunServices::make(
    const workflow::Workflow& workflow, const std::vector<std::string>& only,
    workflow::PlanOptions& options, std::vector<std::string>& notes) {
  std::map<std::string, std::uint16_t> chosen;
  for (const auto& [name, port] : std::exchange(options.ports, {}))
    chosen[name] = static_cast<std::uint16_t>(std::stoul(port));
  service::FreePorts ports{std::move(chosen)};
  for (const std::string& name : workflow::port_names(workflow)) {
    const auto port = ports.port_of(name);
    if (!port)
      return tl::unexpected{port.error()};
    options.ports.emplace_back(name, fmt::format("{}", *port));
  }
  if (only.empty())
    return nullptr;
  workflow::ServiceSurroundings known;
  known.contexts = contexts_of(workflow, options);
  known.dotenv = options.dotenv;
  auto root = plan_stack(workflow, ports, std::move(known), &only);
  if (!root)
    return tl::unexpected{std::move(root.error())};
  if (auto kept = check_limits(*root, notes); !kept)
    return tl::unexpected{std::move(kept.error())};
  return std::make_shared<RunServices>(std::move(*root), std::move(ports));
}

RunServices::RunServices(service::GroupNode root, service::FreePorts ports)
    : root_{std::make_shared<const service::GroupNode>(std::move(root))},
      ports_{std::move(ports)} {}

Result<void> RunServices::prepare(const std::string& run_folder,
                                  bool shows_output) {
  auto runtime = runtime_folder();
  if (!runtime)
    return tl::unexpected{std::move(runtime.error())};
  places_.notify_folder = std::move(*runtime);
  places_.shows_output = shows_output;
  places_.log_folder = fmt::format("{}/{}", run_folder, service_log_folder);
  return make_log_folder(places_.log_folder);
}

void RunServices::start(node::Engine& engine, const actors::ActorRef& printer,
                        const actors::ActorRef& listener) {
  engine_ = &engine;
  post([this, printer, listener] {
    ports_.release();
    host_.start(*engine_, printer, root_, places_,
                {.on_up = {},
                 .on_end =
                     [listener](StackEnd end) {
                       actors::send(listener, ServicesOver{std::move(end)});
                     },
                 .on_news =
                     [listener](const StackNews& news) {
                       actors::send(listener, ServicesNews{news});
                     }});
  });
}

std::string RunServices::log_of(const std::string& service) const {
  return service_log_path(places_.log_folder, service);
}

service::AvailabilityCore::Changes note_news(service::AvailabilityCore& core,
                                             const StackNews& news) {
  using Changes = service::AvailabilityCore::Changes;
  return std::visit(
      Overload{[&](const supervisor::Report& m) { return core.on_report(m); },
               [&](const service::PresenceNews& m) {
                 return core.on_presence(m.path, m.presence);
               },
               [&](const StackBlame& m) {
                 core.on_blame(m.group, m.chain);
                 return Changes{};
               },
               [](const StackSaid&) { return Changes{}; },
               [&](const service::ServiceNews& m) {
                 if (const auto* end =
                         std::get_if<service::ServiceEnd>(&m.what))
                   core.on_end(m.service, *end);
                 return Changes{};
               }},
      news);
}

void RunServices::post(std::function<void()> what) {
  boost::asio::post(engine_->io(), std::move(what));
}

}  // namespace troupe::cli
