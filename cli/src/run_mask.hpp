#pragma once

#include "run_event.hpp"

#include <troupe/workflow/secret_mask.hpp>

namespace troupe::cli {

/// Hides secrets in all that `event` says: every display of a run and its
/// record get it like this.
void hide_secrets(RunEvent& event, const workflow::SecretMask& mask);

}  // namespace troupe::cli
