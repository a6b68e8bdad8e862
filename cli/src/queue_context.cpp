#include "queue_context.hpp"

#include "http_node_client.hpp"
#include "state_folder.hpp"
#include "terminal.hpp"

#include <troupe/base/random_name.hpp>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <unistd.h>

namespace troupe::cli {
namespace {

/// So that no two jobs ever get the same one.
constexpr std::size_t request_id_words = 4;

std::vector<std::pair<std::string, std::string>> this_environment() {
  std::vector<std::pair<std::string, std::string>> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text{*entry};
    const std::size_t equals = text.find('=');
    if (equals != std::string::npos && equals != 0)
      variables.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return variables;
}

}  // namespace

QueueContext real_queue_context() {
  QueueContext context;
  context.client = make_http_node_client;
  context.now = [] { return std::chrono::system_clock::now(); };
  context.pause = [](Duration duration) {
    std::this_thread::sleep_for(duration);
  };
  context.new_request_id = [] { return random_name(request_id_words); };
  context.is_terminal = ::isatty(STDOUT_FILENO) == 1;
  context.colour = context.is_terminal && wants_colour();
  context.columns = context.is_terminal ? terminal_size().columns : 0;
  context.environment = this_environment();
  std::error_code error;
  context.folder = std::filesystem::current_path(error).string();
  return context;
}

void NodeOptions::add_socket_to(CLI::App& app) {
  app.add_option("--socket", socket, "The socket of the node ($TROUPE_SOCKET)")
      ->type_name("PATH");
}

void NodeOptions::add_to(CLI::App& app) {
  add_socket_to(app);
  app.add_flag("--json", json, "As JSON");
}

Result<std::string> NodeOptions::path() const {
  if (!socket.empty())
    return socket;
  const char* const variable = std::getenv("TROUPE_SOCKET");
  if (variable != nullptr && *variable != '\0')
    return std::string{variable};
  auto folder = checked_runtime_folder();
  if (!folder)
    return folder;
  return *folder + "/node.sock";
}

Result<NodeSession> NodeSession::open(const QueueContext& context,
                                      const NodeOptions& options) {
  auto socket = options.path();
  if (!socket)
    return failure(Errc::unavailable, std::move(socket.error().what));
  NodeSession session;
  session.context_ = &context;
  session.socket_ = std::move(*socket);
  session.client_ = context.client(session.socket_);
  session.calls_ = std::make_unique<NodeCalls>(*session.client_, context.pause);
  return session;
}

std::unique_ptr<NodeClient> NodeSession::another() const {
  return context_->client(socket_);
}

TableStyle table_style(const QueueContext& context) {
  return {.colour = context.colour, .columns = context.columns};
}

void print_json(const api::Json& json, std::string_view done) {
  write_answer(
      json.dump(2, ' ', false, api::Json::error_handler_t::replace) + "\n",
      done);
}

}  // namespace troupe::cli
