#include <troupe/actors/digest_sink.hpp>

#include <utility>

namespace troupe::actors {
namespace {

std::vector<std::string> texts_of(const SuccessCriteria& success) {
  std::vector<std::string> texts = success.output_contains;
  texts.insert(texts.end(), success.output_not_contains.begin(),
               success.output_not_contains.end());
  return texts;
}

}  // namespace

DigestSink::DigestSink(const CommandRequest& request,
                       std::shared_ptr<process::OutputSink> inner)
    : out_{process::Tail{request.tail_bytes},
           process::TextFinder{texts_of(request.success)}},
      err_{out_},
      text_count_{request.success.output_contains.size() +
                  request.success.output_not_contains.size()},
      inner_{std::move(inner)} {}

void DigestSink::on_attach(std::function<void()> resume) {
  if (inner_)
    inner_->on_attach(std::move(resume));
}

process::SinkState DigestSink::write(process::Stream stream,
                                     std::string_view bytes) {
  Digest& digest = stream == process::Stream::out ? out_ : err_;
  digest.tail.write(bytes);
  digest.texts.write(bytes);
  return inner_ ? inner_->write(stream, bytes) : process::SinkState::ready;
}

void DigestSink::report(AttemptSeen& seen) const {
  seen.stdout_tail = out_.tail.text();
  seen.stderr_tail = err_.tail.text();
  seen.texts_found.clear();
  for (std::size_t i = 0; i < text_count_; ++i)
    seen.texts_found.push_back(out_.texts.found(i) || err_.texts.found(i));
}

void start_attempt(process::CommandRunner& runner, process::AttemptId id,
                   const std::shared_ptr<const CommandRequest>& request,
                   std::shared_ptr<process::OutputSink> inner,
                   process::AttemptHandler handler,
                   std::optional<process::AttemptId> predecessor) {
  // Shares ownership with the request, of which the spec is a part.
  std::shared_ptr<const process::CommandSpec> spec{request, &request->spec};
  auto sink = std::make_shared<DigestSink>(*request, std::move(inner));
  if (predecessor)
    runner.start_after(*predecessor, id, std::move(spec), std::move(sink),
                       std::move(handler));
  else
    runner.start(id, std::move(spec), std::move(sink), std::move(handler));
}

AttemptSeen seen_of(const process::AttemptEnded& event, WallTime ended) {
  AttemptSeen seen{.end = event.how, .ended = ended};
  if (const auto sink = std::dynamic_pointer_cast<DigestSink>(event.sink))
    sink->report(seen);
  return seen;
}

}  // namespace troupe::actors
