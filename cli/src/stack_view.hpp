#pragma once

/// A stack is what `troupe up` runs: a tree of services. What is shown of it,
/// as a table and as JSON.
#include <troupe/base/time.hpp>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::cli {

/// One service or group at one moment.
struct StackEntry {
  std::string name;  ///< Its path: "loaders/loaders-2". Empty for the root.
  bool is_group = false;
  /// "running", "starting", "unready", "restarting", "stopping", "stopped",
  /// "held".
  std::string state;
  int pid = 0;  ///< Zero if it has no process.
  std::optional<Duration> age;
  std::uint32_t restarts = 0;
  std::optional<Duration> next_start;  ///< While it waits for that.
  std::string last_exit;  ///< How its last incarnation ended; may be empty.
  /// The same as a value: the name of its actors::CauseKind, and the number.
  std::string last_cause;
  int last_number = 0;
  std::string trouble;        ///< Why its last check failed.
  std::string status;         ///< What it says of itself.
  std::string log;            ///< The file of its log.
  std::optional<double> cpu;  ///< Processors in use: 1.0 is one of them.
  std::optional<std::uint64_t> memory_bytes;  ///< Resident, of all processes.
  // Of groups:
  std::string strategy;
  std::size_t restarts_used = 0;
  int intensity = 0;
  Duration period{0};
  std::string blame;  ///< Why it gave up or was restarted last.
};

struct StackSnapshot {
  std::string file;                 ///< As absolute path.
  int pid = 0;                      ///< Of the troupe that runs it.
  std::vector<StackEntry> entries;  ///< Parents before children.
};

[[nodiscard]] nlohmann::ordered_json to_json(const StackSnapshot& snapshot);
/// The reverse; throws what the JSON library throws.
[[nodiscard]] StackSnapshot snapshot_from_json(
    const nlohmann::ordered_json& json);

struct StackTableStyle {
  bool colour = false;
  std::size_t columns = 0;  ///< Longer lines are cut; zero for never.
  std::size_t rows = 0;     ///< Of the whole table; zero for all.
};

/// The table for people, one line per entry and a head, each ending in a line
/// break. If not all rows fit, what is well is left out first, and a last line
/// says how many are missing.
[[nodiscard]] std::string render_table(const StackSnapshot& snapshot,
                                       const StackTableStyle& style);

}  // namespace troupe::cli
