#include "run_core.hpp"

#include <troupe/base/overload.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/base/shell_words.hpp>
#include <troupe/base/text.hpp>
#include <troupe/base/wall_time.hpp>
#include <troupe/config/diagnostics.hpp>
#include <troupe/queue/job_spec.hpp>
#include <troupe/queue/labels.hpp>

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <set>

namespace troupe::node {
namespace {

using workflow::Actions;
using workflow::InstanceId;
using workflow::Plan;
using workflow::StepResult;

/// What groups have decided; the last ones are kept.
constexpr std::size_t most_notes = 100;
constexpr std::size_t longest_name = 200;
/// Each service has a limit of its own for its end.
constexpr Duration longest_end_of_services = 10min;
constexpr std::size_t longest_command = 1 << 10;  ///< That is shown.
/// For a result that was made before.
constexpr std::size_t most_nodes_asked = 4;

std::size_t index_of(InstanceId id) {
  return static_cast<std::size_t>(id.value - 1);
}

/// "report/load": a job of this file and one of what that calls.
std::vector<std::string> path_of(const std::string& job) {
  std::vector<std::string> path;
  for (std::size_t start = 0; start < job.size();) {
    const std::size_t end = std::min(job.find('/', start), job.size());
    path.push_back(job.substr(start, end - start));
    start = end + 1;
  }
  return path;
}

/// For each job of `path` those of its file that come after it; with the last
/// one itself.
std::vector<std::set<std::string>> jobs_after(
    const workflow::Workflow& workflow, const std::vector<std::string>& path) {
  std::vector<std::set<std::string>> all;
  const workflow::Workflow* file = &workflow;
  for (std::size_t n = 0; n < path.size(); ++n) {
    std::set<std::string> after{path[n]};
    const workflow::Workflow* next = nullptr;
    for (bool has_grown = true; std::exchange(has_grown, false);) {
      for (const workflow::Job& job : file->jobs) {
        if (job.id == path[n] && job.call)
          next = job.call->workflow.get();
        const bool comes_after =
            std::any_of(job.needs.begin(), job.needs.end(),
                        [&](const workflow::Need& need) {
                          return after.contains(file->jobs.at(need.job).id);
                        });
        if (comes_after)
          has_grown = after.insert(job.id).second || has_grown;
      }
    }
    if (n + 1 < path.size())
      after.erase(path[n]);
    all.push_back(std::move(after));
    if (next == nullptr) {
      all.resize(path.size());
      break;
    }
    file = next;
  }
  return all;
}

tl::unexpected<Error> refused(std::string what) {
  return failure(Errc::invalid_argument, std::move(what));
}

}  // namespace

RunCore::RunCore(store::RunId run, RunSpec spec,
                 std::shared_ptr<const workflow::Workflow> workflow, Plan plan)
    : run_{run},
      spec_{std::move(spec)},
      workflow_{std::move(workflow)},
      plan_{std::move(plan)},
      home_{spec_.home} {
  name_instances();
}

Result<RunCore> RunCore::make(store::RunId run, RunSpec spec) {
  auto workflow = load_workflow_of(spec);
  if (!workflow)
    return tl::unexpected(std::move(workflow.error()));
  auto secrets = secrets_of(**workflow, spec.file, spec.nonce);
  auto options = plan_options(run, spec);
  add_placeholders(**workflow, secrets, options);
  auto plan = Plan::make(*workflow, options);
  if (!plan)
    return tl::unexpected(std::move(plan.error()));
  auto group = workflow::workflow_group(**workflow, options);
  if (!group)
    return tl::unexpected(std::move(group.error()));
  RunCore core{run, std::move(spec), std::move(*workflow), std::move(*plan)};
  core.group_ = std::move(*group).value_or("");
  core.secrets_ = std::move(secrets);
  return core;
}

// -- Names -------------------------------------------------------------------

/// Those that the plan has and we do not know yet.
void RunCore::name_instances() {
  const auto all = plan_.instances();
  std::map<Place, std::size_t> counted;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Plan::Instance& instance = all[i];
    Place place =
        instance.caller ? place_of(index_of(instance.caller)) + "/" : Place{};
    place += instance.definition->id;
    const std::size_t ordinal = counted[place]++;
    if (i < instances_.size())
      continue;
    InstanceView view;
    view.job = instance.job;
    view.label = instance.label;
    const std::string around = instance.job.substr(
        0, instance.job.size() - instance.definition->id.size());
    for (const workflow::Need& need : instance.definition->needs)
      view.needs.push_back(around + instance.file->jobs.at(need.job).id);
    instances_.push_back(std::move(view));
    places_.push_back(fmt::format("{}#{}", place, ordinal));
    restarts_.push_back(0);
    results_.emplace_back();
    recall(i);
  }
}

