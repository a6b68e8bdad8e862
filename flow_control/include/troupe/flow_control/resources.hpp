#pragma once

#include <troupe/base/error.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace troupe::flow_control {

/// Amounts by name, such as 2 of "cpu" and 1 GiB of "mem", in thousandths. A
/// value; nothing is zero by default, so an amount that is not named is none.
class Resources {
 public:
  static constexpr std::uint64_t unit = 1000;

  /// Reads "cpu=2,mem=1GiB,gpu=0.5". Names are letters, digits, '_' and '-';
  /// "mem" is a size, others are numbers with up to three digits behind the
  /// point, below 10^12. The empty text is no resources.
  ///
  /// Errors: invalid_argument, naming the part that is wrong.
  [[nodiscard]] static Result<Resources> parse(std::string_view text);

  /// The canonical form that parse() reads: by name, in the shortest digits,
  /// "mem" in bytes.
  [[nodiscard]] std::string text() const;

  void set(const std::string& name, std::uint64_t thousandths);
  [[nodiscard]] std::uint64_t amount(const std::string& name) const;
  [[nodiscard]] bool empty() const { return amounts_.empty(); }
  [[nodiscard]] const std::map<std::string, std::uint64_t>& amounts() const {
    return amounts_;
  }

  /// How often `part` can be taken; nullopt for any number of times.
  [[nodiscard]] std::optional<std::uint64_t> times(const Resources& part) const;

  /// The name of the first of `part` that there is not enough of.
  [[nodiscard]] std::optional<std::string> lacks(const Resources& part) const;

  /// `part` has to be there.
  void take(const Resources& part);
  void give_back(const Resources& part);

  friend bool operator==(const Resources&, const Resources&) = default;

 private:
  std::map<std::string, std::uint64_t> amounts_;  ///< None is zero.
};

/// "0.5" for 500; for "mem" the bytes.
[[nodiscard]] std::string format_amount(const std::string& name,
                                        std::uint64_t thousandths);

}  // namespace troupe::flow_control
