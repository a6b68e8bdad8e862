#include "run_driver.hpp"

#include "run_admission.hpp"
#include "run_history.hpp"
#include "run_transactions.hpp"
#include "step_end.hpp"

#include <troupe/base/log.hpp>
#include <troupe/base/random_name.hpp>
#include <troupe/base/text.hpp>
#include <troupe/distributed/ring.hpp>
#include <troupe/distributed/stable_hash.hpp>
#include <troupe/node/approvers.hpp>
#include <troupe/queue/labels.hpp>
#include <troupe/queue/spread.hpp>
#include <troupe/service/free_ports.hpp>
#include <troupe/workflow/placement.hpp>
#include <troupe/workflow/services.hpp>

#include <algorithm>
#include <deque>
#include <fmt/format.h>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace troupe::node {
namespace {

using store::JobId;
using store::RunId;
using store::Store;

constexpr Duration store_pause = 1s;
/// Between looks at what runs of other nodes do.
constexpr Duration places_pause = 1s;
/// Between looks at what others have recorded of runs of ours; so much longer
/// for each so many runs that have not ended.
constexpr Duration news_pause = 1s;
constexpr std::size_t runs_per_news_pause = 500;
/// Of a change that others come before.
constexpr std::uint32_t most_tries = 20;
/// Jobs that are submitted in one transaction: others wait for the store.
constexpr std::size_t most_submitted_at_once = 200;
constexpr Duration longest_run_timer = 1h;
/// At jobs of runs of ours whose end nobody tells us.
constexpr Duration unheard_look_interval = 1s;
constexpr std::size_t most_unheard_at_once = 500;
/// Of a node on which a job has begun: it may have been started again.
constexpr Duration longest_node_absence = 1min;
constexpr std::size_t longest_run_name = 200;

/// What of all runs has begun here.
struct Beginnings {
  std::vector<std::pair<RunId, StepKey>> maybe{};
  std::size_t jobs = 0;
};

using Counts = std::map<RunId, std::size_t>;

/// Tells what was found when the last one who may find something lets go of it.
template <class T>
struct Gathering {
  explicit Gathering(std::function<void(const T&)> then)
      : done{std::move(then)} {}
  ~Gathering() { done(found); }
  Gathering(const Gathering&) = delete;
  Gathering& operator=(const Gathering&) = delete;

  T found{};
  std::function<void(const T&)> done;
};

/// Variables of whoever has submitted it that are secrets must not be kept.
std::shared_ptr<const RunSubmission> leave_out_secrets(
    std::shared_ptr<RunSubmission> submission, const RunCore& core) {
  for (const StepSecret& secret : core.secrets()) {
    if (secret.secret.source == workflow::SecretSource::environment)
      submission->spec.environment.erase(secret.secret.key);
  }
  return submission;
}

Result<void> choose_ports(const workflow::Workflow& workflow, RunSpec& spec) {
  service::FreePorts ports;
  for (const std::string& name : workflow::port_names(workflow)) {
    const auto port = ports.port_of(name);
    if (!port)
      return tl::unexpected(port.error());
    spec.ports.emplace_back(name, fmt::format("{}", *port));
  }
  return {};
}

// -- The driver --------------------------------------------------------------

/// One change of a run that is to be recorded, and who waits for that.
struct Pending {
  RunWrite write;
  std::function<void(Result<void>)> done{};
  /// What the event comes of, if somebody has asked for it. It is told once
  /// more if another event was there first.
  std::optional<ChangeRun> asked{};
};

class Driver final : public RunDriver {
 public:
  Driver(RunDriverHost& host, std::shared_ptr<const RunDriverDeps> deps)
      : host_{host}, deps_{std::move(deps)} {}

  void begin() override {
    *deps_->has_runs = true;
    find_runs();
    if (is_shared())
      look_for_news();
  }

  void look_at(const RunJobChanged& changed) override {
    look_at_job(changed.job);
  }

  void see_placement(const PlacementSeen& seen) override { placement_ = seen; }

  void see_homes(const HomesSeen& seen) override {
    homes_ = seen;
    look_for_lost();
    std::map<RunId, std::uint64_t> known;
    for (const auto& [run, away] : away_)
      known.emplace(run, away.home_events);
    ask([known = std::move(known)](
            Store& store) { return find_homes(store, known); },
        [this](const Result<std::map<RunId, RunHome>>& runs) {
          if (runs)
            look_for_homeless(*runs);  // Else it is looked again.
        });
  }

  void look_for_begun(const AskBegun& asked) override {
    ask([home = deps_->home](
            Store& store) { return find_what_stays(store, home); },
        [this, asked](const Result<RunsToLeave>& runs) {
          if (runs)
            count_begun_of(*runs, asked);
          else
            asked.done(tl::unexpected(runs.error()));
        });
  }

  void submit(const SubmitRun& m) override {
    auto submission = std::make_shared<RunSubmission>(*m.submission);
    submission->spec.nonce = random_name(4);
    submission->spec.home = deps_->home;
    // Whatever is wrong with it is told before anything is kept.
    const auto core = RunCore::make(RunId{}, submission->spec);
    if (!core) {
      m.done(tl::unexpected(core.error()));
      return;
    }
    if (auto placed = check_places(core->workflow()); !placed) {
      m.done(tl::unexpected(std::move(placed.error())));
      return;
    }
    if (auto chosen = choose_ports(core->workflow(), submission->spec);
        !chosen) {
      m.done(tl::unexpected(std::move(chosen.error())));
      return;
    }
    for (const workflow::Job& job : core->workflow().jobs) {
      const auto unknown = job.approval == nullptr
                               ? std::nullopt
                               : first_unknown(job.approval->approvers);
      if (!unknown)
        continue;
      m.done(failure(Errc::invalid_argument,
                     fmt::format("job {}: approvers: \"{}\" is neither a user "
                                 "nor a group on this machine",
                                 printable(job.id), printable(*unknown))));
      return;
    }
    ask([file = m.submission->spec.file](
            Store& store) { return find_earlier(store, file); },
        [this, submission = leave_out_secrets(std::move(submission), *core),
         name = ellipsize(printable(core->title()), longest_run_name),
         done = m.done](Result<std::vector<KeptRun>>& earlier) {
          on_earlier(*submission, name, earlier, done);
        });
  }

