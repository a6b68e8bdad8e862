#include "run_view.hpp"

#include "run_lines.hpp"

#include <troupe/base/overload.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <map>

namespace troupe::cli {
namespace {

using workflow::JobState;
using workflow::RunResult;
using workflow::StepOutcome;

/// Failed steps that a summary tells about one by one, and lines of each.
constexpr std::size_t most_failures = 20;
constexpr std::size_t most_tail_lines = 20;
constexpr std::size_t longest_tail_line = 400;

struct Look {
  std::string_view symbol;
  std::string_view colour;  ///< As in ESC[..m.
};

Look look_of(JobState state) {
  switch (state) {
    case JobState::pending:
      return {"·", "2"};
    case JobState::ready:
      return {"○", "2"};
    case JobState::awaiting:
      return {"?", "33"};
    case JobState::running:
      return {"●", "36"};
    case JobState::succeeded:
      return {"✓", "32"};
    case JobState::failed:
    case JobState::timed_out:
      return {"✗", "31"};
    case JobState::cancelled:
      return {"!", "33"};
    case JobState::skipped:
      return {"-", "2"};
  }
  return {"?", "0"};
}

Look look_of(ServiceChanged::State state) {
  switch (state) {
    case ServiceChanged::State::starting:
      return {"◇", "2"};
    case ServiceChanged::State::ready:
      return {"◆", "36"};
    case ServiceChanged::State::ended:
      return {"◇", "2"};
    case ServiceChanged::State::lost:
      return {"✗", "31"};
  }
  return {"?", "0"};
}

/// What is shown first where not all fits.
int priority_of(JobState state) {
  switch (state) {
    case JobState::running:
      return 0;
    case JobState::awaiting:
      return 1;
    case JobState::failed:
    case JobState::timed_out:
      return 2;
    case JobState::cancelled:
      return 3;
    case JobState::ready:
      return 4;
    case JobState::pending:
      return 5;
    case JobState::succeeded:
      return 6;
    case JobState::skipped:
      return 7;
  }
  return 7;
}

std::string_view word_of(JobState state) {
  if (state == JobState::awaiting)
    return "awaiting approval";
  return state == JobState::timed_out ? "timed out"
                                      : workflow::to_string(state);
}

std::string_view word_of(RunResult result) {
  switch (result) {
    case RunResult::success:
      return "succeeded";
    case RunResult::failure:
      return "failed";
    case RunResult::cancelled:
      return "was cancelled";
  }
  return "ended";
}

std::string padded(std::string_view text, std::size_t columns) {
  std::string out = ellipsize(text, columns);
  const std::size_t width = display_width(out);
  if (width < columns)
    out.append(columns - width, ' ');
  return out;
}

/// The last lines of `tail`, each indented and safe to print.
std::string last_lines(std::string_view tail) {
  while (!tail.empty() && (tail.back() == '\n' || tail.back() == '\r'))
    tail.remove_suffix(1);
  std::vector<std::string_view> lines;
  while (!tail.empty() && lines.size() < most_tail_lines) {
    const std::size_t newline = tail.rfind('\n');
    const std::size_t start =
        newline == std::string_view::npos ? 0 : newline + 1;
    lines.push_back(tail.substr(start));
    tail = tail.substr(0, newline == std::string_view::npos ? 0 : newline);
  }
  std::string out;
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
    if (line->ends_with('\r'))
      line->remove_suffix(1);
    out +=
        fmt::format("    {}\n", ellipsize(printable(*line), longest_tail_line));
  }
  return out;
}

/// A line of the table.
std::string columns(const Look& look, std::string_view label,
                    std::string_view time, std::string_view text,
                    const FrameStyle& style) {
  constexpr std::size_t time_columns = 9;
  const std::size_t label_columns =
      std::clamp<std::size_t>(style.columns / 3, 8, 40);
  const std::string rest =
      ellipsize(fmt::format("{} {} {}", padded(printable(label), label_columns),
                            padded(time, time_columns), printable(text)),
                style.columns > 2 ? style.columns - 2 : 0);
  const std::string_view trimmed =
      std::string_view{rest}.substr(0, rest.find_last_not_of(' ') + 1);
  if (!style.colour)
    return fmt::format("{} {}", look.symbol, trimmed);
  return fmt::format("\x1b[{}m{}\x1b[0m {}", look.colour, look.symbol, trimmed);
}

/// Whole seconds are enough while somebody waits.
std::string elapsed(Duration value) {
  return format_duration(std::chrono::floor<std::chrono::seconds>(value));
}

}  // namespace

RunView::Row& RunView::row(const JobRef& job) {
  return rows_.at(static_cast<std::size_t>(job.instance.value - 1));
}

void RunView::forget_failures(workflow::InstanceId job) {
  std::erase_if(failures_, [job](const StepFinished& step) {
    return step.step.job.instance == job;
  });
  std::erase_if(failed_jobs_, [job](const JobChanged& failed) {
    return failed.job.instance == job;
  });
}

