#pragma once

namespace troupe::actors {

/// To be called right before this process stops itself (SIGTSTP): a handler
/// that is at work at that moment has not stalled, however long it takes until
/// somebody continues the process. From any thread.
void expect_process_stop();

}  // namespace troupe::actors
