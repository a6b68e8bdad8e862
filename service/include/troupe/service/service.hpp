#pragma once

/// Start here. A service is a command that is meant to run for ever, as a child
/// of a supervisor: this part starts it, finds out whether it is ready and
/// alive, keeps its log, ends it, and says how it ended.
///
///   service_spec.hpp  ServiceSpec: the command and how to look after it
///   checker.hpp       asks a running service how it is: exec, HTTP, TCP
///   notify_socket.hpp what services say by themselves (sd_notify)
///   log_file.hpp      writes what a service prints into files that rotate
///   log_reader.hpp    reads them: the last lines, and what comes
#include <troupe/service/service_spec.hpp>