void RunView::apply(const RunEvent& event) {
  std::visit(Overload{[&](const RunStarted& e) {
                        run_ = e;
                        started_ = event.when;
                        for (const JobRef& job : e.jobs)
                          rows_.push_back({.job = job});
                      },
                      [&](const JobExpanded& e) {
                        for (const JobRef& job : e.jobs) {
                          if (job.instance.value <= rows_.size())
                            row(job).job = job;
                          else
                            rows_.push_back({.job = job});
                        }
                      },
                      [&](const JobChanged& e) {
                        Row& changed = row(e.job);
                        const bool ran = changed.state == JobState::running;
                        changed.state = e.state;
                        changed.note = e.reason;
                        // Started again with its group: forgive and forget.
                        if (e.state == JobState::pending)
                          forget_failures(e.job.instance);
                        if (e.state == JobState::running)
                          changed.started = event.when;
                        if (workflow::has_ended(e.state)) {
                          changed.ended = event.when;
                          if (!ran)
                            changed.started = event.when;
                          changed.step.clear();
                        }
                        const bool explained =
                            more_failures_ > 0 ||
                            std::any_of(failures_.begin(), failures_.end(),
                                        [&](const StepFinished& failure) {
                                          return failure.step.job.instance ==
                                                 e.job.instance;
                                        });
                        if ((e.state == JobState::failed ||
                             e.state == JobState::timed_out) &&
                            !explained && failed_jobs_.size() < most_failures)
                          failed_jobs_.push_back(e);
                      },
                      [&](const StepStarted& e) {
                        Row& changed = row(e.step.job);
                        changed.step = e.step.name;
                        changed.attempt = 1;
                        changed.attempts = e.attempts;
                      },
                      [&](const AttemptStarted& e) {
                        row(e.step.job).attempt = e.number;
                      },
                      [](const AttemptEnded&) {},
                      [&](const StepFinished& e) {
                        if (e.outcome != StepOutcome::failure || e.forgiven)
                          return;
                        if (failures_.size() < most_failures)
                          failures_.push_back(e);
                        else
                          ++more_failures_;
                      },
                      [](const GroupDecided&) {},
                      [&](const ServiceChanged& e) {
                        ServiceRow& changed = services_[e.service];
                        changed.state = e.state;
                        changed.since = event.when;
                        if (e.state == ServiceChanged::State::starting)
                          ++changed.starts;
                        changed.note = e.reason;
                      },
                      [](const Notice&) {},
                      [&](const RunEnded& e) {
                        result_ = e.result;
                        ended_ = event.when;
                      }},
             event.what);
}

std::string RunView::counts() const {
  constexpr std::array order{
      JobState::running, JobState::awaiting,  JobState::succeeded,
      JobState::failed,  JobState::timed_out, JobState::cancelled,
      JobState::skipped, JobState::ready,     JobState::pending};
  std::string out;
  for (const JobState state : order) {
    const auto count =
        std::count_if(rows_.begin(), rows_.end(), [&](const Row& r) {
          return r.state == state && !workflow::is_hook(r.job.job);
        });
    if (count > 0)
      out += fmt::format("{}{} {}", out.empty() ? "" : ", ", count,
                         word_of(state));
  }
  return out;
}

std::string RunView::headline(TimePoint now) const {
  const std::string name = ellipsize(printable(run_.workflow), 60);
  if (result_)
    return fmt::format("{} {} in {}: {}", name, word_of(*result_),
                       brief_duration(ended_ - started_), counts());
  return fmt::format("{} {}: {}", name, elapsed(now - started_), counts());
}

std::vector<std::size_t> RunView::rows_shown(std::size_t most) const {
  std::vector<std::size_t> shown = rows_in_order();
  if (shown.size() <= most)
    return shown;
  std::vector<std::size_t> places(shown.size());
  for (std::size_t place = 0; place < shown.size(); ++place)
    places[shown[place]] = place;
  std::stable_sort(
      shown.begin(), shown.end(), [this](std::size_t a, std::size_t b) {
        return priority_of(rows_[a].state) < priority_of(rows_[b].state);
      });
  shown.resize(most);
  std::sort(shown.begin(), shown.end(), [&](std::size_t a, std::size_t b) {
    return places[a] < places[b];
  });
  return shown;
}

std::vector<std::size_t> RunView::rows_in_order() const {
  std::map<std::size_t, std::vector<std::size_t>> called;  // By caller.
  std::vector<std::size_t> open;                           // The next one last.
  for (std::size_t i = rows_.size(); i-- > 0;) {
    const auto caller = static_cast<std::size_t>(rows_[i].job.caller.value);
    if (caller == 0)
      open.push_back(i);
    else
      called[caller - 1].push_back(i);
  }
  std::vector<std::size_t> order;
  while (!open.empty()) {
    const std::size_t i = open.back();
    open.pop_back();
    order.push_back(i);
    if (const auto below = called.find(i); below != called.end())
      open.insert(open.end(), below->second.begin(), below->second.end());
  }
  return order;
}

