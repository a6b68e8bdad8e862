#pragma once

/// Ports that services of this host may listen on.
#include <troupe/base/error.hpp>
#include <troupe/base/owned_fd.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace troupe::service {

/// Ports of this host that nothing listens on, kept until services need them.
class FreePorts {
 public:
  FreePorts() = default;
  /// With ports that somebody has chosen before; these are not kept.
  explicit FreePorts(std::map<std::string, std::uint16_t> chosen)
      : ports_{std::move(chosen)} {}

  /// The port for `name`, the same each time. Does not block.
  ///
  /// Errors: those of the system.
  [[nodiscard]] Result<std::uint16_t> port_of(const std::string& name);

  /// Lets services have them.
  void release() { held_.clear(); }

 private:
  std::map<std::string, std::uint16_t> ports_;
  std::vector<OwnedFd> held_;
};

}  // namespace troupe::service
