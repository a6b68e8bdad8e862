#include <troupe/base/suggest.hpp>
#include <troupe/base/text.hpp>
#include <troupe/queue/json_fields.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <limits>

namespace troupe::queue {

JsonFields::JsonFields(const Json& json, std::string name)
    : json_{json}, name_{std::move(name)} {
  if (!json.is_object())
    wrong_ = Error{Errc::invalid_argument,
                   fmt::format("{}: expected an object",
                               name_.empty() ? "the body" : name_)};
}

std::string JsonFields::place(std::string_view key) const {
  return name_.empty() ? std::string{key} : fmt::format("{}.{}", name_, key);
}

void JsonFields::refuse(const char* key, const std::string& what) {
  if (!wrong_)
    wrong_ =
        Error{Errc::invalid_argument, fmt::format("{}: {}", place(key), what)};
}

void JsonFields::add(Result<void> inner) {
  if (inner || wrong_)
    return;
  wrong_ = std::move(inner.error());
  if (!name_.empty())
    wrong_ = std::move(*wrong_).within(name_);
}

const JsonFields::Json* JsonFields::take(const char* key) {
  asked_.emplace_back(key);
  if (!json_.is_object())
    return nullptr;
  const auto found = json_.find(key);
  return found == json_.end() || found->is_null() ? nullptr : &*found;
}

void JsonFields::read(const char* key, std::string& out) {
  std::optional<std::string> text;
  read(key, text);
  if (text)
    out = std::move(*text);
}

void JsonFields::read(const char* key, std::optional<std::string>& out) {
  const Json* const value = take(key);
  if (value == nullptr)
    return;
  if (value->is_string())
    out = value->get<std::string>();
  else
    refuse(key, "expected a text");
}

void JsonFields::read(const char* key, bool& out) {
  const Json* const value = take(key);
  if (value == nullptr)
    return;
  if (value->is_boolean())
    out = value->get<bool>();
  else
    refuse(key, "expected true or false");
}

void JsonFields::read(const char* key, std::int64_t& out, std::int64_t least,
                      std::int64_t most) {
  const Json* const value = take(key);
  if (value == nullptr)
    return;
  const bool fits = value->is_number_integer() &&
                    (!value->is_number_unsigned() ||
                     value->get<std::uint64_t>() <=
                         static_cast<std::uint64_t>(
                             std::numeric_limits<std::int64_t>::max())) &&
                    value->get<std::int64_t>() >= least &&
                    value->get<std::int64_t>() <= most;
  if (fits)
    out = value->get<std::int64_t>();
  else
    refuse(key,
           fmt::format("expected a whole number from {} to {}", least, most));
}

void JsonFields::read(const char* key, std::optional<int>& out, int least,
                      int most) {
  if (const auto found = json_.is_object() ? json_.find(key) : json_.end();
      found == json_.end() || found->is_null()) {
    (void)take(key);
    return;
  }
  std::int64_t number = 0;
  read(key, number, least, most);
  out = static_cast<int>(number);
}

void JsonFields::read(const char* key, std::uint64_t& out) {
  std::optional<std::uint64_t> number;
  read(key, number);
  out = number.value_or(out);
}

void JsonFields::read(const char* key, std::optional<std::uint64_t>& out) {
  const Json* const value = take(key);
  if (value == nullptr)
    return;
  constexpr std::uint64_t most = std::uint64_t{1} << 62;
  if (value->is_number_unsigned() && value->get<std::uint64_t>() <= most)
    out = value->get<std::uint64_t>();
  else
    refuse(key, "expected a whole number, zero or more");
}

void JsonFields::read(const char* key, double& out, double least, double most) {
  const Json* const value = take(key);
  if (value == nullptr)
    return;
  if (value->is_number() && value->get<double>() >= least &&
      value->get<double>() <= most)
    out = value->get<double>();
  else
    refuse(key, fmt::format("expected a number from {} to {}", least, most));
}

void JsonFields::read(const char* key, std::vector<std::string>& out) {
  std::optional<std::vector<std::string>> texts;
  read(key, texts);
  if (texts)
    out = std::move(*texts);
}

void JsonFields::read(const char* key,
                      std::optional<std::vector<std::string>>& out) {
  const Json* const value = take(key);
  if (value == nullptr)
    return;
  const bool all_texts =
      value->is_array() &&
      std::all_of(value->begin(), value->end(),
                  [](const Json& item) { return item.is_string(); });
  if (all_texts)
    out = value->get<std::vector<std::string>>();
  else
    refuse(key, "expected a list of texts");
}

void JsonFields::read(const char* key, std::vector<int>& out, int least,
                      int most) {
  const Json* const value = take(key);
  if (value == nullptr)
    return;
  const bool all_fit =
      value->is_array() && !value->empty() &&
      std::all_of(value->begin(), value->end(), [&](const Json& item) {
        return item.is_number_integer() && item.get<std::int64_t>() >= least &&
               item.get<std::int64_t>() <= most;
      });
  if (all_fit)
    out = value->get<std::vector<int>>();
  else
    refuse(key, fmt::format("expected a list of whole numbers from {} to {}",
                            least, most));
}

void JsonFields::read(const char* key,
                      std::optional<std::map<std::string, std::string>>& out) {
  const Json* const value = take(key);
  if (value == nullptr)
    return;
  const bool all_texts =
      value->is_object() &&
      std::all_of(value->begin(), value->end(),
                  [](const Json& item) { return item.is_string(); });
  if (all_texts)
    out = value->get<std::map<std::string, std::string>>();
  else
    refuse(key, "expected an object of texts");
}

Result<void> JsonFields::finish() {
  if (json_.is_object() && !wrong_) {
    for (const auto& [key, value] : json_.items()) {
      if (std::find(asked_.begin(), asked_.end(), key) != asked_.end())
        continue;
      const auto meant = suggest(key, asked_);
      wrong_ = Error{
          Errc::invalid_argument,
          fmt::format(
              "unknown key \"{}\"{}", printable(place(key)),
              meant ? fmt::format("; did you mean \"{}\"?", *meant) : "")};
      break;
    }
  }
  if (wrong_)
    return tl::unexpected(*wrong_);
  return {};
}

}  // namespace troupe::queue
