#include <troupe/base/assert.hpp>
#include <troupe/content/sha256.hpp>

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <openssl/evp.h>

namespace troupe::content {
namespace {

constexpr std::size_t hash_digits = 64;

}  // namespace

void Sha256::Free::operator()(evp_md_ctx_st* context) const {
  EVP_MD_CTX_free(context);
}

Sha256::Sha256() : context_{EVP_MD_CTX_new()} {
  const bool begun =
      context_ && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1;
  TROUPE_ASSERT(begun);
}
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::add(std::string_view bytes) {
  const bool added =
      EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1;
  TROUPE_ASSERT(added);
}

void Sha256::add_text(std::string_view text) {
  add(fmt::format("{}:", text.size()));
  add(text);
}

std::string Sha256::finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned size = 0;
  const bool finished =
      EVP_DigestFinal_ex(context_.get(), bytes.data(), &size) == 1;
  TROUPE_ASSERT(finished);
  std::string hex;
  hex.reserve(hash_digits);
  for (unsigned i = 0; i < size; ++i)
    hex += fmt::format("{:02x}", bytes[i]);
  return hex;
}

std::string sha256_of(std::string_view bytes) {
  Sha256 hash;
  hash.add(bytes);
  return hash.finish();
}

bool is_sha256(std::string_view text) {
  return text.size() == hash_digits &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace troupe::content