  void change(const ChangeRun& m) override {
    // Whether there is a place for it, others know.
    if (is_shared() && std::holds_alternative<RunRetried>(m.news)) {
      retries_.push_back(m);
      see_places();
      return;
    }
    change_now(m);
  }

  void show(const AskRun& m) override {
    with_core(m.run, [this, m](Result<RunCore*> core) {
      if (!core) {
        m.done(tl::unexpected(core.error()));
        return;
      }
      Json json = to_json(runs_.at(m.run).info, **core, m.page);
      json["awaits"] = admission_.what_awaits(m.run);
      m.done(std::move(json));
    });
    let_go(m.run);
  }

  /// Those of other nodes are loaded if something has happened to them since
  /// the last time.
  void count_awaiting(const AskAwaiting& m) override {
    const auto counting = std::make_shared<Gathering<Counts>>(m.done);
    for (const auto& [run, events] : m.runs) {
      if (const auto away = away_.find(run);
          away != away_.end() && away->second.events == events) {
        counting->found.emplace(run, away->second.awaiting);
        continue;
      }
      with_core(run, [counting, run = run](const Result<RunCore*>& core) {
        counting->found.emplace(run, core ? (*core)->awaiting() : 0);
      });
      let_go(run);
    }
  }

 private:
  struct Entry {
    store::RunInfo info;          ///< As it was loaded.
    std::optional<RunCore> core;  ///< None while it is loaded.
    /// The first is under way.
    std::deque<std::shared_ptr<const Pending>> writes;
    bool is_writing = false;
    /// Steps whose jobs were there before, from another driver maybe.
    std::set<StepKey> inherited;
    std::uint64_t timer = 0;
    /// Of those who want the core.
    std::vector<std::function<void(Result<RunCore*>)>> waiting;
  };

  /// `then` gets what `work` has answered, in a turn of its own.
  template <class F, class Then>
  void ask(F work, Then then) {
    queue::call(
        deps_->store, std::move(work),
        [door = host_.door(), then = std::move(then)](auto answer) mutable {
          // Turns can be copied, and not all answers can.
          door([then = std::move(then),
                answer = std::make_shared<decltype(answer)>(
                    std::move(answer))] { then(*answer); });
        });
  }

  /// Whatever it was is tried again.
  void on_trouble(const Error& error) {
    if (std::exchange(has_trouble_, true))
      return;
    log(LogLevel::error,
        fmt::format("run_store_trouble reason={}", shell_quote(error.what)));
    host_.after(store_pause, [this] { try_again(); });
  }

  void try_again() {
    has_trouble_ = false;
    if (!has_found_)
      find_runs();
    for (auto& [run, entry] : runs_)
      write_next(entry);
    for (const RunId run : std::exchange(unloaded_, {}))
      load_run(run);
    for (const JobId job : std::exchange(unseen_, {}))
      look_at_job(job);
    if (sees_places_again_)
      see_places();
  }

  // -- Runs that go on --------------------------------------------------------

  void find_runs() {
    ask(find_open_runs,
        [this](const Result<std::vector<RunId>>& runs) { on_found(runs); });
  }

  void on_found(const Result<std::vector<RunId>>& runs) {
    if (!runs) {
      on_trouble(runs.error());
      return;
    }
    has_found_ = true;
    std::map<RunId, bool> open;
    for (const RunId run : *runs)
      open.emplace(run, false);
    admission_.see(open);
    admit();
    for (const RunId run : *runs)
      with_core(run, [](const Result<RunCore*>&) {});
    note_runs();
  }

  void note_runs() { *deps_->has_runs = !has_found_ || !runs_.empty(); }

  /// Calls `then` with the run, which is loaded if it is not at hand. What
  /// `then` gets is valid for the call.
  ///
  /// Errors: not_found, corrupt, and those of reading its workflow.
  void with_core(RunId run, std::function<void(Result<RunCore*>)> then) {
    const auto [found, is_new] = runs_.try_emplace(run);
    Entry& entry = found->second;
    if (entry.core) {
      then(&*entry.core);
      return;
    }
    entry.waiting.push_back(std::move(then));
    if (!is_new)
      return;
    note_runs();
    load_run(run);
  }

  void load_run(RunId run) {
    ask([run](Store& store) { return load_kept(store, run); },
        [this, run](Result<KeptRun>& kept) { on_loaded(run, kept); });
  }

  void on_loaded(RunId run, Result<KeptRun>& kept) {
    const auto found = runs_.find(run);
    if (found == runs_.end())
      return;
    Entry& entry = found->second;
    if (!kept && may_pass(kept.error())) {
      unloaded_.insert(run);
      on_trouble(kept.error());
      return;
    }
    Result<RunCore> core =
        kept ? make_core(*kept) : tl::unexpected(kept.error());
    if (!core) {
      // Anybody may ask for a run that there is not.
      if (core.error().code != Errc::not_found)
        log(LogLevel::error,
            fmt::format("run_cannot_go_on run={} reason={}", run_name(run),
                        shell_quote(core.error().what)));
      auto waiting = std::move(entry.waiting);
      runs_.erase(found);
      note_runs();
      for (const auto& then : waiting)
        then(tl::unexpected(core.error()));
      // Its group, nobody can say.
      if (core.error().code != Errc::not_found &&
          admission_.unknown().contains(run))
        admission_.know(run, {.is_ours = false});
      else
        admission_.forget(run);
      admit();
      return;
    }
    entry.info = std::move(kept->info);
    entry.core.emplace(std::move(*core));
    if (is_at_home(*entry.core))
      away_.erase(run);
    else
      away_[run] = {entry.core->home(), entry.core->events(),
                    entry.core->events(), entry.core->awaiting(),
                    entry.core->begun_at(deps_->home)};
    if (entry.core->state() == store::RunState::running) {
      know_place(*entry.core);
      if (is_at_home(*entry.core))
        go_on(entry);
    } else {
      admission_.forget(run);
    }
    for (const auto& then : std::exchange(entry.waiting, {}))
      then(&*entry.core);
    admit();
    let_go(run);
  }

