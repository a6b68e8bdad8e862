#pragma once

#include <tl/expected.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace troupe {

/// What went wrong, as far as a caller may act on it. Values are stored and
/// sent between processes: append only, never renumber.
enum class Errc : std::uint8_t {
  invalid_argument = 1,   ///< The caller's fault; retrying cannot help.
  not_found = 2,          ///< No such program, file, command or node.
  overloaded = 3,         ///< A bound was reached; retry after a while.
  timed_out = 4,          ///< The outcome is unknown; retry if idempotent.
  unavailable = 5,        ///< The peer is gone; retrying may help.
  corrupt = 6,            ///< Data fails its check; a person must look.
  permission_denied = 7,  ///< The system refused: not executable, not ours.
  already_exists = 8,     ///< The id or file is taken.
  cancelled = 9,          ///< Somebody asked for the end of it.
  unsupported = 10,       ///< This host or version cannot do it.
  internal = 11,          ///< A defect of Troupe itself.
};

/// The stable lower-case name of `code`, for messages and JSON.
[[nodiscard]] std::string_view to_string(Errc code);

/// The one error type. `what` is a lower-case phrase without a full stop that
/// tells a person what happened, where, and if known what to do next.
struct [[nodiscard]] Error {
  Errc code = Errc::internal;
  std::string what;

  /// Adds context on the way up: "store: open journal: no space left".
  [[nodiscard]] Error within(std::string_view context) &&;

  friend bool operator==(const Error&, const Error&) = default;
};

/// A value or an Error. Callers branch on `code`; people read `what`.
template <class T>
using Result = tl::expected<T, Error>;

/// Shorthand for the failure side of a Result.
[[nodiscard]] inline tl::unexpected<Error> failure(Errc code,
                                                   std::string what) {
  return tl::unexpected<Error>(Error{code, std::move(what)});
}

/// An Error for a failed system call. `errno_value` decides the code: ENOENT is
/// not_found, EACCES permission_denied, EAGAIN, EMFILE, ENFILE, ENOMEM and
/// ENOSPC overloaded, EINVAL invalid_argument, the rest unavailable.
Error system_error(std::string_view context, int errno_value);

}  // namespace troupe
