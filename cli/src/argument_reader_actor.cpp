#include "argument_reader_actor.hpp"

#include <utility>

namespace troupe::cli {
namespace {

/// An answer ends here, so that many long arguments are not held at once.
constexpr std::size_t most_arguments_bytes = 256 << 10;

class ArgumentReaderActor {
 public:
  ArgumentReaderActor(actors::Actor* self,
                      std::shared_ptr<fanout::ArgumentStream> stream,
                      std::shared_ptr<ReaderControl> control)
      : self_{self}, stream_{std::move(stream)}, control_{std::move(control)} {
    control_->about_to_wait = [this] {
      if (!batch_.arguments.empty())
        answer();
    };
  }

  actors::Behavior make_behavior() {
    return {[this](ReadArguments m) { read(m.most); }};
  }

  void on_exit() { control_->about_to_wait = nullptr; }

 private:
  /// What is read after the answer has gone out early is kept for the next one.
  void read(std::size_t most) {
    asker_ = actors::sender_of(self_);
    while (asker_ && !batch_.at_end && batch_.arguments.size() < most &&
           bytes_ < most_arguments_bytes) {
      auto next = stream_->next();
      if (!next) {
        batch_.error = next.error();
        batch_.at_end = true;
      } else if (!*next) {
        batch_.at_end = true;
      } else {
        bytes_ += fanout::memory_bytes(**next);
        batch_.arguments.push_back(std::move(**next));
      }
    }
    answer();
  }

  void answer() {
    if (!asker_)
      return;
    actors::send(self_, std::exchange(asker_, {}), std::exchange(batch_, {}));
    bytes_ = 0;
  }

  actors::Actor* self_;
  std::shared_ptr<fanout::ArgumentStream> stream_;
  std::shared_ptr<ReaderControl> control_;
  actors::ActorRef asker_;  ///< Has no answer yet.
  ArgumentsRead batch_;
  std::size_t bytes_ = 0;
};

}  // namespace

actors::ActorRef spawn_argument_reader(
    actors::ActorSystem& system, std::shared_ptr<fanout::ArgumentStream> stream,
    std::shared_ptr<ReaderControl> control) {
  return actors::spawn_detached<ArgumentReaderActor>(system, std::move(stream),
                                                     std::move(control));
}

}  // namespace troupe::cli