  void know_place(const RunCore& core) {
    const std::string& group = core.concurrency_group();
    admission_.know(
        core.run(),
        {.group = group,
         .limits = group.empty() ? RunAdmission::Limits{}
                                 : core.workflow().concurrency->limits,
         .is_ours = is_at_home(core),
         .has_begun = core.has_begun()});
  }

  /// Begins a run, or does once more what was to be done.
  void go_on(Entry& entry) {
    if (!entry.core->has_begun()) {
      if (entry.core->concurrency_group().empty())
        tell(entry, RunBegun{});
      else
        ask_for_place();
      return;
    }
    if (is_shared() && !entry.core->concurrency_group().empty())
      see_places_soon();
    RunCore::Decision again;
    for (const auto& [step, running] : entry.core->running()) {
      again.submit.push_back(step);
      if (running.is_cancelled)
        again.cancel.push_back(step);
    }
    add_writes(entry, std::nullopt, again, {}, entry.core->home());
    set_timer(entry);
  }

  // -- Runs of other nodes ----------------------------------------------------

  /// Takes over those whose node has no session any more, if they fall to us.
  void look_for_homeless(const std::map<RunId, RunHome>& open) {
    std::erase_if(away_,
                  [&](const auto& run) { return !open.contains(run.first); });
    for (const auto& [run, seen] : open) {
      const auto away = away_.find(run);
      if (away == away_.end()) {
        // Whose it is, nobody has looked up yet.
        if (!runs_.contains(run))
          with_core(run, [](const Result<RunCore*>&) {});
        continue;
      }
      if (seen.events > away->second.home_events) {
        away->second.home_events = seen.events;
        if (!seen.home.empty())
          away->second.home = seen.home;
      }
      if (!homes_.live.contains(away->second.home) && homes_.falls_to_us(run))
        take_over(run);
    }
  }

  /// A job that has begun on a node that is gone cannot go on elsewhere: what
  /// its steps have left behind is there.
  void look_for_lost() {
    std::set<std::string> missing;
    std::vector<std::pair<RunId, StepKey>> lost;
    for (const auto& [run, entry] : runs_) {
      if (!entry.core || !is_at_home(*entry.core))
        continue;
      for (const auto& [step, running] : entry.core->running()) {
        const std::string home = entry.core->bound_to(step).home;
        if (home.empty() || homes_.live.contains(home))
          continue;
        missing.insert(home);
        const auto since = missing_.try_emplace(home, deps_->wall_now()).first;
        if (deps_->wall_now() - since->second >= longest_node_absence)
          lost.emplace_back(run, step);
      }
    }
    std::erase_if(missing_, [&](const auto& one) {
      return !missing.contains(one.first);
    });
    for (const auto& [run, step] : lost)
      lose_step(runs_.at(run), step);
  }

  void lose_step(Entry& entry, const StepKey& step) {
    const auto running = entry.core->running().find(step);
    if (running == entry.core->running().end())
      return;  // What was lost before it has ended it.
    RunStepEnded ended{.step = step,
                       .job = running->second.job,
                       .kind = actors::OutcomeKind::lost,
                       .why = fmt::format("its job has begun on {}, which is "
                                          "gone, with what it had made there",
                                          entry.core->bound_to(step).node)};
    log(LogLevel::warn, fmt::format("run_step_lost run={} job={} reason={}",
                                    run_name(entry.core->run()),
                                    ended.job.value, shell_quote(ended.why)));
    steps_.erase(ended.job);
    tell(entry, ended, {}, {step});
  }

  void take_over(RunId run) {
    with_core(run, [this, run](const Result<RunCore*>& core) {
      // It may have moved since it was looked at.
      if (core && is_homeless(**core))
        move_here(runs_.at(run));
    });
    let_go(run);
  }

  [[nodiscard]] bool is_homeless(const RunCore& core) const {
    return !is_at_home(core) && homes_.falls_to_us &&
           !homes_.live.contains(core.home());
  }

  void move_here(Entry& entry) {
    const RunId run = entry.core->run();
    log(LogLevel::warn, fmt::format("run_taken_over run={} from={}",
                                    run_name(run), entry.core->home()));
    tell(entry, RunMoved{deps_->home});
    away_.erase(run);
  }

  // -- What others record of runs of ours -------------------------------------

  /// Whatever is asked of a run can be asked at any node, which records it as
  /// the next event. We drive the run, and find that.
  void look_for_news() {
    ask(find_news, [this](const Result<RunNewsSeen>& seen) { on_news(seen); });
  }

  void on_news(const Result<RunNewsSeen>& seen) {
    const std::size_t open = seen ? seen->open.size() : 0;
    host_.after(
        news_pause * static_cast<Duration::rep>(1 + open / runs_per_news_pause),
        [this] { look_for_news(); });
    if (!seen)
      return;
    std::vector<RunId> changed;
    for (const auto& [run, entry] : runs_) {
      // What we are about to record finds it by itself.
      if (!entry.core || !entry.writes.empty() || !is_at_home(*entry.core))
        continue;
      const auto found = seen->open.find(run);
      if (found == seen->open.end() || found->second > entry.core->events())
        changed.push_back(run);
    }
    for (const RunId run : changed)
      load_again(run);
    // It had ended, and somebody has retried it: it may be one of ours.
    for (const auto& [run, events] : seen->open) {
      if (last_news_ && run <= last_news_->newest &&
          !last_news_->open.contains(run) && !runs_.contains(run))
        with_core(run, [](const Result<RunCore*>&) {});
    }
    last_news_ = *seen;
  }

