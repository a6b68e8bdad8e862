#include "warden_lane.hpp"

#include "attempt_core.hpp"
#include "child_setup.hpp"
#include "guard_core.hpp"
#include "lane_connection.hpp"
#include "launcher.hpp"
#include "program_finder.hpp"
#include "record_writer.hpp"
#include "wire.hpp"

#include <troupe/base/assert.hpp>
#include <troupe/base/overload.hpp>
#include <troupe/base/owned_fd.hpp>
#include <troupe/base/pausable_clock.hpp>
#include <troupe/process/boot_clock.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <array>
#include <fcntl.h>
#include <fmt/format.h>
#include <map>
#include <optional>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <unordered_map>
#include <vector>

namespace troupe::process {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// Concrete executors: the polymorphic default costs an allocation per handler.
using Executor = asio::io_context::executor_type;
using Descriptor = asio::posix::basic_stream_descriptor<Executor>;
using Timer =
    asio::basic_waitable_timer<std::chrono::steady_clock,
                               asio::wait_traits<std::chrono::steady_clock>,
                               Executor>;

/// How long a command that the system has no room for waits for some: others
/// end. The pauses between two tries double.
constexpr Duration launch_patience = 1min;
constexpr Duration first_launch_pause = 5ms;
constexpr Duration longest_launch_pause = 500ms;

/// Longer ones, which are limits of commands, may end a tick later, and
/// together with others.
constexpr Duration exact_waits = 50ms;

/// A command that fills the kernel's default pipe gets a larger one.
constexpr int large_pipe_bytes = 1 << 20;

/// What is recorded of one stream before the others of the lane have their
/// turn: a pipe full.
constexpr std::size_t most_at_once = large_pipe_bytes;

/// A stream that has brought so much is offered to the runner: two copies and
/// a socket less for the rest of it.
constexpr std::uint64_t offered_from_bytes = 1 << 20;

Duration from_timeval(const timeval& value) {
  return std::chrono::seconds{value.tv_sec} +
         std::chrono::microseconds{value.tv_usec};
}

/// Takes a descriptor out of the reactor before it is closed: a child between
/// clone and exec may still hold it, and epoll would go on reporting it.
void close_descriptor(Descriptor& descriptor) {
  if (descriptor.is_open())
    ::close(descriptor.release());
}

struct Pipe {
  OwnedFd read;
  OwnedFd write;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return tl::unexpected(system_error("pipe", errno));
  return Pipe{OwnedFd{ends[0]}, OwnedFd{ends[1]}};
}

/// The descriptor to become the child's standard input; `holder` closes it.
Result<int> open_stdin(const CommandSpec& spec, int null_fd, OwnedFd& holder) {
  return std::visit(
      Overload{
          [&](StdinNull) -> Result<int> { return null_fd; },
          [&](StdinInherit) -> Result<int> { return STDIN_FILENO; },
          [&](const StdinFile& file) -> Result<int> {
            const std::string path = in_directory(spec, file.path);
            holder.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
            if (holder.get() < 0)
              return tl::unexpected(system_error(
                  fmt::format("cannot open standard input {}", path), errno));
            return holder.get();
          },
          [&](const StdinText& text) -> Result<int> {
            holder.reset(static_cast<int>(
                ::syscall(SYS_memfd_create, "troupe-stdin", MFD_CLOEXEC)));
            if (holder.get() < 0)
              return tl::unexpected(system_error("memfd_create", errno));
            std::string_view rest = text.bytes;
            while (!rest.empty()) {
              const ssize_t n = ::write(holder.get(), rest.data(), rest.size());
              if (n < 0)
                return tl::unexpected(system_error("standard input", errno));
              rest.remove_prefix(static_cast<std::size_t>(n));
            }
            ::lseek(holder.get(), 0, SEEK_SET);
            return holder.get();
          }},
      spec.standard_input);
}

/// Whether others only have to end for it to succeed.
bool lacks_room(const SpawnFailure& failure) {
  return failure.stage == SpawnStage::resources &&
         failure.error.code == Errc::overloaded;
}

SpawnFailure stopped_too_soon() {
  return {SpawnStage::resources,
          {Errc::cancelled, "was stopped before it could start"}};
}

SpawnFailure without_right() {
  return {SpawnStage::right,
          {Errc::permission_denied,
           "was not started: the right of this node to run commands has ended "
           "and was not renewed"}};
}

/// How long before `gone_by` a grace of `own` has to end, so that the killing
/// fits in as well.
Duration grace_until(BootTime gone_by, Duration own) {
  const Duration left = gone_by - boot_now() - death_time;
  return std::clamp(left, Duration{0}, std::max(own, Duration{0}));
}

/// Calls back at a moment of the boot clock; right after it if the machine was
/// suspended then.
class BootTimer {
 public:
  explicit BootTimer(const Executor& executor) : timer_{executor} {
    const int fd = ::timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    TROUPE_ASSERT(fd >= 0);  // A warden begins with room for it.
    timer_.assign(fd);
  }

