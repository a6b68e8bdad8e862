#include "step_end.hpp"

#include "job_json.hpp"

#include <troupe/base/owned_fd.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/process/output_record.hpp>
#include <troupe/queue/dispatcher_actor.hpp>

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace troupe::node {
namespace {

using actors::OutcomeKind;

OutcomeKind to_kind(store::Outcome outcome) {
  switch (outcome) {
    case store::Outcome::success:
      return OutcomeKind::success;
    case store::Outcome::failed:
      return OutcomeKind::failed;
    case store::Outcome::timed_out:
      return OutcomeKind::timed_out;
    case store::Outcome::cancelled:
    case store::Outcome::skipped:
      return OutcomeKind::cancelled;
    case store::Outcome::lost:
      return OutcomeKind::lost;
  }
  return OutcomeKind::failed;
}

Result<std::string> read_bounded(int fd, std::size_t most) {
  std::string text;
  std::array<char, 16 << 10> buffer;
  while (true) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return tl::unexpected(system_error("cannot read them", errno));
    if (got == 0)
      return text;
    if (text.size() + static_cast<std::size_t>(got) > most)
      return failure(Errc::overloaded,
                     fmt::format("more than {}", format_size(most)));
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace

Result<workflow::Outputs> read_outputs(const std::string& path) {
  const OwnedFd file{
      ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC)};
  if (!file.is_open()) {
    if (errno == ENOENT)
      return workflow::Outputs{};
    return tl::unexpected(system_error("cannot read them", errno));
  }
  struct stat info {};
  if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode))
    return failure(Errc::invalid_argument, "not a file any more");
  const auto text = read_bounded(file.get(), workflow::largest_output_file);
  if (!text)
    return tl::unexpected(text.error());
  // They are kept as text.
  if (!is_utf8(*text))
    return failure(Errc::invalid_argument, "not UTF-8");
  return workflow::parse_outputs(*text);
}

Result<void> add_recorded(const std::vector<workflow::PrintedOutput>& wanted,
                          const std::string& path, workflow::Outputs& outputs) {
  if (wanted.empty())
    return {};
  std::string text;
  auto record = process::RecordReader::open(path);
  // Nothing was printed if there is none.
  if (!record && record.error().code != Errc::not_found)
    return tl::unexpected(std::move(record.error()));
  while (record && text.size() <= workflow::most_printed) {
    const auto frame = record->next();
    if (!frame)
      return tl::unexpected(frame.error());
    if (!*frame)
      break;
    if ((*frame)->kind == process::RecordKind::gap)
      return failure(Errc::overloaded,
                     "not all that the command has printed was kept");
    if ((*frame)->kind == process::RecordKind::out)
      text += (*frame)->bytes;
  }
  workflow::Outputs taken;
  if (auto added = workflow::add_printed(wanted, text, taken); !added)
    return added;
  for (auto& [name, value] : taken) {
    // They are kept as text.
    if (!is_utf8(value))
      return failure(Errc::invalid_argument,
                     fmt::format("{}: not UTF-8", name));
    std::erase_if(outputs, [&](const auto& old) { return old.first == name; });
    outputs.emplace_back(name, std::move(value));
  }
  return {};
}

std::string read_handed_on(const queue::EndFiles& files) {
  Json json = Json::object();
  const auto outputs = read_outputs(files.outputs);
  if (outputs)
    json["outputs"] = *outputs;
  else
    json["error"] = outputs.error().what;
  workflow::Outputs taken;
  const auto printed = decode_printed(files.printed);
  const auto added = printed ? add_recorded(*printed, files.record, taken)
                             : tl::unexpected(printed.error());
  if (!added)
    json["printed_error"] = added.error().what;
  else if (!taken.empty())
    json["printed"] = taken;
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<workflow::Outputs> outputs_in(const std::string& handed_on,
                                     bool has_succeeded) {
  try {
    const Json json = Json::parse(handed_on);
    const char* const wrong = json.contains("error") ? "error"
                              : has_succeeded && json.contains("printed_error")
                                  ? "printed_error"
                                  : nullptr;
    if (wrong != nullptr)
      return failure(Errc::invalid_argument, json.at(wrong).get<std::string>());
    auto outputs = json.at("outputs").get<workflow::Outputs>();
    if (!has_succeeded)
      return outputs;
    for (auto& [name, value] : json.value("printed", workflow::Outputs{})) {
      std::erase_if(outputs,
                    [&](const auto& old) { return old.first == name; });
      outputs.emplace_back(name, std::move(value));
    }
    return outputs;
  } catch (const Json::exception& error) {
    return failure(Errc::corrupt, error.what());
  }
}

Result<std::optional<RunStepEnded>> look_at_end(
    store::Store& store, store::JobId job, const StepKey& step,
    const std::vector<workflow::PrintedOutput>& printed,
    const std::string& output_folder) {
  const auto info = store.job(job);
  if (!info)
    return tl::unexpected(info.error());
  if (!info->ended)
    return std::nullopt;
  const auto results = store.results(job, 0, 1);
  if (!results)
    return tl::unexpected(results.error());
  if (results->empty())
    return failure(Errc::corrupt, fmt::format("job {} has ended without a "
                                              "result",
                                              job.value));
  const store::TaskResult& result = results->front();
  RunStepEnded ended{
      .step = step,
      .job = job,
      .kind = to_kind(result.outcome),
      .exit_status = result.exit_status == store::unknown_exit_status
                         ? 0
                         : result.exit_status,
      .attempts = result.attempt,
      .ended = result.at};
  if (const auto unknown = unknown_end(result)) {
    ended.why = unknown->why;
    ended.node = unknown->node;
    return ended;
  }
  const Json detail =
      Json::parse(result.detail, nullptr, /*allow_exceptions=*/false);
  if (detail.is_object()) {
    ended.node = queue::node_in(result.detail);
    ended.home = queue::home_in(result.detail);
    ended.why = detail.value("cause", "");
    ended.causes = causes_from_json(detail.value("causes", Json::array()));
    ended.took = std::chrono::duration_cast<Duration>(
        std::chrono::duration<double, std::milli>(
            detail.value("wall_ms", 0.0)));
  }
  if (result.attempt == 0)
    return ended;
  const store::AttemptRef attempt{{job, 0}, result.attempt};
  const auto handed_on = queue::handed_on_in(result.detail);
  auto outputs =
      handed_on ? outputs_in(*handed_on, ended.kind == OutcomeKind::success)
                : read_outputs(queue::outputs_path(output_folder, attempt));
  if (!handed_on && outputs && ended.kind == OutcomeKind::success) {
    if (auto added = add_recorded(
            printed, queue::record_path(output_folder, attempt), *outputs);
        !added)
      outputs = tl::unexpected(std::move(added.error()));
  }
  if (outputs) {
    ended.outputs = std::move(*outputs);
  } else if (ended.kind == OutcomeKind::success) {
    // One that has failed anyway has said why itself.
    ended.kind = OutcomeKind::failed;
    ended.why = fmt::format("its outputs: {}", outputs.error().what);
  }
  return ended;
}

}  // namespace troupe::node
