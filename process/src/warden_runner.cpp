#include "attempt_core.hpp"
#include "kept_link.hpp"
#include "tree_sweeper.hpp"
#include "warden_folder.hpp"
#include "warden_process.hpp"
#include "wire.hpp"

#include <troupe/base/assert.hpp>
#include <troupe/base/overload.hpp>
#include <troupe/base/owned_fd.hpp>
#include <troupe/base/random_name.hpp>
#include <troupe/process/leftovers.hpp>
#include <troupe/process/warden_runner.hpp>

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <deque>
#include <fcntl.h>
#include <fmt/format.h>
#include <map>
#include <optional>
#include <poll.h>
#include <set>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace troupe::process {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr unsigned most_lanes = 16;
// So many in a period, the first included: one that dies at once does not come
// back for ever.
constexpr std::size_t most_wardens = 6;
constexpr Duration warden_period = 1min;

/// A warden that was killed closes its sockets a moment before it is gone. If
/// it is there after this, it lives, and somebody else has taken it over.
constexpr Duration death_limit = 1s;

/// Looks at what a kept warden has left behind, and for how long.
constexpr Duration leftovers_sweep_pause = 5ms;
constexpr Duration leftovers_sweep_limit = 5s;

/// What is read of one stream before others have their turn, and the lanes.
constexpr std::size_t most_pieces_at_once = 4;

/// A stream that the warden has left to us to read.
struct TakenStream {
  TakenStream(asio::io_context& io, int fd, Stream which)
      : pipe{io, fd}, stream{which} {}

  asio::posix::stream_descriptor pipe;
  Stream stream;
  std::uint64_t bytes = 0;
  bool waits = false;  ///< For room in the sink.
};

/// The rest of the output of an attempt whose processes are gone.
struct Rest {
  Rest(asio::io_context& io, ExitReport exited) : report{exited}, timer{io} {}

  ExitReport report;
  asio::steady_timer timer;
  std::uint64_t bytes = 0;  ///< When the timer was set.
};