  /// The store has it otherwise than we thought: it is as the store has it.
  void load_again(RunId run) {
    log(LogLevel::debug,
        fmt::format("run_changed_elsewhere run={}", run_name(run)));
    const auto entry = runs_.extract(run);
    std::erase_if(steps_,
                  [&](const auto& step) { return step.second.first == run; });
    with_core(run, [](const Result<RunCore*>&) {});
    for (const auto& pending : entry.mapped().writes) {
      if (pending->asked)
        ask_again(*pending->asked);
      else if (pending->done)  // An end of a step, say, which is found again.
        pending->done(
            failure(Errc::unavailable, "something else has happened"));
    }
  }

  void ask_again(ChangeRun asked) {
    if (++asked.tries < most_tries) {
      change(asked);
      return;
    }
    asked.done(
        failure(Errc::unavailable,
                fmt::format("run {}: something else has happened to it, {} "
                            "times; try again",
                            run_name(asked.run), most_tries)));
  }

  // -- Leaving ----------------------------------------------------------------

  void count_begun_of(const RunsToLeave& runs, const AskBegun& asked) {
    // The rest is looked up when all runs are known.
    const auto all = std::make_shared<Gathering<Beginnings>>(
        [deps = deps_, done = asked.done](const Beginnings& found) {
          queue::call(
              deps->store,
              [maybe = found.maybe, session = deps->session,
               home = deps->home](Store& store) {
                return count_begun(store, maybe, session, home);
              },
              [done, jobs = found.jobs](Result<std::size_t> more) {
                if (more)
                  *more += jobs;
                done(std::move(more));
              });
        });
    all->found.jobs = runs.waiting;
    const auto add = [all](RunId run, const RunCore::Begun& begun) {
      all->found.jobs += begun.jobs;
      for (const StepKey& step : begun.maybe)
        all->found.maybe.emplace_back(run, step);
    };
    for (const auto& [run, events] : runs.open) {
      const auto away = away_.find(run);
      if (away != away_.end() && homes_.unaware.contains(away->second.home))
        continue;  // It does not tell what goes on from what begins.
      if (away != away_.end() && away->second.events == events) {
        add(run, away->second.begun);
        continue;
      }
      with_core(run, [this, run = run, all, add](const Result<RunCore*>& core) {
        if (!core)
          return;
        add(run, (*core)->begun_at(deps_->home));
        // What is to be recorded may be the end of such a job.
        const auto entry = runs_.find(run);
        if (entry != runs_.end() && !entry->second.writes.empty())
          ++all->found.jobs;
      });
      let_go(run);
    }
  }

  // -- Concurrency groups -----------------------------------------------------

  /// Whether other nodes drive runs as well.
  [[nodiscard]] bool is_shared() const { return !deps_->home.empty(); }

  /// One of ours wants a place.
  void ask_for_place() {
    if (is_shared())
      see_places();
    else
      host_.door()([this] { admit(); });
  }

  /// Looks at what runs of others do. Each look that is asked for is made after
  /// that.
  void see_places() {
    if (is_seeing_places_ || has_trouble_) {
      sees_places_again_ = true;
      return;
    }
    is_seeing_places_ = true;
    sees_places_again_ = false;
    ask([begun = admission_.begun()](
            Store& store) { return find_places(store, begun); },
        [this](const Result<std::map<RunId, bool>>& open) { on_places(open); });
  }

  void on_places(const Result<std::map<RunId, bool>>& open) {
    is_seeing_places_ = false;
    if (open && !sees_places_again_) {
      admission_.see(*open);
      const std::set<RunId> unknown = admission_.unknown();
      for (const RunId run : unknown)
        with_core(run, [this](const Result<RunCore*>& core) {
          if (core)
            know_place(**core);
        });
      admit();
    }
    if (sees_places_again_)
      see_places();
    else
      see_places_soon();
  }

  /// As long as it concerns one of ours.
  void see_places_soon() {
    if (is_shared() && (admission_.has_ours() || !retries_.empty()) &&
        !std::exchange(is_place_look_due_, true))
      host_.after(places_pause, [this] {
        is_place_look_due_ = false;
        see_places();
      });
  }

  void admit() {
    // Of what others do more is about to be known.
    if (is_seeing_places_ || sees_places_again_)
      return;
    for (const RunAdmission::Decision& decision : admission_.decide())
      admit(decision);
    if (!admission_.unknown().empty())
      return;
    for (const ChangeRun& retry : std::exchange(retries_, {}))
      change_now(retry);
  }

  void admit(const RunAdmission::Decision& decision) {
    using What = RunAdmission::What;
    const auto found = runs_.find(decision.run);
    if (found == runs_.end() || !found->second.core)
      return;
    const RunCore& core = *found->second.core;
    const std::string group = group_text(core.concurrency_group());
    switch (decision.what) {
      case What::enter:
        tell(found->second, RunBegun{});
        break;
      case What::cancel:
        tell(found->second, RunCancelled{});
        break;
      case What::skip:
        tell(found->second, RunRefused{fmt::format("{} is in use", group)});
        break;
      case What::fail:
        tell(found->second,
             RunRefused{fmt::format("{} is in use", group), true});
        break;
      case What::queue_full:
        tell(found->second,
             RunRefused{
                 fmt::format("{} has no room for one more: {} wait", group,
                             core.workflow().concurrency->limits.queue),
                 true});
        break;
    }
  }

  /// Others may begin then.
  void leave_group(RunId run) {
    admission_.forget(run);
    host_.door()([this] { admit(); });
  }

