#include "warden_lane.hpp"

#include "attempt_core.hpp"
#include "child_setup.hpp"
#include "launcher.hpp"
#include "program_image.hpp"
#include "wire.hpp"

#include <troupe/base/overload.hpp>
#include <troupe/base/owned_fd.hpp>
#include <troupe/base/pausable_clock.hpp>

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <fcntl.h>
#include <fmt/format.h>
#include <map>
#include <optional>
#include <sys/mman.h>
#include <sys/syscall.h>
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
using Socket =
    asio::basic_stream_socket<asio::local::stream_protocol, Executor>;

/// Above the high mark commands are no longer read from (their pipes fill and
/// they wait); below the low mark reading goes on.
constexpr std::size_t high_mark_bytes = 1 << 20;
constexpr std::size_t low_mark_bytes = 256 << 10;

/// How long a command that the system has no room for waits for some: others
/// end. The pauses between two tries double.
constexpr Duration launch_patience = 1min;
constexpr Duration first_launch_pause = 5ms;
constexpr Duration longest_launch_pause = 500ms;

/// A command that fills the kernel's default pipe gets a larger one.
constexpr int large_pipe_bytes = 1 << 20;

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
  Pipe pipe{OwnedFd{ends[0]}, OwnedFd{ends[1]}};
  ::fcntl(pipe.read.get(), F_SETFL, O_NONBLOCK);
  return pipe;
}

std::string in_directory(const CommandSpec& spec, const std::string& path) {
  if (spec.working_directory.empty() || path.starts_with('/'))
    return path;
  return spec.working_directory + '/' + path;
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

/// The first candidate that can be executed, as a shell would pick it.
Result<std::string> find_program(const CommandSpec& spec,
                                 const ProgramImage& image) {
  const auto& candidates = image.candidates();
  const std::string& name = spec.argv.front();
  if (name.empty())
    return failure(Errc::not_found, "'': command not found");
  if (name.find('/') != std::string::npos)
    return candidates.front();
  bool found_unusable = false;
  for (const std::string& candidate : candidates) {
    const std::string path = in_directory(spec, candidate);
    if (::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) == 0)
      return candidate;
    found_unusable = found_unusable || errno == EACCES;
  }
  if (found_unusable)
    return failure(Errc::permission_denied,
                   fmt::format("{}: permission denied", name));
  return failure(Errc::not_found, fmt::format("{}: command not found", name));
}

class Lane;

struct CapturedStream {
  CapturedStream(const Executor& executor, Stream which)
      : pipe{executor}, stream{which} {}

  Descriptor pipe;
  Stream stream;
  std::uint64_t bytes = 0;
  bool enlarged = false;
};

/// One attempt, from its start frame to its exit frame. Kept alive by its
/// pending handlers and by the lane's table.
class Attempt : public std::enable_shared_from_this<Attempt> {
 public:
  Attempt(Lane& lane, AttemptId id, CommandSpec spec);

  [[nodiscard]] std::optional<SpawnFailure> launch();
  void begin();
  void stop(StopRequest request) { perform(core_.on_stop(request, now())); }
  void pass_signal(int signal);
  void pause();
  void resume();
  /// Goes on reading a stream that a full lane has left alone.
  void read_on(CapturedStream& stream) {
    if (stream.pipe.is_open())
      wait_readable(stream);
  }

 private:
  [[nodiscard]] TimePoint now() const;
  void read(CapturedStream& stream);
  void signal_tree(int signal);
  [[nodiscard]] Result<OwnedFd> capture(Stream which);
  [[nodiscard]] Result<void> join_cgroup();
  [[nodiscard]] SpawnFailure explain(error_code error,
                                     const ChildSetup& setup) const;
  void perform(const AttemptCore::Actions& actions);
  void wait_readable(CapturedStream& stream);
  void close_stream(CapturedStream& stream);
  void wait_exit();
  void set_timer(TimePoint at);
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
  std::vector<std::unique_ptr<CapturedStream>> streams_;
  TimePoint started_{};
  TimePoint ended_{};
  SweepReport swept_;
};

