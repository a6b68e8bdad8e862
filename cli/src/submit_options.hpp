#pragma once

/// The options of submit, and the body of submit_job that they make.
#include "command_options.hpp"
#include "job_words.hpp"

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace troupe::cli {

/// What a job keeps of the shell that submits it.
struct SubmittingShell {
  std::string folder;
  std::vector<std::pair<std::string, std::string>> environment;
  WallTime now{};
};

/// Texts as the user typed them; `body` checks them.
struct SubmitOptions {
  CommandOptions command;  ///< Those of exec that a job can have.
  std::string array;
  std::string each_line;
  bool null_separated = false;  ///< Of each_line.
  std::string workflow;
  std::vector<std::string> inputs;  ///< Of the workflow.
  std::string only_job;
  bool no_cache = false;
  std::string jobs;
  std::string name;
  std::vector<std::string> tags;
  std::string priority;
  std::vector<std::string> after;
  std::string at;
  std::string delay;
  std::string group;
  std::string key;
  bool spread = false;
  bool at_most_once = false;
  std::string resources;
  std::string runs_on;
  std::string standard_input;
  std::string success_codes;
  std::string output_limit;
  std::string lease_loss;
  std::string request_id;
  std::vector<std::string> words;  ///< The command.

  /// `this` must outlive `app`.
  void add_to(CLI::App& app);

  /// The body without standard input and request id. `notes` gets what the user
  /// should know.
  ///
  /// Errors: invalid_argument, naming the option.
  [[nodiscard]] Result<nlohmann::ordered_json> body(
      const SubmittingShell& shell, std::vector<std::string>& notes) const;

  /// The body of submit_run without file, text and request id.
  ///
  /// Errors: invalid_argument, naming the option.
  [[nodiscard]] Result<nlohmann::ordered_json> run_body(
      const SubmittingShell& shell, std::vector<std::string>& notes) const;

  /// How many tasks --array makes; 1 without it.
  [[nodiscard]] std::uint64_t tasks() const;
};

/// `body` with what is read from --stdin: the text, or the path of `file` if it
/// is none or too long. `text` is nothing if it was longer than
/// most_stdin_text.
///
/// Errors: invalid_argument if `file` is -, which has no path.
[[nodiscard]] Result<void> add_standard_input(
    nlohmann::ordered_json& body, const std::string& file,
    const std::string& folder, const std::optional<std::string>& text);

/// Longer standard input goes by path.
inline constexpr std::size_t most_stdin_text = 512 << 10;

/// `path` seen from `folder`.
[[nodiscard]] std::string absolute_path(const std::string& path,
                                        const std::string& folder);

}  // namespace troupe::cli