/// What an instance that is new to this round has been through before.
void RunCore::recall(std::size_t instance) {
  const auto old = before_.find(place_of(instance));
  if (old == before_.end())
    return;
  InstanceView& view = instances_[instance];
  view.steps = std::move(old->second.steps);
  view.approval = std::move(old->second.approval);
  if (is_kept(instance)) {
    view.ready = old->second.ready;
    view.started = old->second.started;
    view.ended = old->second.ended;
  }
  before_.erase(old);
}

InstanceView& RunCore::view(InstanceId id) {
  if (index_of(id) >= instances_.size())
    name_instances();
  return instances_.at(index_of(id));
}

const RunCore::Place& RunCore::place_of(std::size_t instance) const {
  return places_.at(instance);
}

std::string RunCore::step_id(InstanceId instance, std::size_t step) const {
  const auto& steps = plan_.instances()[index_of(instance)].definition->steps;
  return step < steps.size() ? steps[step].id : "";
}

bool RunCore::is_kept(std::size_t instance) const {
  return restarts_.at(instance) == 0 && kept_.contains(place_of(instance));
}

// -- Time --------------------------------------------------------------------

/// The clock of the plan is the calendar: nothing else goes on while there is
/// no node.
TimePoint RunCore::plan_now() const {
  return TimePoint{std::chrono::duration_cast<TimePoint::duration>(
      last_.time_since_epoch())};
}

std::optional<WallTime> RunCore::next_deadline() const {
  const auto deadline = plan_.next_deadline();
  if (!deadline)
    return std::nullopt;
  return WallTime{std::chrono::duration_cast<WallTime::duration>(
      deadline->time_since_epoch())};
}

// -- What happens ------------------------------------------------------------

Result<std::optional<RunCore::Decision>> RunCore::apply(const RunNews& news,
                                                        WallTime at) {
  using Answer = Result<std::optional<Decision>>;
  const WallTime before = last_;
  last_ = std::max(last_, at);
  Answer answer = std::visit(
      Overload{
          [&](const RunBegun&) -> Answer {
            if (std::exchange(has_begun_, true))
              return std::nullopt;
            return begin();
          },
          [&](const RunStepEnded& ended) -> Answer {
            const auto was = running_.extract(ended.step);
            if (was.empty())
              return std::nullopt;
            if (ended.step.is_of_services())
              return lose_services(ended);
            note_place(was.mapped().start, ended);
            const InstanceId instance{ended.step.instance};
            StepResult result{ended.kind, ended.exit_status, ended.outputs,
                              ended.causes};
            results_.at(index_of(instance))[ended.step.step] = result;
            told_ = &ended;
            auto decision = perform(plan_.on_step_finished(
                instance, ended.step.step, std::move(result), plan_now()));
            told_ = nullptr;
            return decision;
          },
          [&](const RunTimePassed&) -> Answer {
            const auto deadline = plan_.next_deadline();
            if (!deadline || *deadline > plan_now())
              return std::nullopt;
            return perform(plan_.on_time(plan_now()));
          },
          [&](const RunCancelled&) -> Answer {
            if (plan_.result())
              return refused("it has ended");
            if (!has_begun_)
              return leave_out();
            return perform(plan_.cancel(plan_now()));
          },
          [&](const RunRetried& retried) -> Answer { return retry(retried); },
          [&](const RunAnswered& answered) -> Answer {
            if (!has_begun_ || plan_.result())
              return refused("it has ended");
            return note_answer(answered);
          },
          [&](const RunRefused& refused) -> Answer {
            if (has_begun_)
              return std::nullopt;
            notes_.emplace_back(last_, refused.reason);
            has_failed_to_begin_ = refused.is_failure;
            return leave_out();
          },
          [&](const RunServicesTold& told) -> Answer {
            return note_services(told);
          },
          [&](const RunMoved& moved) -> Answer {
            if (moved.home == home_)
              return std::nullopt;
            home_ = moved.home;
            has_moved_ = true;
            notes_.emplace_back(last_,
                                "its node was gone: another one goes on");
            return Decision{};
          }},
      news);
  if (answer && *answer)
    ++events_;
  else
    last_ = before;
  return answer;
}

