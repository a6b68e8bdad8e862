#include "drill.hpp"

#include "run_lines.hpp"

#include <troupe/base/quantity.hpp>
#include <troupe/base/suggest.hpp>
#include <troupe/base/text.hpp>
#include <troupe/base/time.hpp>
#include <troupe/service/what_if.hpp>

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <utility>

namespace troupe::cli {
namespace {

using service::Availability;
using service::GroupNode;
using service::ServiceNode;
using service::TreeNode;
using supervisor::Restart;
using Names = std::vector<std::string>;

/// All is at rest when nothing has happened for so long.
constexpr Duration quiet = 500ms;
constexpr std::size_t most_lines = 1000;
constexpr std::size_t most_named = 10;
/// What the whole stack is called.
constexpr std::string_view root_name = "services";

/// A child in its group.
struct Place {
  const GroupNode* group = nullptr;
  std::size_t index = 0;

  [[nodiscard]] const TreeNode& node() const { return group->children[index]; }
};

/// How many children of `group` are started.
std::size_t started_of(const GroupNode& group) {
  return std::min<std::size_t>(
      group.children.size(), group.replicas.value_or(static_cast<std::uint32_t>(
                                 group.children.size())));
}

std::string path_of(const GroupNode& group, const TreeNode& node) {
  return group.name.empty() ? node.id : group.name + "/" + node.id;
}

/// Calls `visit` with the place of every child of `group` and below.
template <class F>
void for_each_child(const GroupNode& group, const F& visit) {
  for (std::size_t i = 0; i < started_of(group); ++i) {
    visit(Place{&group, i});
    if (const auto* nested = std::get_if<GroupNode>(&group.children[i].what))
      for_each_child(*nested, visit);
  }
}

std::optional<Place> find(const GroupNode& root, std::string_view path) {
  std::optional<Place> found;
  for_each_child(root, [&](const Place& place) {
    if (path_of(*place.group, place.node()) == path)
      found = place;
  });
  return found;
}

bool is_group(const Place& place) {
  return std::holds_alternative<GroupNode>(place.node().what);
}

void add_services(const Place& place, Names& out) {
  if (!is_group(place)) {
    out.push_back(path_of(*place.group, place.node()));
    return;
  }
  const auto& nested = std::get<GroupNode>(place.node().what);
  for (std::size_t i = 0; i < started_of(nested); ++i)
    add_services({&nested, i}, out);
}

Error unknown(std::string_view name, const GroupNode& root, bool groups) {
  Names known;
  for_each_child(root, [&](const Place& place) {
    if (groups || !is_group(place))
      known.push_back(path_of(*place.group, place.node()));
  });
  const auto meant =
      suggest(name, std::vector<std::string_view>{known.begin(), known.end()});
  return {Errc::invalid_argument,
          fmt::format("no service \"{}\"{}", printable(name),
                      meant ? fmt::format("; did you mean {}?", *meant) : "")};
}

struct Form {
  std::string_view head;
  Expectation::Kind kind;
  /// What comes after the head.
  enum class Rest : std::uint8_t { none, child, group, maybe_group, duration };
  Rest rest;
};

constexpr std::array<Form, 9> forms{{
    {"restarted", Expectation::Kind::restarted, Form::Rest::child},
    {"not restarted", Expectation::Kind::not_restarted, Form::Rest::child},
    {"one_for_one", Expectation::Kind::one_for_one, Form::Rest::child},
    {"rest_for_one from", Expectation::Kind::rest_for_one, Form::Rest::child},
    {"one_for_all in", Expectation::Kind::one_for_all, Form::Rest::group},
    {"gives up", Expectation::Kind::gives_up, Form::Rest::maybe_group},
    {"ready within", Expectation::Kind::ready_within, Form::Rest::duration},
    {"stays up", Expectation::Kind::stays_up, Form::Rest::none},
    {"as predicted", Expectation::Kind::as_predicted, Form::Rest::none},
}};

std::string_view rest_of(Form::Rest rest) {
  switch (rest) {
    case Form::Rest::none:
      return "";
    case Form::Rest::child:
      return " NAME";
    case Form::Rest::group:
      return " GROUP";
    case Form::Rest::maybe_group:
      return " [GROUP]";
    case Form::Rest::duration:
      return " TIME";
  }
  return "";
}

/// One blank between words, `-` as `_` in the words of ours.
Names words_of(std::string_view text) {
  Names words;
  std::string word;
  for (const char c : text) {
    if (c != ' ' && c != '\t') {
      word += c;
    } else if (!word.empty()) {
      words.push_back(std::exchange(word, {}));
    }
  }
  if (!word.empty())
    words.push_back(std::move(word));
  return words;
}

std::string joined(const Names& words, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < std::min(count, words.size()); ++i)
    out += (out.empty() ? "" : " ") + words[i];
  return out;
}

std::string with_underscores(std::string text) {
  std::replace(text.begin(), text.end(), '-', '_');
  return text;
}

Error no_expectation(std::string_view text, const Names& words) {
  std::vector<std::string_view> heads;
  std::string known;
  for (const Form& form : forms) {
    heads.push_back(form.head);
    known += fmt::format("{}{}{}", known.empty() ? "" : ", ", form.head,
                         rest_of(form.rest));
  }
  auto meant = suggest(joined(words, words.size()), heads);
  if (!meant && words.size() > 1)
    meant = suggest(joined(words, words.size() - 1), heads);
  return {Errc::invalid_argument,
          meant ? fmt::format("unknown expectation \"{}\"; did you mean "
                              "\"{}\"?",
                              printable(text), *meant)
                : fmt::format("unknown expectation \"{}\"; there are: {}",
                              printable(text), known)};
}

std::string names_or_nothing(const Names& names) {
  return names.empty() ? "nothing" : listed(names, most_named);
}

}  // namespace

