#include "actor_host.hpp"
#include "audit_log.hpp"
#include "basic_environment.hpp"
#include "cluster_links.hpp"
#include "content_stream.hpp"
#include "housekeeper.hpp"
#include "job_watch.hpp"
#include "member.hpp"
#include "member_start.hpp"
#include "node_lock.hpp"
#include "operations.hpp"
#include "run_driver_actor.hpp"
#include "store_writer.hpp"
#include "systemd.hpp"
#include "tree_log.hpp"
#include "trigger_actor.hpp"

#include <troupe/api/http_client.hpp>
#include <troupe/api/http_server.hpp>
#include <troupe/base/log.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/base/random_name.hpp>
#include <troupe/base/text.hpp>
#include <troupe/flow_control/token_bucket.hpp>
#include <troupe/node/daemon.hpp>
#include <troupe/node/machine.hpp>
#include <troupe/process/boot_clock.hpp>
#include <troupe/process/signal_watcher.hpp>
#include <troupe/process/warden_runner.hpp>
#include <troupe/queue/dispatcher_actor.hpp>
#include <troupe/store/postgres_store.hpp>
#include <troupe/store/sqlite_store.hpp>
#include <troupe/supervisor/child_handle.hpp>
#include <troupe/supervisor/supervisor.hpp>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <grp.h>
#include <map>
#include <random>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace troupe::node {
namespace {

using actors::ActorRef;

constexpr Duration longest_upgrade = 1min;
constexpr Duration lock_pause = 20ms;
/// A node that was killed a moment ago has its folder until it is gone.
constexpr Duration longest_death = 1s;
/// At what other nodes have changed.
constexpr Duration look_at_others = 1s;
constexpr Duration longest_end_of_evicted = 5s;
constexpr Duration longest_actor_end = 5s;
/// Between two looks at what a node that drains waits for, and of one look.
constexpr Duration drain_pause = 1s;
constexpr Duration longest_answer = 15s;
/// Of one that may be gone.
constexpr Duration longest_store_call = 5s;
/// What a server was told may be done long after that call.
constexpr Duration list_claims_every = 30s;
/// Of each user, in the audit log: its space is not for those who may do
/// nothing.
constexpr std::uint32_t most_refusals_per_second = 2;
constexpr int first_error_status = 400;
constexpr int try_later_status = 429;
constexpr std::size_t session_words = 3;
/// A dispatcher that dies more often than that has a reason that stays.
constexpr int dispatcher_restarts = 20;
constexpr Duration dispatcher_period = 1min;

flow_control::GovernorConfig governor(const NodeConfig& config) {
  flow_control::GovernorConfig governor{.max_running = config.most_running};
  if (config.memory_reserve != 0)
    governor.memfree_bytes = config.memory_reserve;
  if (config.max_load > 0)
    governor.max_load = config.max_load;
  return governor;
}

Result<void> make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error)
    return tl::unexpected(
        system_error(fmt::format("cannot make {}", path), error.value()));
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0)
    return tl::unexpected(
        system_error(fmt::format("cannot look at {}", path), errno));
  if (info.st_uid != ::geteuid())
    return failure(Errc::permission_denied,
                   fmt::format("{} belongs to another user", path));
  if (::chmod(path.c_str(), 0700) != 0)
    return tl::unexpected(
        system_error(fmt::format("cannot change {}", path), errno));
  return {};
}

/// Of caches and artifacts of runs.
std::string content_folder(const NodeConfig& config) {
  return config.folder + "/content";
}

std::string services_folder(const NodeConfig& config) {
  return config.folder + "/services";
}

/// Is there while the node is paused, also over restarts.
std::string held_file(const std::string& folder) { return folder + "/paused"; }

/// Blocks until it would be so after a power cut as well.
Result<void> keep_held(const std::string& folder, bool is_held) {
  const std::string path = held_file(folder);
  const OwnedFd file{
      is_held ? ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)
              : -1};
  if (is_held && !file.is_open())
    return tl::unexpected(
        system_error(fmt::format("cannot make {}", path), errno));
  if (!is_held && ::unlink(path.c_str()) != 0 && errno != ENOENT)
    return tl::unexpected(
        system_error(fmt::format("cannot remove {}", path), errno));
  const OwnedFd names{
      ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!names.is_open() || ::fsync(names.get()) != 0)
    return tl::unexpected(
        system_error(fmt::format("cannot sync {}", folder), errno));
  return {};
}

Result<std::optional<api::HttpGroup>> socket_group(const NodeConfig& config) {
  if (config.socket_group.empty())
    return std::optional<api::HttpGroup>{};
  // Called once, at the start.
  // NOLINTNEXTLINE(concurrency-mt-unsafe)
  const group* const found = ::getgrnam(config.socket_group.c_str());
  if (found == nullptr)
    return failure(Errc::not_found,
                   fmt::format("there is no group \"{}\" (socket-group)",
                               printable(config.socket_group)));
  return std::optional{api::HttpGroup{found->gr_gid, config.socket_group_role}};
}

/// What nodes before have left: their commands are ended, and what they had
/// claimed waits again. `current` is the session that goes on.
Result<void> end_other_sessions(store::Store& store,
                                const store::SessionId& current) {
  auto open = store.open_sessions();
  if (!open)
    return tl::unexpected(std::move(open.error()));
  std::erase(*open, current);
  return end_sessions(store, *open);
}

/// The group "default" has as many slots as the configuration says; without a
/// word there, as many as there are processors at first.
Result<void> set_default_slots(store::Store& store, std::uint32_t slots,
                               bool is_new) {
  if (slots == 0 && !is_new)
    return {};
  auto groups = store.groups();
  if (!groups)
    return tl::unexpected(std::move(groups.error()));
  for (const store::GroupInfo& info : *groups) {
    if (info.group.name != "default")
      continue;
    store::Group group = info.group;
    group.slots = slots != 0 ? slots : processors();
    return store.set_group(group);
  }
  return {};
}