  /// In place of the call before.
  void call_at(BootTime at, std::function<void()> then) {
    timer_.cancel();
    // Zero would take the timer away.
    const Duration since_boot = std::max(at.time_since_epoch(), Duration{1});
    const auto seconds =
        std::chrono::duration_cast<std::chrono::seconds>(since_boot);
    const itimerspec when{
        .it_interval = {},
        .it_value = {.tv_sec = seconds.count(),
                     .tv_nsec = (since_boot - seconds).count()}};
    const int done = ::timerfd_settime(timer_.native_handle(),
                                       TFD_TIMER_ABSTIME, &when, nullptr);
    TROUPE_ASSERT(done == 0);
    timer_.async_wait(Descriptor::wait_read,
                      [this, then = std::move(then)](error_code stopped) {
                        std::uint64_t expired = 0;
                        // Nothing to read: set anew in the same moment.
                        if (!stopped && ::read(timer_.native_handle(), &expired,
                                               sizeof expired) > 0)
                          then();
                      });
  }

 private:
  Descriptor timer_;
};

class Lane;

/// A stream that is read: captured for the runner, or recorded in a file.
struct ReadStream {
  ReadStream(const Executor& executor, Stream which, bool recorded)
      : pipe{executor}, stream{which}, is_recorded{recorded} {}

  Descriptor pipe;
  Stream stream;
  bool is_recorded;
  std::uint64_t bytes = 0;
  bool enlarged = false;
  bool was_offered = false;
  bool is_offered = false;  ///< And not answered yet.
};

/// One attempt, from its start frame to its exit frame. Kept alive by its
/// pending handlers and by the lane's table.
class Attempt : public std::enable_shared_from_this<Attempt> {
 public:
  Attempt(Lane& lane, AttemptId id, CommandSpec&& spec);

  [[nodiscard]] std::optional<SpawnFailure> launch();
  void begin();
  void stop(StopRequest request);
  void stop_politely() {
    stop({.signal = spec_.polite_signal, .grace = spec_.grace});
  }
  /// Of a command that may not outlive it.
  void end_right(bool is_grace_over) {
    resume();
    perform(core_.on_right_ended(is_grace_over, now()));
  }
  [[nodiscard]] const CommandSpec& spec() const { return spec_; }
  void pass_signal(int signal);
  /// Stops its processes and its clock until resume().
  void pause();
  void resume();
  [[nodiscard]] bool paused() const { return clock_.paused(); }
  /// Its processes and its timer follow the clocks: its own and the lane's.
  void stand_still();
  void go_on();
  [[nodiscard]] pid_t leader() const { return tree_.leader; }
  /// Of an attempt that could not be launched, which is of no use any more.
  [[nodiscard]] CommandSpec take_spec() { return std::move(spec_); }
  /// A new runner does not know the attempt yet: what is captured has to wait.
  void disown() { is_claimed_ = false; }
  void claim() { is_claimed_ = true; }
  void on_answer(wire::Taken answer);
  /// Goes on reading a stream that was left alone.
  void read_on(ReadStream& stream) {
    if (stream.pipe.is_open())
      read_and_wait(stream);
  }

 private:
  [[nodiscard]] TimePoint now() const;
  [[nodiscard]] bool may_read(const ReadStream& stream) const;
  [[nodiscard]] bool may_offer(const ReadStream& stream) const;
  void offer(ReadStream& stream);
  void read(ReadStream& stream);
  void read_and_wait(ReadStream& stream);
  void take(ReadStream& stream, std::string_view bytes);
  void record_rest();
  void signal_tree(int signal);
  [[nodiscard]] Result<OwnedFd> make_stream(Stream which, Output kind);
  [[nodiscard]] Result<void> join_cgroup();
  [[nodiscard]] SpawnFailure explain(error_code error,
                                     const ChildSetup& setup) const;
  void perform(const AttemptCore::Actions& actions);
  void wait_readable(ReadStream& stream);
  void close_stream(ReadStream& stream);
  void wait_exit();
  void set_timer(TimePoint at);
  [[nodiscard]] bool others_start() const;
  [[nodiscard]] bool is_held_back() const;
  void probe_tree();
  void kill_tree();
  void finish();
  void on_leader_exited();

  Lane& lane_;
  AttemptId id_;
  CommandSpec spec_;
  AttemptCore core_;
  Tree tree_;
  std::shared_ptr<Cgroup> cgroup_;  ///< Null without tree limits.
  Descriptor exit_;
  Timer timer_;
  std::optional<TimePoint> wake_at_;  ///< When the core wants to be called.
  PausableClock clock_;               ///< Runs on the time of the lane.
  std::vector<std::unique_ptr<ReadStream>> streams_;
  RecordWriter record_;
  bool is_claimed_ = true;
  TimePoint started_{};
  TimePoint ended_{};
  SweepReport swept_;
};

/// A command that the system has had no room for yet, or whose predecessor has
/// not ended.
struct Postponed {
  Postponed(const Executor& executor, CommandSpec&& command)
      : spec{std::move(command)}, timer{executor} {}

  CommandSpec spec;
  Timer timer;
  std::optional<AttemptId> predecessor;  ///< While it waits for that.
  bool is_paused = false;                ///< To be, as soon as it runs.
  Duration waited{0};
  Duration pause = first_launch_pause;
};

/// What a kept warden says of an attempt that has ended, until it may forget.
struct Ended {
  pid_t leader = 0;   ///< Zero if it never ran.
  wire::Message how;  ///< Exited or NotStarted.
};

class Lane final : public WardenLane, private ConnectionOwner {
 public:
  explicit Lane(const LaneContext& context)
      : context_{context},
        // Others post here; its descriptors are its thread's alone.
        io_{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO},
        work_{io_.get_executor()},
        guard_timer_{io_.get_executor()} {}

