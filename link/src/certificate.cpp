#include <troupe/base/random_name.hpp>
#include <troupe/base/text.hpp>
#include <troupe/link/certificate.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <fmt/format.h>
#include <memory>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <utility>
#include <vector>

namespace troupe::link {
namespace {

using distributed::NodeId;

constexpr std::string_view node_uri = "troupe:node:";
constexpr int serial_bytes = 16;
constexpr std::size_t secret_bytes = 32;

template <auto free>
struct Free {
  template <class T>
  void operator()(T* object) const {
    free(object);
  }
};
using Bio = std::unique_ptr<BIO, Free<BIO_free_all>>;
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Free<X509_free>>;
using Request = std::unique_ptr<X509_REQ, Free<X509_REQ_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES_free>>;
using Store = std::unique_ptr<X509_STORE, Free<X509_STORE_free>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, Free<X509_STORE_CTX_free>>;

/// What the library has to say; its list of errors is empty afterwards.
tl::unexpected<Error> failed(Errc code, std::string_view what) {
  const unsigned long error = ERR_peek_last_error();
  const char* const reason =
      error == 0 ? nullptr : ERR_reason_error_string(error);
  ERR_clear_error();
  return failure(code, reason == nullptr ? std::string{what}
                                         : fmt::format("{}: {}", what, reason));
}

Bio reader_of(std::string_view text) {
  return Bio{BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))};
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const auto size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

/// Never asks for a passphrase on a terminal.
int no_passphrase(char*, int, int, void*) { return -1; }

Result<Key> read_key(std::string_view pem) {
  const Bio bio = reader_of(pem);
  Key key{PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr)};
  if (!key)
    return failed(Errc::corrupt, "this is no private key");
  if (EVP_PKEY_is_a(key.get(), "ED25519") != 1)
    return failure(Errc::corrupt, "this is no Ed25519 key");
  return key;
}

Result<Certificate> parse_certificate(std::string_view pem) {
  const Bio bio = reader_of(pem);
  Certificate certificate{
      PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr)};
  if (!certificate)
    return failed(Errc::corrupt, "this is no certificate");
  return certificate;
}

Result<Request> read_request(std::string_view pem) {
  const Bio bio = reader_of(pem);
  Request request{
      PEM_read_bio_X509_REQ(bio.get(), nullptr, no_passphrase, nullptr)};
  if (!request)
    return failed(Errc::corrupt, "this is no request for a certificate");
  EVP_PKEY* const key = X509_REQ_get0_pubkey(request.get());
  if (key == nullptr || EVP_PKEY_is_a(key, "ED25519") != 1)
    return failed(Errc::corrupt, "the request is not for an Ed25519 key");
  if (X509_REQ_verify(request.get(), key) != 1)
    return failed(Errc::corrupt, "the request is not signed with its key");
  return request;
}

std::string hex_of(const unsigned char* bytes, std::size_t size) {
  std::string text;
  for (std::size_t i = 0; i < size; ++i)
    text += fmt::format("{:02x}", bytes[i]);
  return text;
}

std::string hash_of_key(EVP_PKEY* key) {
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key, &der);
  if (size < 0)
    return {};
  std::string hash = hash_of(
      {reinterpret_cast<const char*>(der), static_cast<std::size_t>(size)});
  OPENSSL_free(der);
  return hash;
}

std::optional<WallTime> wall_time_of(const ASN1_TIME* time) {
  tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1)
    return std::nullopt;
  using namespace std::chrono;
  const auto day = year{parts.tm_year + 1900} /
                   month{static_cast<unsigned>(parts.tm_mon + 1)} /
                   std::chrono::day{static_cast<unsigned>(parts.tm_mday)};
  if (!day.ok())
    return std::nullopt;
  return sys_days{day} + hours{parts.tm_hour} + minutes{parts.tm_min} +
         seconds{parts.tm_sec};
}

std::time_t seconds_of(WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(
             time.time_since_epoch())
      .count();
}

/// The id in a certificate that names one node and nothing else.
std::optional<NodeId> node_of(X509* certificate) {
  const Names names{static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr))};
  if (!names || sk_GENERAL_NAME_num(names.get()) != 1)
    return std::nullopt;
  const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names.get(), 0);
  if (name->type != GEN_URI)
    return std::nullopt;
  const ASN1_IA5STRING* const uri = name->d.uniformResourceIdentifier;
  const std::string_view text{
      reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
      static_cast<std::size_t>(ASN1_STRING_length(uri))};
  if (!text.starts_with(node_uri))
    return std::nullopt;
  const auto node = distributed::parse_node_id(text.substr(node_uri.size()));
  return node ? std::optional{*node} : std::nullopt;
}

bool add_extension(X509* certificate, X509* issuer, int nid,
                   const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Extension extension{
      X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str())};
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool set_serial(X509* certificate) {
  std::array<unsigned char, serial_bytes> bytes{};
  if (RAND_bytes(bytes.data(), serial_bytes) != 1)
    return false;
  bytes[0] = (bytes[0] & 0x7fU) | 0x40U;  // Positive, and of that length.
  const std::unique_ptr<BIGNUM, Free<BN_free>> number{
      BN_bin2bn(bytes.data(), serial_bytes, nullptr)};
  return number &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) !=
             nullptr;
}

