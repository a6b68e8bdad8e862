#pragma once

/// The commands that an engine has accepted and not yet answered for: what was
/// asked, who asked, and what has happened so far. Pure; the store actor owns
/// it, and a restarted store actor takes it over, so that no crash of an actor
/// loses a command.
#include <troupe/actors/command_core.hpp>
#include <troupe/base/ids.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace troupe::actors {

/// After so many deaths of its actors a command is given up as `crashed`; it
/// would take the others down with it.
inline constexpr std::uint32_t most_crashes = 3;

class CommandTable {
 public:
  /// Enters a command. False, and no change, if the id is known.
  bool open(CommandId id, std::shared_ptr<const CommandRequest> request);

  /// A command's history, for the actor that begins to look after it; none if
  /// the command is unknown or has ended.
  [[nodiscard]] std::optional<CommandHistory> history(CommandId id) const;
  [[nodiscard]] std::shared_ptr<const CommandRequest> request(
      CommandId id) const;

  /// An attempt has ended; the next one, if one comes, waits for `back_off`.
  void record(CommandId id, Attempt attempt, Duration back_off);
  void cancel(CommandId id);

  /// An actor that looked after the command has died of `what`. Returns the
  /// outcome if this was once too often.
  [[nodiscard]] std::optional<Outcome> on_crash(CommandId id, std::string what);

  /// Ends the command and forgets it. Incidents that the outcome misses are
  /// added. None if it is unknown: somebody was faster.
  [[nodiscard]] std::optional<Outcome> finish(CommandId id, Outcome outcome);

  /// All commands that have not ended, in ascending order of their ids.
  [[nodiscard]] std::vector<CommandId> open_commands() const;

 private:
  struct Row {
    std::shared_ptr<const CommandRequest> request;
    CommandHistory history;
  };
  std::map<CommandId, Row> rows_;
};

}  // namespace troupe::actors