  [[noreturn]] void run() override {
    io_.run();
    // Only a warden that is not kept comes here, when its runner has gone.
    while (true)
      ::pause();
  }
  void connect(OwnedFd socket, wire::Hello hello,
               std::function<void()> on_lost) override;
  void disconnect() override {
    asio::post(io_, [this] { drop_connection(); });
  }
  void stop_all() override;

  void send(AttemptId id, const wire::Message& message) {
    if (connection_)
      connection_->send(id, message);
  }
  /// `how` is the last that is said about the attempt, which has had a leader.
  void end(AttemptId id, pid_t leader, wire::Message how);
  /// Calls `attempt->read_on(stream)` once there is room for more output.
  void read_later(std::shared_ptr<Attempt> attempt, ReadStream& stream) {
    unread_.emplace_back(std::move(attempt), &stream);
  }
  /// Whether captured output has nowhere to go.
  [[nodiscard]] bool backed_up() const {
    return !connection_ || connection_->backed_up();
  }

  /// Time as the commands of this lane live it: it stands still while they are
  /// paused, so that no limit passes meanwhile.
  [[nodiscard]] TimePoint now() const {
    return clock_.at(std::chrono::steady_clock::now());
  }
  [[nodiscard]] bool paused() const { return clock_.paused(); }

  [[nodiscard]] const LaneContext& context() const { return context_; }
  [[nodiscard]] Executor executor() { return io_.get_executor(); }
  [[nodiscard]] ProgramFinder& programs() { return programs_; }
  [[nodiscard]] std::array<char, wire::max_output>& scratch() {
    return scratch_;
  }
  /// Runs `work` on the main thread, and `then` with its result back here.
  template <class Work, class Then>
  void on_main(Work work, Then then) {
    asio::post(context_.main_io, [this, work = std::move(work),
                                  then = std::move(then)]() mutable {
      asio::post(io_, [then = std::move(then), result = work()]() mutable {
        then(result);
      });
    });
  }
  [[nodiscard]] asio::io_context& io() { return io_; }

 private:
  void on_frame(wire::Frame& frame) override;
  void on_room() override;
  void on_connection_lost(const LaneConnection& connection) override;
  void begin_connection(int socket, wire::Hello hello);
  void drop_connection();
  void list_attempts();
  void claim(AttemptId id);
  [[nodiscard]] bool knows(AttemptId id) const {
    return attempts_.contains(id) || postponed_.contains(id) ||
           ended_.contains(id);
  }
  void start(AttemptId id, wire::Start&& start);
  void start_postponed(AttemptId id);
  [[nodiscard]] std::vector<AttemptId> take_successors(AttemptId ended);
  /// Leaves `spec` as it was if that fails.
  [[nodiscard]] std::optional<SpawnFailure> launch(AttemptId id,
                                                   CommandSpec& spec);
  void try_again_later(AttemptId id);
  void stop(AttemptId id, StopRequest request);
  void pause(AttemptId id, bool is_paused);
  void give_up(AttemptId id, SpawnFailure why);
  void report(AttemptId id, pid_t leader, wire::Message how);
  void pause_all();
  void resume_all();
  void go_on_to_end();
  void stop_by(BootTime gone_by);
  void perform(const GuardCore::Actions& actions);
  void end_right(bool is_grace_over);
  [[nodiscard]] std::vector<std::shared_ptr<Attempt>> running() const;
  void give_up_waiting(const SpawnFailure& why);

