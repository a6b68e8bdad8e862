#include "enrolment_text.hpp"

#include <troupe/base/text.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <initializer_list>
#include <utility>

namespace troupe::link {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view token_prefix = "troupe1.";
constexpr std::size_t secret_digits = 43;
constexpr std::size_t fingerprint_digits = 64;
constexpr const char* request_title = "request";
constexpr const char* answer_title = "answer";

bool is_secret(std::string_view text) {
  return text.size() == secret_digits &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return is_digit(c) || (c >= 'a' && c <= 'z') ||
                  (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
         });
}

bool is_fingerprint(std::string_view text) {
  return text.size() == fingerprint_digits &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return is_digit(c) || (c >= 'a' && c <= 'f');
         });
}

/// The texts at these keys, in this order.
Result<std::vector<std::string>> texts_of(
    std::string_view text, std::string_view title,
    std::initializer_list<const char*> keys) {
  const auto refuse = [title] {
    return failure(Errc::corrupt,
                   fmt::format("this is no {} of troupe cluster enrol",
                               title == request_title ? "request"
                                                      : "answer to a request"));
  };
  if (text.size() > longest_enrolment_text)
    return refuse();
  const Json root = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object() || !root.contains("troupe") || root["troupe"] != title)
    return refuse();
  std::vector<std::string> texts;
  for (const char* const key : keys) {
    const auto found = root.find(key);
    if (found == root.end() || !found->is_string())
      return refuse();
    texts.push_back(found->get<std::string>());
  }
  return texts;
}

}  // namespace

std::string to_text(const TokenText& token) {
  return fmt::format("{}{}.{}", token_prefix, token.secret, token.fingerprint);
}

Result<TokenText> parse_token(std::string_view text) {
  const auto refuse = [] {
    return failure(Errc::invalid_argument,
                   "this is no token of troupe cluster token, or not all of "
                   "it");
  };
  if (!text.starts_with(token_prefix))
    return refuse();
  text.remove_prefix(token_prefix.size());
  const std::size_t dot = text.find('.');
  if (dot == std::string_view::npos || !is_secret(text.substr(0, dot)) ||
      !is_fingerprint(text.substr(dot + 1)))
    return refuse();
  return TokenText{std::string{text.substr(0, dot)},
                   std::string{text.substr(dot + 1)}};
}

std::string to_text(const RequestText& request) {
  return Json{{"troupe", request_title},
              {"secret", request.secret},
              {"request", request.request}}
             .dump(1) +
         "\n";
}

Result<RequestText> parse_request(std::string_view text) {
  auto texts = texts_of(text, request_title, {"secret", "request"});
  if (!texts)
    return tl::unexpected(std::move(texts.error()));
  return RequestText{std::move((*texts)[0]), std::move((*texts)[1])};
}

std::string to_text(const AnswerText& answer) {
  return Json{{"troupe", answer_title},
              {"name", answer.name},
              {"certificate", answer.certificate},
              {"authority", answer.authority}}
             .dump(1) +
         "\n";
}

Result<AnswerText> parse_answer(std::string_view text) {
  auto texts =
      texts_of(text, answer_title, {"name", "certificate", "authority"});
  if (!texts)
    return tl::unexpected(std::move(texts.error()));
  return AnswerText{std::move((*texts)[0]), std::move((*texts)[1]),
                    std::move((*texts)[2])};
}

}  // namespace troupe::link
