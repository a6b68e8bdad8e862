#pragma once

#include "actor_test.hpp"

#include <troupe/supervisor/child_handle.hpp>
#include <troupe/supervisor/supervisor.hpp>

#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace troupe::supervisor {

/// What the child does with a message.
enum class Then { answer, hold, drop, crash, quit };

/// Work for the child. Answered by a Done if it is a request.
struct Job {
  int number = 0;
  Then then = Then::answer;
};
struct Done {
  int number = 0;
  int incarnation = 0;
};
/// To the child: answer what is held.
struct AnswerHeld {};
/// To a client: send this job to `where`.
struct SendJob {
  ActorRef where;
  Job job;
  bool as_request = true;
};
/// To a child whose start hangs.
struct SayReady {
  ActorRef supervisor;
  ChildRef child;
};

/// One job as a child has seen it.
struct Seen {
  int number = 0;
  int incarnation = 0;
  actors::ActorId sender = 0;
};
/// One answer as a client has seen it.
struct Answered {
  TimePoint when;
  int number = 0;
  Result<Done> result;
};

struct HandleStage {
  std::vector<Seen> seen;
  std::vector<Answered> answers;
  std::map<int, TimePoint> ended;  ///< Incarnations.
  int incarnations = 0;
  ActorRef newest;
  std::optional<SayReady> ready;  ///< Of a start that hangs.
  int hanging_starts = 0;         ///< To come.
  int failing_starts = 0;         ///< To come.
  bool stubborn = false;          ///< The child ignores the polite stop.
};

}  // namespace troupe::supervisor

TROUPE_LOCAL_MESSAGE(troupe::supervisor::Job)
TROUPE_LOCAL_MESSAGE(troupe::supervisor::Done)
TROUPE_LOCAL_MESSAGE(troupe::supervisor::AnswerHeld)
TROUPE_LOCAL_MESSAGE(troupe::supervisor::SendJob)
TROUPE_LOCAL_MESSAGE(troupe::supervisor::SayReady)

namespace troupe::supervisor {

class HandledChild {
 public:
  HandledChild(Actor* self, std::shared_ptr<HandleStage> stage)
      : self_{self}, stage_{std::move(stage)} {
    incarnation_ = ++stage_->incarnations;
  }

  actors::Behavior make_behavior() {
    actors::handle_stop(self_, [this](const ExitReason& reason) {
      if (!stage_->stubborn)
        actors::quit(self_, reason);
    });
    return {
        [this](const Job& job) {
          const ActorRef sender = actors::sender_of(self_);
          stage_->seen.push_back(
              {job.number, incarnation_, sender ? actors::id_of(sender) : 0});
          if (job.then == Then::crash)
            throw std::runtime_error("boom");
          actors::Promise promise = actors::answer_later(self_);
          switch (job.then) {
            case Then::answer:
              promise.deliver(Done{job.number, incarnation_});
              break;
            case Then::hold:
              held_.emplace_back(job.number, promise);
              break;
            case Then::quit:
              actors::quit(self_);
              break;
            case Then::drop:
            case Then::crash:
              break;
          }
        },
        [this](AnswerHeld) {
          for (auto& [number, promise] : std::exchange(held_, {}))
            promise.deliver(Done{number, incarnation_});
        },
        [this](const SayReady& m) {
          actors::send(self_, m.supervisor, ChildReady{m.child});
        },
    };
  }

  void on_exit() { stage_->ended[incarnation_] = actors::now(self_); }

 private:
  Actor* self_;
  std::shared_ptr<HandleStage> stage_;
  int incarnation_ = 0;
  std::vector<std::pair<int, actors::Promise>> held_;
};

class HandleClient {
 public:
  HandleClient(Actor* self, std::shared_ptr<HandleStage> stage)
      : self_{self}, stage_{std::move(stage)} {}