std::string read_line(const std::string& path) {
  std::ifstream file{path};
  std::string line;
  std::getline(file, line);
  return line;
}

/// Output is found by the number of its job, and another store has the same
/// numbers. A file in the folder names the database whose jobs have their
/// output there; it is not there for a store that is a file.
Result<void> keep_store_id(const std::string& folder, const std::string& id) {
  const std::string path = folder + "/store.id";
  const std::string before = read_line(path);
  const bool has_file = std::filesystem::exists(folder + "/store.db");
  if (before == id && (id.empty() || !has_file))
    return {};
  if (!before.empty() || (has_file && !id.empty()))
    return failure(
        Errc::already_exists,
        fmt::format("the folder {} belongs to another store ({}); give this "
                    "one a folder of its own",
                    folder, before.empty() ? "store.db" : path));
  std::ofstream file{path};
  file << id << '\n';
  file.close();
  if (!file)
    return tl::unexpected(
        system_error(fmt::format("cannot write {}", path), errno));
  return {};
}

Result<std::unique_ptr<store::SqlStore>> open_sqlite(const NodeConfig& config) {
  // Before the file is made.
  if (auto kept = keep_store_id(config.folder, ""); !kept)
    return tl::unexpected(std::move(kept.error()));
  return store::SqliteStore::open(config.folder + "/store.db");
}

Result<std::unique_ptr<store::SqlStore>> connect_to_store(
    const NodeConfig& config, store::Presence presence) {
  auto opened = store::PostgresStore::open(
      config.store, {.deadline = longest_store_call,
                     .password_file = config.store_password_file,
                     .presence = presence});
  if (!opened)
    return tl::unexpected(std::move(opened.error()).within("store"));
  return opened;
}

Result<std::unique_ptr<store::SqlStore>> open_postgres(
    const NodeConfig& config, store::Presence presence) {
  auto opened = connect_to_store(config, presence);
  if (!opened)
    return opened;
  const store::StoreFacts& facts = (*opened)->facts();
  if (auto kept = keep_store_id(config.folder, facts.id); !kept)
    return tl::unexpected(std::move(kept.error()));
  const bool is_weak = facts.durability == store::Durability::buffered;
  log(is_weak ? LogLevel::warn : LogLevel::info,
      fmt::format("store_opened software={} durability={} {}",
                  shell_quote(facts.software),
                  store::to_string(facts.durability), facts.settings));
  return opened;
}

/// Requests of each user, limited.
class RequestRates {
 public:
  std::optional<Duration> admit(uid_t uid, std::uint32_t per_second) {
    if (per_second == 0)
      return std::nullopt;
    if (per_second != per_second_) {
      buckets_.clear();
      per_second_ = per_second;
    }
    const TimePoint now = std::chrono::steady_clock::now();
    auto& bucket =
        buckets_
            .try_emplace(
                uid,
                flow_control::TokenBucketConfig{
                    .tokens = per_second, .per = 1s, .burst = per_second},
                now)
            .first->second;
    if (bucket.try_take(1, now))
      return std::nullopt;
    return bucket.time_until(1, now).value_or(1s);
  }

 private:
  std::uint32_t per_second_ = 0;
  std::map<uid_t, flow_control::TokenBucket> buckets_;
};

Result<OwnedFd> lock_within(const NodeConfig& config, Duration patience) {
  const TimePoint until = std::chrono::steady_clock::now() + patience;
  while (true) {
    auto lock = lock_folder(config.folder);
    if (lock || lock.error().code != Errc::already_exists ||
        std::chrono::steady_clock::now() > until)
      return lock;
    std::this_thread::sleep_for(lock_pause);
  }
}

/// Asks the node that has the folder to leave its commands and end, and waits
/// for the lock.
Result<OwnedFd> take_over_folder(const NodeConfig& config) {
  auto client = api::HttpClient::connect(config.socket, 5s);
  if (!client)
    return tl::unexpected(std::move(client.error()).within("upgrade"));
  const api::Json how{{"commands", "keep"}};
  if (auto asked =
          client->request(api::HttpMethod::post, "/v1/node/stop", &how, 5s);
      !asked)
    return tl::unexpected(std::move(asked.error()).within("upgrade"));
  return lock_within(config, longest_upgrade);
}

}  // namespace

/// In the order of construction; destroyed in reverse.
struct Daemon::Parts {
  explicit Parts(DaemonOptions given)
      : options{std::move(given)},
        config{std::make_shared<const NodeConfig>(options.config)},
        environment{basic_environment(environ, account_of(::geteuid()),
                                      config->socket)} {}