std::string RunView::line(const Row& row, const FrameStyle& style,
                          TimePoint now) {
  const Look look = look_of(row.state);
  std::string text;
  if (row.state == JobState::running) {
    text = row.step;
    if (row.attempts > 1)
      text =
          fmt::format("{} (attempt {} of {})", text, row.attempt, row.attempts);
  } else if (row.state == JobState::awaiting) {
    text = row.note;
  } else if (workflow::has_ended(row.state)) {
    text =
        row.state == JobState::succeeded ? "" : std::string{word_of(row.state)};
    if (!row.note.empty())
      text += fmt::format("{}{}", text.empty() ? "" : ": ", row.note);
  }
  std::string time;
  if (row.state == JobState::running)
    time = elapsed(now - row.started);
  else if (workflow::has_ended(row.state) && row.ended != row.started)
    time = brief_duration(row.ended - row.started);
  return columns(look, row.job.label, time, text, style);
}

std::string RunView::line(const std::string& name, const ServiceRow& row,
                          const FrameStyle& style, TimePoint now) {
  using State = ServiceChanged::State;
  const bool is_there =
      row.state == State::starting || row.state == State::ready;
  std::string text = fmt::format("service, {}", to_string(row.state));
  if (row.starts > 1)
    text += fmt::format(" (start {})", row.starts);
  if (!row.note.empty())
    text += ": " + row.note;
  return columns(look_of(row.state), name,
                 is_there ? elapsed(now - row.since) : "", text, style);
}

std::vector<std::string> RunView::frame(const FrameStyle& style,
                                        TimePoint now) const {
  // One line for the run, one for the cursor below it, one for what is left
  // out.
  const std::size_t room = style.rows > 4 ? style.rows - 3 : 1;
  const std::size_t services = std::min(services_.size(), room / 3);
  const auto shown = rows_shown(room - services);
  std::vector<std::string> lines;
  lines.push_back(ellipsize(headline(now), style.columns));
  for (const std::size_t i : shown)
    lines.push_back(line(rows_[i], style, now));
  if (shown.size() < rows_.size())
    lines.push_back(
        ellipsize(fmt::format("  and {} more", rows_.size() - shown.size()),
                  style.columns));
  std::size_t left = services;
  for (const auto& [name, row] : services_) {
    if (left-- == 0)
      break;
    lines.push_back(line(name, row, style, now));
  }
  return lines;
}

std::string RunView::summary() const {
  std::string out;
  for (const JobChanged& job : failed_jobs_)
    out += fmt::format("\n{} {}{}\n", title_of(job.job), word_of(job.state),
                       job.reason.empty() ? "" : ": " + printable(job.reason));
  for (const StepFinished& step : failures_) {
    out += fmt::format("\n{}, step \"{}\": {}\n", title_of(step.step.job),

                       printable(step.step.name), printable(step.reason));
    out += last_lines(step.tail);
    if (!step.log.empty())
      out += fmt::format("  log: {}\n", printable(step.log));
  }
  if (more_failures_ > 0)
    out += fmt::format("\nand {} more failed step{}\n", more_failures_,
                       more_failures_ == 1 ? "" : "s");
  const std::string_view how = result_ ? word_of(*result_) : "goes on";
  out += fmt::format("{}run {} {} in {}: {}\n", out.empty() ? "" : "\n",
                     run_.run_id, how, brief_duration(ended_ - started_),
                     counts());
  if (result_ && *result_ != RunResult::success)
    out += fmt::format("logs: {}\n", printable(run_.folder));
  return out;
}

std::string FramePainter::draw(const std::vector<std::string>& lines) {
  if (lines == drawn_ && !lines.empty())
    return {};
  std::string out;
  if (!cursor_hidden_)
    out += "\x1b[?25l";
  cursor_hidden_ = true;
  if (!drawn_.empty())
    out += fmt::format("\x1b[{}A", drawn_.size());
  for (const std::string& line : lines)
    out += fmt::format("\r{}\x1b[K\n", line);
  if (drawn_.size() > lines.size())
    out += "\x1b[J";
  drawn_ = lines;
  return out;
}

std::string FramePainter::erase() {
  if (drawn_.empty())
    return {};
  const std::size_t lines = drawn_.size();
  drawn_.clear();
  return fmt::format("\x1b[{}A\r\x1b[J", lines);
}

std::string FramePainter::finish() {
  drawn_.clear();
  if (!cursor_hidden_)
    return {};
  cursor_hidden_ = false;
  return "\x1b[?25h";
}

}  // namespace troupe::cli
