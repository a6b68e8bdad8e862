#include "data_use.hpp"
#include "run_timeline.hpp"

#include <troupe/workflow/insights.hpp>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

namespace troupe::workflow {
namespace {

/// A finding that could save less than this part of a run is not worth a look.
constexpr double least_share = 0.02;

/// Bounds on running runs once more in mind: of runs, of stretches in all of
/// them together, and of what is tried.
constexpr std::size_t most_simulated_runs = 20;
constexpr std::size_t most_simulated_stretches = 50'000;
constexpr std::size_t most_candidates = 32;

using StepName = std::pair<std::string, std::string>;  ///< Job and step.

/// One and the same step of one variant.
using StepPlace = std::tuple<std::string, std::string, std::string>;

StepPlace place_of(const PastJob& job, const PastStep& step) {
  return {job.job, job.label, step.step};
}

StepName name_of(const StepPlace& place) {
  return {std::get<0>(place), std::get<2>(place)};
}

bool is_end(StepOutcome outcome) {
  return outcome == StepOutcome::success || outcome == StepOutcome::failure;
}

Duration per(Duration sum, std::size_t count) {
  return count == 0 ? Duration{0} : sum / static_cast<Duration::rep>(count);
}

/// By the nearest rank.
std::optional<Duration> percentile(std::vector<Duration> values,
                                   std::size_t percent) {
  if (values.empty())
    return std::nullopt;
  std::sort(values.begin(), values.end());
  const std::size_t rank = (values.size() * percent + 99) / 100;
  return values[std::max<std::size_t>(rank, 1) - 1];
}

Duration took(const PastStep& step) {
  return step.last_attempt > Duration{0} ? step.last_attempt : step.took;
}

class Look {
 public:
  Look(const Workflow& workflow, std::span<const PastRun> newest_first)
      : workflow_{workflow}, runs_{newest_first}, needs_{needs_of(workflow)} {
    for (const PastRun& run : runs_) {
      if (run.result == RunResult::success && !run.was_retried)
        timelines_.emplace_back(workflow, run);
    }
    paths_.reserve(timelines_.size());
    for (const Timeline& timeline : timelines_)
      paths_.push_back(timeline.critical_path());
    std::size_t stretches = 0;
    for (const Timeline& timeline : timelines_) {
      stretches += timeline.stretches().size();
      if (simulated_ == most_simulated_runs ||
          (simulated_ != 0 && stretches > most_simulated_stretches))
        break;
      ++simulated_;
    }
  }

  Insights all() {
    count();
    add_path();
    insights_.has_enough_runs = runs_.size() >= fewest_runs;
    if (!insights_.has_enough_runs)
      return std::move(insights_);
    find_queueing();
    find_flaky();
    find_unneeded();
    find_repeated();
    find_outliers();
    std::stable_sort(
        insights_.findings.begin(), insights_.findings.end(),
        [](const Finding& a, const Finding& b) { return a.saves > b.saves; });
    return std::move(insights_);
  }

 private:
  void count() {
    std::vector<Duration> lengths;
    for (const PastRun& run : runs_) {
      ++insights_.runs;
      insights_.succeeded += run.result == RunResult::success ? 1 : 0;
      insights_.failed += run.result == RunResult::failure ? 1 : 0;
      insights_.cancelled += run.result == RunResult::cancelled ? 1 : 0;
    }
    for (const Timeline& timeline : timelines_) {
      lengths.push_back(timeline.length());
      all_time_ += timeline.length();
    }
    insights_.timed = timelines_.size();
    insights_.median = percentile(lengths, 50);
    insights_.ninetieth = percentile(lengths, 90);
  }

