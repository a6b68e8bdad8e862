#pragma once

#include <troupe/api/http.hpp>
#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>
#include <troupe/config/diagnostics.hpp>
#include <troupe/config/source.hpp>
#include <troupe/flow_control/resources.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace troupe::node {

inline constexpr Duration shortest_lease = 10s;
inline constexpr Duration longest_lease = 1h;

/// What becomes of running commands when the node is told to end.
enum class OnStop : std::uint8_t { end, keep };

/// All that can be configured, with its defaults; config/troupe.yaml says what
/// each is for. Zero means "by the machine" or "no limit" where that file says
/// so.
struct NodeConfig {
  std::string folder;  ///< Of the state; absolute.
  std::string socket;  ///< Absolute.
  /// As store::check_postgres_uri(), or empty for a file in the folder.
  std::string store;
  std::string store_password_file;  ///< Absolute, or empty for none.
  /// Of the workflows that have triggers; absolute, or empty for none.
  std::string workflow_folder;
  std::string webhook_listen;  ///< As parse_loopback(), or empty for none.
  std::string socket_group;
  api::Role socket_group_role = api::Role::read;
  bool allow_root = false;  ///< See check_user().
  bool no_new_privileges = false;
  std::string listen;  ///< For other nodes; as check_listen(), or empty.
  std::string cluster_folder;  ///< Who this host is there; absolute.
  /// Of a member of a cluster: how long its session has its right without being
  /// renewed; at least shortest_lease.
  Duration lease_time = 60s;

  std::uint32_t slots = 0;  ///< Of the group "default"; 0: processors.
  std::uint32_t most_running = 1024;
  flow_control::Resources
      resources;                    ///< Beside cpu and mem, which are measured.
  std::vector<std::string> labels;  ///< See queue::check_label().
  std::string zone;                 ///< See queue::label_of_zone(); or empty.
  std::uint64_t memory_reserve = 0;
  double max_load = 0;

  std::uint64_t queue_limit = 10'000'000;
  std::uint32_t requests_per_second = 0;

  std::uint64_t output_limit = std::uint64_t{1} << 30;
  std::uint64_t output_total = std::uint64_t{20} << 30;
  std::uint64_t disk_reserve = std::uint64_t{256} << 20;

  std::uint64_t keep_jobs = 100'000;
  Duration keep_age = std::chrono::hours{24 * 30};
  Duration keep_failed_age = std::chrono::hours{24 * 90};

  OnStop on_stop = OnStop::end;
  Duration stop_time = 30s;
  Duration orphan_time = 10min;

  std::string log_file;
  std::uint64_t log_size = std::uint64_t{16} << 20;
  std::uint32_t log_files = 4;

  friend bool operator==(const NodeConfig&, const NodeConfig&) = default;
};

/// A port of this machine.
struct LoopbackAddress {
  std::string host;
  std::uint16_t port = 0;
};

/// Reads 127.0.0.1:4100 or [::1]:4100.
///
/// Errors: invalid_argument (also for an address that others can reach).
[[nodiscard]] Result<LoopbackAddress> parse_loopback(const std::string& text);

/// Checks 192.0.2.7:4200 or [2001:db8::7]:4200, where others may connect.
///
/// Errors: invalid_argument.
[[nodiscard]] Result<void> check_listen(const std::string& text);

/// One of them, as people see it.
struct Setting {
  std::string_view name;
  std::string value;   ///< As it is written in the file.
  std::string origin;  ///< "default" or "troupe.yaml:7".
  std::string_view doc;
};

struct LoadedConfig {
  NodeConfig config;
  std::vector<Setting> settings;
};

/// What holds where the file says nothing.
struct ConfigDefaults {
  std::string folder;
  std::string socket;
  std::string workflow_folder{};
  std::string cluster_folder{};
};

/// Reads a configuration. Pure.
///
/// Errors: invalid_argument, with all that is wrong and where.
[[nodiscard]] Result<LoadedConfig> load_config(
    std::shared_ptr<const config::Source> source,
    const ConfigDefaults& defaults);

/// As load_config() of an empty file.
[[nodiscard]] LoadedConfig default_config(const ConfigDefaults& defaults);

/// Whether a process of this (effective) user may be a node: its commands are
/// that user's, so root has to be wanted.
///
/// Errors: permission_denied.
[[nodiscard]] Result<void> check_user(const NodeConfig& config, uid_t user);

/// The names of settings in `next` that differ from `now` and that a running
/// node cannot change.
[[nodiscard]] std::vector<std::string_view> need_restart(
    const NodeConfig& now, const NodeConfig& next);

}  // namespace troupe::node