  DaemonOptions options;
  std::shared_ptr<const NodeConfig> config;
  /// Of commands that come without one.
  std::map<std::string, std::string> environment;
  process::SignalWatcher signals{SIGTERM, SIGINT, SIGHUP};
  OwnedFd lock;
  /// Who answers a request may outlive us, and tells it first.
  std::shared_ptr<AuditLog> audit;
  ActorHost host;
  boost::asio::io_context& io = host.io();
  actors::ActorSystem& system = host.system();
  boost::asio::steady_timer stop_timer{io};
  boost::asio::steady_timer drain_timer{io};
  bool is_drained = false;  ///< But for what still runs.
  bool is_revoked = false;
  std::size_t awaited_jobs = 0;  ///< Before that.
  boost::asio::steady_timer watchdog{io};
  std::unique_ptr<process::WardenRunner> runner;
  std::unique_ptr<Housekeeper> housekeeper;
  std::unique_ptr<StoreWriter> store;
  std::shared_ptr<queue::DispatcherDeps> dispatcher_deps;
  std::shared_ptr<RunDriverDeps> run_deps;
  ActorRef dispatcher;  ///< A handle.
  ActorRef run_driver;  ///< Likewise.
  std::shared_ptr<TriggerDeps> trigger_deps;
  ActorRef triggers;  ///< Likewise; null without a folder of workflows.
  std::unique_ptr<WebhookServer> webhooks;
  ActorRef tree;
  ActorRef tree_log;  ///< Gets what its supervisor reports.
  std::shared_ptr<JobWatch> watch;
  std::unique_ptr<NodeContext> context;
  RequestRates rates;
  RequestRates refusals;  ///< That are recorded.
  std::unique_ptr<api::HttpServer> server;
  std::optional<link::Identity> identity;  ///< If it is to listen for others.
  std::unique_ptr<ClusterLinks> links;
  std::optional<MemberOptions> member_options;
  std::shared_ptr<Member> member;  ///< If others share the store.
  std::optional<distributed::RingParameters> ring;  ///< Likewise.
  std::optional<OnStop> stopping;
  DaemonEnd end_reason = DaemonEnd::told;

  Result<void> take_identity();
  Result<void> take_folder();
  Result<void> open_store();
  Result<void> open_audit();
  Result<void> start_warden();
  Result<void> begin_session(store::SqlStore& opened);
  Result<void> begin_member_session(store::SqlStore& opened);
  Result<void> join();
  [[nodiscard]] flow_control::Resources capacity() const;
  void tell_placement();
  void tell_owners(std::vector<std::uint32_t> shards);
  Result<void> start_dispatcher();
  Result<void> start_triggers();
  Result<void> start_tree();
  Result<void> listen();
  void hold(bool is_held, queue::StoreAccess::Done done);
  [[nodiscard]] api::HttpOptions socket_options(
      std::optional<api::HttpGroup> group);
  void record_signal(const signalfd_siginfo& signal);
  void stop(OnStop how);
  void stop(OnStop how, Duration within);
  void drain();
  void await_begun();
  void end_drain();
  void leave(std::size_t left);
  void end_revoked(const Error& why);
  Result<void> refuse_revoked(store::SqlStore& opened, Error why);
  void on_event();
  void reload();
  void feed_watchdog(Duration interval);
  void end();
};

/// Before anything is opened: without a certificate there is nothing to listen
/// with.
Result<void> Daemon::Parts::take_identity() {
  auto own = ClusterLinks::identity(*config);
  if (!own)
    return tl::unexpected(std::move(own.error()));
  identity = std::move(*own);
  return {};
}

Result<void> Daemon::Parts::take_folder() {
  if (auto made = make_folder(config->folder); !made)
    return made;
  auto locked =
      lock_within(*config, options.upgrade ? Duration{0} : longest_death);
  if (!locked && locked.error().code == Errc::already_exists && options.upgrade)
    locked = take_over_folder(*config);
  if (!locked)
    return tl::unexpected(std::move(locked.error()));
  lock = std::move(*locked);
  return make_folder(config->folder + "/output");
}

Result<void> Daemon::Parts::open_audit() {
  auto opened = AuditLog::open(config->folder);
  if (!opened)
    return tl::unexpected(std::move(opened.error()).within("audit log"));
  audit = std::move(*opened);
  return {};
}

/// With `store` alone it has the database to itself; with `listen`, too, it is
/// one of several.
Result<void> Daemon::Parts::open_store() {
  const bool is_remote = !config->store.empty();
  const bool is_member = is_remote && identity;
  auto opened = is_remote
                    ? open_postgres(*config, is_member ? store::Presence::member
                                                       : store::Presence::alone)
                    : open_sqlite(*config);
  if (!opened)
    return tl::unexpected(std::move(opened.error()));
  if (is_member) {
    if (auto ended = end_what_is_left(config->folder); !ended)
      return ended;
  }
  if (auto started = start_warden(); !started)
    return started;
  auto begun =
      is_member ? begin_member_session(**opened) : begin_session(**opened);
  if (!begun)
    return begun;
  if ((*opened)->is_new() || !is_member) {
    if (auto set =
            set_default_slots(**opened, config->slots, (*opened)->is_new());
        !set)
      return set;
  }
  store = std::make_unique<StoreWriter>(
      std::move(*opened), is_remote ? longest_store_call : Duration{0});
  housekeeper = std::make_unique<Housekeeper>(
      *store, config->folder + "/output", content_folder(*config),
      services_folder(*config), *config);
  return {};
}

Result<void> Daemon::Parts::start_warden() {
  auto made = process::WardenRunner::create(
      io, {.signal_mask = options.signal_mask,
           .no_new_privileges = config->no_new_privileges,
           .keep = process::KeepOptions{
               .folder = config->folder,
               .session = random_name(session_words),
               .patience = config->orphan_time,
               .on_cut_off = [this] { stop(OnStop::keep); }}});
  if (!made)
    return tl::unexpected(std::move(made.error()));
  runner = std::move(*made);
  if (config->no_new_privileges && !runner->has_no_new_privileges())
    log(LogLevel::warn,
        fmt::format("commands_may_gain_privileges reason={}",
                    shell_quote("the warden of the node before goes on, and "
                                "was started without no-new-privileges")));
  return {};
}

Result<void> Daemon::Parts::begin_session(store::SqlStore& opened) {
  const store::SessionId session{runner->session()};
  if (auto ended = end_other_sessions(opened, session); !ended)
    return ended;
  return opened.open_session(session);
}

