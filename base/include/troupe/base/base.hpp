#pragma once

/// Start here. `base` is the vocabulary that every other part speaks; it knows
/// the standard library, fmt and tl::expected, and nothing of Troupe.
///
///   error.hpp     Errc, Error, Result<T>: how anything that can fail answers
///   assert.hpp    TROUPE_ASSERT: broken invariants end the process
///   owned_fd.hpp  file descriptors with an owner
///   pausable_clock.hpp  time that stands still while we are suspended
///   time.hpp      Duration and TimePoint, the only types for time
///   quantity.hpp  "30s", "64KiB", "50%": reading and printing them
///   exit_status.hpp  what is exited with if a command has no status of its own
///   ids.hpp       Id<Tag>: identifiers that cannot be mixed up
///   text.hpp      quoting for a shell and for a terminal
///   shell_words.hpp  commands that need no shell
///   suggest.hpp   "did you mean"
///   random.hpp    a small generator that a core can own and a test can seed
///   random_name.hpp  names that nothing else has
///   log.hpp       what Troupe says about itself, on standard error
///   overload.hpp  std::visit with lambdas
#include <troupe/base/assert.hpp>
#include <troupe/base/error.hpp>
#include <troupe/base/exit_status.hpp>
#include <troupe/base/ids.hpp>
#include <troupe/base/log.hpp>
#include <troupe/base/overload.hpp>
#include <troupe/base/owned_fd.hpp>
#include <troupe/base/pausable_clock.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/base/random.hpp>
#include <troupe/base/random_name.hpp>
#include <troupe/base/shell_words.hpp>
#include <troupe/base/suggest.hpp>
#include <troupe/base/text.hpp>
#include <troupe/base/time.hpp>
