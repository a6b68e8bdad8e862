#include "audit_core.hpp"

#include <troupe/base/text.hpp>
#include <troupe/base/wall_time.hpp>
#include <troupe/content/sha256.hpp>

#include <fmt/format.h>

namespace troupe::node {
namespace {

std::string short_text(const std::string& text) {
  return to_utf8(text.size() > most_audit_text
                     ? text.substr(0, most_audit_text) + ".."
                     : text);
}

tl::unexpected<Error> broken(std::string what) {
  return failure(Errc::corrupt, std::move(what));
}

/// Null if there is none, or `text` is no JSON object.
Json member(const std::string& text, const char* key) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  return json.is_object() && json.contains(key) ? json[key] : Json{};
}

}  // namespace

std::string next_audit_line(AuditHead& head, const AuditEntry& entry,
                            std::uint64_t missed) {
  Json json{{"number", head.number + 1},
            {"at", format_wall_time(entry.at)},
            {"by", entry.by}};
  if (entry.uid)
    json["uid"] = *entry.uid;
  if (!entry.user.empty())
    json["user"] = short_text(entry.user);
  if (entry.pid)
    json["pid"] = *entry.pid;
  json["what"] = short_text(entry.what);
  if (!entry.about.empty())
    json["about"] = short_text(entry.about);
  json["result"] = entry.result;
  if (missed > 0)
    json["missed"] = missed;
  json["before"] = head.hash;
  std::string line = json.dump();
  ++head.number;
  head.hash = content::sha256_of(line);
  return line + '\n';
}

Result<void> check_audit_line(std::optional<AuditHead>& head,
                              std::string_view line) {
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  const bool is_one =
      json.is_object() && json.contains("number") &&
      json["number"].is_number_unsigned() && json["number"] != 0 &&
      json.contains("before") && json["before"].is_string() &&
      content::is_sha256(json["before"].get_ref<const std::string&>());
  if (!is_one)
    return broken("this is not a line of an audit log");
  const auto number = json["number"].get<std::uint64_t>();
  const auto& before = json["before"].get_ref<const std::string&>();
  if (!head && number > 1)
    head = AuditHead{number - 1, before};  // What came before was dropped.
  const AuditHead expected = head.value_or(AuditHead{});
  if (number != expected.number + 1)
    return broken(fmt::format("line {} is missing, this is {}",
                              expected.number + 1, number));
  if (before != expected.hash)
    return broken(fmt::format(
        "line {} does not follow: the one before it was changed, or it was "
        "put in",
        number));
  head = AuditHead{number, content::sha256_of(line)};
  return {};
}

std::string made_by(const std::string& answer) {
  for (const char* const key : {"job", "run"}) {
    const Json number = member(answer, key);
    if (number.is_number_unsigned())
      return fmt::format("{} {}", key, number.get<std::uint64_t>());
  }
  return {};
}

std::string error_in(const std::string& answer) {
  const Json error = member(answer, "error");
  const bool has_code =
      error.is_object() && error.contains("code") && error["code"].is_string();
  return has_code ? error["code"].get<std::string>() : "internal";
}

}  // namespace troupe::node
