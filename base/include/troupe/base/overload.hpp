#pragma once

namespace troupe {

/// One callable out of many lambdas, for std::visit.
template <class... F>
struct Overload : F... {
  using F::operator()...;
};
template <class... F>
Overload(F...) -> Overload<F...>;

}  // namespace troupe
