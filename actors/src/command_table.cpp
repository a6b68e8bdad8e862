#include <troupe/actors/command_table.hpp>
#include <troupe/base/exit_status.hpp>

#include <fmt/format.h>

namespace troupe::actors {

bool CommandTable::open(CommandId id,
                        std::shared_ptr<const CommandRequest> request) {
  return rows_.try_emplace(id, Row{std::move(request), {}}).second;
}

std::optional<CommandHistory> CommandTable::history(CommandId id) const {
  const auto row = rows_.find(id);
  if (row == rows_.end())
    return std::nullopt;
  return row->second.history;
}

std::shared_ptr<const CommandRequest> CommandTable::request(
    CommandId id) const {
  const auto row = rows_.find(id);
  return row == rows_.end() ? nullptr : row->second.request;
}

void CommandTable::record(CommandId id, Attempt attempt, Duration back_off) {
  const auto row = rows_.find(id);
  if (row == rows_.end())
    return;
  row->second.history.attempts.push_back(std::move(attempt));
  row->second.history.back_off = back_off;
}

void CommandTable::cancel(CommandId id) {
  const auto row = rows_.find(id);
  if (row != rows_.end())
    row->second.history.cancelled = true;
}

std::optional<Outcome> CommandTable::on_crash(CommandId id, std::string what) {
  const auto row = rows_.find(id);
  if (row == rows_.end())
    return std::nullopt;
  auto& incidents = row->second.history.incidents;
  incidents.push_back(
      {CauseKind::actor_crash, static_cast<int>(incidents.size()) + 1,
       fmt::format("its actor died ({}) and was restarted", what)});
  if (incidents.size() < most_crashes)
    return std::nullopt;
  incidents.back().what = fmt::format("its actor died ({})", what);
  Outcome outcome;
  outcome.kind = OutcomeKind::crashed;
  outcome.exit_status = status_troupe_failed;
  outcome.attempts = row->second.history.attempts;
  outcome.causes = {incidents.back(),
                    {CauseKind::gave_up, static_cast<int>(most_crashes),
                     fmt::format("gave up after {} crashes", most_crashes)}};
  return finish(id, std::move(outcome));
}

std::optional<Outcome> CommandTable::finish(CommandId id, Outcome outcome) {
  const auto row = rows_.find(id);
  if (row == rows_.end())
    return std::nullopt;
  outcome.incidents = std::move(row->second.history.incidents);
  rows_.erase(row);
  return outcome;
}

std::vector<CommandId> CommandTable::open_commands() const {
  std::vector<CommandId> ids;
  ids.reserve(rows_.size());
  for (const auto& [id, row] : rows_)
    ids.push_back(id);
  return ids;
}

}  // namespace troupe::actors