  /// What is to be so in the store before it begins, or goes on after its end.
  [[nodiscard]] std::optional<RunPlace> place_for(const RunCore& core,
                                                  const RunNews& news) const {
    const std::string& group = core.concurrency_group();
    if (!is_shared() || group.empty() ||
        (!std::holds_alternative<RunBegun>(news) &&
         !std::holds_alternative<RunRetried>(news)))
      return std::nullopt;
    return RunPlace{group,
                    std::max(1U, core.workflow().concurrency->limits.limit),
                    admission_.runs_in(group), admission_.runs_outside(group),
                    admission_.begun()};
  }

  /// It has not begun, although we thought so: it is as the store has it.
  void take_back(RunId run, const RunPlace& place) {
    log(LogLevel::debug, fmt::format("run_place_taken run={}", run_name(run)));
    const auto entry = runs_.extract(run);
    for (const auto& pending : entry.mapped().writes) {
      if (pending->done)
        pending->done(
            failure(Errc::invalid_argument,
                    fmt::format("{} is in use", group_text(place.group))));
    }
    std::erase_if(steps_,
                  [&](const auto& step) { return step.second.first == run; });
    admission_.forget(run);
    with_core(run, [](const Result<RunCore*>&) {});
  }

  /// A retry takes a place as a new run does, and does not wait for it.
  Result<void> take_place_again(const RunCore& core) {
    const std::string& group = core.concurrency_group();
    if (group.empty() ||
        admission_.enter_again(core.run(), group,
                               core.workflow().concurrency->limits,
                               is_at_home(core)))
      return {};
    return failure(Errc::invalid_argument,
                   fmt::format("{} is in use", group_text(group)));
  }

  /// Of one that another node drives what is known here is what was known when
  /// it was loaded.
  [[nodiscard]] bool is_at_home(const RunCore& core) const {
    return core.home() == deps_->home;
  }

  /// Of a run that has ended, or that another node drives, nothing is kept
  /// here.
  void let_go(RunId run) {
    const auto found = runs_.find(run);
    if (found == runs_.end())
      return;
    const Entry& entry = found->second;
    const bool is_idle =
        entry.core && entry.writes.empty() && entry.waiting.empty();
    const bool has_ended =
        entry.core && entry.core->state() != store::RunState::running;
    if (!is_idle || (!has_ended && is_at_home(*entry.core)))
      return;
    // Its end is of no interest any more.
    if (const auto& services = entry.core->services())
      steps_.erase(services->job);
    runs_.erase(found);
    if (has_ended)
      leave_group(run);
    note_runs();
  }

  /// Has the runs forgotten that the workflow does not keep.
  void expire_runs(const RunCore& core) {
    const workflow::Retention retention = core.workflow().retention;
    if (retention.runs == 0 && retention.age == Duration{0})
      return;
    queue::call(
        deps_->store,
        [file = core.spec().file, retention, now = deps_->wall_now()](
            Store& store) { return find_expired(store, file, retention, now); },
        [deps = deps_](const Result<std::vector<RunId>>& expired) {
          if (expired && !expired->empty())
            deps->on_runs_expired(*expired);
        });
  }

  // -- What happens -----------------------------------------------------------

  /// Tells the run what has happened, and has it recorded; `done` is called
  /// then, or at once with what is wrong.
  void tell(Entry& entry, const RunNews& news,
            std::function<void(Result<void>)> done = {},
            const std::vector<StepKey>& cancel = {},
            std::optional<ChangeRun> asked = {}) {
    RunCore& core = *entry.core;
    const std::uint64_t number = core.events();
    const std::string home = core.home();
    auto decision = core.apply(news, deps_->wall_now());
    if (!decision || !*decision) {
      if (done)
        done(decision ? Result<void>{} : tl::unexpected(decision.error()));
      return;
    }
    (*decision)->cancel.insert((*decision)->cancel.end(), cancel.begin(),
                               cancel.end());
    add_writes(entry, store::RunEvent{number, encode(news), core.last_event()},
               **decision, std::move(done), home, place_for(core, news),
               std::move(asked));
    set_timer(entry);
  }

  /// The same of one that may be gone.
  void tell(RunId run, const RunNews& news) {
    const auto found = runs_.find(run);
    if (found != runs_.end() && found->second.core)
      tell(found->second, news);
  }

  /// The event goes with the first of the jobs that it leads to; the rest
  /// follows, and is found again if it does not come to that.
  void add_writes(Entry& entry, std::optional<store::RunEvent> event,
                  const RunCore::Decision& decision,
                  std::function<void(Result<void>)> done,
                  const std::string& home_before,
                  std::optional<RunPlace> place = {},
                  std::optional<ChangeRun> asked = {}) {
    const RunCore& core = *entry.core;
    Pending pending{.done = std::move(done), .asked = std::move(asked)};
    RunWrite& write = pending.write;
    const auto add = [&] {
      write.run = core.run();
      write.state = core.state();
      write.counts = core.counts();
      entry.writes.push_back(
          std::make_shared<const Pending>(std::exchange(pending, {})));
    };
    for (std::size_t i = 0; event && i < decision.notices.size(); ++i)
      write.notices.push_back(
          at_home(core, core.notice_job(decision.notices[i], event->number, i,
                                        deps_->content.program)));
    write.event = std::move(event);
    if (core.home() != home_before) {
      write.moved_from = home_before;
      write.moved_to = core.home();
      for (const auto& [step, running] : core.running()) {
        if (step.is_of_services())
          write.moved_services = job_for(core, step);
        else if (core.is_placed(step))
          write.staying.insert(request_id_of(core.run(), step));
      }
    }
    write.place = std::move(place);
    if (!is_at_home(core)) {
      // The node that drives it does the rest.
      add();
      write_next(entry);
      return;
    }
    for (const StepKey& step : decision.submit) {
      if (write.submit.size() == most_submitted_at_once)
        add();
      if (std::string why = core.refusal_of(step); !why.empty()) {
        write.refused.push_back({.step = step,
                                 .kind = actors::OutcomeKind::failed,
                                 .exit_status = 125,
                                 .why = std::move(why)});
        continue;
      }
      write.submit.emplace_back(step, job_for(core, step));
      note_printed(core, step, write);
    }
    write.cancel = decision.cancel;
    for (const StepKey& step : decision.cancel)
      note_printed(core, step, write);
    add();
    write_next(entry);
  }

