#pragma once

#include "sim_host.hpp"
#include "sim_store.hpp"
#include "sim_world.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace troupe::sim {

/// What asks the store, waits and is told the answers, as long as it is there:
/// an actor of a node, as far as a core needs one.
class SimActor : public std::enable_shared_from_this<SimActor> {
 public:
  SimActor(const SimActor&) = delete;
  SimActor& operator=(const SimActor&) = delete;
  virtual ~SimActor() = default;

 protected:
  SimActor(SimHost& host, std::uint64_t life)
      : host_{host}, world_{host.world()}, life_{life} {}

  /// `what` answers an optional; `then` gets nothing if the answer does not
  /// come in time.
  template <class Do, class Then>
  void ask(Do what, Then then) {
    using Answer = std::invoke_result_t<Do, SimStore&>;
    // Of two answers the second one is ignored, and so is one that was given
    // up.
    auto open = std::make_shared<bool>(true);
    const auto tell = [weak = weak_from_this(), open,
                       then = std::move(then)](const Answer& answer) {
      const auto self = weak.lock();
      if (self && std::exchange(*open, false))
        then(answer);
    };
    SimHost& host = host_;
    const std::uint64_t life = life_;
    world_.ask_store(
        host.index(), [&host, life, what, tell]() -> SimHost::Call {
          auto answer = what(host.world().store());
          return [&host, life, tell, answer = std::move(answer)] {
            host.on_dispatcher(life, [tell, answer] { tell(answer); });
          };
        });
    world_.after(answer_within, [&host, life, tell] {
      // No temporary: the compiler takes what is in it for used.
      static const Answer none{};
      host.on_dispatcher(life, [tell] { tell(none); });
    });
  }

  void after(Duration pause, SimHost::Call call) {
    world_.after(pause, [&host = host_, life = life_, weak = weak_from_this(),
                         call = std::move(call)] {
      host.on_dispatcher(life, [weak, call] {
        if (const auto self = weak.lock())
          call();
      });
    });
  }

  [[nodiscard]] TimePoint now() const { return host_.monotonic(); }
  [[nodiscard]] bool has(Defect defect) const {
    return world_.defect() == defect;
  }

  static constexpr Duration answer_within = 6s;
  static constexpr Duration store_pause = 1s;

  SimHost& host_;
  SimWorld& world_;
  std::uint64_t life_;
};

}  // namespace troupe::sim
