#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace troupe::process {

enum class Stream : std::uint8_t { out = 1, err = 2 };

/// Whether a sink can take more at once.
enum class SinkState : std::uint8_t {
  ready,
  /// The bytes were taken, but no more may come before the sink has called the
  /// `resume` it was given. The command's pipe fills and the command waits.
  full,
};

/// Where the captured output of one attempt goes. Called on the I/O thread
/// only, in the order the bytes were read; must not block on anything that a
/// reader far away controls (a terminal, a pipe), files are fine.
class OutputSink {
 public:
  virtual ~OutputSink() = default;

  /// Takes all of `bytes` (at most 64 KiB, never empty).
  [[nodiscard]] virtual SinkState write(Stream stream,
                                        std::string_view bytes) = 0;

  /// Called once before the first write. `resume` may be called from any
  /// thread, any number of times, also after the attempt has ended.
  // NOLINTNEXTLINE(performance-unnecessary-value-param): sinks keep it.
  virtual void on_attach(std::function<void()> /*resume*/) {}
};

}  // namespace troupe::process