  [[nodiscard]] store::NewJob job_for(const RunCore& core,
                                      const StepKey& step) const {
    if (!step.is_of_services())
      return placed(core.job_for(step, deps_->content),
                    core.preference_of(step));
    return at_home(core,
                   core.services_job(deps_->content.program, deps_->socket,
                                     deps_->services_folder));
  }

  /// While nobody knows who is there it waits where all look.
  [[nodiscard]] store::NewJob placed(
      store::NewJob job,
      const std::optional<RunCore::Preference>& preference) const {
    if (!preference)
      return job;
    const std::string& key = preference->key;
    if (preference->spread.empty()) {
      if (placement_.shard_of)
        job.shards = {placement_.shard_of(key)};
      return job;
    }
    auto takes = flow_control::Resources::parse(job.resources);
    if (!placement_.spreading || !takes)
      return job;
    const std::size_t variants = preference->variants;
    const auto shards = placement_.spreading(
        preference->spread, *takes,
        std::min<std::size_t>(variants, distributed::most_shards_of_job));
    if (shards.empty())
      return job;
    if (!key.empty()) {
      // Those with one key together, and keys apart, as far as chance has it.
      job.shards = {shards[distributed::stable_hash(key, 0) % shards.size()]};
      return job;
    }
    job.shards = {shards[preference->variant % shards.size()]};
    job.resources =
        queue::want_spread(std::move(*takes),
                           distributed::stable_hash(preference->spread, 0),
                           (variants + shards.size() - 1) / shards.size())
            .text();
    return job;
  }

  /// What it hands on is in the folder of the node that drives the run.
  [[nodiscard]] static store::NewJob at_home(const RunCore& core,
                                             store::NewJob job) {
    if (!core.home().empty())
      job.resources =
          queue::at_home(job.resources, core.home(), /*goes_on=*/false);
    return job;
  }
  [[nodiscard]] static RunCore::NoticeJob at_home(const RunCore& core,
                                                  RunCore::NoticeJob notice) {
    if (!core.home().empty())
      notice.job.resources =
          queue::at_home(notice.job.resources, core.home(), /*goes_on=*/true);
    return notice;
  }

  static void note_printed(const RunCore& core, const StepKey& step,
                           RunWrite& write) {
    const auto running = core.running().find(step);
    if (running != core.running().end() &&
        !running->second.start.printed.empty())
      write.printed.emplace(step, running->second.start.printed);
  }

  void write_next(Entry& entry) {
    if (entry.is_writing || entry.writes.empty() || has_trouble_)
      return;
    entry.is_writing = true;
    queue::call(
        deps_->store,
        [pending = entry.writes.front(), folder = deps_->output_folder,
         now = deps_->wall_now()](Store& store) {
          return perform(store, pending->write, folder, now);
        },
        [this, pending = entry.writes.front(), door = host_.door(),
         deps = deps_](Result<RunWriteOutcome> outcome) {
          if (outcome && pending->write.event && deps->on_recorded)
            deps->on_recorded();
          door([this, pending, outcome = std::move(outcome)] {
            on_written(*pending, outcome);
          });
        });
  }

  void on_written(const Pending& pending,
                  const Result<RunWriteOutcome>& outcome) {
    const RunWrite& write = pending.write;
    const RunId run = write.run;
    const auto found = runs_.find(run);
    if (found == runs_.end())
      return;
    Entry& entry = found->second;
    entry.is_writing = false;
    if (!outcome && may_pass(outcome.error())) {
      on_trouble(outcome.error());
      return;
    }
    if (!outcome) {
      give_up(run, outcome.error());
      return;
    }
    if (outcome->is_overtaken) {
      load_again(run);
      return;
    }
    if (outcome->has_no_place) {
      take_back(run, *write.place);
      return;
    }
    entry.writes.pop_front();
    if (!write.moved_to.empty() &&
        entry.core->state() == store::RunState::running) {
      know_place(*entry.core);
      go_on(entry);
    }
    if (pending.done)
      pending.done({});
    if (write.event && store::has_ended(write.state))
      expire_runs(*entry.core);
    if (is_shared())
      entry.inherited.insert(outcome->known.begin(), outcome->known.end());
    for (const auto& [step, job] : outcome->submitted) {
      entry.core->on_submitted(step, job);
      steps_[job] = {run, step};
    }
    if (!write.submit.empty() || outcome->has_notices)
      deps_->on_work();
    std::vector<std::uint32_t> shards;
    for (const auto& [step, job] : write.submit)
      shards.insert(shards.end(), job.shards.begin(), job.shards.end());
    if (!shards.empty() && deps_->tell_owners)
      deps_->tell_owners(shards);
    if (!outcome->to_stop.empty())
      deps_->stop_tasks(outcome->to_stop);
    for (const JobId job : outcome->cancelled)
      deps_->on_change(job);
    for (const RunStepEnded& ended : outcome->ended)
      end_step(entry, ended);
    write_next(entry);
    let_go(run);
    const bool is_any_unheard = std::any_of(
        outcome->submitted.begin(), outcome->submitted.end(),
        [&](const auto& one) { return may_end_unheard(run, one.first); });
    if (is_any_unheard)
      look_at_unheard_later();
  }

  /// It cannot be recorded, and never will be.
  void give_up(RunId run, const Error& error) {
    log(LogLevel::error, fmt::format("run_cannot_go_on run={} reason={}",
                                     run_name(run), shell_quote(error.what)));
    const auto entry = runs_.extract(run);
    for (const auto& pending : entry.mapped().writes) {
      if (pending->done)
        pending->done(tl::unexpected(error));
    }
    std::erase_if(steps_,
                  [&](const auto& step) { return step.second.first == run; });
    leave_group(run);
    note_runs();
  }

