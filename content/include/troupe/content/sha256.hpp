#pragma once

#include <memory>
#include <string>
#include <string_view>

struct sha256_ctx;

namespace troupe::content {

/// SHA-256 (FIPS 180-4) of bytes that come in pieces. One thread.
class Sha256 {
 public:
  Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  ~Sha256();

  void add(std::string_view bytes);

  /// Adds `text` with its length, so that of several texts each counts where it
  /// begins and ends.
  void add_text(std::string_view text);

  /// In hexadecimal. Nothing can be added after that.
  [[nodiscard]] std::string finish();

 private:
  std::unique_ptr<sha256_ctx> context_;
};

[[nodiscard]] std::string sha256_of(std::string_view bytes);

/// Whether `text` could be a hash: 64 hexadecimal digits, in lower case.
[[nodiscard]] bool is_sha256(std::string_view text);

}  // namespace troupe::content
