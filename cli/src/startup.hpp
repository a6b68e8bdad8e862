#pragma once

/// The begin and the end of main(), for each program of ours.
#include "subcommand.hpp"

namespace troupe::cli {

/// Makes the process fit for the subcommands: no standard stream is closed, and
/// a write that nobody can take is an error instead of the end. Once.
[[nodiscard]] Startup prepare_process();

/// `code`, unless something that was printed has not arrived: then the exit
/// code for that, with a word on it where somebody wants to hear it.
[[nodiscard]] int after_writing_all(int code);

}  // namespace troupe::cli
