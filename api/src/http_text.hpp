#pragma once

/// What stands in HTTP besides its frames: percent-coding, queries, statuses,
/// JSON bodies. Pure.
#include <troupe/api/http.hpp>

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace troupe::api {

/// Everything but letters, digits and `-._~` becomes %XX.
[[nodiscard]] std::string percent_encode(std::string_view text);

/// Errors: invalid_argument (a % without two hexadecimal digits; what it gives
/// is not UTF-8 or has a NUL).
[[nodiscard]] Result<std::string> percent_decode(std::string_view text);

/// Of "a=1&b=x+y", where + is a space. Empty parts are passed over; without a
/// = the value is empty.
///
/// Errors: invalid_argument, also for a key that comes twice.
[[nodiscard]] Result<std::map<std::string, std::string>> parse_query(
    std::string_view text);

/// Why a request is not answered by its operation.
struct Refusal {
  int status = 500;
  Error error;
  std::string allow = {};  ///< The methods that there are, for 405.
  std::optional<Duration> retry_after = std::nullopt;

  friend bool operator==(const Refusal&, const Refusal&) = default;
};

/// See HttpResponder::fail.
[[nodiscard]] int status_of(Errc code);
[[nodiscard]] Refusal refusal_of(Error error,
                                 std::optional<Duration> retry_after = {});

/// The body of an error; see http.hpp.
[[nodiscard]] std::string error_body(const Error& error,
                                     std::optional<Duration> retry_after);

struct HttpFailure {
  Error error;
  std::optional<Duration> retry_after;
};

/// The error that an answer means which is no success. One that is not ours is
/// `corrupt`.
[[nodiscard]] HttpFailure parse_error_body(int status, std::string_view body);

/// Reads a body of JSON, at most 64 deep and with 1,000 keys in an object.
///
/// Errors: invalid_argument, "the body is not JSON: line 2, column 5: ..".
[[nodiscard]] Result<Json> parse_body(std::string_view text);

/// Reads a successful answer, at most 128 deep.
///
/// Errors: corrupt, "the answer is not JSON: ..".
[[nodiscard]] Result<Json> parse_answer_body(std::string_view text);

/// `text` as it is quoted in an error: printable, and not too long.
[[nodiscard]] std::string excerpt(std::string_view text);

}  // namespace troupe::api