Result<void> RunCore::replay(std::span<const store::RunEvent> events) {
  for (const store::RunEvent& event : events) {
    auto news = decode_run_news(event.what);
    if (!news)
      return tl::unexpected(std::move(news.error()));
    const auto applied = apply(*news, event.at);
    if (!applied || !*applied)
      return failure(
          Errc::corrupt,
          fmt::format("event {} of run {} does not fit to its workflow, as "
                      "this version understands it",
                      event.number, run_name(run_)));
  }
  return {};
}

Result<std::optional<RunCore::Decision>> RunCore::retry(
    const RunRetried& retried) {
  if (!plan_.result())
    return refused("it has not ended");
  if (!retried.from.empty() &&
      std::none_of(instances_.begin(), instances_.end(),
                   [&](const InstanceView& instance) {
                     return instance.job == retried.from &&
                            !workflow::is_hook(instance.job);
                   })) {
    std::vector<std::string_view> names;
    for (const InstanceView& instance : instances_) {
      if (!workflow::is_hook(instance.job))
        names.push_back(instance.job);
    }
    const std::string meant = config::did_you_mean(retried.from, names);
    return refused(fmt::format("it has no job \"{}\"{}{}",
                               ellipsize(printable(retried.from), 60),
                               meant.empty() ? "" : "; ", meant));
  }
  auto kept = results_to_keep(retried.from);
  if (kept.size() == counts().jobs)
    return refused(
        "all its jobs have succeeded; --from JOB runs it and what comes after "
        "it again");
  auto options = plan_options(run_, spec_);
  add_placeholders(*workflow_, secrets_, options);
  auto plan = Plan::make(workflow_, options);
  if (!plan)
    return tl::unexpected(std::move(plan.error()));
  round_before_failed_ = state() == store::RunState::failed;
  has_failed_to_begin_ = false;
  plan_ = std::move(*plan);
  ++round_;
  services_.reset();
  kept_ = std::move(kept);
  // Where the plan has its instances may differ from where it had them.
  for (std::size_t i = 0; i < instances_.size(); ++i)
    before_.insert_or_assign(place_of(i), std::move(instances_[i]));
  instances_.clear();
  bound_.clear();
  places_.clear();
  restarts_.clear();
  results_.clear();
  name_instances();
  return begin();
}

/// Those of jobs that have succeeded, unless they come after `from`; of one
/// that was called, that or its caller.
std::map<RunCore::Place, RunCore::Results> RunCore::results_to_keep(
    const std::string& from) const {
  const std::vector<std::string> path = path_of(from);
  const auto again = jobs_after(*workflow_, path);
  const auto all = plan_.instances();
  // From the outermost caller to an instance: in each file one of its jobs.
  const auto runs_again = [&](std::size_t instance) {
    std::vector<const workflow::Job*> jobs;
    for (std::size_t i = instance;; i = index_of(all[i].caller)) {
      jobs.insert(jobs.begin(), all[i].definition);
      if (!all[i].caller)
        break;
    }
    for (std::size_t n = 0; n < jobs.size(); ++n) {
      if (n == path.size())
        return false;
      if (again[n].contains(jobs[n]->id))
        return true;
      if (jobs[n]->id != path[n])
        return false;
    }
    return true;  // What it has called does, in part.
  };
  std::map<Place, Results> kept;
  for (std::size_t i = 0; i < instances_.size(); ++i) {
    const bool is_good =
        instances_[i].state == workflow::JobState::succeeded ||
        (all[i].caller && kept.contains(place_of(index_of(all[i].caller))));
    // What a hook did before, it does again for the next round.
    if (is_good && !workflow::is_hook(instances_[i].job) && !runs_again(i))
      kept.emplace(place_of(i), results_[i]);
  }
  return kept;
}

// -- What the plan says ------------------------------------------------------

RunCore::Decision RunCore::begin() {
  auto notices = notices_of_start(plan_);
  Decision decision = perform(plan_.start(plan_now()));
  decision.notices.insert(decision.notices.begin(),
                          std::make_move_iterator(notices.begin()),
                          std::make_move_iterator(notices.end()));
  return decision;
}

RunCore::Decision RunCore::leave_out() {
  has_begun_ = true;
  return perform(plan_.refuse(plan_now()));
}

