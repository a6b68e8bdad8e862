#pragma once

#include <troupe/service/service_core.hpp>
#include <troupe/service/service_tree.hpp>
#include <troupe/supervisor/supervisor_core.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::service {

/// What somebody who needs a service may count on.
enum class Availability : std::uint8_t {
  down,  ///< Not ready yet, or about to be started again.
  up,    ///< Ready, or done with what it had to do.
  lost,  ///< Not there, and not started again by itself.
};

/// "lost".
[[nodiscard]] std::string_view to_string(Availability availability);

struct AvailabilityChange {
  std::string service;  ///< Its path.
  Availability state = Availability::down;
  std::string why;  ///< Of a loss, for people.

  friend bool operator==(const AvailabilityChange&,
                         const AvailabilityChange&) = default;
};

/// Finds out what of a tree of services can be counted on, from what the
/// services and the supervisors above them tell. All are down at first. Pure;
/// each event is answered with what has changed by it.
///
/// A service that is not there is lost only if nothing above it would start it
/// again: the supervisors say so one after the other, and until then it is
/// down.
class AvailabilityCore {
 public:
  using Changes = std::vector<AvailabilityChange>;

  explicit AvailabilityCore(const GroupNode& root);

  /// A supervisor says so about a service or a group below it.
  Changes on_presence(const std::string& path, supervisor::Presence presence);
  /// A service has ended; before its supervisor takes notice.
  void on_end(const std::string& service, const ServiceEnd& end);
  Changes on_report(const supervisor::Report& report);
  /// Why a group gave up last, for people; empty for the whole tree.
  void on_blame(const std::string& group, std::string chain);
  /// All is over.
  Changes on_tree_ended(const std::string& why);

 private:
  struct Group {
    std::string above;  ///< Path of the group around it; its own for the root.
    supervisor::Restart restart = supervisor::Restart::permanent;
    supervisor::OnGiveUp on_give_up = supervisor::OnGiveUp::escalate;
    supervisor::Presence presence = supervisor::Presence::away;
    bool is_ending = false;  ///< By itself; what follows is up to those above.
    bool is_held = false;
    std::string blame{};
  };
  struct Service {
    std::string above;
    supervisor::Restart restart = supervisor::Restart::permanent;
    supervisor::Presence presence = supervisor::Presence::away;
    bool has_finished = false;  ///< Its last end was its own and no failure.
    std::string how{};          ///< It ended last.
    Availability told = Availability::down;
  };
  struct Verdict {
    Availability state = Availability::down;
    std::string why;
  };

  void add(const GroupNode& group);
  [[nodiscard]] std::vector<std::string> groups_around(
      const std::string& group) const;
  [[nodiscard]] Verdict verdict_on(const std::string& path,
                                   const Service& service) const;
  /// Adds what is new about a service.
  void judge(const std::string& path, Service& service, Changes& out) const;
  Changes take_changes();

  std::map<std::string, Group> groups_;  ///< By path.
  std::map<std::string, Service> services_;
  bool is_over_ = false;
  std::string why_over_;
};

}  // namespace troupe::service