/// A command that the system has had no room for yet.
struct Postponed {
  Postponed(const Executor& executor, CommandSpec command)
      : spec{std::move(command)}, timer{executor} {}

  CommandSpec spec;
  Timer timer;
  Duration waited{0};
  Duration pause = first_launch_pause;
};

class Lane {
 public:
  Lane(const LaneContext& context, int socket_fd)
      : context_{context}, io_{1}, socket_{io_} {
    socket_.assign(asio::local::stream_protocol{}, socket_fd);
  }

  void run() {
    send({}, wire::Hello{});
    receive();
    io_.run();
  }

  void send(AttemptId id, const wire::Message& message);
  void end(AttemptId id);
  /// Calls `attempt->read_on(stream)` once there is room for more output.
  void read_later(std::shared_ptr<Attempt> attempt, CapturedStream& stream) {
    unread_.emplace_back(std::move(attempt), &stream);
  }
  [[nodiscard]] bool backed_up() const {
    return pending_.size() >= high_mark_bytes;
  }

  /// Time as the commands of this lane live it: it stands still while they are
  /// paused, so that no limit passes meanwhile.
  [[nodiscard]] TimePoint now() const {
    return clock_.at(std::chrono::steady_clock::now());
  }
  [[nodiscard]] bool paused() const { return clock_.paused(); }

  [[nodiscard]] const LaneContext& context() const { return context_; }
  [[nodiscard]] Executor executor() { return io_.get_executor(); }
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
  void receive();
  void handle(const wire::Frame& frame);
  void start(AttemptId id, const CommandSpec& spec);
  [[nodiscard]] std::optional<SpawnFailure> launch(AttemptId id,
                                                   const CommandSpec& spec);
  void try_again_later(AttemptId id);
  void give_up(AttemptId id, SpawnFailure why);
  void pause();
  void resume();
  void flush();
  void close();

  const LaneContext& context_;
  asio::io_context io_;
  Socket socket_;
  wire::Reader reader_;
  std::map<AttemptId, std::shared_ptr<Attempt>> attempts_;
  std::map<AttemptId, Postponed> postponed_;
  std::vector<std::pair<std::shared_ptr<Attempt>, CapturedStream*>> unread_;
  PausableClock clock_;
  std::string pending_;    ///< Frames not yet given to the socket.
  std::string in_flight_;  ///< Frames the socket is sending.
  bool flush_posted_ = false;
  bool closed_ = false;
  std::array<char, wire::max_output> scratch_;
};

int captured_streams(const CommandSpec& spec) {
  return (spec.standard_output == Output::capture ? 1 : 0) +
         (spec.standard_error == Output::capture ? 1 : 0);
}

Attempt::Attempt(Lane& lane, AttemptId id, CommandSpec spec)
    : lane_{lane},
      id_{id},
      spec_{std::move(spec)},
      core_{spec_, captured_streams(spec_)},
      exit_{lane.executor()},
      timer_{lane.executor()} {
  tree_.own_group = !spec_.foreground;
  tree_.marker = fmt::format("{}.{}.{}", lane.context().nonce, id.command.value,
                             id.attempt);
}

TimePoint Attempt::now() const { return lane_.now(); }

Result<OwnedFd> Attempt::capture(Stream which) {
  auto pipe = make_pipe();
  if (!pipe)
    return tl::unexpected(std::move(pipe.error()));
  auto stream = std::make_unique<CapturedStream>(lane_.executor(), which);
  error_code error;
  stream->pipe.assign(pipe->read.get(), error);
  if (error)
    return tl::unexpected(system_error("epoll", error.value()));
  (void)pipe->read.release();
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
  } else if (spec_.standard_output == Output::capture) {
    auto end = capture(Stream::out);
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
  } else if (spec_.standard_error == Output::capture) {
    auto end = capture(Stream::err);
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
  const auto program = find_program(spec_, *image);
  if (!program)
    return failed(SpawnStage::exec, program.error());

  CloneLauncher launcher;
  Child child;
  started_ = now();
  error_code error = launcher.launch(child, program->c_str(), image->argv(),
                                     image->env(), setup);
  if (error.value() == ENOEXEC && setup.stage() == SpawnStage::exec) {
    const auto argv = image->shell_argv(*program);
    error = launcher.launch(child, "/bin/sh", argv.data(), image->env(), setup);
  }
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
  if (lane_.paused())
    return;
  timer_.expires_after(at - lane_.now());
  timer_.async_wait([self = shared_from_this()](error_code error) {
    if (error)
      return;
    self->wake_at_.reset();
    self->perform(self->core_.on_timer(self->now()));
  });
}