void RunCore::add_notices(const Actions& actions, Decision& decision) const {
  using If = workflow::NoticeOrder::If;
  for (workflow::NoticeOrder& order : notices_of(actions, plan_)) {
    if (order.notice.kind == workflow::NoticeKind::approval &&
        approved_.contains(order.notice.job))
      continue;
    // A retry of a run that had failed is a recovery of its own.
    if (round_before_failed_ && order.condition == If::not_recovered)
      continue;
    if (round_before_failed_)
      order.condition = If::always;
    decision.notices.push_back(std::move(order));
  }
}

RunCore::Decision RunCore::perform(Actions actions) {
  Decision decision;
  while (!actions.empty()) {
    Actions more;
    add_notices(actions, decision);
    for (const workflow::Action& action : actions)
      std::visit(
          Overload{
              [&](const workflow::StartStep& start) {
                perform(start, decision, more);
              },
              [&](const workflow::CancelStep& cancel) {
                perform(cancel, decision);
              },
              [&](const workflow::ApprovalWanted& wanted) {
                perform(wanted, more);
              },
              [&](const workflow::RunFinished&) { end_services(decision); },
              [&](const workflow::StartServices&) { start_services(decision); },
              [&](const auto& other) { perform(other); }},
          action);
    actions = std::move(more);
  }
  return decision;
}

void RunCore::perform(const workflow::StartStep& start, Decision& decision,
                      Actions& more) {
  InstanceView& instance = view(start.instance);
  const std::size_t index = index_of(start.instance);
  if (std::exchange(restarts_[index], start.restarts) != start.restarts) {
    results_[index].clear();
    bound_.erase(index);
  }
  const auto step = static_cast<std::uint32_t>(start.step);
  if (is_kept(index)) {
    const Results& known = kept_.at(place_of(index));
    if (const auto result = known.find(step); result != known.end()) {
      results_[index][step] = result->second;
      Actions next = plan_.on_step_finished(start.instance, start.step,
                                            result->second, plan_now());
      more.insert(more.end(), std::make_move_iterator(next.begin()),
                  std::make_move_iterator(next.end()));
      return;
    }
  }
  const StepKey key{round_, start.instance.value, step, start.restarts};
  StepView shown;
  shown.key = key;
  shown.name = start.name;
  shown.id = step_id(start.instance, start.step);
  if (start.line.size() <= longest_command)
    shown.command = start.line;
  shown.started = last_;
  instance.steps.push_back(std::move(shown));
  running_.emplace(key, Running{start, {}, false});
  decision.submit.push_back(key);
}

void RunCore::perform(const workflow::CancelStep& cancel, Decision& decision) {
  const auto number = static_cast<std::uint32_t>(cancel.step);
  for (auto it = running_.lower_bound({round_, cancel.instance.value, number});
       it != running_.end() && it->first.round == round_ &&
       it->first.instance == cancel.instance.value && it->first.step == number;
       ++it) {
    it->second.is_cancelled = true;
    decision.cancel.push_back(it->first);
  }
}

/// When the step ended that is being told of. Clocks of nodes differ.
WallTime RunCore::time_told() const {
  return std::min(told_->ended.value_or(last_), last_);
}

void RunCore::perform(const workflow::StepEnded& ended) {
  InstanceView& instance = view(ended.instance);
  const auto number = static_cast<std::uint32_t>(ended.step);
  // The last one of it may have been started, told of and passed over.
  for (auto step = instance.steps.rbegin(); step != instance.steps.rend();
       ++step) {
    if (step->key.step != number || step->outcome)
      continue;
    step->outcome = ended.outcome;
    step->ended = last_;
    step->reason = ended.reason;
    if (told_ != nullptr && told_->step == step->key) {
      step->ended = std::max(step->started, time_told());
      step->job = told_->job;
      step->attempts = told_->attempts;
      step->exit_status = told_->exit_status;
      step->took = told_->took;
      if (step->reason.empty())
        step->reason = told_->why;
    }
    return;
  }
  if (is_kept(index_of(ended.instance)) || ended.reason.empty())
    return;
  StepView shown;
  shown.key = {round_, ended.instance.value, number,
               restarts_[index_of(ended.instance)]};
  shown.id = step_id(ended.instance, ended.step);
  shown.outcome = ended.outcome;
  shown.reason = ended.reason;
  shown.started = last_;
  shown.ended = last_;
  instance.steps.push_back(std::move(shown));
}

