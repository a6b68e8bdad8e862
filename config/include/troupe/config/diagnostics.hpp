#pragma once

#include <troupe/base/error.hpp>
#include <troupe/config/source.hpp>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace troupe::config {

enum class Severity : std::uint8_t {
  error,    ///< The file cannot be used.
  warning,  ///< It can, but may do what its author does not expect.
};

/// One thing that is wrong with a file.
struct Diagnostic {
  Span where;
  std::string message;  ///< A lower-case phrase without a full stop.
  std::string hint;     ///< `did you mean "timeout"?`, or empty.
  Severity severity = Severity::error;
  /// What is wrong with another file that is named here: it is shown first.
  std::string before{};

  friend bool operator==(const Diagnostic&, const Diagnostic&) = default;
};

/// Collects what is wrong with one file, so that a person gets it all in one
/// go. Owned by whoever reads the file; one thread.
class Diagnostics {
 public:
  /// As many are shown; the rest is counted. A file with more of them is most
  /// likely not a file of this kind at all.
  static constexpr std::size_t most_shown = 20;

  explicit Diagnostics(std::shared_ptr<const Source> source)
      : source_{std::move(source)} {}

  /// Notes an error. The second one about the same place is dropped: it is
  /// mostly a consequence of the first.
  void add(Span where, std::string message, std::string hint = {});
  /// Notes that the file that is named at `where` is wrong, as `other` tells;
  /// `message` says how it is named: "included here".
  void add_behind(Span where, std::string message, const Diagnostics& other);
  /// Notes a warning, unless there is an error about the same place.
  void warn(Span where, std::string message, std::string hint = {});

  [[nodiscard]] bool empty() const { return found_.empty(); }
  [[nodiscard]] std::size_t errors() const { return count(Severity::error); }
  [[nodiscard]] std::size_t warnings() const {
    return count(Severity::warning);
  }
  /// In the order of their places, at most 1,000.
  [[nodiscard]] const std::vector<Diagnostic>& found() const { return found_; }
  [[nodiscard]] const Source& source() const { return *source_; }

  /// For people, one after the other, without a line break at the end:
  ///
  ///     etl.yaml:7:5: unknown key "tiemout" in a job; did you mean "timeout"?
  ///         tiemout: 5m
  ///         ^~~~~~~
  ///
  /// Of a warning the message begins with "warning: ".
  [[nodiscard]] std::string text() const;

  /// text() as an Error with Errc::invalid_argument. Must not be empty.
  [[nodiscard]] Error error() const;

 private:
  void keep(std::vector<Diagnostic>::iterator at, Diagnostic added);
  [[nodiscard]] std::size_t count(Severity severity) const;

  std::shared_ptr<const Source> source_;
  std::vector<Diagnostic> found_;
  std::array<std::size_t, 2> dropped_{};  ///< By severity.
};

/// `did you mean "x"?` for the nearest of `known`, or nothing.
[[nodiscard]] std::string did_you_mean(
    std::string_view word, const std::vector<std::string_view>& known);

}  // namespace troupe::config
