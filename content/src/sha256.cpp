#include <troupe/content/sha256.hpp>

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <nettle/sha2.h>

namespace troupe::content {
namespace {

constexpr std::size_t hash_digits = 64;

}  // namespace

Sha256::Sha256() : context_{std::make_unique<sha256_ctx>()} {
  ::sha256_init(context_.get());
}
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::add(std::string_view bytes) {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): bytes.
  ::sha256_update(context_.get(), bytes.size(),
                  reinterpret_cast<const std::uint8_t*>(bytes.data()));
}

void Sha256::add_text(std::string_view text) {
  add(fmt::format("{}:", text.size()));
  add(text);
}

std::string Sha256::finish() {
  std::array<std::uint8_t, SHA256_DIGEST_SIZE> bytes{};
  ::sha256_digest(context_.get(), bytes.size(), bytes.data());
  std::string hex;
  hex.reserve(hash_digits);
  for (const std::uint8_t byte : bytes)
    hex += fmt::format("{:02x}", byte);
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
