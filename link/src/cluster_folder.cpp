#include "enrolment_text.hpp"
#include "secret_file.hpp"

#include <troupe/base/text.hpp>
#include <troupe/base/wall_time.hpp>
#include <troupe/link/cluster_folder.hpp>

#include <nlohmann/json.hpp>

#include <cerrno>
#include <fmt/format.h>
#include <unistd.h>
#include <utility>

namespace troupe::link {
namespace {

using Json = nlohmann::ordered_json;

constexpr Duration longest_folder_lock = 10s;
constexpr std::size_t largest_identity = 64 << 10;
constexpr std::size_t largest_roster_file = 8 << 20;
constexpr std::string_view certificate_start = "-----BEGIN CERTIFICATE-----";

std::string roster_path(const std::string& folder) {
  return folder + "/roster.json";
}
std::string pending_path(const std::string& folder) {
  return folder + "/pending.json";
}

/// An enrolment that has begun.
struct Pending {
  std::string token;  ///< Its hash.
  std::string authority;
  std::string key;
};

Result<Pending> read_pending(const std::string& folder) {
  const std::string path = pending_path(folder);
  const auto text = read_secret_file(path, largest_identity);
  if (!text)
    return tl::unexpected(text.error());
  const Json root = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  const auto has = [&root](const char* key) {
    return root.is_object() && root.contains(key) && root[key].is_string();
  };
  if (!has("token") || !has("authority") || !has("key"))
    return failure(Errc::corrupt,
                   fmt::format("{} is not whole; remove it and enrol anew",
                               printable(path)));
  return Pending{root["token"].get<std::string>(),
                 root["authority"].get<std::string>(),
                 root["key"].get<std::string>()};
}

/// The three of identity.pem.
Result<Identity> check_file(const std::string& pem, WallTime now) {
  const std::size_t own = pem.find(certificate_start);
  const std::size_t authority =
      own == std::string::npos
          ? own
          : pem.find(certificate_start, own + certificate_start.size());
  if (authority == std::string::npos)
    return failure(Errc::corrupt, "it lacks a certificate");
  return check_identity(pem.substr(0, own), pem.substr(own, authority - own),
                        pem.substr(authority), now);
}

/// Whether the answer was taken before, and became the identity.
bool is_own(const Result<Identity>& identity, const CertificateInfo& info) {
  if (!identity)
    return false;
  const auto own = read_certificate(identity->certificate);
  return own && own->fingerprint == info.fingerprint;
}

}  // namespace

Result<std::string> ClusterFolder::begin(std::string_view text) const {
  const auto token = parse_token(text);
  if (!token)
    return tl::unexpected(token.error());
  if (auto made = make_secret_folder(path_); !made)
    return tl::unexpected(std::move(made.error()));
  const auto lock = lock_secret_folder(path_, longest_folder_lock);
  if (!lock)
    return tl::unexpected(lock.error());
  const std::string hash = hash_of(token->secret);
  auto pending = read_pending(path_);
  if (!pending || pending->token != hash) {
    auto key = make_key();
    if (!key)
      return tl::unexpected(std::move(key.error()));
    pending = Pending{hash, token->fingerprint, std::move(*key)};
    const Json json{{"token", pending->token},
                    {"authority", pending->authority},
                    {"key", pending->key}};
    if (auto written = write_secret_file(pending_path(path_), json.dump(1));
        !written)
      return tl::unexpected(std::move(written.error()));
  }
  auto request = make_request(pending->key);
  if (!request)
    return tl::unexpected(std::move(request.error()));
  return to_text(RequestText{token->secret, std::move(*request)});
}

Result<ClusterFolder::Enrolled> ClusterFolder::finish(std::string_view text,
                                                      WallTime now) const {
  const auto answer = parse_answer(text);
  if (!answer)
    return tl::unexpected(answer.error());
  const auto info = read_certificate(answer->certificate);
  if (!info)
    return tl::unexpected(Error{info.error()}.within("certificate"));
  const auto lock = lock_secret_folder(path_, longest_folder_lock);
  if (!lock)
    return tl::unexpected(lock.error());
  const auto pending = read_pending(path_);
  if (!pending) {
    if (const auto own = identity(now); is_own(own, *info))
      return Enrolled{own->node, answer->name, info->until};
    if (pending.error().code != Errc::not_found)
      return tl::unexpected(pending.error());
    return failure(Errc::not_found,
                   fmt::format("no enrolment has begun in {}; give the token "
                               "first",
                               printable(path_)));
  }
  const auto authority = read_certificate(answer->authority);
  if (!authority)
    return tl::unexpected(Error{authority.error()}.within("authority"));
  if (authority->fingerprint != pending->authority || !authority->is_authority)
    return failure(Errc::permission_denied,
                   "the answer comes from another authority than the token");
  const auto checked =
      check_identity(pending->key, answer->certificate, answer->authority, now);
  if (!checked)
    return tl::unexpected(checked.error());
  if (auto written = write_secret_file(
          identity_path(),
          checked->key + checked->certificate + checked->authority);
      !written)
    return tl::unexpected(std::move(written.error()));
  // If it stays, the next answer to the same request is taken once more.
  ::unlink(pending_path(path_).c_str());
  return Enrolled{checked->node, answer->name, info->until};
}

Result<Identity> ClusterFolder::identity(WallTime now) const {
  const std::string path = identity_path();
  const auto pem = read_secret_file(path, largest_identity);
  if (!pem && pem.error().code == Errc::not_found)
    return failure(Errc::not_found,
                   fmt::format("this host is not enrolled in a cluster: there "
                               "is no {}; see troupe cluster --help",
                               printable(path)));
  if (!pem)
    return tl::unexpected(pem.error());
  auto identity = check_file(*pem, now);
  if (!identity)
    return tl::unexpected(std::move(identity.error()).within(path));
  return identity;
}

Result<std::optional<Roster>> ClusterFolder::roster() const {
  const std::string path = roster_path(path_);
  auto text = read_secret_file(path, largest_roster_file);
  if (!text && text.error().code == Errc::not_found)
    return std::optional<Roster>{};
  if (!text)
    return tl::unexpected(std::move(text.error()));
  auto roster = parse_roster(*text);
  if (!roster)
    return tl::unexpected(std::move(roster.error()).within(path));
  return std::optional{std::move(*roster)};
}

Result<void> ClusterFolder::take_roster(const Roster& roster,
                                        std::string_view authority,
                                        WallTime now) const {
  const auto own = identity(now);
  if (!own)
    return own.error().code == Errc::not_found ? Result<void>{}
                                               : tl::unexpected(own.error());
  const auto info = read_certificate(own->authority);
  if (!info)
    return tl::unexpected(info.error());
  if (info->fingerprint != authority)
    return {};
  const auto lock = lock_secret_folder(path_, longest_folder_lock);
  if (!lock)
    return tl::unexpected(lock.error());
  const auto known = this->roster();
  if (!known)
    return tl::unexpected(known.error());
  if (*known && (*known)->number() >= roster.number())
    return {};
  return write_secret_file(roster_path(path_), to_json(roster));
}

}  // namespace troupe::link