Result<DrillKill> parse_kill(std::string_view text, const GroupNode& root) {
  DrillKill kill;
  const std::size_t at = text.rfind('@');
  kill.service = text.substr(0, at);
  if (at != std::string_view::npos) {
    const auto time = parse_duration(text.substr(at + 1));
    if (!time)
      return failure(Errc::invalid_argument,
                     fmt::format("expected NAME@TIME such as db@3s, got \"{}\"",
                                 printable(text)));
    kill.at = *time;
  }
  const auto place = find(root, kill.service);
  if (!place)
    return tl::unexpected{unknown(kill.service, root, /*groups=*/false)};
  if (is_group(*place)) {
    Names inside;
    add_services(*place, inside);
    return failure(Errc::invalid_argument,
                   fmt::format("{} is a group, which has no process; name one "
                               "of {}",
                               kill.service, names_or_nothing(inside)));
  }
  return kill;
}

Result<Expectation> parse_expectation(std::string_view text,
                                      const GroupNode& root) {
  const Names words = words_of(text);
  for (const Form& form : forms) {
    const std::size_t length = static_cast<std::size_t>(std::count(
                                   form.head.begin(), form.head.end(), ' ')) +
                               1;
    if (with_underscores(joined(words, length)) != form.head)
      continue;
    Expectation out{
        .kind = form.kind, .text = joined(words, words.size()), .subject = {}};
    const bool has_rest = words.size() == length + 1;
    const bool is_complete =
        form.rest == Form::Rest::none          ? words.size() == length
        : form.rest == Form::Rest::maybe_group ? words.size() <= length + 1
                                               : has_rest;
    if (!is_complete)
      return failure(Errc::invalid_argument,
                     fmt::format("expected \"{}{}\", got \"{}\"", form.head,
                                 rest_of(form.rest), printable(text)));
    if (!has_rest)
      return out;
    out.subject = words.back();
    if (form.rest == Form::Rest::duration) {
      const auto limit = parse_duration(std::exchange(out.subject, {}));
      if (!limit)
        return failure(Errc::invalid_argument,
                       fmt::format("{}: expected a time such as 5s, got "
                                   "\"{}\"",
                                   form.head, printable(words.back())));
      out.limit = *limit;
      return out;
    }
    const auto place = find(root, out.subject);
    if (form.rest == Form::Rest::child) {
      if (!place)
        return tl::unexpected{unknown(out.subject, root, /*groups=*/true)};
      return out;
    }
    if (!place && out.subject == root_name)
      out.subject.clear();
    else if (!place)
      return tl::unexpected{unknown(out.subject, root, /*groups=*/true)};
    else if (!is_group(*place))
      return failure(Errc::invalid_argument,
                     fmt::format("{} is a service and no group; the group of "
                                 "all is \"{}\"",
                                 out.subject, root_name));
    return out;
  }
  return tl::unexpected{no_expectation(text, words)};
}

Result<void> complete(DrillPlan& plan) {
  std::stable_sort(
      plan.kills.begin(), plan.kills.end(),
      [](const DrillKill& a, const DrillKill& b) { return a.at < b.at; });
  if (plan.expectations.empty()) {
    using Kind = Expectation::Kind;
    if (plan.kills.size() == 1)
      plan.expectations.push_back({Kind::as_predicted, "as predicted", {}});
    else
      plan.expectations.push_back({Kind::stays_up, "stays up", {}});
  }
  for (const Expectation& e : plan.expectations) {
    if (e.kind == Expectation::Kind::as_predicted && plan.kills.size() != 1)
      return failure(Errc::invalid_argument,
                     "\"as predicted\" is about exactly one --kill");
  }
  return {};
}