  void add_path() {
    struct Sum {
      std::set<std::size_t> runs;
      Duration time{0};
      Duration offset{0};  ///< From the start of the run.
      std::size_t stretches = 0;
    };
    std::map<StepName, Sum> sums;
    for (std::size_t r = 0; r < timelines_.size(); ++r) {
      const auto add = [&](const StepName& name, Duration time,
                           Duration offset) {
        Sum& sum = sums[name];
        sum.runs.insert(r);
        sum.time += time;
        sum.offset += offset;
        ++sum.stretches;
      };
      for (const std::size_t i : paths_[r]) {
        const Stretch& stretch = timelines_[r].stretches()[i];
        if (const Duration waited = stretch.waited(); waited > Duration{0})
          add({stretch.past->job, ""}, waited, stretch.ready);
        Duration offset = stretch.start;
        for (const PastStep* const step : stretch.steps()) {
          add({stretch.past->job, step->step}, step->took - step->waited,
              offset);
          offset += step->took;
        }
      }
    }
    std::vector<std::pair<Duration, PathPart>> parts;
    for (const auto& [name, sum] : sums) {
      PathPart part{.job = name.first, .step = name.second};
      part.runs = sum.runs.size();
      part.mean = per(sum.time, timelines_.size());
      part.share = all_time_ == Duration{0}
                       ? 0
                       : static_cast<double>(sum.time.count()) /
                             static_cast<double>(all_time_.count());
      parts.emplace_back(per(sum.offset, sum.stretches), std::move(part));
    }
    std::stable_sort(
        parts.begin(), parts.end(),
        [](const auto& a, const auto& b) { return a.first < b.first; });
    for (auto& [offset, part] : parts)
      insights_.path.push_back(std::move(part));
  }

  [[nodiscard]] bool is_worth_it(Duration saves) const {
    return static_cast<double>(saves.count()) >=
               least_share *
                   static_cast<double>(
                       insights_.median.value_or(Duration{1}).count()) &&
           saves > Duration{0};
  }

  void find_queueing() {
    Duration on_paths{0};
    Duration of_all{0};
    std::size_t runs = 0;
    std::map<std::string, Duration> by_job;
    for (std::size_t r = 0; r < timelines_.size(); ++r) {
      Duration on_path{0};
      for (const std::size_t i : paths_[r])
        on_path += timelines_[r].stretches()[i].waited();
      on_paths += on_path;
      if (on_path > Duration{0})
        ++runs;
      for (const Stretch& stretch : timelines_[r].stretches()) {
        of_all += stretch.waited();
        by_job[stretch.past->job] += stretch.waited();
      }
    }
    const Duration saves = per(on_paths, timelines_.size());
    if (!is_worth_it(saves))
      return;
    const auto most = std::max_element(
        by_job.begin(), by_job.end(),
        [](const auto& a, const auto& b) { return a.second < b.second; });
    insights_.findings.push_back(
        {saves, Queueing{.job = most->first,
                         .of_job = per(most->second, timelines_.size()),
                         .of_all = per(of_all, timelines_.size()),
                         .runs = runs}});
  }

  void find_flaky() {
    struct Sum {
      Flaky flaky;
      Duration lost_to_retries{0};
      Duration lost_to_failures{0};
      std::size_t successes = 0;
    };
    std::map<StepName, Sum> sums;
    /// How each command of a step has ended, the last run first.
    std::map<std::pair<StepPlace, std::string>, std::vector<bool>> ends;
    for (const PastRun& run : runs_) {
      std::set<StepName> recovered;
      for (const PastJob& job : run.jobs) {
        std::map<StepPlace, const PastStep*> last;
        std::map<StepPlace, Duration> failed;  // Before that.
        for (const PastStep& step : job.steps) {
          if (!is_end(step.outcome))
            continue;
          const StepPlace place = place_of(job, step);
          Sum& sum = sums[name_of(place)];
          const std::size_t tries = std::max<std::uint32_t>(1, step.attempts);
          const bool is_good = step.outcome == StepOutcome::success;
          sum.flaky.tries += tries;
          sum.flaky.failures += is_good ? tries - 1 : tries;
          last[place] = &step;
          if (!is_good) {
            failed[place] += step.took;
            continue;
          }
          if (tries > 1)
            failed[place] += std::max(Duration{0}, step.took - took(step));
          if (tries > 1 || failed.contains(place)) {
            recovered.insert(name_of(place));
            sum.lost_to_retries += failed[place];
            failed.erase(place);
          }
        }
        for (const auto& [place, step] : last) {
          const bool is_good = step->outcome == StepOutcome::success;
          Sum& sum = sums[name_of(place)];
          sum.successes += is_good ? 1 : 0;
          if (!is_good)
            sum.lost_to_failures += failed[place];
          if (!step->command.empty())
            ends[{place, step->command}].push_back(is_good);
        }
      }
      for (const StepName& name : recovered)
        ++sums[name].flaky.recovered;
    }
    for (const auto& [command, results] : ends) {
      std::size_t changes = 0;
      for (std::size_t i = 1; i < results.size(); ++i) {
        if (results[i] != results[i - 1])
          ++changes;
      }
      Flaky& flaky = sums[name_of(command.first)].flaky;
      flaky.changes = std::max(flaky.changes, changes);
    }
    for (auto& [name, sum] : sums) {
      // One change is a defect that came or that was repaired.
      const bool is_moody = sum.flaky.changes > 1;
      if (sum.successes == 0 || (sum.flaky.recovered == 0 && !is_moody))
        continue;
      sum.flaky.job = name.first;
      sum.flaky.step = name.second;
      const Duration lost =
          sum.lost_to_retries + (is_moody ? sum.lost_to_failures : Duration{0});
      insights_.findings.push_back(
          {per(lost, runs_.size()), std::move(sum.flaky)});
    }
  }

