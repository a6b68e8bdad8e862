#include "trigger_actor.hpp"

#include "run_driver_actor.hpp"
#include "trigger_files.hpp"
#include "watched_files.hpp"
#include "webhook_signature.hpp"

#include <troupe/base/log.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/base/wall_time.hpp>
#include <troupe/node/secret_value.hpp>
#include <troupe/service/file_watcher.hpp>
#include <troupe/workflow/load.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fmt/format.h>
#include <optional>
#include <utility>
#include <vector>

namespace troupe::node {
namespace {

using actors::Actor;
using actors::ActorRef;
using actors::Behavior;
using store::RunId;

/// By file and trigger, as in TriggerStates.
using Key = std::pair<std::string, std::string>;

/// Clocks can be set: then times come earlier, or have passed.
constexpr Duration longest_trigger_timer = 10s;
constexpr Duration retry_pause = 1s;
/// Whoever does not answer has died over it.
constexpr Duration longest_answer = 1min;
/// Of a file that is gone, for it may come back.
constexpr Duration keep_state = std::chrono::hours{24 * 30};

struct TriggerTick {
  std::uint64_t token = 0;
};
struct FireAnswered {
  Key key;
  WallTime at;
  Result<RunId> run;
};
struct FilesMoved {
  Key key;
  std::uint64_t watch = 0;  ///< Which of those that were made.
  std::string trouble;      ///< Why it has ended; empty if it has not.
};
struct HookAnswered {
  std::string path;
  RunId run;
};
struct RunLooked {
  Key key;
  RunId run;
  bool has_ended = false;
};

}  // namespace
}  // namespace troupe::node

TROUPE_LOCAL_MESSAGE(troupe::node::TriggerTick)
TROUPE_LOCAL_MESSAGE(troupe::node::FireAnswered)
TROUPE_LOCAL_MESSAGE(troupe::node::FilesMoved)
TROUPE_LOCAL_MESSAGE(troupe::node::HookAnswered)
TROUPE_LOCAL_MESSAGE(troupe::node::RunLooked)