Drill::Drill(std::shared_ptr<const GroupNode> root, DrillPlan plan,
             TimePoint now)
    : root_{std::move(root)},
      plan_{std::move(plan)},
      availability_{*root_},
      started_{now},
      last_event_{now} {
  for (const std::string& service : services_of(""))
    down_.insert(service);
}

// -- What happens -------------------------------------------------------------

void Drill::on_launched(const std::string& service, TimePoint now) {
  note(now, fmt::format("{} starts", service));
  add(Event::Kind::launched, service, now);
}

void Drill::on_ready(const std::string& service, TimePoint now) {
  add(Event::Kind::ready, service, now);
}

void Drill::on_ended(const std::string& service, const service::ServiceEnd& end,
                     TimePoint now) {
  availability_.on_end(service, end);
  const bool was_stopped = end.clean && end.report && end.report->stopped;
  add(was_stopped ? Event::Kind::stopped : Event::Kind::ended, service, now);
}

void Drill::on_presence(const std::string& path, supervisor::Presence presence,
                        TimePoint now) {
  apply(availability_.on_presence(path, presence), now);
}

void Drill::on_report(const supervisor::Report& report, TimePoint now) {
  apply(availability_.on_report(report), now);
}

void Drill::on_blame(const std::string& group, const std::string& chain,
                     TimePoint now) {
  gave_up_.insert(group);
  availability_.on_blame(group, chain);
  last_event_ = now;
}

void Drill::on_said(const std::string& text, TimePoint now) { note(now, text); }

void Drill::on_up(TimePoint now) {
  up_ = now;
  killed_at_ = now;
  note(now, "all are ready");
  apply({}, now);
}

void Drill::on_stack_ended(bool failed, const std::string& why, TimePoint now) {
  ended_ = now;
  failed_ = failed;
  why_ended_ = why;
  note(now, failed ? "the stack has ended" : "all is ended");
}

void Drill::on_kill_failed(const std::string& service, const std::string& why,
                           TimePoint now) {
  awaited_.erase(service);
  note(now, fmt::format("{} could not be killed: {}", service, why));
  not_killed_ = fmt::format("{} could not be killed: {}", service, why);
  apply({}, now);
}

void Drill::note(TimePoint now, std::string text) {
  last_event_ = now;
  if (lines_.size() < most_lines)
    lines_.push_back({now, std::move(text)});
}

void Drill::add(Event::Kind kind, const std::string& service, TimePoint now) {
  last_event_ = now;
  if (killed_ > 0)
    events_.push_back({kind, service});
}

void Drill::apply(const service::AvailabilityCore::Changes& changes,
                  TimePoint now) {
  for (const service::AvailabilityChange& change : changes) {
    const std::string& service = change.service;
    down_.erase(service);
    lost_.erase(service);
    switch (change.state) {
      case Availability::up:
        break;
      case Availability::down:
        down_.insert(service);
        awaited_.erase(service);
        break;
      case Availability::lost:
        lost_.insert(service);
        awaited_.erase(service);
        break;
    }
    last_event_ = now;
  }
  if (!is_settled())
    settled_.reset();
  else if (!settled_)
    settled_ = now;
}

bool Drill::is_settled() const {
  return up_ && all_killed() && awaited_.empty() && down_.empty();
}

// -- What is to be done -------------------------------------------------------

std::vector<std::string> Drill::take_kills(TimePoint now) {
  Names out;
  while (up_ && !ended_ && !all_killed() &&
         now >= *up_ + plan_.kills[killed_].at) {
    const std::string& service = plan_.kills[killed_++].service;
    note(now, fmt::format("{} is killed", service));
    killed_at_ = now;
    settled_.reset();
    awaited_.insert(service);
    out.push_back(service);
  }
  return out;
}

bool Drill::is_over(TimePoint now) const {
  if (ended_)
    return true;
  if (!up_ || !all_killed())
    return false;
  if (now >= killed_at_ + plan_.longest)
    return true;
  return settled_ && now >= last_event_ + quiet &&
         std::none_of(plan_.expectations.begin(), plan_.expectations.end(),
                      [&](const Expectation& e) {
                        return look_at(e, now).standing == Standing::open;
                      });
}

std::optional<TimePoint> Drill::next_deadline() const {
  if (!up_ || ended_)
    return std::nullopt;
  if (!all_killed())
    return *up_ + plan_.kills[killed_].at;
  const TimePoint last = killed_at_ + plan_.longest;
  return settled_ ? std::min(last, last_event_ + quiet) : last;
}

