#include <troupe/base/suggest.hpp>
#include <troupe/base/text.hpp>
#include <troupe/store/postgres_uri.hpp>

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <fmt/format.h>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace troupe::store {
namespace {

constexpr std::string_view example = "postgresql://user@host/database";

constexpr std::array<std::string_view, 2> schemes{"postgresql", "postgres"};

/// Of libpq, those that may be said of a store. What it reads by itself, such
/// as `service`, would make another place of it than the one that was checked.
constexpr std::array<std::string_view, 31> known_parameters{
    "application_name",
    "channel_binding",
    "client_encoding",
    "connect_timeout",
    "dbname",
    "fallback_application_name",
    "gssencmode",
    "gsslib",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbsrvname",
    "options",
    "passfile",
    "port",
    "require_auth",
    "requirepeer",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcert",
    "sslcrl",
    "sslcrldir",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "sslsni",
    "target_session_attrs",
    "tcp_user_timeout"};

constexpr std::array<std::string_view, 2> secret_parameters{"password",
                                                            "sslpassword"};

struct Place {
  std::vector<std::string> hosts;
  bool has_password = false;
  std::map<std::string, std::string> parameters;
};

Error wrong(std::string what) {
  return {Errc::invalid_argument, std::move(what)};
}

std::optional<int> hex(char c) {
  if (is_digit(c))
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return std::nullopt;
}

Result<std::string> decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const auto high = i + 2 < text.size() ? hex(text[i + 1]) : std::nullopt;
    const auto low = i + 2 < text.size() ? hex(text[i + 2]) : std::nullopt;
    if (!high || !low || (*high == 0 && *low == 0))
      return tl::unexpected(
          wrong("a % has to be followed by two hexadecimal "
                "digits; % itself is %25"));
    out += static_cast<char>(*high * 16 + *low);
    i += 2;
  }
  return out;
}

std::vector<std::string> split(std::string_view text, char at) {
  std::vector<std::string> parts;
  for (;;) {
    const std::size_t end = text.find(at);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos)
      return parts;
    text.remove_prefix(end + 1);
  }
}

/// Without its port: "db.example:5432", "[::1]:5432".
Result<std::string> host_of(const std::string& text) {
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string::npos)
      return tl::unexpected(wrong("an address that begins with [ ends with ]"));
    return text.substr(1, end - 1);
  }
  return decoded(std::string_view{text}.substr(0, text.find(':')));
}

Result<void> read_parameter(const std::string& text, Place& place) {
  const std::size_t equals = text.find('=');
  auto name = decoded(std::string_view{text}.substr(0, equals));
  if (!name)
    return tl::unexpected(std::move(name.error()));
  if (std::find(secret_parameters.begin(), secret_parameters.end(), *name) !=
      secret_parameters.end()) {
    place.has_password = true;
    return {};
  }
  if (std::find(known_parameters.begin(), known_parameters.end(), *name) ==
      known_parameters.end()) {
    const auto nearest = suggest(*name, known_parameters);
    return tl::unexpected(wrong(fmt::format(
        "unknown parameter {}{}", in_quotes(*name),
        nearest ? fmt::format("; did you mean \"{}\"?", *nearest) : "")));
  }
  if (equals == std::string::npos)
    return tl::unexpected(wrong(fmt::format("expected a value: {}=..", *name)));
  auto value = decoded(std::string_view{text}.substr(equals + 1));
  if (!value)
    return tl::unexpected(std::move(value.error()));
  place.parameters[*name] = std::move(*value);
  return {};
}

Result<Place> read(std::string_view uri) {
  const std::size_t colon = uri.find("://");
  if (colon == std::string_view::npos)
    return tl::unexpected(
        wrong(fmt::format("expected a place such as {}", example)));
  const std::string scheme{uri.substr(0, colon)};
  if (std::find(schemes.begin(), schemes.end(), scheme) == schemes.end()) {
    const auto nearest = suggest(scheme, schemes);
    return tl::unexpected(wrong(fmt::format(
        "unknown scheme {}; {}", in_quotes(scheme),
        nearest ? fmt::format("did you mean \"{}\"?", *nearest)
                : fmt::format("expected {}; without a place, jobs are kept in "
                              "a file in the folder of the node",
                              example))));
  }
  std::string_view rest = uri.substr(colon + 3);
  Place place;
  const std::size_t at = rest.find_first_of("@/");
  if (at != std::string_view::npos && rest[at] == '@') {
    place.has_password = rest.substr(0, at).find(':') != std::string_view::npos;
    rest.remove_prefix(at + 1);
  }
  const std::string_view hosts = rest.substr(0, rest.find_first_of("/?"));
  for (const std::string& each : split(hosts, ',')) {
    auto host = host_of(each);
    if (!host)
      return tl::unexpected(std::move(host.error()));
    place.hosts.push_back(std::move(*host));
  }
  const std::size_t question = rest.find('?');
  if (question == std::string_view::npos)
    return place;
  for (const std::string& each : split(rest.substr(question + 1), '&')) {
    if (auto parameter = read_parameter(each, place); !parameter)
      return tl::unexpected(std::move(parameter.error()));
  }
  return place;
}

/// Whether what is sent there stays on this machine.
bool is_here(const std::string& host) {
  in_addr v4{};
  in6_addr v6{};
  if (host == "localhost" || host.starts_with('/') || host.starts_with('@'))
    return true;
  if (::inet_pton(AF_INET, host.c_str(), &v4) == 1)
    return (ntohl(v4.s_addr) >> 24U) == 127;
  return ::inet_pton(AF_INET6, host.c_str(), &v6) == 1 &&
         IN6_IS_ADDR_LOOPBACK(&v6);
}

std::string value_of(const Place& place, const std::string& name) {
  const auto found = place.parameters.find(name);
  return found == place.parameters.end() ? "" : found->second;
}

/// Where libpq connects to: what is named last counts, and an address before a
/// name.
std::vector<std::string> servers_of(const Place& place) {
  for (const char* const name : {"hostaddr", "host"}) {
    if (const std::string value = value_of(place, name); !value.empty())
      return split(value, ',');
  }
  return place.hosts;
}

}  // namespace

Result<void> check_postgres_uri(std::string_view uri) {
  const auto place = read(uri);
  if (!place)
    return tl::unexpected(place.error());
  if (place->has_password)
    return failure(Errc::invalid_argument,
                   "a password does not belong here, since this is shown; put "
                   "it into a file of its own and name that in "
                   "store-password-file");
  for (const std::string& server : servers_of(*place)) {
    if (server.empty())
      return failure(Errc::invalid_argument,
                     fmt::format("expected the name of a server, as in {}, or "
                                 "?host=/run/postgresql for the socket of one "
                                 "on this machine",
                                 example));
    if (!is_here(server) && value_of(*place, "sslmode") != "verify-full")
      return failure(
          Errc::invalid_argument,
          fmt::format("{} is another machine, and what it says becomes "
                      "commands on this one: add ?sslmode=verify-full, and "
                      "sslrootcert=FILE unless ~/.postgresql/root.crt has the "
                      "certificate of its authority",
                      printable(server)));
  }
  return {};
}

}  // namespace troupe::store
