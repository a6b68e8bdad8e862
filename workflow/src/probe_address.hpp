#pragma once

#include <troupe/base/error.hpp>
#include <troupe/service/service_spec.hpp>

#include <string_view>

namespace troupe::workflow {

/// What `tcp` of a probe says: HOST:PORT, [ADDRESS]:PORT, or a PORT of this
/// host.
[[nodiscard]] Result<service::TcpCheck> parse_address(std::string_view text);

/// What `http` of a probe says: http://HOST[:PORT][/PATH].
[[nodiscard]] Result<service::HttpCheck> parse_url(std::string_view text);

}  // namespace troupe::workflow