// -- What came of it ----------------------------------------------------------

Names Drill::services_of(const std::string& path) const {
  Names out;
  if (path.empty()) {
    for (std::size_t i = 0; i < started_of(*root_); ++i)
      add_services({root_.get(), i}, out);
  } else if (const auto place = find(*root_, path)) {
    add_services(*place, out);
  }
  return out;
}

bool Drill::has(Event::Kind kind, const std::string& service) const {
  return std::any_of(events_.begin(), events_.end(), [&](const Event& event) {
    return event.kind == kind && event.service == service;
  });
}

Drill::Finding Drill::look_at(const Expectation& e, TimePoint now) const {
  switch (e.kind) {
    case Expectation::Kind::restarted:
      return restarted(services_of(e.subject));
    case Expectation::Kind::not_restarted:
      return untouched(services_of(e.subject));
    case Expectation::Kind::one_for_one:
    case Expectation::Kind::rest_for_one:
    case Expectation::Kind::one_for_all:
      return strategy(e);
    case Expectation::Kind::gives_up:
      return gives_up(e);
    case Expectation::Kind::ready_within:
      return ready_within(e, now);
    case Expectation::Kind::stays_up:
      if (gave_up_.contains("") || ended_)
        return {Standing::violated,
                why_ended_.empty() ? "the stack has ended" : why_ended_};
      // For the whole time, which nobody can tell before.
      return {
          now >= killed_at_ + plan_.longest ? Standing::met : Standing::open,
          "the drill has ended before its time"};
    case Expectation::Kind::as_predicted:
      return as_predicted();
  }
  return {};
}

Drill::Finding Drill::restarted(const Names& services) const {
  for (const std::string& service : services) {
    const bool is_lost_for_good =
        find(*root_, service)->node().restart == Restart::temporary;
    if (is_lost_for_good && has(Event::Kind::stopped, service))
      continue;
    const auto start =
        std::find_if(events_.begin(), events_.end(), [&](const Event& event) {
          return event.kind == Event::Kind::launched &&
                 event.service == service;
        });
    if (start == events_.end())
      return {Standing::open, fmt::format("{} was not started again", service)};
    if (std::none_of(start, events_.end(), [&](const Event& event) {
          return event.kind == Event::Kind::ready && event.service == service;
        }))
      return {Standing::open,
              fmt::format("{} has not become ready again", service)};
  }
  return {Standing::met, {}};
}

Drill::Finding Drill::untouched(const Names& services) const {
  for (const std::string& service : services) {
    if (has(Event::Kind::launched, service))
      return {Standing::violated, fmt::format("{} was started again", service)};
    if (has(Event::Kind::stopped, service))
      return {Standing::violated, fmt::format("{} was ended", service)};
  }
  return {Standing::met, {}};
}

Drill::Finding Drill::strategy(const Expectation& e) const {
  if (e.kind == Expectation::Kind::one_for_all)
    return restarted(services_of(e.subject));
  const Place place = *find(*root_, e.subject);
  Names spared;
  Names taken;
  for (std::size_t i = 0; i < started_of(*place.group); ++i) {
    const bool is_taken = e.kind == Expectation::Kind::one_for_one
                              ? i == place.index
                              : i >= place.index;
    add_services({place.group, i}, is_taken ? taken : spared);
  }
  if (Finding finding = untouched(spared); finding.standing != Standing::met)
    return finding;
  return restarted(taken);
}

Drill::Finding Drill::gives_up(const Expectation& e) const {
  const bool has_ended = e.subject.empty() && ended_ && failed_;
  if (has_ended || gave_up_.contains(e.subject))
    return {Standing::met, {}};
  return {
      Standing::open,
      fmt::format("{} did not give up",
                  e.subject.empty() ? std::string{"the stack"} : e.subject)};
}

Drill::Finding Drill::ready_within(const Expectation& e, TimePoint now) const {
  const TimePoint start = plan_.kills.empty() ? started_ : killed_at_;
  if (ended_ && failed_)
    return {Standing::violated, "the stack has ended"};
  if (!lost_.empty())
    return {Standing::violated,
            fmt::format("{} is not started again", *lost_.begin())};
  if (settled_ && *settled_ - start <= e.limit)
    return {Standing::met, {}};
  if (settled_)
    return {Standing::violated,
            fmt::format("it took {}", brief_duration(*settled_ - start))};
  std::set<std::string> missing = down_;
  missing.insert(awaited_.begin(), awaited_.end());
  const std::string why =
      fmt::format("after {} {} not ready yet: {}", brief_duration(now - start),
                  missing.size() == 1 ? "one is" : "some are",
                  names_or_nothing({missing.begin(), missing.end()}));
  return {all_killed() && now - start > e.limit ? Standing::violated
                                                : Standing::open,
          why};
}

