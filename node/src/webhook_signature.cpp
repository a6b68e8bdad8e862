#include "webhook_signature.hpp"

#include <array>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace troupe::node {

std::string signature_of(std::string_view body, std::string_view secret) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
           reinterpret_cast<const unsigned char*>(body.data()), body.size(),
           digest.data(), &size) == nullptr)
    return {};
  std::string text = "sha256=";
  for (unsigned int i = 0; i < size; ++i)
    text += fmt::format("{:02x}", digest[i]);
  return text;
}

bool is_signed(std::string_view body, std::string_view secret,
               std::string_view signature) {
  if (secret.empty())
    return false;
  const std::string expected = signature_of(body, secret);
  if (expected.empty() || signature.size() != expected.size())
    return false;
  std::string small{signature};
  for (char& c : small) {
    if (c >= 'A' && c <= 'F')
      c = static_cast<char>(c - 'A' + 'a');
  }
  return CRYPTO_memcmp(small.data(), expected.data(), expected.size()) == 0;
}

}  // namespace troupe::node
