#include "http_text.hpp"

#include "json_text.hpp"

#include <troupe/base/text.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <vector>

namespace troupe::api {
namespace {

constexpr std::size_t deepest_body = 64;
/// Of what a server of ours answers; printing it takes stack for each level.
constexpr std::size_t deepest_answer = 128;
/// Json finds a key by looking at all of an object: n keys cost n * n / 2.
constexpr std::size_t most_keys = 1'000;
constexpr std::size_t most_excerpt_bytes = 200;
constexpr Duration usual_retry_after = 1s;

bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
}

int hex_value(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

/// The byte that `text` begins with, if that is %XX.
std::optional<char> escaped_byte(std::string_view text) {
  if (text.size() < 3)
    return std::nullopt;
  const int high = hex_value(text[1]);
  const int low = hex_value(text[2]);
  if (high < 0 || low < 0)
    return std::nullopt;
  return static_cast<char>(high * 16 + low);
}

Result<std::string> decode_query(std::string_view text) {
  std::string spaced{text};
  for (char& c : spaced) {
    if (c == '+')
      c = ' ';
  }
  auto decoded = percent_decode(spaced);
  if (!decoded)
    return tl::unexpected{std::move(decoded.error()).within("query")};
  return decoded;
}

struct JsonLimits {
  std::size_t depth = 0;
  std::size_t keys = 0;  ///< Of one object.
};

/// What a text opens, while it is looked through.
class Nesting {
 public:
  explicit Nesting(JsonLimits limits) : limits_{limits} {}

  bool open(bool is_object) {
    levels_.push_back({.is_object = is_object});
    return levels_.size() <= limits_.depth;
  }
  void close() {
    if (!levels_.empty())
      levels_.pop_back();
  }
  bool add_comma() {
    return levels_.empty() || !levels_.back().is_object ||
           ++levels_.back().commas < limits_.keys;
  }

 private:
  struct Level {
    bool is_object = false;
    std::size_t commas = 0;
  };
  const JsonLimits limits_;
  std::vector<Level> levels_;
};

/// What is too much of a text, found before it is parsed and paid for.
std::optional<std::string> excess_of(std::string_view text, JsonLimits limits) {
  Nesting nesting{limits};
  bool is_text = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (is_text && c == '\\') {
      ++i;
    } else if (c == '"') {
      is_text = !is_text;
    } else if (is_text) {
      continue;
    } else if (c == '{' || c == '[') {
      if (!nesting.open(c == '{'))
        return fmt::format("is nested deeper than {}", limits.depth);
    } else if (c == '}' || c == ']') {
      nesting.close();
    } else if (c == ',' && !nesting.add_comma()) {
      return fmt::format("has an object of more than {} keys", limits.keys);
    }
  }
  return std::nullopt;
}

/// "line 1, column 2: .." of what Json says.
std::string reason_of(const Json::parse_error& error) {
  std::string_view what = error.what();
  constexpr std::string_view before = "parse error at ";
  if (const auto at = what.find(before); at != std::string_view::npos)
    what.remove_prefix(at + before.size());
  return excerpt(what);
}

/// `failed` is the code of an error, and what was read.
Result<Json> parse_json(std::string_view text, JsonLimits limits,
                        const Error& failed) {
  if (const auto excess = excess_of(text, limits))
    return failure(failed.code, fmt::format("{} {}", failed.what, *excess));
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& error) {
    return failure(failed.code, fmt::format("{} is not JSON: {}", failed.what,
                                            reason_of(error)));
  }
}

std::optional<Duration> retry_after_in(const Json& error) {
  const auto found = error.find("retry_after_ms");
  if (found == error.end() || !found->is_number_unsigned())
    return std::nullopt;
  constexpr std::uint64_t most = std::chrono::milliseconds{24h}.count();
  return std::chrono::milliseconds{std::min(found->get<std::uint64_t>(), most)};
}

}  // namespace

std::string percent_encode(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    if (is_unreserved(c))
      encoded += c;
    else
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return encoded;
}

Result<std::string> percent_decode(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    const auto byte = escaped_byte(text.substr(i));
    if (!byte)
      return failure(Errc::invalid_argument,
                     fmt::format("expected two hexadecimal digits after %, "
                                 "got \"{}\"",
                                 excerpt(text)));
    decoded += *byte;
    i += 2;
  }
  if (!is_utf8(decoded) || decoded.find('\0') != std::string::npos)
    return failure(
        Errc::invalid_argument,
        fmt::format("expected text in UTF-8, got \"{}\"", excerpt(text)));
  return decoded;
}

Result<std::map<std::string, std::string>> parse_query(std::string_view text) {
  std::map<std::string, std::string> query;
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(pair.size() + 1, text.size()));
    if (pair.empty())
      continue;
    const std::size_t sign = pair.find('=');
    auto key = decode_query(pair.substr(0, sign));
    auto value = decode_query(
        sign == std::string_view::npos ? "" : pair.substr(sign + 1));
    if (!key || !value)
      return tl::unexpected{key ? value.error() : key.error()};
    if (!query.emplace(*key, std::move(*value)).second)
      return failure(
          Errc::invalid_argument,
          fmt::format("query: \"{}\" is there twice", excerpt(*key)));
  }
  return query;
}

int status_of(Errc code) {
  switch (code) {
    case Errc::invalid_argument:
      return 400;
    case Errc::permission_denied:
      return 403;
    case Errc::not_found:
      return 404;
    case Errc::already_exists:
      return 409;
    case Errc::overloaded:
      return 429;
    case Errc::cancelled:
      return 499;
    case Errc::unsupported:
      return 501;
    case Errc::unavailable:
      return 503;
    case Errc::timed_out:
      return 504;
    case Errc::corrupt:
    case Errc::internal:
      return 500;
  }
  return 500;
}

Refusal refusal_of(Error error, std::optional<Duration> retry_after) {
  const bool passes =
      error.code == Errc::overloaded || error.code == Errc::unavailable;
  if (passes && !retry_after)
    retry_after = usual_retry_after;
  const int status = status_of(error.code);
  return {
      .status = status, .error = std::move(error), .retry_after = retry_after};
}

std::string error_body(const Error& error,
                       std::optional<Duration> retry_after) {
  Json body{{"code", std::string{to_string(error.code)}}, {"what", error.what}};
  if (retry_after)
    body["retry_after_ms"] =
        std::chrono::ceil<std::chrono::milliseconds>(*retry_after).count();
  return fmt::format("{{\"error\":{}}}\n", text_of(body));
}

HttpFailure parse_error_body(int status, std::string_view body) {
  const Json value = Json::parse(body, nullptr, false);
  const auto error = value.is_object() ? value.find("error") : value.end();
  if (!value.is_object() || error == value.end() || !error->is_object())
    return {{Errc::corrupt, fmt::format("not an answer: status {} with \"{}\"",
                                        status, excerpt(body))},
            std::nullopt};
  return {{code_named(string_at(*error, "code")), string_at(*error, "what")},
          retry_after_in(*error)};
}

Result<Json> parse_body(std::string_view text) {
  return parse_json(text, {.depth = deepest_body, .keys = most_keys},
                    {Errc::invalid_argument, "the body"});
}

Result<Json> parse_answer_body(std::string_view text) {
  return parse_json(text, {.depth = deepest_answer, .keys = text.size()},
                    {Errc::corrupt, "the answer"});
}

std::string excerpt(std::string_view text) {
  if (text.size() <= most_excerpt_bytes)
    return printable(text);
  return printable(text.substr(0, most_excerpt_bytes)) + "...";
}

}  // namespace troupe::api