  /// How much earlier runs would have ended, in the mean.
  [[nodiscard]] Duration saved(
      const Needs& needs,
      const std::function<Duration(const Stretch&)>& length_of) {
    const auto as_it_was = [](const Stretch& stretch) {
      return stretch.end - stretch.start;
    };
    while (simulated_lengths_.size() < simulated_)
      simulated_lengths_.push_back(
          timelines_[simulated_lengths_.size()].simulate(needs_, as_it_was));
    Duration sum{0};
    for (std::size_t r = 0; r < simulated_; ++r)
      sum += simulated_lengths_[r] -
             timelines_[r].simulate(needs, length_of ? length_of : as_it_was);
    return std::max(Duration{0}, per(sum, simulated_));
  }

  void find_unneeded() {
    // Only what a path has waited for can make a run shorter.
    std::map<std::pair<std::size_t, std::size_t>, std::size_t> waits;
    for (std::size_t r = 0; r < timelines_.size(); ++r) {
      const auto& path = paths_[r];
      for (std::size_t i = 1; i < path.size(); ++i) {
        const auto& job = timelines_[r].stretches()[path[i]].job;
        const auto& need = timelines_[r].stretches()[path[i - 1]].job;
        if (job && need && can_do_without(*job, *need))
          ++waits[{*job, *need}];
      }
    }
    for (const auto& [job, need] : most_frequent(waits)) {
      const Duration saves = saved(without(needs_, job, need), {});
      if (is_worth_it(saves))
        insights_.findings.push_back(
            {saves, Unneeded{.job = workflow_.jobs[job].id,
                             .need = workflow_.jobs[need].id}});
    }
  }

  [[nodiscard]] bool can_do_without(std::size_t job, std::size_t need) const {
    const Job& waiting = workflow_.jobs[job];
    const bool is_plain = std::any_of(
        waiting.needs.begin(), waiting.needs.end(), [&](const Need& one) {
          return one.job == need && one.when == When::succeeded;
        });
    return is_plain && !uses_what_is_handed_on(waiting, workflow_.jobs[need]);
  }

  template <class Key>
  static std::vector<Key> most_frequent(
      const std::map<Key, std::size_t>& counts) {
    std::vector<std::pair<std::size_t, Key>> sorted;
    for (const auto& [key, count] : counts)
      sorted.emplace_back(count, key);
    std::stable_sort(
        sorted.begin(), sorted.end(),
        [](const auto& a, const auto& b) { return a.first > b.first; });
    std::vector<Key> keys;
    for (std::size_t i = 0; i < std::min(sorted.size(), most_candidates); ++i)
      keys.push_back(sorted[i].second);
    return keys;
  }

  /// Not what has a cache already, nor what only moves files.
  [[nodiscard]] bool may_be_cached(const StepName& name) const {
    for (const Job& job : workflow_.jobs) {
      for (std::size_t s = 0; job.id == name.first && s < job.steps.size(); ++s)
        if (step_key(job, s) == name.second)
          return !job.steps[s].cache && !job.steps[s].transfer;
    }
    return true;
  }