void RunCore::perform(const workflow::JobStateChanged& changed) {
  InstanceView& instance = view(changed.instance);
  instance.state = changed.state;
  instance.reason = changed.reason;
  if (is_kept(index_of(changed.instance)))
    return;
  if (changed.state == workflow::JobState::ready)
    instance.ready = last_;
  if (changed.state == workflow::JobState::running)
    instance.started = last_;
  const bool has_just_been_told =
      told_ != nullptr && told_->step.instance == changed.instance.value;
  if (!has_ended(changed.state))
    instance.ended.reset();
  else if (has_just_been_told && instance.started)
    instance.ended = std::max(*instance.started, time_told());
  else
    instance.ended = last_;
  if (changed.state == workflow::JobState::pending)
    instance.started.reset();
}

void RunCore::perform(const workflow::JobExpanded& expanded) {
  name_instances();
  for (const InstanceId id : expanded.instances)
    view(id).label = plan_.instances()[index_of(id)].label;
}

void RunCore::perform(const workflow::ApprovalWanted& wanted, Actions& more) {
  InstanceView& instance = view(wanted.instance);
  const auto known = approved_.find(instance.job);
  if (known == approved_.end()) {
    instance.approval = ApprovalView{.prompt = wanted.prompt};
    return;
  }
  // Another round does not ask again; the first variant answers for all.
  auto actions = plan_.answer(instance.job, known->second, plan_now());
  if (actions)
    more.insert(more.end(), std::make_move_iterator(actions->begin()),
                std::make_move_iterator(actions->end()));
}

Result<std::optional<RunCore::Decision>> RunCore::note_answer(
    const RunAnswered& answered) {
  std::vector<std::size_t> asked;
  for (std::size_t i = 0; i < instances_.size(); ++i) {
    if (instances_[i].state == workflow::JobState::awaiting &&
        instances_[i].job == answered.job)
      asked.push_back(i);
  }
  auto actions = plan_.answer(answered.job, answered.answer, plan_now());
  if (!actions)
    return tl::unexpected(std::move(actions.error()));
  for (const std::size_t i : asked) {
    auto& approval = instances_[i].approval;
    if (!approval)
      approval.emplace();
    approval->answer = answered.answer;
    approval->answered = last_;
  }
  if (answered.answer.approved)
    approved_.insert_or_assign(answered.job, answered.answer);
  return perform(std::move(*actions));
}

// -- Services ----------------------------------------------------------------

void RunCore::start_services(Decision& decision) {
  services_ = ServicesView{.key = StepKey::of_services(round_)};
  for (const std::string& service : plan_.services())
    services_->states[service] = {.service = service};
  running_.emplace(services_->key, Running{});
  decision.submit.push_back(services_->key);
}

/// Their own end takes a while, which nobody has to wait for.
void RunCore::end_services(Decision& decision) {
  if (!services_ || running_.erase(services_->key) == 0)
    return;
  services_->is_over = true;
  decision.cancel.push_back(services_->key);
}

void RunCore::add_change(const service::AvailabilityChange& change,
                         Actions& actions) {
  const auto known = services_->states.find(change.service);
  if (known == services_->states.end())
    return;
  known->second = change;
  Actions more = plan_.on_service(change, plan_now());
  actions.insert(actions.end(), std::make_move_iterator(more.begin()),
                 std::make_move_iterator(more.end()));
}

Result<std::optional<RunCore::Decision>> RunCore::note_services(
    const RunServicesTold& told) {
  if (!services_ || services_->is_over || told.round != round_ ||
      told.attempt < services_->attempt)
    return refused("these services are not of the run any more");
  const std::uint64_t known =
      told.attempt == services_->attempt ? services_->told : 0;
  if (told.from > known)
    return refused(fmt::format("{} changes of its services were left out",
                               told.from - known));
  if (told.attempt == services_->attempt &&
      told.from + told.changes.size() <= known)
    return std::nullopt;
  Actions actions;
  if (services_->attempt != 0 && told.attempt != services_->attempt) {
    for (const std::string& service : plan_.services())
      add_change({.service = service}, actions);
  }
  services_->job = told.job;
  services_->attempt = told.attempt;
  services_->told = told.from + told.changes.size();
  for (std::uint64_t n = known - told.from; n < told.changes.size(); ++n)
    add_change(told.changes[static_cast<std::size_t>(n)], actions);
  return perform(std::move(actions));
}

