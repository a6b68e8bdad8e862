#pragma once

/// Start here. A service is a command that is meant to run for ever, as a child
/// of a supervisor: this part starts it, finds out whether it is ready and
/// alive, keeps its log, ends it, and says how it ended.
///
///   service_spec.hpp   ServiceSpec: the command and how to look after it
///   service_tree.hpp   services and the groups around them
///   service_core.hpp   what is decided about one incarnation, without actors
///   service_actor.hpp  the children of supervisors that perform it
///   availability.hpp   what of a tree can be counted on
///   checker.hpp        asks a running service how it is: exec, HTTP, TCP
///   notify_socket.hpp  what services say by themselves (sd_notify)
///   what_if.hpp        what the death of a service would lead to
///   log_file.hpp       writes what a service prints into files that rotate
///   log_reader.hpp     reads them: the last lines, and what comes
///   file_watcher.hpp   tells when files have changed
#include <troupe/service/availability.hpp>
#include <troupe/service/checker.hpp>
#include <troupe/service/file_watcher.hpp>
#include <troupe/service/log_file.hpp>
#include <troupe/service/log_reader.hpp>
#include <troupe/service/notify_socket.hpp>
#include <troupe/service/service_actor.hpp>
#include <troupe/service/service_core.hpp>
#include <troupe/service/service_spec.hpp>
#include <troupe/service/service_tree.hpp>