Result<void> Daemon::Parts::begin_member_session(store::SqlStore& opened) {
  const bool was_there = !runner->adopted().empty();
  const auto live = is_live(opened, runner->session());
  if (!live)
    return tl::unexpected(live.error());
  if (was_there && !*live) {
    // Others may have started its commands again.
    log(LogLevel::warn,
        fmt::format("session_ended_meanwhile session={}", runner->session()));
    runner->close(longest_end_of_evicted);
    if (auto started = start_warden(); !started)
      return started;
  }
  const auto roster =
      newest_roster(opened, link::ClusterFolder{config->cluster_folder});
  if (!roster)
    return tl::unexpected(roster.error());
  if (auto may = check_not_revoked(*roster, identity->node); !may)
    return refuse_revoked(opened, std::move(may.error()));
  auto prepared = prepare_member(opened, *config, *identity, runner->session(),
                                 options.version);
  if (!prepared)
    return tl::unexpected(std::move(prepared.error()));
  auto parameters = ring_parameters(opened);
  if (!parameters)
    return tl::unexpected(std::move(parameters.error()));
  ring = *parameters;
  member_options = std::move(*prepared);
  return {};
}

/// What the node before has left here ends, too: it is for the others.
Result<void> Daemon::Parts::refuse_revoked(store::SqlStore& opened, Error why) {
  const store::SessionId session{runner->session()};
  runner->close(longest_end_of_evicted);
  runner.reset();
  auto live = is_live(opened, session.value);
  if (live && *live) {
    if (const auto ended = end_sessions(opened, {session}); !ended)
      log(LogLevel::error,
          fmt::format("session_left session={} reason={}", session.value,
                      shell_quote(ended.error().what)));
  }
  if (options.on_refused)
    options.on_refused();
  return tl::unexpected(std::move(why));
}

/// From now on it may be told to start something.
Result<void> Daemon::Parts::join() {
  if (!member_options)
    return {};
  // The port may have been chosen only now.
  member_options->detail.listen = links->address();
  member_options->session.detail = to_text(member_options->detail);
  auto connection = connect_to_store(*config, store::Presence::unnoticed);
  if (!connection)
    return tl::unexpected(std::move(connection.error()));
  member_options->on_right = [this](bool may, bool may_go_on) {
    actors::send(dispatcher, queue::MayWork{may, may_go_on});
  };
  member_options->on_ring =
      [this](const std::shared_ptr<const distributed::Ring>& ring) {
        links->on_view(member->view_number());
        auto own = ring->shards_of(member->self());
        // What only one node may run waits there, whoever owns that.
        if (own.empty() || own.front() != 0)
          own.insert(own.begin(), 0);
        actors::send(
            dispatcher,
            queue::OwnShards{std::make_shared<const std::vector<std::uint32_t>>(
                                 std::move(own)),
                             ring->parameters().shards});
        tell_placement();
      };
  member_options->on_sessions =
      [this](const std::map<distributed::NodeId, SessionDetail>& nodes) {
        HomesSeen seen{
            .falls_to_us = [ring = member->ring(),
                            self = member->self()](store::RunId run) {
              return owner_of_run(ring.get(), run) == self;
            }};
        std::map<distributed::NodeId, std::string> peers;
        for (const auto& [node, detail] : nodes) {
          seen.live.insert(home_resource(node));
          if (!detail.sees_runs)
            seen.unaware.emplace(home_resource(node), detail.name);
          if (node != member->self())
            peers.emplace(node, detail.listen);
        }
        links->set_peers(peers);
        actors::send(run_driver, std::move(seen));
        tell_placement();
      };
  member_options->is_linked = [this](const distributed::NodeId& node) {
    return links && links->is_up(node);
  };
  member_options->is_revoked = [this](const distributed::NodeId& node) {
    return links && links->is_revoked(node);
  };
  member_options->backlog_of = [this](const distributed::NodeId& node) {
    return links ? links->backlog_of(node) : std::nullopt;
  };
  member_options->on_drain = [this] {
    if (!stopping)
      drain();
  };
  member_options->on_drain_over = [this] { end_drain(); };
  member_options->on_evicted = [this] {
    end_reason = DaemonEnd::evicted;
    stop(OnStop::end, longest_end_of_evicted);
  };
  member_options->on_left = [this](const std::optional<Error>& why) {
    if (!why) {
      io.stop();
      return;
    }
    log(LogLevel::error,
        fmt::format("node_refused reason={}", shell_quote(why->what)));
    end_reason = DaemonEnd::refused;
    stop(OnStop::end, config->stop_time);
  };
  member = std::make_shared<Member>(io, *store, std::move(*connection), *runner,
                                    std::move(*member_options));
  context->member = member;
  context->ring = ring;
  links->set_store(
      [this](std::uint64_t known, std::optional<store::KnownRoster> news,
             std::function<void(std::optional<store::KnownRoster>)> then) {
        member->ask_for_roster(known, std::move(news), std::move(then));
      });
  member->begin();
  return {};
}

void Daemon::Parts::tell_placement() {
  actors::send(
      run_driver,
      PlacementSeen{.spreading = member->spreading(),
                    .shard_of = [parameters = *ring](const std::string& key) {
                      return distributed::shard_of(key, parameters);
                    }});
}

/// On any thread.
void Daemon::Parts::tell_owners(std::vector<std::uint32_t> shards) {
  boost::asio::post(io, [this, shards = std::move(shards)] {
    if (member && links && member->ring())
      links->tell_owners(shards, member->ring());
  });
}

/// A member has one more, that no other node has.
flow_control::Resources Daemon::Parts::capacity() const {
  auto all = capacity_of(*config);
  if (member_options)
    all.set(home_resource(member_options->self),
            config->most_running * flow_control::Resources::unit);
  return all;
}