RunCore::Decision RunCore::lose_services(const RunStepEnded& ended) {
  services_->is_over = true;
  services_->job = ended.job;
  Actions actions;
  for (const std::string& service : plan_.services()) {
    // What was said about a service says more.
    if (services_->states.at(service).state == service::Availability::lost)
      continue;
    add_change({service, service::Availability::lost,
                ended.why.empty()
                    ? "what has run the services has ended"
                    : fmt::format("what has run the services: {}", ended.why)},
               actions);
  }
  return perform(std::move(actions));
}

void RunCore::perform(const workflow::GroupDecided& decided) {
  notes_.emplace_back(
      last_,
      decided.gave_up
          ? fmt::format("group \"{}\" gives up: job \"{}\" has failed, and "
                        "{} restarts in {} are used up",
                        decided.group, decided.job, decided.restarts_used,
                        format_duration(decided.period))
          : fmt::format("group \"{}\": job \"{}\" has failed; restart {} of {}",
                        decided.group, decided.job, decided.restarts_used,
                        decided.intensity));
  if (notes_.size() > most_notes)
    notes_.erase(notes_.begin());
}

// -- What comes of it --------------------------------------------------------

void RunCore::on_submitted(const StepKey& step, store::JobId job) {
  const auto found = running_.find(step);
  if (found == running_.end())
    return;
  found->second.job = job;
  if (step.is_of_services()) {
    services_->job = job;
    return;
  }
  for (StepView& shown : view(InstanceId{step.instance}).steps) {
    if (shown.key == step)
      shown.job = job;
  }
}

/// What the file says of a job goes before what was said of the whole run.
store::Priority RunCore::priority_of(const workflow::Job& job) const {
  switch (job.priority) {
    case workflow::Priority::low:
      return store::Priority::low;
    case workflow::Priority::normal:
      return spec_.priority;
    case workflow::Priority::high:
      return store::Priority::high;
    case workflow::Priority::critical:
      return store::Priority::critical;
  }
  return spec_.priority;
}

store::NewJob RunCore::job_for(const StepKey& key,
                               workflow::ContentUse content) const {
  const workflow::StartStep& start = running_.at(key).start;
  queue::JobSpec spec;
  content.run = run_name(run_);
  content.is_fresh = spec_.is_fresh;
  if (!home_.empty())
    add_places(start, content);
  std::map<std::string, std::string> variables = spec_.environment;
  for (const auto& [name, value] : start.env)
    variables[name] = value;
  variables.erase(std::string{workflow::output_variable});
  variables["TROUPE_RUN"] = run_name(run_);
  workflow::StartStep step = start;
  add_secrets(step, content.program, spec, variables);
  spec.argv = workflow::content_argv(step, content);
  if (step.transfer || step.cache)
    spec.node_words = workflow::node_words(spec.argv);
  if (step.argv.size() != start.argv.size())
    spec.node_words.emplace_back(spec.argv.size() - step.argv.size(),
                                 "program");
  spec.printed = encode(start.printed);
  spec.words = {start.line.empty() ? shell_join(spec.argv) : start.line};
  spec.has_outputs = true;
  if (const auto preference = preference_of(key))
    spec.key = preference->key;
  actors::CommandRequest& request = spec.request;
  request.retry = start.retry;
  request.success = start.success;
  process::CommandSpec& command = request.spec;
  command.working_directory =
      (std::filesystem::path{spec_.folder} / start.working_directory)
          .lexically_normal()
          .string();
  command.clear_env = true;
  command.env.assign(variables.begin(), variables.end());
  command.time_limit = start.timeout;
  command.silence_limit = start.silence;
  command.grace = start.grace;
  store::NewJob job;
  job.request_id = request_id_of(run_, key);
  job.name = ellipsize(printable(start.label), longest_name);
  job.group = spec_.group;
  job.priority = priority_of(definition(index_of(start.instance)));
  job.resources = resources_of(key);
  job.spec = queue::encode(spec);
  job.run = run_;
  return job;
}

// -- Several nodes -----------------------------------------------------------