void Attempt::pause() {
  timer_.cancel();
  signal_tree(SIGSTOP);
}

void Attempt::resume() {
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
  ended_ = now();
  // What the streams hold now was written before the end: read it first, so
  // that the usual command is over without another turn of the loop.
  for (const auto& stream : streams_) {
    if (stream->pipe.is_open() && !lane_.backed_up())
      read(*stream);
  }
  perform(core_.on_leader_exited(ended_));
}

void Attempt::wait_readable(CapturedStream& stream) {
  stream.pipe.async_wait(Descriptor::wait_read, [self = shared_from_this(),
                                                 &stream](error_code error) {
    if (error)
      return;
    self->read(stream);
    if (stream.pipe.is_open() && !self->lane_.backed_up())
      self->wait_readable(stream);
    else if (stream.pipe.is_open())
      self->lane_.read_later(self, stream);
  });
}

void Attempt::read(CapturedStream& stream) {
  auto& buffer = lane_.scratch();
  while (!lane_.backed_up()) {
    const ssize_t got =
        ::read(stream.pipe.native_handle(), buffer.data(), buffer.size());
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
      return;
    if (got <= 0) {
      close_stream(stream);
      return;
    }
    const auto size = static_cast<std::size_t>(got);
    stream.bytes += size;
    if (size == buffer.size() && !stream.enlarged) {
      stream.enlarged = true;
      ::fcntl(stream.pipe.native_handle(), F_SETPIPE_SZ, large_pipe_bytes);
    }
    lane_.send(id_, wire::OutputRead{stream.stream, {buffer.data(), size}});
    if (size < buffer.size())
      return;
  }
}

void Attempt::close_stream(CapturedStream& stream) {
  close_descriptor(stream.pipe);
  perform(core_.on_stream_closed(now()));
}

