#include "job_submission.hpp"

#include "job_json.hpp"

#include <troupe/base/text.hpp>

#include <fmt/format.h>
#include <utility>

namespace troupe::cli {
namespace {

using api::Json;

/// A job that is no larger goes in one call, and no one can see half of it. The
/// rest of the body, mostly the environment, has to fit beside it.
constexpr std::size_t most_whole_bytes = 256 << 10;

/// How long `text` is as JSON, with quotes and a comma.
std::size_t json_size(std::string_view text) {
  std::size_t size = 3;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20)
      size += 6;
    else
      size += c == '"' || c == '\\' ? 2 : 1;
  }
  return size;
}

/// Takes records from a reader, a chunk at a time.
class Chunks {
 public:
  explicit Chunks(fanout::RecordReader& records) : records_{records} {}

  /// Fills the next chunk; an empty one is the end.
  Result<Json> next() {
    Json arguments = Json::array();
    bytes_ = 0;
    while (!at_end_ && arguments.size() < most_chunk_arguments) {
      auto record = next_record();
      if (!record)
        return tl::unexpected{std::move(record.error())};
      if (!*record)
        break;
      const std::size_t size = json_size(**record);
      if (!arguments.empty() && bytes_ + size > most_chunk_bytes) {
        kept_ = std::move(*record);
        break;
      }
      bytes_ += size;
      arguments.push_back(std::move(**record));
    }
    return arguments;
  }

  /// Whether the last chunk ends the records and is small.
  [[nodiscard]] bool was_small() const {
    return at_end_ && bytes_ <= most_whole_bytes;
  }

 private:
  Result<std::optional<std::string>> next_record() {
    if (kept_)
      return std::exchange(kept_, std::nullopt);
    const auto record = records_.next();
    if (!record)
      return tl::unexpected{record.error()};
    at_end_ = !record->has_value();
    if (at_end_)
      return std::nullopt;
    ++count_;
    if (!is_utf8(**record))
      return failure(Errc::invalid_argument,
                     fmt::format("line {} is not UTF-8: \"{}\"", count_,
                                 printable(ellipsize(**record, 60))));
    return std::string{**record};
  }

  fanout::RecordReader& records_;
  std::optional<std::string> kept_;  ///< Did not fit into the last chunk.
  std::size_t bytes_ = 0;
  std::uint64_t count_ = 0;
  bool at_end_ = false;
};

Result<Json> ask(NodeCalls& calls, const std::string& target, const Json& body,
                 bool is_patient) {
  return is_patient ? calls.call_when_free(NodeMethod::post, target, body)
                    : calls.call(NodeMethod::post, target, body);
}

/// Adds `chunk` and all that follow to the open job; how many there were.
Result<std::uint64_t> add_chunks(NodeCalls& calls, const std::string& job,
                                 Json chunk, Chunks& chunks, bool is_patient) {
  const std::string target = node_target({"jobs", job, "arguments"});
  std::uint64_t tasks = 0;
  for (std::uint64_t number = 0; !chunk.empty(); ++number) {
    tasks += chunk.size();
    const Json body{{"chunk", number}, {"arguments", std::move(chunk)}};
    if (const auto added = ask(calls, target, body, is_patient); !added)
      return tl::unexpected{added.error()};
    auto next = chunks.next();
    if (!next)
      return tl::unexpected{std::move(next.error())};
    chunk = std::move(*next);
  }
  return tasks;
}

Result<SubmittedJob> submit_open(NodeCalls& calls, Json body, Json first,
                                 Chunks& chunks, bool is_patient) {
  body["open"] = true;
  const auto opened = submit_whole(calls, body, is_patient);
  if (!opened)
    return tl::unexpected{opened.error()};
  const auto number = number_from_json(*opened, "job");
  if (!number)
    return tl::unexpected{number.error()};
  const std::string job = fmt::format("{}", *number);
  const auto tasks =
      add_chunks(calls, job, std::move(first), chunks, is_patient);
  auto sealed =
      tasks ? calls.call(NodeMethod::post, node_target({"jobs", job, "seal"}))
            : Result<Json>{tl::unexpected{tasks.error()}};
  if (sealed)
    return SubmittedJob{std::move(*sealed), *tasks};
  // Left open it would wait forever. If even this fails, the first error tells.
  (void)calls.client().call(NodeMethod::post,
                            node_target({"jobs", job, "cancel"}), {});
  return tl::unexpected{
      std::move(sealed.error())
          .within(
              fmt::format("job {} was not completed and is cancelled", job))};
}

}  // namespace

Result<Json> submit_whole(NodeCalls& calls, const Json& body, bool is_patient) {
  return ask(calls, node_target({"jobs"}), body, is_patient);
}

Result<SubmittedJob> submit_records(NodeCalls& calls, Json body,
                                    fanout::RecordReader& records,
                                    bool is_patient) {
  Chunks chunks{records};
  auto first = chunks.next();
  if (!first)
    return tl::unexpected{std::move(first.error())};
  if (first->empty())
    return failure(Errc::invalid_argument, "there are no lines");
  if (!chunks.was_small())
    return submit_open(calls, std::move(body), std::move(*first), chunks,
                       is_patient);
  const std::uint64_t tasks = first->size();
  body["arguments"] = std::move(*first);
  auto answer = submit_whole(calls, body, is_patient);
  if (!answer)
    return tl::unexpected{std::move(answer.error())};
  return SubmittedJob{std::move(*answer), tasks};
}

}  // namespace troupe::cli