Result<void> Daemon::Parts::start_dispatcher() {
  auto handle = supervisor::spawn_handle(system, {.name = "dispatcher"});
  if (!handle)
    return tl::unexpected(std::move(handle.error()));
  dispatcher = *handle;
  auto runs_handle = supervisor::spawn_handle(system, {.name = "runs"});
  if (!runs_handle)
    return tl::unexpected(std::move(runs_handle.error()));
  run_driver = *runs_handle;
  const auto has_runs = std::make_shared<std::atomic<bool>>(true);
  watch = std::make_shared<JobWatch>(
      io, *store, dispatcher,
      [driver = run_driver, has_runs](store::JobId job) {
        if (*has_runs)
          actors::send(driver, RunJobChanged{job});
      },
      member_options ? look_at_others : Duration{0});
  const auto adopted = runner->adopted();
  if (!adopted.empty())
    log(LogLevel::info, fmt::format("adopted attempts={}", adopted.size()));
  const std::string output = config->folder + "/output";
  dispatcher_deps =
      std::make_shared<queue::DispatcherDeps>(queue::DispatcherDeps{
          .store = *store,
          .runner = *runner,
          .session = {runner->session()},
          .dispatch = {.capacity = capacity(),
                       .most_running = config->most_running},
          .governor = governor(*config),
          .output_folder = output,
          .output_limit = config->output_limit,
          .environment = {environment.begin(), environment.end()},
          .seed = std::random_device{}(),
          .list_every = config->store.empty() ? Duration{0} : list_claims_every,
          .adopted = {adopted.begin(), adopted.end()},
          .on_change = [this](store::JobId job) { watch->changed(job); },
          .on_recorded =
              [this, output](const store::AttemptRef& attempt) {
                housekeeper->take_record(queue::record_path(output, attempt));
                // Of a member they are in its result.
                if (member_options)
                  housekeeper->remove_file(
                      queue::outputs_path(output, attempt));
              },
          .find_texts =
              [this](const std::string& path, std::vector<std::string> texts,
                     std::function<void(std::vector<bool>)> done) {
                housekeeper->find_texts(path, std::move(texts),
                                        std::move(done));
              },
          .sample = look_at_machine,
          .has_disk_space =
              [this] { return housekeeper->check_space().has_value(); },
          .wall_now = std::chrono::system_clock::now,
          .boot_now = process::boot_now,
          .words = {{"program", options.program},
                    {"store", "--store=" + content_folder(*config)},
                    {"socket", "--socket=" + config->socket}},
          .member =
              member_options
                  ? std::optional{queue::MemberDeps{
                        .node = member_options->detail.name,
                        .home = home_resource(member_options->self),
                        .slots = member_options->detail.slots,
                        .on_begin =
                            [this] {
                              boost::asio::post(io, [this] {
                                if (member)
                                  member->repeat();
                              });
                            },
                        // Its turns are on the thread of the member.
                        .owner_of =
                            [this](std::uint32_t shard) {
                              return member ? member->owner_name(shard) : "";
                            },
                        .on_look =
                            [this](queue::MemberDeps::Look look) {
                              boost::asio::post(
                                  io, [this, look = StealCore::Look{
                                                 look.is_hungry,
                                                 std::move(look.spare),
                                                 look.is_held}] {
                                    if (links)
                                      links->on_look(look);
                                  });
                            },
                        .read_end =
                            [this](const queue::EndFiles& files,
                                   std::function<void(queue::EndRead)> done) {
                              housekeeper->read_end(files, std::move(done));
                            }}}
                  : std::nullopt});
  run_deps = std::make_shared<RunDriverDeps>(RunDriverDeps{
      .store = *store,
      .output_folder = output,
      .on_work = [this] { actors::send(dispatcher, queue::WorkArrived{}); },
      .stop_tasks =
          [this](std::vector<store::AttemptRef> attempts) {
            actors::send(dispatcher, queue::StopTasks{std::move(attempts)});
          },
      .on_change = [this](store::JobId job) { watch->changed(job); },
      .on_recorded = [this] { on_event(); },
      .on_outputs_read =
          [this](const std::string& path) { housekeeper->remove_file(path); },
      .on_runs_expired =
          [this](const std::vector<store::RunId>& runs) {
            housekeeper->forget_runs(runs);
          },
      .wall_now = std::chrono::system_clock::now,
      .content = {.program = options.program,
                  .folder = content_folder(*config),
                  .run = {},
                  .socket = config->socket},
      .socket = config->socket,
      .services_folder = services_folder(*config),
      .durability = std::string{store->durability()},
      .home = member_options ? home_resource(member_options->self) : "",
      .session = {runner->session()},
      .tell_owners =
          [this](std::vector<std::uint32_t> shards) {
            tell_owners(std::move(shards));
          },
      .has_runs = has_runs});
  if (auto started = start_triggers(); !started)
    return started;
  return start_tree();
}

Result<void> Daemon::Parts::start_triggers() {
  if (config->workflow_folder.empty())
    return {};
  auto handle = supervisor::spawn_handle(system, {.name = "triggers"});
  if (!handle)
    return tl::unexpected(std::move(handle.error()));
  triggers = *handle;
  if (!config->webhook_listen.empty()) {
    auto listening = WebhookServer::listen(
        io, config->webhook_listen,
        [triggers = triggers](WebhookRequest request,
                              WebhookServer::Done done) {
          actors::send(triggers,
                       TakeWebhook{std::make_shared<const WebhookRequest>(
                                       std::move(request)),
                                   std::move(done)});
        });
    if (!listening)
      return tl::unexpected(std::move(listening.error()));
    webhooks = std::move(*listening);
    log(LogLevel::info,
        fmt::format("webhooks_listen address={}", webhooks->address()));
  }
  trigger_deps = std::make_shared<TriggerDeps>(TriggerDeps{
      .io = io,
      .store = *store,
      .run_driver = run_driver,
      .workflow_folder = std::filesystem::path{config->workflow_folder + "/"}
                             .lexically_normal()
                             .parent_path()
                             .string(),
      .state_file = config->folder + "/triggers.json",
      .webhook_address = webhooks ? webhooks->address() : "",
      .environment = environment,
      .wall_now = std::chrono::system_clock::now,
      .check_space = [this] { return housekeeper->check_space(); },
      .on_change =
          [audit = audit](const char* by, std::string what, store::RunId run) {
            audit->add({.at = std::chrono::system_clock::now(),
                        .by = by,
                        .what = std::move(what),
                        .about = fmt::format("run {}", run.value)});
          }});
  return {};
}

