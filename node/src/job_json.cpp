#include "job_json.hpp"

#include <troupe/base/exit_status.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/base/wall_time.hpp>
#include <troupe/queue/labels.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <limits>
#include <utility>

namespace troupe::node {
namespace {

using flow_control::Resources;
using queue::Hindrance;
using queue::JobSpec;
using queue::JsonFields;
using store::Delivery;
using store::JobCounts;
using store::Priority;
using store::When;

constexpr std::int64_t longest_ms = std::int64_t{100} * 366 * 86'400'000;
constexpr double most_amount = 1e12;
constexpr double most_memory = 1e15;  ///< Bytes.

template <class Value, std::size_t N>
using Words = std::array<std::pair<std::string_view, Value>, N>;

constexpr Words<Priority, 4> priorities{{{"low", Priority::low},
                                         {"normal", Priority::normal},
                                         {"high", Priority::high},
                                         {"critical", Priority::critical}}};
constexpr Words<Delivery, 2> deliveries{
    {{"at_least_once", Delivery::at_least_once},
     {"at_most_once", Delivery::at_most_once}}};
constexpr Words<When, 3> whens{{{"succeeded", When::succeeded},
                                {"finished", When::finished},
                                {"failed", When::failed}}};
constexpr Words<store::JobSet, 5> sets{{{"all", store::JobSet::all},
                                        {"unended", store::JobSet::unended},
                                        {"active", store::JobSet::active},
                                        {"ended", store::JobSet::ended},
                                        {"failed", store::JobSet::failed}}};

template <class Value, std::size_t N>
std::string_view name_in(const Words<Value, N>& words, Value value) {
  for (const auto& [name, known] : words) {
    if (known == value)
      return name;
  }
  return "unknown";
}

template <class Value, std::size_t N>
void read_word(JsonFields& fields, const char* key,
               const Words<Value, N>& words, Value& out) {
  std::optional<std::string> text;
  fields.read(key, text);
  if (!text)
    return;
  std::string known;
  for (const auto& [name, value] : words) {
    if (*text == name) {
      out = value;
      return;
    }
    known += fmt::format("{}{}", known.empty() ? "" : ", ", name);
  }
  fields.refuse(key, fmt::format("expected one of {}", known));
}

void read_time(JsonFields& fields, const char* key,
               std::optional<WallTime>& out) {
  std::optional<std::string> text;
  fields.read(key, text);
  if (!text)
    return;
  if (const auto time = parse_wall_time(*text))
    out = *time;
  else
    fields.refuse(key, time.error().what);
}

void read_resources(JsonFields& fields, std::optional<std::string>& out) {
  const Json* const json = fields.take("resources");
  if (json == nullptr)
    return;
  if (!json->is_object()) {
    fields.refuse("resources", "expected an object of numbers");
    return;
  }
  std::string text;
  for (const auto& [name, amount] : json->items()) {
    if (!amount.is_number() || amount.get<double>() < 0 ||
        amount.get<double>() >= (name == "mem" ? most_memory : most_amount)) {
      fields.refuse("resources",
                    fmt::format("expected an amount of {}", printable(name)));
      return;
    }
    text += fmt::format(
        "{}{}={}", text.empty() ? "" : ",", name,
        name == "mem" || amount.is_number_integer()
            ? fmt::format("{}",
                          static_cast<std::uint64_t>(amount.get<double>()))
            : flow_control::format_amount(
                  name, static_cast<std::uint64_t>(
                            std::llround(amount.get<double>() * 1000))));
  }
  const auto parsed = Resources::parse(text);
  if (parsed)
    out = parsed->text();
  else
    fields.refuse("resources", parsed.error().what);
}

void read_labels(JsonFields& fields,
                 std::optional<std::vector<std::string>>& out) {
  fields.read("runs_on", out);
  if (!out)
    return;
  for (const std::string& label : *out) {
    if (auto checked = queue::check_label(label); !checked)
      fields.refuse("runs_on", checked.error().what);
  }
}

/// Both, of which what is not said is as it was.
std::optional<std::string> read_wants(JsonFields& fields,
                                      const std::string& before) {
  std::optional<std::string> resources;
  std::optional<std::vector<std::string>> labels;
  read_resources(fields, resources);
  read_labels(fields, labels);
  if (!resources && !labels)
    return std::nullopt;
  const auto spread = spread_in(before);
  auto known = queue::split_labels(spread.rest);
  if (resources)
    known.rest = Resources::parse(*resources).value_or(Resources{});
  auto wants = queue::want_labels(known.rest, labels.value_or(known.labels));
  if (spread.is_spread())
    wants = queue::want_spread(std::move(wants), spread.id, spread.share);
  return wants.text();
}

void read_needs(JsonFields& fields, std::vector<store::Need>& needs) {
  const Json* const json = fields.take("needs");
  if (json == nullptr)
    return;
  if (!json->is_array()) {
    fields.refuse("needs", "expected a list");
    return;
  }
  for (const Json& item : *json) {
    JsonFields inner{item, "needs"};
    std::uint64_t job = 0;
    store::Need need;
    inner.read("job", job);
    need.job = store::JobId{job};
    read_word(inner, "when", whens, need.when);
    fields.add(inner.finish());
    needs.push_back(need);
  }
}

/// The tasks of the job; the arguments of an array need no rows.
void read_tasks(JsonFields& fields, Submission& submission, JobSpec& spec) {
  std::optional<std::vector<std::string>> arguments;
  fields.read("arguments", arguments);
  fields.read("open", submission.is_open);
  spec.has_arguments = arguments.has_value() || submission.is_open;
  submission.has_arguments = spec.has_arguments;
  if (arguments)
    submission.arguments = std::move(*arguments);
  for (const std::string& argument : submission.arguments) {
    if (argument.find('\0') != std::string::npos)
      fields.refuse("arguments", "an argument has a NUL in it");
  }
  const Json* const array = fields.take("array");
  if (array == nullptr)
    return;
  if (spec.has_arguments)
    fields.refuse("array", "stands beside arguments");
  constexpr std::int64_t most = std::int64_t{1} << 52;
  JsonFields inner{*array, "array"};
  std::int64_t from = 0;
  std::int64_t to = 0;
  std::int64_t step = 1;
  inner.read("from", from, -most, most);
  inner.read("to", to, -most, most);
  inner.read("step", step, 1, most);
  fields.add(inner.finish());
  if (to < from) {
    fields.refuse("array", "ends before it begins");
    return;
  }
  spec.array = queue::ArrayRange{from, step};
  submission.count = static_cast<std::uint64_t>((to - from) / step) + 1;
  if (submission.count > store::most_tasks)
    fields.refuse("array", fmt::format("has {} tasks, more than {}",
                                       submission.count, store::most_tasks));
}

Result<JobSpec> read_command(JsonFields& fields) {
  const Json* const command = fields.take("command");
  if (command == nullptr)
    return failure(Errc::invalid_argument, "command: is missing");
  return queue::command_from_json(*command);
}

/// Takes back that they run.
template <class Counts>
void put_back(Counts& counts, const queue::TasksAtHand& at_hand) {
  const auto move = [&](std::uint64_t count, std::uint64_t& to) {
    // Some may have started or ended since.
    count = std::min(count, counts.running);
    counts.running -= count;
    to += count;
  };
  move(at_hand.waiting, counts.waiting);
  move(at_hand.retrying, counts.retrying);
}

Json counts_to_json(const JobCounts& counts) {
  return {{"waiting", counts.waiting},     {"retrying", counts.retrying},
          {"running", counts.running},     {"success", counts.success},
          {"failed", counts.failed},       {"timed_out", counts.timed_out},
          {"cancelled", counts.cancelled}, {"lost", counts.lost},
          {"skipped", counts.skipped}};
}

// -- Reasons -----------------------------------------------------------------

Json reason(std::string_view kind, const std::string& what,
            const std::optional<WallTime>& until = std::nullopt) {
  return {{"kind", kind}, {"what", what}, {"until", time_or_null(until)}};
}

std::string when_phrase(When when) {
  switch (when) {
    case When::succeeded:
      return "to succeed";
    case When::finished:
      return "to end";
    case When::failed:
      return "to fail";
  }
  return "to end";
}

Json reason_of(const Circumstances::Needed& needed) {
  return reason(
      "needs",
      fmt::format("waits for job {} {}; it is {}", needed.need.job.value,
                  when_phrase(needed.need.when),
                  needed.state ? to_string(*needed.state) : "forgotten"));
}

/// Whether the job that is needed has ended as it should not have.
bool is_in_vain(const Circumstances::Needed& needed) {
  if (!needed.state)
    return true;
  if (!has_ended(*needed.state))
    return false;
  const bool has_succeeded = *needed.state == store::JobState::succeeded;
  switch (needed.need.when) {
    case When::succeeded:
      return !has_succeeded;
    case When::finished:
      return false;
    case When::failed:
      return has_succeeded;
  }
  return false;
}

/// Why a job was skipped.
void explain_skipped(const Circumstances& seen, Json& reasons) {
  for (const Circumstances::Needed& needed : seen.needs) {
    if (is_in_vain(needed))
      reasons.push_back(reason(
          "needs",
          fmt::format("job {} had {}; it is {}", needed.need.job.value,
                      when_phrase(needed.need.when),
                      needed.state ? to_string(*needed.state) : "forgotten")));
  }
}

/// "n1, n2 and n3".
std::string in_words(const std::vector<std::string>& names) {
  if (names.size() == 1)
    return printable(names.front());
  const auto last = names.end() - 1;
  return printable(
      fmt::format("{} and {}", fmt::join(names.begin(), last, ", "), *last));
}

std::string amount_of(const std::string& resources, const std::string& name) {
  const auto parsed = Resources::parse(resources);
  const std::uint64_t amount = parsed ? parsed->amount(name) : 0;
  if (name == "mem")
    return format_size(amount / Resources::unit);
  return flow_control::format_amount(name, amount);
}

Json reason_of(const queue::Obstacle& obstacle, const Circumstances& seen,
               const std::optional<WallTime>& until) {
  const std::string& group = seen.group.group.name;
  const std::string kind{to_string(obstacle.kind)};
  const auto label = queue::label_in(obstacle.detail);
  const std::string takes =
      label ? fmt::format("the label {}", *label)
            : fmt::format("{} {}",
                          amount_of(seen.job.job.resources, obstacle.detail),
                          obstacle.detail);
  switch (obstacle.kind) {
    case Hindrance::none:
      return reason("starting", "starts as soon as it is its turn");
    case Hindrance::node_held:
      return reason(kind,
                    "the node is paused; `troupe resume --all` lets it go on");
    case Hindrance::group_held:
      return reason(kind, fmt::format("group {} is paused; `troupe resume "
                                      "--group {}` lets it go on",
                                      group, group));
    case Hindrance::breaker:
      return reason(
          kind,
          fmt::format("the breaker of group {} is open after {} failures in a "
                      "row; then one task is tried",
                      group, seen.group.group.break_after),
          until);
    case Hindrance::rate:
      return reason(kind,
                    fmt::format("group {} starts at most {} tasks a minute",
                                group, seen.group.group.starts_per_minute),
                    until);
    case Hindrance::slots:
      if (seen.places && !seen.places->slot_holders.empty())
        return reason(kind,
                      fmt::format("all {} slots of group {} are taken, on {}",
                                  seen.group.group.slots, group,
                                  in_words(seen.places->slot_holders)));
      return reason(kind, fmt::format("all {} slots of group {} are taken",
                                      seen.group.group.slots, group));
    case Hindrance::node_slots:
      return reason(kind, "the node runs as many tasks as it may");
    case Hindrance::never_fits:
      if (!seen.places)
        return reason(kind,
                      fmt::format("each task takes {}, {}; `troupe edit` can "
                                  "change that",
                                  takes,
                                  label ? "which this node does not have"
                                        : "more than this node has"));
      if (seen.places->fitting.empty())
        return reason(kind, fmt::format("each task takes {}, which no node of "
                                        "the cluster has; `troupe edit` can "
                                        "change that",
                                        takes));
      return reason(
          "elsewhere",
          fmt::format("each task takes {}, which {} {}", takes,
                      in_words(seen.places->fitting),
                      seen.places->fitting.size() == 1 ? "has" : "have"));
    case Hindrance::resources:
      return reason(
          kind, fmt::format("each task takes {}, which are not free", takes));
    case Hindrance::reserved:
      return reason(kind, fmt::format("free {} is kept for a task that has "
                                      "waited for long",
                                      obstacle.detail));
    case Hindrance::memory:
      return reason(kind, "the machine has too little memory left");
    case Hindrance::disk:
      return reason(kind, "the disk has too little space left");
  }
  return reason("starting", "starts as soon as it is its turn");
}

/// "spread over 3 nodes in 2 zones: ".
std::string over_what(const Placement& places) {
  // The rest are jobs of their own.
  if (places.shards == 1)
    return "to be spread, ";
  const std::size_t zones = places.zones.size();
  return fmt::format("spread over {} nodes{}: ", places.owners.size(),
                     zones == 0   ? ""
                     : zones == 1 ? " in one zone"
                                  : fmt::format(" in {} zones", zones));
}

/// What is known of the owners of its shards that have not taken it.
std::string how_they_stand(const Placement& places) {
  using Standing = Placement::Standing;
  std::map<Standing, std::vector<std::string>> by_standing;
  for (const auto& [name, standing] : places.standings)
    by_standing[standing].push_back(name);
  std::string text;
  for (const auto& [standing, names] : by_standing) {
    const bool is_one = names.size() == 1;
    const std::string who = in_words(names);
    switch (standing) {
      case Standing::unsaid:
        break;
      case Standing::unlinked:
        text += fmt::format("; how {} {} is not known here, without a link",
                            who, is_one ? "stands" : "stand");
        break;
      case Standing::full:
        text += fmt::format("; {} {} no room for more now", who,
                            is_one ? "has" : "have");
        break;
      case Standing::held:
        text += fmt::format("; {} {} held", who, is_one ? "is" : "are");
        break;
      case Standing::unfit:
        text += fmt::format("; {} {} not have what each task takes", who,
                            is_one ? "does" : "do");
        break;
    }
  }
  return text;
}

/// "in shard 7", with its key.
std::string in_shards(const Placement& places, std::string_view does) {
  std::string text =
      places.shards <= 1
          ? fmt::format("it {} in shard {}", does, places.first_shard)
          : fmt::format("it {} in {} shards", does, places.shards);
  if (!places.key.empty())
    text = fmt::format("with the key {} {}", to_utf8(places.key), text);
  return text;
}

/// Whether it is where all nodes look, whoever owns that.
bool is_for_all(const Placement& places) {
  return places.shards <= 1 && places.first_shard == 0;
}

/// At which nodes it waits.
std::string where_it_waits(const Placement& places, bool is_spread) {
  const std::string text =
      (is_spread ? over_what(places) : "") + in_shards(places, "waits");
  if (is_for_all(places))
    return text + ", at which all nodes look";
  if (places.owners.empty())
    return text + ", which no node owns yet";
  return fmt::format(
      "{}, at which {} {} first{}", text, in_words(places.owners),
      places.owners.size() == 1 ? "looks" : "look", how_they_stand(places));
}

/// Why it did not stay with the owner of its shard, as far as it was noted.
std::string how_it_came(const std::string& node,
                        const queue::FromAbroad& from) {
  const std::string who = printable(node);
  const std::string owner = printable(from.owner);
  const std::string first =
      owner.empty() ? fmt::format("it waited in shard {}", from.shard)
                    : fmt::format(
                          "it waited in shard {}, at which {} looked "
                          "first",
                          from.shard, owner);
  switch (from.found) {
    case queue::Found::own:
      break;
    case queue::Found::submitted:
      return fmt::format(
          "{}; {} looked there, too, as something was submitted "
          "to it, and had room",
          first, who);
    case queue::Found::hinted:
      return fmt::format(
          "{}; {} was told by the node that has submitted "
          "something there, and had room",
          first, who);
    case queue::Found::offered:
      return fmt::format(
          "{}; {} could not start what waited there, and {} had "
          "nothing to do",
          first, owner.empty() ? "that node" : owner, who);
    case queue::Found::abroad:
      return fmt::format(
          "{}; {} had nothing to do and saw work there twice, a "
          "second or more apart",
          first, who);
  }
  return first;
}

std::string where_it_was(const std::string& node, const Placement& places) {
  const std::string text = in_shards(places, "was");
  if (is_for_all(places))
    return text + ", at which all nodes look";
  if (places.owners.empty())
    return text;
  const bool is_owner = std::find(places.owners.begin(), places.owners.end(),
                                  node) != places.owners.end();
  return fmt::format(
      "{}, at which {} {} first{}", text, in_words(places.owners),
      places.owners.size() == 1 ? "looks" : "look", is_owner ? "" : " now");
}

std::string of_one_task(const Ran& ran, bool has_ended,
                        const Placement& places) {
  return fmt::format("{} {} it; {}", printable(ran.node),
                     has_ended ? "ran" : "runs",
                     ran.from ? how_it_came(ran.node, *ran.from)
                              : where_it_was(ran.node, places));
}

/// "n1 ran 7 and n2 3 of the tasks; n2 took 2 that others could not start".
/// `all` may be of some of those that have ended: the first ones are looked at.
std::string of_tasks(const std::vector<Ran>& all,
                     const store::JobCounts& counts) {
  std::map<std::string, std::uint64_t> by_node;
  std::map<std::pair<std::string, queue::Found>, std::uint64_t> taken;
  std::uint64_t known = 0;
  for (const Ran& ran : all) {
    by_node[ran.node] += ran.tasks;
    known += ran.tasks;
    if (ran.from)
      taken[{ran.node, ran.from->found}] += ran.tasks;
  }
  std::vector<std::string> shares;
  for (const auto& [node, count] : by_node)
    shares.push_back(shares.empty() ? fmt::format("{} ran {}", node, count)
                                    : fmt::format("{} {}", node, count));
  const std::string of_how_many =
      known < counts.ended()
          ? fmt::format("{} of the {} tasks", known, counts.ended())
          : fmt::format("{} tasks", known);
  std::string text = known < counts.tasks
                         ? fmt::format("of {} that have ended {}", of_how_many,
                                       in_words(shares))
                         : fmt::format("{} of its tasks", in_words(shares));
  for (const auto& [who, count] : taken) {
    const auto& [node, found] = who;
    text += fmt::format("; {} took {} ", printable(node), count);
    switch (found) {
      case queue::Found::own:
      case queue::Found::submitted:
      case queue::Found::hinted:
        text += "from shards of others, as something was submitted there";
        break;
      case queue::Found::offered:
        text += "that others could not start";
        break;
      case queue::Found::abroad:
        text += "that had waited at others for a second or more";
        break;
    }
  }
  return text;
}

/// Which nodes had its tasks, and why these.
void explain_where(const Circumstances& seen, Json& reasons) {
  if (!seen.places)
    return;
  if (seen.job.counts.tasks == 1 && seen.runs)
    reasons.push_back(
        reason("ran", of_one_task(*seen.runs, false, *seen.places)));
  if (seen.ran.empty())
    return;
  reasons.push_back(
      reason("ran", seen.job.counts.tasks == 1
                        ? of_one_task(seen.ran.front(), true, *seen.places)
                        : of_tasks(seen.ran, seen.job.counts)));
}

void explain_waiting(const Circumstances& seen, WallTime now,
                     TimePoint steady_now, Json& reasons) {
  const store::JobInfo& job = seen.job;
  if (job.is_held)
    reasons.push_back(reason(
        "held", fmt::format("`troupe resume {}` lets it go on", job.id.value)));
  for (const Circumstances::Needed& needed : seen.needs) {
    if (!needed.state || !has_ended(*needed.state))
      reasons.push_back(reason_of(needed));
  }
  if (job.state == store::JobState::delayed)
    reasons.push_back(
        reason("not_before", "its time has not come", job.job.not_before));
  if (!reasons.empty())
    return;
  if (seen.next_due && job.counts.waiting == 0)
    reasons.push_back(
        reason("back_off", "waits for its next attempt", seen.next_due));
  const bool only_backs_off = !reasons.empty();
  if (only_backs_off)
    return;
  if (seen.group.group.is_held) {
    reasons.push_back(reason_of({Hindrance::group_held}, seen, std::nullopt));
    return;
  }
  if (seen.obstacle && seen.obstacle->kind != Hindrance::none) {
    std::optional<WallTime> until;
    if (seen.obstacle->until)
      until = now + std::chrono::duration_cast<WallTime::duration>(
                        *seen.obstacle->until - steady_now);
    reasons.push_back(reason_of(*seen.obstacle, seen, until));
  }
  if (seen.ahead)
    reasons.push_back(
        reason("behind", fmt::format("job {} comes first", seen.ahead->value)));
  if (reasons.empty())
    reasons.push_back(reason_of({Hindrance::none}, seen, std::nullopt));
  if (seen.places && seen.places->shards != 0)
    reasons.push_back(reason(
        "placement", where_it_waits(*seen.places,
                                    spread_in(job.job.resources).is_spread())));
}

}  // namespace

queue::SpreadAndRest spread_in(const std::string& resources) {
  return queue::split_spread(Resources::parse(resources).value_or(Resources{}));
}

std::string_view to_string(Priority priority) {
  return name_in(priorities, priority);
}

void read_priority(JsonFields& fields, Priority& out) {
  read_word(fields, "priority", priorities, out);
}

std::string_view to_string(When when) { return name_in(whens, when); }

std::optional<store::JobSet> job_set(std::string_view name) {
  for (const auto& [known, set] : sets) {
    if (known == name)
      return set;
  }
  return std::nullopt;
}

// -- Reading -----------------------------------------------------------------

Result<Submission> submission_from_json(const Json& json, WallTime now) {
  Submission submission;
  store::NewJob& job = submission.job;
  JsonFields fields{json, ""};
  fields.read("request_id", job.request_id);
  fields.read("name", job.name);
  fields.read("tags", job.tags);
  fields.read("group", job.group);
  read_word(fields, "priority", priorities, job.priority);
  read_word(fields, "delivery", deliveries, job.delivery);
  std::string key;
  fields.read("key", key);
  fields.read("spread", submission.spread);
  if (submission.spread && !key.empty())
    fields.refuse("spread", "what has a key stays together");
  read_needs(fields, job.needs);
  std::optional<WallTime> not_before;
  read_time(fields, "not_before", not_before);
  std::int64_t delay_ms = 0;
  fields.read("delay_ms", delay_ms, 0, longest_ms);
  if (not_before)
    job.not_before = *not_before;
  else if (delay_ms > 0)
    job.not_before = now + std::chrono::milliseconds{delay_ms};
  job.resources = read_wants(fields, "").value_or("");
  auto spec = read_command(fields);
  if (!spec) {
    if (auto first = fields.finish(); !first)
      return tl::unexpected(std::move(first.error()));
    return tl::unexpected(std::move(spec.error()));
  }
  spec->key = key;
  submission.key = std::move(key);
  read_tasks(fields, submission, *spec);
  if (auto finished = fields.finish(); !finished)
    return tl::unexpected(std::move(finished.error()));
  if (auto made = queue::JobCommand::make(*spec); !made)
    return tl::unexpected(std::move(made.error()).within("command"));
  job.spec = encode(*spec);
  if (auto checked = store::check(job); !checked)
    return tl::unexpected(std::move(checked.error()));
  if (job.request_id.starts_with(run_request_prefix))
    return failure(
        Errc::invalid_argument,
        fmt::format("request_id: {} begins those of runs", run_request_prefix));
  return submission;
}

Result<store::JobEdit> edit_from_json(const Json& json, const JobSpec& before,
                                      const std::string& resources) {
  store::JobEdit edit;
  JsonFields fields{json, ""};
  fields.read("name", edit.name);
  fields.read("tags", edit.tags);
  fields.read("group", edit.group);
  if (json.is_object() && json.contains("priority")) {
    edit.priority = Priority::normal;
    read_word(fields, "priority", priorities, *edit.priority);
  }
  edit.resources = read_wants(fields, resources);
  read_time(fields, "not_before", edit.not_before);
  std::optional<Error> bad_command;
  if (json.is_object() && json.contains("command")) {
    auto spec = read_command(fields);
    if (spec) {
      spec->array = before.array;
      spec->has_arguments = before.has_arguments;
      spec->key = before.key;
      spec->has_outputs = before.has_outputs;
      if (auto made = queue::JobCommand::make(*spec); !made)
        bad_command = std::move(made.error()).within("command");
      edit.spec = encode(*spec);
    } else {
      bad_command = std::move(spec.error());
    }
  }
  if (auto finished = fields.finish(); !finished)
    return tl::unexpected(std::move(finished.error()));
  if (bad_command)
    return tl::unexpected(std::move(*bad_command));
  if (auto checked = store::check(edit); !checked)
    return tl::unexpected(std::move(checked.error()));
  return edit;
}

Result<store::Group> group_from_json(const Json& json, store::Group before) {
  constexpr std::int64_t most_slots = 100'000;
  constexpr std::int64_t most_weight = 1000;
  constexpr std::int64_t most_count = 1'000'000'000;
  JsonFields fields{json, ""};
  const auto read = [&](const char* key, std::uint32_t& out, std::int64_t least,
                        std::int64_t most) {
    std::int64_t number = out;
    fields.read(key, number, least, most);
    out = static_cast<std::uint32_t>(number);
  };
  read("slots", before.slots, 1, most_slots);
  read("weight", before.weight, 1, most_weight);
  read("starts_per_minute", before.starts_per_minute, 0, most_count);
  read("break_after", before.break_after, 0, most_count);
  std::int64_t pause_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(before.break_pause)
          .count();
  fields.read("break_pause_ms", pause_ms, 1, longest_ms);
  before.break_pause = std::chrono::milliseconds{pause_ms};
  if (auto finished = fields.finish(); !finished)
    return tl::unexpected(std::move(finished.error()));
  if (auto checked = store::check(before); !checked)
    return tl::unexpected(std::move(checked.error()));
  return before;
}

Result<Chunk> chunk_from_json(const Json& json) {
  Chunk chunk;
  JsonFields fields{json, ""};
  fields.read("chunk", chunk.number);
  fields.read("arguments", chunk.arguments);
  for (const std::string& argument : chunk.arguments) {
    if (argument.find('\0') != std::string::npos)
      fields.refuse("arguments", "an argument has a NUL in it");
  }
  if (auto finished = fields.finish(); !finished)
    return tl::unexpected(std::move(finished.error()));
  return chunk;
}

// -- Writing -----------------------------------------------------------------

SeenJob as_it_looks(store::JobInfo job,
                    const std::map<store::JobId, queue::TasksAtHand>& at_hand) {
  const auto found = at_hand.find(job.id);
  if (found == at_hand.end())
    return {.info = std::move(job)};
  put_back(job.counts, found->second);
  if (job.state == store::JobState::running &&
      job.counts.running + job.counts.retrying == 0)
    job.state = store::JobState::queued;
  return {.info = std::move(job), .paused = found->second.paused};
}

store::GroupInfo as_it_looks(
    store::GroupInfo group,
    const std::map<std::string, queue::TasksAtHand>& at_hand) {
  const auto found = at_hand.find(group.group.name);
  if (found != at_hand.end())
    put_back(group.counts, found->second);
  return group;
}

Json time_or_null(const std::optional<WallTime>& time) {
  return time ? Json(format_wall_time(*time)) : Json();
}

Json to_json(const Resources& resources) {
  Json json = Json::object();
  for (const auto& [name, amount] : resources.amounts()) {
    if (amount % Resources::unit == 0)
      json[name] = amount / Resources::unit;
    else
      json[name] = static_cast<double>(amount) / Resources::unit;
  }
  return json;
}

Json to_json(const SeenJob& seen, bool with_command) {
  const store::JobInfo& info = seen.info;
  const store::NewJob& job = info.job;
  const auto spec = queue::decode(job.spec);
  const auto spread = spread_in(job.resources);
  const auto wants = queue::split_labels(spread.rest);
  Json needs = Json::array();
  for (const store::Need& need : job.needs)
    needs.push_back({{"job", need.job.value}, {"when", to_string(need.when)}});
  Json json{{"job", info.id.value},
            {"name", to_utf8(job.name)},
            {"state", to_string(info.state)},
            {"group", to_utf8(job.group)},
            {"priority", to_string(job.priority)},
            {"delivery", name_in(deliveries, job.delivery)},
            {"tags", job.tags},
            {"tasks", info.counts.tasks},
            {"counts", counts_to_json(info.counts)},
            {"paused", seen.paused},
            {"is_held", info.is_held},
            {"is_cancelled", info.is_cancelled},
            {"text", spec ? to_utf8(text_of(*spec)) : ""},
            {"needs", needs},
            {"run", job.run ? Json(job.run.value) : Json()},
            {"resources", to_json(wants.rest)},
            {"runs_on", wants.labels},
            {"spread", spread.is_spread()},
            {"not_before", job.not_before == WallTime{}
                               ? Json()
                               : Json(format_wall_time(job.not_before))},
            {"submitted", format_wall_time(info.submitted)},
            {"ended", time_or_null(info.ended)}};
  if (spec && spec->array)
    json["array"] = {
        {"from", spec->array->from},
        {"to", spec->array->from +
                   spec->array->step *
                       (static_cast<std::int64_t>(info.counts.tasks) - 1)},
        {"step", spec->array->step}};
  if (with_command && spec)
    json["command"] = command_to_json(*spec);
  return json;
}

std::optional<UnknownEnd> unknown_end(const store::TaskResult& result) {
  const bool is_lost = result.outcome == store::Outcome::lost;
  // Of a store that was written by an earlier version.
  const bool is_old = is_lost && result.detail.empty();
  if (result.exit_status != store::unknown_exit_status && !is_old)
    return std::nullopt;
  // What its session told of itself: SessionDetail, as JSON; or how it ended,
  // which was told too late to count.
  const Json told =
      Json::parse(result.detail, nullptr, /*allow_exceptions=*/false);
  if (told.is_object() && told.contains("late"))
    return std::nullopt;
  UnknownEnd end;
  if (const auto name = told.find("name");
      told.is_object() && name != told.end() && name->is_string())
    end.node = name->get<std::string>();
  const std::string where =
      end.node.empty() ? "its node" : fmt::format("node {}", end.node);
  end.why =
      is_lost
          ? fmt::format("was lost with {}", where)
          : fmt::format("{} was gone before it could say how it ended", where);
  return end;
}

Json to_json(const store::TaskResult& result) {
  Json json{{"task", result.task.index},
            {"attempt", result.attempt},
            {"outcome", to_string(result.outcome)},
            {"exit_status", result.exit_status},
            {"at", format_wall_time(result.at)},
            {"cause", nullptr}};
  if (const auto unknown = unknown_end(result)) {
    json.update({{"exit_status", status_troupe_failed},
                 {"cause", to_utf8(unknown->why)},
                 {"is_end_unknown", true}});
    if (!unknown->node.empty())
      json["node"] = to_utf8(unknown->node);
    return json;
  }
  Json detail = Json::parse(result.detail, nullptr, /*allow_exceptions=*/false);
  if (!detail.is_object())
    return json;
  // Its log has that, or its run.
  for (const char* const hidden : {"tail", "handed_on", "home"})
    detail.erase(hidden);
  json.update(detail);
  return json;
}

Json to_json(const store::TaskInfo& task,
             const std::vector<store::TaskResult>& attempts) {
  Json all = Json::array();
  for (const store::TaskResult& attempt : attempts)
    all.push_back(to_json(attempt));
  return {{"task", task.task.index},
          {"state", to_string(task.state)},
          {"argument", to_utf8(task.argument)},
          {"attempt", task.attempt},
          {"pid", nullptr},
          {"due", time_or_null(task.due)},
          {"result", task.result ? to_json(*task.result) : Json()},
          {"attempts", all}};
}

Json to_json(const store::GroupInfo& info, flow_control::BreakerState breaker) {
  const store::Group& group = info.group;
  return {
      {"group", to_utf8(group.name)},
      {"slots", group.slots},
      {"weight", group.weight},
      {"starts_per_minute", group.starts_per_minute},
      {"break_after", group.break_after},
      {"break_pause_ms",
       std::chrono::duration_cast<std::chrono::milliseconds>(group.break_pause)
           .count()},
      {"is_held", group.is_held},
      {"breaker", flow_control::to_string(breaker)},
      {"jobs", info.counts.jobs},
      {"waiting", info.counts.waiting},
      {"retrying", info.counts.retrying},
      {"running", info.counts.running}};
}

void add_to(std::vector<Ran>& ran, const std::string& detail) {
  Ran one{queue::node_in(detail), queue::from_abroad_in(detail), 1};
  if (one.node.empty())
    return;
  const auto same = std::find_if(ran.begin(), ran.end(), [&](const Ran& other) {
    return other.node == one.node && other.from == one.from;
  });
  if (same == ran.end())
    ran.push_back(std::move(one));
  else
    ++same->tasks;
}

Json explain(const Circumstances& seen, WallTime now, TimePoint steady_now) {
  const store::JobInfo& job = seen.job;
  Json reasons = Json::array();
  if (!has_ended(job.state) && job.is_cancelled)
    reasons.push_back(reason("cancelling", "its end was asked for"));
  if (!has_ended(job.state) && seen.silent_for && seen.runs)
    reasons.push_back(reason(
        "silent",
        fmt::format("{}, which has it, has not been heard of for {}",
                    printable(seen.runs->node),
                    format_duration(std::chrono::floor<std::chrono::seconds>(
                        *seen.silent_for)))));
  if (!has_ended(job.state) && job.counts.running > seen.paused)
    reasons.push_back(reason(
        "runs",
        fmt::format("{} of {} tasks run", job.counts.running - seen.paused,
                    job.counts.tasks)));
  if (seen.paused > 0)
    reasons.push_back(reason(
        "paused", fmt::format("{} of {} tasks stand still; `troupe "
                              "resume {}` lets them go on",
                              seen.paused, job.counts.tasks, job.id.value)));
  const bool is_open = job.state == store::JobState::open;
  if (has_ended(job.state)) {
    reasons.push_back(reason(
        "ended", fmt::format("it has ended as {}", to_string(job.state))));
    if (job.state == store::JobState::skipped)
      explain_skipped(seen, reasons);
  } else if (is_open) {
    reasons.push_back(reason("open", "its arguments are still being added"));
  } else if (job.counts.waiting + job.counts.retrying > 0) {
    Json waiting = Json::array();
    explain_waiting(seen, now, steady_now, waiting);
    for (Json& one : waiting)
      reasons.push_back(std::move(one));
  }
  explain_where(seen, reasons);
  return {{"job", job.id.value},
          {"state", to_string(job.state)},
          {"reasons", reasons}};
}

}  // namespace troupe::node