  void end_step(Entry& entry, const RunStepEnded& ended) {
    steps_.erase(ended.job);
    if (!entry.core->running().contains(ended.step))
      return;
    tell(entry, ended,
         [deps = deps_, job = ended.job,
          attempts = ended.attempts](const Result<void>& told) {
           // Not before: what they say would be lost with the node.
           for (std::uint32_t attempt = 1; told && attempt <= attempts;
                ++attempt)
             deps->on_outputs_read(
                 queue::outputs_path(deps->output_folder, {{job, 0}, attempt}));
         });
  }

  // -- Ends of jobs -----------------------------------------------------------

  void look_at_job(JobId job) {
    const auto found = steps_.find(job);
    if (found == steps_.end())
      return;
    if (has_trouble_) {
      unseen_.insert(job);
      return;
    }
    const auto& [run, step] = found->second;
    std::vector<workflow::PrintedOutput> printed;
    if (const auto entry = runs_.find(run);
        entry != runs_.end() && entry->second.core) {
      const auto& running = entry->second.core->running();
      if (const auto it = running.find(step); it != running.end())
        printed = it->second.start.printed;
    }
    ask(
        [job, step = step, printed = std::move(printed),
         folder = deps_->output_folder](Store& store) {
          return look_at_end(store, job, step, printed, folder);
        },
        [this, run = run, job](const Result<std::optional<RunStepEnded>>& end) {
          on_end(run, job, end);
        });
  }

  void on_end(RunId run, JobId job,
              const Result<std::optional<RunStepEnded>>& end) {
    if (!end) {
      unseen_.insert(job);
      on_trouble(end.error());
      return;
    }
    if (*end)
      end_step_of(run, **end);
  }

  void end_step_of(RunId run, const RunStepEnded& ended) {
    const auto found = runs_.find(run);
    if (found == runs_.end() || !found->second.core)
      return;
    end_step(found->second, ended);
    let_go(run);
  }

  // -- Steps whose end nobody tells us ----------------------------------------

  /// Whether its job may end without a word to us: on another node, and by the
  /// end of a session that had claimed it. That is the one that this node had
  /// before, which the next one ends as it registers, or the one of the node
  /// that a run had before: that may be back before the run has moved.
  [[nodiscard]] bool may_end_unheard(RunId run, const StepKey& step) const {
    const auto entry = runs_.find(run);
    if (entry == runs_.end() || !entry->second.core)
      return false;
    const RunCore& core = *entry->second.core;
    return core.running().contains(step) &&
           (core.is_placed(step) || core.has_moved() ||
            entry->second.inherited.contains(step));
  }

  void look_at_unheard_later() {
    if (!std::exchange(is_look_due_, true))
      host_.after(unheard_look_interval, [this] { look_at_unheard(); });
  }

  /// Nobody tells us when they end.
  void look_at_unheard() {
    is_look_due_ = false;
    std::vector<
        std::tuple<JobId, RunId, StepKey, std::vector<workflow::PrintedOutput>>>
        some;
    auto at = steps_.upper_bound(last_looked_at_);
    for (std::size_t i = 0;
         i < steps_.size() && some.size() < most_unheard_at_once; ++i, ++at) {
      if (at == steps_.end())
        at = steps_.begin();
      const auto& [run, step] = at->second;
      if (!may_end_unheard(run, step))
        continue;
      some.emplace_back(at->first, run, step,
                        runs_.at(run).core->running().at(step).start.printed);
    }
    if (some.empty())
      return;
    if (has_trouble_) {
      look_at_unheard_later();
      return;
    }
    last_looked_at_ = std::get<JobId>(some.back());
    using Ends = std::vector<std::pair<RunId, RunStepEnded>>;
    ask(
        [some = std::move(some),
         folder = deps_->output_folder](Store& store) -> Result<Ends> {
          Ends ends;
          for (const auto& [job, run, step, printed] : some) {
            auto end = look_at_end(store, job, step, printed, folder);
            if (!end)
              return tl::unexpected(std::move(end.error()));
            if (*end)
              ends.emplace_back(run, std::move(**end));
          }
          return ends;
        },
        [this](const Result<Ends>& ends) {
          for (const auto& [run, ended] : ends.value_or(Ends{}))
            end_step_of(run, ended);
          look_at_unheard_later();
        });
  }

  // -- Time -------------------------------------------------------------------

  void set_timer(Entry& entry) {
    const auto deadline = entry.core->next_deadline();
    const std::uint64_t token = ++last_timer_;
    entry.timer = token;
    if (!deadline || !is_at_home(*entry.core))
      return;
    const Duration wait = std::clamp<Duration>(*deadline - deps_->wall_now(),
                                               1ms, longest_run_timer);
    host_.after(
        wait, [this, run = entry.core->run(), token] { on_tick(run, token); });
  }

  void on_tick(RunId run, std::uint64_t token) {
    const auto found = runs_.find(run);
    if (found == runs_.end() || found->second.timer != token ||
        !found->second.core)
      return;
    Entry& entry = found->second;
    const auto deadline = entry.core->next_deadline();
    if (deadline && *deadline <= deps_->wall_now())
      tell(entry, RunTimePassed{});
    else
      set_timer(entry);
  }

  // -- What is asked ----------------------------------------------------------

  /// On several nodes `runs-on` counts.
  [[nodiscard]] Result<void> check_places(
      const workflow::Workflow& workflow) const {
    if (deps_->home.empty())
      return {};
    for (const workflow::Workflow* const file : workflow::files_of(workflow)) {
      auto checked = workflow::check_placement(
          *file, [](const auto& label) { return queue::check_label(label); });
      if (!checked)
        return checked;
    }
    return {};
  }

  using Submitted = std::function<void(Result<Json>)>;