namespace troupe::node {
namespace {

/// Stable over versions, since request ids are kept.
std::uint64_t hash_of(const Key& key) {
  std::uint64_t hash = 14695981039346656037U;
  for (const std::string* const part : {&key.first, &key.second}) {
    for (const char c : *part)
      hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
    hash = (hash ^ 0xFFU) * 1099511628211U;
  }
  return hash;
}

/// The same fire is the same run.
std::string request_id_of_fire(const Key& key, WallTime at) {
  return fmt::format(
      "trigger/{:016x}/{}", hash_of(key),
      std::chrono::floor<std::chrono::milliseconds>(at.time_since_epoch())
          .count());
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

std::string name_of(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

std::string_view name_of(workflow::Overlap overlap) {
  switch (overlap) {
    case workflow::Overlap::skip:
      return "skip";
    case workflow::Overlap::queue:
      return "queue";
    case workflow::Overlap::allow:
      return "allow";
    case workflow::Overlap::cancel_running:
      return "cancel-running";
  }
  return "skip";
}

/// Whether a run of `workflow` can be given a value for `input`.
bool takes(const workflow::Workflow& workflow, std::string_view input) {
  if (const auto* const declared = workflow.declared_inputs())
    return std::any_of(
        declared->begin(), declared->end(),
        [&](const workflow::Input& one) { return one.name == input; });
  return std::any_of(
      workflow.inputs.begin(), workflow.inputs.end(),
      [&](const workflow::InputUse& use) { return use.name == input; });
}

class TriggerActor {
 public:
  TriggerActor(Actor* self, std::shared_ptr<const TriggerDeps> deps)
      : self_{self}, deps_{std::move(deps)} {}

  Behavior make_behavior() {
    auto kept = read_trigger_states(deps_->state_file);
    if (!kept)
      log(LogLevel::error, fmt::format("triggers_forgotten reason={}",
                                       shell_quote(kept.error().what)));
    states_ = kept.value_or(TriggerStates{});
    watch_folder();
    reload();
    return {
        [this](ReloadTriggers) { reload(); },
        [this](RunsMoved) { look_at_runs(); },
        [this](const AskTriggers& m) { m.done(show(m.times)); },
        [this](const TakeWebhook& m) { take(m); },
        [this](const FireAnswered& m) { on_answer(m); },
        [this](const FilesMoved& m) { on_files(m); },
        [this](const HookAnswered& m) { on_hook(m); },
        [this](const RunLooked& m) { on_looked(m); },
        [this](TriggerTick m) { on_tick(m); },
    };
  }

 private:
  /// Looks after the files of one trigger.
  struct Watch {
    workflow::WatchTrigger trigger;
    ChangeCore core;
    std::unique_ptr<service::FileWatcher> watcher;
    std::uint64_t number = 0;
  };

  struct Entry {
    TriggerCore core;
    std::optional<workflow::ScheduleTrigger> schedule{};
    std::optional<Watch> watch{};
    WallTime asked{};     ///< When it was submitted last.
    std::string error{};  ///< Of the last fire; empty if there was none.
  };

  struct File {
    std::string text;
    std::shared_ptr<const workflow::Workflow> workflow;
    std::string error;                       ///< Why it is not armed.
    const workflow::Secret* hook = nullptr;  ///< Of its webhook, in `workflow`.
    std::optional<std::string> hook_value;   ///< If a command has told it.
    RunId last_hook_run{};
    WallTime last_hook;
    std::map<std::string, Entry> entries;
  };

  // -- The folder -------------------------------------------------------------

  void watch_folder() {
    const std::string& folder = deps_->workflow_folder;
    auto watching = service::FileWatcher::watch(
        deps_->io, {.paths = {folder + "/*.yaml", folder + "/*.yml"}},
        {.on_change =
             [self = actors::ref_of(self_)](const std::string&) {
               actors::send(self, ReloadTriggers{});
             },
         .on_trouble =
             [folder](const Error& error) {
               log(LogLevel::warn,
                   fmt::format("workflow_folder_not_watched folder={} "
                               "reason={} then=SIGHUP",
                               shell_quote(folder), shell_quote(error.what)));
             }});
    if (watching)
      watcher_ = std::move(*watching);
    else
      log(LogLevel::warn,
          fmt::format("workflow_folder_not_watched folder={} reason={} "
                      "then=SIGHUP",
                      shell_quote(folder), shell_quote(watching.error().what)));
  }

  void reload() {
    const auto paths = list_workflow_files(deps_->workflow_folder);
    folder_error_ = paths ? "" : paths.error().what;
    if (!paths) {
      log(LogLevel::error, fmt::format("workflow_folder_refused reason={}",
                                       shell_quote(folder_error_)));
      set_timer();
      return;
    }
    std::map<std::string, File> before;
    before.swap(files_);
    for (const std::string& path : *paths) {
      auto text = read_workflow_file(path);
      // It may have gone since it was listed.
      if (!text && text.error().code == Errc::not_found)
        continue;
      const auto known = before.find(path);
      if (text && known != before.end() && known->second.error.empty() &&
          known->second.text == *text) {
        files_.insert(before.extract(known));
        continue;
      }
      load(path, std::move(text),
           known == before.end() ? "" : known->second.error);
    }
    forget_old();
    look_at_runs();
    tick();
  }

  /// `error_before` was logged already.
  void load(const std::string& path, Result<std::string> text,
            const std::string& error_before) {
    File file;
    if (text) {
      file.text = std::move(*text);
      arm(path, file);
    } else {
      file.error = text.error().what;
    }
    if (file.error.empty() && file.workflow == nullptr)
      return;  // It is for other commands.
    // All of it, or nothing.
    if (!file.error.empty())
      file.entries.clear();
    if (file.error.empty())
      log(LogLevel::info, fmt::format("workflow_armed file={} triggers={}",
                                      shell_quote(path), file.entries.size()));
    else if (file.error != error_before)
      log(LogLevel::error,
          fmt::format("workflow_refused file={} reason={}", shell_quote(path),
                      shell_quote(file.error)));
    files_.insert_or_assign(path, std::move(file));
  }

  void arm(const std::string& path, File& file) {
    auto loaded = workflow::load_workflow(path, file.text);
    if (!loaded) {
      file.error = loaded.error().what;
      return;
    }
    const workflow::Triggers& triggers = (*loaded)->triggers;
    if (!triggers.has_automatic())
      return;
    file.workflow = *loaded;
    check_runs(path, file);
    if (triggers.webhook && file.error.empty())
      arm_webhook(path, file);
    for (workflow::ScheduleTrigger schedule : triggers.schedules) {
      if (!file.error.empty())
        return;
      arm(path, file, std::move(schedule));
    }
    if (triggers.watch && file.error.empty())
      arm_watch(path, file, *triggers.watch);
  }

  /// What would be wrong with each run is wrong with the file.
  void check_runs(const std::string& path, File& file) const {
    const workflow::Triggers& triggers = file.workflow->triggers;
    const auto check = [&](bool has_it, std::string_view trigger,
                           std::string_view input, std::string_view value) {
      if (!has_it || !file.error.empty())
        return;
      if (const auto core = RunCore::make(
              RunId{}, spec_of(path, file, trigger, input, std::string{value}));
          !core)
        file.error = core.error().what;
    };
    check(!triggers.schedules.empty(), "schedule", workflow::scheduled_input,
          "2026-05-01T00:00:00.000Z");
    check(triggers.watch.has_value(), "watch", workflow::files_input, "[]");
    check(triggers.webhook.has_value(), "webhook", workflow::body_input, "");
  }

  void arm(const std::string& path, File& file,
           workflow::ScheduleTrigger schedule) {
    std::string name = fmt::format("schedule {}", schedule.text);
    if (schedule.zone)
      name += fmt::format(" {}", schedule.zone->name());
    while (file.entries.contains(name))
      name += " again";
    if (!schedule.zone) {
      // No other thread changes it.
      const auto zone = schedule::TimeZone::local(std::getenv("TZ"));  // NOLINT
      if (!zone) {
        file.error = zone.error().what;
        return;
      }
      schedule.zone = *zone;
    }
    file.entries.emplace(
        name, Entry{.core = TriggerCore{schedule, state_of({path, name})},
                    .schedule = schedule});
  }

  /// Where a trigger is seen for the first time, nothing was missed.
  const TriggerState& state_of(const Key& key) {
    const auto [found, is_new] =
        states_.try_emplace(key, TriggerState{.handled = deps_->wall_now()});
    is_kept_ = is_kept_ && !is_new;
    return found->second;
  }

  // -- Files ------------------------------------------------------------------

  void arm_watch(const std::string& path, File& file,
                 const workflow::WatchTrigger& trigger) {
    const Key key{path, "watch"};
    const TriggerState& state = state_of(key);
    const std::string folder = folder_of(path);
    service::WatchedFiles files{.paths = trigger.paths,
                                .exclude = trigger.exclude,
                                .debounce = trigger.debounce};
    for (auto* const list : {&files.paths, &files.exclude}) {
      for (std::string& one : *list) {
        // A name to be excluded is meant anywhere.
        const bool is_name =
            list == &files.exclude &&
            (one.find('/') >= one.size() - 1 || one.starts_with("**/"));
        if (!one.starts_with('/') && !is_name)
          one = fmt::format("{}/{}", folder, one);
      }
    }
    const std::uint64_t number = ++watches_;
    const auto tell = [self = actors::ref_of(self_), key,
                       number](const std::string& trouble) {
      actors::send(self, FilesMoved{key, number, trouble});
    };
    auto watcher = service::FileWatcher::watch(
        deps_->io, files,
        {.on_change = [tell](const std::string&) { tell(""); },
         .on_trouble = [tell](const Error& error) { tell(error.what); }});
    if (!watcher) {
      file.error =
          fmt::format("{}: watch: {}", printable(path), watcher.error().what);
      return;
    }
    file.entries.emplace(
        key.second,
        Entry{.core = TriggerCore{{}, state},
              .watch = Watch{trigger, ChangeCore{trigger.settle, state.handled},
                             std::move(*watcher), number}});
    // What has changed without us.
    tell("");
  }

  void on_files(const FilesMoved& m) {
    Entry* const entry = find(m.key);
    if (entry == nullptr || !entry->watch || entry->watch->number != m.watch)
      return;
    if (!m.trouble.empty()) {
      entry->error = m.trouble;
      log(LogLevel::error,
          fmt::format("trigger_does_not_watch file={} reason={}",
                      shell_quote(m.key.first), shell_quote(m.trouble)));
      return;
    }
    scan(m.key, *entry);
    go_on();
  }

  void scan(const Key& key, Entry& entry) {
    Watch& watch = *entry.watch;
    const auto files = scan_files(watch.trigger, folder_of(key.first));
    if (!files) {
      if (entry.error != files.error().what)
        log(LogLevel::error,
            fmt::format("trigger_does_not_watch file={} reason={}",
                        shell_quote(key.first),
                        shell_quote(files.error().what)));
      entry.error = files.error().what;
      return;
    }
    entry.error.clear();
    const WallTime now = deps_->wall_now();
    const auto told = watch.core.on_scan(*files, now);
    if (entry.core.on_change(told, now, watch.core.known_until()))
      changed(key, entry);
  }

  // -- Webhooks ---------------------------------------------------------------

  void arm_webhook(const std::string& path, File& file) {
    for (const workflow::Secret& secret : file.workflow->secrets) {
      if (secret.name == file.workflow->triggers.webhook->secret)
        file.hook = &secret;
    }
    auto value = secret_of(path, file);
    if (!value) {
      config::Diagnostics diagnostics{file.workflow->source};
      diagnostics.add(file.hook->where,
                      fmt::format("the secret \"{}\": {}", file.hook->name,
                                  printable(value.error().what)));
      file.error = diagnostics.error().what;
      return;
    }
    if (file.hook->source == workflow::SecretSource::command)
      file.hook_value = std::move(*value);
  }

  /// Anew for each request, so that it can be changed; but a command may take
  /// long.
  static Result<std::string> secret_of(const std::string& path,
                                       const File& file) {
    if (file.hook_value)
      return *file.hook_value;
    auto value = read_secret(*file.hook, path);
    if (value && value->empty())
      return failure(Errc::invalid_argument, "it is empty");
    return value;
  }

  /// The file called NAME.yaml or NAME.yml that has a webhook, or null.
  std::pair<const std::string, File>* find_hook(const std::string& name) {
    for (const char* const extension : {".yaml", ".yml"}) {
      const auto found = files_.find(
          fmt::format("{}/{}{}", deps_->workflow_folder, name, extension));
      if (found != files_.end() && found->second.error.empty() &&
          found->second.hook != nullptr)
        return &*found;
    }
    return nullptr;
  }

  void take(const TakeWebhook& m) {
    const auto refuse = [&](int status, std::string_view what) {
      log(LogLevel::warn,
          fmt::format("webhook_refused name={} status={} reason={}",
                      shell_quote(ellipsize(printable(m.request->name), 60)),
                      status, shell_quote(what)));
      m.done({status, Json{{"error", what}}.dump()});
    };
    auto* const hook = find_hook(m.request->name);
    if (hook == nullptr) {
      refuse(404, "no such webhook");
      return;
    }
    auto& [path, file] = *hook;
    const auto secret = secret_of(path, file);
    if (!secret) {
      log(LogLevel::error,
          fmt::format("webhook_secret_unreadable file={} reason={}",
                      shell_quote(path), shell_quote(secret.error().what)));
      refuse(503, "the secret cannot be read");
      return;
    }
    if (!is_signed(m.request->body, *secret, m.request->signature)) {
      refuse(401, "X-Hub-Signature-256 is missing or wrong");
      return;
    }
    if (!is_utf8(m.request->body) ||
        m.request->body.find('\0') != std::string::npos) {
      refuse(400, "the body is not UTF-8");
      return;
    }
    if (auto space = deps_->check_space(); !space) {
      refuse(503, space.error().what);
      return;
    }
    submit(path, file, m);
  }

  void submit(const std::string& path, File& file, const TakeWebhook& m) {
    const WallTime now = deps_->wall_now();
    auto submission = std::make_shared<RunSubmission>();
    // What is delivered again is the same run.
    submission->run.request_id =
        m.request->delivery.empty()
            ? request_id_of_fire({path, fmt::format("webhook {}", ++hooks_)},
                                 now)
            : fmt::format("trigger/{:016x}/{:016x}", hash_of({path, "webhook"}),
                          hash_of({m.request->delivery, m.request->body}));
    submission->spec =
        spec_of(path, file, "webhook", workflow::body_input, m.request->body);
    file.last_hook = now;
    actors::send(
        deps_->run_driver,
        SubmitRun{
            std::move(submission), [self = actors::ref_of(self_), path = path,
                                    done = m.done](const Result<Json>& json) {
              if (!json) {
                const bool may_help =
                    json.error().code != Errc::invalid_argument;
                done({may_help ? 503 : 422,
                      Json{{"error", to_utf8(json.error().what)}}.dump()});
                return;
              }
              const auto run = json->value("run", std::uint64_t{0});
              actors::send(self, HookAnswered{path, RunId{run}});
              done({202,
                    Json{{"run", run}, {"is_new", json->value("is_new", true)}}
                        .dump()});
            }});
  }

  void on_hook(const HookAnswered& m) {
    log(LogLevel::info, fmt::format("webhook_taken file={} run={}",
                                    shell_quote(m.path), run_name(m.run)));
    deps_->on_change("webhook", "run " + m.path, m.run);
    const auto found = files_.find(m.path);
    if (found != files_.end())
      found->second.last_hook_run = m.run;
  }

  void forget_old() {
    const WallTime oldest = deps_->wall_now() - keep_state;
    std::erase_if(states_, [&](const auto& one) {
      const auto& [key, state] = one;
      return !files_.contains(key.first) && state.handled < oldest;
    });
  }

  // -- Firing -----------------------------------------------------------------

  template <class F>
  void for_each(F visit) {
    for (auto& [path, file] : files_) {
      for (auto& [name, entry] : file.entries)
        visit(Key{path, name}, file, entry);
    }
  }

  Entry* find(const Key& key) {
    const auto file = files_.find(key.first);
    if (file == files_.end())
      return nullptr;
    const auto entry = file->second.entries.find(key.second);
    return entry == file->second.entries.end() ? nullptr : &entry->second;
  }

  void changed(const Key& key, const Entry& entry) {
    states_.insert_or_assign(key, entry.core.state());
    is_kept_ = false;
  }

  void on_tick(TriggerTick m) {
    if (m.token == timer_)
      tick();
  }

  void tick() {
    const WallTime now = deps_->wall_now();
    for_each([&](const Key& key, const File&, Entry& entry) {
      if (entry.asked != WallTime{} && now - entry.asked > longest_answer) {
        entry.asked = {};
        if (!entry.core.state().pending.empty())
          entry.core.on_failed(entry.core.state().pending.front().at);
      }
      if (entry.watch) {
        const auto due = entry.watch->core.next_scan();
        if (due && *due <= now)
          scan(key, entry);
      }
      const std::size_t skipped = entry.core.skipped();
      if (entry.core.on_time(now))
        changed(key, entry);
      if (entry.core.skipped() != skipped)
        log(LogLevel::info,
            fmt::format("trigger_skipped file={} trigger={} run={}",
                        shell_quote(key.first), shell_quote(key.second),
                        run_name(entry.core.state().last_run)));
    });
    go_on();
  }

  /// Keeps what has changed, and does what is to be done then, but not before.
  void go_on() {
    if (!keep()) {
      set_timer();
      return;
    }
    bool waits = false;
    for_each([&](const Key& key, const File& file, Entry& entry) {
      const TriggerCore::Next next = entry.core.next();
      if (next.cancel)
        cancel(key, *next.cancel);
      if (next.submit)
        submit(key, file, entry, *next.submit);
      waits = waits || entry.core.is_running();
    });
    *deps_->waits_for_runs = waits;
    set_timer();
  }

  bool keep() {
    if (is_kept_)
      return true;
    const auto kept = write_trigger_states(deps_->state_file, states_);
    is_kept_ = kept.has_value();
    if (!is_kept_ && !std::exchange(has_trouble_, true))
      log(LogLevel::error, fmt::format("trigger_state_trouble reason={}",
                                       shell_quote(kept.error().what)));
    if (is_kept_)
      has_trouble_ = false;
    return is_kept_;
  }

  /// With `value` for `input`, if the workflow takes that.
  RunSpec spec_of(const std::string& path, const File& file,
                  std::string_view trigger, std::string_view input,
                  std::string value) const {
    RunSpec spec;
    spec.file = path;
    spec.text = file.text;
    spec.folder = folder_of(path);
    spec.environment = deps_->environment;
    spec.today = local_day(deps_->wall_now());
    spec.trigger = trigger;
    if (takes(*file.workflow, input))
      spec.inputs.emplace_back(input, std::move(value));
    return spec;
  }

  void submit(const Key& key, const File& file, Entry& entry,
              const Fire& fire) {
    const auto answer = [self = actors::ref_of(self_), key,
                         at = fire.at](Result<RunId> run) {
      actors::send(self, FireAnswered{key, at, std::move(run)});
    };
    entry.asked = deps_->wall_now();
    if (auto space = deps_->check_space(); !space) {
      answer(tl::unexpected(std::move(space.error())));
      return;
    }
    auto submission = std::make_shared<RunSubmission>();
    submission->run.request_id = request_id_of_fire(key, fire.at);
    submission->spec =
        entry.watch
            ? spec_of(key.first, file, "watch", workflow::files_input,
                      Json(fire.files)
                          .dump(-1, ' ', false, Json::error_handler_t::replace))
            : spec_of(key.first, file, "schedule", workflow::scheduled_input,
                      format_wall_time(fire.at));
    actors::send(
        deps_->run_driver,
        SubmitRun{std::move(submission), [answer](const Result<Json>& json) {
                    if (json)
                      answer(RunId{json->value("run", std::uint64_t{0})});
                    else
                      answer(tl::unexpected(json.error()));
                  }});
  }

  void on_answer(const FireAnswered& m) {
    Entry* const entry = find(m.key);
    if (entry == nullptr) {
      on_late_answer(m);
      return;
    }
    entry->asked = {};
    if (m.run) {
      entry->error.clear();
      log(LogLevel::info,
          fmt::format("trigger_fired file={} trigger={} time={} run={}",
                      shell_quote(m.key.first), shell_quote(m.key.second),
                      format_wall_time(m.at), run_name(*m.run)));
      deps_->on_change("trigger",
                       fmt::format("run {} ({})", m.key.first, m.key.second),
                       *m.run);
      if (entry->core.on_submitted(m.at, *m.run))
        changed(m.key, *entry);
      go_on();
      look_at_runs();
      return;
    }
    const Error& error = m.run.error();
    if (entry->error != error.what)
      log(LogLevel::error,
          fmt::format("trigger_not_submitted file={} trigger={} time={} "
                      "reason={}",
                      shell_quote(m.key.first), shell_quote(m.key.second),
                      format_wall_time(m.at), shell_quote(error.what)));
    entry->error = error.what;
    const bool is_final = error.code == Errc::invalid_argument ||
                          error.code == Errc::unsupported ||
                          error.code == Errc::not_found;
    if (is_final && entry->core.on_refused(m.at)) {
      changed(m.key, *entry);
      go_on();
      return;
    }
    entry->core.on_failed(m.at);
    is_retrying_ = true;
    set_timer();
  }

  /// Its file has gone meanwhile.
  void on_late_answer(const FireAnswered& m) {
    const auto kept = states_.find(m.key);
    if (kept == states_.end())
      return;
    auto& pending = kept->second.pending;
    if (pending.empty() || pending.front().at != m.at)
      return;
    pending.pop_front();
    is_kept_ = false;
    go_on();
  }

  void cancel(const Key& key, RunId run) {
    actors::send(deps_->run_driver,
                 ChangeRun{run, RunCancelled{}, [](const Result<void>&) {}});
    log(LogLevel::info, fmt::format("trigger_cancels file={} trigger={} run={}",
                                    shell_quote(key.first),
                                    shell_quote(key.second), run_name(run)));
    deps_->on_change("trigger", fmt::format("cancel ({})", key.second), run);
    look_at(key, run);
  }

  // -- Runs -------------------------------------------------------------------

  void look_at_runs() {
    for_each([&](const Key& key, const File&, Entry& entry) {
      if (entry.core.is_running())
        look_at(key, entry.core.state().last_run);
    });
  }

  void look_at(const Key& key, RunId run) {
    queue::call(
        deps_->store, [run](store::Store& store) { return store.run(run); },
        [self = actors::ref_of(self_), key,
         run](const Result<store::RunInfo>& info) {
          // One that was forgotten had ended.
          const bool has_ended = info ? info->ended.has_value()
                                      : info.error().code == Errc::not_found;
          actors::send(self, RunLooked{key, run, has_ended});
        });
  }

  void on_looked(const RunLooked& m) {
    Entry* const entry = find(m.key);
    if (entry == nullptr || !m.has_ended)
      return;
    entry->core.on_run_ended(m.run);
    go_on();
  }

  // -- Time -------------------------------------------------------------------

  void set_timer() {
    const WallTime now = deps_->wall_now();
    Duration delay = longest_trigger_timer;
    if (!is_kept_ || std::exchange(is_retrying_, false))
      delay = retry_pause;
    bool has_any = !is_kept_;
    for_each([&](const Key&, const File&, Entry& entry) {
      has_any = true;
      // From what is dealt with on: a time that has just passed is due.
      const auto next = entry.core.next_fires(entry.core.state().handled, 1);
      if (!next.empty())
        delay = std::min<Duration>(
            delay, std::max<Duration>(next.front() - now, 0s) + 1ms);
      if (entry.watch) {
        if (const auto due = entry.watch->core.next_scan())
          delay = std::min<Duration>(delay,
                                     std::max<Duration>(*due - now, 0s) + 1ms);
      }
    });
    ++timer_;
    if (has_any)
      actors::send_after(self_, delay, TriggerTick{timer_});
  }

  // -- Showing ----------------------------------------------------------------

  Json show(std::size_t times) {
    const WallTime now = deps_->wall_now();
    Json triggers = Json::array();
    Json errors = Json::array();
    if (!folder_error_.empty())
      errors.push_back({{"file", to_utf8(deps_->workflow_folder)},
                        {"error", to_utf8(folder_error_)}});
    for (const auto& [path, file] : files_) {
      if (!file.error.empty())
        errors.push_back(
            {{"file", to_utf8(path)}, {"error", to_utf8(file.error)}});
      for (const auto& [name, entry] : file.entries)
        triggers.push_back(show(path, file, entry, now, times));
      if (file.error.empty() && file.hook != nullptr)
        triggers.push_back(show_hook(path, file));
    }
    return {{"folder", to_utf8(deps_->workflow_folder)},
            {"webhook_address", deps_->webhook_address},
            {"triggers", std::move(triggers)},
            {"errors", std::move(errors)}};
  }

  /// What all kinds have.
  static Json show(const std::string& path, const File& file,
                   std::string_view kind, std::string_view trigger) {
    return {{"file", to_utf8(path)},
            {"name", to_utf8(name_of(path))},
            {"workflow",
             to_utf8(file.workflow->name == path ? name_of(path)
                                                 : file.workflow->name)},
            {"kind", kind},
            {"trigger", to_utf8(trigger)}};
  }

  static Json show_hook(const std::string& path, const File& file) {
    const std::string name = name_of(path);
    Json json =
        show(path, file, "webhook",
             fmt::format("POST /hooks/{}", name.substr(0, name.rfind('.'))));
    if (file.last_hook_run.value != 0) {
      json["last_run"] = file.last_hook_run.value;
      json["last_fire"] = format_wall_time(file.last_hook);
    }
    return json;
  }

  static Json show(const std::string& path, const File& file,
                   const Entry& entry, WallTime now, std::size_t times) {
    const TriggerState& state = entry.core.state();
    Json next = Json::array();
    for (const WallTime time : entry.core.next_fires(now, times))
      next.push_back(format_wall_time(time));
    Json json =
        entry.schedule
            ? show(path, file, "schedule", entry.schedule->text)
            : show(path, file, "watch",
                   fmt::format("{}",
                               fmt::join(entry.watch->trigger.paths, " ")));
    if (entry.schedule) {
      json["timezone"] = entry.schedule->zone->name();
      json["overlap"] = name_of(entry.schedule->overlap);
      json["catch_up_ms"] =
          std::chrono::duration_cast<std::chrono::milliseconds>(
              entry.schedule->catch_up)
              .count();
    }
    json["next"] = std::move(next);
    json["pending"] = state.pending.size();
    json["skipped"] = entry.core.skipped();
    json["is_running"] = entry.core.is_running();
    if (state.last_run.value != 0) {
      json["last_run"] = state.last_run.value;
      json["last_fire"] = format_wall_time(state.last_fire);
    }
    if (!entry.error.empty())
      json["error"] = to_utf8(entry.error);
    return json;
  }

  Actor* self_;
  std::shared_ptr<const TriggerDeps> deps_;
  std::unique_ptr<service::FileWatcher> watcher_;
  std::string folder_error_;
  std::map<std::string, File> files_;  ///< Armed or wrong, by path.
  TriggerStates states_;               ///< Also of files that are gone.
  bool is_kept_ = true;                ///< Whether that is on the disk.
  bool has_trouble_ = false;
  bool is_retrying_ = false;
  std::uint64_t timer_ = 0;
  std::uint64_t hooks_ = 0;
  std::uint64_t watches_ = 0;
};

}  // namespace

ActorRef spawn_triggers(Actor* parent,
                        std::shared_ptr<const TriggerDeps> deps) {
  return actors::spawn_detached<TriggerActor>(parent->system(),
                                              std::move(deps));
}

}  // namespace troupe::node