/// On the store's thread.
void Daemon::Parts::on_event() {
  if (options.on_event)
    options.on_event();
  if (trigger_deps && *trigger_deps->waits_for_runs)
    actors::send(triggers, RunsMoved{});
}

Result<void> Daemon::Parts::start_tree() {
  supervisor::ChildSpec child{
      .id = "dispatcher",
      .start = [deps = dispatcher_deps](
                   supervisor::StartContext& start) -> supervisor::StartResult {
        return queue::spawn_dispatcher(start.supervisor(), deps);
      },
      .backoff = supervisor::Backoff{}};
  supervisor::ChildSpec runs{
      .id = "runs",
      .start = [deps = run_deps](
                   supervisor::StartContext& start) -> supervisor::StartResult {
        return spawn_run_driver(start.supervisor(), deps);
      },
      .backoff = supervisor::Backoff{}};
  std::vector<supervisor::ChildSpec> children{
      supervisor::with_handle(std::move(child), dispatcher),
      supervisor::with_handle(std::move(runs), run_driver)};
  if (triggers) {
    supervisor::ChildSpec starters{
        .id = "triggers",
        .start = [deps = trigger_deps](supervisor::StartContext& start)
            -> supervisor::StartResult {
          return spawn_triggers(start.supervisor(), deps);
        },
        .backoff = supervisor::Backoff{}};
    children.push_back(supervisor::with_handle(std::move(starters), triggers));
  }
  tree_log = spawn_tree_log(system);
  auto started = supervisor::spawn_supervisor(system,
                                              {.name = "node",
                                               .intensity = dispatcher_restarts,
                                               .period = dispatcher_period,
                                               .children = std::move(children)},
                                              tree_log);
  if (!started)
    return tl::unexpected(std::move(started.error()));
  tree = *started;
  return {};
}

Result<void> Daemon::Parts::listen() {
  // It has atomics, which cannot be moved.
  context.reset(new NodeContext{.io = io,
                                .store = *store,
                                .dispatcher = dispatcher,
                                .run_driver = run_driver,
                                .triggers = triggers,
                                .watch = watch,
                                .housekeeper = *housekeeper,
                                .config = config,
                                .output_folder = config->folder + "/output",
                                .session = runner->session(),
                                .version = options.version,
                                .started = std::chrono::system_clock::now(),
                                .stop = [this](OnStop how) {
                                  // Behind the answer, which waits for its
                                  // line.
                                  audit->after([this, how] {
                                    boost::asio::post(
                                        io, [this, how] { stop(how); });
                                  });
                                }});
  context->environment = environment;
  context->tell_owners = [this](std::vector<std::uint32_t> shards) {
    tell_owners(std::move(shards));
  };
  context->ask_owner = [this](const LogOwner& owner,
                              const link::LogOpen& what) {
    const auto node = member && links ? member->find_node(owner) : std::nullopt;
    return node ? links->open_log(*node, what) : nullptr;
  };
  context->content_folder = content_folder(*config);
  context->ask_content = [this](const std::string& name,
                                const link::ContentOpen& what) {
    const auto node =
        member && links ? member->find_node({.node = name}) : std::nullopt;
    return node ? links->open_content(*node, what) : nullptr;
  };
  context->hold = [this](bool is_held, queue::StoreAccess::Done done) {
    hold(is_held, std::move(done));
  };
  if (std::filesystem::exists(held_file(config->folder)))
    actors::send(dispatcher, queue::HoldNode{true});
  auto group = socket_group(*config);
  if (!group)
    return tl::unexpected(std::move(group.error()));
  auto listening =
      api::HttpServer::listen(io, socket_options(*group), operations(*context));
  if (!listening)
    return tl::unexpected(std::move(listening.error()));
  server = std::move(*listening);
  audit->add({.at = std::chrono::system_clock::now(),
              .by = "node",
              .uid = ::geteuid(),
              .pid = ::getpid(),
              .what = fmt::format("start troupe {}", options.version),
              .about = fmt::format("session {}", runner->session())});
  if (!identity)
    return {};
  const auto hear_of_view = [this](std::uint64_t number) {
    if (member)
      member->hear_of_view(number);
  };
  // Not while the links look at what says so.
  const auto end_when_revoked = [this](const Error& why) {
    boost::asio::post(io, [this, why] { end_revoked(why); });
  };
  const auto look_as = [this](queue::Found found) {
    return [this, found](std::vector<std::uint32_t> shards) {
      actors::send(dispatcher, queue::WorkArrived{std::move(shards), found});
    };
  };
  const auto serve_log = [this](const link::LogOpen& open,
                                std::shared_ptr<LogSink> sink) {
    LogStream::start(
        {.io = io, .store = *store, .output_folder = context->output_folder},
        {.task = {store::JobId{open.job}, open.task},
         .attempt = std::max(open.attempt, 1U),
         .follow = open.follows,
         .tail = open.tail,
         .format = LogFormat::frames},
        std::max(open.attempt, 1U), std::move(sink));
  };
  const auto give_content = [this](const link::ContentOpen& open,
                                   std::shared_ptr<LogSink> sink) {
    serve_content(io, content_folder(*config), open, std::move(sink));
  };
  auto linked = ClusterLinks::start(io, *config, std::move(*identity),
                                    runner->session(), options.version,
                                    {.on_hint = look_as(queue::Found::hinted),
                                     .on_offer = look_as(queue::Found::offered),
                                     .on_view = hear_of_view,
                                     .on_revoked = end_when_revoked,
                                     .serve_log = serve_log,
                                     .serve_content = give_content});
  if (!linked)
    return tl::unexpected(std::move(linked.error()));
  links = std::move(*linked);
  return {};
}