void Attempt::probe_tree() {
  // The usual case, and the cheap one: nobody is left behind at all.
  const pid_t self_pid = ::getpid();
  if (children_of_thread(self_pid, self_pid).empty()) {
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
  report.stopped = verdict.stopped;
  report.killed = verdict.killed;
  report.out_of_memory = cgroup_ && cgroup_->ran_out_of_memory();
  cgroup_.reset();
  report.output_held = verdict.output_held;
  report.leftovers = swept_.leftovers;
  report.survivors = swept_.survivors;
  report.wall = ended_ - started_;
  report.user = from_timeval(usage.ru_utime);
  report.system = from_timeval(usage.ru_stime);
  report.max_rss_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
  for (const auto& stream : streams_)
    (stream->stream == Stream::out ? report.stdout_bytes
                                   : report.stderr_bytes) = stream->bytes;
  lane_.send(id_, wire::Exited{report});
  lane_.end(id_);
}

void Lane::send(AttemptId id, const wire::Message& message) {
  wire::encode(pending_, id, message);
  if (flush_posted_ || !in_flight_.empty())
    return;
  // Everything that happens in this turn of the loop goes out in one write.
  flush_posted_ = true;
  asio::post(io_, [this] {
    flush_posted_ = false;
    flush();
  });
}

void Lane::flush() {
  if (!in_flight_.empty() || pending_.empty() || closed_)
    return;
  in_flight_.swap(pending_);
  asio::async_write(
      socket_, asio::buffer(in_flight_), [this](error_code error, std::size_t) {
        in_flight_.clear();
        if (error) {
          close();
          return;
        }
        flush();
        if (pending_.size() < low_mark_bytes && !unread_.empty()) {
          auto unread = std::move(unread_);
          unread_.clear();
          for (auto& [attempt, stream] : unread)
            attempt->read_on(*stream);
        }
      });
}

void Lane::receive() {
  constexpr std::size_t piece = 64 << 10;
  socket_.async_read_some(asio::buffer(reader_.prepare(piece), piece),
                          [this](error_code error, std::size_t size) {
                            if (error) {
                              close();
                              return;
                            }
                            reader_.commit(size);
                            while (true) {
                              auto frame = reader_.next();
                              if (!frame) {
                                close();
                                return;
                              }
                              if (!*frame)
                                break;
                              handle(**frame);
                            }
                            receive();
                          });
}

void Lane::handle(const wire::Frame& frame) {
  const auto attempt = attempts_.find(frame.id);
  const bool known = attempt != attempts_.end();
  std::visit(
      Overload{[&](const wire::Start& m) {
                 if (!known)
                   start(frame.id, m.spec);
               },
               [&](const wire::Stop& m) {
                 if (known)
                   std::shared_ptr { attempt->second } -> stop(m.request);
                 else if (postponed_.contains(frame.id))
                   give_up(frame.id, {SpawnStage::resources,
                                      {Errc::cancelled,
                                       "was stopped before it could start"}});
               },
               [&](const wire::Signal& m) {
                 if (known)
                   attempt->second->pass_signal(m.signal);
               },
               [&](const wire::Pause&) { pause(); },
               [&](const wire::Resume&) { resume(); },
               // Only a warden sends these.
               [](const wire::Hello&) {}, [](const wire::Paused&) {},
               [](const wire::Started&) {}, [](const wire::OutputRead&) {},
               [](const wire::Exited&) {}, [](const wire::NotStarted&) {}},
      frame.message);
}

void Lane::start(AttemptId id, const CommandSpec& spec) {
  if (postponed_.contains(id))
    return;
  context_.running.fetch_add(1);
  auto failed = launch(id, spec);
  if (!failed)
    return;
  postponed_.try_emplace(id, executor(), spec);
  if (lacks_room(*failed))
    try_again_later(id);
  else
    give_up(id, std::move(*failed));
}

std::optional<SpawnFailure> Lane::launch(AttemptId id,
                                         const CommandSpec& spec) {
  auto attempt = std::make_shared<Attempt>(*this, id, spec);
  if (auto failed = attempt->launch())
    return failed;
  attempts_.emplace(id, attempt);
  attempt->begin();
  if (paused())
    attempt->pause();
  return std::nullopt;
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
    auto failed = launch(id, waiting.spec);
    if (!failed)
      postponed_.erase(found);
    else if (lacks_room(*failed) && waiting.waited < launch_patience)
      try_again_later(id);
    else
      give_up(id, std::move(*failed));
  });
}

void Lane::give_up(AttemptId id, SpawnFailure why) {
  postponed_.erase(id);
  context_.running.fetch_sub(1);
  send(id, wire::NotStarted{std::move(why)});
}

void Lane::pause() {
  clock_.pause(std::chrono::steady_clock::now());
  for (const auto& [id, attempt] : attempts_)
    attempt->pause();
  // Behind the signals that wait for the main thread.
  on_main([] { return true; }, [this](bool) { send({}, wire::Paused{}); });
}

void Lane::resume() {
  clock_.resume(std::chrono::steady_clock::now());
  for (const auto& [id, attempt] : attempts_)
    attempt->resume();
}

void Lane::end(AttemptId id) {
  attempts_.erase(id);
  context_.running.fetch_sub(1);
}

void Lane::close() {
  if (closed_)
    return;
  closed_ = true;
  // Nobody is there to report to. The main thread kills whatever runs.
  io_.stop();
}

}  // namespace

void run_lane(const LaneContext& context, int socket_fd,
              const std::function<void()>& on_closed) {
  Lane lane{context, socket_fd};
  lane.run();
  on_closed();
  while (true)
    ::pause();
}

}  // namespace troupe::process
