#pragma once

/// Arguments from a file, a pipe or a terminal, which may have to be waited
/// for.
#include <troupe/fanout/argument_source.hpp>

#include <functional>
#include <memory>

namespace troupe::cli {

/// What the readers of one map have in common with the outside.
class ReaderControl {
 public:
  ReaderControl();
  ReaderControl(const ReaderControl&) = delete;
  ReaderControl& operator=(const ReaderControl&) = delete;
  ~ReaderControl();

  /// From now on all reads end at once. From any thread.
  void interrupt() const;
  [[nodiscard]] int descriptor() const { return fd_; }

  /// Called, on the reading thread, before a read that has to wait: what was
  /// read before must not wait with it. Set by the reader actor.
  std::function<void()> about_to_wait;

 private:
  int fd_;
};

/// Reads a file, a pipe or a terminal. `fd` is owned if it is above 2.
[[nodiscard]] std::unique_ptr<fanout::ByteReader> make_reader(
    int fd, std::shared_ptr<ReaderControl> control);

}  // namespace troupe::cli
