#include "run_mask.hpp"

#include <troupe/actors/command_request.hpp>

namespace troupe::cli {
namespace {

class Hiding {
 public:
  explicit Hiding(const workflow::SecretMask& mask) : mask_{mask} {}

  void operator()(RunStarted& e) const {
    hide(e.title);
    for (JobRef& job : e.jobs)
      hide(job);
  }
  void operator()(JobExpanded& e) const {
    for (JobRef& job : e.jobs)
      hide(job);
  }
  void operator()(JobChanged& e) const {
    hide(e.job);
    hide(e.reason);
  }
  void operator()(StepStarted& e) const {
    hide(e.step);
    hide(e.line);
  }
  void operator()(AttemptStarted& e) const { hide(e.step); }
  void operator()(AttemptEnded& e) const {
    hide(e.step);
    actors::Attempt attempt = *e.attempt;
    hide_tail(attempt.stdout_tail);
    hide_tail(attempt.stderr_tail);
    for (actors::Cause& cause : attempt.causes)
      hide(cause.what);
    for (std::string& note : attempt.notes)
      hide(note);
    e.attempt = std::make_shared<const actors::Attempt>(std::move(attempt));
  }
  void operator()(StepFinished& e) const {
    hide(e.step);
    hide(e.reason);
    hide_tail(e.tail);
    for (auto& [name, value] : e.outputs)
      hide(value);
  }
  void operator()(GroupDecided&) const {}
  void operator()(ServiceChanged& e) const { hide(e.reason); }
  void operator()(Notice& e) const { hide(e.what); }
  void operator()(RunEnded&) const {}

 private:
  void hide(std::string& text) const { text = mask_.apply(text); }
  /// A tail that is full has lost its beginning, maybe of a secret.
  void hide_tail(std::string& tail) const {
    const bool is_cut = tail.size() >= actors::CommandRequest{}.tail_bytes;
    tail = is_cut ? mask_.apply_to_end(tail) : mask_.apply(tail);
  }
  void hide(JobRef& job) const { hide(job.label); }
  void hide(StepRef& step) const {
    hide(step.job);
    hide(step.name);
  }

  const workflow::SecretMask& mask_;
};

}  // namespace

void hide_secrets(RunEvent& event, const workflow::SecretMask& mask) {
  if (!mask.empty())
    std::visit(Hiding{mask}, event.what);
}

}  // namespace troupe::cli