api::HttpOptions Daemon::Parts::socket_options(
    std::optional<api::HttpGroup> group) {
  return {.path = config->socket,
          .group = group,
          .limits = {},
          .admit =
              [this](const api::Caller& caller) {
                return rates.admit(caller.uid, config->requests_per_second);
              },
          .on_answer =
              [audit = audit](const api::HttpAnswered& answered,
                              std::function<void()> send) {
                const bool is_ok = answered.status < first_error_status;
                // To come later changes nothing, and may be said any time.
                if (answered.status == try_later_status) {
                  send();
                  return;
                }
                audit->add({.at = std::chrono::system_clock::now(),
                            .by = "user",
                            .uid = answered.caller.uid,
                            .pid = answered.caller.pid,
                            .what = answered.what,
                            .about = is_ok ? made_by(answered.body) : "",
                            .result = is_ok ? "ok" : error_in(answered.body)},
                           std::move(send));
              },
          .on_refusal =
              [this](const api::Caller& caller, const std::string& what) {
                if (refusals.admit(caller.uid, most_refusals_per_second))
                  return;
                audit->add({.at = std::chrono::system_clock::now(),
                            .by = "user",
                            .uid = caller.uid,
                            .pid = caller.pid,
                            .what = what,
                            .result = std::string{
                                to_string(Errc::permission_denied)}});
              }};
}

void Daemon::Parts::record_signal(const signalfd_siginfo& signal) {
  audit->add({.at = std::chrono::system_clock::now(),
              .by = "signal",
              .uid = signal.ssi_uid,
              .pid = static_cast<pid_t>(signal.ssi_pid),
              .what = signal.ssi_signo == SIGHUP ? "reload" : "stop"});
}

/// Somebody has told it to leave its cluster: it still answers, and ends when
/// what runs has ended, with all steps of jobs that have begun here.
void Daemon::Parts::drain() {
  log(LogLevel::info, "node_drains");
  await_begun();
}

void Daemon::Parts::await_begun() {
  if (stopping || is_drained)
    return;
  const auto ask_again_after = [this](Duration pause) {
    drain_timer.expires_after(pause);
    drain_timer.async_wait([this](const auto& cancelled) {
      if (!cancelled)
        await_begun();
    });
  };
  // Whoever is to answer may be started anew.
  ask_again_after(longest_answer);
  actors::send(run_driver,
               AskBegun{[this, ask_again_after](Result<std::size_t> jobs) {
                 boost::asio::post(io, [this, ask_again_after, jobs] {
                   if (jobs && *jobs == 0) {
                     end_drain();
                     return;
                   }
                   if (jobs && std::exchange(awaited_jobs, *jobs) != *jobs)
                     log(LogLevel::info,
                         fmt::format("drain_waits jobs={} reason='they have "
                                     "begun here'",
                                     *jobs));
                   ask_again_after(drain_pause);
                 });
               }});
}

/// Nothing more is started. What runs services of runs ends only with these; it
/// starts again where they go on.
void Daemon::Parts::end_drain() {
  drain_timer.cancel();
  if (stopping || std::exchange(is_drained, true))
    return;
  actors::send(dispatcher, queue::EndWork{.waits = true,
                                          .ended_group = services_group,
                                          .done = [this](std::size_t left) {
                                            boost::asio::post(io, [this, left] {
                                              leave(left);
                                            });
                                          }});
}

void Daemon::Parts::hold(bool is_held, queue::StoreAccess::Done done) {
  // The disk is waited for where that is done anyway.
  queue::call(
      *store,
      [folder = config->folder, is_held](store::Store&) {
        return keep_held(folder, is_held);
      },
      [dispatcher = dispatcher, is_held,
       done = std::move(done)](Result<void> kept) {
        if (kept)
          actors::send(dispatcher, queue::HoldNode{is_held});
        done(std::move(kept));
      });
}

void Daemon::Parts::stop(OnStop how) { stop(how, config->stop_time); }

void Daemon::Parts::stop(OnStop how, Duration within) {
  if (stopping) {
    // Whoever asks twice is in a hurry.
    io.stop();
    return;
  }
  stopping = how;
  notify_service_manager("STOPPING=1");
  log(LogLevel::info, fmt::format("node_stops commands={}",
                                  how == OnStop::keep ? "keep" : "end"));
  server.reset();
  webhooks.reset();
  if (links)
    links->drain();
  actors::send(dispatcher, queue::EndWork{.keep = how == OnStop::keep,
                                          .done = [this](std::size_t left) {
                                            boost::asio::post(io, [this, left] {
                                              leave(left);
                                            });
                                          }});
  stop_timer.expires_after(within);
  stop_timer.async_wait([this](const auto& error) {
    if (!error)
      io.stop();
  });
}