Drill::Prediction Drill::predict() const {
  Prediction out;
  // Names of children are checked, and no group is killed.
  const auto what = service::what_if_dies(*root_, plan_.kills.front().service);
  if (!what)
    return out;
  for (const service::GroupForecast& group : what->groups) {
    const bool is_started_again = !group.started.empty();
    const Names& stopped =
        is_started_again ? group.stopped : group.stopped_at_end;
    out.stopped.insert(out.stopped.end(), stopped.begin(), stopped.end());
    for (const service::ForeseenStart& start : group.started)
      out.started.push_back(start.service);
    if (is_started_again)
      return out;
  }
  out.ends_stack = what->ends_stack();
  return out;
}

Drill::Finding Drill::as_predicted() const {
  if (!settled_ && !ended_)
    return {Standing::open, "not all has come to rest"};
  const Prediction prediction = predict();
  Names stopped;
  Names started;
  for (const Event& event : events_) {
    if (event.kind == Event::Kind::stopped)
      stopped.push_back(event.service);
    if (event.kind == Event::Kind::launched)
      started.push_back(event.service);
  }
  if (stopped != prediction.stopped)
    return {Standing::violated,
            fmt::format("foreseen was to end {}, and {} was ended",
                        names_or_nothing(prediction.stopped),
                        names_or_nothing(stopped))};
  if (started != prediction.started)
    return {Standing::violated,
            fmt::format("foreseen was to start {}, and {} was started",
                        names_or_nothing(prediction.started),
                        names_or_nothing(started))};
  const bool has_ended = ended_ && failed_;
  if (prediction.ends_stack && !ended_)
    return {Standing::open, "the stack did not end"};
  if (has_ended && !prediction.ends_stack)
    return {Standing::violated, "the stack has ended"};
  return {Standing::met, {}};
}

std::vector<DrillVerdict> Drill::verdicts(TimePoint now) const {
  std::vector<DrillVerdict> out;
  std::string why_all;
  if (!up_)
    why_all = "not all were ready at first";
  else if (!all_killed())
    why_all = fmt::format("{} was not killed", plan_.kills[killed_].service);
  else
    why_all = not_killed_;
  for (const Expectation& e : plan_.expectations) {
    DrillVerdict verdict{.text = e.text, .passed = false, .why = why_all};
    if (why_all.empty()) {
      Finding finding = look_at(e, now);
      verdict.passed = finding.standing == Standing::met;
      if (!verdict.passed)
        verdict.why = std::move(finding.why);
    }
    out.push_back(std::move(verdict));
  }
  return out;
}

std::string Drill::report(TimePoint now) const {
  std::string out;
  for (const Line& line : lines_)
    out += fmt::format("{:>9.3f}s  {}\n", in_seconds(line.at - started_),
                       printable(line.text));
  // Unless the stack has said so itself.
  if (failed_ && !why_ended_.empty() &&
      std::none_of(lines_.begin(), lines_.end(),
                   [&](const Line& line) { return line.text == why_ended_; }))
    out += fmt::format("{:>9.3f}s  {}\n", in_seconds(*ended_ - started_),
                       printable(why_ended_));
  for (const DrillVerdict& verdict : verdicts(now))
    out += fmt::format("{}  {}{}{}\n", verdict.passed ? "PASS" : "FAIL",
                       printable(verdict.text), verdict.passed ? "" : ": ",
                       printable(verdict.why));
  return out;
}

nlohmann::ordered_json Drill::to_json(TimePoint now) const {
  using Json = nlohmann::ordered_json;
  Json json;
  bool passed = true;
  json["expectations"] = Json::array();
  for (const DrillVerdict& verdict : verdicts(now)) {
    passed = passed && verdict.passed;
    json["expectations"].push_back(
        {{"expectation", to_utf8(verdict.text)},
         {"passed", verdict.passed},
         {"reason",
          verdict.why.empty() ? Json() : Json(to_utf8(verdict.why))}});
  }
  json["passed"] = passed;
  json["ready_s"] = up_ ? Json(in_seconds(*up_ - started_)) : Json();
  json["events"] = Json::array();
  for (const Line& line : lines_)
    json["events"].push_back({{"at_s", in_seconds(line.at - started_)},
                              {"what", to_utf8(line.text)}});
  return json;
}

}  // namespace troupe::cli