  actors::Behavior make_behavior() {
    return {
        [this](const SendJob& m) {
          if (!m.as_request) {
            actors::send(self_, m.where, m.job);
            return;
          }
          actors::request<Done>(
              self_, m.where, 10h, m.job,
              [this, number = m.job.number](const Result<Done>& result) {
                stage_->answers.push_back({actors::now(self_), number, result});
              });
        },
        [this](Done m) {
          stage_->answers.push_back({actors::now(self_), m.number, m});
        }};
  }

 private:
  Actor* self_;
  std::shared_ptr<HandleStage> stage_;
};

/// A supervisor, a child with a handle, a sibling without, and clients. At the
/// end of a test nobody may be left.
class HandleWorld : public actors::ActorTest {
 protected:
  void TearDown() override {
    if (top)
      actors::kill(top);
    settle();
    if (stage->newest)
      actors::kill(stage->newest);
    if (handle)
      actors::stop(handle);
    settle();
    top = {};
    handle = {};
    stage->newest = {};
    stage->ready.reset();
    clients.clear();
    ActorTest::TearDown();
  }

  void open(HandleOptions options) {
    auto spawned = spawn_handle(system, std::move(options));
    ASSERT_TRUE(spawned.has_value());
    handle = *spawned;
    for (int i = 0; i < 3; ++i)
      clients.push_back(spawn<HandleClient>(stage));
  }

  /// The child; its starts go as the stage says.
  ChildSpec child(Restart restart = Restart::permanent) {
    ChildSpec spec{
        .id = "cache",
        .start = [this](StartContext& context) { return start(context); },
        .restart = restart};
    return with_handle(std::move(spec), handle);
  }
  ChildSpec sibling() {
    return {.id = "sibling", .start = [this](StartContext& context) {
              return StartResult{
                  actors::spawn<HandleClient>(context.supervisor(), stage)};
            }};
  }
  void supervise(SupervisorSpec spec) {
    auto spawned = spawn_supervisor(system, std::move(spec));
    ASSERT_TRUE(spawned.has_value());
    top = *spawned;
    settle();
  }

  void ask_job(int number, Then then = Then::answer, std::size_t client = 0) {
    actors::send(clients.at(client), SendJob{handle, {number, then}, true});
  }
  void tell_job(int number, Then then = Then::answer, std::size_t client = 0) {
    actors::send(clients.at(client), SendJob{handle, {number, then}, false});
  }
  void crash() {
    actors::send(stage->newest, Job{-1, Then::crash});
    settle();
  }
  HandleInfo info() { return *ask<HandleInfo>(handle, InspectHandle{}); }

  /// The answers since the last call: "1 by 2", "1 unavailable: ..".
  std::vector<std::string> take_answers() {
    settle();
    std::vector<std::string> lines;
    for (const Answered& answer : std::exchange(stage->answers, {})) {
      std::string line = std::to_string(answer.number);
      if (answer.result)
        line += " by " + std::to_string(answer.result->incarnation);
      else
        line += " " + std::string{to_string(answer.result.error().code)} +
                ": " + answer.result.error().what;
      lines.push_back(std::move(line));
    }
    return lines;
  }
  /// The jobs that a child has seen since the last call: "1 at 2".
  std::vector<std::string> take_seen() {
    settle();
    std::vector<std::string> lines;
    for (const Seen& seen : std::exchange(stage->seen, {}))
      if (seen.number >= 0)
        lines.push_back(std::to_string(seen.number) + " at " +
                        std::to_string(seen.incarnation));
    return lines;
  }

  std::shared_ptr<HandleStage> stage = std::make_shared<HandleStage>();
  ActorRef handle;
  ActorRef top;
  std::vector<ActorRef> clients;

 private:
  StartResult start(StartContext& context) {
    if (stage->failing_starts > 0) {
      --stage->failing_starts;
      return Error{Errc::unavailable, "no luck"};
    }
    stage->newest = actors::spawn<HandledChild>(context.supervisor(), stage);
    if (stage->hanging_starts == 0)
      return stage->newest;
    --stage->hanging_starts;
    stage->ready =
        SayReady{actors::ref_of(context.supervisor()), context.child()};
    return Starting{stage->newest};
  }
};

}  // namespace troupe::supervisor