/// The warden has `left` tasks that the next node needs; without any it is of
/// no use. Those that have ended and could not be recorded are among them.
void Daemon::Parts::leave(std::size_t left) {
  if (left != 0 && stopping == OnStop::end)
    log(LogLevel::error,
        fmt::format("ends_not_recorded tasks={} kept_for={}", left,
                    format_duration(config->orphan_time)));
  if (end_reason == DaemonEnd::evicted)
    left = 0;  // Nobody takes it over.
  stopping = left == 0 ? OnStop::end : OnStop::keep;
  if (is_revoked)
    left = 0;  // The others take it over once the session has ended.
  if (left == 0 && member && (end_reason == DaemonEnd::told || is_revoked))
    member->leave();
  else
    io.stop();
}

/// It may be asked no more, and gives what it has to the others.
void Daemon::Parts::end_revoked(const Error& why) {
  if (stopping || is_revoked)
    return;
  is_revoked = true;
  log(LogLevel::error,
      fmt::format("node_refused reason={}", shell_quote(why.what)));
  audit->add({.at = std::chrono::system_clock::now(),
              .by = "node",
              .uid = ::geteuid(),
              .pid = ::getpid(),
              .what = "stop",
              .about = "it was revoked"});
  end_reason = DaemonEnd::refused;
  stop(OnStop::end, 2 * longest_end_of_evicted);
  // However long they would like to take.
  runner->stop_all(process::boot_now() + longest_end_of_evicted);
}

void Daemon::Parts::reload() {
  notify_service_manager(
      fmt::format("RELOADING=1\nMONOTONIC_USEC={}",
                  std::chrono::duration_cast<std::chrono::microseconds>(
                      std::chrono::steady_clock::now().time_since_epoch())
                      .count()));
  auto next = options.reload();
  if (!next) {
    log(LogLevel::error, fmt::format("config_refused reason={}",
                                     shell_quote(next.error().what)));
    notify_service_manager("READY=1");
    return;
  }
  for (const std::string_view name : need_restart(*config, *next))
    log(LogLevel::warn, fmt::format("config_needs_restart setting={}", name));
  const bool has_new_slots = next->slots != config->slots;
  config = std::make_shared<const NodeConfig>(std::move(*next));
  context->config = config;
  housekeeper->configure(*config);
  if (has_new_slots)
    store->post(
        [slots = config->slots](store::Store& tables) {
          (void)set_default_slots(tables, slots, /*is_new=*/slots == 0);
        },
        [dispatcher = dispatcher](const Result<void>&) {
          actors::send(dispatcher, queue::WorkArrived{});
        });
  if (triggers)
    actors::send(triggers, ReloadTriggers{});
  log(LogLevel::info, "config_reloaded");
  notify_service_manager("READY=1");
}

/// Only while the dispatcher answers, too, are we alive.
void Daemon::Parts::feed_watchdog(Duration interval) {
  watchdog.expires_after(interval);
  watchdog.async_wait([this, interval](const auto& error) {
    if (error)
      return;
    actors::send(dispatcher, queue::AskSnapshot{[](const auto&) {
                   notify_service_manager("WATCHDOG=1");
                 }});
    feed_watchdog(interval);
  });
}

/// After the I/O loop has ended.
void Daemon::Parts::end() {
  // It listens on our loop, which is gone when it is destroyed.
  signals.stop();
  server.reset();
  webhooks.reset();
  links.reset();
  if (context)
    context->member = nullptr;
  member.reset();
  for (const auto& actor : {tree, tree_log, dispatcher, run_driver, triggers}) {
    if (actor)
      actors::stop(actor);
  }
  (void)host.loop().await_all_actors(system, longest_actor_end);
  if (housekeeper)
    housekeeper->stop();
  store.reset();
  // Only now does nobody send any more.
  tree = nullptr;
  tree_log = nullptr;
  dispatcher = nullptr;
  run_driver = nullptr;
  triggers = nullptr;
  if (trigger_deps)
    trigger_deps->run_driver = nullptr;
  if (context) {
    context->dispatcher = nullptr;
    context->run_driver = nullptr;
    context->triggers = nullptr;
  }
  if (audit)
    audit->close();
  if (runner && stopping == OnStop::keep)
    runner->leave();
  else if (runner)
    runner->close(1s);
}

Daemon::Daemon(std::unique_ptr<Parts> parts) : parts_{std::move(parts)} {}

Daemon::~Daemon() { parts_->end(); }

Result<std::unique_ptr<Daemon>> Daemon::start(DaemonOptions options) {
  std::unique_ptr<Daemon> daemon{
      new Daemon{std::make_unique<Parts>(std::move(options))}};
  Parts& parts = *daemon->parts_;
  // What has begun is ended by the destructor, in order.
  for (const auto step :
       {&Parts::take_identity, &Parts::take_folder, &Parts::open_store,
        &Parts::open_audit, &Parts::start_dispatcher, &Parts::listen,
        &Parts::join}) {
    if (auto done = (parts.*step)(); !done) {
      // What runs is not to pay for it.
      if (parts.runner && !parts.runner->adopted().empty())
        parts.stopping = OnStop::keep;
      return tl::unexpected(std::move(done.error()));
    }
  }
  return daemon;
}

DaemonEnd Daemon::run() {
  Parts& parts = *parts_;
  parts.signals.watch(parts.io, [&parts](const signalfd_siginfo& signal) {
    parts.record_signal(signal);
    if (signal.ssi_signo == SIGHUP)
      parts.reload();
    else {
      // Also of one that is on its way to begin anew.
      parts.end_reason = DaemonEnd::told;
      parts.stop(parts.config->on_stop);
    }
  });
  if (const auto interval = watchdog_interval())
    parts.feed_watchdog(*interval);
  log(LogLevel::info,
      fmt::format("node_started socket={}", shell_quote(parts.config->socket)));
  notify_service_manager("READY=1");
  parts.io.run();
  return parts.end_reason;
}

}  // namespace troupe::node