  /// A run goes on as well if nothing can be learned for it.
  void on_earlier(const RunSubmission& submission, const std::string& name,
                  Result<std::vector<KeptRun>>& earlier,
                  const Submitted& done) {
    // One that is gone would be waited for once more.
    if (!earlier && (earlier.error().code == Errc::unavailable ||
                     earlier.error().code == Errc::timed_out)) {
      done(tl::unexpected(earlier.error()));
      return;
    }
    RunSpec spec = submission.spec;
    if (earlier)
      spec.estimates = learn_from(std::move(*earlier), spec.file);
    store::NewRun run = submission.run;
    run.name = name;
    run.spec = encode(spec);
    if (run.spec.size() > store::largest_run_spec)
      run.spec = encode(submission.spec);
    ask(
        [run = std::move(run), group = spec.group,
         now = deps_->wall_now()](Store& store) -> Result<store::SubmittedRun> {
          const auto is_there = has_group(store, group);
          if (!is_there)
            return tl::unexpected(is_there.error());
          if (!*is_there)
            return failure(Errc::not_found,
                           fmt::format("no group {}", printable(group)));
          return store.open_run(run, now);
        },
        [this, done](const Result<store::SubmittedRun>& opened) {
          on_opened(opened, done);
        });
  }

  void on_opened(const Result<store::SubmittedRun>& opened,
                 const Submitted& done) {
    if (!opened) {
      done(tl::unexpected(opened.error()));
      return;
    }
    const auto [run, is_new] = *opened;
    with_core(run, [run = run, is_new = is_new, done,
                    durability = deps_->durability](Result<RunCore*> core) {
      if (!core) {
        done(tl::unexpected(core.error()));
        return;
      }
      done(Json{{"run", run.value},
                {"is_new", is_new},
                {"durability", durability},
                {"state", store::to_string((*core)->state())},
                {"jobs", (*core)->counts().jobs}});
    });
  }

  void change_now(const ChangeRun& m) {
    with_core(m.run, [this, m](Result<RunCore*> core) {
      if (!core && core.error().code != Errc::not_found &&
          std::holds_alternative<RunCancelled>(m.news)) {
        end_unread(m);
        return;
      }
      if (!core) {
        m.done(tl::unexpected(core.error()));
        return;
      }
      if (is_homeless(**core))
        move_here(runs_.at(m.run));
      if (const auto unaware = homes_.unaware.find((*core)->home());
          !is_at_home(**core) && unaware != homes_.unaware.end()) {
        m.done(failure(
            Errc::unsupported,
            fmt::format("run {}: {} drives it, whose version does not see what "
                        "is asked at other nodes; ask that one, or upgrade it",
                        run_name(m.run), printable(unaware->second))));
        return;
      }
      RunNews news = m.news;
      if (std::holds_alternative<RunRetried>(news) &&
          (*core)->state() != store::RunState::running) {
        if (auto placed = take_place_again(**core); !placed) {
          m.done(tl::unexpected(
              std::move(placed.error())
                  .within(fmt::format("run {}", run_name(m.run)))));
          return;
        }
      }
      if (m.check) {
        if (auto checked = m.check(**core, news); !checked) {
          m.done(tl::unexpected(std::move(checked.error())));
          return;
        }
      }
      tell(
          runs_.at(m.run), news,
          [run = m.run, done = m.done](Result<void> told) {
            if (!told && told.error().code == Errc::invalid_argument)
              told = tl::unexpected(Error{told.error()}.within(
                  fmt::format("run {}", run_name(run))));
            done(std::move(told));
          },
          {}, m);
    });
    let_go(m.run);
  }

  /// Of a run that this version does not understand at least the jobs can be
  /// ended.
  void end_unread(const ChangeRun& m) {
    queue::call(
        deps_->store,
        [run = m.run, now = deps_->wall_now()](Store& store) {
          return cancel_unread(store, run, now);
        },
        [deps = deps_,
         done = m.done](const Result<std::vector<store::AttemptRef>>& running) {
          if (running)
            deps->stop_tasks(*running);
          done(running ? Result<void>{} : tl::unexpected(running.error()));
        });
  }

  RunDriverHost& host_;
  std::shared_ptr<const RunDriverDeps> deps_;
  std::map<RunId, Entry> runs_;
  /// Of jobs that have not ended, as far as is known here.
  std::map<JobId, std::pair<RunId, StepKey>> steps_;
  RunAdmission admission_;
  bool is_seeing_places_ = false;
  bool sees_places_again_ = false;
  bool is_place_look_due_ = false;
  std::vector<ChangeRun> retries_;  ///< That wait for such a look.
  /// A run that another node drives.
  struct Away {
    std::string home{};
    std::uint64_t home_events = 0;  ///< That tell it.
    // As it was when it was loaded:
    std::uint64_t events = 0;
    std::size_t awaiting = 0;
    RunCore::Begun begun{};  ///< On this node.
  };
  std::map<RunId, Away> away_;
  HomesSeen homes_;
  std::optional<RunNewsSeen> last_news_;
  PlacementSeen placement_;
  /// Nodes that jobs of ours have begun on and that have no session any more,
  /// and since when.
  std::map<std::string, WallTime> missing_;
  bool is_look_due_ = false;  ///< At what runs elsewhere.
  JobId last_looked_at_;
  // To be looked at when the store is well:
  std::set<RunId> unloaded_;
  std::set<JobId> unseen_;
  bool has_found_ = false;
  bool has_trouble_ = false;
  std::uint64_t last_timer_ = 0;
};

}  // namespace

std::optional<distributed::NodeId> owner_of_run(const distributed::Ring* ring,
                                                RunId run) {
  if (ring == nullptr)
    return std::nullopt;
  return ring->owner(distributed::shard_of(fmt::format("run {}", run.value),
                                           ring->parameters()));
}

std::unique_ptr<RunDriver> make_run_driver(
    RunDriverHost& host, std::shared_ptr<const RunDriverDeps> deps) {
  return std::make_unique<Driver>(host, std::move(deps));
}

}  // namespace troupe::node