bool set_subject(X509* certificate, std::string_view name) {
  X509_NAME* const subject = X509_get_subject_name(certificate);
  return X509_NAME_add_entry_by_txt(
             subject, "CN", MBSTRING_UTF8,
             reinterpret_cast<const unsigned char*>(name.data()),
             static_cast<int>(name.size()), -1, 0) == 1;
}

bool set_times(X509* certificate, WallTime from, WallTime until) {
  return ASN1_TIME_set(X509_getm_notBefore(certificate), seconds_of(from)) !=
             nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(certificate), seconds_of(until)) !=
             nullptr;
}

Result<std::string> pem_of(X509* certificate) {
  const Bio bio{BIO_new(BIO_s_mem())};
  if (!bio || PEM_write_bio_X509(bio.get(), certificate) != 1)
    return failed(Errc::internal, "cannot write a certificate");
  return text_of(bio.get());
}

bool belong_together(X509* certificate, EVP_PKEY* key) {
  const bool is_so = X509_check_private_key(certificate, key) == 1;
  ERR_clear_error();
  return is_so;
}

/// Whether `authority` has signed `certificate`, at `now`, for what links do.
Result<void> verify(X509* certificate, X509* authority, WallTime now) {
  const Store store{X509_STORE_new()};
  const StoreContext context{X509_STORE_CTX_new()};
  if (!store || !context || X509_STORE_add_cert(store.get(), authority) != 1 ||
      X509_STORE_CTX_init(context.get(), store.get(), certificate, nullptr) !=
          1)
    return failed(Errc::internal, "cannot check a certificate");
  X509_VERIFY_PARAM* const rules = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(rules, seconds_of(now));
  X509_VERIFY_PARAM_set_depth(rules, 0);
  if (X509_verify_cert(context.get()) == 1)
    return {};
  const int error = X509_STORE_CTX_get_error(context.get());
  ERR_clear_error();
  return failure(Errc::permission_denied,
                 fmt::format("the certificate is not valid here: {}",
                             X509_verify_cert_error_string(error)));
}

}  // namespace

Result<std::string> make_key() {
  const Key key{EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")};
  const Bio bio{BIO_new(BIO_s_mem())};
  if (!key || !bio ||
      PEM_write_bio_PKCS8PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0,
                                    nullptr, nullptr) != 1)
    return failed(Errc::internal, "cannot make a key");
  return text_of(bio.get());
}

Result<std::string> make_request(std::string_view pem) {
  const auto key = read_key(pem);
  if (!key)
    return tl::unexpected(key.error());
  const Request request{X509_REQ_new()};
  const Bio bio{BIO_new(BIO_s_mem())};
  if (!request || !bio || X509_REQ_set_pubkey(request.get(), key->get()) != 1 ||
      X509_REQ_sign(request.get(), key->get(), nullptr) == 0 ||
      PEM_write_bio_X509_REQ(bio.get(), request.get()) != 1)
    return failed(Errc::internal, "cannot make a request");
  return text_of(bio.get());
}

Result<std::string> key_of_request(std::string_view pem) {
  const auto request = read_request(pem);
  if (!request)
    return tl::unexpected(request.error());
  return hash_of_key(X509_REQ_get0_pubkey(request->get()));
}

Result<std::string> make_authority_certificate(std::string_view pem,
                                               WallTime now) {
  const auto key = read_key(pem);
  if (!key)
    return tl::unexpected(key.error());
  const Certificate certificate{X509_new()};
  X509* const x = certificate.get();
  const bool is_made =
      x != nullptr && X509_set_version(x, X509_VERSION_3) == 1 &&
      set_serial(x) && set_subject(x, "Troupe cluster authority") &&
      X509_set_issuer_name(x, X509_get_subject_name(x)) == 1 &&
      set_times(x, now - valid_before, now + authority_valid) &&
      X509_set_pubkey(x, key->get()) == 1 &&
      add_extension(x, x, NID_basic_constraints,
                    "critical,CA:TRUE,pathlen:0") &&
      add_extension(x, x, NID_key_usage, "critical,keyCertSign,cRLSign") &&
      add_extension(x, x, NID_subject_key_identifier, "hash") &&
      X509_sign(x, key->get(), nullptr) != 0;
  if (!is_made)
    return failed(Errc::internal, "cannot make a certificate");
  return pem_of(x);
}

