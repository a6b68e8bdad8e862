#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace troupe {

/// An identifier that cannot be mistaken for another kind: `Id<CommandTag>`
/// does not convert to `Id<JobTag>`. Zero is "none".
template <class Tag>
struct Id {
  std::uint64_t value = 0;

  friend auto operator<=>(const Id&, const Id&) = default;
  [[nodiscard]] explicit operator bool() const { return value != 0; }
};

/// A command: one line of work with all its attempts. Unique in an engine.
using CommandId = Id<struct CommandTag>;

}  // namespace troupe

template <class Tag>
struct std::hash<troupe::Id<Tag>> {
  std::size_t operator()(const troupe::Id<Tag>& id) const noexcept {
    return std::hash<std::uint64_t>{}(id.value);
  }
};
