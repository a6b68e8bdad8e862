#pragma once

/// What the commands of the queue need from outside, so that tests can run them
/// whole, and what they share.
#include "node_client.hpp"
#include "subcommand.hpp"
#include "text_table.hpp"

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::cli {

struct QueueContext {
  /// Makes the client of the node at a socket; asks nothing yet. May be called
  /// from any thread.
  std::function<std::unique_ptr<NodeClient>(const std::string& socket)> client;
  std::function<WallTime()> now;
  Pause pause;
  std::function<std::string()> new_request_id;
  bool is_terminal = false;  ///< Whether standard output is one.
  bool colour = false;
  std::size_t columns = 0;  ///< Of it; zero if it is none.
  std::vector<std::pair<std::string, std::string>> environment;
  std::string folder;  ///< The working directory.
};

/// That of this process. Blocks.
[[nodiscard]] QueueContext real_queue_context();

/// The options that all of them have.
struct NodeOptions {
  std::string socket;
  bool json = false;

  void add_to(CLI::App& app);
  /// Without --json, for what prints nothing.
  void add_socket_to(CLI::App& app);

  /// --socket, else TROUPE_SOCKET, else node.sock in checked_runtime_folder().
  ///
  /// Errors: those of checked_runtime_folder().
  [[nodiscard]] Result<std::string> path() const;
};

/// A client of the node that `options` mean, and calls over it.
class NodeSession {
 public:
  /// Errors: as NodeOptions::path().
  [[nodiscard]] static Result<NodeSession> open(const QueueContext& context,
                                                const NodeOptions& options);

  [[nodiscard]] NodeCalls& calls() { return *calls_; }
  [[nodiscard]] NodeClient& client() { return *client_; }
  /// One more, for another thread.
  [[nodiscard]] std::unique_ptr<NodeClient> another() const;

 private:
  NodeSession() = default;

  const QueueContext* context_ = nullptr;
  std::string socket_;
  std::unique_ptr<NodeClient> client_;
  std::unique_ptr<NodeCalls> calls_;
};

/// How tables are drawn on standard output.
[[nodiscard]] TableStyle table_style(const QueueContext& context);

/// Prints `json` over several lines. What was done before: see write_answer().
void print_json(const api::Json& json, std::string_view done = {});

// The commands. Each takes the words behind its name and returns the exit code.
int submit_job(const QueueContext& context, std::vector<std::string> words);
int list_jobs(const QueueContext& context, std::vector<std::string> words);
int show_status(const QueueContext& context, std::vector<std::string> words);
int explain_jobs(const QueueContext& context, std::vector<std::string> words);
int show_stats(const QueueContext& context, std::vector<std::string> words);
int wait_for_jobs(const QueueContext& context, std::vector<std::string> words);
int cancel_jobs(const QueueContext& context, std::vector<std::string> words);
int retry_jobs(const QueueContext& context, std::vector<std::string> words);
int approve_job(const QueueContext& context, std::vector<std::string> words);
int edit_job(const QueueContext& context, std::vector<std::string> words);
int forget_jobs(const QueueContext& context, std::vector<std::string> words);
int pause_jobs(const QueueContext& context, std::vector<std::string> words);
int resume_jobs(const QueueContext& context, std::vector<std::string> words);
int change_group(const QueueContext& context, std::vector<std::string> words);
int draw_graph(const QueueContext& context, std::vector<std::string> words);
int show_triggers(const QueueContext& context, std::vector<std::string> words);
int show_insights(const QueueContext& context, std::vector<std::string> words);
int show_top(const QueueContext& context, std::vector<std::string> words);

}  // namespace troupe::cli
