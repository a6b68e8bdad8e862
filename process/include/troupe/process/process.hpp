#pragma once

/// Start here. `process` starts, feeds, captures, limits and ends child
/// processes. Nothing else in the tree forks, waits for or signals one.
///
/// A small program of its own, `troupe-warden`, is the parent of every command;
/// this library is its client. Follow a command through these headers:
///
///   command_spec.hpp    what to run
///   command_runner.hpp  CommandRunner: start and stop it (the seam for fakes)
///   output_sink.hpp     where its captured bytes go, with back-pressure
///   output_record.hpp   the file that the warden writes, and how to read it
///   exit_report.hpp     how it ended
///   output_digest.hpp   the last bytes of a stream and which texts were in it
///   cgroups.hpp         limits for a command and all that it starts
///   background.hpp      going on behind the back of a shell
///   warden_runner.hpp   the CommandRunner that talks to a warden, also to one
///                       that goes on without it
///   boot_clock.hpp      the clock by which a warden is told a deadline
///   companion.hpp       where the other programs of Troupe are
///   signal_watcher.hpp  signals to this process, as calls on the I/O thread
///   leftovers.hpp       what is left when both were killed
///
/// docs/design/process.md draws the warden's lanes and how trees are ended.
#include <troupe/process/command_runner.hpp>
#include <troupe/process/command_spec.hpp>
#include <troupe/process/exit_report.hpp>
#include <troupe/process/output_digest.hpp>
#include <troupe/process/output_sink.hpp>
