#pragma once

/// Reads the arguments of a map, which may block for ever: an actor with a
/// thread of its own, asked for a few at a time.
#include <troupe/actors/caf.hpp>
#include <troupe/fanout/argument_source.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <vector>

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

/// Answered by one ArgumentsRead to the sender, as soon as there is something
/// and more would have to be waited for.
struct ReadArguments {
  std::size_t most = 1;
};
struct ArgumentsRead {
  std::vector<fanout::Arguments> arguments;
  bool at_end = false;
  std::optional<Error> error;  ///< Nothing follows.
};

[[nodiscard]] actors::ActorRef spawn_argument_reader(
    actors::ActorSystem& system, std::shared_ptr<fanout::ArgumentStream> stream,
    std::shared_ptr<ReaderControl> control);

}  // namespace troupe::cli

TROUPE_LOCAL_MESSAGE(troupe::cli::ReadArguments)
TROUPE_LOCAL_MESSAGE(troupe::cli::ArgumentsRead)