/// Everything here is touched by the I/O thread only; the public methods post.
class Runner final : public WardenRunner,
                     public std::enable_shared_from_this<Runner> {
 public:
  Runner(asio::io_context& io, WardenOptions options)
      : io_{io},
        options_{std::move(options)},
        sweeper_{io, none_running_},
        sweep_timer_{io} {
    const unsigned processors = std::thread::hardware_concurrency();
    lane_count_ = options_.lanes != 0 ? options_.lanes : processors;
    lane_count_ = std::clamp(lane_count_, 1U, most_lanes);
    session_ = options_.keep
                   ? options_.keep->session
                   : fmt::format("{:x}-{}", ::getpid(), random_name(1));
  }

  Result<void> open() {
    // What a dying warden leaves behind becomes ours and can be found.
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    ++generation_;
    if (auto done = options_.keep ? open_kept() : open_bound(); !done)
      return done;
    wardens_started_.push_back(std::chrono::steady_clock::now());
    // Before anything else: a new warden knows of no deadline.
    if (guard_) {
      for (const auto& lane : lanes_)
        lane->send({}, *guard_);
    }
    for (const auto& lane : lanes_)
      lane->begin();
    state_ = State::up;
    return {};
  }

  [[nodiscard]] const std::string& session() const override { return session_; }

  [[nodiscard]] bool has_no_new_privileges() const override {
    return has_no_new_privileges_.load();
  }

  [[nodiscard]] std::vector<AttemptId> adopted() const override {
    return adopted_;
  }

  /// After the first open().
  void remember_adopted() {
    for (const auto& [id, entry] : entries_)
      adopted_.push_back(id);
  }

  void start(AttemptId id, std::shared_ptr<const CommandSpec> spec,
             std::shared_ptr<OutputSink> sink,
             AttemptHandler handler) override {
    post_start(std::nullopt, id, std::move(spec), std::move(sink),
               std::move(handler));
  }

  void start_after(AttemptId predecessor, AttemptId id,
                   std::shared_ptr<const CommandSpec> spec,
                   std::shared_ptr<OutputSink> sink,
                   AttemptHandler handler) override {
    post_start(predecessor, id, std::move(spec), std::move(sink),
               std::move(handler));
  }

  void withdraw(AttemptId id) override {
    asio::post(io_, [this, id] {
      if (!entries_.contains(id))
        withdrawn_.insert(id);
      else if (is_waiting(id))
        end(id, withdrawn());
      else
        tell(id, wire::Withdraw{});
    });
  }

  void stop(AttemptId id, StopRequest request) override {
    asio::post(io_, [this, id, request] {
      if (is_waiting(id)) {
        end(id, RunnerLost{});  // It never ran, and shall not.
        return;
      }
      tell(id, wire::Stop{request});
      if (const auto found = entries_.find(id); found != entries_.end())
        found->second.awaits_reader = false;
    });
  }

  void signal(AttemptId id, int signal) override {
    asio::post(io_, [this, id, signal] { tell(id, wire::Signal{signal}); });
  }

  void pause(AttemptId id) override { set_paused(id, true); }

  void resume(AttemptId id) override { set_paused(id, false); }

  void forget(AttemptId id) override {
    asio::post(io_, [this, id] {
      withdrawn_.erase(id);
      const auto found = entries_.find(id);
      if (found == entries_.end())
        return;
      if (found->second.end || is_waiting(id)) {
        drop(found);
        return;
      }
      found->second.handler = nullptr;
      found->second.forgotten = true;
      if (found->second.rest) {
        end_rest(id, found->second);
        return;
      }
      tell(id, wire::Stop{{.signal = SIGKILL, .grace = Duration{0}}});
    });
  }

  void pause_all(std::function<void()> done) override {
    asio::post(io_, [this, done = std::move(done)]() mutable {
      if (state_ != State::up) {
        done();
        return;
      }
      on_paused_ = std::move(done);
      not_paused_ = lanes_.size();
      for (const auto& lane : lanes_)
        lane->send({}, wire::PauseAll{});
    });
  }

  void resume_all() override {
    asio::post(io_, [this] {
      for (const auto& lane : lanes_)
        lane->send({}, wire::ResumeAll{});
    });
  }

  void guard(BootTime kill_at, BootTime gone_by) override {
    asio::post(io_, [this, told = wire::Guard{kill_at, gone_by}] {
      guard_ = told;
      for (const auto& lane : lanes_)
        lane->send({}, told);
    });
  }

  void stop_all(BootTime gone_by) override {
    asio::post(io_, [this, gone_by] {
      std::vector<AttemptId> waiting;
      for (auto& [id, entry] : entries_) {
        entry.awaits_reader = false;
        if (is_waiting(id))
          waiting.push_back(id);
      }
      for (const AttemptId id : waiting)
        end(id, RunnerLost{});  // It never ran, and shall not.
      for (const auto& lane : lanes_)
        lane->send({}, wire::StopAll{gone_by});
    });
  }

  void when_idle(std::function<void()> done) override {
    asio::post(io_, [this, done = std::move(done)]() mutable {
      if (state_ == State::left)
        return;
      on_idle_.push_back(std::move(done));
      look_whether_idle();
    });
  }

  void close(Duration limit) override {
    const bool is_kept = options_.keep && state_ == State::up;
    close_lanes();
    if (is_kept)
      tell_to_end(options_.keep->folder, takeover_);
    if (state_ != State::left)
      await_warden(warden_, limit);
    if (is_kept)
      (void)end_leftovers(session_, leftovers_sweep_limit);
    if (state_ != State::left)
      state_ = State::down;
  }

  void leave() override {
    if (!options_.keep) {
      close(Duration{0});
      return;
    }
    close_lanes();
    abandon_warden();
  }

 private:
  enum class State : std::uint8_t {
    down,        ///< No warden; the next start brings one.
    up,          ///< It runs.
    recovering,  ///< It died; what it left behind is being killed.
    left,        ///< It is somebody else's, or will be.
  };

  class Lane;

  struct Entry {
    std::shared_ptr<const CommandSpec> spec;
    std::shared_ptr<OutputSink> sink;
    AttemptHandler handler;
    std::optional<AttemptId> predecessor{};  ///< Not to be started before.
    std::shared_ptr<Lane> lane;
    std::optional<AttemptStarted> started;
    std::optional<AttemptEnded> end;
    bool forgotten = false;
    bool is_paused = false;  ///< While it waits to be launched.
    bool unclaimed = false;  ///< Adopted, and nobody has asked for it yet.
    std::vector<std::shared_ptr<TakenStream>> taken{};
    std::unique_ptr<Rest> rest{};
    bool is_full = false;       ///< The sink, for what is taken.
    bool awaits_reader = true;  ///< Of the rest.
  };

  /// Our end of one socket.
  class Lane : public std::enable_shared_from_this<Lane> {
   public:
    Lane(Runner& runner, LaneLink link, std::uint64_t generation)
        : runner_{runner},
          socket_{runner.io_},
          generation_{generation},
          reader_{std::move(link.reader)} {
      socket_.assign(asio::local::stream_protocol{}, link.socket.release());
      socket_.non_blocking(true);
    }

    /// Frames may have come already.
    void begin() {
      asio::post(runner_.io_, [self = shared_from_this()] { self->deliver(); });
    }

    void send(AttemptId id, const wire::Message& message) {
      wire::encode(pending_, id, message);
      if (flush_posted_ || !in_flight_.empty())
        return;
      flush_posted_ = true;
      asio::post(runner_.io_, [self = shared_from_this()] {
        self->flush_posted_ = false;
        self->flush();
      });
    }

    /// Goes on after a sink was full.
    void deliver_on(AttemptId id) {
      runner_.read_on(id);
      if (std::exchange(held_, false))
        deliver();
    }

    void close() {
      error_code ignored;
      socket_.close(ignored);
    }

    std::size_t running = 0;

   private:
    void receive() {
      constexpr std::size_t piece = 128 << 10;
      socket_.async_read_some(
          asio::buffer(reader_.prepare(piece), piece),
          [self = shared_from_this()](error_code error, std::size_t size) {
            if (error) {
              self->fail();
              return;
            }
            self->reader_.commit(size);
            self->deliver();
          });
    }

    void deliver() {
      while (!held_) {
        auto frame = reader_.next();
        if (!frame) {
          fail();
          return;
        }
        if (!*frame) {
          receive();
          return;
        }
        if (runner_.on_frame(**frame) == SinkState::full)
          held_ = true;
      }
    }

    void flush() {
      if (!in_flight_.empty() || pending_.empty())
        return;
      // Mostly there is room, and no turn of the loop is needed to hear of it.
      // A broken socket is noticed, and reported once, by the reader.
      error_code error;
      const std::size_t sent =
          socket_.write_some(asio::buffer(pending_), error);
      pending_.erase(0, sent);
      if (pending_.empty() || (error && error != asio::error::would_block))
        return;
      in_flight_.swap(pending_);
      asio::async_write(
          socket_, asio::buffer(in_flight_),
          [self = shared_from_this()](error_code failed, std::size_t) {
            self->in_flight_.clear();
            if (!failed)
              self->flush();
          });
    }

    void fail() { runner_.on_lost(generation_); }

    Runner& runner_;
    asio::local::stream_protocol::socket socket_;
    std::uint64_t generation_;
    wire::Reader reader_;
    std::string pending_;
    std::string in_flight_;
    bool flush_posted_ = false;
    bool held_ = false;
  };

  Result<void> open_bound() {
    auto warden = spawn_warden(options_, lane_count_, session_);
    if (!warden)
      return tl::unexpected(std::move(warden.error()));
    warden_ = std::move(*warden);
    has_no_new_privileges_ = options_.no_new_privileges;
    for (const int fd : std::exchange(warden_.sockets, {}))
      lanes_.push_back(std::make_shared<Lane>(*this, LaneLink{OwnedFd{fd}, {}},
                                              generation_));
    return {};
  }

  Result<void> open_kept() {
    if (!is_session(options_.keep->session))
      return failure(Errc::invalid_argument,
                     fmt::format("'{}' cannot be the name of a session",
                                 options_.keep->session));
    if (options_.keep->patience < Duration{0})
      return failure(Errc::invalid_argument, "patience cannot be negative");
    auto link = reach_warden(options_, lane_count_, session_);
    if (!link)
      return tl::unexpected(std::move(link.error()));
    warden_ = std::move(link->warden);
    warden_is_ours_ = !link->is_adopted;
    has_no_new_privileges_ = process::has_no_new_privileges(warden_.pid);
    takeover_ = link->takeover;
    session_ = std::move(link->session);
    for (LaneLink& lane : link->lanes)
      lanes_.push_back(
          std::make_shared<Lane>(*this, std::move(lane), generation_));
    for (KnownAttempt& attempt : link->attempts)
      adopt(std::move(attempt));
    return {};
  }

  void adopt(KnownAttempt attempt) {
    const auto& lane = lanes_.at(attempt.lane);
    Entry entry{.spec = nullptr,
                .sink = nullptr,
                .handler = nullptr,
                .lane = lane,
                .started = attempt.started,
                .end = std::nullopt,
                .unclaimed = true};
    if (attempt.end)
      entry.end = AttemptEnded{std::move(*attempt.end), nullptr};
    if (entries_.try_emplace(attempt.id, std::move(entry)).second &&
        !attempt.end) {
      ++lane->running;
      ++open_;
    }
  }

  /// Nobody wants to know of it any more, and a kept warden need not, either.
  void drop(std::map<AttemptId, Entry>::iterator entry) {
    if (options_.keep && entry->second.lane)
      entry->second.lane->send(entry->first, wire::Forget{});
    if (!entry->second.end)
      --open_;
    entries_.erase(entry);
    look_whether_idle();
  }

  void look_whether_idle() {
    if (open_ > 0 || state_ == State::recovering)
      return;
    for (const auto& done : std::exchange(on_idle_, {}))
      done();
  }

  void post_start(std::optional<AttemptId> predecessor, AttemptId id,
                  std::shared_ptr<const CommandSpec> spec,
                  std::shared_ptr<OutputSink> sink, AttemptHandler handler) {
    asio::post(
        io_, [this, predecessor, id, spec = std::move(spec),
              sink = std::move(sink), handler = std::move(handler)]() mutable {
          do_start(predecessor, id, std::move(spec), std::move(sink),
                   std::move(handler));
        });
  }

  static SpawnFailure withdrawn() {
    return {.stage = SpawnStage::resources,
            .error = {Errc::cancelled, "was withdrawn before it could start"}};
  }

  void do_start(std::optional<AttemptId> predecessor, AttemptId id,
                std::shared_ptr<const CommandSpec> spec,
                std::shared_ptr<OutputSink> sink, AttemptHandler handler) {
    const auto known = entries_.find(id);
    if (known != entries_.end()) {
      known->second.handler = std::move(handler);
      claim(id, known->second, std::move(sink));
      replay(known->second);
      return;
    }
    Entry& entry = entries_[id];
    ++open_;
    entry = {.spec = std::move(spec),
             .sink = std::move(sink),
             .handler = std::move(handler),
             .predecessor = predecessor,
             .lane = nullptr,
             .started = std::nullopt,
             .end = std::nullopt};
    if (withdrawn_.erase(id) != 0) {
      end(id, withdrawn());
      return;
    }
    switch (state_) {
      case State::recovering:
        return;  // Launched as soon as that is over.
      case State::down:
        if (too_many_wardens() || !open()) {
          end(id, RunnerLost{});
          return;
        }
        break;
      case State::left:
        end(id, RunnerLost{.cut_off = true});
        return;
      case State::up:
        break;
    }
    launch(id, entry);
  }

  /// The first call for an adopted attempt: its sink stays.
  void claim(AttemptId id, Entry& entry, std::shared_ptr<OutputSink> sink) {
    if (!std::exchange(entry.unclaimed, false))
      return;
    if (entry.end) {
      entry.end->sink = std::move(sink);
      return;
    }
    entry.sink = std::move(sink);
    attach_sink(id, entry);
    tell(id, wire::Claim{});
  }

  /// Tells a new handler what its predecessor was told.
  static void replay(const Entry& entry) {
    if (entry.started)
      entry.handler(*entry.started);
    if (entry.end)
      entry.handler(*entry.end);
  }

  void launch(AttemptId id, Entry& entry) {
    entry.predecessor = last_before(entry);
    entry.lane = lane_of_predecessor(entry);
    const bool waits = entry.lane != nullptr;
    if (!waits)
      entry.lane = *std::min_element(
          lanes_.begin(), lanes_.end(),
          [](const auto& a, const auto& b) { return a->running < b->running; });
    ++entry.lane->running;
    attach_sink(id, entry);
    entry.lane->send(
        id, wire::Start{*entry.spec, waits ? entry.predecessor : std::nullopt});
    if (entry.is_paused)
      entry.lane->send(id, wire::Pause{});
  }

  /// Its predecessor, or, if that has not been started and will not be, the one
  /// before that.
  [[nodiscard]] std::optional<AttemptId> last_before(const Entry& entry) const {
    std::optional<AttemptId> before = entry.predecessor;
    for (auto found = entries_.end(); before;
         before = found->second.predecessor) {
      found = entries_.find(*before);
      if (found == entries_.end() || !found->second.end ||
          found->second.started)
        return before;
    }
    return std::nullopt;
  }

  /// Null if there is none to wait for.
  [[nodiscard]] std::shared_ptr<Lane> lane_of_predecessor(
      const Entry& entry) const {
    if (!entry.predecessor)
      return nullptr;
    const auto found = entries_.find(*entry.predecessor);
    return found != entries_.end() && !found->second.end ? found->second.lane
                                                         : nullptr;
  }

  void attach_sink(AttemptId id, const Entry& entry) {
    if (!entry.sink)
      return;
    entry.sink->on_attach(
        [&io = io_, id, lane = std::weak_ptr<Lane>{entry.lane}] {
          asio::post(io, [id, lane] {
            if (const auto alive = lane.lock())
              alive->deliver_on(id);
          });
        });
  }

  // Streams that the warden has left to us.

  /// Reads it from now on, if there is anybody to get it.
  void take(AttemptId id, const wire::Offered& offer) {
    const auto found = entries_.find(id);
    if (found == entries_.end())
      return;
    Entry& entry = found->second;
    const bool is_wanted = entry.sink && !entry.forgotten && !options_.keep;
    OwnedFd pipe{is_wanted ? open_offered(offer) : -1};
    tell(id, wire::Taken{offer.stream, pipe.is_open()});
    if (!pipe.is_open())
      return;
    entry.taken.push_back(
        std::make_shared<TakenStream>(io_, pipe.release(), offer.stream));
    wait_for_more(id, entry.taken.back());
  }

  /// Streams that are ready are read one in each turn of the loop. All of them
  /// in one would leave nothing for those that still come over the lanes: these
  /// have one read in each turn, whatever the others get.
  void read_in_turn(AttemptId id, std::shared_ptr<TakenStream> stream) {
    ready_.emplace_back(id, std::move(stream));
    if (ready_.size() == 1)
      asio::post(io_, [this] { read_next(); });
  }

  void read_next() {
    if (ready_.empty())
      return;
    const auto [id, stream] = std::move(ready_.front());
    read(id, stream);
    ready_.pop_front();
    if (!ready_.empty())
      asio::post(io_, [this] { read_next(); });
  }

  /// The pipe, opened once more, so that its other end is not affected by how
  /// we read it; negative if that is not possible.
  [[nodiscard]] int open_offered(const wire::Offered& offer) const {
    const std::string path =
        fmt::format("/proc/{}/fd/{}", warden_.pid, offer.descriptor);
    OwnedFd pipe{::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
    struct stat status {};
    const bool is_it = pipe.is_open() && ::fstat(pipe.get(), &status) == 0 &&
                       S_ISFIFO(status.st_mode) && status.st_ino == offer.inode;
    return is_it ? pipe.release() : -1;
  }

  void wait_for_more(AttemptId id, const std::shared_ptr<TakenStream>& stream) {
    stream->pipe.async_wait(asio::posix::stream_descriptor::wait_read,
                            [this, id, stream](error_code error) {
                              if (!error)
                                read_in_turn(id, stream);
                            });
  }

  void read(AttemptId id, const std::shared_ptr<TakenStream>& stream) {
    const auto found = entries_.find(id);
    if (found == entries_.end() || !stream->pipe.is_open())
      return;
    Entry& entry = found->second;
    if (entry.forgotten)
      return;
    for (std::size_t i = 0; i < most_pieces_at_once && !entry.is_full; ++i) {
      const ssize_t got =
          ::read(stream->pipe.native_handle(), piece_.data(), piece_.size());
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        wait_for_more(id, stream);
        return;
      }
      if (got <= 0) {
        stream->pipe.close();
        if (entry.rest && !reads_on(entry))
          end_rest(id, entry);
        return;
      }
      const auto size = static_cast<std::size_t>(got);
      stream->bytes += size;
      entry.is_full =
          entry.sink->write(stream->stream, {piece_.data(), size}) ==
          SinkState::full;
    }
    stream->waits = entry.is_full;
    if (!entry.is_full)
      read_in_turn(id, stream);
  }

  /// The sink has room again.
  void read_on(AttemptId id) {
    const auto found = entries_.find(id);
    if (found == entries_.end())
      return;
    found->second.is_full = false;
    const auto streams = found->second.taken;
    for (const auto& stream : streams) {
      if (std::exchange(stream->waits, false))
        read_in_turn(id, stream);
    }
  }

  static bool reads_on(const Entry& entry) {
    return std::any_of(
        entry.taken.begin(), entry.taken.end(),
        [](const auto& stream) { return stream->pipe.is_open(); });
  }

  void exited(AttemptId id, const ExitReport& report) {
    const auto found = entries_.find(id);
    if (found == entries_.end() || found->second.end)
      return;
    Entry& entry = found->second;
    if (entry.taken.empty()) {
      end(id, report);
      return;
    }
    entry.rest = std::make_unique<Rest>(io_, report);
    if (reads_on(entry) && !entry.forgotten)
      await_rest(id, entry);
    else
      end_rest(id, entry);
  }

  /// As a lane does it: until nothing has come for a while, but for as long as
  /// it takes whoever is to get it.
  void await_rest(AttemptId id, Entry& entry) {
    entry.rest->bytes = taken_bytes(entry);
    entry.rest->timer.expires_after(drain_time);
    entry.rest->timer.async_wait([this, id](error_code stopped) {
      const auto found = entries_.find(id);
      if (stopped || found == entries_.end() || !found->second.rest)
        return;
      Entry& late = found->second;
      const bool is_held_back = late.is_full && late.awaits_reader;
      if (is_held_back || taken_bytes(late) != late.rest->bytes)
        await_rest(id, late);
      else
        end_rest(id, late);
    });
  }

  static std::uint64_t taken_bytes(const Entry& entry) {
    std::uint64_t bytes = 0;
    for (const auto& stream : entry.taken)
      bytes += stream->bytes;
    return bytes;
  }

  void end_rest(AttemptId id, Entry& entry) {
    ExitReport report = entry.rest->report;
    for (const auto& stream : entry.taken) {
      (stream->stream == Stream::out ? report.stdout_bytes
                                     : report.stderr_bytes) += stream->bytes;
      report.output_held |= stream->pipe.is_open() && !entry.is_full;
    }
    end(id, report);
  }

  [[nodiscard]] bool too_many_wardens() {
    const TimePoint now = std::chrono::steady_clock::now();
    while (!wardens_started_.empty() &&
           wardens_started_.front() < now - warden_period)
      wardens_started_.pop_front();
    return wardens_started_.size() >= most_wardens;
  }

  /// For the end of a recovery, to be launched.
  [[nodiscard]] bool is_waiting(AttemptId id) const {
    const auto found = entries_.find(id);
    return found != entries_.end() && !found->second.lane &&
           !found->second.end && state_ == State::recovering;
  }

  void set_paused(AttemptId id, bool is_paused) {
    asio::post(io_, [this, id, is_paused] {
      if (is_waiting(id))
        entries_.at(id).is_paused = is_paused;
      else if (is_paused)
        tell(id, wire::Pause{});
      else
        tell(id, wire::Resume{});
    });
  }

  void tell(AttemptId id, const wire::Message& message) {
    const auto found = entries_.find(id);
    if (found != entries_.end() && found->second.lane && !found->second.end)
      found->second.lane->send(id, message);
  }

  SinkState on_frame(const wire::Frame& frame) {
    SinkState state = SinkState::ready;
    std::visit(
        Overload{[&](const wire::Hello& m) {
                   // Both come from one build; another one beside us is a
                   // mistake of the installation that must not go on.
                   TROUPE_ASSERT(m.version == wire::wire_version);
                 },
                 [&](const wire::Started& m) { started(frame.id, m); },
                 [&](const wire::OutputRead& m) {
                   const auto found = entries_.find(frame.id);
                   if (found != entries_.end() && found->second.sink &&
                       !found->second.forgotten)
                     state = found->second.sink->write(m.stream, m.bytes);
                 },
                 [&](const wire::Offered& m) { take(frame.id, m); },
                 [&](const wire::Exited& m) { exited(frame.id, m.report); },
                 [&](const wire::NotStarted& m) { end(frame.id, m.failure); },
                 [&](const wire::AllPaused&) { lane_paused(); },
                 // Only a runner sends these.
                 [](const wire::Start&) {}, [](const wire::Stop&) {},
                 [](const wire::Signal&) {}, [](const wire::Pause&) {},
                 [](const wire::Resume&) {}, [](const wire::PauseAll&) {},
                 [](const wire::ResumeAll&) {}, [](const wire::Forget&) {},
                 [](const wire::Claim&) {}, [](const wire::Taken&) {},
                 [](const wire::Withdraw&) {}, [](const wire::Guard&) {},
                 [](const wire::StopAll&) {},
                 // These have been read when the warden was taken over.
                 [](const wire::Known&) {}, [](const wire::Listed&) {}},
        frame.message);
    return state;
  }

  void lane_paused() {
    if (not_paused_ == 0 || --not_paused_ > 0)
      return;
    std::exchange(on_paused_, nullptr)();
  }

  void started(AttemptId id, const wire::Started& message) {
    const auto found = entries_.find(id);
    if (found == entries_.end())
      return;
    found->second.started = AttemptStarted{message.pid, message.is_paused};
    if (found->second.handler)
      found->second.handler(*found->second.started);
  }

  void end(AttemptId id, AttemptEnd how) {
    const auto found = entries_.find(id);
    if (found == entries_.end() || found->second.end)
      return;
    Entry& entry = found->second;
    if (entry.lane)
      --entry.lane->running;
    // A kept warden is told there when to forget.
    if (!options_.keep)
      entry.lane = nullptr;
    entry.spec = nullptr;
    entry.taken.clear();
    entry.rest = nullptr;
    if (entry.forgotten) {
      drop(found);
      return;
    }
    entry.end = AttemptEnded{std::move(how), std::move(entry.sink)};
    --open_;
    if (entry.handler)
      entry.handler(*entry.end);
    look_whether_idle();
  }

  void on_lost(std::uint64_t generation) {
    if (generation != generation_ || state_ != State::up)
      return;
    state_ = State::recovering;
    close_lanes();
    if (std::exchange(not_paused_, 0) > 0)
      std::exchange(on_paused_, nullptr)();
    if (options_.keep && !warden_dies()) {
      cut_off();
      return;
    }
    await_warden(warden_, Duration{0});
    // The orphans of a warden that we have not started are not our children.
    if (!options_.keep)
      sweeper_.kill_tree(Tree{}, [this](SweepReport) { recovered(); });
    else if (warden_is_ours_)
      sweeper_.kill_tree(Tree{}, [this](SweepReport) { begin_sweep(); });
    else
      begin_sweep();
  }

  [[nodiscard]] bool warden_dies() const {
    pollfd exit{.fd = warden_.pidfd, .events = POLLIN, .revents = 0};
    constexpr auto limit =
        std::chrono::duration_cast<std::chrono::milliseconds>(death_limit);
    return ::poll(&exit, 1, static_cast<int>(limit.count())) > 0;
  }

  /// Nothing is killed: it is another runner's now.
  void cut_off() {
    abandon_warden();
    on_idle_.clear();  // We do not hear of it any more.
    std::vector<AttemptId> open;
    for (const auto& [id, entry] : entries_) {
      if (!entry.end)
        open.push_back(id);
    }
    for (const AttemptId id : open)
      end(id, RunnerLost{.cut_off = true});
    if (options_.keep->on_cut_off)
      options_.keep->on_cut_off();
  }

  void abandon_warden() {
    if (warden_.pidfd >= 0)
      ::close(warden_.pidfd);
    warden_ = {};
    state_ = State::left;
  }

  void begin_sweep() {
    leftovers_.emplace(session_);
    sweep_deadline_ = std::chrono::steady_clock::now() + leftovers_sweep_limit;
    sweep_on();
  }

  void sweep_on() {
    if (leftovers_->pass() == 0 ||
        std::chrono::steady_clock::now() >= sweep_deadline_) {
      leftovers_.reset();
      recovered();
      return;
    }
    sweep_timer_.expires_after(leftovers_sweep_pause);
    sweep_timer_.async_wait([this](error_code stopped) {
      if (!stopped)
        sweep_on();
    });
  }

  /// Pending handlers hold the lanes for a while longer; the sockets must go
  /// now, for their end is what ends the warden.
  void close_lanes() {
    for (const auto& lane : lanes_)
      lane->close();
    lanes_.clear();
  }

  void recovered() {
    state_ = State::down;
    std::vector<AttemptId> lost;
    std::vector<AttemptId> waiting;
    for (const auto& [id, entry] : entries_) {
      if (!entry.end && !entry.rest)
        (entry.lane ? lost : waiting).push_back(id);
    }
    for (const AttemptId id : lost)
      end(id, RunnerLost{});
    for (const AttemptId id : waiting) {
      if (state_ == State::down && (too_many_wardens() || !open()))
        end(id, RunnerLost{});
      else
        launch(id, entries_.at(id));
    }
    look_whether_idle();
  }

  asio::io_context& io_;
  WardenOptions options_;
  unsigned lane_count_ = 1;
  std::string session_;
  std::vector<AttemptId> adopted_;
  std::atomic<int> none_running_{0};
  TreeSweeper sweeper_;
  WardenProcess warden_;
  bool warden_is_ours_ = true;  ///< Our child, not adopted.
  std::atomic<bool> has_no_new_privileges_{false};
  std::uint64_t takeover_ = 0;  ///< By which number a kept one knows us.
  std::optional<LeftoverSweep> leftovers_;
  asio::steady_timer sweep_timer_;
  TimePoint sweep_deadline_{};
  State state_ = State::down;
  std::deque<TimePoint> wardens_started_;  ///< Within the period.
  std::uint64_t generation_ = 0;
  std::vector<std::shared_ptr<Lane>> lanes_;
  std::size_t not_paused_ = 0;  ///< Lanes that have yet to say so.
  std::function<void()> on_paused_;
  std::map<AttemptId, Entry> entries_;
  std::size_t open_ = 0;  ///< Of them: without an end.
  std::vector<std::function<void()>> on_idle_;
  std::optional<wire::Guard> guard_;  ///< The last that we were told.
  std::set<AttemptId> withdrawn_;     ///< Of what has not been started yet.
  std::array<char, wire::max_output> piece_;  ///< Of a stream that was taken.
  /// Those of them that may have something, in order.
  std::deque<std::pair<AttemptId, std::shared_ptr<TakenStream>>> ready_;
};

}  // namespace

Result<std::unique_ptr<WardenRunner>> WardenRunner::create(
    asio::io_context& io, WardenOptions options) {
  auto runner = std::make_unique<Runner>(io, std::move(options));
  if (auto opened = runner->open(); !opened)
    return tl::unexpected(std::move(opened.error()));
  runner->remember_adopted();
  return runner;
}

}  // namespace troupe::process
