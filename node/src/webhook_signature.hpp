#pragma once

#include <string>
#include <string_view>

namespace troupe::node {

/// What GitHub and others send as X-Hub-Signature-256 with `body`: "sha256="
/// and the HMAC-SHA256 of it in hexadecimal digits. Empty if the library fails.
[[nodiscard]] std::string signature_of(std::string_view body,
                                       std::string_view secret);

/// Whether `signature` is that, in small or large digits. Takes the same time
/// whatever is wrong with it. False for an empty secret, which anybody knows.
[[nodiscard]] bool is_signed(std::string_view body, std::string_view secret,
                             std::string_view signature);

}  // namespace troupe::node
