#pragma once

#include <troupe/base/error.hpp>
#include <troupe/base/owned_fd.hpp>
#include <troupe/workflow/concurrency.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace troupe::cli {

/// The place of a run in a concurrency group, among the runs of all `troupe
/// run` with the same folder of state. It is a lock on a file, which the system
/// gives up with the process, however that ends. The runs of a node have groups
/// of their own.
class RunPlace {
 public:
  /// What becomes of a run that has asked.
  using Answer = workflow::ConcurrencyGroups::Decision;

  /// Of the group `name`, below `folder`. Makes the folder of the group.
  /// Blocks, as all of this does: for main() before anything runs.
  ///
  /// Errors: those of the system, naming the file.
  [[nodiscard]] static Result<RunPlace> open(const std::string& folder,
                                             const std::string& name);

  /// Asks for a place, once more if the answer was `wait`. Who waits comes in
  /// in the order of the first question. With OnConflict::cancel_running, the
  /// run that is in longest gets SIGTERM, once.
  ///
  /// Errors: those of the system, naming the file.
  [[nodiscard]] Result<Answer> ask(const workflow::ConcurrencyLimits& limits);

  /// The process of one that is in; zero if it is not known.
  [[nodiscard]] int holder() const { return holder_; }

 private:
  explicit RunPlace(std::string folder) : folder_{std::move(folder)} {}

  Result<bool> take_slot(std::uint32_t limit);
  Result<void> take_ticket();
  /// How many wait, and how many of them have asked before this one.
  struct Queue {
    std::size_t all = 0;
    std::size_t before = 0;
  };
  Queue look_at_queue() const;
  void cancel_oldest(std::uint32_t limit);

  std::string folder_;
  OwnedFd slot_;
  OwnedFd ticket_;
  std::string ticket_name_;
  int holder_ = 0;
  bool has_cancelled_ = false;
};

}  // namespace troupe::cli