  const LaneContext& context_;
  asio::io_context io_;
  asio::executor_work_guard<Executor> work_;
  std::shared_ptr<LaneConnection> connection_;  ///< Null without a runner.
  std::function<void()> on_lost_;
  std::map<AttemptId, std::shared_ptr<Attempt>> attempts_;
  std::map<AttemptId, Postponed> postponed_;
  std::multimap<AttemptId, AttemptId> successors_;  ///< By predecessor.
  std::map<AttemptId, Ended> ended_;                ///< Of a kept warden only.
  std::vector<std::pair<std::shared_ptr<Attempt>, ReadStream*>> unread_;
  PausableClock clock_;
  std::optional<SpawnFailure> refusal_;  ///< While all that wait are given up.
  GuardCore guard_;
  BootTimer guard_timer_;
  ProgramFinder programs_;
  std::array<char, wire::max_output> scratch_;
};

bool is_read(Output output) {
  return output == Output::capture || output == Output::record;
}

int read_streams(const CommandSpec& spec) {
  return (is_read(spec.standard_output) ? 1 : 0) +
         (is_read(spec.standard_error) ? 1 : 0);
}

Attempt::Attempt(Lane& lane, AttemptId id, CommandSpec&& spec)
    : lane_{lane},
      id_{id},
      spec_{std::move(spec)},
      core_{spec_, read_streams(spec_)},
      exit_{lane.executor()},
      timer_{lane.executor()},
      record_{spec_.record} {
  tree_.own_group = !spec_.foreground;
  tree_.marker = lane.context().session + '.' +
                 std::to_string(id.command.value) + '.' +
                 std::to_string(id.attempt);
}

TimePoint Attempt::now() const { return clock_.at(lane_.now()); }

/// What stands still does not see the signal, nor does a grace pass.
void Attempt::stop(StopRequest request) {
  resume();
  perform(core_.on_stop(request, now()));
}

/// The end of a new pipe for the command; ours becomes one of `streams_`.
Result<OwnedFd> Attempt::make_stream(Stream which, Output kind) {
  auto pipe = make_pipe();
  if (!pipe)
    return tl::unexpected(std::move(pipe.error()));
  auto stream = std::make_unique<ReadStream>(lane_.executor(), which,
                                             kind == Output::record);
  error_code error;
  stream->pipe.assign(pipe->read.get(), error);
  if (error)
    return tl::unexpected(system_error("epoll", error.value()));
  (void)pipe->read.release();
  stream->pipe.non_blocking(true);
  streams_.push_back(std::move(stream));
  return std::move(pipe->write);
}

Result<void> Attempt::join_cgroup() {
  if (!spec_.tree_limits.any())
    return {};
  auto group = lane_.context().cgroups.make(spec_.tree_limits);
  if (group) {
    cgroup_ = std::move(*group);
    return {};
  }
  TreeLimits& limits = spec_.tree_limits;
  if (limits.cpu_percent || limits.tasks)
    return failure(group.error().code,
                   fmt::format("limits on cpu and tasks cannot be kept: {}",
                               group.error().what));
  spec_.limits.memory_bytes =
      std::min(*limits.memory_bytes,
               spec_.limits.memory_bytes.value_or(*limits.memory_bytes));
  return {};
}

std::optional<SpawnFailure> Attempt::launch() {
  const LaneContext& context = lane_.context();
  const auto failed = [](SpawnStage stage, Error error) {
    return SpawnFailure{.stage = stage, .error = std::move(error)};
  };
  auto image = ProgramImage::build(spec_, context.environment, tree_.marker);
  if (!image)
    return failed(SpawnStage::settings, std::move(image.error()));

  OwnedFd stdin_holder;
  const auto in = open_stdin(spec_, context.null_fd, stdin_holder);
  if (!in)
    return failed(SpawnStage::standard_input, in.error());

  OwnedFd out_holder;
  int out = context.null_fd;
  if (spec_.standard_output == Output::inherit) {
    out = STDOUT_FILENO;
  } else if (is_read(spec_.standard_output)) {
    auto end = make_stream(Stream::out, spec_.standard_output);
    if (!end)
      return failed(SpawnStage::resources, std::move(end.error()));
    out_holder = std::move(*end);
    out = out_holder.get();
  }
  OwnedFd err_holder;
  int err = context.null_fd;
  if (spec_.standard_error == Output::inherit) {
    err = STDERR_FILENO;
  } else if (spec_.standard_error == Output::merge) {
    err = out;
  } else if (is_read(spec_.standard_error)) {
    auto end = make_stream(Stream::err, spec_.standard_error);
    if (!end)
      return failed(SpawnStage::resources, std::move(end.error()));
    err_holder = std::move(*end);
    err = err_holder.get();
  }

  if (auto joined = join_cgroup(); !joined)
    return failed(SpawnStage::settings, std::move(joined.error()));
  ChildSetup setup{spec_,
                   *in,
                   out,
                   err,
                   cgroup_ ? cgroup_->members_fd() : -1,
                   {.mask = context.original_mask,
                    .nofile = context.original_nofile,
                    .ignored_child = context.ignored_child}};
  // A wrong directory must not read as "command not found".
  if (!spec_.working_directory.empty() &&
      ::access(spec_.working_directory.c_str(), X_OK) != 0)
    return failed(SpawnStage::working_directory,
                  system_error(fmt::format("cannot enter directory {}",
                                           spec_.working_directory),
                               errno));
  started_ = now();
  const auto program = lane_.programs().find(spec_, *image, started_);
  if (!program)
    return failed(SpawnStage::exec, program.error());

  CloneLauncher launcher;
  Child child;
  context.launching.fetch_add(1);
  error_code error = launcher.launch(child, program->c_str(), image->argv(),
                                     image->env(), setup);
  if (error.value() == ENOEXEC && setup.stage() == SpawnStage::exec) {
    const auto argv = image->shell_argv(*program);
    error = launcher.launch(child, "/bin/sh", argv.data(), image->env(), setup);
  }
  context.last_launch = std::chrono::steady_clock::now();
  context.launching.fetch_sub(1);
  if (error)
    return explain(error, setup);
  tree_.leader = child.pid;
  exit_.assign(child.pidfd);
  return std::nullopt;
}

SpawnFailure Attempt::explain(error_code error, const ChildSetup& setup) const {
  const SpawnStage stage = setup.stage();
  std::string context = spec_.argv.front();
  switch (stage) {
    case SpawnStage::working_directory:
      context =
          fmt::format("cannot enter directory {}", spec_.working_directory);
      break;
    case SpawnStage::settings:
      context = "cannot apply the limits or niceness";
      break;
    case SpawnStage::resources:
    case SpawnStage::standard_input:
      context = "cannot start a process";
      break;
    case SpawnStage::right:  // Never after a launch.
      break;
    case SpawnStage::exec: {
      const std::string path = in_directory(spec_, spec_.argv.front());
      if (error.value() == ENOENT && ::access(path.c_str(), F_OK) == 0)
        return {stage, Error{Errc::not_found,
                             fmt::format("{}: its interpreter was not found",
                                         spec_.argv.front())}};
      break;
    }
  }
  return {stage, system_error(context, error.value())};
}

void Attempt::begin() {
  lane_.send(id_, wire::Started{tree_.leader});
  wait_exit();
  for (const auto& stream : streams_)
    wait_readable(*stream);
  perform(core_.on_started(started_));
}

void Attempt::pass_signal(int signal) {
  if (exit_.is_open())
    ::syscall(SYS_pidfd_send_signal, exit_.native_handle(), signal, nullptr, 0);
}

void Attempt::perform(const AttemptCore::Actions& actions) {
  using Kind = AttemptCore::Action::Kind;
  for (const auto& action : actions) {
    switch (action.kind) {
      case Kind::signal_tree:
        if (spec_.ends_its_tree)
          pass_signal(action.signal);
        else
          signal_tree(action.signal);
        break;
      case Kind::kill_tree:
        kill_tree();
        break;
      case Kind::probe_tree:
        probe_tree();
        break;
      case Kind::set_timer:
        set_timer(action.at);
        break;
      case Kind::finish:
        finish();
        return;
    }
  }
}

void Attempt::signal_tree(int signal) {
  asio::post(lane_.context().main_io, [self = shared_from_this(), signal] {
    self->lane_.context().sweeper.signal_tree(self->tree_, signal);
  });
}

void Attempt::set_timer(TimePoint at) {
  wake_at_ = at;
  if (clock_.paused() || lane_.paused())
    return;
  const TimePoint real_now = std::chrono::steady_clock::now();
  const TimePoint due = real_now + (at - now());
  timer_.expires_at(due - real_now < exact_waits ? due : end_of_tick(due));
  timer_.async_wait([self = shared_from_this()](error_code error) {
    if (error)
      return;
    self->wake_at_.reset();
    self->perform(self->core_.on_timer(self->now(),
                                       {.others_start = self->others_start(),
                                        .is_held_back = self->is_held_back()}));
  });
}

bool Attempt::others_start() const {
  const LaneContext& context = lane_.context();
  return context.launching > 0 || std::chrono::steady_clock::now() <
                                      context.last_launch.load() + launch_time;
}

/// Whether what it writes waits until we read on.
bool Attempt::is_held_back() const {
  return std::any_of(streams_.begin(), streams_.end(),
                     [this](const auto& stream) {
                       return stream->pipe.is_open() && !may_read(*stream);
                     });
}

void Attempt::pause() {
  if (clock_.paused())
    return;
  clock_.pause(lane_.now());
  stand_still();
}

void Attempt::resume() {
  if (!clock_.paused())
    return;
  clock_.resume(lane_.now());
  go_on();
}

void Attempt::stand_still() {
  timer_.cancel();
  signal_tree(SIGSTOP);
}

void Attempt::go_on() {
  if (clock_.paused() || lane_.paused())
    return;
  signal_tree(SIGCONT);
  if (wake_at_)
    set_timer(*wake_at_);
}

void Attempt::wait_exit() {
  exit_.async_wait(Descriptor::wait_read,
                   [self = shared_from_this()](error_code error) {
                     if (!error)
                       self->on_leader_exited();
                   });
}

void Attempt::on_leader_exited() {
  siginfo_t info{};
  ::syscall(SYS_waitid, P_PIDFD, exit_.native_handle(), &info,
            WEXITED | WNOHANG | WNOWAIT, nullptr);
  if (info.si_pid == 0) {
    wait_exit();  // A spurious wake-up; waiting here would block the lane.
    return;
  }
  resume();  // Somebody has killed it; the rest of its tree has to end, too.
  ended_ = now();
  // What the streams hold now was written before the end: read it first, so
  // that the usual command is over without another turn of the loop.
  for (const auto& stream : streams_) {
    if (stream->pipe.is_open() && may_read(*stream))
      read(*stream);
  }
  perform(core_.on_leader_exited(ended_));
}

void Attempt::wait_readable(ReadStream& stream) {
  stream.pipe.async_wait(Descriptor::wait_read, [self = shared_from_this(),
                                                 &stream](error_code error) {
    if (!error)
      self->read_and_wait(stream);
  });
}

void Attempt::read_and_wait(ReadStream& stream) {
  read(stream);
  if (!stream.pipe.is_open() || stream.is_offered)
    return;
  if (may_read(stream))
    wait_readable(stream);
  else
    lane_.read_later(shared_from_this(), stream);
}

/// A record waits for nobody.
bool Attempt::may_read(const ReadStream& stream) const {
  return stream.is_recorded ||
         (is_claimed_ && !lane_.backed_up() && !stream.is_offered);
}

/// What is looked at for silence is read here, and what outlives a runner.
bool Attempt::may_offer(const ReadStream& stream) const {
  return !stream.is_recorded && !stream.was_offered &&
         stream.bytes >= offered_from_bytes &&
         spec_.silence_limit == Duration{0} && !lane_.context().is_kept;
}

void Attempt::offer(ReadStream& stream) {
  stream.was_offered = true;
  stream.is_offered = true;
  const int descriptor = stream.pipe.native_handle();
  struct stat pipe {};
  ::fstat(descriptor, &pipe);
  lane_.send(id_, wire::Offered{stream.stream, descriptor, pipe.st_ino});
}

void Attempt::on_answer(wire::Taken answer) {
  for (const auto& stream : streams_) {
    if (stream->stream != answer.stream || !stream->pipe.is_open() ||
        !std::exchange(stream->is_offered, false))
      continue;
    if (answer.is_taken)
      close_stream(*stream);
    else
      read_and_wait(*stream);
    return;  // It may have been the end of us.
  }
}

void Attempt::read(ReadStream& stream) {
  auto& buffer = lane_.scratch();
  std::size_t total = 0;
  while (may_read(stream) && (!stream.is_recorded || total < most_at_once)) {
    const ssize_t got =
        ::read(stream.pipe.native_handle(), buffer.data(), buffer.size());
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
      return;
    if (got <= 0) {
      close_stream(stream);
      return;
    }
    const auto size = static_cast<std::size_t>(got);
    total += size;
    if (size == buffer.size() && !stream.enlarged) {
      stream.enlarged = true;
      ::fcntl(stream.pipe.native_handle(), F_SETPIPE_SZ, large_pipe_bytes);
    }
    take(stream, {buffer.data(), size});
    if (may_offer(stream)) {
      offer(stream);
      return;
    }
    if (size < buffer.size())
      return;
  }
}

void Attempt::take(ReadStream& stream, std::string_view bytes) {
  stream.bytes += bytes.size();
  core_.on_output(now());
  if (stream.is_recorded)
    record_.write(
        stream.stream == Stream::out ? RecordKind::out : RecordKind::err, bytes,
        std::chrono::system_clock::now());
  else
    lane_.send(id_, wire::OutputRead{stream.stream, bytes});
}

/// What is still in the pipes at the end: a disk that was slow may have kept
/// the lane from reading it in time.
void Attempt::record_rest() {
  auto& buffer = lane_.scratch();
  for (const auto& stream : streams_) {
    std::size_t total = 0;
    while (stream->is_recorded && stream->pipe.is_open() &&
           total < most_at_once) {
      const ssize_t got =
          ::read(stream->pipe.native_handle(), buffer.data(), buffer.size());
      if (got <= 0)
        break;
      total += static_cast<std::size_t>(got);
      take(*stream, {buffer.data(), static_cast<std::size_t>(got)});
    }
  }
  record_.finish(std::chrono::system_clock::now());
}

void Attempt::close_stream(ReadStream& stream) {
  close_descriptor(stream.pipe);
  perform(core_.on_stream_closed(now()));
}

void Attempt::probe_tree() {
  // The usual case, and the cheap one: nobody is left behind at all.
  if (!lane_.context().orphans.any()) {
    perform(core_.on_probed(true, now()));
    return;
  }
  lane_.on_main(
      [self = shared_from_this()] {
        return self->lane_.context().sweeper.empty(self->tree_);
      },
      [self = shared_from_this()](bool empty) {
        self->perform(self->core_.on_probed(empty, self->now()));
      });
}

void Attempt::kill_tree() {
  asio::post(lane_.context().main_io, [self = shared_from_this()] {
    if (self->cgroup_)
      self->cgroup_->kill();
    self->lane_.context().sweeper.kill_tree(
        self->tree_, [self](SweepReport report) {
          asio::post(self->lane_.io(), [self, report] {
            self->swept_ = report;
            if (self->ended_ == TimePoint{})
              self->ended_ = self->now();
            self->perform(self->core_.on_tree_killed(self->now()));
          });
        });
  });
}

void Attempt::finish() {
  timer_.cancel();
  record_rest();
  for (const auto& stream : streams_)
    close_descriptor(stream->pipe);

  siginfo_t info{};
  rusage usage{};
  ::syscall(SYS_waitid, P_PIDFD, exit_.native_handle(), &info,
            WEXITED | WNOHANG, &usage);
  close_descriptor(exit_);

  const AttemptCore::Verdict& verdict = core_.verdict();
  ExitReport report;
  if (info.si_code == CLD_EXITED) {
    report.exit_code = info.si_status;
  } else if (info.si_pid != 0) {
    report.signal = info.si_status;
    report.core_dumped = info.si_code == CLD_DUMPED;
  } else {
    report.signal = SIGKILL;  // Not even that has ended it; see survivors.
  }
  report.timed_out = verdict.timed_out;
  report.silent = verdict.silent;
  report.stopped = verdict.stopped;
  report.right_ended = verdict.right_ended;
  report.killed = verdict.killed;
  report.out_of_memory = cgroup_ && cgroup_->ran_out_of_memory();
  cgroup_.reset();
  report.output_held = verdict.output_held;
  report.leftovers = swept_.leftovers;
  report.survivors = swept_.survivors;
  report.wall = ended_ - started_;
  report.ended = boot_now();
  report.user = from_timeval(usage.ru_utime);
  report.system = from_timeval(usage.ru_stime);
  report.max_rss_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
  for (const auto& stream : streams_)
    (stream->stream == Stream::out ? report.stdout_bytes
                                   : report.stderr_bytes) = stream->bytes;
  report.unrecorded_bytes = record_.unrecorded_bytes();
  lane_.end(id_, tree_.leader, wire::Exited{report});
}

void Lane::connect(OwnedFd socket, wire::Hello hello,
                   std::function<void()> on_lost) {
  asio::post(io_, [this, fd = socket.release(), hello = std::move(hello),
                   on_lost = std::move(on_lost)]() mutable {
    drop_connection();
    on_lost_ = std::move(on_lost);
    begin_connection(fd, std::move(hello));
  });
}

void Lane::begin_connection(int socket, wire::Hello hello) {
  ConnectionOwner& owner = *this;
  connection_ = std::make_shared<LaneConnection>(io_, socket, owner);
  send({}, std::move(hello));
  if (context_.is_kept)
    list_attempts();
  connection_->receive();
}

void Lane::drop_connection() {
  if (!connection_)
    return;
  connection_->close();
  connection_ = nullptr;
  // Whoever has paused them is not there to let them go on.
  if (context_.is_kept && paused())
    resume_all();
}

void Lane::on_connection_lost(const LaneConnection& connection) {
  if (connection_.get() != &connection)
    return;
  drop_connection();
  // Nobody is there to report to. The main thread kills whatever runs.
  if (!context_.is_kept)
    io_.stop();
  on_lost_();
}

void Lane::list_attempts() {
  for (const auto& [id, attempt] : attempts_) {
    send(id, wire::Known{});
    send(id, wire::Started{attempt->leader(), attempt->paused()});
    attempt->disown();
  }
  for (const auto& [id, postponed] : postponed_)
    send(id, wire::Known{});
  for (const auto& [id, ended] : ended_) {
    send(id, wire::Known{});
    if (ended.leader != 0)
      send(id, wire::Started{ended.leader});
    send(id, ended.how);
  }
  send({}, wire::Listed{});
}

void Lane::claim(AttemptId id) {
  const auto found = attempts_.find(id);
  if (found == attempts_.end())
    return;
  found->second->claim();
  on_room();
}

void Lane::on_room() {
  auto unread = std::exchange(unread_, {});
  auto next = unread.begin();
  for (; next != unread.end() && !backed_up(); ++next)
    next->first->read_on(*next->second);
  // Whoever has filled the connection again waits behind those that had to
  // wait for it.
  unread_.insert(unread_.begin(), std::make_move_iterator(next),
                 std::make_move_iterator(unread.end()));
}

void Lane::stop_all() {
  asio::post(io_, [this] {
    give_up_waiting(stopped_too_soon());
    for (const auto& attempt : running())
      attempt->stop_politely();
  });
}

/// The tables lose what ends at once.
std::vector<std::shared_ptr<Attempt>> Lane::running() const {
  std::vector<std::shared_ptr<Attempt>> all;
  for (const auto& [id, attempt] : attempts_)
    all.push_back(attempt);
  return all;
}

void Lane::give_up_waiting(const SpawnFailure& why) {
  refusal_ = why;  // For what waits for one of them.
  while (!postponed_.empty())
    give_up(postponed_.rbegin()->first, why);
  refusal_.reset();
}

/// What stands still sees no signal, and its grace does not pass.
void Lane::go_on_to_end() {
  if (paused())
    resume_all();
}

void Lane::stop_by(BootTime gone_by) {
  go_on_to_end();
  give_up_waiting(stopped_too_soon());
  for (const auto& attempt : running()) {
    const CommandSpec& spec = attempt->spec();
    attempt->stop({.signal = spec.polite_signal,
                   .grace = grace_until(gone_by, spec.grace)});
  }
}

void Lane::perform(const GuardCore::Actions& actions) {
  using Kind = GuardCore::Action::Kind;
  for (const auto& action : actions) {
    switch (action.kind) {
      case Kind::set_timer:
        guard_timer_.call_at(action.at,
                             [this] { perform(guard_.on_timer(boot_now())); });
        break;
      case Kind::stop_guarded:
        end_right(/*is_grace_over=*/false);
        break;
      case Kind::kill_guarded:
        end_right(/*is_grace_over=*/true);
        break;
    }
  }
}

void Lane::end_right(bool is_grace_over) {
  go_on_to_end();
  give_up_waiting(without_right());
  // Without a runner nobody would hear that others have taken it over.
  const bool is_alone = connection_ == nullptr;
  for (const auto& attempt : running()) {
    if (is_alone || !attempt->spec().outlives_right)
      attempt->end_right(is_grace_over);
  }
}

void Lane::on_frame(wire::Frame& frame) {
  const auto attempt = attempts_.find(frame.id);
  const bool runs = attempt != attempts_.end();
  std::visit(
      Overload{[&](wire::Start& m) {
                 if (!knows(frame.id))
                   start(frame.id, std::move(m));
               },
               [&](const wire::Stop& m) { stop(frame.id, m.request); },
               [&](const wire::Withdraw&) {
                 const auto waits = postponed_.find(frame.id);
                 if (waits != postponed_.end() && waits->second.predecessor)
                   stop(frame.id, {});
               },
               [&](const wire::Signal& m) {
                 if (runs)
                   attempt->second->pass_signal(m.signal);
               },
               [&](const wire::Pause&) { pause(frame.id, true); },
               [&](const wire::Resume&) { pause(frame.id, false); },
               [&](const wire::PauseAll&) { pause_all(); },
               [&](const wire::ResumeAll&) { resume_all(); },
               [&](const wire::Guard& m) {
                 perform(guard_.on_guard(m.kill_at, m.gone_by, boot_now()));
               },
               [&](const wire::StopAll& m) { stop_by(m.gone_by); },
               [&](const wire::Forget&) { ended_.erase(frame.id); },
               [&](const wire::Claim&) { claim(frame.id); },
               [&](const wire::Taken& m) {
                 if (runs)
                   std::shared_ptr { attempt->second } -> on_answer(m);
               },
               // Only a warden sends these.
               [](const wire::Hello&) {}, [](const wire::AllPaused&) {},
               [](const wire::Started&) {}, [](const wire::OutputRead&) {},
               [](const wire::Offered&) {}, [](const wire::Exited&) {},
               [](const wire::NotStarted&) {}, [](const wire::Known&) {},
               [](const wire::Listed&) {}},
      frame.message);
}

void Lane::stop(AttemptId id, StopRequest request) {
  if (const auto found = attempts_.find(id); found != attempts_.end())
    std::shared_ptr { found->second } -> stop(request);
  else if (postponed_.contains(id))
    give_up(id, stopped_too_soon());
}

void Lane::pause(AttemptId id, bool is_paused) {
  if (const auto found = attempts_.find(id); found != attempts_.end()) {
    if (is_paused)
      found->second->pause();
    else
      found->second->resume();
  } else if (const auto later = postponed_.find(id);
             later != postponed_.end()) {
    later->second.is_paused = is_paused;
  }
}

void Lane::start(AttemptId id, wire::Start&& start) {
  const bool has_to_wait = start.after && (attempts_.contains(*start.after) ||
                                           postponed_.contains(*start.after));
  if (has_to_wait) {
    postponed_.try_emplace(id, executor(), std::move(start.spec))
        .first->second.predecessor = start.after;
    successors_.emplace(*start.after, id);
    return;
  }
  context_.running.fetch_add(1);
  auto failed = launch(id, start.spec);
  if (!failed)
    return;
  postponed_.try_emplace(id, executor(), std::move(start.spec));
  if (lacks_room(*failed))
    try_again_later(id);
  else
    give_up(id, std::move(*failed));
}

std::vector<AttemptId> Lane::take_successors(AttemptId ended) {
  std::vector<AttemptId> taken;
  const auto [first, last] = successors_.equal_range(ended);
  for (auto next = first; next != last; ++next)
    taken.push_back(next->second);
  successors_.erase(first, last);
  return taken;
}

std::optional<SpawnFailure> Lane::launch(AttemptId id, CommandSpec& spec) {
  if (refusal_)
    return refusal_;
  if (!guard_.may_start(boot_now()))
    return without_right();
  auto attempt = std::make_shared<Attempt>(*this, id, std::move(spec));
  if (auto failed = attempt->launch()) {
    spec = attempt->take_spec();
    return failed;
  }
  attempts_.emplace(id, attempt);
  attempt->begin();
  if (paused())
    attempt->stand_still();
  return std::nullopt;
}

void Lane::start_postponed(AttemptId id) {
  Postponed& waiting = postponed_.at(id);
  waiting.predecessor.reset();
  auto failed = launch(id, waiting.spec);
  if (!failed) {
    const bool is_paused = waiting.is_paused;
    postponed_.erase(id);
    pause(id, is_paused);
  } else if (lacks_room(*failed) && waiting.waited < launch_patience)
    try_again_later(id);
  else
    give_up(id, std::move(*failed));
}

void Lane::try_again_later(AttemptId id) {
  Postponed& postponed = postponed_.at(id);
  postponed.timer.expires_after(postponed.pause);
  postponed.timer.async_wait([this, id](error_code error) {
    const auto found = postponed_.find(id);
    if (error || found == postponed_.end())
      return;
    Postponed& waiting = found->second;
    waiting.waited += waiting.pause;
    waiting.pause = std::min(waiting.pause * 2, longest_launch_pause);
    start_postponed(id);
  });
}

void Lane::give_up(AttemptId id, SpawnFailure why) {
  const auto found = postponed_.find(id);
  const auto predecessor = found->second.predecessor;
  postponed_.erase(found);
  if (predecessor) {
    const auto [first, last] = successors_.equal_range(*predecessor);
    successors_.erase(std::find_if(
        first, last, [id](const auto& next) { return next.second == id; }));
    // What was to follow it follows the one before it.
    for (const AttemptId next : take_successors(id)) {
      postponed_.at(next).predecessor = predecessor;
      successors_.emplace(*predecessor, next);
    }
    context_.running.fetch_add(1);  // It was not counted while it waited.
  }
  report(id, 0, wire::NotStarted{std::move(why)});
}

void Lane::pause_all() {
  clock_.pause(std::chrono::steady_clock::now());
  for (const auto& [id, attempt] : attempts_)
    attempt->stand_still();
  // Behind the signals that wait for the main thread.
  on_main([] { return true; }, [this](bool) { send({}, wire::AllPaused{}); });
}

void Lane::resume_all() {
  clock_.resume(std::chrono::steady_clock::now());
  for (const auto& [id, attempt] : attempts_)
    attempt->go_on();
}

void Lane::end(AttemptId id, pid_t leader, wire::Message how) {
  attempts_.erase(id);
  report(id, leader, std::move(how));
}

void Lane::report(AttemptId id, pid_t leader, wire::Message how) {
  const std::vector<AttemptId> next = take_successors(id);
  // A warden of which nothing runs may end.
  context_.running.fetch_add(static_cast<int>(next.size()));
  context_.running.fetch_sub(1);
  send(id, how);
  if (context_.is_kept)
    ended_.insert_or_assign(id, Ended{leader, std::move(how)});
  for (const AttemptId successor : next)
    start_postponed(successor);
}

}  // namespace

std::unique_ptr<WardenLane> make_lane(const LaneContext& context) {
  return std::make_unique<Lane>(context);
}

}  // namespace troupe::process