/// What a step leaves behind is on the node that has run it.
void RunCore::note_place(const workflow::StartStep& start,
                         const RunStepEnded& ended) {
  if (!ended.node.empty()) {
    std::erase(nodes_, ended.node);
    nodes_.insert(nodes_.begin(), ended.node);
    nodes_.resize(std::min(nodes_.size(), most_nodes_asked));
  }
  if (!ended.home.empty() && start.is_placed())
    bound_.try_emplace(index_of(start.instance),
                       Binding{ended.home, ended.node});
  if (ended.kind != actors::OutcomeKind::success || !start.transfer ||
      !start.transfer->is_upload)
    return;
  Upload& upload = uploads_[{start.transfer->job, start.transfer->name}]
                           [start.transfer->instance];
  ++upload.version;
  upload.node = ended.node;
  upload.origin = ended.node.empty()
                      ? ""
                      : workflow::origin_of(ended.job.value, ended.attempts);
}

void RunCore::add_places(const workflow::StartStep& start,
                         workflow::ContentUse& content) const {
  if (!start.transfer) {
    content.from = nodes_;
    return;
  }
  const auto known = uploads_.find({start.transfer->job, start.transfer->name});
  if (start.transfer->is_upload) {
    content.version = 1;
    if (known == uploads_.end())
      return;
    const auto before = known->second.find(start.transfer->instance);
    if (before != known->second.end())
      content.version += before->second.version;
    return;
  }
  if (known == uploads_.end())
    return;
  for (const auto& [instance, upload] : known->second)
    content.from.push_back(workflow::where_it_is(upload.node, upload.version,
                                                 upload.origin, instance));
}

bool RunCore::is_placed(const StepKey& step) const {
  const auto running = running_.find(step);
  return !home_.empty() && !step.is_of_services() &&
         running != running_.end() && running->second.start.is_placed();
}

RunCore::Binding RunCore::bound_to(const StepKey& step) const {
  const auto bound = bound_.find(index_of(InstanceId{step.instance}));
  return is_placed(step) && bound != bound_.end() ? bound->second : Binding{};
}

RunCore::Begun RunCore::begun_at(const std::string& home) const {
  Begun begun;
  std::set<std::size_t> jobs;
  for (const auto& [step, running] : running_) {
    if (step.is_of_services())
      continue;
    const std::size_t index = index_of(InstanceId{step.instance});
    const auto bound = bound_.find(index);
    // Labels say where, and have not yet.
    const bool is_free = is_placed(step) && bound == bound_.end();
    const bool is_first = results_[index].empty();
    const std::string& where =
        bound != bound_.end() ? bound->second.home : home_;
    if (is_first && (is_free || where == home))
      begun.maybe.push_back(step);
    else if (!is_first && !is_free && where == home)
      jobs.insert(index);
  }
  begun.jobs = jobs.size();
  return begun;
}

std::optional<RunCore::Preference> RunCore::preference_of(
    const StepKey& step) const {
  if (!is_placed(step) || !bound_to(step).home.empty())
    return std::nullopt;
  const workflow::StartStep& start = running_.at(step).start;
  if (!start.is_spread && start.key.empty())
    return std::nullopt;
  Preference preference{.key = start.key};
  if (start.is_spread) {
    preference.spread =
        fmt::format("{}/{}", run_name(run_),
                    plan_.instances()[index_of(InstanceId{step.instance})].job);
    preference.variant = start.variant;
    preference.variants = start.variants;
  }
  return preference;
}

std::string RunCore::refusal_of(const StepKey& step) const {
  if (!is_placed(step))
    return {};
  for (const std::string& label : running_.at(step).start.labels) {
    if (const auto checked = queue::check_label(label); !checked)
      return fmt::format("runs-on: {}", checked.error().what);
  }
  return {};
}

/// What the step takes, and with it where it may run: at home, where most of a
/// run is, or where its labels are, and once it has begun, there.
std::string RunCore::resources_of(const StepKey& step) const {
  const workflow::StartStep& start = running_.at(step).start;
  std::string node = bound_to(step).home;
  if (is_placed(step) && node.empty())
    return queue::want_labels(start.resources, start.labels).text();
  if (node.empty())
    node = home_;
  if (node.empty())
    return start.resources.text();
  const bool goes_on = !results_[index_of(InstanceId{step.instance})].empty();
  return queue::at_home(start.resources.text(), node, goes_on);
}