  void find_repeated() {
    std::map<StepName, std::size_t> on_path;
    for (std::size_t r = 0; r < timelines_.size(); ++r) {
      for (const std::size_t i : paths_[r]) {
        const Stretch& stretch = timelines_[r].stretches()[i];
        for (const PastStep* const step : stretch.steps())
          ++on_path[{stretch.past->job, step->step}];
      }
    }
    const auto repeated = count_repeated();
    std::erase_if(on_path, [&](const auto& step) {
      const auto found = repeated.steps.find(step.first);
      return found == repeated.steps.end() ||
             found->second.times < fewest_runs || !may_be_cached(step.first);
    });
    for (const StepName& name : most_frequent(on_path)) {
      const auto without_it = [&](const Stretch& stretch) {
        Duration length = stretch.end - stretch.start;
        for (const PastStep* const step : stretch.steps()) {
          if (stretch.past->job == name.first && step->step == name.second &&
              repeated.is_same(*stretch.past, *step))
            length -= step->took;
        }
        return length;
      };
      const Duration saves = saved(needs_, without_it);
      if (is_worth_it(saves))
        insights_.findings.push_back({saves, repeated.steps.at(name)});
    }
  }

  /// Which steps did the same again, as in the last run that had them.
  struct Repetitions {
    std::map<StepPlace, std::string> commands;  ///< Of that run.
    std::map<StepName, Repeated> steps;         ///< The rarest variant counts.

    [[nodiscard]] bool is_same(const PastJob& job, const PastStep& step) const {
      const auto found = commands.find(place_of(job, step));
      return found != commands.end() && found->second == step.command;
    }
  };

  [[nodiscard]] Repetitions count_repeated() const {
    Repetitions all;
    std::map<StepPlace, std::pair<std::size_t, Duration>> same;
    for (const PastRun& run : runs_) {
      for (const PastJob& job : run.jobs) {
        for (const PastStep& step : job.steps) {
          if (step.outcome != StepOutcome::success || step.command.empty())
            continue;
          const StepPlace place = place_of(job, step);
          all.commands.try_emplace(place, step.command);
          if (!all.is_same(job, step))
            continue;
          ++same[place].first;
          same[place].second += took(step);
        }
      }
    }
    for (const auto& [place, count] : same) {
      const StepName name = name_of(place);
      const auto [found, is_new] =
          all.steps.try_emplace(name, Repeated{.job = name.first,
                                               .step = name.second,
                                               .times = count.first,
                                               .total = count.second});
      if (is_new)
        continue;
      found->second.times = std::min(found->second.times, count.first);
      found->second.total += count.second;
    }
    return all;
  }

  void find_outliers() {
    std::map<StepPlace, std::vector<Duration>> before;
    for (const PastRun& run : runs_.subspan(1)) {
      for (const PastJob& job : run.jobs) {
        for (const PastStep& step : job.steps) {
          if (step.outcome == StepOutcome::success)
            before[place_of(job, step)].push_back(took(step));
        }
      }
    }
    for (const PastJob& job : runs_.front().jobs) {
      for (const PastStep& step : job.steps) {
        const auto& known = before[place_of(job, step)];
        if (step.outcome != StepOutcome::success || known.size() < fewest_runs)
          continue;
        const Duration typical = *percentile(known, 50);
        const Duration longer = took(step) - typical;
        if (took(step) <= outlier_factor * typical || longer < start_cost)
          continue;
        insights_.findings.push_back({longer, Outlier{.job = job.job,
                                                      .label = job.label,
                                                      .step = step.step,
                                                      .took = took(step),
                                                      .typical = typical,
                                                      .runs = known.size()}});
      }
    }
  }

  const Workflow& workflow_;
  std::span<const PastRun> runs_;
  Needs needs_;
  std::vector<Timeline> timelines_;  ///< Of runs that tell of times.
  std::vector<std::vector<std::size_t>> paths_;  ///< Of each of these.
  std::size_t simulated_ = 0;  ///< How many of the first of these.
  std::vector<Duration> simulated_lengths_;
  Duration all_time_{0};
  Insights insights_;
};

}  // namespace

Insights look_into(const Workflow& workflow,
                   std::span<const PastRun> newest_first) {
  return Look{workflow, newest_first}.all();
}

}  // namespace troupe::workflow
