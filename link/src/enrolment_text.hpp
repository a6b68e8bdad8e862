#pragma once

/// What goes between a host that wants to be enrolled and the authority: a
/// token one way, a request and its answer by the other. Pure.
#include <troupe/base/error.hpp>
#include <troupe/distributed/node_id.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace troupe::link {

inline constexpr std::size_t longest_enrolment_text = 64 << 10;

/// One word: "troupe1.SECRET.FINGERPRINT".
struct TokenText {
  std::string secret;       ///< 43 digits in base64 for URLs.
  std::string fingerprint;  ///< Of the authority's certificate.
};
[[nodiscard]] std::string to_text(const TokenText& token);
/// Errors: invalid_argument. The text itself is not repeated: it is a secret.
[[nodiscard]] Result<TokenText> parse_token(std::string_view text);

struct RequestText {
  std::string secret;
  std::string request;  ///< PEM.
};
[[nodiscard]] std::string to_text(const RequestText& request);
/// Errors: corrupt.
[[nodiscard]] Result<RequestText> parse_request(std::string_view text);

struct AnswerText {
  std::string name;
  std::string certificate;  ///< PEM.
  std::string authority;    ///< PEM.
};
[[nodiscard]] std::string to_text(const AnswerText& answer);
/// Errors: corrupt.
[[nodiscard]] Result<AnswerText> parse_answer(std::string_view text);

}  // namespace troupe::link
