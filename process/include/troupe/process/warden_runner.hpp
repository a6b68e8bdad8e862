#pragma once

#include <troupe/base/boot_time.hpp>
#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>
#include <troupe/process/command_runner.hpp>

#include <boost/asio/io_context.hpp>

#include <csignal>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace troupe::process {

/// How a warden is kept that goes on when this process ends, with all of its
/// commands, until another one takes it over.
struct KeepOptions {
  /// Where it can be found (warden.lock, warden.sock): one warden per folder.
  /// It has to be there, belong to our user and stay.
  std::string folder;
  /// What its markers begin with (leftovers.hpp), never used by another warden
  /// before: letters, digits, '-' and '_', 1 to 64 of them. A warden that is
  /// taken over goes on with its own.
  std::string session;
  /// If no runner has been connected for so long, it stops all commands, each
  /// with its polite signal and its grace, and ends. Not negative.
  Duration patience = 1min;
  /// Called once, on the I/O thread, when another runner has taken over the
  /// warden: this process should end. May do nothing but post a message.
  std::function<void()> on_cut_off = nullptr;
};

struct WardenOptions {
  /// The file of the program; empty looks beside our own executable, then in
  /// ../libexec/troupe. TROUPE_WARDEN in the environment overrides both.
  std::string program;
  /// Threads that start commands; zero means one per processor.
  unsigned lanes = 0;
  /// The mask that commands shall start with: ours at the start of main.
  sigset_t signal_mask{};
  /// Commands get the descriptors above 2 that this process was started with
  /// (those that are not close-on-exec), as they would from a shell.
  bool inherit_descriptors = false;
  /// The warden stays in our process group, as commands in the foreground of a
  /// terminal need it. Otherwise it has one of its own, so that a SIGKILL to
  /// all of ours (timeout -s KILL, a CI runner) leaves it to end the commands.
  bool in_our_group = false;
  /// The warden, and with it all commands, get no rights by what they execute:
  /// set-user-ID programs and file capabilities do nothing
  /// (PR_SET_NO_NEW_PRIVS). A warden that is taken over stays as it is; see
  /// WardenRunner::has_no_new_privileges().
  bool no_new_privileges = false;
  /// Without it, the warden and all commands end with this process. A kept
  /// warden has a session and process group of its own, and standard streams
  /// that lead nowhere; its environment, its working directory and what else
  /// commands inherit are those of the process that started it.
  /// `inherit_descriptors` and `in_our_group` are not for it.
  std::optional<KeepOptions> keep = std::nullopt;
};

/// The CommandRunner for real work: it starts a troupe-warden, tells it what to
/// run, and passes on what it says. If the warden dies, every command dies with
/// it and is reported as RunnerLost; the next start brings a new warden, up to
/// five times a minute.
///
/// With `WardenOptions::keep`, it takes over the warden that another runner has
/// left, by leave() or by dying, with what runs there and what has ended since.
/// From that moment the other one, should it live, gets RunnerLost with
/// `cut_off` for all its attempts and for what it starts.
class WardenRunner : public CommandRunner {
 public:
  /// Starts the warden. `io` must be run by one thread, on which handlers and
  /// sinks are called, and must outlive the runner's `close`.
  ///
  /// With `keep`, blocks until a living warden has told what it knows. One that
  /// does not within 5 s is killed, its commands are gone when another one is
  /// started.
  ///
  /// Errors: not_found (no such program or folder), overloaded (no processes or
  /// descriptors left); with `keep` also invalid_argument (no usable session),
  /// unsupported (a warden of another version has commands), unavailable and
  /// permission_denied (the folder cannot be used).
  [[nodiscard]] static Result<std::unique_ptr<WardenRunner>> create(
      boost::asio::io_context& io, WardenOptions options);

  /// What the markers of its commands begin with: of a warden that was taken
  /// over, its own session. From any thread.
  [[nodiscard]] virtual const std::string& session() const = 0;

  /// WardenOptions::no_new_privileges; of a warden that was taken over, its
  /// own. From any thread.
  [[nodiscard]] virtual bool has_no_new_privileges() const = 0;

  /// What the warden knew when it was taken over, running or ended. Nothing is
  /// told about these attempts until start() is called for them, which then
  /// tells all from the beginning, as for any known attempt; the spec of that
  /// call is not looked at, and its sink gets what is captured from then on.
  /// Those of no interest should be forgotten. From any thread.
  [[nodiscard]] virtual std::vector<AttemptId> adopted() const = 0;

  /// Stops every process of every command (SIGSTOP) and the clocks of their
  /// limits; what is started meanwhile stops at once. `done` is called on the
  /// I/O thread when they stand still, or when there is no warden. From any
  /// thread; before the `done` of the last call it must not be repeated.
  virtual void pause_all(std::function<void()> done) = 0;

  /// Lets them go on, but for those that were paused one by one. Ignored if
  /// they were not paused.
  virtual void resume_all() = 0;

  /// Until when commands may run, by the boot clock (boot_clock.hpp): from
  /// `kill_at` on the warden ends every command that is not marked with
  /// `outlives_right`, and those, too, if no runner is there, with its own
  /// polite signal and grace and with SIGKILL a little before `gone_by`, and
  /// refuses every start with SpawnStage::right, also of what waits for its
  /// turn. It does so by itself, whether or not a runner is there, and for time
  /// that the machine was suspended as well.
  ///
  /// Holds until the next call, which replaces both moments; BootTime::max() as
  /// `kill_at` means never, and so it is before the first one. The next runner
  /// of a kept warden finds it as it is; a new warden after the death of one is
  /// told it first. Effective for what is started after the call; never blocks;
  /// from any thread.
  virtual void guard(BootTime kill_at, BootTime gone_by) = 0;

  /// Stops all commands, whatever their marks, each with its polite signal and
  /// as much of its grace as there is, so that they are gone by `gone_by`. What
  /// has not been started yet is not: a SpawnFailure of Errc::cancelled, or
  /// RunnerLost. What is started after the call is not affected. Never blocks;
  /// from any thread.
  virtual void stop_all(BootTime gone_by) = 0;

  /// Calls `done` once, on the I/O thread, as soon as no attempt that this
  /// runner knows runs or waits to run; those that were forgotten count, and
  /// those that were adopted. Never within this call. What was counted as a
  /// survivor in an ExitReport may still be there. A runner that has been cut
  /// off, or that leaves, does not call it any more. From any thread; each call
  /// is answered for itself.
  virtual void when_idle(std::function<void()> done) = 0;

  /// Kills what still runs and waits for the end of the warden, at most
  /// `limit`. Called after the I/O thread has stopped. Repeating does nothing.
  ///
  /// A kept warden stops commands politely, each with its grace; what is there
  /// after `limit` is killed. A runner that was cut off ends nothing.
  virtual void close(Duration limit) = 0;

  /// Leaves a kept warden and its commands to the next runner; without `keep`
  /// the same as close(). What was asked for and not sent yet is lost. Called
  /// after the I/O thread has stopped; nothing may be called afterwards but
  /// close(), which does nothing then.
  virtual void leave() = 0;
};

}  // namespace troupe::process