Result<std::string> sign_certificate(const Signer& authority,
                                     std::string_view request_pem,
                                     const NodeId& node, std::string_view name,
                                     WallTime now) {
  const auto request = read_request(request_pem);
  if (!request)
    return tl::unexpected(request.error());
  const auto issuer = parse_certificate(authority.certificate);
  if (!issuer)
    return tl::unexpected(Error{issuer.error()}.within("authority"));
  const auto key = read_key(authority.key);
  if (!key)
    return tl::unexpected(Error{key.error()}.within("authority"));
  if (!belong_together(issuer->get(), key->get()))
    return failure(Errc::corrupt,
                   "authority: the certificate is for another "
                   "key");
  const auto until = wall_time_of(X509_get0_notAfter(issuer->get()));
  if (!until || *until <= now)
    return failure(Errc::permission_denied,
                   "the certificate of the authority has expired");
  const Certificate certificate{X509_new()};
  X509* const x = certificate.get();
  const bool is_made =
      x != nullptr && X509_set_version(x, X509_VERSION_3) == 1 &&
      set_serial(x) && set_subject(x, name) &&
      X509_set_issuer_name(x, X509_get_subject_name(issuer->get())) == 1 &&
      set_times(x, now - valid_before, std::min(*until, now + node_valid)) &&
      X509_set_pubkey(x, X509_REQ_get0_pubkey(request->get())) == 1 &&
      add_extension(x, issuer->get(), NID_basic_constraints,
                    "critical,CA:FALSE") &&
      add_extension(x, issuer->get(), NID_key_usage,
                    "critical,digitalSignature") &&
      add_extension(x, issuer->get(), NID_ext_key_usage,
                    "serverAuth,clientAuth") &&
      add_extension(x, issuer->get(), NID_subject_key_identifier, "hash") &&
      add_extension(x, issuer->get(), NID_authority_key_identifier, "keyid") &&
      add_extension(x, issuer->get(), NID_subject_alt_name,
                    fmt::format("URI:{}{}", node_uri, to_string(node))) &&
      X509_sign(x, key->get(), nullptr) != 0;
  if (!is_made)
    return failed(Errc::internal, "cannot make a certificate");
  return pem_of(x);
}

namespace {

/// Empty if it has none that a node could have.
std::string name_of(x509_st* certificate) {
  std::array<char, longest_node_name + 1> name{};
  const int size =
      X509_NAME_get_text_by_NID(X509_get_subject_name(certificate),
                                NID_commonName, name.data(), name.size());
  std::string text{name.data(), static_cast<std::size_t>(std::max(size, 0))};
  return check_node_name(text) ? text : "";
}

}  // namespace

Result<CertificateInfo> read_certificate(x509_st* certificate) {
  EVP_PKEY* const key = X509_get0_pubkey(certificate);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  const auto from = wall_time_of(X509_get0_notBefore(certificate));
  const auto until = wall_time_of(X509_get0_notAfter(certificate));
  if (key == nullptr || !from || !until ||
      X509_digest(certificate, EVP_sha256(), digest.data(), &size) != 1)
    return failed(Errc::corrupt, "the certificate is not whole");
  return CertificateInfo{.node = node_of(certificate),
                         .key = hash_of_key(key),
                         .fingerprint = hex_of(digest.data(), size),
                         .from = *from,
                         .until = *until,
                         .is_authority = X509_check_ca(certificate) == 1};
}

Result<CertificateInfo> read_certificate(std::string_view pem) {
  const auto certificate = parse_certificate(pem);
  if (!certificate)
    return tl::unexpected(certificate.error());
  return read_certificate(certificate->get());
}

Result<Identity> check_identity(std::string key, std::string certificate,
                                std::string authority, WallTime now) {
  const auto own_key = read_key(key);
  if (!own_key)
    return tl::unexpected(own_key.error());
  const auto own = parse_certificate(certificate);
  if (!own)
    return tl::unexpected(own.error());
  const auto issuer = parse_certificate(authority);
  if (!issuer)
    return tl::unexpected(Error{issuer.error()}.within("authority"));
  if (!belong_together(own->get(), own_key->get()))
    return failure(Errc::corrupt, "the certificate is for another key");
  const auto node = node_of(own->get());
  if (!node)
    return failure(Errc::corrupt, "the certificate names no node");
  if (auto verified = verify(own->get(), issuer->get(), now); !verified)
    return tl::unexpected(std::move(verified.error()));
  return Identity{.node = *node,
                  .key = std::move(key),
                  .certificate = std::move(certificate),
                  .authority = std::move(authority),
                  .name = name_of(own->get())};
}

Result<std::string> make_secret() {
  std::array<unsigned char, secret_bytes> bytes{};
  // 32 bytes are 43 digits, one "=" and a zero.
  std::array<unsigned char, 45> text{};
  if (RAND_bytes(bytes.data(), secret_bytes) != 1)
    return failed(Errc::internal, "there is no randomness");
  EVP_EncodeBlock(text.data(), bytes.data(), secret_bytes);
  std::string secret{reinterpret_cast<const char*>(text.data()), 43};
  std::replace(secret.begin(), secret.end(), '+', '-');
  std::replace(secret.begin(), secret.end(), '/', '_');
  return secret;
}

std::string hash_of(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(),
                 nullptr) != 1)
    return {};
  return hex_of(digest.data(), size);
}

NodeId make_node_id() {
  std::string digits = random_name(4);
  digits[12] = '4';
  digits[16] = "89ab"[static_cast<unsigned char>(digits[16]) % 4U];
  for (const std::size_t dash : {8U, 13U, 18U, 23U})
    digits.insert(dash, "-");
  return distributed::parse_node_id(digits).value_or(NodeId{});
}

}  // namespace troupe::link
