#pragma once

#include <troupe/base/error.hpp>
#include <troupe/workflow/notify.hpp>

#include <string>

namespace troupe::cli {

/// Posts JSON and waits for the answer. Certificates are checked against those
/// that the system trusts, or SSL_CERT_FILE. Blocks without a limit of its own.
///
/// Errors: unavailable, naming what did not work; invalid_argument, if the
/// answer is none of 2xx.
[[nodiscard]] Result<void> post_json(const workflow::WebhookUrl& url,
                                     const std::string& json);

}  // namespace troupe::cli
