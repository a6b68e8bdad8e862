#include "insights_view.hpp"

#include <troupe/base/overload.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/base/time.hpp>

#include <cmath>
#include <fmt/format.h>
#include <string_view>
#include <variant>

namespace troupe::cli {
namespace {

using Json = nlohmann::ordered_json;
using workflow::Finding;
using workflow::Flaky;
using workflow::Insights;
using workflow::Outlier;
using workflow::PathPart;
using workflow::Queueing;
using workflow::Repeated;
using workflow::Unneeded;

/// What is known of a step for which there is no more to say than its job.
constexpr std::string_view only_step = "run";

/// As wide as times get, so that what follows stands in one column.
constexpr std::size_t time_width = 8;

std::string percent(std::size_t part, std::size_t whole) {
  return fmt::format("{}%", whole == 0 ? 0 : (part * 100 + whole / 2) / whole);
}

std::string name_of(const std::string& job, const std::string& step) {
  return printable(step.empty() || step == only_step ? job : job + "/" + step);
}

std::string sources_text(const InsightSources& sources) {
  const std::string records = fmt::format("{} of troupe run", sources.records);
  return sources.of_node
             ? fmt::format("{} and {} of the node", records, *sources.of_node)
             : records + "; no node answers";
}

std::string path_text(const PathPart& part) {
  return fmt::format("  {:>4}  {:<{}}  {:<4}  {}{}\n",
                     fmt::format("{}%", std::lround(part.share * 100)),
                     rough_duration(part.mean), time_width, part.runs,
                     name_of(part.job, part.step),
                     part.step.empty() ? ": waiting for a place" : "");
}

std::string finding_text(const Queueing& q) {
  std::string text = fmt::format(
      "jobs were ready and waited for a place in {}: {} a run in all",
      counted(q.runs, "run"), rough_duration(q.of_all));
  if (q.of_job < q.of_all)
    text += fmt::format(", {} of it {}", rough_duration(q.of_job),
                        printable(q.job));
  return text;
}

std::string finding_text(const Flaky& f) {
  std::string text = fmt::format(
      "{} is flaky: {} of {} failed ({})", name_of(f.job, f.step), f.failures,
      counted(f.tries, "attempt"), percent(f.failures, f.tries));
  if (f.recovered > 0)
    text += fmt::format("; in {} it failed first and then succeeded",
                        counted(f.recovered, "run"));
  if (f.changes > 1)
    text += fmt::format(
        "; from run to run the same command changed {} between success and "
        "failure",
        counted(f.changes, "time"));
  return text;
}

std::string finding_text(const Unneeded& u) {
  return fmt::format(
      "{0} waits for {1} and uses no output of it: unless it needs the files "
      "of {1}, both can run at the same time",
      printable(u.job), printable(u.need));
}

std::string finding_text(const Repeated& r) {
  return fmt::format(
      "{} succeeded {} with one and the same command, which took {} in all: if "
      "it reads the same files, too, its result can be kept",
      name_of(r.job, r.step), counted(r.times, "time"),
      rough_duration(r.total));
}

std::string finding_text(const Outlier& o) {
  return fmt::format("{} took {} in the last run, {} in the {} before (median)",
                     name_of(o.label, o.step), rough_duration(o.took),
                     rough_duration(o.typical), counted(o.runs, "run"));
}

Json seconds_or_null(const std::optional<Duration>& duration) {
  return duration ? Json(in_seconds(*duration)) : Json();
}

Json json_of(const Queueing& q) {
  return {{"kind", "queueing"},
          {"job", to_utf8(q.job)},
          {"job_s", in_seconds(q.of_job)},
          {"all_s", in_seconds(q.of_all)},
          {"runs", q.runs}};
}

Json json_of(const Flaky& f) {
  return {{"kind", "flaky"},         {"job", to_utf8(f.job)},
          {"step", to_utf8(f.step)}, {"attempts", f.tries},
          {"failures", f.failures},  {"recovered_runs", f.recovered},
          {"changes", f.changes}};
}

Json json_of(const Unneeded& u) {
  return {
      {"kind", "parallel"}, {"job", to_utf8(u.job)}, {"need", to_utf8(u.need)}};
}

Json json_of(const Repeated& r) {
  return {{"kind", "cache"},
          {"job", to_utf8(r.job)},
          {"step", to_utf8(r.step)},
          {"times", r.times},
          {"total_s", in_seconds(r.total)}};
}

Json json_of(const Outlier& o) {
  return {{"kind", "outlier"},
          {"job", to_utf8(o.job)},
          {"label", to_utf8(o.label)},
          {"step", to_utf8(o.step)},
          {"took_s", in_seconds(o.took)},
          {"median_s", in_seconds(o.typical)},
          {"runs", o.runs}};
}

}  // namespace

std::string describe_insights(const InsightSources& sources,
                              const Insights& insights) {
  std::string out =
      fmt::format("{}: {} ({})\n", printable(sources.file),
                  counted(insights.runs, "run"), sources_text(sources));
  if (insights.runs == 0)
    return out;
  out += fmt::format("  {} succeeded ({})", insights.succeeded,
                     percent(insights.succeeded, insights.runs));
  if (insights.failed > 0)
    out += fmt::format(", {} failed", insights.failed);
  if (insights.cancelled > 0)
    out += fmt::format(", {} cancelled", insights.cancelled);
  out += '\n';
  if (insights.median && insights.ninetieth)
    out += fmt::format("  half of them took at most {}, nine of ten {}\n",
                       rough_duration(*insights.median),
                       rough_duration(*insights.ninetieth));
  if (!insights.path.empty()) {
    out += fmt::format(
        "\nwhat decided when they ended, in the mean of {}\n"
        "  SHARE {:<{}}  RUNS  STEP\n",
        counted(insights.timed, "run"), "TIME", time_width);
    for (const PathPart& part : insights.path)
      out += path_text(part);
  }
  if (!insights.has_enough_runs)
    return out + fmt::format("\nto find more takes at least {} runs\n",
                             workflow::fewest_runs);
  if (insights.findings.empty())
    return out + "\nnothing was found that would make runs end earlier\n";
  out += "\nwhat would make runs end earlier, and by how much at most\n";
  for (const Finding& finding : insights.findings)
    out += fmt::format(
        "  {:<{}}  {}\n", rough_duration(finding.saves), time_width,
        std::visit([](const auto& what) { return finding_text(what); },
                   finding.what));
  return out;
}

Json insights_to_json(const InsightSources& sources, const Insights& insights) {
  Json json{{"file", to_utf8(sources.file)},
            {"runs", insights.runs},
            {"runs_of_troupe_run", sources.records},
            {"runs_of_node", sources.of_node ? Json(*sources.of_node) : Json()},
            {"succeeded", insights.succeeded},
            {"failed", insights.failed},
            {"cancelled", insights.cancelled},
            {"success_rate",
             insights.runs == 0 ? Json()
                                : Json(static_cast<double>(insights.succeeded) /
                                       static_cast<double>(insights.runs))},
            {"timed_runs", insights.timed},
            {"median_s", seconds_or_null(insights.median)},
            {"ninetieth_percentile_s", seconds_or_null(insights.ninetieth)},
            {"critical_path", Json::array()},
            {"has_enough_runs", insights.has_enough_runs},
            {"findings", Json::array()}};
  for (const PathPart& part : insights.path)
    json["critical_path"].push_back(
        {{"job", to_utf8(part.job)},
         {"step", part.step.empty() ? Json() : Json(to_utf8(part.step))},
         {"runs", part.runs},
         {"mean_s", in_seconds(part.mean)},
         {"share", part.share}});
  for (const Finding& finding : insights.findings) {
    Json one{{"saves_s", in_seconds(finding.saves)}};
    one.update(std::visit([](const auto& what) { return json_of(what); },
                          finding.what));
    one["text"] = to_utf8(std::visit(
        [](const auto& what) { return finding_text(what); }, finding.what));
    json["findings"].push_back(std::move(one));
  }
  return json;
}

}  // namespace troupe::cli