void RunCore::add_secrets(workflow::StartStep& start,
                          const std::string& program, queue::JobSpec& spec,
                          std::map<std::string, std::string>& variables) const {
  std::vector<StepSecret> used;
  for (const StepSecret& secret : secrets_) {
    const bool is_used = std::any_of(
        start.env.begin(), start.env.end(), [&](const auto& variable) {
          return variable.second.find(secret.placeholder) != std::string::npos;
        });
    if (!is_used)
      continue;
    used.push_back(secret);
    if (!secret.variable.empty())
      spec.node_variables.emplace_back(secret.variable, secret.secret.key);
  }
  if (used.empty())
    return;
  variables[std::string{secrets_variable}] = encode(used);
  // Within what its cache needs around it: that keeps what is printed.
  start.argv.insert(start.argv.begin(),
                    {program, std::string{with_secrets_command}});
}

store::NewJob RunCore::services_job(const std::string& program,
                                    const std::string& socket,
                                    const std::string& folder) const {
  const std::string name = run_name(run_);
  queue::JobSpec spec;
  spec.words = {fmt::format("services of {}", name)};
  spec.argv = {program, std::string{run_services_command}, name,
               fmt::format("{}", round_), fmt::format("{}/{}", folder, name)};
  process::CommandSpec& command = spec.request.spec;
  command.working_directory = spec_.folder;
  command.grace = longest_end_of_services;
  command.ends_its_tree = true;
  std::map<std::string, std::string> variables = spec_.environment;
  variables["TROUPE_RUN"] = name;
  variables["TROUPE_SOCKET"] = socket;
  command.clear_env = true;
  command.env.assign(variables.begin(), variables.end());
  store::NewJob job;
  job.request_id = request_id_of(run_, StepKey::of_services(round_));
  job.name = "services";
  job.group = services_group;
  job.priority = store::Priority::critical;
  job.spec = queue::encode(spec);
  job.run = run_;
  return job;
}

RunCore::NoticeJob RunCore::notice_job(const workflow::NoticeOrder& order,
                                       std::uint64_t number, std::size_t place,
                                       const std::string& program) const {
  const workflow::NotifyRule& rule = workflow_->notify.at(order.rule);
  const std::string_view kind = to_string(order.notice.kind);
  const std::string_view route = to_string(rule.route);
  queue::JobSpec spec;
  spec.words = {fmt::format("notify: {} by {}", kind, route)};
  spec.argv = {program, std::string{workflow::deliver_command},
               std::string{route}};
  actors::CommandRequest& request = spec.request;
  request.retry = workflow::notice_retries();
  process::CommandSpec& command = request.spec;
  command.working_directory = spec_.folder;
  command.time_limit = workflow::longest_delivery;
  std::map<std::string, std::string> variables = spec_.environment;
  variables["TROUPE_RUN"] = run_name(run_);
  variables[std::string{workflow::notice_variable}] =
      notice_json(order.notice, {.id = run_name(run_),
                                 .workflow = workflow_->name,
                                 .title = plan_.title(),
                                 .file = spec_.file,
                                 .time = format_wall_time(last_)});
  variables[std::string{workflow::notice_target_variable}] = rule.to;
  command.clear_env = true;
  command.env.assign(variables.begin(), variables.end());
  store::NewJob job;
  job.request_id = fmt::format("{}{}/notify/{}/{}", run_request_prefix,
                               run_.value, number, place);
  job.name = ellipsize(fmt::format("notify {}", kind), longest_name);
  job.group = spec_.group;
  job.priority = spec_.priority;
  job.spec = queue::encode(spec);
  job.run = run_;
  return {order.condition, std::move(job)};
}

store::RunState RunCore::state() const {
  const auto result = plan_.result();
  if (!result)
    return store::RunState::running;
  switch (*result) {
    case workflow::RunResult::success:
      return store::RunState::succeeded;
    case workflow::RunResult::failure:
      return store::RunState::failed;
    case workflow::RunResult::cancelled:
      return has_failed_to_begin_ ? store::RunState::failed
                                  : store::RunState::cancelled;
  }
  return store::RunState::failed;
}

std::size_t RunCore::awaiting() const {
  return static_cast<std::size_t>(std::count_if(
      instances_.begin(), instances_.end(), [](const InstanceView& instance) {
        return instance.state == workflow::JobState::awaiting;
      }));
}

store::RunCounts RunCore::counts() const {
  store::RunCounts counts;
  for (const InstanceView& instance : instances_) {
    if (workflow::is_hook(instance.job))
      continue;
    ++counts.jobs;
    if (has_ended(instance.state))
      ++counts.ended;
    if (instance.state == workflow::JobState::failed ||
        instance.state == workflow::JobState::timed_out)
      ++counts.failed;
  }
  return counts;
}

}  // namespace troupe::node
