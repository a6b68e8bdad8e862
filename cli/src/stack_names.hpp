#pragma once

#include <troupe/base/error.hpp>

#include <string>
#include <vector>

namespace troupe::cli {

/// Where the stack of one file keeps what it needs.
struct StackPlaces {
  std::string file;        ///< Absolute, without links.
  std::string socket;      ///< Where it is asked.
  std::string log_folder;  ///< Of its services.
};

/// For the stack of `file`, which exists. `notes` gets what the user should
/// know. Makes the folder for sockets, and nothing else. Blocks.
///
/// Errors: those of the system, naming what is missing.
[[nodiscard]] Result<StackPlaces> places_of(const std::string& file,
                                            std::vector<std::string>& notes);

/// The sockets of all stacks of this user, running or not. Blocks.
[[nodiscard]] Result<std::vector<std::string>> all_stack_sockets();

}  // namespace troupe::cli
