#include "enrolment_text.hpp"
#include "secret_file.hpp"

#include <troupe/base/text.hpp>
#include <troupe/link/authority.hpp>

#include <chrono>
#include <fmt/format.h>
#include <unistd.h>
#include <utility>

namespace troupe::link {
namespace {

constexpr Duration longest_lock = 10s;
constexpr std::size_t largest_pem = 64 << 10;
/// A node takes some 1.5 KiB, most of it its certificate.
constexpr std::size_t largest_enrolments = 32 << 20;

std::string signer_path(const std::string& folder) {
  return folder + "/authority.pem";
}

std::string enrolments_path(const std::string& folder) {
  return folder + "/enrolments.json";
}

/// Whole seconds are what certificates and our files have.
WallTime whole(WallTime now) {
  return std::chrono::floor<std::chrono::seconds>(now);
}

}  // namespace

Authority::Authority(std::string folder, OwnedFd lock, Signer signer,
                     CertificateInfo info)
    : folder_{std::move(folder)},
      lock_{std::move(lock)},
      signer_{std::move(signer)},
      info_{std::move(info)} {}

std::string Authority::roster_path() const { return folder_ + "/roster.json"; }

Result<Authority> Authority::create(const std::string& folder, WallTime now) {
  if (auto made = make_secret_folder(folder); !made)
    return tl::unexpected(std::move(made.error()));
  auto lock = lock_secret_folder(folder, longest_lock);
  if (!lock)
    return tl::unexpected(std::move(lock.error()));
  const std::string path = signer_path(folder);
  if (::access(path.c_str(), F_OK) == 0)
    return failure(Errc::already_exists,
                   fmt::format("there is an authority in {}; another key would "
                               "make strangers of its nodes",
                               printable(folder)));
  auto key = make_key();
  if (!key)
    return tl::unexpected(std::move(key.error()));
  auto certificate = make_authority_certificate(*key, whole(now));
  if (!certificate)
    return tl::unexpected(std::move(certificate.error()));
  auto info = read_certificate(*certificate);
  if (!info)
    return tl::unexpected(std::move(info.error()));
  Authority authority{folder, std::move(*lock), Signer{*certificate, *key},
                      std::move(*info)};
  // The key comes last: with it, all is there.
  if (auto saved = authority.save({}); !saved)
    return tl::unexpected(std::move(saved.error()));
  if (auto written = write_secret_file(path, *key + *certificate); !written)
    return tl::unexpected(std::move(written.error()));
  return authority;
}

Result<Authority> Authority::open(const std::string& folder) {
  const std::string path = signer_path(folder);
  auto pem = read_secret_file(path, largest_pem);
  if (!pem && pem.error().code == Errc::not_found)
    return failure(Errc::not_found,
                   fmt::format("there is no authority in {}; troupe cluster "
                               "init makes one, on one host of the cluster",
                               printable(folder)));
  if (!pem)
    return tl::unexpected(std::move(pem.error()));
  auto lock = lock_secret_folder(folder, longest_lock);
  if (!lock)
    return tl::unexpected(std::move(lock.error()));
  auto info = read_certificate(*pem);
  if (!info)
    return tl::unexpected(std::move(info.error()).within(path));
  const std::string list = enrolments_path(folder);
  auto text = read_secret_file(list, largest_enrolments);
  if (!text)
    return tl::unexpected(std::move(text.error()));
  auto enrolments = parse_enrolments(*text);
  if (!enrolments)
    return tl::unexpected(std::move(enrolments.error()).within(list));
  Authority authority{folder, std::move(*lock), Signer{*pem, *pem},
                      std::move(*info)};
  authority.enrolments_ = std::move(*enrolments);
  return authority;
}

Result<void> Authority::save(Enrolments changed) {
  if (auto written =
          write_secret_file(enrolments_path(folder_), to_json(changed));
      !written)
    return written;
  enrolments_ = std::move(changed);
  // Follows from what was written: if this fails, the next change makes it.
  return write_secret_file(roster_path(), to_json(enrolments_.roster()));
}

Result<std::string> Authority::add_token(const std::string& name, bool renews,
                                         Duration valid, WallTime now) {
  auto secret = make_secret();
  if (!secret)
    return tl::unexpected(std::move(secret.error()));
  Enrolments changed = enrolments_;
  if (auto added = changed.add_token(hash_of(*secret), name, make_node_id(),
                                     renews, valid, whole(now));
      !added)
    return tl::unexpected(std::move(added.error()));
  if (auto saved = save(std::move(changed)); !saved)
    return tl::unexpected(std::move(saved.error()));
  return to_text(TokenText{*secret, info_.fingerprint});
}

Result<Authority::Signed> Authority::sign(std::string_view text, WallTime now) {
  const auto request = parse_request(text);
  if (!request)
    return tl::unexpected(request.error());
  auto key = key_of_request(request->request);
  if (!key)
    return tl::unexpected(std::move(key.error()));
  const std::string hash = hash_of(request->secret);
  auto grant = enrolments_.redeem(hash, *key, now);
  if (!grant)
    return tl::unexpected(std::move(grant.error()));
  const bool is_repeated = !grant->certificate.empty();
  if (!is_repeated) {
    auto certificate = sign_certificate(signer_, request->request, grant->node,
                                        grant->name, whole(now));
    if (!certificate)
      return tl::unexpected(std::move(certificate.error()));
    const auto info = read_certificate(*certificate);
    if (!info)
      return tl::unexpected(info.error());
    Enrolments changed = enrolments_;
    changed.issue(hash, {.node = grant->node,
                         .name = grant->name,
                         .key = *key,
                         .certificate = *certificate,
                         .issued = whole(now),
                         .expires = info->until});
    if (auto saved = save(std::move(changed)); !saved)
      return tl::unexpected(std::move(saved.error()));
    grant->certificate = std::move(*certificate);
  }
  // What follows the certificate in the file is not for others.
  const std::string_view signer{signer_.certificate};
  const std::size_t begin = signer.find("-----BEGIN CERTIFICATE-----");
  return Signed{to_text(AnswerText{grant->name, std::move(grant->certificate),
                                   std::string{signer.substr(begin)}}),
                grant->name, grant->node, is_repeated};
}

Result<WallTime> Authority::revoke(std::string_view who, WallTime now) {
  Enrolments changed = enrolments_;
  const auto revoked = changed.revoke(who, whole(now));
  if (!revoked)
    return revoked;
  if (auto saved = save(std::move(changed)); !saved)
    return tl::unexpected(std::move(saved.error()));
  return revoked;
}

}  // namespace troupe::link
